"""Access to PostgreSQL: one engine per process, transactions, and errors. An error names the thing and the remedy, and
never contains a person's data."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from roster_pipeline.errors import RosterError

P = ParamSpec("P")
T = TypeVar("T")
DRIVER = "postgresql+psycopg"
POOL = 5
"""Connections kept open by a process; a run uses one or two at a time, the console a few."""
NOTICE_LOST_SERVER = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}  # fmt: skip
"""libpq's settings. Without them, a process waits a quarter of an hour for a lost server, or for a connection that a
firewall forgot. Seconds, and milliseconds for the last one."""
NOTICE_LOST_MACHINES = """
select set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),
       set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '60000', false)
"""
"""The same on the server's side. PostgreSQL drops the locks of a lost machine after a minute. Its default is two
hours."""
LOCK_SECONDS = 300
"""How long a statement waits for rows or tables that another session has locked. No transaction of ours takes so long,
so it is somebody's open transaction. Our advisory locks are not limited (`locks`)."""
NAME = "PGAPPNAME"
"""The name of our sessions. A process may use another name, so that another process can end its sessions."""
LOOK_EVERY = 1.0
"""Seconds between two checks whether a database that was away answers again."""
GIVING_BACK = 0.5
"""Seconds that `close` waits for connections in use."""
IDLE_SECONDS = 0.5
"""A connection that nobody used for longer is checked before it is used again. No restart is shorter."""
IDLE_SINCE = "idle since"
"""Key in the pool's data of a connection."""
STAGING_MEMORY = "64MB"
"""Memory for temporary tables, so that a large plan is not staged in files. A session takes what it needs."""
UNREACHABLE = ("08", "57P", "53")
"""SQLSTATE classes of a server that is away, going away or out of resources."""
READ_ONLY = "25006"
EXHAUSTED = {
    "53100": (
        "The disk of the database server is full",
        "Make room on it, or in /dev/shm (shm_size of a container), and run it again.",
    ),
    "53200": ("The database server is out of memory", "Run it again. If it happens again, give it more."),
    "53300": (
        "The database server accepts no further connections",
        "Run it again, or raise max_connections of the server.",
    ),
    READ_ONLY: (
        "The database takes no changes: it is read-only",
        "It may be a standby, or its provider stops changes while its disk is nearly full. Let ROSTER_DATABASE_URL "
        "name the server that takes changes, or make room.",
    ),
}
"""For each SQLSTATE: what is missing, and what to do."""
IN_WORDS = {
    "No space left on device": "53100",
    "too many clients": "53300",
    "too many connections": "53300",
    "connection slots are reserved": "53300",
}
"""A refused connection has no SQLSTATE, but words, in English. The embedded server has no other language."""
NO_RIGHT = "42501"
"""SQLSTATE of insufficient privilege."""
BUSY = ("40001", "40P01", "57014")
"""SQLSTATEs of serialization failure, deadlock, cancellation: later it may succeed."""
LOCKED = "55P03"
"""SQLSTATE of a lock that was not free in time."""


class Database:
    """One database, from a URL as people write it (`postgres://`, `postgresql://` or with the driver spelled)."""

    def __init__(self, url: str | URL) -> None:
        self.engine: Engine = create_engine(
            with_driver(url),
            hide_parameters=True,
            pool_size=POOL,
            connect_args={**NOTICE_LOST_SERVER, "application_name": os.environ.get(NAME, "roster")},
        )
        self._closed = False
        check_idle(self.engine)
        event.listen(self.engine, "connect", self._prepare)
        event.listen(self.engine, "checkin", self._given_back)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction. Raises DirectoryError instead of the driver's errors, which quote the values of rows."""
        try:
            with self.engine.begin() as conn:
                yield conn
        except (DBAPIError, psycopg.Error) as problem:
            raise translated(problem) from None

    def call(self, function: Callable[Concatenate[Connection, P], T], *given: P.args, **named: P.kwargs) -> T:
        """What a function returns in a transaction of its own, whose connection is its first argument."""
        with self.begin() as conn:
            return function(conn, *given, **named)

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection outside of any transaction, each statement committed at once: for session locks."""
        try:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                yield conn
        except (DBAPIError, psycopg.Error) as problem:
            raise translated(problem) from None

    def require_own_sessions(self) -> None:
        """Raises SharedSessions if a pooler gives a session of the server to another client after each transaction."""
        with self.session() as one, self.session() as other:
            first, again, of_other = (conn.scalar(text("select pg_backend_pid()")) for conn in (one, one, other))
        if again != first or of_other == first:
            raise SharedSessions

    def answers_within(self, seconds: float) -> bool:
        """Wait at most this long until the database answers. Returns False if it did not."""
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
        """Close every connection. One that is in use for longer, or that a thread opens later, is closed when it is
        given back."""
        self._closed = True
        until = time.monotonic() + GIVING_BACK
        while isinstance(self.engine.pool, QueuePool) and self.engine.pool.checkedout() and time.monotonic() < until:
            time.sleep(GIVING_BACK / 50)
        self.engine.dispose()

    def _prepare(self, connection: psycopg.Connection[Any], _: ConnectionPoolEntry) -> None:
        """Set what must be set before a session makes its first temporary table."""
        connection.execute(f"set temp_buffers = '{STAGING_MEMORY}'")
        connection.execute(NOTICE_LOST_MACHINES)
        connection.execute(f"set lock_timeout = '{LOCK_SECONDS}s'")
        connection.commit()

    def _given_back(self, connection: object, entry: ConnectionPoolEntry) -> None:
        """Close a connection that goes back after `close`: nothing else would close it."""
        if connection is not None and self._closed:
            entry.invalidate()


def check_idle(engine: Engine) -> None:
    """Before a kept connection is used again, check that the database was not restarted meanwhile, if it was idle.

    SQLAlchemy's own `pre_ping` asks every time: a run uses a connection a hundred times in a second.
    """

    def given_back(_: object, entry: ConnectionPoolEntry) -> None:
        entry.info[IDLE_SINCE] = time.monotonic()

    def taken(connection: Any, entry: ConnectionPoolEntry, _: object) -> None:
        now = time.monotonic()
        if now - entry.info.get(IDLE_SINCE, now) > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error:
                raise InvalidatePoolError from None

    event.listen(engine, "checkin", given_back)
    event.listen(engine, "checkout", taken)


def end_sessions(conn: Connection, name: str) -> None:
    """End the sessions that another process of this login named by `PGAPPNAME`. waits 5 s for each."""
    sessions = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = :name"
    conn.execute(text(sessions), {"name": name})


def with_driver(url: str | URL) -> URL:
    """The URL with psycopg 3 as its driver, for each of the ways in which people write a PostgreSQL URL."""
    if isinstance(url, str) and url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    return make_url(url).set(drivername=DRIVER)


class DirectoryError(RosterError):
    """Anything the directory refuses or cannot do."""


class UnreadableSecret(DirectoryError):
    """The Client Secret of a connection cannot be read. This concerns all of its schools, and an operator."""


class DatabaseUnreachable(DirectoryError):
    """The server does not answer, or stopped answering."""

    retryable = True


class DatabaseExhausted(DatabaseUnreachable):
    """The server answers, but it takes no changes, or it has no room left: on its disk, in its memory, or for another
    connection."""


class DatabaseBusy(DirectoryError):
    """Another transaction was in the way; nothing was written."""

    retryable = True


class SharedSessions(DirectoryError):
    """Locks that belong to a session would protect nothing."""

    def __init__(self) -> None:
        super().__init__(
            "A connection pooler in front of the database lends its sessions to several clients at once. Two syncs of "
            "one school could run at the same time.",
            "Set pool_mode = session in the pooler (PgBouncer), or give ROSTER_DATABASE_URL the address of PostgreSQL "
            "itself.",
        )


class RowRefused(DirectoryError):
    """The database refused a row: table and constraint, never a value."""

    def __init__(self, table: str | None, constraint: str | None, sqlstate: str | None) -> None:
        where = f"table {table}" if table else "the directory"
        rule = f", rule {constraint}" if constraint else ""
        super().__init__(
            f"The database refused a row of {where}{rule} (SQLSTATE {sqlstate or 'unknown'}).",
            "Nothing was written. If it happens again, report it with this message.",
        )
        self.table = table
        self.constraint = constraint
        self.sqlstate = sqlstate


class StatementFailed(DirectoryError):
    """The database could not run a statement: a missing table, a missing right."""

    def __init__(self, sqlstate: str | None) -> None:
        message = f"The database could not run a statement (SQLSTATE {sqlstate or 'unknown'})."
        remedy = "Nothing was written. Check that the schema is current and the login has its rights: roster init"
        if sqlstate == NO_RIGHT:
            message = f"The login of the database does not have the right to do this (SQLSTATE {sqlstate})."
            remedy = (
                "Nothing was written. Only the owner of the database can give it: set ROSTER_OWNER_DATABASE_URL to the "
                "owner's address. Then run: roster init"
            )
        super().__init__(message, remedy)
        self.sqlstate = sqlstate


def translated(problem: DBAPIError | psycopg.Error) -> DirectoryError:
    """The same problem without the values that PostgreSQL and SQLAlchemy put into their messages."""
    origin = problem.orig if isinstance(problem, DBAPIError) else problem
    if not isinstance(origin, psycopg.Error):
        return StatementFailed(None)
    state = origin.sqlstate or next((IN_WORDS[words] for words in IN_WORDS if words in str(origin)), None)
    if state in BUSY:
        return DatabaseBusy(f"Another change of the directory was in the way (SQLSTATE {state}).", "Run it again.")
    if state == LOCKED:
        return DatabaseBusy(
            f"Another session keeps rows or tables of the directory locked (SQLSTATE {state}). Nothing was written.",
            "End its transaction, perhaps one that is open in psql (docs/operations.md, A run that is stuck). Then run "
            "it again.",
        )
    if state in EXHAUSTED:
        what, remedy = EXHAUSTED[state]
        return DatabaseExhausted(f"{what} (SQLSTATE {state}). Nothing was written.", remedy)
    if (state is None and isinstance(origin, psycopg.OperationalError)) or (state or "").startswith(UNREACHABLE):
        return DatabaseUnreachable(
            f"The database cannot be reached, or broke off (SQLSTATE {state or 'none'}).",
            "Check ROSTER_DATABASE_URL and that the server runs.",
        )
    if (state or "").startswith(("22", "23")):
        return RowRefused(origin.diag.table_name, origin.diag.constraint_name, state)
    return StatementFailed(state)
