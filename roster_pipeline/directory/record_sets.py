"""Sets of records of a SIS, stored as bits: the records of a pull or snapshot, and those that the next pull recognises.

A row of `pull_record` or `snapshot_record` stands for 512 ids of `sis_record`, with a bit for each. So a night that
names a hundred thousand records writes some two hundred rows, and two nights are compared bit by bit.

`KnownRecords` has a mark for each record of the newest pull, with the id of the record. The reader makes the marks and
knows what they mean (`oneroster.records.known_users`). They are one value, which moves from pull to pull; if nothing
changed, it is not written again. An id must not outlive its record: the records of the newest pull are not pruned, and
an erasure deletes the marks of the district. A pull that runs at the same time updates the row that it has read, and
writes nothing if that row is gone. A pull that found no row adds one only if all of its records still exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from roster_pipeline.directory.locks import block_erasure
from roster_pipeline.directory.pg_copy import number_literal

Ids = npt.NDArray[np.int64]

SHIFT = 9
"""A block of a set holds 2 ** SHIFT ids; the schema and the SQL below have the number written out. A row costs as much
as the bits in it, and larger blocks cost more if a school's ids are far apart, as after many nights."""
BLOCK_BYTES = 2**SHIFT // 8
WITHIN = 2**SHIFT - 1
STORED = np.dtype([("block", ">i8"), ("bits", np.uint8, BLOCK_BYTES)])

NAMED = "block = {id} >> 9 and get_bit(bits, {id} & 511) = 1"
"""Condition on a row of a set: it names the record with this id."""
RECORDS = """cross join lateral (
    select * from sis_record
    where id between {set}.block << 9 and ({set}.block << 9) + 511 and get_bit({set}.bits, id & 511) = 1 offset 0
)"""
"""All records that a row of a set names, read in the order of their ids. `offset 0` keeps PostgreSQL, which has no
statistics of new sets, from joining everybody with everybody."""

MARK_BYTES = 18
ROW = np.dtype([("mark", f"V{MARK_BYTES}"), ("id", "<i8")])

NEWEST = """
select p.district_id, k.pull_id, k.context, k.marks from pull p left join lateral (
    select k.* from pull o join known_record k on k.pull_id = o.id
    where o.connection_id = p.connection_id and o.scope = p.scope and o.finished_at is not null
    order by o.id desc limit 1
) k on true where p.id = :pull
"""
MOVE = "update known_record set pull_id = :pull where pull_id = :last"
REPLACE = "update known_record set pull_id = :pull, context = :context, marks = :marks where pull_id = :last"
ADD = f"""
insert into known_record (pull_id, district_id, context, marks)
select :pull, :district, :context, :marks
where :named = (select count(*) from pull_record p {RECORDS.format(set="p")} r where p.pull_id = :pull)
"""  # noqa: S608
FORGET = "delete from known_record where district_id = :district"

AS_BYTES = "select string_agg(int8send(id), ''::bytea) from ({query}) found"


@dataclass(frozen=True, eq=False)
class RecordSet:
    """Ids of records. blocks: the numbers of the blocks that have one, sorted. bits: one row of BLOCK_BYTES for each,
    lowest first. `&`, `|` and `-` are those of sets. Python's truth value of a set is whether it has a record."""

    blocks: Ids
    bits: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, ids: npt.ArrayLike) -> RecordSet:
        """The set of these ids, in any order."""
        given = np.asarray(ids, np.int64)
        blocks, place = np.unique(given >> SHIFT, return_inverse=True)
        flags = np.zeros((len(blocks), WITHIN + 1), np.uint8)
        flags[place, given & WITHIN] = 1
        return cls(blocks, np.packbits(flags, axis=1, bitorder="little"))

    @property
    def ids(self) -> Ids:
        """The ids, sorted."""
        place = np.flatnonzero(np.unpackbits(self.bits, bitorder="little").view(np.bool_))
        found: Ids = (self.blocks[place >> SHIFT] << SHIFT) | (place & WITHIN)
        return found

    @property
    def literal(self) -> str:
        """The ids as a bigint[] of PostgreSQL."""
        return number_literal(self.ids.tolist())

    def __len__(self) -> int:
        return int(np.bitwise_count(self.bits).sum())

    def __and__(self, other: RecordSet) -> RecordSet:
        blocks, ours, theirs = np.intersect1d(self.blocks, other.blocks, assume_unique=True, return_indices=True)
        return _without_empty(blocks, self.bits[ours] & other.bits[theirs])

    def __sub__(self, other: RecordSet) -> RecordSet:
        _, ours, theirs = np.intersect1d(self.blocks, other.blocks, assume_unique=True, return_indices=True)
        bits = self.bits.copy()
        bits[ours] &= ~other.bits[theirs]
        return _without_empty(self.blocks, bits)

    def __or__(self, other: RecordSet) -> RecordSet:
        blocks = np.union1d(self.blocks, other.blocks)
        bits = np.zeros((len(blocks), BLOCK_BYTES), np.uint8)
        for each in (self, other):
            bits[np.searchsorted(blocks, each.blocks)] |= each.bits
        return RecordSet(blocks, bits)


def _without_empty(blocks: Ids, bits: npt.NDArray[np.uint8]) -> RecordSet:
    """The set without the blocks in which no bit is left."""
    filled = bits.any(axis=1)
    return RecordSet(blocks[filled], bits[filled])


def read_ids(conn: Connection, query: str, given: Mapping[str, Any], **of: RecordSet) -> RecordSet:
    """The records of a query with the column `id`. of: sets for its bigint[]s; empty if all are."""
    if of and not any(map(len, of.values())):
        return RecordSet.of([])
    literals = {name: records.literal for name, records in of.items()}
    found = conn.scalar(text(AS_BYTES.format(query=query)), {**given, **literals})
    return RecordSet.of(np.frombuffer(found or b"", ">i8"))


def of_pull(conn: Connection, pull_id: int) -> RecordSet:
    return of_pulls(conn, pull_id)[pull_id]


def of_pulls(conn: Connection, *pull_ids: int) -> Mapping[int, RecordSet]:
    """The records of each of these pulls."""
    return _read(conn, "pull_id as owner", "pull_record where pull_id = any(:of)", list(pull_ids))


def of_snapshot(conn: Connection, snapshot_id: int) -> Mapping[str, RecordSet]:
    """The records of a snapshot by part."""
    return _read(conn, "part as owner", "snapshot_record where snapshot_id = :of", snapshot_id)


def name_in_pull(conn: Connection, pull_id: int, records: RecordSet) -> None:
    """Let a pull name these records, and no others."""
    conn.execute(text("delete from pull_record where pull_id = :pull"), {"pull": pull_id})
    _write(conn, "pull_record (pull_id, block, bits)", ":pull, block, bits", {"": records}, pull=pull_id)


def name_in_snapshot(conn: Connection, snapshot_id: int, parts: Mapping[str, RecordSet]) -> None:
    """Let a new snapshot name these records, by part."""
    columns = "snapshot_record (snapshot_id, part, block, bits)"
    _write(conn, columns, ":snapshot, part, block, bits", parts, snapshot=snapshot_id)


def _read(conn: Connection, owner: str, source: str, of: object) -> Mapping[Any, RecordSet]:
    """The sets of some rows, by owner. Each is one value in the form of `STORED`, not many rows."""
    stored = "string_agg(int8send(block) || bits, ''::bytea order by block) as stored"
    query = f"select {owner}, {stored} from {source} group by owner"  # noqa: S608
    found: defaultdict[Any, RecordSet] = defaultdict(lambda: RecordSet.of([]))
    for row in conn.execute(text(query), {"of": of}):
        rows = np.frombuffer(row.stored, STORED)
        found[row.owner] = RecordSet(rows["block"].astype(np.int64), rows["bits"])
    return found


def _write(conn: Connection, columns: str, values: str, sets: Mapping[str, RecordSet], **given: Any) -> None:
    rows = [
        (part, block, row.tobytes())
        for part, records in sets.items()
        for block, row in zip(records.blocks.tolist(), records.bits, strict=True)
    ]
    if rows:
        parts, blocks, bits = (list(each) for each in zip(*rows, strict=True))
        source = "unnest(cast(:parts as text[]), cast(:blocks as bigint[]), cast(:bits as bytea[]))"
        statement = f"insert into {columns} select {values} from {source} named (part, block, bits)"  # noqa: S608
        conn.execute(text(statement), given | {"parts": parts, "blocks": blocks, "bits": bits})


class Recognises(Protocol):
    """Recognises records of the last pull by marks. context: a digest of what new marks depend on."""

    @property
    def context(self) -> str: ...
    def recall(self, context: str, marks: bytes) -> None: ...


class KnownRecords:
    """The marks of the last pull, and those of the pull that is being stored."""

    def __init__(self, conn: Connection, pull_id: int, reader: Recognises | None) -> None:
        last = conn.execute(text(NEWEST), {"pull": pull_id}).one()
        self._conn, self._pull, self._reader = conn, pull_id, reader
        self._district, self._last = last.district_id, last.pull_id
        self._rows = np.frombuffer(last.marks or b"", ROW)
        self._context = str(last.context or "")
        self._known: list[Ids] = []
        self._new: list[bytes] = []
        if reader is not None:
            reader.recall(self._context, self._rows["mark"].tobytes())

    def recognised(self, known: Sequence[int]) -> Ids:
        """The ids of records, by the places of their marks. The marks are kept."""
        places = np.array(known, np.int64)
        self._known.append(places)
        return self._rows["id"][places].astype(np.int64)

    def add(self, marks: Sequence[bytes], ids: Ids) -> None:
        """Keep the marks of these records."""
        rows = np.empty(len(marks), ROW)
        rows["mark"] = np.frombuffer(b"".join(marks), ROW["mark"])
        rows["id"] = ids
        self._new.append(rows.tobytes())

    def write(self, named: int) -> None:
        """Write the marks for the next pull. named: how many records the pull names."""
        places = np.unique(np.concatenate(self._known)) if self._known else np.zeros(0, np.int64)
        if self._reader is None or not (len(places) or self._new):
            return
        given = {"pull": self._pull, "last": self._last, "district": self._district, "context": self._reader.context}
        if not self._new and len(places) == len(self._rows) and self._context == self._reader.context:
            self._conn.execute(text(MOVE), given)
            return
        given["marks"] = b"".join([self._rows[places].tobytes(), *self._new])
        if self._last is not None:
            self._conn.execute(text(REPLACE), given)
        else:
            block_erasure(self._conn, self._district)
            self._conn.execute(text(ADD), given | {"named": named})


def forget(conn: Connection, district_id: int) -> None:
    """Delete the marks of a district, also of a pull being stored, before its records are deleted. Call it under the
    lock of an erasure."""
    conn.execute(text(FORGET), {"district": district_id})
