"""What the stored verdict of a plan lets through, alone or with an approval."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from roster_pipeline.directory import approvals, plans
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.vocabulary import CHANGING, approvable, needs_manager

JUDGED = f"""
select v.role, v.action, v.guard, v.verdict, v.rows, v.findings, v.sync_id,
       s.connection_id, s.proof ->> 'version' as version, coalesce(s.counts ->> 'masters', '0') <> '0' as masters,
       a.id as approval_id, a.by_manager, a.parts,
       exists (select from plan_row r where r.plan_id = :plan and r.action = any(:changing) and not exists (
           select from verdict w
           where w.plan_id = r.plan_id and w.role = r.role and w.action = r.action and w.guard = r.guard)) as missing
from verdict v
join plan p on p.id = v.plan_id
join snapshot s on s.id = p.snapshot_id
left join lateral ({approvals.COVERING}) a on true
where v.plan_id = :plan
"""  # noqa: S608 - our own query
"""The verdict of a plan, line by line. Each line also says whether some rows of the plan have no verdict, which
approval covers the plan, and what the snapshot of the plan says of its source."""
Judged = tuple[str, str, str]
"""The key of one line of the verdict: a role, an action, and the guard that judges these rows alone (or none)."""


class VerdictMissing(DirectoryError):
    """The plan has rows that nobody judged. Such rows are held."""


class NotApproved(DirectoryError):
    """Somebody tried to apply held rows without an approval that covers them."""


def judged_rows(conn: Connection, plan: plans.PlanRow, now: datetime) -> list[RowMapping]:
    """`JUDGED` of a plan in which every row has a verdict. Raises VerdictMissing."""
    given = {"plan": plan.id, "changing": list(CHANGING), "school": plan.school_id, "hash": plan.hash, "now": now}
    judged = list(conn.execute(text(JUDGED), given).mappings())
    if not judged or judged[0]["missing"]:
        raise VerdictMissing(f"Plan {plan.id} has rows without a verdict, so they are held.", "Plan again.")
    return judged


def allowed(judged: list[RowMapping], plan: plans.PlanRow, kind: str) -> tuple[list[Judged], int | None]:
    """The kinds of rows that may be applied, and the approval that let some of them through."""
    approved = approvals.approved_of(judged[0])
    if kind == "approval" and approved is None:
        raise NotApproved(f"Nobody approved plan {plan.id}, or the approval lapsed.", "Approve it: roster hold approve")
    open_ = [row for row in judged if row["sync_id"] is None]
    passed = [row for row in open_ if row["verdict"] == "pass"]
    overridden = [row for row in open_ if approved is not None and _lets_through(approved, row)]
    kinds = [(row["role"], row["action"], row["guard"]) for row in (*passed, *overridden)]
    return kinds, approved.id if approved is not None and any(row["rows"] for row in overridden) else None


def _lets_through(approved: approvals.Approved, row: RowMapping) -> bool:
    findings = row["findings"]
    may = approvable(findings) and (approved.by_manager or not needs_manager(findings))
    return row["verdict"] == "hold" and may and approved.covers(row["role"], row["action"])


def columns_of(passed: list[Judged]) -> dict[str, list[str]]:
    """The kinds of rows that passed, as parallel arrays for `unnest`."""
    return {name: [kind[place] for kind in passed] for place, name in enumerate(("roles", "actions", "guards"))}
