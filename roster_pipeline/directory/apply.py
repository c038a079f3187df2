"""Applying a plan: everything the stored verdict lets through, in one transaction, or nothing.

The verdict is data. It is read again here, under the district's lock, together with the plan and the approvals. Nobody
is archived without a stored `pass`, or an approval of a finding that a person may override. Nothing is written if a row
of the plan has changed since the plan was made, or if the roster's quality results have changed since the verdict.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, or_, select, text

from roster_pipeline.directory import apply_sql, apply_staging, approvals, link_records, plans, rosters
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district_of
from roster_pipeline.directory.tables import approval, school, sync
from roster_pipeline.vocabulary import CHANGING

MANY = 1000
"""If more rows than this are staged, the planner must know how many there are, and it may not join row by row. On a
young table, without statistics, it would expect one member instead of a hundred thousand."""

CLOSE = """
with stamped as (
    update verdict set sync_id = :sync where plan_id = :plan and (role, action, guard) in (
        select * from unnest(cast(:roles as text[]), cast(:actions as text[]), cast(:guards as text[])))
), used as (
    update approval set used_by = :sync where id = :approval
)
insert into sync (id, district_id, school_id, kind, plan_id, snapshot_id, outcome, counts, held, who, run_id)
values (:sync, :district, :school, :kind, :plan, :snapshot, :outcome, cast(:counts as jsonb), cast(:held as jsonb),
        :who, :run)
"""
"""Writes the sync, and its number into the approval and the verdict lines that it used."""

Counts = dict[str, dict[str, int]]


class PlanStale(DirectoryError):
    """Directory, settings, quality results or the newest data changed since the plan was made: plan again."""

    retryable = True


class PlanNotForApply(DirectoryError):
    """The plan is a dry run, was discarded, or is of old data, so it is not applied."""


@dataclass(frozen=True)
class SyncResult:
    """One sync. counts: role to action to rows; the four changing actions count the rows that were applied, and `held`
    counts the rest. held: role to changing action to rows that were not applied. already: an earlier call made this
    sync."""

    sync_id: int
    outcome: str
    counts: Counts
    already: bool = False
    held: Counts = field(default_factory=dict)

    def total(self, action: str) -> int:
        """The rows of all roles."""
        return sum(of.get(action, 0) for of in self.counts.values())

    @property
    def by_action(self) -> dict[str, int]:
        """The rows of all roles, by changing action and `held`."""
        return {action: self.total(action) for action in (*CHANGING, "held")}

    @property
    def waiting(self) -> int:
        """How many rows were not applied."""
        return sum(rows for of in self.held.values() for rows in of.values())

    @property
    def changed(self) -> int:
        """How many rows were applied."""
        return sum(self.by_action[action] for action in CHANGING)


def apply_plan(
    conn: Connection,
    plan_id: int,
    *,
    who: str,
    run_id: str | None = None,
    kind: str = "sync",
    now: datetime | None = None,
) -> SyncResult:
    """Apply a plan as far as its verdict and approvals allow. kind: "sync" applies once per school and snapshot;
    "approval" applies the held rows a person approved. If this raises, the caller has to roll the transaction back.
    Raises PlanStale, VerdictMissing, PlanNotForApply, NotApproved."""
    lock_district_of(conn, plan_id)
    plan = plans.get(conn, plan_id)
    now = now or datetime.now(UTC)
    earlier = _earlier(conn, plan, kind, now)
    if earlier is not None:
        return earlier
    _refuse_unfit(conn, plan)
    if rosters.quality_digest(rosters.load_quality(conn, plan.snapshot_id)) != plan.quality:
        raise PlanStale(f"The quality of the roster was tested again since plan {plan.id} was made.", "Plan again.")
    if plans.of_other_settings(conn, plan):
        raise PlanStale(f"Settings were changed since plan {plan.id} was made.", "Plan again.")
    judged = apply_staging.judged_rows(conn, plan, now)
    if judged[0]["overtaken"]:
        raise PlanStale(f"Newer data of the school were applied since plan {plan.id} was made.", "Plan again.")
    if kind == "sync" and now - judged[0]["taken_at"] > approvals.LAPSES_AFTER:
        raise PlanNotForApply(
            f"Plan {plan.id} is of data that are older than {approvals.LAPSES_AFTER // timedelta(hours=1)} hours.",
            "Run the whole sync of the school, which fetches today's.",
        )
    passed, approval_id = apply_staging.allowed(judged, plan, kind)
    sync_id = _open_sync(conn)
    given = _parameters(plan, judged[0], passed) | {"sync": sync_id}
    changed = _change(conn, _stage(conn, plan, given), given)
    if changed and plan.first_sync:
        # Autovacuum analyses new tables a minute later. Until then, a school of fifty thousand would take a minute.
        for table in conn.scalars(text(apply_sql.UNKNOWN)).all():
            conn.execute(text(f"analyze {table}"))
    counts, held = _counted(conn, plan.id)
    outcome = "held" if held else "applied" if changed else "unchanged"
    given |= {"kind": kind, "outcome": outcome, "who": who, "run": run_id, "approval": approval_id}
    given |= {"counts": orjson.dumps(counts).decode(), "held": orjson.dumps(held).decode()}
    conn.execute(text(CLOSE), given)
    return SyncResult(sync_id, outcome, counts, held=held)


def _earlier(conn: Connection, plan: plans.PlanRow, kind: str, now: datetime) -> SyncResult | None:
    """The sync that already did this: of the snapshot, of newer data, or of an approved plan with used approvals."""
    if kind == "approval" and approvals.is_approved(conn, plan, now):
        return None
    query = select(sync).where(sync.c.school_id == plan.school_id, sync.c.kind == kind).order_by(sync.c.id.desc())
    if kind == "sync":
        newer = plans.of_data_after(plan.snapshot_id)
        query = query.where(or_(sync.c.snapshot_id == plan.snapshot_id, sync.c.id.in_(newer)))
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


def _parameters(plan: plans.PlanRow, source: RowMapping, passed: list[apply_staging.Judged]) -> dict[str, Any]:
    return {
        "plan": plan.id,
        "district": plan.district_id,
        "school": plan.school_id,
        "connection": source["connection_id"],
        "snapshot": plan.snapshot_id,
        "position": plan.position,
        "version": source["version"],
        "masters": source["masters"],
        **apply_staging.columns_of(passed),
        "linking_roles": [role for role, action, _ in passed if action == "update"],
        "linking_guards": [guard for _, action, guard in passed if action == "update"],
        "archiving_roles": [role for role, action, guard in passed if action == "archive" and not guard],
    }


def _open_sync(conn: Connection) -> int:
    """Open the sync and return its number, which the triggers of the change log need. A tenth of the usual sample is
    enough for PostgreSQL's planner to know a table's size; autovacuum analyses it later."""
    opened = (
        "select set_config('roster.sync_id', nextval('sync_id_seq')::text, true), set_config('jit', 'off', true), "
        "set_config('work_mem', '64MB', true), set_config('default_statistics_target', '10', true)"
    )
    return int(conn.execute(text(opened)).one()[0])


def _stage(conn: Connection, plan: plans.PlanRow, given: dict[str, Any]) -> list[str]:
    """Fill the temporary tables that have rows, and make sure that no row has changed since. Returns them."""
    _fill(conn, "applying", given)
    waiting = conn.execute(text(apply_staging.WAITING), given).mappings().one()
    others = [table for table, any_row in waiting.items() if any_row]
    for table in others:
        _fill(conn, table, given)
    staged = ["applying", *others]
    if conn.scalar(text(apply_staging.stale(staged)), given):
        raise PlanStale(f"The directory changed since plan {plan.id} was made.", "Plan again.")
    return staged


def _fill(conn: Connection, table: str, given: dict[str, Any]) -> None:
    if conn.execute(text(apply_staging.staging(table)), given).rowcount > MANY:
        conn.execute(text(f"analyze {table} (person_id)"))
        conn.execute(text("set local enable_nestloop = off"))


def _change(conn: Connection, staged: list[str], given: dict[str, Any]) -> int:
    """Run the statements that have work, and return how many rows of the directory they changed."""
    *needed, others = conn.execute(text(apply_sql.needed(staged)), given).one()
    changed = sum(
        conn.execute(text(statement), given).rowcount
        for (statement, _, _), work in zip(apply_sql.CHANGES, needed, strict=True)
        if work
    )
    if others:
        conn.execute(text(link_records.REMEMBER), given)
    return changed


def _counted(conn: Connection, plan_id: int) -> tuple[Counts, Counts]:
    """Rows by role and action; of changing actions also how many are applied by now and how many are not."""
    rows = conn.execute(
        text(
            "select r.role, r.action, count(*) filter (where not r.exempted) as rows, "
            "count(*) filter (where r.exempted) as exempted, count(a.row) as applied, "
            "count(v.sync_id) > 0 as settled from plan_row r left join applying a on a.row = r.row "
            "left join verdict v on (v.plan_id, v.role, v.action, v.guard) = (r.plan_id, r.role, r.action, r.guard) "
            "where r.plan_id = :plan group by r.role, r.action, r.guard "
            "union all select role, 'unchanged', cardinality(array_remove(people, null)), 0, 0, false "
            "from plan_unchanged where plan_id = :plan"
        ),
        {"plan": plan_id},
    )
    counts: Counts = {}
    held: Counts = {}
    for role, action, planned, exempted, applied, settled in rows:
        of_role = counts.setdefault(role, {})
        if exempted:
            of_role["skip"] = of_role.get("skip", 0) + exempted
        of_role[action] = of_role.get(action, 0) + (applied if action in CHANGING else planned)
        if action in CHANGING and planned > applied and not settled:
            waiting = held.setdefault(role, {})
            waiting[action] = waiting.get(action, 0) + planned - applied
            of_role["held"] = of_role.get("held", 0) + planned - applied
    return counts, held
