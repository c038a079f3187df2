"""Applying plans: each kind of change, the gate before them, and refusals."""

from __future__ import annotations

import pytest

from roster_pipeline.directory import approvals, plan_rows, plans
from roster_pipeline.directory.apply import PlanNotForApply, PlanStale, apply_plan
from roster_pipeline.directory.apply_staging import NotApproved, VerdictMissing
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
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


def test_a_create_makes_person_links_membership_and_contact(database: Database, lincoln: SchoolRow) -> None:
    changes = {"number": "17", "email": "a@example.org", "enabled": False, "contact_email": "p@example.org"}
    both = newcomer("u1", changes=changes) | {"sourced_ids": ["u1", "u1b"], "new_links": ["u1", "u1b"]}
    result = sync_rows(database, lincoln, both)
    assert (result.outcome, result.counts) == ("applied", {"student": {"create": 1}})
    assert every(
        database,
        "select given_name, number, number_kind, number_connection_id, enabled, revision from person",
    ) == [("Ada", "17", "student", lincoln.connection.id, False, 1)]
    assert every(database, "select sourced_id, is_primary, version from link order by 1") == [
        ("u1", True, "1.2"),
        ("u1b", False, "1.2"),
    ]
    assert every(database, "select role, status, managed from membership") == [("student", "active", True)]
    assert every(database, "select email, phone from contact") == [("p@example.org", None)]


def test_a_create_for_a_known_person_makes_only_the_membership(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow, ada: int
) -> None:
    sync_rows(database, roosevelt, row("create", ada, changes={"role": "student"}, links=["u1"], new_links=[]))
    assert one(database, "select count(*) from person") == 1
    assert one(database, "select count(*) from membership where person_id = :p", p=ada) == 2


def test_an_update_writes_only_the_fields_it_names(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", changes={"email": "a@example.org", "grade": "05"}))
    person = person_of(database, "u1")
    sync_rows(database, lincoln, row("update", person, changes={"family_name": "King", "email": None, "grade": "06"}))
    assert every(database, "select given_name, family_name, email, revision from person") == [("Ada", "King", None, 2)]
    assert every(database, "select grade, role, revision from membership") == [("06", "student", 2)]


def test_a_number_keeps_its_kind_and_loses_it_with_the_number(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", changes={"number": "17"}))
    person = person_of(database, "u1")
    sync_rows(database, lincoln, row("update", person, changes={"number": "18"}, number_kind="staff"))
    assert every(database, "select number, number_kind from person") == [("18", "staff")]
    sync_rows(database, lincoln, row("update", person, changes={"number": None}))
    assert every(database, "select number_kind, number_connection_id from person") == [(None, None)]


def test_an_archival_keeps_the_data_and_a_restore_brings_the_same_row_back(
    database: Database, lincoln: SchoolRow, ada: int
) -> None:
    sync_rows(database, lincoln, row("archive", ada, reason="left", witness="gone"))
    assert every(database, "select status, archived_by, archived_at is not null from membership") == [
        ("archived", "sync", True)
    ]
    sync_rows(database, lincoln, row("restore", ada, changes={"grade": "07"}))
    assert every(database, "select person_id, status, archived_by, archived_at, grade from membership") == [
        (ada, "active", None, None, "07")
    ]


def test_a_contact_is_changed_in_part_and_goes_when_nothing_is_left(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", changes={"contact_email": "p@example.org", "contact_phone": "+1"}))
    person = person_of(database, "u1")
    sync_rows(database, lincoln, row("update", person, changes={"contact_email": "q@example.org"}))
    assert every(database, "select email, phone from contact") == [("q@example.org", "+1")]
    sync_rows(database, lincoln, row("update", person, changes={"contact_email": None, "contact_phone": None}))
    assert every(database, "select * from contact") == []


def test_an_unchanged_person_still_gets_a_new_link(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("old"))
    person = person_of(database, "old")
    sync_rows(database, lincoln, row("unchanged", person, links=["new"], new_links=["new"], matched_by="number"))
    assert every(database, "select sourced_id, is_primary from link order by 1") == [("new", False), ("old", True)]


def test_the_home_moves_where_the_plan_says_so_and_nowhere_else(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("old"))
    person = person_of(database, "old")
    sync_rows(database, lincoln, row("update", person, links=["new"], new_links=["new"], matched_by="number"))
    assert every(database, "select sourced_id, is_primary from link order by 1") == [("new", False), ("old", True)]
    sync_rows(database, lincoln, row("update", person, changes={"primary_record": "new"}, links=["new"]))
    assert every(database, "select sourced_id, is_primary from link order by 1") == [("new", True), ("old", False)]


def test_a_home_comes_from_another_connection_where_the_plan_says_so_unless_it_moved_meanwhile(
    database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    with database.begin() as conn:
        other = add_school(conn, "roosevelt", connection="other")
    person = person_of(database, "u1")
    joining = row("create", person, changes={"role": "student"}, links=["x1"], new_links=["x1"])
    sync_rows(database, other, joining)
    primary = "select sourced_id from link where is_primary"
    came = row("update", person, changes={"primary_record": "x1"}, links=["x1"])
    stale = write_plan(database, other, [came])
    sync_rows(
        database, lincoln, row("update", person, changes={"primary_record": "u2"}, links=["u2"], new_links=["u2"])
    )
    apply_plan(database, stale, who="night")
    assert every(database, primary) == [("u2",)]
    sync_rows(database, other, row("update", person, changes={"primary_record": "x1"}, links=["x1"]))
    assert every(database, primary) == [("x1",)]


def test_a_home_in_another_connection_is_left_alone(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    with database.begin() as conn:
        other = add_school(conn, "roosevelt", connection="other")
    person = person_of(database, "u1")
    joining = row("create", person, changes={"role": "student"}, links=["x1"], new_links=["x1"])
    sync_rows(database, other, joining)
    assert every(database, "select sourced_id, is_primary from link order by 1") == [("u1", True), ("x1", False)]


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
    result = apply_plan(database, plan_id, who="night")
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
        apply_plan(database, plan_id, who="night")
    assert one(database, "select count(*) from person") == 0


@pytest.mark.parametrize("where", ["row", "witness"])
def test_a_person_the_sis_still_answers_for_is_not_archived(
    database: Database, lincoln: SchoolRow, where: str, ada: int
) -> None:
    snapshot_id = snapshot_of(database, lincoln)
    if where == "witness":
        with database.begin() as conn:
            plans.write_witnesses(conn, snapshot_id, {"u1": "here"})
    leaving = row("archive", ada, links=["u1"], witness="here" if where == "row" else "gone")
    result = sync_rows(database, lincoln, leaving, snapshot_id=snapshot_id)
    assert result.held == {"student": {"archive": 1}}
    assert one(database, "select status from membership") == "active"


def test_a_membership_that_is_not_the_syncs_is_not_archived(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    every(database, "update membership set managed = false returning 1")
    sync_rows(database, lincoln, row("archive", person_of(database, "u1")))
    assert one(database, "select status from membership") == "active"


def test_somebody_entered_by_hand_is_the_syncs_once_the_sis_knows_them(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    every(database, "update membership set managed = false returning 1")
    sync_rows(database, lincoln, row("update", person_of(database, "u1"), links=["u1"]))
    assert one(database, "select managed from membership") is True


MOVED = {
    "person": "update person set phone = '+1', revision = revision + 1 returning 1",
    "membership": "update membership set grade = '1', revision = revision + 1 returning 1",
    "gone": "with gone as (delete from link), left_ as (delete from membership) select 1",
}


@pytest.mark.parametrize("moved", MOVED)
def test_a_plan_is_stale_when_what_it_touches_moved(database: Database, lincoln: SchoolRow, moved: str) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    plan_id = write_plan(database, lincoln, [row("update", person_of(database, "u1"), changes={"grade": "05"})])
    every(database, MOVED[moved])
    with pytest.raises(PlanStale):
        apply_plan(database, plan_id, who="night")


@pytest.mark.parametrize("changes", [{"number": "17"}, {"email": "A@example.org"}])
def test_a_create_is_stale_when_somebody_with_its_number_or_email_came_meanwhile(
    database: Database, lincoln: SchoolRow, changes: dict[str, str], roosevelt: SchoolRow
) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1", changes=changes)])
    sync_rows(database, roosevelt, newcomer("u2", changes={"number": "17", "email": "a@example.org"}))
    with pytest.raises(PlanStale):
        apply_plan(database, plan_id, who="night")
    sync_rows(database, lincoln, newcomer("u1", changes=changes))
    assert one(database, "select count(*) from person") == 2


def test_a_create_is_stale_when_its_record_was_linked_meanwhile(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1")])
    sync_rows(database, roosevelt, newcomer("u1"))
    with pytest.raises(PlanStale):
        apply_plan(database, plan_id, who="night")


def test_a_newer_plan_makes_the_older_one_stale_but_a_dry_run_does_not(database: Database, lincoln: SchoolRow) -> None:
    older = write_plan(database, lincoln, [newcomer("u1")])
    look = write_plan(database, lincoln, [newcomer("u1")], dry_run=True)
    with pytest.raises(PlanNotForApply):
        apply_plan(database, look, who="night")
    write_plan(database, lincoln, [newcomer("u1")])
    with pytest.raises(PlanStale):
        apply_plan(database, older, who="night")


def test_an_approval_without_approval_is_refused(database: Database, lincoln: SchoolRow) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1")], held={("student", "create"): [FINDING]})
    with pytest.raises(NotApproved):
        apply_plan(database, plan_id, who="owner", kind="approval")
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
        apply_plan(database, plan_id, who="night", also=break_off)
    assert one(database, "select count(*) from person") + one(database, "select count(*) from sync") == 0
