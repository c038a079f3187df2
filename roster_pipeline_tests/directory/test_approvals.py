"""Holds: approved with a reason, bound to the plan's hash, once, for 72 hours; or discarded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from roster_pipeline.directory import approvals, audit, lasting_decisions, plan_rows, plans
from roster_pipeline.directory.apply import PlanNotForApply
from roster_pipeline.directory.apply_staging import NotApproved
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.operations import erase
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

NOW = datetime.now(UTC)
FINDING = {"guard": "archivals", "message": "many", "value": 0.5, "limit": 0.1, "overridable": True}
FIXED = FINDING | {"guard": "incomplete", "overridable": False}
CREATES, ARCHIVES = ("student", "create"), ("student", "archive")


def _held_plan(database: Database, school: SchoolRow, **more: object) -> int:
    return write_plan(database, school, [newcomer("u1")], held={CREATES: [FINDING]}, **more)  # type: ignore[arg-type]


def _approve(database: Database, plan_id: int, at: datetime = NOW, **more: Any) -> int:
    return database.call(approvals.approve, plan_id, "owner", "they are new", at, **more)


def test_an_approval_lets_the_held_rows_of_its_school_through_once(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    plan_id = _held_plan(database, lincoln, hash_="same")
    (hold,) = database.call(approvals.held, school_id=lincoln.id)
    assert database.call(approvals.held, school_id=roosevelt.id) == []
    assert (hold.plan_id, hold.school, hold.role, hold.action, hold.rows) == (plan_id, "lincoln", *CREATES, 1)
    assert (hold.findings, hold.overridable) == ([FINDING], True)
    assert builders.apply_plan(database, plan_id, who="night").outcome == "held"
    approval_id = _approve(database, plan_id)
    assert builders.apply_plan(database, _held_plan(database, roosevelt, hash_="same"), who="night").outcome == "held"
    second = builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert (second.outcome, second.counts) == ("applied", {"student": {"create": 1}})
    again = builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert (again.sync_id, again.already) == (second.sync_id, True)
    assert one(database, "select used_by from approval where id = :id", id=approval_id) == second.sync_id
    assert database.call(approvals.held, school_id=lincoln.id) == []
    assert database.call(audit.search)[0].what == "hold approved"
    leaving = row("archive", person_of(database, "u1"))
    later = write_plan(database, lincoln, [leaving], held={ARCHIVES: [FINDING]}, hash_="same")
    assert builders.apply_plan(database, later, who="night").outcome == "held", "the approval was used"


def test_an_approval_covers_a_later_plan_with_the_same_hash_only(database: Database, lincoln: SchoolRow) -> None:
    _approve(database, _held_plan(database, lincoln, hash_="same"))
    changed = _held_plan(database, lincoln, hash_="another")
    assert builders.apply_plan(database, changed, who="night").outcome == "held"
    equal = _held_plan(database, lincoln, hash_="same")
    assert builders.apply_plan(database, equal, who="night").outcome == "applied"


def test_an_approval_lapses(database: Database, lincoln: SchoolRow, roosevelt: SchoolRow) -> None:
    for school, after, outcome in ((lincoln, 71, "applied"), (roosevelt, 73, "held")):
        plan_id = _held_plan(database, school, hash_=school.key)
        _approve(database, plan_id, NOW - timedelta(hours=after))
        assert builders.apply_plan(database, plan_id, who="night").outcome == outcome
    late = _held_plan(database, roosevelt)
    _approve(database, late, NOW - timedelta(hours=100))
    with pytest.raises(NotApproved):
        builders.apply_plan(database, late, who="owner", kind="approval")


def test_an_approval_lets_through_only_what_can_be_overridden(database: Database, lincoln: SchoolRow) -> None:
    (leaving,) = _leaving(database, lincoln, "u1")
    plan_id = write_plan(database, lincoln, [leaving], held={ARCHIVES: [FINDING, FIXED]})
    with pytest.raises(approvals.NotOverridable):
        _approve(database, plan_id)
    both = {ARCHIVES: [FIXED], CREATES: [FINDING]}
    plan_id = write_plan(database, lincoln, [leaving, newcomer("u2")], held=both)
    _approve(database, plan_id)
    result = builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert result.counts == {"student": {"archive": 0, "create": 1, "held": 1}}


def test_a_plan_that_changed_is_not_approved(database: Database, lincoln: SchoolRow) -> None:
    older = _held_plan(database, lincoln)
    newer = _held_plan(database, lincoln, hash_="new")
    with pytest.raises(approvals.PlanChanged):
        _approve(database, older)
    with pytest.raises(approvals.PlanChanged):
        _approve(database, newer, plan_hash="what the person looked at")
    with pytest.raises(approvals.NothingHeld):
        _approve(database, write_plan(database, lincoln, [newcomer("u1")]))


def test_a_discarded_plan_is_never_applied(database: Database, lincoln: SchoolRow) -> None:
    plan_id = _held_plan(database, lincoln, snapshot_id=snapshot_of(database, lincoln))
    database.call(approvals.discard, plan_id, "owner", "wrong file", NOW)
    assert database.call(approvals.held) == []
    assert database.call(audit.search)[0].what == "hold discarded"
    with pytest.raises(PlanNotForApply):
        builders.apply_plan(database, plan_id, who="night")


def _leaving(database: Database, school: SchoolRow, *names: str) -> list[dict[str, Any]]:
    sync_rows(database, school, *(newcomer(name, f"Given{name}") for name in names))
    return [row("archive", person_of(database, name), links=[name], reason="left") for name in names]


def test_one_kind_of_change_of_one_role_is_approved_and_the_rest_stays_held(
    database: Database, lincoln: SchoolRow
) -> None:
    rows = [*_leaving(database, lincoln, "old"), newcomer("u1")]
    plan_id = write_plan(database, lincoln, rows, held={CREATES: [FINDING], ARCHIVES: [FINDING]})
    builders.apply_plan(database, plan_id, who="night")
    with pytest.raises(approvals.NothingHeld):
        _approve(database, plan_id, parts=[("teacher", "create")])
    _approve(database, plan_id, parts=[CREATES])
    first = builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert (first.outcome, first.counts["student"]["create"], first.held) == ("held", 1, {"student": {"archive": 1}})
    assert [hold.part for hold in database.call(approvals.held)] == [ARCHIVES]
    assert database.call(audit.search)[0].details["parts"] == ["student create"]
    _approve(database, plan_id)
    assert builders.apply_plan(database, plan_id, who="owner", kind="approval").outcome == "applied"
    assert one(database, "select status from membership where person_id = :id", id=person_of(database, "old")) == (
        "archived"
    )


def test_an_exempted_row_is_never_applied_and_no_longer_waits(database: Database, lincoln: SchoolRow) -> None:
    rows = _leaving(database, lincoln, "a", "b", "c")
    plan_id = write_plan(database, lincoln, rows, held={ARCHIVES: [FINDING]})
    builders.apply_plan(database, plan_id, who="night")
    with database.begin() as conn:
        assert lasting_decisions.exempt(conn, plan_id, [0], "owner", "on a journey") == 1
        with pytest.raises(lasting_decisions.NothingExempted):
            lasting_decisions.exempt(conn, plan_id, [0, 99], "owner", "again")
        assert [hold.rows for hold in approvals.held(conn)] == [2]
        (known,) = lasting_decisions.exemptions_of_school(conn, lincoln.id)
        assert (known.action, known.who, known.reason, known.total) == ("archive", "owner", "on a journey", 1)
        found = lasting_decisions.load_exemptions(conn, lincoln.id).to_dict("records")
        assert [(line["action"], line["person_id"]) for line in found] == [("archive", person_of(database, "a"))]
        plan = plans.get(conn, plan_id)
        lines = plan_rows.page(conn, plan, plan_rows.RowFilter())
        assert [(line["exempted"], line["held"]) for line in lines] == [(True, False), (False, True), (False, True)]
        assert plan_rows.count(conn, plan, plan_rows.RowFilter(held=True)) == 2
    _approve(database, plan_id)
    done = builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert (done.outcome, done.held, done.counts["student"]) == ("applied", {}, {"archive": 2, "skip": 1})
    assert one(database, "select status from membership where person_id = :id", id=person_of(database, "a")) == "active"
    with database.begin() as conn:
        lines = plan_rows.page(conn, plan, plan_rows.RowFilter())
        assert [line["sync_id"] for line in lines] == [None, done.sync_id, done.sync_id]
        actions = sync_summary(conn, done.sync_id).actions
        assert ("skip", "exempted", 1) in [(line["action"], line["reason"], line["rows"]) for line in actions]
        assert lasting_decisions.take_back_exemptions(conn, lincoln, None, "owner", "left after all") == 1
        assert lasting_decisions.exemptions_of_school(conn, lincoln.id) == []


def test_an_exempted_update_does_not_hand_a_membership_to_the_sync(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("a"), newcomer("b"))
    every(database, "update membership set managed = false returning 1")
    rows = [row("update", person_of(database, record), links=[record]) for record in "ab"]
    plan_id = write_plan(database, lincoln, rows, held={("student", "update"): [FINDING]})
    builders.apply_plan(database, plan_id, who="night")
    assert database.call(lasting_decisions.exempt, plan_id, [0], "owner", "on a journey") == 1
    _approve(database, plan_id)
    builders.apply_plan(database, plan_id, who="owner", kind="approval")
    assert every(database, "select managed from membership order by person_id") == [(False,), (True,)]


def test_only_rows_that_wait_can_be_exempted_and_who_is_erased_leaves_no_exemption(
    database: Database, lincoln: SchoolRow
) -> None:
    rows = [*_leaving(database, lincoln, "a"), newcomer("u1")]
    plan_id = write_plan(database, lincoln, rows, held={ARCHIVES: [FINDING]})
    builders.apply_plan(database, plan_id, who="night")
    with database.begin() as conn, pytest.raises(lasting_decisions.NothingExempted):
        lasting_decisions.exempt(conn, plan_id, [1], "owner", "applied already")
    with database.begin() as conn, pytest.raises(approvals.PlanChanged):
        lasting_decisions.exempt(conn, plan_id, [0], "owner", "why", plan_hash="of another plan")
    rows[1] = newcomer("u2")
    plan_id = write_plan(database, lincoln, rows, held={ARCHIVES: [FINDING], CREATES: [FINDING]})
    with database.begin() as conn:
        lasting_decisions.exempt(conn, plan_id, [0, 1], "owner", "why")
        erase(conn, lincoln.district_id, person_of(database, "a"), who="operator", reason="asked for it")
        assert [known.sourced_ids for known in lasting_decisions.exemptions_of_school(conn, lincoln.id)] == [["u2"]]
