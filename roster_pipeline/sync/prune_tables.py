"""Prunes our own tables, and alerts the operators if that fails. Environment variables say how long rows are kept."""

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
    """Drop old rows from our tables, with one transaction per school. Returns how many were dropped, by name."""
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
    """Alert the operators that pruning fails. They get one alert until it works again.

    Returns False if they know already.
    """
    hint = "Until it works, raw records, mails and Dagster runs are kept longer than promised. Its run says why."
    url = run_url(run_id)
    link = Link("Open the run", url) if url else None
    return open_for_operators(database, "pruning", "The nightly pruning failed", hint, now, link)


def clear_not_pruned(database: Database, now: datetime) -> None:
    """Send the all-clear, if an alert is open."""
    close_for_operators(database, "pruning", "Pruning works again", now)
