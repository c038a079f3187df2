"""Applying a plan: everything the stored verdict lets through, in one transaction, or nothing.

The verdict is data: it is read again here, under the district's lock, together with the plan and the approvals. Nobody
is archived without a stored `pass` (or an approval of a finding that a person may override), and nothing is written if
any row it touches has moved since the plan was made, or the roster's quality results are not those the verdict read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, text, update

from roster_pipeline.directory import apply_sql, approvals, plans, rosters
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.database_errors import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tables import approval, school, snapshot, sync, verdict
from roster_pipeline.vocabulary import CHANGING, approvable, needs_manager

MANY = 1000
"""Staged rows from which the planner must know how many there are, and from which it may not join row by row: on a
young table, without statistics, it would take a hundred thousand members for one."""

Counts = dict[str, dict[str, int]]
Judged = tuple[str, str, str]
"""Role, action, and the guard that judges the rows by itself, or nothing: what one line of the verdict is about."""


class PlanStale(DirectoryError):
    """The directory or the quality results moved since the plan was made, or a newer plan replaced it: plan again."""

    retryable = True


class PlanNotForApply(DirectoryError):
    """A dry run or a discarded plan is not applied."""


class VerdictMissing(DirectoryError):
    """The plan has rows nobody judged. What is not judged is held."""


class NotApproved(DirectoryError):
    """Held rows were to be applied without an approval that covers them."""


@dataclass(frozen=True)
class SyncResult:
    """One sync. counts: role to action to rows; the four changing actions count what was applied, `held` the rest.

    held: role to changing action to rows that were not applied. already: an earlier call did it.
    """

    sync_id: int
    outcome: str
    counts: Counts
    already: bool = False
    held: Counts = field(default_factory=dict)


def apply_plan(
    database: Database,
    plan_id: int,
    *,
    who: str,
    run_id: str | None = None,
    kind: str = "sync",
    now: datetime | None = None,
    also: Callable[[Connection, SyncResult], None] | None = None,
) -> SyncResult:
    """Apply a plan as far as its verdict and approvals allow.

    kind: "sync" applies once per school and snapshot; "approval" applies the held rows a person approved. `also` is
    called in the same transaction, after the changes. Raises PlanStale, VerdictMissing, PlanNotForApply, NotApproved.
    """
    with database.begin() as conn:
        return apply_within(conn, plan_id, who=who, run_id=run_id, kind=kind, now=now, also=also)


def apply_within(
    conn: Connection,
    plan_id: int,
    *,
    who: str,
    run_id: str | None = None,
    kind: str = "sync",
    now: datetime | None = None,
    also: Callable[[Connection, SyncResult], None] | None = None,
) -> SyncResult:
    """The same in the caller's transaction, which has to end when this raises."""
    lock_district(conn, plans.get(conn, plan_id).district_id)
    plan = plans.get(conn, plan_id)
    now = now or datetime.now(UTC)
    earlier = _earlier(conn, plan, kind, now)
    if earlier is not None:
        return earlier
    _refuse_unfit(conn, plan)
    if rosters.quality_digest(rosters.load_quality(conn, plan.snapshot_id)) != plan.quality:
        raise PlanStale(f"The quality of the roster was tested again since plan {plan.id} was made.", "Plan again.")
    passed, approval_id = _allowed(conn, plan, kind, now)
    given = _parameters(conn, plan, passed)
    sync_id = _open_sync(conn)
    _stage(conn, plan, given)
    changed = _change(conn, given)
    if changed:
        _introduce(conn)
    counts, held = _counted(conn, plan.id)
    outcome = "held" if held else "applied" if changed else "unchanged"
    result = SyncResult(sync_id, outcome, counts, held=held)
    _close_sync(conn, plan, result, kind, who, run_id)
    _stamp(conn, plan, passed, sync_id, approval_id)
    if also is not None:
        also(conn, result)
    return result


def _earlier(conn: Connection, plan: plans.PlanRow, kind: str, now: datetime) -> SyncResult | None:
    """The sync that already did this: of the snapshot, or of an approved plan whose approvals were all used."""
    if kind == "approval" and approvals.covering(conn, plan.school_id, plan.hash, now) is not None:
        return None
    query = select(sync).where(sync.c.school_id == plan.school_id, sync.c.kind == kind).order_by(sync.c.id.desc())
    if kind == "sync":
        query = query.where(sync.c.snapshot_id == plan.snapshot_id)
    else:
        used = select(approval.c.used_by).where(approval.c.plan_hash == plan.hash, approval.c.used_by.is_not(None))
        query = query.where(sync.c.plan_id == plan.id, sync.c.id.in_(used))
    row = conn.execute(query.limit(1)).first()
    return None if row is None else SyncResult(row.id, row.outcome, row.counts, already=True, held=row.held)


def _refuse_unfit(conn: Connection, plan: plans.PlanRow) -> None:
    if plan.dry_run or plan.state == "discarded":
        what = "is a dry run; it is only to look at" if plan.dry_run else "was discarded"
        key = conn.scalar(select(school.c.key).where(school.c.id == plan.school_id))
        raise PlanNotForApply(f"Plan {plan.id} {what}.", f"Run: roster sync {key}")
    if plan.state != "planned":
        raise PlanStale(f"Plan {plan.id} was replaced by a newer one.", "Run it again.")


def _allowed(conn: Connection, plan: plans.PlanRow, kind: str, now: datetime) -> tuple[list[Judged], int | None]:
    """The kinds of rows that may be applied, and the approval that let some of them through."""
    judged = conn.execute(select(verdict).where(verdict.c.plan_id == plan.id)).mappings().all()
    missing = text(
        "select count(*) from plan_row r where r.plan_id = :plan and r.action = any(:changing) "
        "and not exists (select from verdict v where v.plan_id = r.plan_id and v.role = r.role and v.action = r.action "
        "and v.guard = r.guard)"
    )
    if not judged or conn.scalar(missing, {"plan": plan.id, "changing": list(CHANGING)}):
        raise VerdictMissing(f"Plan {plan.id} has rows without a verdict, so they are held.", "Plan again.")
    approval_id, by_manager = approvals.covering(conn, plan.school_id, plan.hash, now) or (None, False)
    if kind == "approval" and approval_id is None:
        raise NotApproved(f"Nobody approved plan {plan.id}, or the approval lapsed.", "Approve it: roster hold approve")
    open_ = [row for row in judged if row["sync_id"] is None]
    passed = [row for row in open_ if row["verdict"] == "pass"]
    overridden = [row for row in open_ if approval_id is not None and _overridable(row, by_manager)]
    kinds = [(row["role"], row["action"], row["guard"]) for row in (*passed, *overridden)]
    return kinds, approval_id if any(row["rows"] for row in overridden) else None


def _overridable(row: RowMapping, by_manager: bool) -> bool:
    findings = row["findings"]
    return row["verdict"] == "hold" and approvable(findings) and (by_manager or not needs_manager(findings))


def _parameters(conn: Connection, plan: plans.PlanRow, passed: list[Judged]) -> dict[str, Any]:
    source = conn.execute(select(snapshot).where(snapshot.c.id == plan.snapshot_id)).mappings().one()
    return {
        "plan": plan.id,
        "district": plan.district_id,
        "school": plan.school_id,
        "connection": source["connection_id"],
        "snapshot": plan.snapshot_id,
        "position": plan.position,
        "version": source["proof"].get("version"),
        "masters": bool(source["counts"].get("masters")),
        **_columns(passed),
        "linking_roles": [role for role, action, _ in passed if action == "update"],
        "linking_guards": [guard for _, action, guard in passed if action == "update"],
        "archiving_roles": [role for role, action, guard in passed if action == "archive" and not guard],
    }


def _columns(passed: list[Judged]) -> dict[str, list[str]]:
    """Parallel arrays of what passed, for `unnest`."""
    return {name: [kind[place] for kind in passed] for place, name in enumerate(("roles", "actions", "guards"))}


def _open_sync(conn: Connection) -> int:
    """The sync's number, known to the triggers that write the change log."""
    sync_id = int(conn.execute(text("select nextval('sync_id_seq')")).scalar_one())
    conn.execute(text("select set_config('roster.sync_id', :sync, true)"), {"sync": str(sync_id)})
    return sync_id


def _stage(conn: Connection, plan: plans.PlanRow, given: dict[str, Any]) -> None:
    """Fill the temporary tables, tell the planner their sizes, and make sure that nothing moved."""
    conn.execute(text("set local jit = off; set local work_mem = '64MB'"))
    for table, statement in apply_sql.STAGES.items():
        if conn.execute(text(statement), given).rowcount > MANY:
            conn.execute(text(f"analyze {table} (person_id)"))
            conn.execute(text("set local enable_nestloop = off"))
    for check in (apply_sql.STALE_PEOPLE, apply_sql.STALE_LINKS, apply_sql.STALE_KEYS):
        if conn.scalar(text(check), given):
            raise PlanStale(f"The directory changed since plan {plan.id} was made.", "Plan again.")


def _change(conn: Connection, given: dict[str, Any]) -> int:
    """Run the statements that have work; how many rows they changed."""
    needed = {
        table: iter(conn.execute(text(f"select {conditions} from {table}")).one())  # noqa: S608 - our own constants
        for table, conditions in apply_sql.NEEDED.items()
    }
    return sum(
        conn.execute(text(statement), given).rowcount
        for statement, table, _ in apply_sql.CHANGES
        if next(needed[table])
    )


def _introduce(conn: Connection) -> None:
    """Tell the planner of tables that it has never seen: autovacuum would only in a minute, and until then a school of
    fifty thousand takes a minute for what takes a second."""
    for table in conn.scalars(text(apply_sql.UNKNOWN)).all():
        conn.execute(text(f"analyze {table}"))


def _counted(conn: Connection, plan_id: int) -> tuple[Counts, Counts]:
    """Rows by role and action: applied by now and, of the changing actions, not applied."""
    rows = conn.execute(
        text(
            "select r.role, r.action, r.guard, count(*) as rows, count(a.row) as applied from plan_row r "
            "left join applying a on a.row = r.row where r.plan_id = :plan group by r.role, r.action, r.guard"
        ),
        {"plan": plan_id},
    ).all()
    settled = set(
        conn.execute(
            select(verdict.c.role, verdict.c.action, verdict.c.guard).where(
                verdict.c.plan_id == plan_id, verdict.c.sync_id.is_not(None)
            )
        )
    )
    counts: Counts = {}
    held: Counts = {}
    for role, action, guard, planned, applied in rows:
        of_role = counts.setdefault(role, {})
        of_role[action] = of_role.get(action, 0) + (applied if action in CHANGING else planned)
        if action in CHANGING and planned > applied and (role, action, guard) not in settled:
            waiting = held.setdefault(role, {})
            waiting[action] = waiting.get(action, 0) + planned - applied
            of_role["held"] = of_role.get("held", 0) + planned - applied
    return counts, held


def _close_sync(
    conn: Connection, plan: plans.PlanRow, result: SyncResult, kind: str, who: str, run_id: str | None
) -> None:
    conn.execute(
        insert(sync).values(
            id=result.sync_id,
            district_id=plan.district_id,
            school_id=plan.school_id,
            kind=kind,
            plan_id=plan.id,
            snapshot_id=plan.snapshot_id,
            outcome=result.outcome,
            counts=result.counts,
            held=result.held,
            who=who,
            run_id=run_id,
        )
    )


def _stamp(conn: Connection, plan: plans.PlanRow, passed: list[Judged], sync_id: int, approval_id: int | None) -> None:
    if passed:
        stamped = text(
            "update verdict set sync_id = :sync where plan_id = :plan and (role, action, guard) in "
            "(select * from unnest(cast(:roles as text[]), cast(:actions as text[]), cast(:guards as text[])))"
        )
        conn.execute(stamped, {"sync": sync_id, "plan": plan.id, **_columns(passed)})
    if approval_id is not None:
        conn.execute(update(approval).where(approval.c.id == approval_id).values(used_by=sync_id))
