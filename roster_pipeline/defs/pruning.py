"""Pruning by itself: old rows of our tables every night, and with them Dagster's old runs and their events."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from roster_pipeline.defs.assets.asset_helpers import executing
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource
from roster_pipeline.settings.installation import Retention

AT_ONCE = 200
MOST_RUNS = 20_000
"""Of one pruning: what is left goes the next night, so that a first pruning does not last for hours."""
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune_runs(instance: dg.DagsterInstance, days: int) -> int:
    """Delete Dagster's finished runs of more days ago, with their events. Returns how many."""
    chosen = dg.RunsFilter(statuses=FINISHED, created_before=datetime.now(UTC) - timedelta(days=days))
    deleted = 0
    while deleted < MOST_RUNS:
        old = instance.get_runs(chosen, limit=AT_ONCE)
        for run in old:
            instance.delete_run(run.run_id)
        deleted += len(old)
        if len(old) < AT_ONCE:
            break
    return deleted


@dg.op
def drop_old_rows(
    context: dg.OpExecutionContext, directory: DirectoryResource, installation: InstallationResource
) -> None:
    """Our tables first, then Dagster's runs."""
    from roster_pipeline.sync import prune_tables  # not needed to list the jobs

    database, retention = directory.database(), installation.read(Retention)
    with executing(database, context.run_id):
        dropped = prune_tables.prune(database, retention)
        context.add_output_metadata({**dropped, "runs": prune_runs(context.instance, retention.keep_run_days)})
    prune_tables.clear_not_pruned(database, datetime.now(UTC))


@dg.job(executor_def=dg.in_process_executor)
def prune() -> None:
    """Drops raw snapshots, sent mails and Dagster runs that are older than is kept; people and ledger stay."""
    drop_old_rows()


prune_nightly = dg.ScheduleDefinition(
    job=prune, cron_schedule="30 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
