"""Unchanged people have no row of their own, and every reader of a plan still finds them."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.directory import plan_rows, plans, snapshots
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.operations import erase
from roster_pipeline.directory.plan_rows import RowFilter
from roster_pipeline.directory.rosters import write
from roster_pipeline.directory.sync_summary import sync_summary
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    every,
    newcomer,
    one,
    person_of,
    row,
    snapshot_of,
    sync_rows,
    write_plan,
)

RECORDS = ("a", "b", "c", "t")
ROLES = {"t": "teacher"}


@pytest.fixture
def people(database: Database, lincoln: SchoolRow) -> dict[str, int]:
    """Three students and a teacher: their numbers by sourcedId."""
    given = {record: {"changes": {"role": role}, "role": role} for record, role in ROLES.items()}
    sync_rows(database, lincoln, *(newcomer(one, f"Ada {one}", **given.get(one, {})) for one in RECORDS))
    return {record: person_of(database, record) for record in RECORDS}


def stays(people: dict[str, int], record: str, **more: Any) -> dict[str, Any]:
    """The row of an unchanged person."""
    given = {"reason": "equal", "matched_by": "link", "links": [record], "role": ROLES.get(record, "student")}
    return row("unchanged", people[record], **given | more)


def planned(database: Database, school: SchoolRow, *rows: dict[str, Any]) -> int:
    """A plan of a roster that has all records."""
    snapshot_id = snapshot_of(database, school)
    roster = pd.DataFrame({"sourced_id": RECORDS, "record_status": "member", "identity": range(len(RECORDS))})
    database.call(write, snapshot_id, roster, pd.DataFrame())
    return write_plan(database, school, rows, snapshot_id=snapshot_id)


def test_they_are_listed_by_role_and_read_like_every_other_row(
    database: Database, lincoln: SchoolRow, people: dict[str, int]
) -> None:
    changes = row("update", people["b"], changes={"grade": "05"}, links=["b"])
    plan_id = planned(database, lincoln, *(stays(people, one) for one in "atc"), changes)
    assert every(database, "select action, row from plan_row where plan_id = :p", p=plan_id) == [("update", 0)]
    listed = "select role, first_row, people from plan_unchanged where plan_id = :p order by role"
    assert every(database, listed, p=plan_id) == [
        ("student", 1, [people["a"], people["c"]]),
        ("teacher", 3, [people["t"]]),
    ]
    with database.begin() as conn:
        plan = plans.get(conn, plan_id)

        def found(**chosen: Any) -> list[tuple[int, str, list[str]]]:
            lines = plan_rows.page(conn, plan, RowFilter(**chosen))
            assert len(lines) == plan_rows.count(conn, plan, RowFilter(**chosen))
            assert plan_rows.following(conn, plan, RowFilter(**chosen)) == lines
            return [(line["row"], line["name"], line["sourced_ids"]) for line in lines]

        a, b, c, t = ((place, f"Ada {one} Lovelace", [one]) for place, one in enumerate("bact"))
        assert found() == [a, b, c, t]
        assert found(actions=("unchanged",)) == [b, c, t]
        assert found(role="teacher") == found(words="ada t") == found(person_id=people["t"]) == [t]
        assert found(actions=("update", "skip")) == [a]
        assert found(held=True) == []
        assert [(line["role"], line["action"], line["rows"]) for line in plan_rows.reasons(conn, plan)] == [
            ("student", "unchanged", 2),
            ("student", "update", 1),
            ("teacher", "unchanged", 1),
        ]
        assert sorted(plan_rows.sourced_ids(conn, plan_id)) == list(RECORDS)


def test_a_sync_counts_them(database: Database, lincoln: SchoolRow, people: dict[str, int]) -> None:
    some = (stays(people, "b", absent_syncs=0), stays(people, "c"), stays(people, "t"))
    done = builders.apply_plan(database, planned(database, lincoln, stays(people, "a"), *some), who="night")
    assert (done.outcome, done.held) == ("unchanged", {})
    assert done.counts == {"student": {"unchanged": 3}, "teacher": {"unchanged": 1}}
    actions = [(line["role"], line["rows"]) for line in database.call(sync_summary, done.sync_id).actions]
    assert actions == [("student", 3), ("teacher", 1)]


KEPT: dict[str, dict[str, Any]] = {
    "several records": {"links": ["a", "other"]},
    "a new record": {"new_links": ["other"]},
    "somebody who was absent": {"absent_syncs": 0},
    "found by number": {"matched_by": "number"},
    "a note": {"notes": "records_joined"},
    "another reason": {"reason": "joined"},
}


@pytest.mark.parametrize("special", KEPT.values(), ids=KEPT)
def test_who_is_special_keeps_a_row(
    database: Database, lincoln: SchoolRow, people: dict[str, int], special: dict[str, Any]
) -> None:
    plan_id = planned(database, lincoln, stays(people, "b"), stays(people, "a", **special))
    assert one(database, "select person_id from plan_row where plan_id = :p", p=plan_id) == people["a"]
    assert one(database, "select people from plan_unchanged where plan_id = :p", p=plan_id) == [people["b"]]


def test_who_is_erased_is_in_no_list_and_the_others_keep_their_numbers_of_rows(
    database: Database, lincoln: SchoolRow, people: dict[str, int]
) -> None:
    for _ in range(3):
        done = builders.apply_plan(
            database, planned(database, lincoln, *(stays(people, one) for one in RECORDS)), who="night"
        )
    numbers = "select person_id, row from plan_line where plan_id = (select max(id) from plan) order by row"
    waiting = planned(database, lincoln, *(stays(people, one) for one in RECORDS))
    before = every(database, numbers)
    database.call(erase, lincoln.district_id, people["a"], who="owner", reason="asked to be forgotten")
    students = every(database, "select people from plan_unchanged where role = 'student'")
    assert students == [([None, people["b"], people["c"]],)] * 4
    assert every(database, numbers) == [line for line in before if line[0] != people["a"]]
    with database.begin() as conn:
        counted = {line["role"]: line["rows"] for line in sync_summary(conn, done.sync_id).actions}
        assert counted == {"student": 2, "teacher": 1}
    unchanged = {"student": {"unchanged": 2}, "teacher": {"unchanged": 1}}
    assert builders.apply_plan(database, waiting, who="night").counts == unchanged
    database.call(snapshots.prune, lincoln.id, keep=2)
    assert one(database, "select count(*) from plan_unchanged") == 4
