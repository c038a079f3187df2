"""A night that is killed at any moment, and run again, ends as if nothing had happened.

The process gets SIGKILL before, inside and after the writes of every step: around each statement, in the middle of
each COPY, and before, during and after each COMMIT. Then the step that died runs again, and the steps after it, as
Dagster does when a failed run is started again. `ROSTER_PROOF=long` takes every moment, else some of each step.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.crashing import STEPS
from roster_pipeline_tests.invariants.district import CheckedDistrict
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sis_state import GROUPS
from roster_pipeline_tests.invariants.sync_district import Site
from roster_pipeline_tests.postgres import as_text, copy_of

EVERY = 1 if os.environ.get("ROSTER_PROOF") else 48
"""Every commit is tried; of the other moments of a step, every n-th."""
COMMITS = ("during commit", "after commit")


class Crashes:
    """A district on a night of many changes, and a process that may be killed in it."""

    def __init__(self, process: subprocess.Popen[str], district: CheckedDistrict, url: str, folder: Path) -> None:
        self.process, self.district, self.url, self.folder = process, district, url, folder

    def run(self, url: str, run: str, steps: tuple[str, ...], die_at: int | None = None) -> tuple[int, list[str]]:
        """Exit status (negative: the signal), and the moments of a complete night."""
        moments = self.folder / f"{run}.json"
        job = {
            "url": url, "school": self.district.schools[0], "batch": "night", "run": run, "steps": steps,
            "die_at": die_at, "moments": str(moments),
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return status, json.loads(moments.read_text()) if status == 0 else []

    @contextmanager
    def copy(self, url: str = "") -> Iterator[str]:
        """The URL of a copy of this database, by default of the night: every crash starts from the same state."""
        with copy_of(make_url(url or self.url)) as made:
            yield as_text(made)

    def ends(self, url: str) -> dict[str, Any]:
        """Everything that must not depend on a crash: the directory by links, the ledger, the mails, the holds."""
        place = self.district.place
        own, place.database = place.database, Database(url)
        try:
            return {
                "people": self.district.pipeline(),
                "ledger": place.ledger(),
                "logged": place.rows(
                    "select entity, operation, count(*) as rows from change_log where district_id = :district "
                    "group by 1, 2 order by 1, 2"
                ),
                "syncs": place.rows("select outcome, counts, held from sync where district_id = :district order by id"),
            }
        finally:
            place.database.close()
            place.database = own


@pytest.fixture
def crashes(database: Database, database_url: str, site: Site, tmp_path: Path) -> Iterator[Crashes]:
    """After a first night: people join, leave, change, come back, move, and one record gets a new id."""
    district = CheckedDistrict(database, site, 0, [SchoolRules("sch-1"), SchoolRules("sch-2")])
    sis = district.sis
    for group, size in zip(GROUPS, (2, 4, 3, 12), strict=True):
        for _ in range(size):
            sis.join("sch-1", group)
    returner = sis.here()[-1]
    district.place.sync_school(district.schools[0])
    sis.leave(returner, "vanish")
    district.place.sync_school(district.schools[0])
    sis.come_back(sis.records[returner.sourced_id])
    people = sis.here()
    sis.leave(people[-2], "mark")
    sis.rename(people[3], given=False)
    sis.rekey(people[-3])
    sis.join("sch-1", "student")
    sis.second_record(people[2], "sch-1", "staff", mailbox=True)
    database.close()
    command = [sys.executable, "-m", "roster_pipeline_tests.invariants.crashing"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Crashes(process, district, database_url, tmp_path)
    finally:
        process.communicate()


@pytest.mark.timeout(0)
def test_a_night_killed_at_any_write_and_run_again_ends_as_if_nothing_had_happened(crashes: Crashes) -> None:
    moments: list[tuple[str, int, str]] = []
    with ExitStack() as kept:
        url = kept.enter_context(crashes.copy())
        before, begun = crashes.ends(url), {}
        for step in STEPS:
            begun[step] = kept.enter_context(crashes.copy(url))
            status, reached = crashes.run(url, "whole", (step,))
            assert status == 0
            moments += [(step, number, what) for number, what in enumerate(reached)]
        whole = crashes.ends(url)
        done = whole["syncs"][-1]["counts"]
        assert {action for counts in done.values() for action, rows in counts.items() if rows} >= {
            "create", "update", "restore", "archive",
        }  # fmt: skip
        assert whole["ledger"] == {name: rows + 1 for name, rows in before["ledger"].items()}
        assert {step for step, *_ in moments} == set(STEPS)

        tried = [one for n, one in enumerate(moments) if one[-1].endswith(COMMITS) or n % EVERY == 0]
        for step, number, what in tried:
            with crashes.copy(begun[step]) as url:
                status, _ = crashes.run(url, "killed", (step,), die_at=number)
                assert status == -signal.SIGKILL, what
                status, _ = crashes.run(url, "again", STEPS[STEPS.index(step) :])
                assert status == 0, what
                assert crashes.ends(url) == whole, what
    print(f"{len(tried)} of {len(moments)} moments")
