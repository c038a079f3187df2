"""Sets of records of a SIS, stored as bits: what a pull and a snapshot name.

A row of `pull_record` or `snapshot_record` stands for 512 ids of `sis_record`, with a bit for each. So a night that
names a hundred thousand records writes some two hundred rows, and two nights are compared bit by bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

Ids = npt.NDArray[np.int64]

SHIFT = 9
"""A block of a set holds 2 ** SHIFT ids. Migration 0037 and the SQL below say the same as numbers.

A row costs as much as the bits in it. Larger blocks would cost more where the ids of a school are far apart, after many
nights with a few changes each.
"""
BLOCK_BYTES = 2**SHIFT // 8
WITHIN = 2**SHIFT - 1
STORED = np.dtype([("block", ">i8"), ("bits", np.uint8, BLOCK_BYTES)])

NAMED = "block = {id} >> 9 and get_bit(bits, {id} & 511) = 1"
"""Condition on a row of a set: it names the record with this id."""
RECORDS = """cross join lateral (
    select * from sis_record
    where id between {set}.block << 9 and ({set}.block << 9) + 511 and get_bit({set}.bits, id & 511) = 1 offset 0
)"""
"""All records that a row of a set names, read in the order of their ids. `offset 0` keeps the planner, which knows
nothing about tonight's sets, from joining everybody with everybody."""

AS_BYTES = "select string_agg(int8send(id), ''::bytea) from ({query}) found"


@dataclass(frozen=True, eq=False)
class RecordSet:
    """Ids of records. blocks: the numbers of the blocks that have one, sorted. bits: one row of BLOCK_BYTES for each,
    lowest first.

    `&`, `|` and `-` are those of sets. Python's truth value of a set is whether it has a record.
    """

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
        return "{" + ",".join(map(str, self.ids.tolist())) + "}"

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
    """The records of a query whose column is `id`.

    of: sets whose ids the query takes as a bigint[]. If they are empty, so is what a query of them finds.
    """
    if of and not any(map(len, of.values())):
        return RecordSet.of([])
    literals = {name: records.literal for name, records in of.items()}
    found = conn.scalar(text(AS_BYTES.format(query=query)), {**given, **literals})
    return RecordSet.of(np.frombuffer(found or b"", ">i8"))


def of_pull(conn: Connection, pull_id: int) -> RecordSet:
    """The records that a pull names."""
    return of_pulls(conn, pull_id)[pull_id]


def of_pulls(conn: Connection, *pull_ids: int) -> Mapping[int, RecordSet]:
    """The records that each of these pulls names."""
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
