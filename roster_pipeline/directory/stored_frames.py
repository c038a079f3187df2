"""Frames of a school, each stored as one value, so that a later step or night does not build them from rows again.

Any school has its last plan, if it changed nobody. A large school has three more: its SIS records as columns, with
their ids; its newest cleaned roster; and the settled pairs of its last plan. `plan_reuse` has both kinds of plans.
Records and roster are in `sis_record` and `roster_row` too, and without settled pairs everybody is planned, so a
missing frame only costs time. A record is stored once and never changed, so the columns of an earlier night are right
for every id that a snapshot still names.

A value is a stream of Arrow, compressed. Erasing a person deletes those of the district. The erasure also removes
`chosen` from the counts of its snapshots, so a step that read a snapshot before stores no frame of it.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, text

from roster_pipeline import code_version
from roster_pipeline.directory.pg_copy import Kind, driver, one_array, values_of

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
