"""Dagster's instance. Its tables and files are in the same place as ours, even if no variable is set.

`dagster dev` and `dg` read `dagster.yaml` before they load any definition, so this module starts the embedded server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy.pool import NullPool

from roster_pipeline.runtime.embedded import dagster_address
from roster_pipeline.settings.installation import home

STATEMENT_SECONDS = 60
"""No query about the state of a run takes long. A query that takes longer than this hangs."""
RECYCLE_SECONDS = 600
"""Kept connections are renewed before firewalls forget them."""
OVERFLOW = 5


class InstanceStorage(DagsterPostgresStorage):
    """Dagster's tables in the database of `ROSTER_DAGSTER_DATABASE_URL`, else on the embedded server."""

    @classmethod
    def config_type(cls) -> Any:
        """There is nothing to set."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> InstanceStorage:
        """Called by Dagster in every process that opens the instance."""
        return cls(dagster_address(), inst_data=inst_data)


class HomeFolder(LocalArtifactStorage):
    """Dagster's files in the home folder: `ROSTER_HOME`, else `.roster` in the working folder."""

    @classmethod
    def config_type(cls) -> Any:
        """There is nothing to set."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> HomeFolder:
        """Called by Dagster in every process that opens the instance."""
        return cls(str(home()), inst_data=inst_data)


@contextmanager
def connected_instance() -> Iterator[dg.DagsterInstance]:
    """The instance for runs in this process, which keeps its connections until the end. A run writes a hundred events.
    A new connection for each of them would cost the database more than everything else in a small run."""
    with dg.DagsterInstance.get() as instance:
        keep_connections(instance)
        try:
            yield instance
        finally:
            for engine in _engines(instance):
                engine.dispose()


def keep_connections(
    instance: dg.DagsterInstance,
    *,
    statement_seconds: int = STATEMENT_SECONDS,
    recycle_seconds: int = RECYCLE_SECONDS,
    overflow: int = OVERFLOW,
) -> None:
    """Keep one connection per storage open, and up to `overflow` more while they are needed. Does nothing if they are
    kept already. Dagster's own pool does not check whether a kept connection still works, so the first query after a
    restart of the database would fail."""
    if not any(isinstance(engine.pool, NullPool) for engine in _engines(instance)):
        return
    instance.optimize_for_webserver(
        statement_timeout=statement_seconds * 1000, pool_recycle=recycle_seconds, max_overflow=overflow
    )
    for engine in _engines(instance):
        engine.pool._pre_ping = True


def _engines(instance: dg.DagsterInstance) -> list[Any]:
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    return [engine for storage in storages if (engine := getattr(storage, "_engine", None)) is not None]
