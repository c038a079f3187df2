"""Decisions of people that Dagster's history does not show yet.

A row is written with the decision, and dropped once it is reported.

A run shows what it changed. An approval, a relink, a rollback or a change of one membership has no run, so the sensor
`report_decisions` reports it. The decision neither waits for Dagster's database nor fails with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select

from roster_pipeline.directory import accounts
from roster_pipeline.directory.accounts import MANAGER, OPERATOR, OWNER
from roster_pipeline.directory.tables import plan, school, sync, unreported_decision, verdict
from roster_pipeline.vocabulary import CHANGING

Kind = Literal["approval", "discard", "relink", "rollback", "one person", "upload", "archival", "restore", "addition"]

COMMAND_LINE = "command line"
COUNTED = (*CHANGING, "link", "moved")
"""The keys of a sync's counts that are about changes. The other keys count rows that stay as they are."""
IN_PLACE_OF_A_SYNC: Mapping[str, str] = {"archival": "archive", "restore": "restore", "addition": "create"}
"""For decisions about one membership, which are not syncs: what they did to the membership."""


@dataclass(frozen=True)
class Decision:
    """One decision, without the person who made it and without the people whom it concerns.

    by: operator, manager, owner, or the command line. counts: action to the number of rows that it changed; empty if it
    changed none. verdict: what the school's plan now says, line by line, without the settled lines. None if the
    decision was not about a plan, or about a plan that a newer plan has replaced since.
    """

    id: int
    school: str
    kind: str
    by: str
    at: datetime
    sync_id: int | None
    plan_id: int | None
    counts: Mapping[str, int]
    verdict: list[dict[str, Any]] | None


def put(
    conn: Connection, school_id: int, kind: Kind, who: str, *, sync_id: int | None = None, plan_id: int | None = None
) -> None:
    """Note a decision, in its transaction.

    Only the role of `who` is kept, because every user of Dagster can read this note.
    """
    row = insert(unreported_decision).values(school_id=school_id, kind=kind, decided_by=_role(conn, school_id, who))
    conn.execute(row.values(sync_id=sync_id, plan_id=plan_id))


def waiting(conn: Connection, limit: int) -> list[Decision]:
    """Decisions that were not reported yet, oldest first."""
    query = (
        select(unreported_decision, school.c.key, sync.c.counts)
        .join(school, school.c.id == unreported_decision.c.school_id)
        .outerjoin(sync, sync.c.id == unreported_decision.c.sync_id)
        .order_by(unreported_decision.c.id)
        .limit(limit)
    )
    return [
        Decision(
            row.id,
            row.key,
            row.kind,
            row.decided_by,
            row.at,
            row.sync_id,
            row.plan_id,
            {IN_PLACE_OF_A_SYNC[row.kind]: 1} if row.kind in IN_PLACE_OF_A_SYNC else _summed(row.counts or {}),
            _what_waits(conn, row.school_id, row.plan_id),
        )
        for row in conn.execute(query)
    ]


def drop(conn: Connection, ids: Collection[int]) -> None:
    """Forget decisions that were reported."""
    conn.execute(delete(unreported_decision).where(unreported_decision.c.id.in_(ids)))


def _role(conn: Connection, school_id: int, who: str) -> str:
    """The highest role that lets this account decide about the school."""
    found = accounts.find(conn, who)
    if found is None:
        return COMMAND_LINE
    district_id = conn.scalar(select(school.c.district_id).where(school.c.id == school_id))
    return OPERATOR if found.operator else MANAGER if district_id in found.districts else OWNER


def _summed(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    sums = {name: sum(of_role.get(name, 0) for of_role in counts.values()) for name in COUNTED}
    return {name: number for name, number in sums.items() if number}


def _what_waits(conn: Connection, school_id: int, plan_id: int | None) -> list[dict[str, Any]] | None:
    """The lines of the plan's verdict that nobody has settled.

    None if the plan is not the last plan that a run made.
    """
    if plan_id is None:
        return None
    newest = select(plan.c.id, plan.c.state).where(plan.c.school_id == school_id, plan.c.person_id.is_(None))
    last = conn.execute(newest.order_by(plan.c.id.desc()).limit(1)).first()
    if last is None or last.id != plan_id:
        return None
    if last.state != "planned":
        return []
    open_ = select(verdict).where(verdict.c.plan_id == plan_id, verdict.c.sync_id.is_(None))
    return [dict(row) for row in conn.execute(open_.order_by(verdict.c.role, verdict.c.action)).mappings()]
