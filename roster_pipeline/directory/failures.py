"""Failed steps, as messages for people. Kept so that one cause raises one alert, not one a night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, text

from roster_pipeline.directory.audit import RUN_ASKED_FOR
from roster_pipeline.directory.tables import failure, school

STARTED_BY = """coalesce(
    (
        select c.who from audit c where c.school_id = f.school_id and c.what = :asked
          and c.details ->> 'run' = f.run_id order by c.id desc limit 1
    ),
    case when f.night is not null then 'schedule' else 'by hand' end
)"""
"""Who started the run of a failure `f`: a person of the audit, or the schedule. asked: `audit.RUN_ASKED_FOR`."""
RECENT = f"""
select f.id, f.at, s.key as school, f.step, f.message, f.run_id, {STARTED_BY} as who
from failure f join school s on s.id = f.school_id
where cast(:school as bigint) is null or f.school_id = :school order by f.id desc limit :limit
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class FailureRow:
    """One failed step of a school. message: what was wrong, a line break, and what to do. who: started its run."""

    id: int
    at: datetime
    school: str
    step: str
    message: str
    run_id: str | None
    who: str


def recent(conn: Connection, *, school_id: int | None = None, limit: int = 50) -> list[FailureRow]:
    """Failed steps, newest first."""
    given = {"school": school_id, "limit": limit, "asked": RUN_ASKED_FOR}
    return [FailureRow(**row) for row in conn.execute(text(RECENT), given).mappings()]


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
) -> bool:
    """Store one failed step; False where there is no such school. night: the night it failed in, None by hand."""
    school_id = connection.scalar(select(school.c.id).where(school.c.key == school_key).with_for_update())
    if school_id is None:
        return False
    row = insert(failure).values(
        school_id=school_id,
        step=step,
        message=message,
        run_id=run_id,
        cause=cause,
        night=night,
        retryable=retryable,
    )
    connection.execute(row)
    return True
