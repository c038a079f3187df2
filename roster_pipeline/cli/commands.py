"""What all commands share: groups and examples in the help, exit codes, and one message in place of a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from roster_pipeline.cli.output import note
from roster_pipeline.signals import Ended

DONE = 0
FAILED = 1
WRONG_USAGE = 2
HELD = 3
"""Done, but somebody has to look: something is held, or there was nobody to look at."""
OURS = "roster_pipeline."
SAID = {"date_": "write a day as YYYY-MM-DD", "time_": "write a time as HH:MM"}
"""Kinds of wrong settings whose message speaks to programmers."""


class CommandError(Exception):
    """A command cannot go on. `str()` is what was wrong, a line break, and what to do. code: its exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class ErrorHandlingGroup(TyperGroup):
    """The top of the command tree: whatever a command raises becomes one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; wrong usage and deliberate exits pass, everything else is explained."""
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
        note(text, style="red")
        raise typer.Exit(code)


def _end_what_was_left() -> None:
    """A `roster dev` that was killed leaves its servers on its ports, its daemon at work, and the database running."""
    from roster_pipeline.cli.processes import RECORD, end_left_behind

    found = end_left_behind(Path(os.environ.get("ROSTER_HOME", ".roster")) / RECORD)
    if found:
        note(f"A roster dev was killed and left {found} processes behind; they were ended.")


def explained(problem: Exception) -> tuple[str, int]:
    """A message for people and the exit code. Errors of ours are written for people; of others only the type is told.

    The text of a foreign error may hold values of records, so it stays inside.
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
    """One line per wrong setting: which, and what would be right. The value given is not repeated."""
    lines = []
    for error in problem.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(part for part in error["loc"] if isinstance(part, str)) or "settings"
        said = next((words for kind, words in SAID.items() if error["type"].startswith(kind)), error["msg"])
        lines.append(f"{name}: {said.removeprefix('Value error, ')}")
    return "\n".join(lines)


EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but something is held."
HANDS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""For a command that hands every option, `--help` too, to another one."""
AS_WRITTEN = "\b\n"
"""In front of a paragraph: its lines stay as they are."""


def group(text: str, *, top: bool = False) -> typer.Typer:
    """A command that holds others. `top` is `roster` itself."""
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
    """The end of a command's help: what one types."""
    return "\n".join([f"{AS_WRITTEN}Examples:", *(f"  {line}" for line in lines)])


class ManyOptions(TyperCommand):
    """A command whose options have long names: its help gives them whole lines, which boxes would cut."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.rich_markup_mode = None
