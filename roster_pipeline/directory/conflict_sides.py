"""Both sides of a conflict as they are stored: records, the people they may be, and what was decided of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory.tenants import SchoolRow

_CANDIDATES = """
with record as (select * from cleaned_roster where snapshot_id = :snapshot and sourced_id = any(:ids))
select l.person_id from link l where l.connection_id = :connection and l.sourced_id = any(:ids)
union
select p.id from record c join person p on p.district_id = :district and lower(p.email) = lower(c.email)
union
select p.id from record c join person p on p.district_id = :district and p.number_connection_id = :connection
    and p.number_kind = c.number_kind and p.number = c.number
order by 1 limit :most
"""
_DECIDED = """
select sourced_id, person_id, 'same' as said from link
where connection_id = :connection and sourced_id = any(:ids) and confirmed
union all
select sourced_id, person_id, 'two' from link_exclusion where connection_id = :connection and sourced_id = any(:ids)
"""


def records(conn: Connection, snapshot_id: int, ids: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
    """sourced_id and these columns of `cleaned_roster`, by sourced_id."""
    query = (
        f"select sourced_id, {', '.join(fields)} from cleaned_roster "  # noqa: S608 - our own column names
        "where snapshot_id = :snapshot and sourced_id = any(:ids) order by sourced_id"
    )
    return [dict(row) for row in conn.execute(text(query), {"snapshot": snapshot_id, "ids": list(ids)}).mappings()]


def candidates(conn: Connection, school: SchoolRow, snapshot_id: int, ids: Sequence[str], *, limit: int) -> list[int]:
    """The people whom records that fit several may be: by a link, the e-mail or the number."""
    given = _of(school, ids) | {"snapshot": snapshot_id, "district": school.district_id, "most": limit}
    return list(conn.scalars(text(_CANDIDATES), given))


def decided(conn: Connection, school: SchoolRow, ids: Sequence[str]) -> dict[tuple[str, int], str]:
    """(sourcedId, person) to `same` or `two`, where somebody decided about the pair."""
    return {(row.sourced_id, row.person_id): row.said for row in conn.execute(text(_DECIDED), _of(school, ids))}


def _of(school: SchoolRow, ids: Sequence[str]) -> dict[str, Any]:
    return {"connection": school.connection.id, "ids": list(ids)}
