"""Failed steps, as messages for people. Kept so that one cause raises one alert, not one a night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from roster_pipeline.directory.tables import failure, school, sync


@dataclass(frozen=True)
class Recorded:
    """A stored failure. `news`: the school's first since its last finished sync, or one in another step."""

    failure_id: int
    news: bool


@dataclass(frozen=True)
class FailureRow:
    """One failed step of a school. message: what was wrong, a line break, and what to do."""

    id: int
    at: datetime
    school: str
    step: str
    message: str
    run_id: str | None


def recent(conn: Connection, *, school_id: int | None = None, limit: int = 50) -> list[FailureRow]:
    """Failed steps, newest first."""
    shown = (failure.c.id, failure.c.at, school.c.key.label("school"), failure.c.step, failure.c.message)
    query = select(*shown, failure.c.run_id).join(school, school.c.id == failure.c.school_id)
    if school_id is not None:
        query = query.where(failure.c.school_id == school_id)
    found = conn.execute(query.order_by(failure.c.id.desc()).limit(limit)).mappings()
    return [FailureRow(**row) for row in found]


def record(
    connection: Connection,
    school_key: str,
    step: str,
    message: str,
    run_id: str | None,
    *,
    cause: str = "step",
    night: str | None = None,
    retryable: bool = False,
) -> Recorded | None:
    """Store one failed step; None where there is no such school. night: the night it failed in, None by hand."""
    school_id = connection.scalar(select(school.c.id).where(school.c.key == school_key).with_for_update())
    if school_id is None:
        return None
    last_sync = select(func.coalesce(func.max(sync.c.at), func.to_timestamp(0))).where(sync.c.school_id == school_id)
    earlier = (
        select(failure.c.step)
        .where(failure.c.school_id == school_id, failure.c.at > last_sync.scalar_subquery())
        .order_by(failure.c.id.desc())
        .limit(1)
    )
    before = connection.scalar(earlier)
    row = insert(failure).values(
        school_id=school_id,
        step=step,
        message=message,
        run_id=run_id,
        cause=cause,
        night=night,
        retryable=retryable,
    )
    failure_id = connection.scalar(row.returning(failure.c.id))
    return Recorded(int(failure_id or 0), news=before != step)
