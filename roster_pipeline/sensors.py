"""What reacts: partitions follow the schools, and the outbox is sent."""

import dagster as dg

from roster_pipeline.directory import tenants
from roster_pipeline.evening.mailing import send_due
from roster_pipeline.evening.reporting import put_reports
from roster_pipeline.partitions import schools
from roster_pipeline.resources import DirectoryResource

PARTITIONS_EVERY = 30
MAIL_EVERY = 30
"""Seconds between two looks."""


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
    database = directory.database()
    put_reports(database)
    sent = send_due(database)
    return dg.SkipReason(f"{sent.sent} sent, {sent.failed} put off, {sent.dead} given up")
