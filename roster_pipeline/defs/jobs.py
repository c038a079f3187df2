"""The jobs (syncs, connection tests, pruning) and their schedules. One run is one school; its steps share one process
to save seconds.

Every night at each school's own local time, its sync starts: a frequent tick asks which schools are due. Pruning
removes old rows of our tables every night, and with them Dagster's old runs and their events.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from roster_pipeline.defs.asset_helpers import (
    CONNECTION_TAG,
    NIGHT_TAG,
    PARTITION_TAG,
    SCHEDULE,
    SCHOOL_TAG,
    SLOW_TAG,
    WHO_TAG,
    console_page,
    executing,
    schools,
)
from roster_pipeline.defs.assets import ASSETS
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource, SisResource
from roster_pipeline.settings.installation import Retention, Syncs

WORDS = {True: "green", False: "red", None: "note"}

rostering = dg.define_asset_job(
    "rostering",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    description="One school's sync: fetch, clean, plan, apply, report.",
)
AT_ONCE = 200
MOST_RUNS = 20_000
"""The limit of one pruning. The rest is deleted the next night, so that a first pruning does not take hours."""
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
PRIORITY_TAG = "dagster/priority"
AFTER_THE_OTHERS = "-1"


@dg.op
def test_your_information(context: dg.OpExecutionContext, directory: DirectoryResource, sis: SisResource) -> None:
    """Test the connection of one school. Red items fail the run; the failure names each with its remedy."""
    from roster_pipeline.sync import SyncError, explain  # not needed to list the jobs
    from roster_pipeline.sync.connection_checks import check_connection

    problem: SyncError | None = None
    items: list[dict[str, Any]] = []
    try:
        with executing(directory.database(), context.run_id):
            items = check_connection(directory.database(), context.partition_key, sis.bounds())
    except Exception as caught:
        problem = explain(context.partition_key, caught)
    if problem is not None:
        raise dg.Failure(str(problem), allow_retries=False) from None
    metadata = {"items": _table(items), **console_page(f"/schools/{context.partition_key}/settings")}
    red = [f"{item['name']}: {item['detail']} {item['remedy']}" for item in items if item["ok"] is False]
    if red:
        description = f"{context.partition_key}: not everything works yet.\n" + "\n".join(red)
        raise dg.Failure(description, metadata, allow_retries=False)
    context.add_output_metadata(metadata)


def _table(items: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """One row per item, in the order of the test. Items may share a name, for example one per role."""
    records = [
        dg.TableRecord(
            {"item": item["name"], "ok": WORDS[item["ok"]], "result": item["detail"], "what to do": item["remedy"]}
        )
        for item in items
    ]
    columns = [dg.TableColumn(name, "string") for name in ("item", "ok", "result", "what to do")]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


@dg.job(partitions_def=schools, executor_def=dg.in_process_executor)
def test_connection() -> None:
    """Test Your Information, for one school: signs in, finds the school, counts each role, says what is missing."""
    test_your_information()


def prune_runs(instance: dg.DagsterInstance, days: int) -> int:
    """Delete Dagster's finished runs that are older than this many days, with their events. Returns how many."""
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
    from roster_pipeline.sync import health_checks  # not needed to list the jobs

    database, retention = directory.database(), installation.read(Retention)
    with executing(database, context.run_id):
        dropped = health_checks.prune(database, retention)
        context.add_output_metadata({**dropped, "runs": prune_runs(context.instance, retention.keep_run_days)})
    health_checks.clear_not_pruned(database, datetime.now(UTC))


@dg.job(executor_def=dg.in_process_executor)
def prune() -> None:
    """Deletes raw snapshots, sent mails and Dagster runs after their retention; people and ledger stay."""
    drop_old_rows()


@dg.schedule(
    job=rostering,
    cron_schedule="*/15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Starts every school whose night has come and whose automatic rostering is on.",
)
def nightly(
    context: dg.ScheduleEvaluationContext, directory: DirectoryResource, installation: InstallationResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """One request per due school. Run keys name school, night and attempt. The run coordinator notes each night as
    started; an evaluation changes nothing, because the read-only UI can ask for one too.

    A tick that starts no school says in its skip reason why none is due. Any other tick logs why the others are not.
    """
    from roster_pipeline.sync.schedule_due import (
        due_schools,  # loaded by the first tick, so that the code server starts fast
        why_not,
    )

    now = context.scheduled_execution_time
    due, others = due_schools(directory.database(), now, installation.read(Syncs).first_pull)
    if not due:
        return dg.SkipReason(f"no school is due: {why_not(others, now)}")
    if others:
        context.log.info("not due: %s", why_not(others, now))
    return [
        dg.RunRequest(
            run_key=f"{school.key}:{school.night}:{school.attempt}",
            tags={
                PARTITION_TAG: school.key,  # `partition_key=` would cost one query per school
                NIGHT_TAG: school.night,
                CONNECTION_TAG: school.connection_key,
                SCHOOL_TAG: school.name,
                WHO_TAG: SCHEDULE,
            }
            | ({SLOW_TAG: school.connection_key, PRIORITY_TAG: AFTER_THE_OTHERS} if school.slow else {}),
        )
        for school in due
    ]


prune_nightly = dg.ScheduleDefinition(
    job=prune,
    cron_schedule="30 3 * * *",
    description="Starts the pruning every night, at 03:30 UTC.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [rostering, test_connection, prune]
SCHEDULES = [nightly, prune_nightly]
