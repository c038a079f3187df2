"""Advisory locks: which process waits for which. PostgreSQL holds them, so they end when their process dies.

Order, so that nothing can deadlock: a pull's lock before a district's, and never two districts in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from roster_pipeline.directory.database import Database, DirectoryError

LOOK_EVERY = 5.0
"""Seconds between two looks of a running process at its lock."""
AGAIN_AFTER = 1.0
"""Seconds after which a process that lost its lock with the database tries to take it again."""
TAKEN_WITHIN = 10.0
"""Seconds that a run waits for its lock; without the database it fails by itself soon enough."""
NOTICE_LOST_MACHINES = (
    "set tcp_keepalives_idle = 30",
    "set tcp_keepalives_interval = 10",
    "set tcp_keepalives_count = 3",
)
"""PostgreSQL then drops the lock of a machine that is gone after a minute. Its default is two hours."""
HELD = """
select run from unnest(cast(:runs as text[])) run where exists (
    select from pg_locks l join pg_database d on d.oid = l.database
    where d.datname = current_database() and l.locktype = 'advisory' and l.objsubid = 1 and l.granted
      and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('roster run ' || run, 0)
)
"""


def lock_district(conn: Connection, district_id: int) -> None:
    """Wait until no one else changes people of this district; held until the transaction ends.

    Schools of a district share people, so their changes are serialised; districts never wait for each other.
    """
    _lock(conn, "pg_advisory_xact_lock", f"district {district_id}")


def lock_district_of(conn: Connection, plan_id: int) -> None:
    """The same for the district of a plan; nothing is locked where there is no such plan."""
    query = (
        "select pg_advisory_xact_lock(hashtextextended('roster district ' || district_id, 0)) from plan where id = :id"
    )
    conn.execute(text(query), {"id": plan_id})


def lock_district_for_reading(conn: Connection, district_id: int) -> None:
    """Wait for changes under way, and keep new ones out until the transaction ends; readers do not wait for readers."""
    _lock(conn, "pg_advisory_xact_lock_shared", f"district {district_id}")


def lock_until_commit(conn: Connection, name: str) -> None:
    """Wait for any named piece of work that must not run twice at once; held until the transaction ends."""
    _lock(conn, "pg_advisory_xact_lock", name)


def lock_until_commit_shared(conn: Connection, name: str) -> None:
    """As `lock_until_commit`, but several may hold it at once; only who takes it alone waits, or is waited for."""
    _lock(conn, "pg_advisory_xact_lock_shared", name)


def try_lock_until_commit(conn: Connection, name: str) -> bool:
    """As `lock_until_commit`, without waiting; False where somebody else holds it, shared or alone."""
    return bool(_lock(conn, "pg_try_advisory_xact_lock", name))


_TAKEN_AHEAD: dict[str, Connection] = {}
"""Session locks that this process took by `take_ahead` and has not used yet, with the connections that hold them."""


@contextmanager
def session_lock(database: Database, name: str) -> Iterator[None]:
    """Hold a named lock over several transactions, on a connection of its own; what was taken ahead is used first."""
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
    """Hold a named lock over several transactions; False, at once, where somebody else holds it."""
    with database.session() as conn:
        mine = bool(_lock(conn, "pg_try_advisory_lock", name))
        try:
            yield mine
        finally:
            if mine:
                _give_back(conn, name)


@contextmanager
def take_ahead(database: Database, name: str) -> Iterator[bool]:
    """Take a session lock that this process will need within the block, if it is free; yields whether it was.

    The first `session_lock` of that name uses it, and gives it back at its own end; else the end of this block does.
    """
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
    """Show, for as long as the block lasts, that a process executes this run: it holds a lock of the run's name.

    The lock goes with the process. Where only the database was away, it is taken again.
    """
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
    """Those runs that a process executes at this moment."""
    return set(conn.scalars(text(HELD), {"runs": list(run_ids)}))


def _hold(database: Database, name: str, taken: Event, done: Event) -> None:
    while not done.is_set():
        with suppress(DirectoryError), database.session() as conn:
            for setting in NOTICE_LOST_MACHINES:
                conn.execute(text(setting))
            _lock(conn, "pg_advisory_lock_shared", name)
            taken.set()
            while not done.wait(LOOK_EVERY):
                conn.execute(text("select 1"))
            _lock(conn, "pg_advisory_unlock_shared", name)
        done.wait(AGAIN_AFTER)


def _give_back(conn: Connection, name: str) -> None:
    """Unlock; a connection that was lost has no locks any more."""
    with suppress(DBAPIError):
        _lock(conn, "pg_advisory_unlock", name)


def _lock(conn: Connection, function: str, name: str) -> object:
    return conn.scalar(text(f"select {function}(hashtextextended(:name, 0))"), {"name": f"roster {name}"})
