"""What people decide about what is held, and about a sync that was wrong: each in one transaction, with a reason.

A decision is bound to the plan that the person looked at: by its number, its school and, where it is given, its hash.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from roster_pipeline.directory import approvals, ledger, plans, rollback, tenants, unreported_decisions
from roster_pipeline.directory import relink as relinking
from roster_pipeline.directory.apply import PlanStale, SyncResult, apply_within
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.database_errors import DirectoryError
from roster_pipeline.sync.apply_changes import conclude, finish
from roster_pipeline.sync.error_messages import SyncError
from roster_pipeline.sync.monitoring import settle

LONGEST_REASON = 500
"""Letters of a reason: a sentence or two."""


class NotOfSchool(DirectoryError):
    """The plan or sync exists, in another school."""


class NoReason(DirectoryError):
    """Decisions need a reason."""

    def __init__(self) -> None:
        super().__init__("A decision needs a reason.", "Say why; it is kept in the audit.")


def given_reason(reason: str) -> str:
    """The reason, if there is one. Raises NoReason for an empty one."""
    if not reason.strip():
        raise NoReason
    return reason.strip()


def plan_of_school(conn: Connection, key: str, plan_id: int) -> plans.PlanRow:
    """A plan, if it is one of this school. Raises UnknownPlan, UnknownKey, NotOfSchool."""
    found = plans.get(conn, plan_id)
    if found.school_id != tenants.get_school(conn, key).id:
        raise NotOfSchool(f"Plan {plan_id} is not one of {key}.", f"See what is held: roster hold list {key}")
    return found


def approve(
    database: Database,
    key: str,
    plan_id: int,
    *,
    who: str,
    reason: str,
    plan_hash: str | None = None,
    manager: bool = False,
) -> SyncResult:
    """Approve what is held of a plan and apply it, or neither: a plan that moved meanwhile is refused.

    manager: whether they may decide what only the district's manager may; without it, that stays held. Raises
    PlanChanged, NothingHeld, NotOverridable, ManagerDecides, NotOfSchool, NoReason, SyncError where people moved.
    """
    now = datetime.now(UTC)
    why = given_reason(reason)
    try:
        with database.begin() as conn:
            school_id = plan_of_school(conn, key, plan_id).school_id
            approvals.approve(conn, plan_id, who, why, now, plan_hash=plan_hash, manager=manager)
            result = apply_within(conn, plan_id, who=who, kind="approval", now=now, also=finish)
            unreported_decisions.put(conn, school_id, "approval", who, sync_id=result.sync_id, plan_id=plan_id)
            return result
    except PlanStale:
        raise _moved(key) from None


def discard(database: Database, key: str, plan_id: int, *, who: str, reason: str, plan_hash: str | None = None) -> None:
    """Drop a plan: nothing of what is held is applied. Raises PlanChanged, NothingHeld, NotOfSchool, NoReason."""
    why = given_reason(reason)
    with database.begin() as conn:
        school_id = plan_of_school(conn, key, plan_id).school_id
        now = datetime.now(UTC)
        approvals.discard(conn, plan_id, who, why, now, plan_hash=plan_hash)
        settle(conn, school_id, now)
        unreported_decisions.put(conn, school_id, "discard", who, plan_id=plan_id)


def relink(
    database: Database, key: str, plan_id: int, *, who: str, reason: str, plan_hash: str | None = None
) -> SyncResult:
    """Give the people of a held plan their new ids, and nothing else. Raises as `approve`."""
    why = given_reason(reason)
    with database.begin() as conn:
        school_id = plan_of_school(conn, key, plan_id).school_id

    def report(conn: Connection, result: SyncResult) -> None:
        conclude(conn, result)
        unreported_decisions.put(conn, school_id, "relink", who, sync_id=result.sync_id, plan_id=plan_id)

    try:
        return relinking.relink(database, plan_id, who=who, reason=why, plan_hash=plan_hash, also=report)
    except PlanStale:
        raise _moved(key) from None


def roll_back(
    database: Database, sync_id: int, *, who: str, reason: str, only: rollback.Only | None = None
) -> SyncResult:
    """Undo a sync, or only its archivals, and report it. Raises AlreadyUndone, NothingToUndo, UnknownSync, NoReason."""

    def report(conn: Connection, result: SyncResult) -> None:
        conclude(conn, result)
        school_id = ledger.get_sync(conn, result.sync_id).school_id
        unreported_decisions.put(conn, school_id, "rollback", who, sync_id=result.sync_id)

    return rollback.roll_back(database, sync_id, who=who, reason=given_reason(reason), only=only, also=report)


def _moved(key: str) -> SyncError:
    return SyncError(
        key,
        "people of this plan were changed since it was made, or its roster was tested again, so it was not applied",
        f"Run: roster sync {key}, look at the new plan and approve that",
    )
