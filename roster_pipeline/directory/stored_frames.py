"""Frames of a school, each stored as one value, so that a later step or night does not build them from rows again.

Any school has its last plan, if it changed nobody (`plan_reuse`). A large school has three more: its SIS records as
columns, with their ids; its newest cleaned roster; and the settled pairs of its last plan (`planning/settled.py`).
Records and roster are in `sis_record` and `roster_row` too, and without settled pairs everybody is planned, so a
missing frame only costs time. A record is stored once and never changed, so the columns of an earlier night are right
for every id that a snapshot still names.

With the pairs is the position of the change log at which the directory was read. Every change of a person, link,
membership or contact is in the log after that position, whoever made it. Records that have changed are those whose row
of the roster has ended since (`roster_rows`). What planning reads besides people is in a digest: settings, the
connections of the district, decisions about records, and our code. If the digest is another one, or the roster has
begun anew, nothing is settled.

A value is a stream of Arrow, compressed. Erasing a person deletes those of the district. The erasure also removes
`chosen` from the counts of its snapshots, so a step that read a snapshot before stores no frame of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, text

from roster_pipeline import code_version
from roster_pipeline.directory.pg_copy import Kind, driver, number_literal, one_array, values_of
from roster_pipeline.directory.tenants import SchoolRow

RECORDS, ROSTER, SETTLED, PLAN = "records", "roster", "settled", "plan"
LARGE = 5000
"""For schools with fewer records, the statements cost more than they save."""

_KEEP = """
insert into stored_frame (school_id, name, snapshot_id, key, data)
select school_id, :name, id, :key, :data from snapshot where id = :snapshot and counts ? 'chosen' for share
on conflict (school_id, name)
do update set snapshot_id = excluded.snapshot_id, key = excluded.key, data = excluded.data
"""
_KEPT = """
select f.data, o.roster_id, o.roster_version
from snapshot s join stored_frame f on f.school_id = s.school_id join snapshot o on o.id = f.snapshot_id
where s.id = %(snapshot)s and f.name = %(name)s and f.key = %(key)s and (f.snapshot_id = s.id or not %(own)s)
"""
_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
_to_json = msgspec.json.Encoder().encode
_of_json = msgspec.json.Decoder().decode
_KINDS: dict[pa.DataType, Kind] = {pa.large_string(): "text", pa.int64(): "int", pa.bool_(): "bool"}


def keep(conn: Connection, snapshot_id: int, name: str, table: pa.Table) -> None:
    """Store a frame in place of the school's last. It waits for a running erasure. After one, it stores nothing of this
    snapshot."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as stream:
        stream.write_table(table)
    given = {"name": name, "snapshot": snapshot_id, "key": _key(), "data": sink.getvalue().to_pybytes()}
    conn.execute(text(_KEEP), given)


@dataclass(frozen=True)
class Kept:
    """A frame as a table, and the roster and version of its snapshot; None if the snapshot has no roster."""

    table: pa.Table
    roster: tuple[int, int] | None


def kept(conn: Connection, snapshot_id: int, name: str, *, own: bool, records: int = LARGE) -> Kept | None:
    """A stored frame of this snapshot (own), or of any of its school; None if other code made it."""
    if records < LARGE:
        return None
    given = {"name": name, "snapshot": snapshot_id, "key": _key(), "own": own}
    with driver(conn).cursor(binary=True) as cursor:
        row = cursor.execute(_KEPT, given).fetchone()
    if row is None:
        return None
    return Kept(pa.ipc.open_stream(pa.py_buffer(row[0])).read_all(), None if row[1] is None else (row[1], row[2]))


def table_of(frame: pd.DataFrame, **more: pa.Array) -> pa.Table:
    """A frame as a table: text, numbers, booleans, Arrow lists, and values of JSON. more: further columns."""
    columns = dict(more)
    for name in frame.columns:
        values = frame[name]
        if values.dtype == object:
            columns[name] = pa.array([_to_json(value) if value else None for value in values], pa.large_binary())
        else:
            columns[name] = pa.array(values.array, pa.large_string() if values.dtype == "str" else None)
    return pa.table(columns)


def frame_of_table(table: pa.Table) -> pd.DataFrame:
    """The frame that was made into a table."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        array = one_array(table.column(name))
        if pa.types.is_large_binary(array.type):
            columns[name] = np.empty(len(array), dtype=object)
            columns[name][:] = [_of_json(one) if one else {} for one in array.to_pylist()]
        elif pa.types.is_list(array.type):
            columns[name] = pd.arrays.ArrowExtensionArray(array)
        else:
            columns[name] = values_of(array, _KINDS[array.type])
    return pd.DataFrame(columns, copy=False)


def _key() -> str:
    """The versions of our code and of pyarrow that made a table."""
    return f"{code_version('frames.py', 'vocabulary.py', 'directory/stored_frames.py')} {pa.__version__}"


MOST_CHANGED = 20_000
"""If more people of the district were changed, everybody is planned."""
MOST_DAYS = 7
"""Everybody is planned again after this many days, so that no mistake of this shortcut lasts longer."""

DECIDED = """
select jsonb_build_array(
    (select settings from district where id = :district),
    (select jsonb_agg(jsonb_build_array(id, key, settings) order by id) from connection where district_id = :district),
    (select jsonb_agg(jsonb_build_array(id, connection_id, settings -> 'phone_region', settings -> 'preferred_names')
        order by id) from school where district_id = :district),
    (select jsonb_agg(jsonb_build_array(sourced_id, person_id) order by sourced_id, person_id) from link_exclusion
     where district_id = :district and connection_id = :connection)
)::text, roster_id, roster_version from snapshot where id = :snapshot
"""
CHANGED = """
select coalesce(array_agg(distinct person_id), '{}') as people,
    coalesce(array_agg(distinct coalesce(after ->> 'sourced_id', before ->> 'sourced_id'))
        filter (where entity = 'link' and coalesce(after, before) is not null), '{}') as records,
    array(
        select sourced_id from roster_row
        where roster_id = :roster and last_version >= :before and last_version < :now and last_version < 2147483647
    ) as ended
from (
    select person_id, entity, before, after from change_log
    where district_id = :district and position > :position and entity = 'person'
    union all
    select person_id, entity, before, after from change_log
    where district_id = :district and position > :position and entity <> 'person'
) changed
"""
"""Each half of the log has an index, and ended rows too, kept while a snapshot names their version."""
OTHERS = """
select p.id, lower(p.email), case when p.number_connection_id = :connection then p.number_kind end,
    bare_number(p.number), array(
        select l.sourced_id from link l where l.connection_id = :connection and l.person_id = p.id
    )
from person p where p.district_id = :district and p.id = any(cast(:people as bigint[])) and not exists (
    select from membership m where m.district_id = :district and m.school_id = :school and m.person_id = p.id
)
"""


@dataclass(frozen=True)
class Reading:
    """What a plan keeps for the next one. decided: the digest. roster: number and version of what it read."""

    decided: str
    roster: tuple[int, int]


@dataclass(frozen=True)
class Before:
    """An earlier plan's pairs (sourced_id, person_id). since: when everybody was planned. others: no members."""

    pairs: pa.Table
    since: date
    people: frozenset[int]
    records: frozenset[str]
    others: frozenset[int]


@dataclass(frozen=True)
class Unsettled:
    """Whom a plan is about. sourced_ids: unsettled records. others: no members, with a settled record's key."""

    sourced_ids: Sequence[str]
    settled: Sequence[int]
    others: Sequence[int]


def reading_of(conn: Connection, school: SchoolRow, facts: Mapping[str, Any]) -> Reading | None:
    """Call it after the roster was read, and before the directory is: then a setting that is changed meanwhile gives
    another digest the next time. None if the roster was written again after `facts` were read (`snapshots.facts`)."""
    given = {"district": school.district_id, "connection": school.connection.id, "snapshot": facts["id"]}
    decided, *roster = conn.execute(text(DECIDED), given).one()
    if roster != [facts["roster_id"], facts["roster_version"]]:
        return None
    used = (
        school.settings.model_dump_json(),
        school.connection.settings.model_dump_json(),
        str(facts["school_sourced_id"]),
    )
    code = (code_version("."), pd.__version__, pa.__version__)
    return Reading(sha256(repr((decided, used, code)).encode()).hexdigest(), (roster[0], roster[1]))


def load_pairs(
    conn: Connection, school: SchoolRow, snapshot_id: int, records: int, reading: Reading, today: date
) -> Before | None:
    """The pairs of the school's last plan. None if there are none, if something else than people was changed since, if
    the roster has begun anew, or if everybody was last planned `MOST_DAYS` ago. Call it under the lock of the district.
    records: how many the snapshot has."""
    found = kept(conn, snapshot_id, SETTLED, records=records, own=False)
    if found is None:
        return None
    table = found.table
    state = orjson.loads(table.schema.metadata[b"state"])
    since = date.fromisoformat(state["since"])
    if state["decided"] != reading.decided or not 0 <= (today - since).days < MOST_DAYS:
        return None
    (roster, before), (same, now) = state["roster"], reading.roster
    if found.roster != (roster, before) or same != roster or now < before:
        return None
    given = {"position": state["position"], "district": school.district_id}
    changed = conn.execute(text(CHANGED), given | {"roster": roster, "before": before, "now": now}).one()
    if len(changed.people) > MOST_CHANGED:
        return None
    people = frozenset(changed.people)
    return Before(table, since, people, frozenset([*changed.records, *changed.ended]), people.union(state["others"]))


def keep_pairs(
    conn: Connection,
    snapshot_id: int,
    pairs: pa.Table,
    reading: Reading,
    position: int,
    others: Collection[int],
    *,
    since: date,
) -> None:
    """Keep the pairs of a plan in its transaction. position: that of the change log when the directory was read. since:
    the day on which everybody was planned."""
    state = {
        "decided": reading.decided, "roster": reading.roster, "position": position, "others": sorted(others),
        "since": since.isoformat(),
    }  # fmt: skip
    keep(conn, snapshot_id, SETTLED, pairs.replace_schema_metadata({"state": orjson.dumps(state)}))


def others_of(
    conn: Connection, school: SchoolRow, people: Collection[int]
) -> list[tuple[int, str | None, str | None, str | None, list[str]]]:
    """Those of these people who are not members of the school: number, e-mail, kind of number (if it is of the school's
    connection), number without differences of spelling, and sourcedIds at the connection."""
    if not people:
        return []
    given = {"district": school.district_id, "school": school.id, "connection": school.connection.id}
    return [tuple(row) for row in conn.execute(text(OTHERS), given | {"people": number_literal(people)})]
