"""What the next pull of a connection recognises: a mark for each record of the newest pull, with the id of the record.

The reader makes the marks and knows what they mean (`oneroster.records.known_users`). They are kept as one value, which
moves from pull to pull: the marks of a pull that nothing was changed in are not even written again.

An id must not outlive its record. The marks belong to a pull, whose records are not pruned. An erasure deletes the
marks of the district. A pull that runs at the same time changes the row that it has read, and writes nothing if that is
gone; only a pull that found none adds a row, after it has looked whether all of its records are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from roster_pipeline.directory.locks import lock_until_commit, lock_until_commit_shared
from roster_pipeline.directory.record_sets import RECORDS

Ids = npt.NDArray[np.int64]
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


class Recognises(Protocol):
    """Recognises records of the last pull by its marks. context: a digest of what the new marks depend on."""

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
            lock_until_commit_shared(self._conn, _lock_name(self._district))
            self._conn.execute(text(ADD), given | {"named": named})


def forget(conn: Connection, district_id: int) -> None:
    """Delete the marks of a district, also those of a pull that is just being stored. Call it before records are
    deleted."""
    lock_until_commit(conn, _lock_name(district_id))
    conn.execute(text(FORGET), {"district": district_id})


def _lock_name(district_id: int) -> str:
    return f"known records {district_id}"
