"""`roster init`, `doctor`, `prune`, `metrics` and `outbox`: what the operators of an installation need."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import dagster as dg
import sqlalchemy as sa
import typer

from roster_pipeline.cli.commands import FAILED, AsJson, CommandError, examples, group, open_directory
from roster_pipeline.cli.output import note, print_checks, print_facts, print_rows
from roster_pipeline.defs import jobs, run_coordinator
from roster_pipeline.directory import alerts, schema, tenants
from roster_pipeline.directory import database as databases
from roster_pipeline.directory import operations as measurements
from roster_pipeline.directory import outbox as mails
from roster_pipeline.runtime import embedded, run_queue
from roster_pipeline.settings import installation
from roster_pipeline.sync import health_checks


def init(as_json: AsJson = False) -> None:
    """Make both databases, the schema, the key for secrets and Dagster's storage. It is safe to run it again."""
    given = bool(installation.Places.read().database_url)
    addresses = embedded.prepare_environment()
    owner = installation.Places.read().owner_database_url
    database = databases.Database(owner or addresses.roster)
    database.require_own_sessions()
    schema.upgrade(database)
    revision = schema.current(database)
    login = sa.make_url(addresses.roster).username if owner else None
    with database.begin() as conn:
        if login:
            schema.grant_pipeline(conn, login)
        schema.close_locks(conn, login)
        begun = bool(tenants.list_districts(conn))
    database.close()
    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()  # makes Dagster's tables
    key_file = installation.home() / "secret.key"
    own_key = key_file.exists() and installation.SecretKey.read().secret_key == key_file.read_text().strip()
    facts = {
        "database": sa.make_url(addresses.roster).render_as_string(hide_password=True),
        "dagster": sa.make_url(addresses.dagster).render_as_string(hide_password=True),
        "server": "given by ROSTER_DATABASE_URL" if given else "embedded",
        "schema": revision,
        "folder": str(installation.home()),
        "key": str(key_file) if own_key else "given by ROSTER_SECRET_KEY",
    }
    print_facts(facts, as_json)
    if not as_json:
        note(f"Ready.{'' if begun else ' Next: roster district add KEY --name NAME'}", style="green")


NEEDED = ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR")
SILENT_SECONDS = 300.0
"""A daemon writes a heartbeat every 30 s; Dagster calls it unhealthy after 5 minutes without one."""


def doctor(
    sis: Annotated[bool, typer.Option("--sis", help="Sign in at every connection's SIS too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check database, key, mail, disk, daemon, broker, workers and runs; the exit code is 1 if a check fails."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("roster-pipeline", "dagster", "pandas", "sqlalchemy"))
    running = health_checks.Item("versions", None, f"Python {platform.python_version()}, {versions}")
    items = [*_installation(sis), running]
    data = [vars(item) for item in items]
    print_checks(as_json, data, data)
    if any(item.ok is False for item in items):
        raise typer.Exit(FAILED)


def prune(as_json: AsJson = False) -> None:
    """Delete raw snapshots, sent mails and Dagster runs after their retention. The daemon does it every night."""
    retention = installation.Retention.read()
    with open_directory() as database, dg.DagsterInstance.get() as instance:
        dropped = health_checks.prune(database, retention)
        dropped["runs"] = jobs.prune_runs(instance, retention.keep_run_days)
    print_facts(dropped, as_json)


def metrics(
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile", help="Write to this file instead of stdout. The old file stays until the new one is complete."
        ),
    ] = None,
) -> None:
    """Print metrics for Prometheus: last syncs, people, holds, failures, mails, runs, workers. No data of a person."""
    with open_directory() as database:
        more = {}
        try:
            with dg.DagsterInstance.get() as instance:
                more = run_coordinator.numbers(run_queue.look_at_runs(instance, database))
        except _dagster_errors() as problem:
            note(f"No numbers of runs and workers: {_not_opened(problem)}.")
        text = measurements.exposition(database, more)
    if textfile is None:
        typer.echo(text, nl=False)
        return
    draft = textfile.with_name(f".{textfile.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(textfile)
    except OSError as problem:
        raise CommandError(
            f"{textfile} cannot be written: {problem.strerror}.\n"
            "Check that the folder exists and that you can write to it."
        ) from None
    note(f"Written to {textfile}.")


def _installation(sis: bool) -> Iterator[health_checks.Item]:
    """The checks of the installation. Without a database the others are skipped: all of them need it."""
    try:
        database = databases.Database(embedded.prepare_environment().roster)
    except embedded.DatabaseRefusedError as problem:
        yield health_checks.Item("database", False, problem.message, problem.remedy)
        return
    yield from health_checks.health_checks(database, sis=sis)
    yield from _runs(database)
    database.close()


def _runs(database: databases.Database) -> Iterator[health_checks.Item]:
    """Dagster's side: daemon, broker, workers, run queue."""
    try:
        with dg.DagsterInstance.get() as instance:
            beats = instance.get_daemon_heartbeats()
            silent = [key for key in NEEDED if key not in beats or time.time() - beats[key].timestamp > SILENT_SECONDS]
            remedy = "Start the Dagster daemon (roster dev runs one)." if silent else ""
            detail = f"silent: {', '.join(silent)}" if silent else "ticks"
            yield health_checks.Item("daemon", not silent, detail, remedy)
            ours = isinstance(instance.run_coordinator, run_coordinator.ConnectionTaggingCoordinator)
            remedy = "" if ours else "Copy run_coordinator from our dagster.yaml into yours, and restart the daemon."
            detail = "notes started nights" if ours else "another one: the schedule starts each night again and again"
            yield health_checks.Item("run coordinator", ours, detail, remedy)
            known = {alert.cause for alert in database.call(alerts.of_installation)}
            yield from run_queue.findings(run_queue.look_at_runs(instance, database), open_alerts=known)
    except databases.DirectoryError as problem:
        yield health_checks.Item("run queue", False, problem.message, problem.remedy)
    except _dagster_errors() as problem:
        remedy = "Set what dagster.yaml reads: ROSTER_DAGSTER_DATABASE_URL and the variables of the broker."
        yield health_checks.Item("runs", False, _not_opened(problem), remedy)


def _dagster_errors() -> tuple[type[Exception], ...]:
    """The errors that Dagster raises if `dagster.yaml` lacks a variable, or if its database cannot be used."""
    from alembic.util import CommandError as SchemaError
    from dagster_postgres.utils import DagsterPostgresException

    return (dg.DagsterError, DagsterPostgresException, SchemaError, sa.exc.SQLAlchemyError)


def _not_opened(problem: Exception) -> str:
    return f"Dagster's instance cannot be opened ({type(problem).__name__})"


outbox = group("Mails: those that wait, those that were sent, and those that were given up.")


@outbox.command("list", epilog=examples("roster outbox list --dead"))
def list_mails(
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many mails, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List mails, newest first, with the reason if one was not delivered."""
    with open_directory() as database, database.begin() as conn:
        rows = mails.messages(conn, limit, dead=dead)
    hidden = ("text", "html", "attachment")
    data = []
    for mail in rows:
        state = "sent" if mail.sent_at else "dead" if mail.dead_at else "waiting"
        data.append({name: value for name, value in mail._asdict().items() if name not in hidden} | {"state": state})
    shown = ("id", "created_at", "school", "subject", "recipients", "state", "attempts", "error")
    lines = [[mail[name] for name in shown] for mail in data]
    print_rows(as_json, data, ["mail", "written", "school", "subject", "to", "state", "tries", "what happened"], lines)


@outbox.command("retry", epilog=examples("roster outbox retry 17"))
def retry(number: Annotated[int, typer.Argument(metavar="MAIL", help="Its number; see: roster outbox list")]) -> None:
    """Send a mail again that was given up; the daemon sends it within a minute."""
    with open_directory() as database, database.begin() as conn:
        revived = mails.retry(conn, number)
    if not revived:
        raise CommandError(f"Mail {number} was not given up.\nSee: roster outbox list --dead")
    note(f"Mail {number} will be sent again.")
