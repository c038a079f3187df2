"""The records of a SIS. Each is stored once in `sis_record`, even if it came often. Its key is its content.

A pull and a snapshot only name their records, by a bit for each (`record_sets`). If a record is the same as last night,
no new payload is stored. A changed record is a new row; the old row stays.

A lock keeps named records from being deleted: a transaction that names records holds it until the commit, and pruning
(which deletes records that nothing names) does not run at the same time. Erasing a person deletes their records in any
case.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import repeat
from struct import Struct
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import defstruct, field
from sqlalchemy import Connection, text

from roster_pipeline.directory.locks import lock_until_commit_shared, try_lock_until_commit
from roster_pipeline.directory.pg_copy import copy_rows, json_bytes, text_array
from roster_pipeline.directory.record_sets import NAMED, RECORDS, Ids, KnownRecords, Recognises, RecordSet, name_in_pull
from roster_pipeline.vocabulary import LONGEST_ID

Kind = Literal["org", "user"]
Keys = npt.NDArray[np.uint64]
_Written = tuple[Mapping[str, Any], bytes]
"""A record with its document."""
CHUNK = 1000
"""How many records are searched and stored at once."""
FEW = 0.1
"""Up to this share of the recognised records, the others are searched one by one in place of reading `LAST_NAMED`."""
STUDENT = "student"
MOST_ORGS = 10_000
"""How many combinations of roles and orgs are remembered."""

OF_CONNECTION = """
select p.connection_id, exists (select from sis_record r where r.connection_id = p.connection_id) as has_records
from pull p where p.id = :pull
"""
NEW_ID = "-nextval((select cast(pg_get_serial_sequence('sis_record', 'id') as regclass)))"
"""A new id, below zero. The subquery finds the sequence once, because that takes longer than finding a record."""
IDS = f"""
select string_agg(int8send(coalesce(r.id, {NEW_ID})), ''::bytea order by n)
from unnest(cast(:ids as text[]), cast(:hashes as uuid[])) with ordinality g (sourced_id, hash, n)
left join lateral (
    select id from sis_record where connection_id = :connection and kind = :kind
        and sourced_id = g.sourced_id and content_hash = g.hash limit 1
) r on true
"""  # noqa: S608
"""The id of each stored record, and a new id for each that must be stored: one value, not many rows."""
NEW_IDS = f"select string_agg(int8send({NEW_ID}), ''::bytea) from generate_series(1, :count)"  # noqa: S608
BY_INDEX = "set local enable_seqscan = off"
"""After a page or two of a first pull, PostgreSQL would always plan to read the whole table."""
HASH_BYTES = 16
_HASH = np.dtype([("key", ">u8"), ("rest", ">u8")])
_LAST = np.dtype([*_HASH.descr, ("id", ">i8")])
LAST_NAMED = f"""
select string_agg(uuid_send(r.content_hash) || int8send(r.id), ''::bytea)
from pull_record p {RECORDS.format(set="p")} r
where p.pull_id = (
    select last.id from pull now join pull last on last.connection_id = now.connection_id
    where now.id = :pull and last.finished_at is not null
    order by last.scope = now.scope desc, last.id desc limit 1
)
"""  # noqa: S608
"""The last pull's hashes and ids of records as one value (`_LAST`): nearly all are known again."""
COLUMNS = ("id", "connection_id", "kind", "content_hash", "student", "sourced_id", "orgs", "agents", "payload")
_FIXED = {kind: Struct(f">hiqiqi{len(kind)}si{HASH_BYTES}si?i").pack for kind in ("org", "user")}
"""A row of binary COPY up to `sourced_id`: number of columns, then length and value of each."""
_LENGTH = Struct(">i").pack
_NONE = text_array(())
_LISTS = ("roles", "grades", "agents", "userIds")
_USER = (
    "sourcedId", "status", "dateLastModified", "username", "identifier", "userMasterIdentifier", "givenName",
    "familyName", "middleName", "preferredFirstName", "preferredMiddleName", "preferredLastName", "email", "sms",
    "phone", "enabledUser", *_LISTS, "metadata",
)  # fmt: skip
"""The members of most users, in this order."""
_User: Any = defstruct(
    "_User",
    [(name, Any, field(default_factory=list) if name in _LISTS else None) for name in _USER[:-1]]
    + [(_USER[-1], Any, field(default_factory=dict))],
    omit_defaults=True,
    gc=False,
)
"""Leaves members without a value out of the JSON, in half of the time that Python takes."""

UNNAMED = f"""
delete from sis_record r where r.connection_id = :connection
  and not exists (select from pull_record where {NAMED.format(id="r.id")})
  and not exists (select from snapshot_record where {NAMED.format(id="r.id")})
"""  # noqa: S608


class RecordWriter:
    """Names the records of a pull and stores new ones; then `finish`. reader: recognises those of the last pull."""

    def __init__(self, conn: Connection, pull_id: int, reader: Recognises | None = None) -> None:
        self._conn = conn
        self._pull = pull_id
        self._waiting: dict[Kind, list[tuple[Mapping[str, Any], bytes | None]]] = {"org": [], "user": []}
        conn.execute(text(BY_INDEX))
        self._connection, has_records = conn.execute(text(OF_CONNECTION), {"pull": pull_id}).one()
        keep_records(conn, self._connection)
        self._marks = KnownRecords(conn, pull_id, reader)
        self._first = not has_records
        self._stored = _StoredIds() if self._first else None
        self._recognised = self._searched = 0
        self._named = [np.zeros(0, np.int64)]

    def add(
        self,
        kind: Kind,
        records: Sequence[Mapping[str, Any]],
        marks: Sequence[bytes | None] = (),
        known: Sequence[int] = (),
    ) -> None:
        """Normalised records, with marks or without, and places of known marks. Needs the memory of one page."""
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
        documents = [document(kind, record) for record, _ in waiting]
        hashes = [content_hash(each) for each in documents]
        by_hash = {found: (record, each) for found, (record, _), each in zip(hashes, waiting, documents, strict=True)}
        ids = self._ids_of(kind, by_hash)
        self._named.append(np.array(list(ids.values()), np.int64))
        marked = [(mark, ids[found]) for found, (_, mark) in zip(hashes, waiting, strict=True) if mark is not None]
        if marked:
            self._marks.add([mark for mark, _ in marked], np.array([one for _, one in marked], np.int64))

    def _ids_of(self, kind: Kind, by_hash: Mapping[bytes, _Written]) -> dict[bytes, int]:
        """The id of each record by its hash. Those that are not stored yet are stored."""
        self._searched += len(by_hash)
        if self._stored is None and self._searched > self._recognised * FEW:
            last = self._conn.scalar(text(LAST_NAMED), {"pull": self._pull}) or b""
            self._stored = _StoredIds(np.frombuffer(last, _LAST))
        ids = self._stored.ids_of(list(by_hash)) if self._stored is not None else {}
        rest = [found for found in by_hash if found not in ids]
        if rest:
            found = self._searched_ids(kind, rest, by_hash)
            ids.update(zip(rest, np.abs(found).tolist(), strict=True))
            missing = [
                self._row(kind, -n, one, *by_hash[one]) for n, one in zip(found.tolist(), rest, strict=True) if n < 0
            ]
            if missing:
                copy_rows(self._conn, "sis_record", COLUMNS, missing)
        return ids

    def _searched_ids(self, kind: Kind, hashes: list[bytes], by_hash: Mapping[bytes, _Written]) -> Ids:
        """The ids of stored records, and new ids, below zero, of the others."""
        if self._stored is not None and self._first:
            found = np.frombuffer(self._conn.scalar(text(NEW_IDS), {"count": len(hashes)}), ">i8").astype(np.int64)
            self._stored.add(hashes, -found)
            return found
        given = {
            "ids": [_sourced_id(by_hash[one][0]) for one in hashes],
            "hashes": "{" + ",".join(map(bytes.hex, hashes)) + "}",
            "kind": kind,
            "connection": self._connection,
        }
        return np.frombuffer(self._conn.scalar(text(IDS), given), ">i8").astype(np.int64)

    def _row(self, kind: Kind, record_id: int, found: bytes, record: Mapping[str, Any], written: bytes) -> bytes:
        """One record for COPY."""
        agents = record.get("agents")
        orgs, student = _orgs(tuple([(role.get("role"), role.get("org")) for role in record.get("roles") or ()]))
        sourced_id = _sourced_id(record).encode()
        return b"".join(
            (
                _FIXED[kind](
                    len(COLUMNS), 8, record_id, 8, self._connection, len(kind), kind.encode(), HASH_BYTES, found,
                    1, student, len(sourced_id),
                ),
                sourced_id,
                orgs,
                text_array(_indexed(agents)) if agents else _NONE,
                _LENGTH(len(written)),
                written,
            )
        )  # fmt: skip


class _StoredIds:
    """The ids of records by their hashes, in sorted runs that are merged as they grow. last: rows of `_LAST`."""

    def __init__(self, last: npt.NDArray[Any] | None = None) -> None:
        self._runs: list[tuple[Keys, Keys, Ids]] = []
        if last is not None and len(last):
            self._merge(last["key"].astype(np.uint64), last["rest"].astype(np.uint64), last["id"].astype(np.int64))

    def add(self, hashes: Sequence[bytes], ids: Ids) -> None:
        """Remember the ids of more records."""
        self._merge(*_keys(hashes), ids)

    def ids_of(self, hashes: Sequence[bytes]) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        if not hashes:
            return found
        key, rest = _keys(hashes)
        for keys, rests, ids in self._runs:
            places = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            same = np.flatnonzero((keys[places] == key) & (rests[places] == rest))
            found.update(zip([hashes[place] for place in same.tolist()], ids[places[same]].tolist(), strict=True))
        return found

    def _merge(self, *run: npt.NDArray[Any]) -> None:
        while self._runs and len(self._runs[-1][0]) <= len(run[0]) * 2:
            run = tuple(map(np.concatenate, zip(self._runs.pop(), run, strict=True)))
        order = np.argsort(run[0], kind="stable")
        key, rest, ids = (each[order] for each in run)
        self._runs.append((key, rest, ids))


def _keys(hashes: Sequence[bytes]) -> tuple[Keys, Keys]:
    """Both halves of each hash."""
    given = np.frombuffer(b"".join(hashes), _HASH)
    return given["key"].astype(np.uint64), given["rest"].astype(np.uint64)


def _sourced_id(record: Mapping[str, Any]) -> str:
    """The id as it is stored: PostgreSQL can hold no NUL."""
    sourced_id = str(record["sourcedId"])
    return sourced_id.replace("\0", "") if "\0" in sourced_id else sourced_id


@lru_cache(MOST_ORGS)
def _orgs(roles: tuple[tuple[str | None, str | None], ...]) -> tuple[bytes, bool]:
    """The orgs of these roles for COPY, and whether one is student; few combinations occur."""
    return text_array(_indexed(org for _, org in roles)), any(role == STUDENT for role, _ in roles)


def _indexed(references: Iterable[str | None]) -> dict[str, None]:
    """The distinct references for the index. Longer ones are left out: no id is longer, and the index refuses them."""
    return dict.fromkeys(each for each in references if each and len(each) <= LONGEST_ID)


def document(kind: Kind, record: Mapping[str, Any]) -> bytes:
    """The JSON of a record, as it is stored. Members of a user without a value are left out."""
    if kind == "org":
        return json_bytes(record)
    if tuple(record) == _USER:
        return json_bytes(_User(*record.values()))
    return json_bytes({name: value for name, value in record.items() if value or value == 0})


def content_hash(written: bytes) -> bytes:
    """128 bits of a digest of a record's document. Migration 0044 says the same in SQL."""
    return sha256(written).digest()[:HASH_BYTES]


def keep_records(conn: Connection, connection_id: int) -> None:
    """Keep a connection's records from being pruned until the transaction ends; call it before naming some."""
    lock_until_commit_shared(conn, f"records {connection_id}")


def prune_records(conn: Connection, connection_id: int) -> int:
    """Delete the records of a connection that no pull and no snapshot names. Returns how many. While a pull or a
    snapshot of the connection is being stored, nothing is deleted: the next night does it."""
    if not try_lock_until_commit(conn, f"records {connection_id}"):
        return 0
    return conn.execute(text(UNNAMED), {"connection": connection_id}).rowcount
