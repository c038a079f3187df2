"""Several schools read one pull. If it lost people of one school, the losses of the others wait too, unless they are
small or the SIS confirms them."""

from datetime import datetime
from typing import Any

import pytest

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.lasting_decisions import announce_leavers
from roster_pipeline.services.decisions import approve
from roster_pipeline_tests.sources.conftest import BIRCH, DISTRICT, Record, School, Source, pupil

ORGS = [DISTRICT, *(BIRCH | {"sourcedId": f"s{place}", "identifier": f"10{place}"} for place in range(1, 6))]
GUARDS = """
select distinct f ->> 'guard' as guard from verdict v cross join lateral jsonb_array_elements(v.findings) f
where v.plan_id = (select max(p.id) from plan p join school s on s.id = p.school_id where s.key = :key)
"""
ACTIVE = """
select l.sourced_id from link l join membership m using (person_id) join school s on s.id = m.school_id
where m.status = 'active' and s.key = :key
"""


class Schools(School):
    """Schools of 100 pupils each, whose rows alternate in the file: st0 is in s1, st1 in s2 and so on."""

    def __init__(self, database: Database, source: Source, schools: int) -> None:
        source.orgs = ORGS[: schools + 1]
        super().__init__(database, source)
        self.keys = [self.school, *(self.add_school(f"birch{place}", f"s{place}") for place in range(2, schools + 1))]
        self.everybody = [pupil(place, f"s{place % schools + 1}") for place in range(100 * schools)]
        self.nights = 0
        self.night([])

    def of(self, school: int, first: int, number: int) -> list[str]:
        """The sourcedIds of pupils of a school who do not stand next to each other."""
        ids = [one["sourcedId"] for one in self.everybody if one["orgSourcedIds"] == f"s{school}"]
        return ids[first::2][:number]

    def night(self, lost: list[str], *, backwards: bool = False) -> list[set[str]]:
        """One night of all schools without these people in the file. Returns the guards of each school."""
        self.nights += 1
        *others, last = (one for one in self.everybody if one["sourcedId"] not in lost)
        self.source.users = [*others, last | {"dateLastModified": f"2026-01-{self.nights:02d}T00:00:00.000Z"}]
        self.source.write()
        for key in reversed(self.keys) if backwards else self.keys:
            self.sync_school(key, f"night {self.nights}")
        return [{str(row["guard"]) for row in self.rows(GUARDS, key=key)} for key in self.keys]

    def lost(self) -> list[int]:
        """How many people of each school are not active."""
        return [100 - len(self.rows(ACTIVE, key=key)) for key in self.keys]

    def approves(self, school: int) -> None:
        """Somebody approves what is held in a school."""
        key = self.keys[school - 1]
        plan = self.value(
            "select max(p.id) from plan p join school s on s.id = p.school_id where s.key = :key", key=key
        )
        approve(self.database, key, plan, who="Kim", reason="They left.")


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
def test_a_school_waits_if_another_one_lost_people_in_the_same_file(
    database: Database, bundle: Source, *, backwards: bool
) -> None:
    schools = Schools(database, bundle, 2)
    lost = [*schools.of(1, 0, 14), *schools.of(2, 1, 9)]
    for _ in range(2):
        assert schools.night(lost, backwards=backwards) == [{"archivals"}, {"missing_elsewhere"}]
        assert schools.lost() == [0, 0]
    assert schools.night([], backwards=backwards) == [set(), set()]


def test_a_small_loss_waits_too_if_all_other_schools_lost_some(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 4)
    lost = [*schools.of(1, 0, 14), *schools.of(2, 1, 4), *schools.of(3, 0, 4), *schools.of(4, 1, 1)]
    assert schools.night(lost) == [{"archivals"}, *[{"missing_elsewhere"}] * 3]
    assert schools.lost() == [0, 0, 0, 0]


def test_a_loss_of_every_school_waits_although_none_of_them_is_large(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 3)
    lost = [*schools.of(1, 0, 6), *schools.of(2, 1, 7), *schools.of(3, 0, 6)]
    assert schools.night(lost) == [{"missing_elsewhere"}] * 3
    schools.approves(2)
    assert schools.lost() == [0, 7, 0]


def test_a_class_that_graduates_in_one_school_stops_no_other(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 4)
    lost = [*schools.of(1, 0, 30), *schools.of(2, 1, 3), *schools.of(4, 1, 2)]
    assert schools.night(lost) == [{"archivals", "shrunk_role", "slow_loss"}, set(), set(), set()]
    assert schools.lost() == [0, 3, 0, 2]


def test_the_others_go_on_once_somebody_decided_about_the_large_loss(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 2)
    lost = [*schools.of(1, 0, 14), *schools.of(2, 1, 9)]
    schools.night(lost)
    schools.approves(1)
    assert schools.night(lost) == [set(), set()]
    assert schools.lost() == [14, 9]


def test_people_whom_the_sis_confirms_by_id_leave(database: Database, rest: Source) -> None:
    schools = Schools(database, rest, 2)
    assert schools.night([*schools.of(1, 0, 14), *schools.of(2, 1, 9)]) == [{"archivals"}, set()]
    assert schools.lost() == [0, 9]


def test_announced_leavers_leave_and_do_not_count(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 2)
    leavers = schools.of(2, 1, 9)
    with database.begin() as conn:
        row = tenants.get_school(conn, schools.keys[1])
        people = [
            one["person_id"]
            for one in schools.rows("select person_id, sourced_id from link")
            if one["sourced_id"] in leavers
        ]
        announce_leavers(conn, row, people[:8], datetime.now(row.settings.zone).date(), "Kim", "Moved away.")
    assert schools.night([*schools.of(1, 0, 14), *leavers]) == [{"archivals"}, set()]
    assert schools.lost() == [0, 9]


def test_a_part_that_a_file_lacks_is_a_large_loss(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 2)
    rows: list[Record] = schools.everybody
    schools.everybody = sorted(rows, key=lambda one: str(one["orgSourcedIds"]))
    schools.night([])
    ids: list[Any] = [one["sourcedId"] for one in schools.everybody]
    assert schools.night([*ids[40:47], *schools.of(2, 1, 8)]) == [{"part_missing"}, {"missing_elsewhere"}]
    assert schools.lost() == [0, 0]


def test_a_school_that_is_not_synced_any_more_stops_no_other(database: Database, bundle: Source) -> None:
    schools = Schools(database, bundle, 3)
    schools.execute(
        "update snapshot set taken_at = taken_at - interval '8 days' "
        "where school_id = (select id from school where key = :key)",
        key=schools.keys.pop(0),
    )
    assert schools.night([*schools.of(1, 0, 40), *schools.of(2, 1, 9)]) == [set(), set()]
    assert schools.lost() == [9, 0]
