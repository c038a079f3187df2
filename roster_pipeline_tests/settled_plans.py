"""Compares plans without settled people, and plans that were taken over, with plans of everybody."""

from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory.database import Database
from roster_pipeline.planning.settled import OPEN
from roster_pipeline.sync import plan_and_apply, plan_input
from roster_pipeline.sync.plan_and_apply import Planned

PLANNED = """
select jsonb_build_array(
    (select jsonb_agg(to_jsonb(r) - 'plan_id' order by r.row) from plan_row r where plan_id = :plan),
    (select jsonb_agg(to_jsonb(one) order by role) from (
        select role, first_row, people from plan_unchanged where plan_id = :plan
    ) one),
    (select jsonb_agg(to_jsonb(one) order by role, action, guard) from (
        select role, action, guard, verdict, rows, findings from verdict where plan_id = :plan
    ) one),
    (select jsonb_build_array(hash, counts, first_sync, quality) from plan where id = :plan)
)
"""
TAKEN_OVER = -1
_plan, _read = plan_and_apply.plan_snapshot, plan_input.read


def plan_and_compare(monkeypatch: pytest.MonkeyPatch, every: int = 1) -> list[int]:
    """Compare each plan without settled people (or one of so many) with a plan of everybody. Returns a growing list:
    the number of settled records of each plan, or `TAKEN_OVER`."""
    settled: list[int] = []

    def read(*given: Any, **also: Any) -> plan_input.PlanInput | plan_input.TakenOver:
        found = _read(*given, **also)
        settled.append(TAKEN_OVER if isinstance(found, plan_input.TakenOver) else int((found.settled != OPEN).sum()))
        return found

    def plan(database: Database, *given: Any, **also: Any) -> Planned:
        planned = _plan(database, *given, **also)
        if len(settled) % every:
            return planned
        monkeypatch.setattr(plan_input, "read", plan_input.read_everybody)
        try:
            whole = _plan(database, *given, **also | {"dry_run": True})
        finally:
            monkeypatch.setattr(plan_input, "read", read)
        with database.begin() as conn:
            one, other = (conn.scalar(text(PLANNED), {"plan": each.plan_id}) for each in (planned, whole))
            conn.execute(text("delete from plan where id = :plan"), {"plan": whole.plan_id})
        assert one == other
        assert (planned.rows, planned.by_action, planned.held) == (whole.rows, whole.by_action, whole.held)
        return planned

    monkeypatch.setattr(plan_input, "read", read)
    monkeypatch.setattr(plan_and_apply, "plan_snapshot", plan)
    return settled
