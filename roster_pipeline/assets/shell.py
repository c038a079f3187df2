"""What every shell shares: which school, which night, how a failure is shown, what the tables look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Table

if TYPE_CHECKING:
    from roster_pipeline.directory.database import Database

GROUP = "rostering"
OWNERS = ["team:data-engineering"]
NIGHT_TAG = "roster/night"
DRY_RUN_TAG = "roster/dry_run"
WHO_TAG = "roster/who"
NOTHING_FOUND = "nothing_found"
"""In a failure's metadata: the SIS answered, but shows nothing of this school."""
"""Set by the schedule only. Owners of other districts can read tags, so people's names never stand in them."""
IN_DAGSTER = "Dagster UI"
"""Who, for a run that somebody started or re-executed in the UI or by the `dagster` command."""
RETRY_TAG = "dagster/retry_number"
"""Dagster's own: the daemon started this run again, in place of whoever started the first."""


@contextmanager
def failing_clearly(context: dg.AssetExecutionContext, database: Database, step: str) -> Iterator[None]:
    """Any failure becomes one message without personal data, is stored, and fails the run without its traceback.

    The original exception is left behind on purpose: its text and its frames may hold values of records.
    """
    from roster_pipeline.evening import EveningError, explain  # not needed to list the assets
    from roster_pipeline.evening.failing import record_failure

    problem: EveningError | None = None
    try:
        yield
    except Exception as caught:
        problem = explain(context.partition_key, caught)
    if problem is not None:
        evening = context.run.tags.get(NIGHT_TAG)
        record_failure(database, context.partition_key, step, problem, context.run.run_id, evening)
        raise dg.Failure(
            str(problem), metadata={NOTHING_FOUND: problem.nothing_found}, allow_retries=problem.retryable
        ) from None


def night(context: dg.AssetExecutionContext) -> str:
    """Runs of one night share one fetch per connection; a run by hand fetches for itself."""
    return context.run.tags.get(NIGHT_TAG, context.run.run_id)


def started_by(run: dg.DagsterRun, database: Database, school_key: str) -> str:
    """Who started a run, for the ledger: a person of the audit, the schedule, or `IN_DAGSTER`.

    A run that is executed again in the UI carries the tags of the old one, so its tags are believed only where the
    daemon retried it.
    """
    from roster_pipeline.directory import audit

    again = run.parent_run_id is not None and RETRY_TAG not in run.tags
    first = run.run_id if again or run.root_run_id is None else run.root_run_id
    with database.begin() as conn:
        asked = audit.who_asked_for_run(conn, school_key, first)
    return asked or (IN_DAGSTER if again else run.tags.get(WHO_TAG, IN_DAGSTER))


def columns(table: Table, origins: dg.TableColumnLineage | None = None) -> dict[str, Any]:
    """Metadata of an asset: names, types and descriptions of a table's columns, and where they come from; no values.

    It stands at the definition. Written with every materialization, it was most of what Dagster kept of a run.
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
