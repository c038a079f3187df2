"""Marks lost runs as failed, so that the daemon retries them. A run is lost if its message or its process is gone.

Dagster's own monitoring trusts the broker's result store, or waits for an hour.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, timedelta

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from roster_pipeline.runtime.run_queue import OURS, PATIENCE_SECONDS, RunQueue

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


@dataclass(frozen=True)
class Swept:
    """failed: ids of runs that were failed now. suspects: runs that will be failed if the next look finds the same."""

    failed: list[str]
    suspects: list[str]


def fail_lost_runs(instance: dg.DagsterInstance, queue: RunQueue, suspects: Collection[str]) -> Swept:
    """Fail the runs that two looks found lost.

    Between them, a process whose database was away can take its lock again.
    """
    forgotten = [
        record
        for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED]))
        if queue.age(record) > PATIENCE_SECONDS and record.dagster_run.job_name in OURS
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
            instance.report_run_failed(run, "The retry of this run was missed; it is asked for again.", data)
    return len(missed)
