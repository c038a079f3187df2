"""The demo's two SISs on one loopback address, and what changes at their schools from one night to the next.

The story is the same in every run, so a simulator that starts later can repeat it up to the same night.
"""

import argparse
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from threading import Event

from roster_pipeline.settings.school import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline.simulator import District, SimulatorThread, Sis, create_site, generate_district, pass_day
from roster_pipeline.simulator.app import LOOPBACK, bound

PORT = 8601
"""Preferred, so that the addresses in the settings are the same in `roster demo` and `roster dev`."""
DISTRICT = "riverbend"
DISTRICT_NAME = "Riverbend Schools (demo)"
CLIENT_ID = "demo-client"
CLIENT_SECRET = "demo-secret"  # noqa: S105 - of the simulated SIS
REPORT_TO = "it@riverbend.example"
NOON_BEFORE = 2
"""Before this night one school has a manual run too."""
NIGHTS = ("a first night", "joiners, renames, a leaver and a returner", "one SIS leaves people out: archivals are held")


@contextmanager
def simulated(people: dict[str, District], port: int = PORT) -> Iterator[tuple[str, dict[str, Sis]]]:
    """Serve both SISs, on any free port if `port` is taken. Yields the base URL and the SISs by connection key."""
    served = {
        key: Sis(
            people[key],
            prefix=CONNECTIONS[key][0],
            credentials={CLIENT_ID: CLIENT_SECRET},
            versions=(CONNECTIONS[key][1],),
        )
        for key in CONNECTIONS
    }
    server = SimulatorThread(create_site(list(served.values())), port=port if _is_free(port) else 0).start()
    try:
        yield server.base_url, served
    finally:
        server.stop()


def _is_free(port: int) -> bool:
    with suppress(OSError), closing(bound(LOOPBACK, port)):
        return True
    return False


@dataclass(frozen=True)
class DemoSchool:
    """A school of the demo, and its connection and id in the SIS."""

    key: str
    name: str
    connection: str
    school_id: str


SCHOOLS = (
    DemoSchool("cedar-high", "Cedar High", "northside-sis", "sch-1"),
    DemoSchool("harbour-middle", "Harbour Middle School", "northside-sis", "sch-2"),
    DemoSchool("lincoln-high", "Lincoln High", "southside-sis", "sch-1"),
)
CONNECTIONS = {"northside-sis": ("/northside", "1.2"), "southside-sis": ("/southside", "1.1")}
"""Connection key to the prefix and the version of its simulated SIS."""


def districts() -> dict[str, District]:
    """The people of the two SISs before the first night, by connection key."""
    found = {
        "northside-sis": generate_district(7, schools=2, students_per_school=240, name="Riverbend North"),
        "southside-sis": generate_district(11, schools=1, students_per_school=420, name="Riverbend South"),
    }
    names = {(school.connection, school.school_id): school.name for school in SCHOOLS}
    for key, people in found.items():  # a test of the connection warns if the names differ
        people.orgs = [org._replace(name=names.get((key, org.sourced_id), org.name)) for org in people.orgs]
    return found


def pass_noon(people: dict[str, District]) -> None:
    """The second day at noon: the office removes a pupil by mistake, before a manual run of that school."""
    people["northside-sis"].remove(_removed_by_mistake(people), how="mark")


def pass_night(people: dict[str, District], night: int) -> None:
    """Bring both SISs to the given night (1, 2 or 3) from the noon or the night before."""
    north, south = people["northside-sis"], people["southside-sis"]
    if night == 1:
        return
    if night == 2:
        north.restore(_removed_by_mistake(people))
        pass_day(north, joiners=6, renames=4, role_moves=1, school_moves=2)
        pass_day(south, joiners=5, renames=3)
        pass_day(north, leavers=1, how="mark")
        pass_day(south, leavers=1, how="vanish")
        return
    pass_day(north, joiners=1, renames=2)
    pass_day(south, renames=1, leavers=3, how="vanish")


def bring_to(night: int) -> dict[str, District]:
    """The people of both SISs after the given night; 0 is before the first."""
    people = districts()
    for passed in range(1, night + 1):
        if passed == NOON_BEFORE:
            pass_noon(people)
        pass_night(people, passed)
    return people


def _removed_by_mistake(people: dict[str, District]) -> str:
    """The sourcedId of the pupil of `pass_noon`; the same before and after leaving."""
    north = people["northside-sis"]
    school = SCHOOLS[0].school_id
    return next(iter(north.left()), None) or north.people_of(school, "student")[7].sourced_id


def connection_settings(key: str, base_url: str) -> ConnectionSettings:
    """The settings of one connection. base_url: the simulator's URL without a path."""
    prefix, version = CONNECTIONS[key]
    path = "/ims/oneroster/rostering/v1p2" if version == "1.2" else "/ims/oneroster/v1p1"
    return ConnectionSettings(
        url=f"{base_url}{prefix}{path}",
        client_id=CLIENT_ID,
        token_url=f"{base_url}{prefix}/oauth/token",
        allow_private_addresses=True,
        page_size=200,
    )


def school_settings(school: DemoSchool) -> SchoolSettings:
    """All options on, to show what they do; a real school starts with auto update and archive off."""
    everything = RoleSettings(rostered=True, auto_update=True, archive=True)
    return SchoolSettings(
        school_id=school.school_id, students=everything, teachers=everything, staff=everything, admins=everything,
        primary_contacts=True, report_to=[REPORT_TO], time_zone="America/Chicago", automatic=True, first_sync="apply",
    )  # fmt: skip


def main() -> None:
    """Serve until a signal ends it: `python -m roster_pipeline.demo_sis --night 3`."""
    parser = argparse.ArgumentParser(description="The demo's simulated SISs.")
    parser.add_argument("--night", type=int, default=3, help="the night of the story to start from (default 3)")
    parser.add_argument("--port", type=int, default=PORT)
    chosen = parser.parse_args()
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with simulated(bring_to(chosen.night), chosen.port) as (base_url, _):
        print(f"simulated SISs at {base_url}{', '.join(prefix for prefix, _ in CONNECTIONS.values())}", flush=True)  # noqa: T201
        stop.wait()


if __name__ == "__main__":
    main()
