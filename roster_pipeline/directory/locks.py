"""Advisory locks: who waits for whom. PostgreSQL holds them, so they go when the process that held them dies.

Order, so that nothing can deadlock: a pull's lock before a district's, and never two districts in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

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


@contextmanager
def session_lock(database: Database, name: str) -> Iterator[None]:
    """Hold a named lock over several transactions, on a connection of its own."""
    with database.session() as conn:
        _lock(conn, "pg_advisory_lock", name)
        try:
            yield
        finally:
            _lock(conn, "pg_advisory_unlock", name)


@contextmanager
def alone(database: Database, name: str) -> Iterator[bool]:
    """Hold a named lock over several transactions; False, at once, where somebody else holds it."""
    with database.session() as conn:
        given = {"name": f"roster {name}"}
        mine = bool(conn.scalar(text("select pg_try_advisory_lock(hashtextextended(:name, 0))"), given))
        try:
            yield mine
        finally:
            if mine:
                _lock(conn, "pg_advisory_unlock", name)


def _lock(conn: Connection, function: str, name: str) -> None:
    conn.execute(text(f"select {function}(hashtextextended(:name, 0))"), {"name": f"roster {name}"})
