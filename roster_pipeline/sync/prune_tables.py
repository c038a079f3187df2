"""Prunes our own tables, as long back as environment variables say, and alerts the operators if that fails."""

from __future__ import annotations

from datetime import datetime, timedelta

from roster_pipeline.directory import snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.operations import drop_old
from roster_pipeline.directory.sis_records import prune_records
from roster_pipeline.notifications.blocks import Link
from roster_pipeline.settings.installation import Retention
from roster_pipeline.sync.build_report import run_url
from roster_pipeline.sync.health_checks import close_for_operators, open_for_operators


def prune(database: Database, retention: Retention) -> dict[str, int]:
    """Drop what is old from our tables, one school a transaction; what was dropped, by name."""
    with database.begin() as connection:
        schools = [school.id for school in tenants.list_schools(connection)]
        sources = [source.id for source in tenants.list_connections(connection)]
    dropped = {"snapshots": 0, "records": 0}
    for school_id in schools:
        with database.begin() as connection:
            dropped["snapshots"] += snapshots.prune(connection, school_id, retention.keep_syncs)
    for source_id in sources:
        with database.begin() as connection:
            dropped["records"] += prune_records(connection, source_id)
    with database.begin() as connection:
        return dropped | drop_old(connection, timedelta(days=retention.keep_days))


def alert_not_pruned(database: Database, run_id: str, now: datetime) -> bool:
    """Alert the operators that pruning fails, once until it works again. False where they know already."""
    hint = "Until it works, raw records, mails and Dagster runs are kept longer than promised. Its run says why."
    url = run_url(run_id)
    link = Link("Open the run", url) if url else None
    return open_for_operators(database, "pruning", "The nightly pruning failed", hint, now, link)


def clear_not_pruned(database: Database, now: datetime) -> None:
    """The all-clear, where an alert is open."""
    close_for_operators(database, "pruning", "Pruning works again", now)
