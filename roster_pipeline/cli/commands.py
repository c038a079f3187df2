"""Shared by the commands: help, exit codes, errors as one message, the database of this folder, who asks, and how a
command takes a Client Secret.

A secret written as an option stays in the shell's history and shows in the list of processes, so it is refused.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa
import typer
from typer.core import TyperCommand, TyperGroup

from roster_pipeline import safe_csv
from roster_pipeline import sync as syncs
from roster_pipeline.cli.output import in_plain_words, note, wrong_settings
from roster_pipeline.directory import database as databases
from roster_pipeline.directory import schema, tenants
from roster_pipeline.errors import with_keys
from roster_pipeline.runtime import embedded
from roster_pipeline.runtime.processes import RECORD, Ended, end_left_behind
from roster_pipeline.settings import school as school_settings
from roster_pipeline.settings.fields import TITLES
from roster_pipeline.vocabulary import counted, reason_problem, similar

DONE = 0
FAILED = 1
WRONG_USAGE = 2
HELD = 3
"""Done, but a person has to look: rows are held, or the SIS shows nobody of the school."""
OURS = "roster_pipeline."
SCHOOL = "school"
"""In the context of a command: the key of its school."""
TOO_LARGE = "22003"
"""SQLSTATE of a number that is larger than all numbers of the database."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]
Who = Annotated[
    str | None,
    typer.Option("--who", envvar="ROSTER_WHO", help="Your name for the audit. Default: the user of this computer."),
]
Reason = Annotated[str, typer.Option("--reason", help="The reason, for the audit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
ASK = "ask"
STDIN = "-"
ClientSecret = Annotated[
    str | None,
    typer.Option(
        "--client-secret",
        metavar="[-|ask]",
        help="Where to read the Client Secret: - is stdin, ask asks without showing it. Never give the secret itself.",
    ),
]
ClientSecretEnv = Annotated[
    str | None,
    typer.Option(
        "--client-secret-env",
        metavar="NAME",
        help="Environment variable that holds the Client Secret at run time; only its name is stored.",
    ),
]


class CommandError(Exception):
    """A command cannot go on. message: what is wrong, a line break, and what to do. code: the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class ErrorHandlingGroup(TyperGroup):
    """`roster` itself: turns every exception of a command into one message and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what nobody could store or find. Raises BadParameter."""
        if not all(map(_in_utf_8, args)):
            raise typer.BadParameter("the command is not in UTF-8; set the terminal to UTF-8, or rename the file")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Wrong usage and deliberate exits are raised again; every other exception becomes a
        message."""
        try:
            _end_what_was_left()
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Ended as ended:
            text, code = str(ended), ended.exit_code
        except Exception as problem:
            if hasattr(problem, "exit_code"):  # the parser's own errors print themselves
                if message := getattr(problem, "message", None):
                    problem.message = in_plain_words(str(message))  # type: ignore[attr-defined]
                raise
            text, code = explained(problem)
            if school := ctx.meta.get(SCHOOL):
                text = with_keys(text, school=school)
        note(text, style="red")
        raise typer.Exit(code)


def _end_what_was_left() -> None:
    """End the processes that a killed `roster dev` left: servers on its ports, its daemon and the database."""
    number = end_left_behind(Path(os.environ.get("ROSTER_HOME", ".roster")) / RECORD)
    if number:
        left = counted(number, "process behind; it was", "processes behind; they were")
        note(f"A roster dev was killed and left {left} ended.")


def explained(problem: Exception) -> tuple[str, int]:
    """The message and the exit code for an exception. The text of an exception that is not ours may hold values of
    records, so only its type is shown."""
    if isinstance(problem, pydantic.ValidationError):
        return wrong_settings(problem), WRONG_USAGE
    if getattr(problem, "sqlstate", None) == TOO_LARGE:
        return "There is nothing with such a large number.\nCheck the number that you typed.", FAILED
    if type(problem).__module__.startswith(OURS):
        title = TITLES.get(getattr(problem, "field", ""))
        text = f"{title}: {problem}" if title else str(problem)
        return text, problem.code if isinstance(problem, CommandError) else FAILED
    if isinstance(problem, OSError) and problem.errno not in syncs.FULL:
        named = f"{problem.filename} cannot be used: {problem.strerror}.\nCheck that it exists and that you may use it."
        return named if problem.filename else str(problem), FAILED
    return str(syncs.explain("roster", problem)), FAILED


def text_of(path: Path) -> str:
    """The text of a file that somebody names. Raises CommandError if it is not in UTF-8."""
    try:
        return path.read_text(safe_csv.ENCODING)
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text in UTF-8.\nSave it as CSV UTF-8.", WRONG_USAGE) from None


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done, but a person has to look."
HANDS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""For a command that passes every option, also `--help`, to another command."""
AS_WRITTEN = "\b\n"
"""Before a paragraph: its line breaks are kept."""


def group(text: str, *, top: bool = False) -> typer.Typer:
    """A group of commands. top: whether it is `roster` itself."""
    return typer.Typer(
        help=text,
        cls=ErrorHandlingGroup if top else None,
        epilog=EXIT_CODES if top else None,
        no_args_is_help=True,
        rich_markup_mode="rich" if top else None,
        pretty_exceptions_enable=False,
        add_completion=top,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def examples(*lines: str) -> str:
    """Examples for the end of a command's help."""
    return "\n".join([f"{AS_WRITTEN}Examples:", *(f"  {line}" for line in lines)])


class ManyOptions(TyperCommand):
    """A command with long options: its help has whole lines, because boxes would cut them."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.rich_markup_mode = None


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
def open_directory() -> Iterator[databases.Database]:
    """The database of this folder, ready for use. Raises WrongSchema if it is of another version, and CommandError
    for an unknown key, with the keys that are most like it."""
    database = databases.Database(embedded.prepare_environment().roster)
    try:
        schema.require_current(database)
        yield database
    except tenants.UnknownKey as problem:
        raise CommandError(f"{problem.message}{_similar(database, problem)}\n{problem.remedy}") from None
    finally:
        database.close()


def _similar(database: databases.Database, unknown: tenants.UnknownKey) -> str:
    """` Do you mean lincoln-high?`, if there are keys like the unknown one."""
    listed: dict[str, Callable[[sa.Connection], Sequence[Any]]] = {
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
    """The reason without blanks at its ends. Raises BadParameter."""
    if problem := reason_problem(reason):
        raise typer.BadParameter(f"--reason: {problem}")
    return reason.strip()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that changes people. Without a terminal, `--yes` is needed. Raises CommandError."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question}\nThis command cannot ask without a terminal. Give --yes to go on.")
    typer.confirm(question, abort=True, err=True)


def read_secret(source: str | None, variable: str | None, *, ask: bool) -> str | None:
    """The secret as `seal` takes it: plain, or `env:NAME`; None without either option, if `ask` is off. ask: without
    either option, ask on the terminal. Raises BadParameter if there is no terminal."""
    if source is not None and variable is not None:
        raise typer.BadParameter("give --client-secret or --client-secret-env, not both")
    if variable is not None:
        if not variable.replace("_", "a").isalnum():
            raise typer.BadParameter("--client-secret-env: this is not the name of a variable")
        return f"env:{variable}"
    if source == STDIN:
        return _not_empty(sys.stdin.readline().rstrip("\r\n"))
    if source == ASK or (source is None and ask):
        if not sys.stdin.isatty():
            raise typer.BadParameter(
                "this command cannot ask without a terminal: give --client-secret - (stdin) or --client-secret-env NAME"
            )
        return _not_empty(typer.prompt("Client Secret", hide_input=True, err=True))
    if source is not None:
        raise typer.BadParameter(
            "a secret on the command line stays in the shell's history; write --client-secret - to read it from stdin, "
            "or --client-secret ask to type it"
        )
    return None


def _not_empty(secret: str) -> str:
    if not secret:
        raise typer.BadParameter("the Client Secret is empty")
    if not _in_utf_8(secret):
        raise typer.BadParameter("the Client Secret is not in UTF-8")
    return secret


def _in_utf_8(text: str) -> bool:
    """Whether a text from outside was in UTF-8. Python keeps other bytes as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def valid_key(key: str) -> str:
    """The key, if it can name partitions, files and links. Raises BadParameter."""
    if not re.fullmatch(school_settings.KEY_PATTERN, key):
        raise typer.BadParameter(f"{key}: a key has lower-case letters, digits and hyphens only, at most 64")
    return key
