"""`roster doctor`, `roster prune` and `roster metrics`: what the operators of the installation needs."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from roster_pipeline.cli.connection_test import MARKS
from roster_pipeline.cli.error_handling import FAILED, CommandError
from roster_pipeline.cli.output import note, print_facts, print_json, print_table, safe
from roster_pipeline.cli.session import AsJson, open_directory

if TYPE_CHECKING:
    from roster_pipeline.sync.health_checks import Item

NEEDED = ("SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR")
SILENT_SECONDS = 300.0
"""A daemon tells every 30 s that it lives; Dagster itself calls it unhealthy after 5 minutes."""


def doctor(
    sis: Annotated[bool, typer.Option("--sis", help="Sign in at every connection's SIS too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at database, schema, key, mail, disk and daemon; exit code 1 when something is red."""
    items = [*_installation(sis), _versions()]
    if as_json:
        print_json([vars(item) for item in items])
    else:
        rows = [
            (Text(MARKS[one.ok][1], style=MARKS[one.ok][0]), one.name, safe(one.detail), one.remedy) for one in items
        ]
        print_table(["", "item", "result", "what to do"], rows)
    if any(item.ok is False for item in items):
        raise typer.Exit(FAILED)


def prune(as_json: AsJson = False) -> None:
    """Drop raw snapshots, sent mails and Dagster runs that are older than is kept. The daemon does so every night."""
    import dagster as dg

    from roster_pipeline.defs.pruning import prune_runs
    from roster_pipeline.settings.installation import Retention
    from roster_pipeline.sync.prune_tables import prune as prune_tables

    retention = Retention.read()
    with open_directory() as database, dg.DagsterInstance.get() as instance:
        dropped = prune_tables(database, retention) | {"runs": prune_runs(instance, retention.keep_run_days)}
    if as_json:
        print_json(dropped)
    else:
        print_facts(dropped)


def metrics(
    textfile: Annotated[
        Path | None, typer.Option("--textfile", help="Write to this file, whole or not at all, instead of stdout.")
    ] = None,
) -> None:
    """Numbers for Prometheus: last syncs, people, holds, failures, mails. No value of a person."""
    from roster_pipeline.sync.metrics import exposition

    with open_directory() as database:
        text = exposition(database)
    if textfile is None:
        typer.echo(text, nl=False)
        return
    draft = textfile.with_name(f".{textfile.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(textfile)
    except OSError as problem:
        raise CommandError(
            f"{textfile} cannot be written: {problem.strerror}.\nThe folder must be there, and yours to write to."
        ) from None
    note(f"Written to {textfile}.")


def _installation(sis: bool) -> Iterator[Item]:
    """Without a database there is nothing more to look at, the daemon included: it tells there that it lives."""
    from roster_pipeline.directory.database import Database
    from roster_pipeline.embedded import DatabaseRefusedError, prepare_environment
    from roster_pipeline.sync.health_checks import Item, health_checks

    try:
        database = Database(prepare_environment().roster)
    except DatabaseRefusedError as problem:
        yield Item("database", False, problem.message, problem.remedy)
        return
    yield from health_checks(database, sis=sis)
    database.close()
    yield _daemon()


def _daemon() -> Item:
    import dagster as dg

    from roster_pipeline.sync.health_checks import Item

    with dg.DagsterInstance.get() as instance:
        beats = instance.get_daemon_heartbeats()
    silent = [name for name in NEEDED if name not in beats or time.time() - beats[name].timestamp > SILENT_SECONDS]
    if silent:
        return Item("daemon", False, f"silent: {', '.join(silent)}", "Start the Dagster daemon (roster dev runs one).")
    return Item("daemon", True, "ticks")


def _versions() -> Item:
    from importlib.metadata import version

    from roster_pipeline.sync.health_checks import Item

    names = ("roster-pipeline", "dagster", "pandas", "sqlalchemy")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    return Item("versions", None, f"Python {platform.python_version()}, {found}")
