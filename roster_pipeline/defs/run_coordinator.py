"""Dagster's run queue, which knows a school's connection: `run_coordinator` in `dagster.yaml`.

`dagster.yaml` bounds how many runs of one connection execute at a time, by the tag `roster/connection`. The schedule
sets it, and the school's name for people. Runs that come from the UI, from Dagster's own command or from a backfill get
both here, before they are queued.

It also cancels the runs of Celery's workers, for the UI and `roster run cancel` alike.
"""

from __future__ import annotations

import logging

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext

from roster_pipeline.defs.asset_helpers import CONNECTION_TAG, SCHOOL_TAG
from roster_pipeline.defs.jobs import test_connection
from roster_pipeline.defs.partitions import partition_of
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.runtime.run_queue import TASK_TAG

LOG = logging.getLogger(__name__)


class ConnectionTaggingCoordinator(dg.QueuedRunCoordinator):
    """A `QueuedRunCoordinator` that tags the runs of schools with their connection and their name."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run, if it names a school, and queue it.

        A test of a connection gets only the name: it must answer while the runs of a slow SIS wait. Where the directory
        cannot be read, the run is queued as it is: bounded by `max_concurrent_runs` alone, and not lost.
        """
        run = context.dagster_run
        key = partition_of(run.tags)
        if key and not {CONNECTION_TAG, SCHOOL_TAG} <= set(run.tags):
            tags = {name: value for name, value in school_tags(key).items() if name not in run.tags}
            if run.job_name == test_connection.name:
                tags.pop(CONNECTION_TAG, None)
            if tags:
                self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run; False where it has ended. A Celery worker ends its run itself, within seconds.

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


def school_tags(school_key: str) -> dict[str, str]:
    """A school's connection and name as tags; none where there is no such school, or the directory cannot be read."""
    from roster_pipeline.directory import tenants

    try:
        with DirectoryResource().database().begin() as conn:
            found = tenants.connection_and_name(conn, school_key)
            return {CONNECTION_TAG: found[0], SCHOOL_TAG: found[1]} if found else {}
    except Exception as problem:
        LOG.warning("The run of %s waits for no other of its connection: %s", school_key, type(problem).__name__)
        return {}
