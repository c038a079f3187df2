"""What most commands need: the database of this folder, and who is asking."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roster_pipeline.cli.commands import SCHOOL, CommandError
from roster_pipeline.vocabulary import similar

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from roster_pipeline.directory.database import Database
    from roster_pipeline.directory.tenants import UnknownKey

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
Who = Annotated[
    str | None,
    typer.Option("--who", envvar="ROSTER_WHO", help="Your name for the audit. Default: the user of this computer."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def _remember_school(context: typer.Context, key: str | None) -> str | None:
    """Keep the school of a command, so that the remedy of an error can name it."""
    context.meta[SCHOOL] = key
    return key


SchoolKey = Annotated[
    str,
    typer.Argument(metavar="SCHOOL", help="The key of a school; see: roster school list", callback=_remember_school),
]
MaybeSchoolKey = Annotated[
    str | None,
    typer.Argument(metavar="SCHOOL", help="The key of a school. Without it: all schools.", callback=_remember_school),
]


@contextmanager
def open_directory() -> Iterator[Database]:
    """The database of this folder, ready for use.

    Raises CommandError if `roster init` has not run yet, and for an unknown key, with the keys that are most like it.
    """
    from roster_pipeline.directory import migrate, tenants
    from roster_pipeline.directory.database import Database
    from roster_pipeline.runtime.embedded import prepare_environment

    database = Database(prepare_environment().roster)
    try:
        if migrate.current(database) != migrate.head():
            raise CommandError("The database is not set up, or belongs to another version.\nRun: roster init")
        yield database
    except tenants.UnknownKey as problem:
        raise CommandError(f"{problem.message}{_similar(database, problem)}\n{problem.remedy}") from None
    finally:
        database.close()


def _similar(database: Database, unknown: UnknownKey) -> str:
    """` Do you mean lincoln-high?`, if there are keys like the unknown one."""
    from roster_pipeline.directory import tenants

    listed: dict[str, Callable[[Connection], Sequence[Any]]] = {
        "district": tenants.list_districts,
        "connection": tenants.list_connections,
        "school": tenants.list_schools,
    }
    with database.begin() as conn:
        keys = [row.key for row in listed[unknown.kind](conn)]
    near = similar(unknown.key, keys)
    return f" Do you mean {' or '.join(near)}?" if near else ""


def who_asks(given: str | None) -> str:
    """The name for the audit: `given`, or the user of this computer."""
    if given and given.strip():
        return given.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def given_reason(reason: str) -> str:
    """The reason without blanks at its ends. Raises BadParameter if it is empty."""
    if not reason.strip():
        raise typer.BadParameter("--reason: say why; it is kept in the audit")
    return reason.strip()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that changes people. Without a terminal, `--yes` is needed. Raises CommandError."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question}\nThere is no terminal to ask on. Give --yes to go on.")
    typer.confirm(question, abort=True, err=True)
