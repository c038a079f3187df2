"""Cleaned rosters, rejected records, and the quality of both. Each belongs to one snapshot and is written as a whole.
Rejected records are filtered, counted and read a page at a time."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, Row, text

from roster_pipeline.directory import roster_rows
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.people_list import PeopleFilter, folded, words_in
from roster_pipeline.directory.pg_copy import Kind, copy_frame, read_frame
from roster_pipeline.directory.plans import IN_SCOPE, NEWEST_OF_SCHOOLS
from roster_pipeline.directory.stored_frames import Kept
from roster_pipeline.directory.tables import excluded_contact, quality_result, rejected_record

_QUALITY: dict[str, Kind] = {
    **dict.fromkeys(("rule", "role", "check_name", "severity"), "text"), "passed": "bool", "tested": "int",
    "failed": "int",
}  # fmt: skip
_EXCLUDED: dict[str, Kind] = {"sourced_id": "text", "student_id": "text"}
_REJECTED: dict[str, Kind] = dict.fromkeys(("collection", "sourced_id", "field", "rule", "severity", "role"), "text")
DROP = """
delete from contact c using sync y, school s, verdict v
where y.id = :sync and s.id = y.school_id
  and c.place > case when s.settings ->> 'primary_contacts' = 'false' then 0
                     else coalesce((s.settings ->> 'contacts_most')::int, 1) end
  and v.plan_id = y.plan_id and v.role = 'student' and v.action = 'update'
  and v.guard = '' and v.sync_id = y.id
  and c.district_id = y.district_id and c.school_id = y.school_id
  and not exists (select from person p where p.id = c.person_id and p.district_id = c.district_id and p.excluded)
"""
"""The sync removes contacts only if the verdict let it update students; a window or a hold keeps them."""
_SENT = """
select record.payload
from snapshot join school on school.id = snapshot.school_id
join sis_record record on record.connection_id = school.connection_id
    and record.kind = 'user' and record.sourced_id = {of}.sourced_id
where snapshot.id = {of}.snapshot_id
    and exists (
        select from snapshot_record where snapshot_id = {of}.snapshot_id
        and block = record.id >> 9 and get_bit(bits, record.id & 511) = 1 offset 0
    )
limit 1
"""
"""What the SIS sent for a rejected record."""
_NAMED = "concat_ws(' ', sent.payload ->> 'givenName', sent.payload ->> 'familyName')"
_SEARCHED = folded(f"concat_ws(' ', r.sourced_id, (select {_NAMED} from ({_SENT.format(of='r')}) sent))")  # noqa: S608
_PAGE = """
with chosen as (
    select r.snapshot_id, r.sourced_id, r.collection, r.field, r.rule, r.severity, r.role {source} {conditions} {order}
)
select chosen.*, {named} as name,
    left(case chosen.field
        when 'role' then (
            select string_agg(entry ->> 'role', ', ') from json_array_elements(sent.payload -> 'roles') entry
        )
        when 'sourcedId' then chosen.sourced_id
        else sent.payload ->> chosen.field
    end, :longest) as value, taken.school_id, theirs.person_id, exists (
        select from membership m where m.district_id = taken.district_id and m.school_id = taken.school_id
        and m.person_id = theirs.person_id
    ) as of_school
from chosen join snapshot taken on taken.id = chosen.snapshot_id
left join link theirs on theirs.connection_id = taken.connection_id and theirs.sourced_id = chosen.sourced_id
left join lateral ({sent}) sent on true
order by chosen.severity, chosen.collection, chosen.field, chosen.rule, chosen.sourced_id nulls first
"""
LONGEST_VALUE = 200
"""How many characters of a value are shown."""
_FROM = "from rejected_record r where r.snapshot_id = :snapshot"
_FROM_NEWEST = f"""
from {NEWEST_OF_SCHOOLS} join plan newest_plan on newest_plan.id = newest.id
join rejected_record r on r.snapshot_id = newest_plan.snapshot_id
where {IN_SCOPE}
"""
_ORDER = "order by r.severity, r.collection, r.field, r.rule, r.sourced_id nulls first limit :limit offset :offset"


def write(
    conn: Connection,
    snapshot_id: int,
    roster: pd.DataFrame,
    rejected: pd.DataFrame,
    excluded: pd.DataFrame | None = None,
    *,
    quality: pd.DataFrame | None = None,
    counts: Mapping[str, Any] | None = None,
    last: Kept | None = None,
) -> None:
    """Write a snapshot's roster, rejections and quality results. They replace those of an earlier run.

    roster: the columns of `cleaned_roster`, one row per record. rejected: collection, sourced_id, field, rule,
    severity, role. excluded: sourced_id and student_id of contacts that nobody may call. quality: rule, role,
    check_name, severity, passed, tested, failed. counts: values to add to the counts of the snapshot. Later nights are
    compared with `roles` (role to the number of people). last: as in `roster_rows.write`.
    """
    if not roster_rows.write(conn, snapshot_id, roster, orjson.dumps(dict(counts or {})).decode(), last):
        raise UnknownSnapshot(snapshot_id)
    for table, frame in ((rejected_record, rejected), (excluded_contact, excluded), (quality_result, quality)):
        if frame is not None and len(frame):
            copy_frame(conn, table, frame, {"snapshot_id": snapshot_id})


def has_record(conn: Connection, school_ids: Sequence[int], sourced_id: str) -> bool:
    """Whether the newest snapshot of one of these schools has this record as a record of the school itself."""
    query = (
        "select exists (select from unnest(cast(:schools as bigint[])) s (id) cross join lateral "
        "(select id from snapshot where school_id = s.id order by id desc limit 1) newest "
        "join cleaned_roster c on c.snapshot_id = newest.id and c.sourced_id = :record "
        "and c.record_status <> 'elsewhere')"
    )
    return bool(conn.scalar(text(query), {"schools": list(school_ids), "record": sourced_id}))


def newest_record(
    conn: Connection, connection_id: int, school_ids: Sequence[int], sourced_id: str
) -> dict[str, Any] | None:
    """A record in the newest snapshot of these schools that has it, with `taken_at`; None if none has."""
    query = (
        "select s.taken_at, c.* from snapshot s "
        "join cleaned_roster c on c.snapshot_id = s.id and c.sourced_id = :record "
        "where s.connection_id = :connection and s.school_id = any(:schools) order by s.id desc limit 1"
    )
    given = {"connection": connection_id, "schools": list(school_ids), "record": sourced_id}
    row = conn.execute(text(query), given).mappings().first()
    return dict(row) if row else None


def load_excluded(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """The contacts that nobody may call: sourced_id, and student_id if that is only so for one student."""
    return read_frame(
        conn, _query("excluded_contact", _EXCLUDED, "sourced_id, student_id"), _EXCLUDED, snapshot=snapshot_id
    )


def load(conn: Connection, snapshot_id: int, *, records: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Roster and rejections as `write` takes them, by sourced_id. records: how many the snapshot has."""
    roster = roster_rows.load(conn, snapshot_id, records=records)
    order = "collection, sourced_id, field, rule"
    rejected = read_frame(conn, _query("rejected_record", _REJECTED, order), _REJECTED, snapshot=snapshot_id)
    return roster, rejected


def load_quality(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """The results in the form that `write` takes, by rule and role, and their snapshot_id."""
    columns: dict[str, Kind] = {**_QUALITY, "snapshot_id": "int"}
    return read_frame(conn, _query("quality_result", columns, "rule, role"), columns, snapshot=snapshot_id)


def quality_digest(results: pd.DataFrame) -> str | None:
    """A digest of loaded quality results, which a plan stores; None without results."""
    if results.empty:
        return None
    lines = StringIO()
    columns = [pa.array(results[name].array, from_pandas=True).to_pylist() for name in results]
    csv.writer(lines, lineterminator="\n").writerows([list(results), *zip(*columns, strict=True)])
    return hashlib.sha256(lines.getvalue().encode()).hexdigest()


def _query(table: str, columns: Mapping[str, Kind], order: str) -> str:
    return f"select {', '.join(columns)} from {table} where snapshot_id = {{snapshot}} order by {order}"  # noqa: S608


def drop_unwanted(conn: Connection, sync_id: int) -> int:
    """Remove the contacts of archived or absent students if the school does not want contacts any more. Call it in the
    transaction of that sync, so that a rollback brings the contacts back. Excluded people keep their contacts."""
    return conn.execute(text(DROP), {"sync": sync_id}).rowcount


class UnknownSnapshot(DirectoryError):
    """There is no snapshot with this number in this school."""

    def __init__(self, snapshot_id: int) -> None:
        super().__init__(f"There is no snapshot {snapshot_id}.", "See which syncs there were: roster history")


@dataclass(frozen=True)
class RejectedFilter:
    """Which records: of one rule, of one severity, and with these words in their name or sourcedId."""

    rule: str = ""
    severity: str = ""
    words: str = ""

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Conditions and their values."""
        conditions, given = [], dict[str, Any]()
        for name in ("rule", "severity"):
            if getattr(self, name):
                conditions.append(f"and r.{name} = :{name}")
                given[name] = getattr(self, name)
        found, words = words_in(_SEARCHED, self.words)
        return " ".join([*conditions, *(f"and {each}" for each in found)]), given | words


def snapshot_of_school(conn: Connection, school_id: int, snapshot_id: int) -> Row[Any]:
    """A snapshot, if it is one of this school, without its records. Raises UnknownSnapshot."""
    query = "select id, school_id, taken_at, complete from snapshot where id = :id and school_id = :school"
    row = conn.execute(text(query), {"id": snapshot_id, "school": school_id}).first()
    if row is None:
        raise UnknownSnapshot(snapshot_id)
    return row


def page(
    conn: Connection, snapshot_id: int, chosen: RejectedFilter, *, limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """snapshot_id, sourced_id, collection, field, rule, severity, role, name, value, school_id, person_id, of_school;
    errors before warnings. name and value are from the SIS; empty or None if the record is no longer stored. person_id:
    the person that the record is linked to. of_school: whether they have a membership in the school. Show this only to
    people who may see the school, never in mails or logs."""
    return _rows(conn, _FROM, chosen, {"snapshot": snapshot_id, "limit": limit, "offset": offset})


def page_of_newest(
    conn: Connection, wanted: PeopleFilter, chosen: RejectedFilter, *, limit: int
) -> list[dict[str, Any]]:
    """The same of the snapshots of the newest plans of the schools in a scope."""
    return _rows(conn, _FROM_NEWEST, chosen, wanted.scope | {"limit": limit, "offset": 0})


def _rows(conn: Connection, source: str, chosen: RejectedFilter, scope: Mapping[str, Any]) -> list[dict[str, Any]]:
    conditions, given = chosen.sql()
    query = _PAGE.format(
        source=source, conditions=conditions, order=_ORDER, sent=_SENT.format(of="chosen"), named=_NAMED
    )
    return [dict(row) for row in conn.execute(text(query), {**given, **scope, "longest": LONGEST_VALUE}).mappings()]


def count(conn: Connection, snapshot_id: int, chosen: RejectedFilter) -> int:
    """How many records were chosen."""
    conditions, given = chosen.sql()
    return int(conn.scalar(text(f"select count(*) {_FROM} {conditions}"), {**given, "snapshot": snapshot_id}) or 0)


def by_rule(conn: Connection, snapshot_id: int) -> list[dict[str, Any]]:
    """The number of rows for each severity, collection, field and rule."""
    columns = "r.severity, r.collection, r.field, r.rule"
    query = f"select {columns}, count(*) as rows {_FROM} group by {columns} order by 1, 5 desc, 4"
    return [dict(row) for row in conn.execute(text(query), {"snapshot": snapshot_id}).mappings()]
