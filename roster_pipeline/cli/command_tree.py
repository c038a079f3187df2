"""Every command of `roster`, in the order in which the help shows them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from roster_pipeline.cli.access import access, application, secrets
from roster_pipeline.cli.commands import HANDS_ON, examples, group
from roster_pipeline.cli.connections import check_connection, connection, sis
from roster_pipeline.cli.dev import console, dagster, demo, dev, simulator, web
from roster_pipeline.cli.districts import district
from roster_pipeline.cli.history import audit, history, rollback, run
from roster_pipeline.cli.holds import hold, plan
from roster_pipeline.cli.operations import doctor, init, metrics, outbox, prune
from roster_pipeline.cli.person_changes import person
from roster_pipeline.cli.persons import people
from roster_pipeline.cli.schools import school
from roster_pipeline.cli.sync import guard, leavers, pause, sync

SETTING_UP = "Setting up"
SYNCS = "Syncs"
PEOPLE = "People"
OPERATIONS = "Operations"
TRYING = "Trying it out"


def build_app() -> typer.Typer:
    """Every command of `roster`."""
    app = group("Roster sync for schools: OneRoster in, a people directory out, nobody archived by mistake.", top=True)
    app.callback()(top)
    app.command("init", rich_help_panel=SETTING_UP)(init)
    for tree, name in ((district, "district"), (connection, "connection"), (school, "school"), (sis, "sis")):
        app.add_typer(tree, name=name, rich_help_panel=SETTING_UP)
    app.command("test-connection", rich_help_panel=SETTING_UP, epilog=examples("roster test-connection oak"))(
        check_connection
    )
    app.add_typer(secrets, name="secrets", rich_help_panel=SETTING_UP)
    app.add_typer(access, name="access", rich_help_panel=SETTING_UP)
    app.add_typer(application, name="application", rich_help_panel=SETTING_UP)
    app.command(
        "sync",
        rich_help_panel=SYNCS,
        epilog=examples("roster sync oak --dry-run", "roster sync oak --json > outcome.json"),
    )(sync)
    app.command("history", rich_help_panel=SYNCS, epilog=examples("roster history oak --limit 5"))(history)
    app.add_typer(run, name="run", rich_help_panel=SYNCS)
    app.add_typer(outbox, name="outbox", rich_help_panel=SYNCS)
    app.add_typer(plan, name="plan", rich_help_panel=SYNCS)
    app.add_typer(hold, name="hold", rich_help_panel=SYNCS)
    app.command(
        "pause",
        rich_help_panel=SYNCS,
        epilog=examples("roster pause oak --until 2026-09-01 --reason 'summer holidays'"),
    )(pause)
    app.add_typer(guard, name="guard", rich_help_panel=SYNCS)
    app.add_typer(leavers, name="leavers", rich_help_panel=SYNCS)
    app.command(
        "rollback",
        rich_help_panel=SYNCS,
        epilog=examples("roster rollback 42 --preview", "roster rollback 42 --only archived --reason 'wrong term'"),
    )(rollback)
    app.command("people", rich_help_panel=PEOPLE, epilog=examples("roster people oak --role teacher --search miller"))(
        people
    )
    app.add_typer(person, name="person", rich_help_panel=PEOPLE)
    app.command("audit", rich_help_panel=PEOPLE, epilog=examples("roster audit --school oak --limit 20"))(audit)
    app.command("console", rich_help_panel=OPERATIONS, epilog=examples("roster console --port 8080"))(console)
    app.command(
        "web", rich_help_panel=OPERATIONS, epilog=examples("roster web --read-only --port 3001 --path-prefix /view")
    )(web)
    app.command("dagster", rich_help_panel=OPERATIONS, context_settings=HANDS_ON)(dagster)
    app.command("doctor", rich_help_panel=OPERATIONS, epilog=examples("roster doctor --sis"))(doctor)
    app.command("prune", rich_help_panel=OPERATIONS)(prune)
    app.command(
        "metrics", rich_help_panel=OPERATIONS, epilog=examples("roster metrics --textfile /var/lib/node/roster.prom")
    )(metrics)
    app.command("demo", rich_help_panel=TRYING)(demo)
    app.command("dev", rich_help_panel=TRYING, epilog=examples("roster dev --port 3001"))(dev)
    app.command("simulator", rich_help_panel=TRYING, context_settings=HANDS_ON)(simulator)
    return app


def print_version(wanted: bool) -> None:
    """`roster --version`."""
    if wanted:
        typer.echo(version("roster-pipeline"))
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and leave.")
]


def top(wanted: Version = False) -> None:
    """Roster sync for schools: OneRoster in, a people directory out, nobody archived by mistake."""
