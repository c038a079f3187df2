"""Access to PostgreSQL: one engine a process, transactions, and errors without anybody's data in them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError

from roster_pipeline.directory.database_errors import DirectoryError, translated

DRIVER = "postgresql+psycopg"
POOL = 5
"""Connections kept open by a process; a run uses one or two at a time, the console a few."""
CONNECT_SECONDS = 10
NAME = "PGAPPNAME"
"""A process may call its sessions otherwise, so that another one can end them."""
LOOK_EVERY = 1.0
"""Seconds between two looks whether a database that was away answers again."""
STAGING_MEMORY = "64MB"
"""For temporary tables, taken only as far as they grow: a large plan is staged in memory and not in files."""


class Database:
    """One database, from a URL as people write it (`postgres://`, `postgresql://` or with the driver spelled)."""

    def __init__(self, url: str | URL) -> None:
        self.engine: Engine = create_engine(
            with_driver(url),
            hide_parameters=True,
            pool_size=POOL,
            pool_pre_ping=True,
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": os.environ.get(NAME, "roster")},
        )
        event.listen(self.engine, "connect", _prepare)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises DirectoryError in the place of the driver's errors, which quote the values of rows.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except (DBAPIError, psycopg.Error) as problem:
            raise translated(problem) from None

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection outside of any transaction, each statement committed at once: for session locks."""
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                yield connection
        except (DBAPIError, psycopg.Error) as problem:
            raise translated(problem) from None

    def answers_within(self, seconds: float) -> bool:
        """Wait until the database answers, at most so long. False if it never did."""
        until = time.monotonic() + seconds
        while True:
            try:
                with self.begin() as conn:
                    conn.execute(text("select 1"))
            except DirectoryError:
                if time.monotonic() > until:
                    return False
                time.sleep(LOOK_EVERY)
            else:
                return True

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def end_sessions(conn: Connection, name: str) -> None:
    """End the sessions of another process of this login, which named them by `PGAPPNAME`; waits 5 s for each."""
    sessions = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = :name"
    conn.execute(text(sessions), {"name": name})


def _prepare(connection: psycopg.Connection[Any], _: object) -> None:
    """Settle what must be settled before a session's first temporary table."""
    connection.execute(f"set temp_buffers = '{STAGING_MEMORY}'")
    connection.commit()


def with_driver(url: str | URL) -> URL:
    """The URL with psycopg 3 as its driver, whichever of PostgreSQL's spellings it came in."""
    if isinstance(url, str) and url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    return make_url(url).set(drivername=DRIVER)


__all__ = ["NAME", "Database", "DirectoryError", "end_sessions", "with_driver"]
