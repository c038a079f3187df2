"""Advisory locks: which process waits for which. PostgreSQL holds them, so they end when their process dies.

The order prevents deadlocks: take the lock of a pull before the lock of a district, that one before the lock of an
erasure, and never lock two districts in one transaction.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from roster_pipeline.directory.database import LOCK_SECONDS, Database, DirectoryError

LOOK_EVERY = 5.0
"""Seconds between two checks of a running process that it still has its lock."""
AGAIN_AFTER = 1.0
"""Seconds after which a process that lost its lock with the database tries to take it again."""
TAKEN_WITHIN = 10.0
"""Seconds that a run waits for its lock. If the database is away, the run fails by itself soon enough."""
WAITING = "select set_config('lock_timeout', '0', true), {}, set_config('lock_timeout', :usual, true)"
"""An advisory lock is waited for as long as it takes, since the pull of a slow SIS may take an hour."""
HELD = """
select run from unnest(cast(:runs as text[])) run where exists (
    select from pg_locks l join pg_database d on d.oid = l.database
    where d.datname = current_database() and l.locktype = 'advisory' and l.objsubid = 1 and l.granted
      and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('roster run ' || run, 0)
)
"""


def lock_district(conn: Connection, district_id: int) -> None:
    """Take the district's lock until the transaction ends: schools of a district share people."""
    _lock(conn, "pg_advisory_xact_lock", f"district {district_id}")


def lock_district_of(conn: Connection, plan_id: int) -> None:
    """The same for the district of a plan. Nothing is locked if there is no such plan."""
    lock = WAITING.format("pg_advisory_xact_lock(hashtextextended('roster district ' || district_id, 0))")
    conn.execute(text(f"{lock} from plan where id = :id"), {"id": plan_id, "usual": f"{LOCK_SECONDS}s"})


def lock_district_for_reading(conn: Connection, district_id: int) -> None:
    """Block changes of the district until the transaction ends. Readers do not wait for readers."""
    _lock(conn, "pg_advisory_xact_lock_shared", f"district {district_id}")


def lock_for_erasure(conn: Connection, district_id: int) -> None:
    """Take the lock of an erasure in the district, which deletes rows of nearly all tables, until the transaction
    ends."""
    _lock(conn, "pg_advisory_xact_lock", f"erasure {district_id}")


def block_erasure(conn: Connection, district_id: int) -> None:
    """Let erasures in the district wait until the transaction ends. Call it first where rows of several tables of
    records are changed: an erasure changes them in another order."""
    _lock(conn, "pg_advisory_xact_lock_shared", f"erasure {district_id}")


def lock_until_commit(conn: Connection, name: str) -> None:
    """Take the lock of work that must not run twice at once, until the transaction ends."""
    _lock(conn, "pg_advisory_xact_lock", name)


def lock_until_commit_shared(conn: Connection, name: str) -> None:
    """As `lock_until_commit`, for several at once; only one that takes it alone waits, and is waited for."""
    _lock(conn, "pg_advisory_xact_lock_shared", name)


def try_lock_until_commit(conn: Connection, name: str) -> bool:
    """As `lock_until_commit`, but without waiting. Returns False if somebody else holds the lock, shared or alone."""
    return bool(_lock(conn, "pg_try_advisory_xact_lock", name))


_TAKEN_AHEAD: dict[str, Connection] = {}
"""Session locks that this process took with `take_ahead` and has not used yet, and the connections that hold them."""


@contextmanager
def session_lock(database: Database, name: str) -> Iterator[None]:
    """Hold a named lock over several transactions, on its own connection. A lock that was taken ahead is used first."""
    ahead = _TAKEN_AHEAD.pop(name, None)
    if ahead is not None:
        try:
            yield
        finally:
            _give_back(ahead, name)
        return
    with database.session() as conn:
        _lock(conn, "pg_advisory_lock", name)
        try:
            yield
        finally:
            _give_back(conn, name)


@contextmanager
def alone(database: Database, name: str) -> Iterator[bool]:
    """Hold a named lock over several transactions. Gives False at once if somebody else holds it."""
    with database.session() as conn:
        mine = bool(_lock(conn, "pg_try_advisory_lock", name))
        try:
            yield mine
        finally:
            if mine:
                _give_back(conn, name)


@contextmanager
def take_ahead(database: Database, name: str) -> Iterator[bool]:
    """Take a session lock, if it is free, for this process, and yield whether it was. The first `session_lock` of that
    name uses it and gives it back; else the end of this block does."""
    with database.session() as conn:
        if not _lock(conn, "pg_try_advisory_lock", name):
            yield False
            return
        _TAKEN_AHEAD[name] = conn
        try:
            yield True
        finally:
            if _TAKEN_AHEAD.pop(name, None) is not None:
                _give_back(conn, name)


@contextmanager
def alive(database: Database, run_id: str) -> Iterator[None]:
    """Show that a process executes this run by a lock with its name, taken again after the database was away."""
    taken, done = Event(), Event()
    holder = Thread(target=_hold, args=(database, f"run {run_id}", taken, done), daemon=True)
    holder.start()
    taken.wait(TAKEN_WITHIN)
    try:
        yield
    finally:
        done.set()
        holder.join()


def alive_runs(conn: Connection, run_ids: Iterable[str]) -> set[str]:
    """Those of these runs that a process executes now."""
    return set(conn.scalars(text(HELD), {"runs": list(run_ids)}))


def _hold(database: Database, name: str, taken: Event, done: Event) -> None:
    while not done.is_set():
        with suppress(DirectoryError), database.session() as conn:
            _lock(conn, "pg_advisory_lock_shared", name)
            taken.set()
            while not done.wait(LOOK_EVERY):
                conn.execute(text("select 1"))
            _lock(conn, "pg_advisory_unlock_shared", name)
        done.wait(AGAIN_AFTER)


def _give_back(conn: Connection, name: str) -> None:
    """Unlock. A connection that was lost has no locks any more."""
    with suppress(DBAPIError):
        _lock(conn, "pg_advisory_unlock", name)


def _lock(conn: Connection, function: str, name: str) -> object:
    query = text(WAITING.format(f"{function}(hashtextextended(:name, 0))"))
    return conn.execute(query, {"name": f"roster {name}", "usual": f"{LOCK_SECONDS}s"}).one()[1]
