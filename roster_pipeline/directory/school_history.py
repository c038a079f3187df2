"""What happened to one school, newest first: its syncs, its failures and what was canceled, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory.audit import RUN_ASKED_FOR, RUN_CANCELED
from roster_pipeline.directory.failures import STARTED_BY

SCHOOL_HISTORY = f"""
select at, id, kind, outcome, counts, held, report, who, run_id, undoes, undone_by, step, message from (
    (
        select 1 as rank, y.at, y.id, y.kind, y.outcome, y.counts, y.held, y.report, y.who, y.run_id, y.undoes,
            (select max(l.id) from sync l where l.school_id = y.school_id and l.undoes = y.id) as undone_by,
            null::text as step, null::text as message
        from sync y where y.school_id = :school and (y.at, 1, y.id) < (cast(:at as timestamptz), :rank, :id)
        order by y.at desc, y.id desc limit :limit
    )
    union all
    (
        select 0, f.at, f.id, 'failure', 'failed', '{{}}'::jsonb, '{{}}'::jsonb, '{{}}'::jsonb,
            {STARTED_BY}, f.run_id, null, null, f.step, f.message
        from failure f where f.school_id = :school and (f.at, 0, f.id) < (cast(:at as timestamptz), :rank, :id)
        order by f.at desc, f.id desc limit :limit
    )
    union all
    (
        select 2, c.at, c.id, 'canceled', 'canceled', '{{}}'::jsonb, '{{}}'::jsonb, '{{}}'::jsonb, c.who,
            c.details ->> 'run', null, null, null, null
        from audit c
        where c.school_id = :school and c.what = :canceled and (c.at, 2, c.id) < (cast(:at as timestamptz), :rank, :id)
        order by c.at desc, c.id desc limit :limit
    )
) every_kind
order by at desc, rank desc, id desc limit :limit
"""  # noqa: S608 - constants
OPEN_ALERTS = """
select a.subject, a.cause, a.message, a.opened_at from alert a
where a.cleared_at is null and (a.school_id = :school or a.connection_id = :connection)
order by a.id
"""
PEOPLE = """
select role, count(*) as people from membership
where district_id = :district and school_id = :school and status = 'active' group by role
"""


LETTERS = {"failure": "f", "canceled": "c"}
RANKS = {"f": 0, "s": 1, "c": 2}
"""Of lines with the same time; the letters stand in addresses."""


@dataclass(frozen=True)
class HistoryEntry:
    """One line of a school's history.

    kind: sync, approval, rollback, relink, canceled (a run, by `who`), or failure with its step and message.
    """

    at: datetime
    id: int
    kind: str
    outcome: str
    counts: dict[str, dict[str, int]]
    held: dict[str, dict[str, int]]
    report: dict[str, Any]
    who: str
    run_id: str | None
    undoes: int | None
    undone_by: int | None
    step: str | None
    message: str | None

    @property
    def place(self) -> str:
        """Where the next page begins, for `before`; fit for an address as it is."""
        return f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}.{LETTERS.get(self.kind, 's')}.{self.id}"


@dataclass(frozen=True)
class OpenAlert:
    """An alert on the school or on its connection."""

    subject: str
    cause: str
    message: str
    opened_at: datetime


def school_history(
    conn: Connection, school_id: int, *, before: str | None = None, limit: int = 30
) -> list[HistoryEntry]:
    """The newest first; `before` is the `place` of the last one seen. Raises ValueError for a place that is none."""
    at, rank, number = _place(before) if before else (None, 3, 0)
    given = {
        "school": school_id,
        "at": at or "infinity",
        "rank": rank,
        "id": number,
        "limit": limit,
        "canceled": RUN_CANCELED,
        "asked": RUN_ASKED_FOR,
    }
    return [HistoryEntry(**row) for row in conn.execute(text(SCHOOL_HISTORY), given).mappings()]


def alerts_of(conn: Connection, school_id: int, connection_id: int) -> list[OpenAlert]:
    """What is open on a school or its connection, oldest first."""
    rows = conn.execute(text(OPEN_ALERTS), {"school": school_id, "connection": connection_id}).mappings()
    return [OpenAlert(**row) for row in rows]


def people_by_role(conn: Connection, district_id: int, school_id: int) -> dict[str, int]:
    """Role group to the number of active people; roles without any are left out."""
    found = conn.execute(text(PEOPLE), {"district": district_id, "school": school_id})
    return {row.role: row.people for row in found}


def _place(given: str) -> tuple[str, int, int]:
    at, kind, number = given.rsplit(".", 2)
    if kind not in RANKS:
        raise ValueError("no place in a history")
    return datetime.fromisoformat(at).isoformat(), RANKS[kind], int(number)
