"""Shared by all assets: the partitions (schools), tags, the night of a run, failures, and metadata of tables.

The keys of partitions follow the table `school` and are never deleted by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from sqlalchemy import Table

from roster_pipeline.settings.installation import Places

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

GROUP = "rostering"
OWNERS = ["team:data-engineering"]
NIGHT_TAG = "roster/night"
CONNECTION_TAG = "roster/connection"
"""The connection that a run fetches from; `dagster.yaml` bounds how many runs have the same."""
SLOW_TAG = "roster/slow"
"""The connection of a run whose SIS is slow: it comes after the others, and `dagster.yaml` bounds their number."""
SCHOOL_TAG = "roster/school"
"""The name of the school, for people who do not know its key."""
DRY_RUN_TAG = "roster/dry_run"
WHO_TAG = "roster/who"
"""Set by the schedule only. Owners of other districts can read tags, so they never contain people's names."""
SCHEDULE = "schedule"
NOTHING_FOUND = "nothing_found"
"""In a failure's metadata: the SIS answered, but it does not show this school."""
IN_DAGSTER = "Dagster UI"
"""The name in the ledger of everybody who starts a run in the UI or with the `dagster` command."""
PATIENCE_SECONDS = 600.0
"""How long a step waits for a database that is away: longer than a restart, even one with a recovery."""
STEP_RETRIES = 3
"""Retries of a step whose database was away. After them, a person has to look."""
RETRIED_AS_TAG = "dagster/auto_retry_run_id"
"""Dagster's own tag on a lost run: the run that the daemon started to replace it."""
BACKFILL_TAG = "dagster/backfill"
"""Dagster's own tag: the backfill of a run."""
PARTITION_TAG = "dagster/partition"
schools = dg.DynamicPartitionsDefinition(name="schools")


@contextmanager
def executing(database: Database, run_id: str) -> Iterator[None]:
    """Show in the database that the process of this run lives, and keep personal data out of the trace of an interrupt.
    Raises WrongSchema if another version has changed the database.

    Dagster stores an interrupt, such as SIGTERM, with the exception that was being handled at that moment. That
    exception's text may hold values of records, so it is removed.
    """
    from roster_pipeline.directory import schema  # not needed to list the assets
    from roster_pipeline.directory.locks import alive

    schema.require_current(database)
    try:
        with alive(database, run_id):
            yield
    except (DagsterExecutionInterruptedError, KeyboardInterrupt) as interrupt:
        interrupt.__context__ = None
        raise interrupt from None


@contextmanager
def clear_failures(context: dg.AssetExecutionContext, database: Database, step: str) -> Iterator[None]:
    """Any failure becomes one message without personal data, is stored, and fails the run without its traceback.

    The original exception is left behind on purpose: its text and its frames may hold values of records. If the
    database was away, the step waits for it and begins again; the first attempt wrote nothing.
    """
    from roster_pipeline.directory.database import DatabaseUnreachable
    from roster_pipeline.sync import SyncError, explain  # not needed to list the assets
    from roster_pipeline.sync.alerts import record_failure

    problem: SyncError | None = None
    away = False
    try:
        with executing(database, context.run.run_id):
            yield
    except Exception as caught:
        away = isinstance(caught, DatabaseUnreachable)
        problem = explain(context.partition_key, caught)
    if away and context.retry_number < STEP_RETRIES and database.answers_within(PATIENCE_SECONDS):
        raise dg.RetryRequested(max_retries=STEP_RETRIES) from None
    if problem is not None:
        night = context.run.tags.get(NIGHT_TAG)
        record_failure(database, context.partition_key, step, problem, context.run.run_id, night)
        raise dg.Failure(
            str(problem),
            metadata={NOTHING_FOUND: problem.nothing_found, **console_page(f"/schools/{context.partition_key}")},
            allow_retries=problem.retryable,
        ) from None


def night(context: dg.AssetExecutionContext) -> str:
    """Runs of one night, or of one backfill, share one fetch per connection (`batch_of`)."""
    return batch_of(context.run, context.instance)


def batch_of(run: dg.DagsterRun, instance: dg.DagsterInstance) -> str:
    """Runs with the same batch share a fetch. A run that a person starts fetches its own data.

    A re-executed run does the same: it has the tags of the old run, which are ignored, so that an old night's data are
    not read again.
    """
    if started_run(run, instance).parent_run_id is not None:
        return run.run_id
    backfill = run.tags.get(BACKFILL_TAG)
    return run.tags.get(NIGHT_TAG) or (f"backfill {backfill}" if backfill else run.run_id)


def started_run(run: dg.DagsterRun, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """The run that a person or the schedule started, if the daemon retried it; else the run itself.

    A tag on the lost run names its retry. Dagster does not copy that tag. It would copy tags of the retry itself to
    every later re-execution.
    """
    while run.parent_run_id is not None:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None or parent.tags.get(RETRIED_AS_TAG) != run.run_id:
            break
        run = parent
    return run


def gives_way(tags: Mapping[str, str]) -> bool:
    """Whether a run ends early if its SIS is slow: the first run that the schedule asked for in a night."""
    return tags.get(WHO_TAG) == SCHEDULE and NIGHT_TAG in tags and SLOW_TAG not in tags


def started_by(run: dg.DagsterRun, instance: dg.DagsterInstance, database: Database, school_key: str) -> str:
    """Who started a run, for the ledger: a person of the audit, the schedule, or `IN_DAGSTER`.

    A run that was re-executed in the UI has the tags of the old run, so they are ignored.
    """
    from roster_pipeline.directory import audit

    first = started_run(run, instance)
    asked = database.call(audit.who_requested_run, school_key, first.run_id)
    again = first.parent_run_id is not None
    return asked or (IN_DAGSTER if again else first.tags.get(WHO_TAG, IN_DAGSTER))


def console_page(path: str) -> dict[str, dg.MetadataValue]:
    """Metadata with the page of the console that shows the same; none if there is no console."""
    from roster_pipeline.notifications.blocks import web_address
    from roster_pipeline.sync.build_report import console_url

    address = web_address(console_url(), path) if console_url() else None
    return {"console": dg.MetadataValue.url(address)} if address else {}


def columns(table: Table, origins: dg.TableColumnLineage | None = None) -> dict[str, Any]:
    """Metadata of an asset: names, types and descriptions of a table's columns, and where they come from; no values.

    It is part of the definition, because with every materialization it would be most of what Dagster stores of a run.
    """
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, str(column.type).lower(), description=column.comment)
            for column in table.columns
        ]
    )
    return {"dagster/column_schema": schema} | ({"dagster/column_lineage": origins} if origins else {})


def lineage(**columns: Mapping[str, Sequence[str]]) -> dg.TableColumnLineage:
    """Column lineage: `name={"asset": ["column", ...]}`."""
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=column)
                for asset, sources in origins.items()
                for column in sources
            ]
            for name, origins in columns.items()
        }
    )


def partition_of(tags: Mapping[str, str]) -> str | None:
    """The school of a run. A run of a backfill names its one partition as a range, unless it came from a job."""
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return tags.get(PARTITION_TAG) or (first if first == last else None)


def add_partitions(keys: Sequence[str]) -> bool:
    """Give new schools their partitions now. False if that failed, or Dagster has no tables yet.

    Nothing is lost then: the sensor `partitions_follow_schools` adds what is missing.
    """
    from sqlalchemy.engine import make_url

    from roster_pipeline.runtime.embedded import plain_connection

    try:
        with plain_connection(make_url(Places.read().dagster_database_url)) as conn:
            found = conn.execute("select to_regclass('dynamic_partitions')").fetchone()
        if not found or found[0] is None:
            return False
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions(str(schools.name), list(keys))
    except Exception as problem:
        kind = type(problem).__name__  # the text may name a database's user and address
        logging.getLogger(__name__).warning("New schools get their partitions by the sensor, later: %s", kind)
        return False
    return True
