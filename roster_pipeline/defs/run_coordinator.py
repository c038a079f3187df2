"""Dagster's run queue, which knows a school's connection: `run_coordinator` in `dagster.yaml`.

`dagster.yaml` bounds how many runs of one connection execute at a time, by the tag `roster/connection`. The schedule
sets it. Runs that come from the UI, from Dagster's own command or from a backfill get it here, before they are queued.

It also cancels the runs of Celery's workers, for the UI and `roster run cancel` alike.
"""

from __future__ import annotations

import logging

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext

from roster_pipeline.defs.assets.asset_helpers import CONNECTION_TAG
from roster_pipeline.defs.jobs import test_connection
from roster_pipeline.defs.partitions import partition_of
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.run_queue import TASK_TAG

LOG = logging.getLogger(__name__)


class ConnectionTaggingCoordinator(dg.QueuedRunCoordinator):
    """A `QueuedRunCoordinator`; a run of a school without the tag `roster/connection` is given it."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag the run, if it names a school, and queue it.

        A test of a connection stays without: it must answer while the runs of a slow SIS wait. Where the directory
        cannot be read, the run is queued as it is: bounded by `max_concurrent_runs` alone, and not lost.
        """
        run = context.dagster_run
        key = partition_of(run.tags)
        if key and CONNECTION_TAG not in run.tags and run.job_name != test_connection.name:
            connection = connection_of(key)
            if connection is not None:
                self._instance.add_run_tags(run.run_id, {CONNECTION_TAG: connection})
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


def connection_of(school_key: str) -> str | None:
    """The key of a school's connection; None where there is no such school, or the directory cannot be read."""
    from roster_pipeline.directory import tenants

    try:
        with DirectoryResource().database().begin() as conn:
            return tenants.connection_of(conn, school_key)
    except Exception as problem:
        LOG.warning("The run of %s waits for no other of its connection: %s", school_key, type(problem).__name__)
        return None
