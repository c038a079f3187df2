"""The manners of every command: how groups of commands look, and how examples stand in the help."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

from roster_pipeline.cli.error_handling import ErrorHandlingGroup

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
