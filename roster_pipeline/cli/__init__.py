"""The `roster` command: settings, syncs, plans, holds and people, for the terminal and for scripts.

Here is every command, in the order in which the help shows them.
"""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

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
from roster_pipeline.runtime.processes import end_by_signals

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
    app.command("init", rich_help_panel=SETTING_UP)(operations.init)
    for tree, name in (
        (schools.district, "district"),
        (connections.connection, "connection"),
        (schools.school, "school"),
        (connections.sis, "sis"),
    ):
        app.add_typer(tree, name=name, rich_help_panel=SETTING_UP)
    app.command("test-connection", rich_help_panel=SETTING_UP, epilog=examples("roster test-connection oak"))(
        connections.check_connection
    )
    app.add_typer(access.secrets, name="secrets", rich_help_panel=SETTING_UP)
    app.add_typer(access.access, name="access", rich_help_panel=SETTING_UP)
    app.add_typer(access.application, name="application", rich_help_panel=SETTING_UP)
    app.command(
        "sync",
        rich_help_panel=SYNCS,
        epilog=examples("roster sync oak --dry-run", "roster sync oak --json > outcome.json"),
    )(sync.sync)
    app.command("history", rich_help_panel=SYNCS, epilog=examples("roster history oak --limit 5"))(history.history)
    app.add_typer(history.run, name="run", rich_help_panel=SYNCS)
    app.add_typer(operations.outbox, name="outbox", rich_help_panel=SYNCS)
    app.add_typer(holds.plan, name="plan", rich_help_panel=SYNCS)
    app.add_typer(holds.hold, name="hold", rich_help_panel=SYNCS)
    app.command(
        "pause",
        rich_help_panel=SYNCS,
        epilog=examples("roster pause oak --until 2026-09-01 --reason 'summer holidays'"),
    )(sync.pause)
    app.add_typer(sync.guard, name="guard", rich_help_panel=SYNCS)
    app.add_typer(sync.leavers, name="leavers", rich_help_panel=SYNCS)
    app.command(
        "rollback",
        rich_help_panel=SYNCS,
        epilog=examples("roster rollback 42 --preview", "roster rollback 42 --only archived --reason 'wrong term'"),
    )(history.rollback)
    app.command("people", rich_help_panel=PEOPLE, epilog=examples("roster people oak --role teacher --search miller"))(
        persons.people
    )
    app.add_typer(person_changes.person, name="person", rich_help_panel=PEOPLE)
    app.command("audit", rich_help_panel=PEOPLE, epilog=examples("roster audit --school oak --limit 20"))(history.audit)
    app.command("console", rich_help_panel=OPERATIONS, epilog=examples("roster console --port 8080"))(dev.console)
    app.command(
        "web", rich_help_panel=OPERATIONS, epilog=examples("roster web --read-only --port 3001 --path-prefix /view")
    )(dev.web)
    app.command("dagster", rich_help_panel=OPERATIONS, context_settings=HANDS_ON)(dev.dagster)
    app.command("doctor", rich_help_panel=OPERATIONS, epilog=examples("roster doctor --sis"))(operations.doctor)
    app.command("prune", rich_help_panel=OPERATIONS)(operations.prune)
    app.command(
        "metrics", rich_help_panel=OPERATIONS, epilog=examples("roster metrics --textfile /var/lib/node/roster.prom")
    )(operations.metrics)
    app.command("demo", rich_help_panel=TRYING)(dev.demo)
    app.command("dev", rich_help_panel=TRYING, epilog=examples("roster dev --port 3001"))(dev.dev)
    app.command("simulator", rich_help_panel=TRYING, context_settings=HANDS_ON)(dev.simulator)
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
        warnings.simplefilter("ignore")  # what libraries warn their developers of says nothing to an operator
    end_by_signals()
    app(prog_name="roster")


__all__ = ["app", "main"]
