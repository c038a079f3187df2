"""The command tree: which commands there are, in the order the help shows them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from roster_pipeline.cli.access import access
from roster_pipeline.cli.applications import application
from roster_pipeline.cli.audits import audit
from roster_pipeline.cli.commands import HANDS_ON, examples, group
from roster_pipeline.cli.connection_test import check_connection
from roster_pipeline.cli.connections import connection
from roster_pipeline.cli.console import console
from roster_pipeline.cli.dagster import dagster
from roster_pipeline.cli.demo import demo
from roster_pipeline.cli.dev import dev
from roster_pipeline.cli.districts import district
from roster_pipeline.cli.history import history
from roster_pipeline.cli.holds import hold
from roster_pipeline.cli.init import init
from roster_pipeline.cli.keys import secrets
from roster_pipeline.cli.operations import doctor, metrics, prune
from roster_pipeline.cli.outboxes import outbox
from roster_pipeline.cli.people import people
from roster_pipeline.cli.person_changes import person
from roster_pipeline.cli.plans import plan
from roster_pipeline.cli.rollbacks import rollback
from roster_pipeline.cli.runs import run
from roster_pipeline.cli.schools import school
from roster_pipeline.cli.simulator import simulator
from roster_pipeline.cli.sis import sis
from roster_pipeline.cli.sync import sync
from roster_pipeline.cli.web import web

SETTING_UP = "Setting up"
SYNCS = "Syncs"
PEOPLE = "People"
OPERATIONS = "Operations"
TRYING = "Trying it out"


def build_app() -> typer.Typer:
    """Every command of `roster`."""
    app = group("Roster sync for schools: OneRoster in, a people directory out, nobody archived by mistake.", top=True)
    app.callback()(top)
    one = app.command
    one("init", rich_help_panel=SETTING_UP)(init)
    for tree, name in ((district, "district"), (connection, "connection"), (school, "school"), (sis, "sis")):
        app.add_typer(tree, name=name, rich_help_panel=SETTING_UP)
    one("test-connection", rich_help_panel=SETTING_UP, epilog=examples("roster test-connection oak"))(check_connection)
    app.add_typer(secrets, name="secrets", rich_help_panel=SETTING_UP)
    app.add_typer(access, name="access", rich_help_panel=SETTING_UP)
    app.add_typer(application, name="application", rich_help_panel=SETTING_UP)
    one(
        "sync",
        rich_help_panel=SYNCS,
        epilog=examples("roster sync oak --dry-run", "roster sync oak --json > outcome.json"),
    )(sync)
    one("history", rich_help_panel=SYNCS, epilog=examples("roster history oak --limit 5"))(history)
    app.add_typer(run, name="run", rich_help_panel=SYNCS)
    app.add_typer(outbox, name="outbox", rich_help_panel=SYNCS)
    app.add_typer(plan, name="plan", rich_help_panel=SYNCS)
    app.add_typer(hold, name="hold", rich_help_panel=SYNCS)
    one(
        "rollback",
        rich_help_panel=SYNCS,
        epilog=examples("roster rollback 42 --preview", "roster rollback 42 --only archived --reason 'wrong term'"),
    )(rollback)
    one("people", rich_help_panel=PEOPLE, epilog=examples("roster people oak --role teacher --search miller"))(people)
    app.add_typer(person, name="person", rich_help_panel=PEOPLE)
    one("audit", rich_help_panel=PEOPLE, epilog=examples("roster audit --school oak --limit 20"))(audit)
    one("console", rich_help_panel=OPERATIONS, epilog=examples("roster console --port 8080"))(console)
    one("web", rich_help_panel=OPERATIONS, epilog=examples("roster web --read-only --port 3001 --path-prefix /view"))(
        web
    )
    one("dagster", rich_help_panel=OPERATIONS, context_settings=HANDS_ON)(dagster)
    one("doctor", rich_help_panel=OPERATIONS, epilog=examples("roster doctor --sis"))(doctor)
    one("prune", rich_help_panel=OPERATIONS)(prune)
    one("metrics", rich_help_panel=OPERATIONS, epilog=examples("roster metrics --textfile /var/lib/node/roster.prom"))(
        metrics
    )
    one("demo", rich_help_panel=TRYING)(demo)
    one("dev", rich_help_panel=TRYING, epilog=examples("roster dev --port 3001"))(dev)
    one("simulator", rich_help_panel=TRYING, context_settings=HANDS_ON)(simulator)
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
