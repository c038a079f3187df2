"""What most commands need: the database of this folder, and who is asking."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.commands import CommandError

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
Who = Annotated[
    str | None,
    typer.Option("--who", envvar="ROSTER_WHO", help="Who does it, for the audit. Default: the user of this computer."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
SchoolKey = Annotated[str, typer.Argument(metavar="SCHOOL", help="The key of a school; see: roster school list")]
MaybeSchoolKey = Annotated[
    str | None, typer.Argument(metavar="SCHOOL", help="The key of a school. Without it: all schools.")
]


@contextmanager
def open_directory() -> Iterator[Database]:
    """The database of this folder, ready for use. Raises CommandError where `roster init` has not run yet."""
    from roster_pipeline.directory import migrate
    from roster_pipeline.directory.database import Database
    from roster_pipeline.embedded import prepare_environment

    database = Database(prepare_environment().roster)
    try:
        if migrate.current(database) != migrate.head():
            raise CommandError("The database is not set up, or is of another version.\nRun: roster init")
        yield database
    finally:
        database.close()


def who_asks(given: str | None) -> str:
    """The name for the audit: the one given, else the user of this computer."""
    if given and given.strip():
        return given.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def given_reason(reason: str) -> str:
    """The reason, if it is one. Raises BadParameter for an empty one."""
    if not reason.strip():
        raise typer.BadParameter("--reason: say why; it is kept in the audit")
    return reason.strip()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that changes people. Without a terminal there is nobody to ask: `--yes` is needed."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question}\nNobody is there to answer; give --yes to go on.")
    typer.confirm(question, abort=True, err=True)
