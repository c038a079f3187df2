"""Pulls: everything one connection answered in one night, shared by its schools. A pull is stored in one transaction
while its pages come in, so it needs the memory of only one page, and a pull that broke off leaves nothing behind."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Text, cast, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.locks import session_lock, take_ahead
from roster_pipeline.directory.pg_copy import copy_lines, escaped
from roster_pipeline.directory.record_sets import NAMED, RECORDS, Recognises
from roster_pipeline.directory.sis_records import Kind, RecordWriter
from roster_pipeline.directory.tables import pull, pull_record
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.errors import LOST_COLUMNS

KEPT_PULLS = 2
"""How many pulls of a connection are kept: tonight's, and the one before, for people who look into a difference.
Snapshots keep everything else. The newest complete pull is kept too, because deltas build on it."""

BROKEN_AFTER = "interval '2 days'"
SAME_NIGHT = "interval '1 day'"
"""Age limit of a shared pull. A run with the tag of an older pull is a re-execution by hand."""

IN_PULL = (
    f"cross join lateral (select from pull_record where pull_id = :pull and {NAMED.format(id='r.id')} offset 0) named"
)
"""Keeps the records `r` that belong to the pull. Each needs one index look-up. `offset 0`, here and in other queries,
makes sure of that. Without statistics of a new pull, PostgreSQL expects a few rows and would join everybody with
everybody."""
REJECT_FIELDS = ("sourcedId", "collection", "field", "rule", "severity")
REJECT_COLUMNS = ("pull_id", "sourced_id", "collection", "field", "rule", "severity")


class Batch(Protocol):
    """One page: `kind` is "org" or "user", the records are normalised. marks: for each record the mark that recognises
    it in the next pull, or None; empty if no record has one. known: the places of the marks of records that the last
    pull already stored."""

    @property
    def kind(self) -> Kind: ...
    @property
    def records(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def rejects(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def marks(self) -> Sequence[bytes | None]: ...
    @property
    def known(self) -> Sequence[int]: ...


class PullGone(DirectoryError):
    """The pull was never finished, or was pruned."""

    def __init__(self, pull_id: int) -> None:
        super().__init__(
            f"The pull {pull_id} is not there, or was not finished.",
            "Sync the school again; that fetches everything again.",
        )


@contextmanager
def pull_lock(database: Database, connection_id: int, batch: str) -> Iterator[None]:
    """The lock of the one run that fetches for a batch. The other runs wait for it, and then find the pull finished."""
    with session_lock(database, _lock_name(connection_id, batch)):
        yield


@contextmanager
def turn_to_pull(database: Database, connection_id: int, batch: str, scopes: Sequence[str]) -> Iterator[bool]:
    """Whether this process may run a school now without waiting for the pull of another one. True if the batch's pull
    of one of these scopes is there, or if nobody fetches it. In the second case, this process holds `pull_lock` until
    it has used it, or until the block ends."""
    if database.call(finished, connection_id, batch, scopes) is not None:
        yield True
        return
    with take_ahead(database, _lock_name(connection_id, batch)) as free:
        yield free


def _lock_name(connection_id: int, batch: str) -> str:
    return f"pull {connection_id} {batch}"


def finished(conn: Connection, connection_id: int, batch: str, scopes: Sequence[str]) -> int | None:
    """The batch's finished pull of one of these scopes, if it is not `overtaken`. The first scope that has one
    counts."""
    of_batch = (pull.c.connection_id == connection_id, pull.c.batch == batch, pull.c.finished_at.is_not(None))
    found = {row.scope: int(row.id) for row in conn.execute(select(pull.c.scope, pull.c.id).where(*of_batch))}
    of_scopes = ((scope, found[scope]) for scope in scopes if scope in found)
    return next((one for scope, one in of_scopes if not overtaken(conn, connection_id, one, scope)), None)


def claim(conn: Connection, connection: ConnectionRow, batch: str, scope: str = "") -> tuple[int, bool]:
    """The batch's pull, and whether it must be fetched now. Call this while you hold `pull_lock`. A pull that was begun
    and never finished is removed, because its run died. A pull that is older than a day, or that a newer pull has
    overtaken, is not read again; otherwise older data would replace newer data. It stays as a base, under another
    batch."""
    there = finished(conn, connection.id, batch, [scope])
    if there is not None:
        return there, False
    same = (pull.c.connection_id == connection.id, pull.c.batch == batch, pull.c.scope == scope)
    _drop(conn, *same, pull.c.finished_at.is_(None))
    conn.execute(update(pull).where(*same).values(batch=pull.c.batch + " until " + cast(pull.c.id, Text)))
    begun = insert(pull).values(
        district_id=connection.district_id, connection_id=connection.id, batch=batch, scope=scope
    )
    return int(conn.execute(begun.returning(pull.c.id)).scalar_one()), True


def overtaken(conn: Connection, connection_id: int, pull_id: int, scope: str) -> bool:
    """Whether a pull is older than a day, or whether a pull that began later has finished (a pull of the whole
    connection, or of the same scope)."""
    newer = select(pull.c.id).where(
        pull.c.connection_id == connection_id,
        pull.c.id > pull_id,
        pull.c.finished_at.is_not(None),
        pull.c.scope.in_(("", scope)),
    )
    old = select(pull.c.id).where(pull.c.id == pull_id, pull.c.finished_at < func.now() - text(SAME_NIGHT))
    return bool(conn.scalar(select(newer.exists() | old.exists())))


def store(database: Database, pull_id: int, batches: Iterable[Batch], reader: Recognises | None = None) -> None:
    """Store every page of a pull in one transaction. reader: the reader of the batches, if it recognises records of the
    last pull. If iterating over `batches` raises, the caller gets that exception. A page is written in a thread, while
    the next one is made."""
    rejects: list[bytes] = []
    with database.begin() as conn:
        records = RecordWriter(conn, pull_id, reader)
        written: list[Future[None]] = []
        with ThreadPoolExecutor(1) as thread:
            for batch in batches:
                for reject in batch.rejects:
                    values = (reject.get(name) for name in REJECT_FIELDS)
                    fields = ("\\N" if value is None else escaped(str(value)) for value in values)
                    rejects.append("\t".join((str(pull_id), *fields)).encode() + b"\n")
                if written:
                    written.pop().result()
                written.append(thread.submit(records.add, batch.kind, batch.records, batch.marks, batch.known))
        for last in written:
            last.result()
        records.finish()
        copy_lines(conn, "pulled_reject", REJECT_COLUMNS, rejects)


def finish(
    conn: Connection,
    pull_id: int,
    proof: Mapping[str, Any],
    *,
    written_at: datetime | None = None,
    unchanged_since: datetime | None = None,
) -> None:
    """Say that a pull has ended. `proof` says how complete it is. Older pulls of the connection are dropped, and only
    the newest keeps the order of its rows. written_at: the time at which the bundle counts as written. unchanged_since:
    since when the source says the same."""
    values = {"complete": bool(proof["complete"]), "mode": str(proof["mode"]), "proof": dict(proof)}
    values |= {"finished_at": func.now(), "written_at": written_at, "unchanged_since": unchanged_since}
    done = update(pull).where(pull.c.id == pull_id).values(values)
    owner = conn.execute(done.returning(pull.c.connection_id, pull.c.scope)).first()
    if owner is None:
        raise PullGone(pull_id)
    of_scope = (pull.c.connection_id == owner.connection_id, pull.c.scope == owner.scope)
    earlier = (*of_scope, pull.c.id < pull_id)
    without_order = pull.c.proof.delete_path(["age", "order"])
    conn.execute(update(pull).where(*earlier, pull.c.proof["age"].has_key("order")).values(proof=without_order))
    kept = select(pull.c.id).where(*of_scope).order_by(pull.c.id.desc()).limit(KEPT_PULLS)
    newest_complete = select(func.max(pull.c.id)).where(*of_scope, pull.c.complete).correlate(None)
    unused = (pull.c.finished_at.is_not(None), pull.c.id.not_in(kept), pull.c.id.not_in(newest_complete))
    _drop(conn, *earlier, *unused)


def drop_broken(conn: Connection) -> int:
    """Drop pulls that were begun two days ago and never finished. Returns how many."""
    return _drop(conn, pull.c.finished_at.is_(None), pull.c.started_at < func.now() - text(BROKEN_AFTER))


def _drop(conn: Connection, *which: ColumnElement[bool]) -> int:
    """Wait until no snapshot is being made of these pulls. Then delete them and their sets of records. Returns how
    many."""
    gone = list(conn.scalars(delete(pull).where(*which).returning(pull.c.id)))
    if gone:
        conn.execute(delete(pull_record).where(pull_record.c.pull_id.in_(gone)))
    return len(gone)


METADATA_KEYS = f"""
select coalesce(jsonb_object_agg(key, people), '{{}}') from (
    select k.key, count(nullif(k.value, '')) as people from pull_record p {RECORDS.format(set="p")} u
    cross join lateral json_each_text(u.payload -> 'metadata') k
    where p.pull_id = :pull and u.kind = 'user' and (k.key like 'agents:%' or exists (
        select from json_array_elements(u.payload -> 'roles') r where lower(r ->> 'role') = any(:roles)))
    group by 1
) counted
"""  # noqa: S608


def metadata_keys(conn: Connection, pull_id: int, roles: Sequence[str]) -> tuple[str, dict[str, int]]:
    """The scope of a pull, and the metadata keys that its people with one of these roles (lower-case) have, each with
    the number of people who have a value in it.

    A column that a CSV file lost does not count: its values are those of an earlier day, and new people have none. It
    is computed once per pull and kept with the proof, because it takes a second or two to read the records of a
    district. A pull that a newer one has just dropped has no keys.
    """
    row = conn.execute(select(pull.c.scope, pull.c.proof).where(pull.c.id == pull_id)).first()
    if row is None:
        return "", {}
    keys = row.proof.get("contact_values")
    if keys is None:
        keys = conn.scalar(text(METADATA_KEYS), {"pull": pull_id, "roles": list(roles)})
        more = cast({"contact_values": keys}, JSONB)
        conn.execute(pull.update().where(pull.c.id == pull_id).values(proof=pull.c.proof.op("||")(more)))
    lost = {name.partition(":")[2] for name in row.proof.get(LOST_COLUMNS, {}).get("users", ())}
    return str(row.scope), {key: people for key, people in keys.items() if key not in lost}


def missing_parts(conn: Connection, connection_id: int) -> list[str]:
    """The parts of files that the bundle of the newest pull may lack (`row_order`)."""
    rows = pull.c.proof["age"]["order"]["missing"]
    of = (pull.c.connection_id == connection_id, pull.c.finished_at.is_not(None))
    return list(conn.scalar(select(rows).where(*of).order_by(pull.c.id.desc()).limit(1)) or ())
