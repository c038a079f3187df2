"""Holds: approved with a reason, bound to the plan's hash, once, for 72 hours; or discarded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from roster_pipeline.directory import approvals, audit
from roster_pipeline.directory.apply import NotApproved, PlanNotForApply, apply_plan
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory.builders import newcomer, one, person_of, row, snapshot_of, sync_rows, write_plan

NOW = datetime.now(UTC)
FINDING = {"guard": "archivals", "message": "many", "value": 0.5, "limit": 0.1, "overridable": True}
FIXED = FINDING | {"guard": "incomplete", "overridable": False}
CREATES = ("student", "create")


def _held_plan(database: Database, school: SchoolRow, **more: object) -> int:
    return write_plan(database, school, [newcomer("u1")], held={CREATES: [FINDING]}, **more)  # type: ignore[arg-type]


def _approve(database: Database, plan_id: int, at: datetime = NOW, **more: str) -> int:
    with database.begin() as conn:
        return approvals.approve(conn, plan_id, "owner", "they are new", at, **more)


def test_what_is_held_is_listed_with_its_reasons(database: Database, lincoln: SchoolRow) -> None:
    plan_id = _held_plan(database, lincoln)
    with database.begin() as conn:
        (hold,) = approvals.held(conn, district_id=lincoln.district_id)
        assert approvals.held(conn, school_id=lincoln.id + 1) == []
    assert (hold.plan_id, hold.school, hold.role, hold.action, hold.rows) == (plan_id, "lincoln", *CREATES, 1)
    assert hold.findings == [FINDING]
    assert hold.overridable


def test_an_approval_lets_the_held_rows_through_once(database: Database, lincoln: SchoolRow) -> None:
    plan_id = _held_plan(database, lincoln)
    first = apply_plan(database, plan_id, who="night")
    assert first.outcome == "held"
    approval_id = _approve(database, plan_id)
    second = apply_plan(database, plan_id, who="owner", kind="approval")
    assert (second.outcome, second.counts) == ("applied", {"student": {"create": 1}})
    again = apply_plan(database, plan_id, who="owner", kind="approval")
    assert (again.sync_id, again.already) == (second.sync_id, True)
    assert one(database, "select used_by from approval where id = :id", id=approval_id) == second.sync_id
    with database.begin() as conn:
        assert approvals.held(conn) == []
        assert audit.entries(conn)[0].what == "hold approved"


def test_an_approval_covers_a_later_plan_with_the_same_hash_only(database: Database, lincoln: SchoolRow) -> None:
    _approve(database, _held_plan(database, lincoln, hash_="same"))
    changed = _held_plan(database, lincoln, hash_="another")
    assert apply_plan(database, changed, who="night").outcome == "held"
    equal = _held_plan(database, lincoln, hash_="same")
    assert apply_plan(database, equal, who="night").outcome == "applied"


def test_an_approval_of_another_school_covers_nothing(
    database: Database, lincoln: SchoolRow, roosevelt: SchoolRow
) -> None:
    _approve(database, _held_plan(database, lincoln, hash_="same"))
    assert apply_plan(database, _held_plan(database, roosevelt, hash_="same"), who="night").outcome == "held"


def test_an_approval_that_was_used_serves_no_second_sync(database: Database, lincoln: SchoolRow) -> None:
    plan_id = _held_plan(database, lincoln, hash_="same")
    _approve(database, plan_id)
    apply_plan(database, plan_id, who="night")
    held = {("student", "archive"): [FINDING]}
    again = write_plan(database, lincoln, [row("archive", person_of(database, "u1"))], held=held, hash_="same")
    assert apply_plan(database, again, who="night").outcome == "held"


@pytest.mark.parametrize(("after", "outcome"), [(71, "applied"), (73, "held")])
def test_an_approval_lapses(database: Database, lincoln: SchoolRow, after: int, outcome: str) -> None:
    plan_id = _held_plan(database, lincoln)
    _approve(database, plan_id)
    assert apply_plan(database, plan_id, who="night", now=NOW + timedelta(hours=after)).outcome == outcome


def test_a_lapsed_approval_applies_nothing(database: Database, lincoln: SchoolRow) -> None:
    plan_id = _held_plan(database, lincoln)
    _approve(database, plan_id, NOW - timedelta(hours=100))
    with pytest.raises(NotApproved):
        apply_plan(database, plan_id, who="owner", kind="approval")


def test_what_cannot_be_overridden_stays_held(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    leaving = row("archive", person_of(database, "u1"))
    plan_id = write_plan(database, lincoln, [leaving], held={("student", "archive"): [FINDING, FIXED]})
    with pytest.raises(approvals.NotOverridable):
        _approve(database, plan_id)


def test_an_approval_lets_through_only_what_can_be_overridden(database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    rows = [row("archive", person_of(database, "u1")), newcomer("u2")]
    plan_id = write_plan(database, lincoln, rows, held={("student", "archive"): [FIXED], CREATES: [FINDING]})
    _approve(database, plan_id)
    result = apply_plan(database, plan_id, who="owner", kind="approval")
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
    with database.begin() as conn:
        approvals.discard(conn, plan_id, "owner", "wrong file", NOW)
        assert approvals.held(conn) == []
        assert audit.entries(conn)[0].what == "hold discarded"
    with pytest.raises(PlanNotForApply):
        apply_plan(database, plan_id, who="night")
