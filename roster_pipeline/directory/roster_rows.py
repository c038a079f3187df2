"""The rows of cleaned rosters. Snapshots with the same roster share its rows. The next roster of a large school only
writes the rows that differ.

A roster has versions. A row says for which of them it holds, and a snapshot names a roster and a version. The view
`cleaned_roster` has the rows by snapshot. Rows are deleted when no snapshot names a version for which they hold. A
roster begins anew, with all rows, after `BEGUN_AGAIN_AFTER`, or if more than `MOST_DIFFERENT` of the rows differ.

A snapshot takes over the roster of an earlier one if the input of cleaning is the same: a function of records, rejected
records, orgs, settings, code, day and stored contacts. `find_earlier` makes a digest of the first three; the caller
adds settings and code, and compares the contacts that changed since. Equal digests mean equal rosters until the day on
which a role begins or ends. After `CLEANED_AGAIN_AFTER`, everything is cleaned again in any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table, text

from roster_pipeline.directory import stored_frames
from roster_pipeline.directory.pg_copy import Kind, copy_frame, one_array, read_frame, values_of
from roster_pipeline.directory.pulls import IN_PULL
from roster_pipeline.directory.stored_frames import ROSTER, Kept
from roster_pipeline.directory.tables import (
    cleaned_roster,
    excluded_contact,
    quality_result,
    rejected_record,
    roster_row,
)

Ints = npt.NDArray[np.int64]
BEGUN_AGAIN_AFTER = timedelta(days=6, hours=12)
"""So every seventh night, although a night may begin some minutes earlier than the last one."""
MOST_DIFFERENT = 0.1
_COLUMNS: dict[str, Kind] = {
    column.name: "bool" if str(column.type) == "BOOLEAN" else "text"
    for column in cleaned_roster.columns
    if column.name != "snapshot_id"
}
OF_SNAPSHOT = """roster_row where roster_id = (select roster_id from snapshot where id = {snapshot})
    and (select roster_version from snapshot where id = {snapshot}) between first_version and last_version"""
"""The rows of a snapshot's roster without a join, so found by key where nested loops are off."""
_ALONE = "select roster_id from snapshot where id = :snapshot for no key update"
"""Waits for another cleaning of this snapshot. The next statement then sees what that one wrote."""
_BEGIN = """
with rejected as (delete from rejected_record where snapshot_id = :snapshot),
excluded as (delete from excluded_contact where snapshot_id = :snapshot),
quality as (delete from quality_result where snapshot_id = :snapshot),
frame as (delete from stored_frame where snapshot_id = :snapshot and name = 'roster'),
continued as (
    update roster set version = version + 1
    where id = :roster and version = :version and began_at > now() - cast(:age as interval) returning id, version
), begun as (
    insert into roster (school_id) select school_id from snapshot where id = :snapshot
    and not exists (select from continued) returning id, version
)
update snapshot s set roster_id = named.id, roster_version = named.version, counts = s.counts || cast(:counts as jsonb)
from (select * from continued union all select * from begun) named where s.id = :snapshot
returning named.id, named.version
"""
"""Two that continue the same roster wait for each other, and the second one begins anew."""
_END = """
update roster_row set last_version = :version - 1
where roster_id = :roster and sourced_id = any(:ids) and last_version = 2147483647
"""
_RELEASE = "update snapshot set roster_id = null, roster_version = null where id = any(:snapshots)"
_NAMED = "select distinct roster_id from snapshot where id = any(:snapshots) and roster_id is not null"
_LOCK = "select from roster where id = any(:rosters) order by id for update"
_DROP = """
with kept as materialized (
    select o.id, (select min(roster_version) from snapshot s where s.roster_id = o.id) as oldest
    from roster o where o.id = any(:rosters)
), ended as (
    delete from roster_row r using kept
    where r.roster_id = kept.id and r.last_version < 2147483647 and r.last_version < kept.oldest
), unnamed as (
    delete from roster_row r using kept where r.roster_id = kept.id and kept.oldest is null
)
delete from roster r using kept where r.id = kept.id and kept.oldest is null
"""


def last_roster(conn: Connection, snapshot_id: int, *, records: int) -> Kept | None:
    """The newest roster of the snapshot's school as one value, if it is kept. records: how many the snapshot has."""
    return stored_frames.kept(conn, snapshot_id, ROSTER, records=records, own=False)


def write(conn: Connection, snapshot_id: int, roster: pd.DataFrame, counts: str, last: Kept | None = None) -> bool:
    """Write a snapshot's roster; it replaces an earlier one. False if there is no such snapshot. roster:
    `ROSTER_COLUMNS`, by sourced_id. counts: JSON to add to the counts of the snapshot. last: the rows are compared with
    this one."""
    first = _first_rows(roster["identity"].to_numpy(dtype=np.int64))
    roster = roster.assign(identity=pd.array(first, dtype="Int64"))
    table = stored_frames.table_of(roster[list(_COLUMNS)]) if len(roster) >= stored_frames.LARGE else None
    given = {"snapshot": snapshot_id, "counts": counts, "roster": None, "version": None, "age": BEGUN_AGAIN_AFTER}
    different, ended = np.ones(len(roster), dtype=bool), list[str]()
    if last is not None and last.roster is not None and table is not None and last.table.schema == table.schema:
        some, ended = _difference(last.table, table)
        if max(int(some.sum()), len(ended)) <= MOST_DIFFERENT * len(roster):
            different = some
            given |= {"roster": last.roster[0], "version": last.roster[1]}
    before = conn.scalar(text(_ALONE), given)
    row = conn.execute(text(_BEGIN), given).first()
    if row is None:
        return False
    if before not in (None, row.id):
        _drop_unnamed(conn, [before])
    if row.version:
        conn.execute(text(_END), {"roster": row.id, "version": row.version, "ids": ended})
    else:
        different[:] = True
    rows = roster.assign(identity=values_of(_first_records(first, _text(roster["sourced_id"])), "text"))
    fixed = {"roster_id": row.id, "first_version": row.version}
    copy_frame(conn, roster_row, rows if different.all() else rows[different], fixed)
    if table is not None:
        stored_frames.keep(conn, snapshot_id, ROSTER, table)
    return True


def load(conn: Connection, snapshot_id: int, *, records: int) -> pd.DataFrame:
    """The roster of a snapshot, in the form that `write` takes. records: how many the snapshot has."""
    kept = stored_frames.kept(conn, snapshot_id, ROSTER, records=records, own=True)
    if kept is not None:
        return stored_frames.frame_of_table(kept.table)
    query = f"select {', '.join(_COLUMNS)} from {OF_SNAPSHOT} order by sourced_id"  # noqa: S608
    rows = read_frame(conn, query, _COLUMNS, snapshot=snapshot_id)
    first = pc.coalesce(_text(rows["identity"]), _text(rows["sourced_id"])).dictionary_encode().indices
    return rows.assign(identity=pd.array(_first_rows(first.to_numpy().astype(np.int64)), dtype="Int64"))


def release(conn: Connection, snapshot_ids: Sequence[int]) -> None:
    """Delete the rosters' rows that no other snapshot has; locks the snapshots, so that nobody takes them over."""
    given = {"snapshots": list(snapshot_ids)}
    rosters = list(conn.scalars(text(_NAMED), given))
    conn.execute(text(_RELEASE), given)
    _drop_unnamed(conn, rosters)


def _drop_unnamed(conn: Connection, rosters: list[int]) -> None:
    """Delete unnamed rows. A statement of its own takes the lock, to see what earlier holders wrote."""
    for statement in (_LOCK, _DROP):
        conn.execute(text(statement), {"rosters": rosters})


def _difference(before: pa.Table, after: pa.Table) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Flags of the rows that an earlier roster does not have, and sourcedIds that only it has."""
    theirs, ours = (_stored(table, "sourced_id") for table in (before, after))
    place = pc.index_in(ours, value_set=theirs)
    different = place.is_null().to_numpy(zero_copy_only=False).copy()
    for name in after.column_names:
        one, other = _stored(after, name), _stored(before, name)
        if one.null_count == len(one) and other.null_count == len(other):
            continue
        other = other.take(place)
        same = pc.fill_null(pc.equal(one, other), pc.and_(one.is_null(), other.is_null()))
        different |= ~same.to_numpy(zero_copy_only=False)
    gone = np.ones(len(theirs), dtype=bool)
    gone[place.filter(pa.array(~different)).to_numpy()] = False
    return different, theirs.filter(pa.array(gone)).to_pylist()


def _stored(table: pa.Table, name: str) -> pa.Array:
    """A column of a roster's table, in the form of the rows."""
    values = one_array(table[name])
    return _first_records(values.to_numpy(), _stored(table, "sourced_id")) if name == "identity" else values


def _first_records(first: Ints, ids: pa.Array) -> pa.Array:
    """The first record of each row's identity, missing without another row. first: of these records."""
    alone = pa.array(np.bincount(first, minlength=len(first))[first] == 1)
    return pc.if_else(alone, pa.scalar(None, ids.type), ids.take(pa.array(first)))


def _text(column: pd.Series[str]) -> pa.Array:
    return pa.array(column.array, pa.large_string())


def _first_rows(numbers: Ints) -> Ints:
    """For each row, the first row with the same number."""
    rows: Ints = numbers
    if not (len(rows) and rows.min() >= 0 and (rows <= np.arange(len(rows))).all() and (rows[rows] == rows).all()):
        _, first, of = np.unique(numbers, return_index=True, return_inverse=True)
        rows = first[of]
    return rows


KEY = "cleaning"
"""In the counts of a snapshot: the digest of the input (key), the day of cleaning (since), the day on which a role
begins or has ended (until)."""
POSITION = "log_position"
"""Another key: where the change log was when the directory was last compared with the snapshot's roster."""
NUMBERS = "number_places"
"""The key, in the counts of a snapshot, of the settings that name the places of student and staff numbers."""
CLEANED_AGAIN_AFTER = timedelta(days=7)
LOOKED_AT = 5
"""How many earlier snapshots of a school are compared: syncs of one person make some too."""
COUNTED = ("roles", "flags", "masters", NUMBERS, KEY)
"""The keys of a snapshot's counts that belong to its roster."""

FIND = f"""
with pulled_org as (
    select r.id from sis_record r {IN_PULL}
    where r.connection_id = :connection and r.kind = 'org'
), input (key) as (
    select encode(sha256(coalesce((
        select string_agg(int8send(block) || convert_to(part, 'UTF8') || bits, ''::bytea order by block, part)
        from snapshot_record where snapshot_id = :snapshot
    ), ''::bytea)), 'hex') || ' ' || encode(sha256(coalesce((
        select string_agg(int8send(id), ''::bytea order by id) from pulled_org
    ), ''::bytea)), 'hex') || ' ' || encode(sha256(convert_to(coalesce((
        select string_agg(line, ' ' order by line) from (
            select row(collection, sourced_id, field, rule, severity)::text as line
            from raw_reject where snapshot_id = :snapshot
        ) rejects
    ), ''), 'UTF8')), 'hex') || ' ' || :rest
)
select input.key, earlier.id, earlier.counts, (
    select coalesce(max(position), 0) from change_log
    where district_id = (select district_id from school where id = :school) and entity <> 'person'
) as position from input left join lateral (
    select id, counts from (
        select id, counts, roster_id from snapshot
        where school_id = :school and id < :snapshot order by id desc limit :most
    ) newest
    where roster_id is not null and counts -> 'cleaning' ->> 'key' = input.key
      and coalesce(counts -> 'cleaning' ->> 'until', '9999') > :today and counts -> 'cleaning' ->> 'since' > :oldest
    order by id desc limit 1
) earlier on true
"""  # noqa: S608 - our own SQL
"""A record is stored once and never changed, so its id stands for its content."""


def _copied(table: Table, returning: str) -> str:
    names = ", ".join(column.name for column in table.columns if column.name != "snapshot_id")
    return (
        f"insert into {table.name} (snapshot_id, {names}) "  # noqa: S608 - our own names
        f"select :snapshot, {names} from {table.name} where snapshot_id = :earlier returning {returning}"
    )


TAKE_OVER = f"""
with held as (
    select roster_id, roster_version, counts from snapshot where id = :earlier and roster_id is not null for share
), named as (
    update snapshot n set roster_id = held.roster_id, roster_version = held.roster_version, counts = n.counts || (
        select jsonb_object_agg(key, value) from jsonb_each(held.counts) where key in {COUNTED}
    ) || jsonb_build_object('{POSITION}', cast(:position as bigint)) from held where n.id = :snapshot returning 1
), rejected as ({_copied(rejected_record, "severity")}), excluded as ({_copied(excluded_contact, "1")}),
quality as ({_copied(quality_result, "1")}), moved as (
    update stored_frame set snapshot_id = :snapshot where snapshot_id = :earlier and name = '{ROSTER}'
)
select (select count(*) from named) as named,
       (select count(*) from rejected where severity = 'error') as rejected
"""  # noqa: S608
"""The earlier snapshot's roster is locked until the end of the transaction, so nobody deletes it meanwhile."""


@dataclass(frozen=True)
class Earlier:
    """A digest of the input of cleaning, and the earlier snapshot with it whose roster is right today. counts: its.
    position: where the change log is. All contacts of that moment are seen, because changes wait for each other."""

    key: str
    snapshot_id: int | None
    counts: Mapping[str, Any]
    position: int


def find_earlier(conn: Connection, facts: Mapping[str, Any], rest: str, today: date) -> Earlier:
    """An earlier snapshot with the same input. rest: what cleaning reads besides records, orgs and the day."""
    given = {
        "school": facts["school_id"], "connection": facts["connection_id"], "snapshot": facts["id"],
        "pull": facts["pull_id"], "rest": rest, "today": today.isoformat(), "most": LOOKED_AT,
        "oldest": (today - CLEANED_AGAIN_AFTER).isoformat(),
    }  # fmt: skip
    found = conn.execute(text(FIND), given).one()
    return Earlier(found.key, found.id, found.counts or {}, int(found.position))


def take_over(conn: Connection, snapshot_id: int, earlier: Earlier) -> int | None:
    """Give a snapshot without a roster that of an earlier one, with rejections and quality. Returns how many records
    cannot be used; None, and writes nothing, without an earlier one, or if it has a roster meanwhile."""
    given = {"snapshot": snapshot_id, "earlier": earlier.snapshot_id, "position": earlier.position}
    if earlier.snapshot_id is None or conn.scalar(text(_ALONE), given) is not None:
        return None
    with conn.begin_nested() as attempt:
        taken = conn.execute(text(TAKE_OVER), given).one()
        if not taken.named:
            attempt.rollback()  # another transaction has just deleted the roster
            return None
    return int(taken.rejected)
