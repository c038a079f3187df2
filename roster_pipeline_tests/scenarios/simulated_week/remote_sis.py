"""The SISs of the week: the simulator in its own process, and a twin of each district in the test's process. Both get
the same changes, so the twin shows who should be where."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx

from roster_pipeline.simulator import District, generate_district
from roster_pipeline.simulator.person import ROLES, STUDENT

CLIENT, SECRET = "week-client", "week-secret"
READY = re.compile(r"simulator ready at (.+)")
AWAY = {"fails_first": 1_000_000, "retry_after": 7200}
"""In maintenance for hours; its answers say so, so nobody waits."""
NOBODY = {"role_absent": ",".join(ROLES)}
"""The schools exist, but without people."""
SPEAKS = {"north": "1.2", "south": "1.1"}


@dataclass
class RemoteSis:
    """One SIS of the other process. `twin` is the same district in this one."""

    key: str
    url: str
    twin: District

    def does(self, verb: str, sourced_id: str, **fields: Any) -> None:
        """Change one person."""
        getattr(self.twin, verb)(sourced_id, **fields)
        self._post("edit", {"verb": verb, "sourced_id": sourced_id, **fields})

    def joins(self, school: str, **fields: Any) -> str:
        """Add a student; returns the sourcedId."""
        added = self.twin.add(STUDENT, school, **fields)
        self._post("edit", {"verb": "add", "role": STUDENT, "school": school, **fields})
        return added.sourced_id

    def fails(self, faults: dict[str, Any]) -> None:
        """Switch a fault on."""
        self._post("faults", dict(faults))

    def recovers(self) -> None:
        """Switch all faults off."""
        self._post("faults", {"clear": True})

    def students(self, school: str) -> list[str]:
        """sourcedIds of a school's students now, in the order of the district."""
        return [person.sourced_id for person in self.twin.people_of(school, STUDENT)]

    def requests(self) -> int:
        """Requests so far."""
        return int(httpx.get(f"{self.url}/simulator/requests", verify=False).raise_for_status().json()["total"])

    def _post(self, what: str, body: dict[str, Any]) -> None:
        httpx.post(f"{self.url}/simulator/{what}", json=body, verify=False).raise_for_status()


@contextmanager
def simulated(schools: dict[str, int], students: int) -> Iterator[dict[str, RemoteSis]]:
    """Serve one SIS for each key, with this many schools of this many students."""
    sites, first_day = [], date.today()  # noqa: DTZ011 - the simulator's own default
    for seed, (key, number) in enumerate(schools.items(), start=21):
        settings = f"schools={number},students={students},seed={seed},versions={SPEAKS[key]},name={key}"
        sites += ["--site", f"/{key}:{settings}"]
    given = ["--port", "0", "--start", first_day.isoformat(), "--client-id", CLIENT, "--client-secret", SECRET]
    process = subprocess.Popen(
        [sys.executable, "-m", "roster_pipeline.simulator", *given, *sites], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = READY.match(process.stdout.readline())
        assert found, "the simulator did not start"
        yield {
            key: RemoteSis(key, url, generate_district(seed, number, students, name=key, start=first_day))
            for (seed, (key, number)), url in zip(enumerate(schools.items(), start=21), found[1].split(), strict=True)
        }
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
