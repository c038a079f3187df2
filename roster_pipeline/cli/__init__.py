"""The `roster` command: settings, syncs, plans, holds and people, for the terminal and for scripts. This module lists
every command, in the order of the help."""

import atexit
import gc
import os
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from roster_pipeline.loaded_later import loaded_later
from roster_pipeline.runtime.processes import end_by_signals

SLOW = ("dagster", "pydantic", "sqlalchemy")
AT_ONCE = ("errors", "runtime", "runtime.processes", "settings", "settings.fields", "vocabulary")
"""Our modules without slow imports, besides those of commands."""


def _later(name: str) -> bool:
    """Help and completion must not wait for the database's driver, pandas and Dagster, which take seconds."""
    own = name.removeprefix("roster_pipeline.")
    at_once = own in AT_ONCE or (own.startswith("cli.") and own != "cli.school_file")
    return name in SLOW or (own != name and not at_once)


with loaded_later(_later):
    from roster_pipeline.cli import (
        access,
        connections,
        dev,
        history,
        holds,
        operations,
        person_changes,
        persons,
        schools,
        sync,
    )
    from roster_pipeline.cli.commands import HANDS_ON, examples, group

SETTING_UP = "Setting up"
SYNCS = "Syncs"
PEOPLE = "People"
OPERATIONS = "Operations"
TRYING = "Trying it out"


def build_app() -> typer.Typer:
    """Every command of `roster`."""
    app = group(
        "Syncs people of schools from OneRoster into a people directory. Nobody is archived by mistake.", top=True
    )
    app.callback()(top)

    def tree(panel: str, name: str, commands: typer.Typer) -> None:
        app.add_typer(commands, name=name, rich_help_panel=panel)

    def command(panel: str, name: str, run: Callable[..., None], *lines: str, **settings: Any) -> None:
        """lines: the examples of its help."""
        app.command(name, rich_help_panel=panel, epilog=examples(*lines) if lines else None, **settings)(run)

    command(SETTING_UP, "init", operations.init)
    tree(SETTING_UP, "district", schools.district)
    tree(SETTING_UP, "connection", connections.connection)
    tree(SETTING_UP, "school", schools.school)
    tree(SETTING_UP, "sis", connections.sis)
    command(SETTING_UP, "test-connection", connections.check_connection, "roster test-connection oak")
    tree(SETTING_UP, "secrets", access.secrets)
    tree(SETTING_UP, "access", access.access)
    tree(SETTING_UP, "application", access.application)
    command(SYNCS, "sync", sync.sync, "roster sync oak --dry-run", "roster sync oak --json > outcome.json")
    command(SYNCS, "history", history.history, "roster history oak --limit 5")
    tree(SYNCS, "run", history.run)
    tree(SYNCS, "outbox", operations.outbox)
    tree(SYNCS, "plan", holds.plan)
    tree(SYNCS, "hold", holds.hold)
    command(SYNCS, "pause", sync.pause, "roster pause oak --until 2026-09-01 --reason 'summer holidays'")
    tree(SYNCS, "guard", sync.guard)
    tree(SYNCS, "leavers", sync.leavers)
    undo = ("roster rollback 42 --preview", "roster rollback 42 --only archived --reason 'wrong term'")
    command(SYNCS, "rollback", history.rollback, *undo)
    command(PEOPLE, "people", persons.people, "roster people oak --role teacher --search miller")
    tree(PEOPLE, "person", person_changes.person)
    command(PEOPLE, "audit", history.audit, "roster audit --school oak --limit 20")
    command(OPERATIONS, "console", dev.console, "roster console --port 8080")
    command(OPERATIONS, "web", dev.web, "roster web --read-only --port 3001 --path-prefix /view")
    command(OPERATIONS, "dagster", dev.dagster, context_settings=HANDS_ON)
    command(OPERATIONS, "doctor", operations.doctor, "roster doctor --sis")
    command(OPERATIONS, "prune", operations.prune)
    command(OPERATIONS, "metrics", operations.metrics, "roster metrics --textfile /var/lib/node/roster.prom")
    command(TRYING, "demo", dev.demo)
    command(TRYING, "dev", dev.dev, "roster dev --port 3001")
    command(TRYING, "simulator", dev.simulator, context_settings=HANDS_ON)
    return app


def print_version(wanted: bool) -> None:
    """`roster --version`."""
    if wanted:
        typer.echo(version("roster-pipeline"))
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
]


def top(wanted: Version = False) -> None:
    """Syncs people of schools from OneRoster into a people directory. Nobody is archived by mistake."""


app = build_app()


def main() -> None:
    """The entry point of the `roster` script."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # library warnings are for developers, not for operators
    for closed in (name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None):
        setattr(sys, closed, Path(os.devnull).open("r+"))  # noqa: SIM115 - else the next file gets its number
    if isinstance(sys.stdout, TextIOWrapper):  # names have more letters than some terminals
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="replace")
    end_by_signals()
    atexit.register(gc.freeze)  # the last look of the garbage collector takes up to 2 s; the process's end frees it all
    app(prog_name="roster")


__all__ = ["app", "main"]
