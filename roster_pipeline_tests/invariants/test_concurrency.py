"""Nights at the same moment: one school twice, and two schools that share people. Each several times, with changes.

The result must be the same as of one night after the other, in one of the two orders; nobody twice, nobody lost,
nothing stuck.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier

import pytest

from roster_pipeline import sync
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.invariants.district import CheckedDistrict, Shown
from roster_pipeline_tests.invariants.histories import histories
from roster_pipeline_tests.invariants.model import Model
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sis_state import GROUPS, Record
from roster_pipeline_tests.invariants.sync_district import Site

pytestmark = pytest.mark.timeout(0)
TIMES = histories(3, 20)
STUCK = 60
"""Seconds after which a night that should take one counts as stuck."""


@pytest.fixture
def district(database: Database, site: Site) -> CheckedDistrict:
    """Two schools after their first night; a third of the people belong to both, by one record or by two."""
    district = CheckedDistrict(database, site, 0, [SchoolRules("sch-1"), SchoolRules("sch-2")])
    for school in district.sis.schools:
        for group, size in zip(GROUPS, (2, 4, 4, 10), strict=True):
            for number in range(size):
                record = district.sis.join(school, group)
                if number % 3 == 0:
                    other = district.sis.schools[school == "sch-1"]
                    if number % 2:
                        district.sis.second_record(record, other, group, mailbox=True)
                    else:
                        district.sis.set_roles(record, [(group, school), (group, other)])
    for school in district.schools:
        district.model.night(district.ids[school], district.sis.served())
        district.place.sync_school(school)
    district.check()
    return district


def at_once(*nights: Callable[[], object]) -> None:
    """Start all at the same moment, and wait for all."""
    barrier = Barrier(len(nights))

    def start(one: Callable[[], object]) -> object:
        barrier.wait(STUCK)
        return one()

    with ThreadPoolExecutor(len(nights)) as pool:
        for running in [pool.submit(start, one) for one in nights]:
            running.result(STUCK)


def run(district: CheckedDistrict, school: str, run_id: str, batch: str) -> Callable[[], object]:
    """One run of a school's sync, with all its steps."""

    def steps() -> None:
        database = district.place.database
        sync.fetch(database, school, batch=batch, run_id=run_id)
        sync.clean_latest(database, school, run_id=run_id)
        sync.plan_latest(database, school, run_id=run_id)
        sync.apply_latest(database, school, run_id=run_id, who="proof")

    return steps


def things_happen(district: CheckedDistrict, night: int) -> None:
    """Every night somebody else joins, leaves, comes back, changes or moves.

    In a night, people move to one school only: `wrong_schools` would hold two who change places.
    """
    sis = district.sis
    here = sis.schools[night % 2]

    def somebody(place: int) -> Record:
        return sis.here()[place % len(sis.here())]

    sis.rename(somebody(night * 3), given=bool(night % 2))
    sis.new_email(somebody(night * 5 + 1))
    sis.join(here, "student")
    leaver = next((record for record in sis.here() if len(record.roles) == 2), None)
    if leaver:
        sis.set_roles(leaver, [leaver.roles[night % 2]])
    sis.set_roles(somebody(night * 7 + 2), [(somebody(night * 7 + 2).roles[0][0], here)])
    sharer = somebody(night * 11 + 3)
    sis.set_roles(sharer, [*sharer.roles[:1], (sharer.roles[0][0], here)])
    if sis.left():
        sis.come_back(sis.left()[0])
    else:
        sis.leave(somebody(night * 4), "mark")


def ends(district: CheckedDistrict, *schools: str) -> tuple[Model, Shown]:
    """The model after these nights, one after the other, and its people."""
    own, district.model = district.model, deepcopy(district.model)
    try:
        for school in schools:
            district.model.night(district.ids[school], district.sis.served())
        return district.model, district.expected()
    finally:
        district.model = own


@pytest.mark.parametrize("shared", [True, False], ids=["sharing a pull", "each with a pull of its own"])
def test_two_runs_of_one_school_at_once_do_what_one_does(district: CheckedDistrict, shared: bool) -> None:
    school = district.schools[0]
    for night in range(TIMES):
        things_happen(district, night)
        batches = ["one", "one"] if shared else ["one", "two"]
        at_once(*(run(district, school, f"{night} {n}", f"{night} {batch}") for n, batch in enumerate(batches)))
        district.model, _ = ends(district, school, school)
        district.check()
        district.place.sync_school(district.schools[1])
        district.model, _ = ends(district, district.schools[1])
        district.check()
    assert district.place.rows("select count(*) as many from sync group by snapshot_id having count(*) > 1") == []


def test_two_schools_that_share_people_at_once_end_as_one_after_the_other(district: CheckedDistrict) -> None:
    first, second = district.schools
    orders = set()
    for night in range(TIMES):
        things_happen(district, night)
        at_once(*(run(district, school, f"{night} {school}", f"night {night}") for school in district.schools))
        outcomes = {order: ends(district, *order) for order in ((first, second), (second, first))}
        shown = district.pipeline()
        fitting = [order for order, (_, expected) in outcomes.items() if expected == shown]
        assert fitting, f"night {night} ended like neither order"
        orders |= set(fitting)
        district.model = outcomes[fitting[0]][0]
        district.check_truth(shown)
    assert orders
