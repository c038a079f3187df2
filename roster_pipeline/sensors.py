"""What reacts: partitions follow the schools, and the outbox is sent.

What a sensor needs is imported by its first tick: the code server and every run start without it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from roster_pipeline.assets.shell import NIGHT_TAG
from roster_pipeline.partitions import schools
from roster_pipeline.resources import DirectoryResource

PARTITIONS_EVERY = 30
MAIL_EVERY = 30
WATCH_EVERY = 60
"""Seconds between two looks."""
MOST_CRASHES = 500
"""Failed runs of one look; the next goes on where this one ended."""
RETRIED = ("dagster/will_retry", "dagster/auto_retry_run_id")


def missing_partitions(instance: dg.DagsterInstance, keys: list[str]) -> list[str]:
    """School keys without a partition yet. Keys that lost their school stay: their history is worth keeping."""
    known = set(instance.get_dynamic_partitions("schools"))
    return [key for key in keys if key not in known]


@dg.sensor(
    minimum_interval_seconds=PARTITIONS_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for every new school; never deletes one.",
)
def partitions_follow_schools(
    context: dg.SensorEvaluationContext, directory: DirectoryResource
) -> dg.SensorResult | dg.SkipReason:
    """Keep the partition set equal to, or larger than, the table of schools."""
    from roster_pipeline.directory import tenants

    with directory.database().begin() as connection:
        keys = [school.key for school in tenants.list_schools(connection)]
    new = missing_partitions(context.instance, keys)
    if not new:
        return dg.SkipReason("every school has its partition")
    return dg.SensorResult(dynamic_partitions_requests=[schools.build_add_request(new)])


@dg.sensor(
    minimum_interval_seconds=MAIL_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes reports that are still missing and sends what lies in the outbox.",
)
def send_mail(context: dg.SensorEvaluationContext, directory: DirectoryResource) -> dg.SkipReason:
    """Send due mail; a failure stays in the outbox and is tried again later."""
    from roster_pipeline.evening.digesting import put_digests
    from roster_pipeline.evening.mailing import send_due
    from roster_pipeline.evening.reporting import put_reports

    database = directory.database()
    put_reports(database)
    put_digests(database, datetime.now(UTC))
    sent = send_due(database)
    return dg.SkipReason(f"{sent.sent} sent, {sent.failed} put off, {sent.dead} given up")


@dg.sensor(
    minimum_interval_seconds=WATCH_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notices runs that were killed, silent schools and schools that fail for a week; sends the heartbeat.",
)
def watch_evenings(context: dg.SensorEvaluationContext, directory: DirectoryResource) -> dg.SensorResult:
    """Look once. The cursor is the time up to which failed runs were looked at."""
    from roster_pipeline.evening.failing import record_crashes
    from roster_pipeline.evening.watching import beat, watch

    database, now = directory.database(), datetime.now(UTC)
    since = datetime.fromisoformat(context.cursor) if context.cursor else None
    runs, until = crashed_runs(context.instance, since)
    crashed = record_crashes(database, runs)
    seen = watch(database, now)
    said = f"{crashed} crashed, {seen.opened} opened, {seen.cleared} cleared, {seen.reminded} reminded; {beat()}"
    return dg.SensorResult(skip_reason=said, cursor=until.isoformat() if until else None)


def partition_of(tags: Mapping[str, str]) -> str | None:
    """The school of a run. A run of a backfill names its one partition as a range, unless it came from a job."""
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return tags.get("dagster/partition") or (first if first == last else None)


def crashed_runs(
    instance: dg.DagsterInstance, since: datetime | None
) -> tuple[dict[str, tuple[str, str | None]], datetime | None]:
    """Failed runs of schools that Dagster does not try again (run id to key and night), and the time of the last."""
    chosen = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    records = instance.get_run_records(chosen, limit=MOST_CRASHES, order_by="update_timestamp", ascending=True)
    found = {}
    for record in records:
        tags = record.dagster_run.tags
        key = partition_of(tags)
        retried = any(tags.get(name, "false") != "false" for name in RETRIED)
        if key and not retried and record.dagster_run.job_name != "test_connection":
            found[record.dagster_run.run_id] = (key, tags.get(NIGHT_TAG))
    return found, records[-1].update_timestamp.replace(tzinfo=UTC) if records else since
