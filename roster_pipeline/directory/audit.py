"""Who did what, when and why. The database itself refuses to change or remove a line (a trigger on the table)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from roster_pipeline.directory.tables import audit


@dataclass(frozen=True)
class Entry:
    """One line of the audit."""

    id: int
    at: datetime
    who: str
    what: str
    district_id: int | None
    school_id: int | None
    person_id: int | None
    reason: str | None
    details: dict[str, Any]


def record(
    conn: Connection,
    *,
    who: str,
    what: str,
    district_id: int | None = None,
    school_id: int | None = None,
    person_id: int | None = None,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Add a line, in the transaction of what it tells. `details` hold names of settings and fields, no values."""
    line = insert(audit).values(
        who=who,
        what=what,
        district_id=district_id,
        school_id=school_id,
        person_id=person_id,
        reason=reason,
        details=dict(details or {}),
    )
    return int(conn.execute(line.returning(audit.c.id)).scalar_one())


def entries(
    conn: Connection,
    *,
    district_id: int | None = None,
    school_id: int | None = None,
    person_id: int | None = None,
    limit: int = 100,
) -> list[Entry]:
    """The newest lines first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    for column, value in (("district_id", district_id), ("school_id", school_id), ("person_id", person_id)):
        if value is not None:
            query = query.where(audit.c[column] == value)
    return [Entry(**row) for row in conn.execute(query).mappings()]
