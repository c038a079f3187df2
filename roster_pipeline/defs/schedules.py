"""Every night at each school's own local time: a frequent tick asks which schools are due."""

import dagster as dg

from roster_pipeline.defs.asset_helpers import CONNECTION_TAG, NIGHT_TAG, SCHEDULE, SCHOOL_TAG, SLOW_TAG, WHO_TAG
from roster_pipeline.defs.jobs import rostering
from roster_pipeline.defs.partitions import PARTITION_TAG
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource
from roster_pipeline.settings.installation import Syncs

PRIORITY_TAG = "dagster/priority"
AFTER_THE_OTHERS = "-1"


@dg.schedule(
    job=rostering,
    cron_schedule="*/15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Starts every school whose night has come and whose automatic rostering is on.",
)
def nightly(
    context: dg.ScheduleEvaluationContext, directory: DirectoryResource, installation: InstallationResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """One request per due school. Run keys name school, night and attempt; that they are asked for once is our note.

    Why schools are not due is the skip reason of a tick that starts none. Any other tick logs it.
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


SCHEDULES = [nightly]
