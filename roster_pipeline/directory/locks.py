"""Advisory locks: who waits for whom. PostgreSQL holds them, so they go when the process that held them dies.

Order, so that nothing can deadlock: a pull's lock before a district's, and never two districts in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from roster_pipeline.directory.database import Database


def lock_district(conn: Connection, district_id: int) -> None:
    """Wait until no one else changes people of this district; held until the transaction ends.

    Schools of a district share people, so their changes are serialised; districts never wait for each other.
    """
    _lock(conn, "pg_advisory_xact_lock", f"district {district_id}")


def lock_district_for_reading(conn: Connection, district_id: int) -> None:
    """Wait for changes under way, and keep new ones out until the transaction ends; readers do not wait for readers."""
    _lock(conn, "pg_advisory_xact_lock_shared", f"district {district_id}")


def lock_until_commit(conn: Connection, name: str) -> None:
    """Wait for any named piece of work that must not run twice at once; held until the transaction ends."""
    _lock(conn, "pg_advisory_xact_lock", name)


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


def _give_back(conn: Connection, name: str) -> None:
    """Unlock; a connection that was lost has no locks any more."""
    with suppress(DBAPIError):
        _lock(conn, "pg_advisory_unlock", name)


def _lock(conn: Connection, function: str, name: str) -> object:
    return conn.scalar(text(f"select {function}(hashtextextended(:name, 0))"), {"name": f"roster {name}"})
