"""Connections of a long-lived process to Dagster's tables: kept open, and asked whether they live before each use."""

from __future__ import annotations

import dagster as dg


def keep_connections(
    instance: dg.DagsterInstance, *, statement_seconds: int, recycle_seconds: int, overflow: int
) -> None:
    """Keep one connection per storage open, and up to `overflow` more while they are needed.

    Dagster's own way to do so does not ask whether a kept connection still lives, so that the first query after a
    restart of the database fails.
    """
    instance.optimize_for_webserver(
        statement_timeout=statement_seconds * 1000, pool_recycle=recycle_seconds, max_overflow=overflow
    )
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        engine = getattr(storage, "_engine", None)
        if engine is not None:
            engine.pool._pre_ping = True
