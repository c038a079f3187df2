"""The records of a SIS. Each is stored once in `sis_record`, even if it came often. Its key is its content.

A pull and a snapshot only name their records, by a bit for each (`record_sets`). If a record is the same as last night,
no new payload is stored. A changed record is a new row; the old row stays.

A lock makes sure that no name loses its record. A transaction that names records holds it until the commit. Pruning,
which deletes records without a name, does not run at the same time. Erasing a person deletes their records in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection, text

from roster_pipeline.directory.locks import lock_until_commit_shared, try_lock_until_commit
from roster_pipeline.directory.pg_copy import array_literal, copy_lines, escaped, json_bytes
from roster_pipeline.directory.record_sets import NAMED, RECORDS, KnownRecords, Recognises, RecordSet, name_in_pull
from roster_pipeline.vocabulary import LONGEST_ID

Kind = Literal["org", "user"]
CHUNK = 1000
"""How many records are looked for and stored at once."""
FEW = 0.1
"""Up to this share of the recognised records, the others are searched one by one in place of reading `LAST_NAMED`."""
STUDENT = "student"
MOST_ORGS = 10_000
"""How many combinations of roles and orgs are remembered."""

IDS = """
select string_agg(
    int8send(coalesce(r.id, -nextval((select cast(pg_get_serial_sequence('sis_record', 'id') as regclass))))),
    ''::bytea order by n
)
from unnest(cast(:hashes as uuid[])) with ordinality g (hash, n) left join lateral (
    select id from sis_record where connection_id = :connection and content_hash = g.hash limit 1
) r on true
"""
"""The id of each stored record, and a new id, below zero, for each that must be stored: one value, not many rows. The
subquery looks for the sequence once. To look for it takes longer than to look for a record."""
BY_INDEX = "set local enable_seqscan = off"
"""The statement is planned when a first pull has stored only a page or two. Such a plan would always read the whole
table."""
HASH = np.dtype([("key", ">u8"), ("rest", ">u8")])
LAST = np.dtype([*HASH.descr, ("id", ">i8")])
LAST_NAMED = f"""
select string_agg(uuid_send(r.content_hash) || int8send(r.id), ''::bytea)
from pull_record p {RECORDS.format(set="p")} r
where p.pull_id = (
    select last.id from pull now join pull last on last.connection_id = now.connection_id
    where now.id = :pull and last.finished_at is not null
    order by last.scope = now.scope desc, last.id desc limit 1
)
"""  # noqa: S608
"""The last pull's hashes and ids of records as one value, in the form of `LAST`: nearly all records are the same as in
the last night, and so are known without a search for each."""
COLUMNS = ("id", "connection_id", "kind", "sourced_id", "content_hash", "student", "orgs", "agents", "payload")

UNNAMED = f"""
delete from sis_record r where r.connection_id = :connection
  and not exists (select from pull_record where {NAMED.format(id="r.id")})
  and not exists (select from snapshot_record where {NAMED.format(id="r.id")})
"""  # noqa: S608


class RecordWriter:
    """Names the records of one pull, and stores those that are new. Call `finish` at the end.

    reader: recognises records of the last pull.
    """

    def __init__(self, conn: Connection, pull_id: int, reader: Recognises | None = None) -> None:
        self._conn = conn
        self._pull = pull_id
        self._waiting: dict[Kind, list[tuple[Mapping[str, Any], bytes | None]]] = {"org": [], "user": []}
        self._connection = int(
            conn.scalar(text("select connection_id from pull where id = :pull"), {"pull": pull_id}) or 0
        )
        keep_records(conn, self._connection)
        conn.execute(text(BY_INDEX))
        self._marks = KnownRecords(conn, pull_id, reader)
        self._last: _LastNamed | None = None
        self._recognised = self._searched = 0
        self._named = [np.zeros(0, np.int64)]

    def add(
        self,
        kind: Kind,
        records: Sequence[Mapping[str, Any]],
        marks: Sequence[bytes | None] = (),
        known: Sequence[int] = (),
    ) -> None:
        """Normalised records, with a mark for each or with no marks; and the places of the marks of known records.

        Records are written in chunks, so this needs the memory of only one page.
        """
        self._recognised += len(known)
        self._named.append(self._marks.recognised(known))
        waiting = self._waiting[kind]
        waiting.extend(zip(records, marks or repeat(None)))  # noqa: B905 - no marks are marks of None
        if len(waiting) >= CHUNK:
            self._write(kind)

    def finish(self) -> None:
        """Write the records that still wait, the names of all, and their marks."""
        for kind in self._waiting:
            self._write(kind)
        named = RecordSet.of(np.concatenate(self._named))
        name_in_pull(self._conn, self._pull, named)
        self._marks.write(len(named))

    def _write(self, kind: Kind) -> None:
        waiting, self._waiting[kind] = self._waiting[kind], []
        hashes = [content_hash(record) for record, _ in waiting]
        by_hash = {found: record for found, (record, _) in zip(hashes, waiting, strict=True)}
        ids = self._ids_of(kind, by_hash)
        self._named.append(np.array(list(ids.values()), np.int64))
        marked = [(mark, ids[found]) for found, (_, mark) in zip(hashes, waiting, strict=True) if mark is not None]
        if marked:
            self._marks.add([mark for mark, _ in marked], np.array([one for _, one in marked], np.int64))

    def _ids_of(self, kind: Kind, by_hash: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """The id of each record by its hash. Those that are not stored yet are stored."""
        self._searched += len(by_hash)
        if self._last is None and self._searched > self._recognised * FEW:
            self._last = _LastNamed(self._conn, self._pull)
        ids = self._last.ids_of(list(by_hash)) if self._last is not None else {}
        rest = [found for found in by_hash if found not in ids]
        if rest:
            given = {"hashes": "{" + ",".join(rest) + "}", "connection": self._connection}
            found = np.frombuffer(self._conn.scalar(text(IDS), given), ">i8").tolist()
            ids.update(zip(rest, map(abs, found), strict=True))
            missing = [self._line(kind, -n, one, by_hash[one]) for n, one in zip(found, rest, strict=True) if n < 0]
            if missing:
                copy_lines(self._conn, "sis_record", COLUMNS, ["".join(missing).encode()])
        return ids

    def _line(self, kind: Kind, record_id: int, found: str, record: Mapping[str, Any]) -> str:
        """One record for COPY. Members without a value are left out."""
        agents = record.get("agents")
        orgs, student = _orgs(tuple([(role.get("role"), role.get("org")) for role in record.get("roles") or ()]))
        named = escaped(array_literal(_indexed(agents))) if agents else "{}"
        filled = {name: value for name, value in record.items() if value or value is False}
        payload = json_bytes(filled if kind == "user" else record).decode()
        if "\\" in payload:
            payload = payload.replace("\\", "\\\\")
        sourced_id = escaped(record["sourcedId"])
        return (
            f"{record_id}\t{self._connection}\t{kind}\t{sourced_id}\t{found}\t{student}\t{orgs}\t{named}\t{payload}\n"
        )


class _LastNamed:
    """The ids of the records that the last pull named, by their hashes."""

    def __init__(self, conn: Connection, pull_id: int) -> None:
        last = np.frombuffer(conn.scalar(text(LAST_NAMED), {"pull": pull_id}) or b"", LAST)
        last = last[np.argsort(last["key"])]
        self._keys, self._rests = last["key"].astype(np.uint64), last["rest"].astype(np.uint64)
        self._ids = last["id"].astype(np.int64)

    def ids_of(self, hashes: Sequence[str]) -> dict[str, int]:
        """The ids of those that the last pull named."""
        if not len(self._keys) or not hashes:
            return {}
        given = np.frombuffer(bytes.fromhex("".join(hashes)), HASH)
        keys = given["key"].astype(np.uint64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        same = (self._keys[places] == keys) & (self._rests[places] == given["rest"])
        found = np.flatnonzero(same)
        return dict(zip([hashes[place] for place in found.tolist()], self._ids[places[found]].tolist(), strict=True))


@lru_cache(MOST_ORGS)
def _orgs(roles: tuple[tuple[str | None, str | None], ...]) -> tuple[str, str]:
    """The orgs of these roles with their orgs, for COPY, and whether one of them is student. Few users have others than
    many more."""
    orgs = escaped(array_literal(_indexed(org for _, org in roles)))
    return orgs, "t" if any(role == STUDENT for role, _ in roles) else "f"


def _indexed(references: Iterable[str | None]) -> dict[str, None]:
    """The distinct references by which a record is searched. No id is longer, and the index takes nothing longer."""
    return dict.fromkeys(each for each in references if each and len(each) <= LONGEST_ID)


def content_hash(record: Mapping[str, Any]) -> str:
    """128 bits of a digest of a record, as 32 hexadecimal digits. Equal records have equal hashes."""
    return blake2b(json_bytes(record), digest_size=16).hexdigest()


def keep_records(conn: Connection, connection_id: int) -> None:
    """Keep the records of a connection from being pruned until the transaction ends.

    Call it before you name records.
    """
    lock_until_commit_shared(conn, f"records {connection_id}")


def prune_records(conn: Connection, connection_id: int) -> int:
    """Delete the records of a connection that no pull and no snapshot names. Returns how many.

    While a pull or a snapshot of the connection is being stored, nothing is deleted: the next night does it.
    """
    if not try_lock_until_commit(conn, f"records {connection_id}"):
        return 0
    return conn.execute(text(UNNAMED), {"connection": connection_id}).rowcount
