"""What all commands share: groups and examples in the help, exit codes, and one message in place of a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from roster_pipeline.cli.output import note
from roster_pipeline.errors import with_keys
from roster_pipeline.runtime.signals import Ended
from roster_pipeline.vocabulary import counted

DONE = 0
FAILED = 1
WRONG_USAGE = 2
HELD = 3
"""Done, but a person has to look: rows are held, or the SIS shows nobody of the school."""
OURS = "roster_pipeline."
SCHOOL = "school"
"""In the context of a command: the key of its school."""
MESSAGES = {"date_": "write a day as YYYY-MM-DD", "time_": "write a time as HH:MM"}
"""By the kind of validation error: a message in place of one that is written for programmers."""


class CommandError(Exception):
    """A command cannot go on. message: what is wrong, a line break, and what to do. code: the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class ErrorHandlingGroup(TyperGroup):
    """`roster` itself: turns every exception of a command into one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Wrong usage and deliberate exits pass; every other exception is explained."""
        try:
            _end_what_was_left()
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Ended as ended:
            text, code = str(ended), ended.exit_code
        except Exception as problem:
            if hasattr(problem, "exit_code"):  # the parser's own errors print themselves
                raise
            text, code = explained(problem)
            if school := ctx.meta.get(SCHOOL):
                text = with_keys(text, school=school)
        note(text, style="red")
        raise typer.Exit(code)


def _end_what_was_left() -> None:
    """End what a killed `roster dev` left: servers that hold its ports, its daemon and the database."""
    from roster_pipeline.cli.processes import RECORD, end_left_behind

    number = end_left_behind(Path(os.environ.get("ROSTER_HOME", ".roster")) / RECORD)
    if number:
        left = counted(number, "process behind; it was", "processes behind; they were")
        note(f"A roster dev was killed and left {left} ended.")


def explained(problem: Exception) -> tuple[str, int]:
    """The message and the exit code for an exception.

    The text of an exception that is not ours may hold values of records, so only its type is shown.
    """
    from pydantic import ValidationError

    if isinstance(problem, ValidationError):
        return wrong_settings(problem), WRONG_USAGE
    if type(problem).__module__.startswith(OURS):
        return str(problem), problem.code if isinstance(problem, CommandError) else FAILED
    from roster_pipeline.sync.error_messages import FULL, explain

    if isinstance(problem, OSError) and problem.errno not in FULL:
        return str(problem), FAILED
    return str(explain("roster", problem)), FAILED


def wrong_settings(problem: Any) -> str:
    """One line per wrong setting: its name and what is expected. The given value is not repeated."""
    lines = []
    for error in problem.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(part for part in error["loc"] if isinstance(part, str)) or "settings"
        text = next((text for kind, text in MESSAGES.items() if error["type"].startswith(kind)), error["msg"])
        lines.append(f"{name}: {text.removeprefix('Value error, ')}")
    return "\n".join(lines)


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but something is held."
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
