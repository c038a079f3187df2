"""Applying plans: each kind of change, the gate before them, and refusals."""

from typing import Any

import pytest

from roster_pipeline.directory import approvals, plan_rows, plans
from roster_pipeline.directory.apply import PlanNotForApply, PlanStale
from roster_pipeline.directory.apply_staging import NotApproved, VerdictMissing
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import (
    add_school,
    every,
    newcomer,
    one,
    person_of,
    row,
    snapshot_of,
    sync_rows,
    write_plan,
)

FINDING = {"guard": "archivals", "message": "many", "value": 0.5, "limit": 0.1, "overridable": True}
FIXED = FINDING | {"guard": "incomplete", "overridable": False}


LINKS = "select l.sourced_id, is_primary from link l where person_id = :p order by 1"


def test_each_row_writes_what_it_names_and_nothing_else(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    changes = {"number": "17", "email": "a@example.org", "enabled": False, "contact_email": "p@example.org"}
    both = newcomer("u1", changes=changes) | {"sourced_ids": ["u1", "u1b"], "new_links": ["u1", "u1b"]}
    graded = newcomer("u2", changes={"email": "b@example.org", "grade": "05", "contact_phone": "+1"})
    result = sync_rows(database, lincoln, both, graded, newcomer("old"))
    assert (result.outcome, result.counts) == ("applied", {"student": {"create": 3}})
    ada, bea, old = (person_of(database, sourced_id) for sourced_id in ("u1", "u2", "old"))

    def person(who: int) -> tuple[Any, ...]:
        names = "given_name, family_name, email, number, number_kind, number_connection_id, enabled, revision"
        return every(database, f"select {names} from person where id = :p", p=who)[0]

    def membership(who: int) -> list[tuple[Any, ...]]:
        names = "role, status, managed, grade, archived_by, archived_at is null, revision"
        return every(database, f"select {names} from membership where person_id = :p order by school_id", p=who)

    def contact(who: int) -> list[tuple[Any, ...]]:
        return every(database, "select email, phone from contact where person_id = :p", p=who)

    at = lincoln.connection.id
    assert person(ada) == ("Ada", "Lovelace", "a@example.org", "17", "student", at, False, 1)
    assert every(database, LINKS, p=ada) == [("u1", True), ("u1b", False)]
    assert every(database, "select distinct version from link") == [("1.2",)]
    assert membership(ada) == [("student", "active", True, None, None, True, 1)]
    assert contact(ada) == [("p@example.org", None)]
    sync_rows(database, roosevelt, row("create", ada, changes={"role": "student"}, links=["u1"], new_links=[]))
    assert (len(membership(ada)), one(database, "select count(*) from person")) == (2, 3)

    sync_rows(
        database,
        lincoln,
        row("update", ada, changes={"number": "18", "contact_phone": "+2"}, number_kind="staff"),
        row("update", bea, changes={"family_name": "King", "email": None, "grade": "06"}),
        row("unchanged", old, links=["new"], new_links=["new"], matched_by="number"),
    )
    assert person(ada)[3:5] == ("18", "staff")
    assert contact(ada) == [("p@example.org", "+2")]
    assert person(bea) == ("Ada", "King", None, None, None, None, None, 2)
    assert membership(bea) == [("student", "active", True, "06", None, True, 2)]
    assert every(database, LINKS, p=old) == [("new", False), ("old", True)]

    gone = {"number": None, "contact_email": None, "contact_phone": None}
    sync_rows(
        database,
        lincoln,
        row("update", ada, changes=gone),
        row("archive", bea, reason="left", witness="gone"),
        row("update", old, links=["newer"], new_links=["newer"], matched_by="number"),
    )
    assert person(ada)[3:6] == (None, None, None)
    assert contact(ada) == []
    assert membership(bea) == [("student", "archived", True, "06", "sync", False, 3)]
    assert every(database, LINKS, p=old) == [("new", False), ("newer", False), ("old", True)]
    moved = row("update", old, changes={"primary_record": "new"}, links=["new"])
    sync_rows(database, lincoln, row("restore", bea, changes={"grade": "07"}), moved)
    assert membership(bea) == [("student", "active", True, "07", None, True, 4)]
    assert every(database, LINKS, p=old) == [("new", True), ("newer", False), ("old", False)]


def test_a_home_comes_from_another_connection_where_the_plan_says_so_unless_it_moved_meanwhile(
    database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    other = database.call(add_school, "roosevelt", connection="other")
    person = person_of(database, "u1")
    sync_rows(database, other, row("create", person, changes={"role": "student"}, links=["x1"], new_links=["x1"]))
    primary = "select sourced_id from link where is_primary"
    assert every(database, primary) == [("u1",)], "joining moves nothing"
    came = row("update", person, changes={"primary_record": "x1"}, links=["x1"])
    stale = write_plan(database, other, [came])
    sync_rows(
        database, lincoln, row("update", person, changes={"primary_record": "u2"}, links=["u2"], new_links=["u2"])
    )
    builders.apply_plan(database, stale, who="night")
    assert every(database, primary) == [("u2",)]
    sync_rows(database, other, row("update", person, changes={"primary_record": "x1"}, links=["x1"]))
    assert every(database, primary) == [("x1",)]


def test_absences_are_counted_and_forgotten(database: Database, lincoln: SchoolRow, ada: int) -> None:
    sync_rows(database, lincoln, row("skip", ada, reason="grace", absent_syncs=1))
    assert one(database, "select absent_syncs from membership") == 1
    held = {("student", "archive"): [FIXED]}
    sync_rows(database, lincoln, row("skip", ada, reason="grace", absent_syncs=2), held=held)
    assert one(database, "select absent_syncs from membership") == 1
    sync_rows(database, lincoln, row("unchanged", ada, absent_syncs=0))
    assert one(database, "select absent_syncs from membership") == 0


def test_a_sync_is_applied_once_per_snapshot(database: Database, lincoln: SchoolRow) -> None:
    snapshot_id = snapshot_of(database, lincoln)
    first = sync_rows(database, lincoln, newcomer("u1"), snapshot_id=snapshot_id)
    again = sync_rows(database, lincoln, newcomer("u2"), snapshot_id=snapshot_id)
    assert (again.sync_id, again.already, again.counts) == (first.sync_id, True, first.counts)
    assert one(database, "select count(*) from person") == 1


def test_what_is_held_stays_and_the_rest_goes_on(database: Database, lincoln: SchoolRow, ada: int) -> None:
    rows = [newcomer("u2"), row("archive", ada)]
    plan_id = write_plan(database, lincoln, rows, held={("student", "archive"): [FINDING]})
    result = builders.apply_plan(database, plan_id, who="night")
    assert result.outcome == "held"
    assert result.counts == {"student": {"create": 1, "archive": 0, "held": 1}}
    assert result.held == {"student": {"archive": 1}}
    assert one(database, "select count(*) from membership where status = 'active'") == 2
    with database.begin() as conn:
        rows_now = plan_rows.page(conn, plans.get(conn, plan_id), plan_rows.RowFilter())
    assert {line["action"]: line["sync_id"] for line in rows_now} == {"create": result.sync_id, "archive": None}


def test_a_row_without_a_verdict_is_never_applied(database: Database, lincoln: SchoolRow) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1")], judged=False)
    with pytest.raises(VerdictMissing):
        builders.apply_plan(database, plan_id, who="night")
    assert one(database, "select count(*) from person") == 0


def test_a_person_the_sis_still_answers_for_is_not_archived(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"), newcomer("u2"))
    by_row, by_witness = (
        row("archive", person_of(database, sourced_id), links=[sourced_id], witness=witness)
        for sourced_id, witness in (("u1", "here"), ("u2", "gone"))
    )
    snapshot_id = snapshot_of(database, lincoln)
    database.call(plans.write_witnesses, snapshot_id, {"u2": "here"})
    result = sync_rows(database, lincoln, by_row, by_witness, snapshot_id=snapshot_id)
    assert result.held == {"student": {"archive": 2}}
    assert every(database, "select status from membership") == [("active",)] * 2


def test_somebody_entered_by_hand_is_not_archived_and_is_the_syncs_once_the_sis_knows_them(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    every(database, "update membership set managed = false returning 1")
    sync_rows(database, lincoln, row("archive", ada))
    assert every(database, "select status, managed from membership") == [("active", False)]
    sync_rows(database, lincoln, row("update", ada, links=["u1"]))
    assert every(database, "select status, managed from membership") == [("active", True)]


MOVED = {
    "person": "update person set phone = '+1', revision = revision + 1 returning 1",
    "membership": "update membership set grade = '1', revision = revision + 1 returning 1",
    "gone": "with gone as (delete from link), left_ as (delete from membership) select 1",
}


def test_a_plan_is_stale_when_what_it_touches_moved(database: Database, lincoln: SchoolRow, ada: int) -> None:
    for moved in MOVED.values():
        plan_id = write_plan(database, lincoln, [row("update", ada, changes={"grade": "05"})])
        every(database, moved)
        with pytest.raises(PlanStale, match="The directory changed"):
            builders.apply_plan(database, plan_id, who="night")


def test_a_create_is_stale_when_its_record_number_or_email_is_somebodys_meanwhile(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    sync_rows(database, roosevelt, newcomer("u2", changes={"number": "17", "email": "a@example.org"}))
    by_number = newcomer("u1", changes={"number": "17"})
    for late in (by_number, newcomer("u1", changes={"email": "A@example.org"}), newcomer("u2")):
        plan_id = write_plan(database, lincoln, [late], position=0)
        with pytest.raises(PlanStale, match="The directory changed"):
            builders.apply_plan(database, plan_id, who="night")
    sync_rows(database, lincoln, by_number)
    assert one(database, "select count(*) from person") == 2


def test_a_newer_plan_makes_the_older_one_stale_but_a_dry_run_does_not(database: Database, lincoln: SchoolRow) -> None:
    older = write_plan(database, lincoln, [newcomer("u1")])
    look = write_plan(database, lincoln, [newcomer("u1")], dry_run=True)
    with pytest.raises(PlanNotForApply):
        builders.apply_plan(database, look, who="night")
    write_plan(database, lincoln, [newcomer("u1")])
    with pytest.raises(PlanStale):
        builders.apply_plan(database, older, who="night")


def test_an_approval_without_approval_is_refused(database: Database, lincoln: SchoolRow) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1")], held={("student", "create"): [FINDING]})
    with pytest.raises(NotApproved):
        builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert approvals.LAPSES_AFTER.total_seconds() == 72 * 3600


def test_nothing_to_do_is_a_sync_that_says_so(database: Database, lincoln: SchoolRow) -> None:
    assert sync_rows(database, lincoln).outcome == "unchanged"
    sync_rows(database, lincoln, newcomer("u1"))
    result = sync_rows(database, lincoln, row("unchanged", person_of(database, "u1"), links=["u1"]))
    assert (result.outcome, result.counts) == ("unchanged", {"student": {"unchanged": 1}})


def test_what_is_done_also_is_done_in_the_same_transaction(database: Database, lincoln: SchoolRow) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1")])

    def break_off(*_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        builders.apply_plan(database, plan_id, who="night", also=break_off)
    assert one(database, "select count(*) from person") + one(database, "select count(*) from sync") == 0
