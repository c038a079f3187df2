"""What can go wrong in the database, in words that name the thing and the remedy, and never a person's data."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError

from roster_pipeline.errors import RosterError

UNREACHABLE = ("08", "57P", "53")
"""SQLSTATE classes of a server that is away, going away or out of resources."""
EXHAUSTED = {
    "53100": ("The disk of the database server is full", "Make room on it and run it again."),
    "53200": ("The database server is out of memory", "Run it again; if that does not help, give the server more."),
    "53300": (
        "The database server takes no more connections",
        "Run it again, or raise max_connections of the server.",
    ),
}
"""SQLSTATE to what is used up, and what to do."""
BUSY = ("40001", "40P01", "55P03", "57014")
"""Serialization failure, deadlock, lock not available, statement cancelled: the same work may succeed later."""


class DirectoryError(RosterError):
    """Anything the directory refuses or cannot do."""


class DatabaseUnreachable(DirectoryError):
    """The server does not answer, or stopped answering."""

    retryable = True


class DatabaseExhausted(DatabaseUnreachable):
    """The server answers, and has no room left: on its disk, in its memory, or for another connection."""


class DatabaseBusy(DirectoryError):
    """Another transaction was in the way; nothing was written."""

    retryable = True


class RowRefused(DirectoryError):
    """The database refused a row. Carries the names of table and constraint, never what was in the row."""

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
        super().__init__(
            f"The database could not run a statement (SQLSTATE {sqlstate or 'unknown'}).",
            "Nothing was written. Check that the schema is current and the login has its rights: roster init",
        )
        self.sqlstate = sqlstate


def translated(problem: DBAPIError | psycopg.Error) -> DirectoryError:
    """The same problem without the values that PostgreSQL and SQLAlchemy put into their messages."""
    origin = problem.orig if isinstance(problem, DBAPIError) else problem
    if not isinstance(origin, psycopg.Error):
        return StatementFailed(None)
    state = origin.sqlstate
    if state in BUSY:
        return DatabaseBusy(f"Another change of the directory was in the way (SQLSTATE {state}).", "Run it again.")
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
