"""Dagster's instance. Its tables and files are in the same place as ours, even if no variable is set.

`dagster dev` and `dg` read `dagster.yaml` before they load any definition, so this module starts the embedded server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage

from roster_pipeline.runtime.embedded import dagster_address
from roster_pipeline.settings.installation import home

STATEMENT_SECONDS = 60
"""No query about the state of a run takes long. A query that takes longer than this hangs."""
RECYCLE_SECONDS = 600
"""Kept connections are renewed before firewalls forget them."""
OVERFLOW = 5
MANY_THREADS = 30
"""The daemon has a thread for each of its tasks, and more for sensors and schedules."""
NO_LIMIT = 0
"""An upgrade of Dagster's tables may take long."""
ASKED_EVERY_TIME = ("has_table", "has_asset_key_col", "has_dynamic_partition", "has_run_stats_index_cols")
"""Questions that Dagster asks its database some hundred times per run. A yes stays yes, so it is remembered. They are a
quarter of its queries."""
KEEPS = "_roster_keeps_connections"
"""The mark of a storage that `keep_connections` has seen."""


class InstanceStorage(DagsterPostgresStorage):
    """Dagster's tables in the database of `ROSTER_DAGSTER_DATABASE_URL`, else on the embedded server.

    Every process keeps its connections and some answers, above all the daemon, which asks all day. Dagster would open a
    new connection for each query, which costs the server more than the query.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        for storage in (self.run_storage, self.event_log_storage, self.schedule_storage):
            _keep(storage, NO_LIMIT, RECYCLE_SECONDS, MANY_THREADS)

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
            for storage in _storages(instance):
                storage._engine.dispose()


def keep_connections(
    instance: dg.DagsterInstance,
    *,
    statement_seconds: int = STATEMENT_SECONDS,
    recycle_seconds: int = RECYCLE_SECONDS,
    overflow: int = OVERFLOW,
) -> None:
    """Keep one connection per storage open, and up to `overflow` more while they are needed. Remember the answers to
    `ASKED_EVERY_TIME`. Does nothing if this was done for the instance."""
    for storage in _storages(instance):
        if not hasattr(storage, KEEPS):
            setattr(storage, KEEPS, True)
            _keep(storage, statement_seconds, recycle_seconds, overflow)


def _keep(storage: Any, statement_seconds: int, recycle_seconds: int, overflow: int) -> None:
    """Dagster's own way to keep connections does not check whether a kept one still works. So the first query after a
    restart of the database fails."""
    storage.optimize_for_webserver(
        statement_timeout=statement_seconds * 1000, pool_recycle=recycle_seconds, max_overflow=overflow
    )
    storage._engine.pool._pre_ping = True
    for asked in filter(partial(hasattr, storage), ASKED_EVERY_TIME):
        setattr(storage, asked, _remembering(getattr(storage, asked)))


def _remembering(ask: Callable[..., bool]) -> Callable[..., bool]:
    """The same function, but it does not ask again after the answer was yes."""
    known: set[tuple[str, ...]] = set()

    def asked(*words: str) -> bool:
        if words not in known and ask(*words):
            known.add(words)
        return words in known

    return asked


def _storages(instance: dg.DagsterInstance) -> list[Any]:
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    return [storage for storage in storages if hasattr(storage, "_engine")]
