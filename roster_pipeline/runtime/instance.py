"""Dagster's instance. Its tables and files are in the same place as ours, even if no variable is set.

`dagster dev` and `dg` read `dagster.yaml` before they load any definition, so this module starts the embedded server.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from dagster import EventLogEntry
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import DagsterPostgresException, set_pg_statement_timeout
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from roster_pipeline.directory.database import NOTICE_LOST_MACHINES, NOTICE_LOST_SERVER, check_idle
from roster_pipeline.runtime.embedded import dagster_address
from roster_pipeline.settings.installation import home
from roster_pipeline.sync import SyncError

KEPT = 3
"""Connections that a process keeps."""
MANY_THREADS = 30
"""The daemon has a thread for each of its tasks, and more for sensors and schedules."""
RECYCLE_SECONDS = 600
"""Kept connections are renewed before firewalls forget them."""
ASKED_EVERY_TIME = ("has_table", "has_asset_key_col", "has_dynamic_partition", "has_run_stats_index_cols")
"""Questions that Dagster asks its database some hundred times per run. A yes stays yes, so it is remembered. They are a
quarter of its queries."""
AWAY = (DagsterPostgresException, OperationalError)
"""What Dagster raises if its database cannot be reached, or broke off."""
TRYING_AGAIN = "Retrying failed database"
"""Begins the warnings of Dagster while its database is away, one for each attempt, with the address."""
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "100")
"""The events that a new run plans, 17 of them, come to the storage together."""
_ENGINES: dict[str, Engine] = {}
"""The connections of this process, by address."""


def _leave_to_parent() -> None:
    """Open own connections in a fork; two processes cannot share one."""
    for engine in _ENGINES.values():
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_parent)
atexit.register(gc.freeze)  # as in `cli.main`, for Dagster's own processes


class EventLog(PostgresEventLogStorage):
    """Dagster's log, which writes together what comes together, over one connection, and does not NOTIFY: only much
    older versions of Dagster listen. Dagster would need 66 more statements for a run, and 34 for a new one."""

    def store_event(self, event: EventLogEntry) -> None:
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in this order, and what the tables of assets and checks say of them."""
        table = SqlEventLogStorageTable
        insert = table.insert().returning(table.c.id, sort_by_parameter_order=True)
        with self._connect() as conn:
            numbers = conn.scalars(insert, [self._event_to_row(event) for event in events])
            stored = list(zip(events, numbers, strict=True))
            for event, number in stored:
                if event.dagster_event_type in ASSET_EVENTS and event.get_dagster_event().asset_key:
                    self._store_asset_event_tags(conn, [event], [number])
                    self._store_asset_event(conn, event, number)
        for event, number in stored:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, number)


class InstanceStorage(DagsterPostgresStorage):
    """Dagster's tables in the database of `ROSTER_DAGSTER_DATABASE_URL`, else on the embedded server.

    Every process keeps its connections, above all the daemon, which asks all day. Dagster would open a new connection
    for each query, which costs the server more than the query. All instances of a process share the connections: a code
    server opens an instance for each tick, and a closed instance would hold its own until Python collects garbage.
    """

    def __init__(self, address: str, *given: Any, **options: Any) -> None:
        super().__init__(address, address not in _ENGINES, *given, **options)
        self._event_log_storage = EventLog(address, should_autocreate_tables=False)
        storages: tuple[Any, ...] = (self.run_storage, self.event_log_storage, self.schedule_storage)
        for storage in storages:
            storage._engine = _engine(address)
            for asked in filter(partial(hasattr, storage), ASKED_EVERY_TIME):
                setattr(storage, asked, _remembering(getattr(storage, asked)))

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


def _engine(address: str) -> Engine:
    if address not in _ENGINES:
        made = create_engine(
            address, isolation_level="AUTOCOMMIT", pool_size=KEPT, max_overflow=MANY_THREADS,
            pool_recycle=RECYCLE_SECONDS, connect_args=NOTICE_LOST_SERVER,
        )  # fmt: skip
        event.listen(made, "connect", lambda connection, _: connection.cursor().execute(NOTICE_LOST_MACHINES))
        check_idle(made)
        _ENGINES[address] = made
    return _ENGINES[address]


def limit_statements(seconds: int) -> None:
    """End each query of this process about runs after this time."""
    limit = seconds * 1000
    event.listen(_engine(dagster_address()), "connect", lambda made, _: set_pg_statement_timeout(made, limit))


@contextmanager
def dagster_answers(school_key: str) -> Iterator[None]:
    """Raise an error for people, in place of Dagster's, if its database is away. Its warnings are dropped."""
    root = logging.getLogger()
    root.addFilter(_no_attempt)
    try:
        yield
    except AWAY:
        raise SyncError(
            school_key,
            "the database of Dagster cannot be reached, or broke off.",
            f"Check that its server runs, and run it again: roster sync {school_key}. Nothing was half applied.",
            retryable=True,
        ) from None
    finally:
        root.removeFilter(_no_attempt)


def _no_attempt(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(TRYING_AGAIN)


def _remembering(ask: Callable[..., bool]) -> Callable[..., bool]:
    """The same function, but it does not ask again after the answer was yes."""
    known: set[tuple[str, ...]] = set()

    def asked(*words: str) -> bool:
        if words not in known and ask(*words):
            known.add(words)
        return words in known

    return asked
