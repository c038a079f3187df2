"""Apply: makes the changes that the stored verdict allows.

If the directory has changed meanwhile, it plans again first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import plans, rosters, school_history, tenants
from roster_pipeline.directory.apply import PlanStale, SyncResult, apply_plan
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import latest_plan, sync_summary
from roster_pipeline.sync.error_messages import SyncError
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.outbox_sender import put_report
from roster_pipeline.sync.plan_changes import plan_snapshot
from roster_pipeline.vocabulary import CHANGING

MOST_TRIES = 5
"""Each try plans against the directory of that moment. If more tries were needed, something else would write without
pause."""


@dataclass(frozen=True)
class Applied:
    """One sync as numbers."""

    sync_id: int
    outcome: str
    changed: int
    by_action: Mapping[str, int]


def apply_latest(database: Database, school_key: str, *, run_id: str | None, who: str) -> Applied:
    """Apply the newest plan of a school, once per snapshot, and put its report into the outbox."""
    with database.begin() as connection:
        plan_id = latest_plan(connection, school_key, run_id)
        if plan_id is None:
            tenants.get_school(connection, school_key)
            raise SyncError(school_key, "there is no plan to apply", f"Run: roster sync {school_key}")
    result = _apply_or_replan(database, school_key, plan_id, run_id, who)
    return _numbers(result)


def _apply_or_replan(database: Database, school_key: str, plan_id: int, run_id: str | None, who: str) -> SyncResult:
    for _ in range(MOST_TRIES):
        try:
            return apply_plan(database, plan_id, who=who, run_id=run_id, kind="sync", also=finish)
        except PlanStale:
            with database.begin() as connection:
                school = tenants.get_school(connection, school_key)
                snapshot_id = plans.snapshot_of(connection, plan_id)
            plan_id = plan_snapshot(database, school, snapshot_id, run_id=run_id).plan_id
    raise SyncError(
        school_key, "the directory kept changing while the plan was applied", "Run it again.", retryable=True
    )


def finish(connection: Connection, result: SyncResult) -> None:
    """Do what belongs to every sync, in its transaction: remove the contacts that nobody wants any more, then call
    `conclude`."""
    rosters.drop_unwanted(connection, result.sync_id)
    conclude(connection, result)


def conclude(connection: Connection, result: SyncResult) -> None:
    """Write the report of a sync of any kind, count it in its week, and settle the alerts that it answers or opens."""
    summary = sync_summary(connection, result.sync_id)
    put_report(connection, summary)
    school_history.note(connection, result.sync_id)
    settle(connection, summary.school_id, datetime.now(UTC))


def _numbers(result: SyncResult) -> Applied:
    by_action = {
        action: sum(counts.get(action, 0) for counts in result.counts.values()) for action in (*CHANGING, "held")
    }
    return Applied(
        sync_id=result.sync_id,
        outcome=result.outcome,
        changed=sum(by_action[action] for action in CHANGING),
        by_action=by_action,
    )
