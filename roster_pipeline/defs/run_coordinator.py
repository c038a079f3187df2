"""Dagster's run queue (`run_coordinator` in `dagster.yaml`) with the connections and nights of schools; finds lost
runs; counts for Prometheus.

`dagster.yaml` bounds how many runs of one connection execute at a time, by the tag `roster/connection`. The schedule
sets it, and the school's name for people. Runs that come from the UI, from Dagster's own command or from a backfill get
both here, before they are queued. Runs of Celery's workers are canceled here too, for the UI and `roster run cancel`
alike.

A run is lost if its message or its process is gone. It is marked as failed, so that the daemon retries it. Dagster's
own monitoring trusts the broker's result store, or waits for an hour.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.storage.tags import RUN_KEY_TAG, SCHEDULED_EXECUTION_TIME_TAG

from roster_pipeline.defs.asset_helpers import CONNECTION_TAG, NIGHT_TAG, SCHEDULE, SCHOOL_TAG, WHO_TAG, partition_of
from roster_pipeline.defs.jobs import test_connection
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.runtime.run_queue import OUR_JOBS, STUCK_SECONDS, TASK_TAG, RunQueue, several_daemons

LOG = logging.getLogger(__name__)
RETRY_WITHIN = timedelta(seconds=30)
"""The daemon retries a failed run within seconds."""
RETRY_UNTIL = timedelta(hours=1)
"""After that, the run is a failure like any other: people get an alert, and the schedule tries again once."""
WILL_RETRY, RETRIED_AS, REASON = "dagster/will_retry", "dagster/auto_retry_run_id", "dagster/failure_reason"
NOT_RETRIED = "roster/not_retried"
"""A tag of a run whose retry was given up."""
WHY = {
    "lost": "The message of this run is gone from the broker.",
    "dead": "No process executes this run any more.",
    "forgotten": "This run was created and never queued.",
}


class ConnectionTaggingCoordinator(dg.QueuedRunCoordinator):
    """A `QueuedRunCoordinator` that tags the runs of schools with their connection and their name, and notes nights."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run, if it names a school, and queue it.

        A test of a connection gets only the name: it must answer while the runs of a slow SIS wait. If the directory
        cannot be read, the run is queued without tags: then only `max_concurrent_runs` limits it. A run of the schedule
        is not queued then, because the next tick would start the same night again.
        """
        run = context.dagster_run
        key = partition_of(run.tags)
        if key and not {CONNECTION_TAG, SCHOOL_TAG} <= set(run.tags):
            tags = {name: value for name, value in school_tags(key).items() if name not in run.tags}
            if run.job_name == test_connection.name:
                tags.pop(CONNECTION_TAG, None)
            if tags:
                self._instance.add_run_tags(run.run_id, tags)
        if key and run.tags.get(WHO_TAG) == SCHEDULE and NIGHT_TAG in run.tags:
            note_night(key, run.tags)
        return super().submit_run(context)

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run; False if it has ended. A Celery worker ends its run itself, within seconds.

        Celery's own way is to kill the process. The run would then count as lost, and be started again.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        launched = run.status is dg.DagsterRunStatus.STARTING or TASK_TAG in run.tags
        if run.status is dg.DagsterRunStatus.QUEUED or not (
            launched and hasattr(self._instance.run_launcher, "celery")
        ):
            return super().cancel_run(run_id)
        self._instance.report_run_canceling(run)
        return True


def note_night(school_key: str, tags: Mapping[str, str]) -> None:
    """Note the night that the schedule starts with a run. Raises DirectoryError."""
    from roster_pipeline.directory.scheduled_runs import note_requested
    from roster_pipeline.sync.schedule_due import FIRST

    attempt, at = tags.get(RUN_KEY_TAG, "").rpartition(":")[2], tags.get(SCHEDULED_EXECUTION_TIME_TAG)
    with DirectoryResource().database().begin() as conn:
        tick = datetime.fromisoformat(at) if at else datetime.now(UTC)
        note_requested(conn, school_key, tags[NIGHT_TAG], int(attempt) if attempt.isdecimal() else FIRST, tick)


def school_tags(school_key: str) -> dict[str, str]:
    """A school's connection and name as tags; none if there is no such school, or the directory cannot be read."""
    from roster_pipeline.directory import tenants

    try:
        with DirectoryResource().database().begin() as conn:
            school = tenants.get_school(conn, school_key)
            return {CONNECTION_TAG: school.connection.key, SCHOOL_TAG: school.name}
    except tenants.UnknownKey:
        return {}
    except Exception as problem:
        LOG.warning("The run of %s is queued without its connection: %s", school_key, type(problem).__name__)
        return {}


@dataclass(frozen=True)
class Swept:
    """failed: ids of runs that were marked as failed now. suspects: runs that will be marked if the next check finds
    the same."""

    failed: list[str]
    suspects: list[str]


def fail_lost_runs(instance: dg.DagsterInstance, queue: RunQueue, suspects: Collection[str]) -> Swept:
    """Mark the runs as failed that two checks in a row found lost.

    Between them, a process whose database was away can take its lock again.
    """
    forgotten = [
        record
        for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED]))
        if queue.age(record) > STUCK_SECONDS and record.dagster_run.job_name in OUR_JOBS
    ]
    found = {"lost": queue.lost(), "dead": queue.dead, "forgotten": forgotten}
    failed, left = [], []
    for kind, records in found.items():
        for before in (record.dagster_run for record in records):
            if before.run_id not in suspects:
                left.append(before.run_id)
                continue
            run = instance.get_run_by_id(before.run_id)
            if run is not None and run.status == before.status:
                instance.report_run_failed(run, WHY[kind], JobFailureData(None, RunFailureReason.RUN_WORKER_RESTART))
                failed.append(run.run_id)
    return Swept(failed, left)


def awaits_retry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the daemon should start a failed run again, and has not done so yet.

    The tag of the run alone does not say so: the daemon removes the tag if it could not reach the code server at that
    moment.
    """
    if RETRIED_AS in run.tags or NOT_RETRIED in run.tags or run.remote_job_origin is None:
        return False
    reason = run.tags.get(REASON)
    return bool(auto_reexecution_should_retry_run(instance, run, RunFailureReason(reason) if reason else None))


def retry_missed_runs(instance: dg.DagsterInstance, queue: RunQueue) -> int:
    """Report a run as failed again if the daemon has missed its retry. The daemon then retries it. Returns how many."""
    recent = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_after=queue.at - 2 * RETRY_UNTIL,
        updated_before=queue.at - RETRY_WITHIN,
    )
    missed = [record for record in instance.get_run_records(recent) if awaits_retry(instance, record.dagster_run)]
    for record in missed:
        run = record.dagster_run
        if queue.at - record.create_timestamp.replace(tzinfo=UTC) > RETRY_UNTIL:
            instance.add_run_tags(run.run_id, {WILL_RETRY: "false", NOT_RETRIED: "true"})
        else:
            reason = run.tags.get(REASON)
            data = JobFailureData(None, RunFailureReason(reason) if reason else None)
            instance.report_run_failed(run, "The retry of this run was missed; it is requested again.", data)
    return len(missed)


def numbers(queue: RunQueue) -> dict[str, tuple[str, float]]:
    """Numbers for Prometheus: name, meaning and value.

    The numbers of broker and workers exist only if runs go over a broker.
    """
    now = queue.at.timestamp()
    found = {
        "roster_runs_queued": ("Runs that wait in the queue", len(queue.waiting)),
        "roster_runs_launched": ("Runs that were launched and have not begun", len(queue.launched)),
        "roster_runs_started": ("Runs under way", len(queue.started)),
        "roster_runs_lost": ("Launched runs whose message is gone", len(queue.lost())),
        "roster_runs_dead": ("Started runs that no process executes", len(queue.dead)),
        "roster_runs_stuck": ("Runs that could start and have waited for two minutes", len(queue.stuck())),
        "roster_run_slots": ("Runs that may be under way at once", queue.slots),
        "roster_queue_oldest_seconds": ("Age of the oldest queued run", max(map(queue.age, queue.waiting), default=0)),
        "roster_last_start_timestamp_seconds": ("When the last run began", queue.last_start or 0),
        "roster_daemon_beat_seconds": (
            "Age of the daemon's oldest last heartbeat",
            max((now - at for at, _ in queue.beats), default=float("inf")),
        ),
        "roster_daemons": ("Daemons that send heartbeats: 2 where there are several", 1 + several_daemons(queue.beats)),
    }
    broker = queue.broker
    if broker is not None:
        found |= {
            "roster_broker_up": ("1 where the broker answers", float(not broker.problem)),
            "roster_broker_messages": ("Messages in the queue of the broker", broker.waiting),
            "roster_worker_processes": ("Processes of workers that take runs", broker.processes),
            "roster_worker_busy": ("Processes of workers that execute a run", broker.active),
        }
    return {name: (meaning, float(value)) for name, (meaning, value) in found.items()}
