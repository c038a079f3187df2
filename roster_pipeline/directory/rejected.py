"""Records of one snapshot that were not used, or not wholly: chosen, counted and read a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory.database_errors import DirectoryError

_PAGE = """
with chosen as (
    select r.sourced_id, r.collection, r.field, r.rule, r.severity, r.role {source} {conditions} {order}
)
select chosen.*, concat_ws(' ', sent.payload ->> 'givenName', sent.payload ->> 'familyName') as name,
    left(case chosen.field
        when 'role' then (
            select string_agg(entry ->> 'role', ', ') from json_array_elements(sent.payload -> 'roles') entry
        )
        when 'sourcedId' then chosen.sourced_id
        else sent.payload ->> chosen.field
    end, :longest) as value
from chosen left join lateral (
    select record.payload
    from snapshot join school on school.id = snapshot.school_id
    join sis_record record on record.connection_id = school.connection_id
        and record.kind = 'user' and record.sourced_id = chosen.sourced_id
    where snapshot.id = :snapshot
        and exists (select from snapshot_record where snapshot_id = :snapshot and record_id = record.id offset 0)
    limit 1
) sent on true
"""
LONGEST_VALUE = 200
"""Characters of a value that are shown."""
_FROM = "from rejected_record r where r.snapshot_id = :snapshot"
_ORDER = "order by r.severity, r.collection, r.field, r.rule, r.sourced_id nulls first limit :limit offset :offset"


class UnknownSnapshot(DirectoryError):
    """There is no snapshot with this number in this school."""

    def __init__(self, snapshot_id: int) -> None:
        super().__init__(f"There is no snapshot {snapshot_id}.", "See which syncs there were: roster history")


@dataclass(frozen=True)
class SnapshotHead:
    """One snapshot, without its records."""

    id: int
    school_id: int
    taken_at: datetime
    complete: bool


@dataclass(frozen=True)
class RejectedFilter:
    """Which records: of one rule, of one severity, and with these words in their sourcedId."""

    rule: str = ""
    severity: str = ""
    words: str = ""

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Conditions and their values."""
        said, given = [], dict[str, Any]()
        for name in ("rule", "severity"):
            if getattr(self, name):
                said.append(f"and r.{name} = :{name}")
                given[name] = getattr(self, name)
        if self.words.strip():
            said.append("and position(:words in lower(r.sourced_id)) > 0")
            given["words"] = self.words.strip().lower().replace("\0", "")
        return " ".join(said), given


def snapshot_of_school(conn: Connection, school_id: int, snapshot_id: int) -> SnapshotHead:
    """A snapshot, if it is one of this school. Raises UnknownSnapshot."""
    query = "select id, school_id, taken_at, complete from snapshot where id = :id and school_id = :school"
    found = conn.execute(text(query), {"id": snapshot_id, "school": school_id}).mappings().first()
    if found is None:
        raise UnknownSnapshot(snapshot_id)
    return SnapshotHead(**found)


def page(
    conn: Connection, snapshot_id: int, chosen: RejectedFilter, *, limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """sourced_id, collection, field, rule, severity, role, name, value; errors before warnings.

    name and value are what the SIS sent: empty or None where the record is no longer stored. For people who may see
    the school only, never for mails or logs.
    """
    conditions, given = chosen.sql()
    query = _PAGE.format(source=_FROM, conditions=conditions, order=_ORDER)
    given |= {"snapshot": snapshot_id, "limit": limit, "offset": offset, "longest": LONGEST_VALUE}
    return [dict(row) for row in conn.execute(text(query), given).mappings()]


def count(conn: Connection, snapshot_id: int, chosen: RejectedFilter) -> int:
    """How many were chosen."""
    conditions, given = chosen.sql()
    return int(conn.scalar(text(f"select count(*) {_FROM} {conditions}"), {**given, "snapshot": snapshot_id}) or 0)


def by_rule(conn: Connection, snapshot_id: int) -> list[dict[str, Any]]:
    """severity, collection, field, rule and rows of each."""
    columns = "r.severity, r.collection, r.field, r.rule"
    query = f"select {columns}, count(*) as rows {_FROM} group by {columns} order by 1, 5 desc, 4"
    return [dict(row) for row in conn.execute(text(query), {"snapshot": snapshot_id}).mappings()]
