"""One school's sync as a Dagster run in this process, on the instance whose history the UI shows."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

from roster_pipeline.runtime.processes import Ended, noted

if TYPE_CHECKING:
    import dagster as dg

JOB = "rostering"
MODULE, LOCATION, REPOSITORY = "roster_pipeline.definitions", "roster_pipeline", "__repository__"
"""The place of the job: the name in `workspace.yaml`, and the name that Dagster gives to a repository of
definitions."""
PARTITION_TAG = "dagster/partition"
LAST_STEP = "applied_changes"
STEPS = {
    "raw": "fetching from the SIS",
    "cleaned_roster": "cleaning",
    "roster_diff": "planning",
    LAST_STEP: "applying",
}
LOOK_EVERY = 0.5
"""Seconds between two looks at the running step."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The UI shows the log of a run; the terminal gets the outcome."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `problem`: what failed, for people; None if it succeeded.

    nothing_found: it failed because the SIS shows nothing of this school.
    """

    run_id: str
    problem: str | None
    nothing_found: bool = False


def run_school(
    school_key: str,
    *,
    dry_run: bool = False,
    night: str | None = None,
    run_id: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> RunResult:
    """Run the job for one school and wait. A dry run ends before anything is applied.

    The audit says under `run_id` who asked for it. Without an entry, the ledger says that it came from Dagster.

    night: runs with the same night share one pull per connection; without it, the run fetches for itself. run_id: the
    id of the run, if somebody follows it by this id. on_step: is called with the current step, in words. It also makes
    the school's partition, which the daemon's sensor would do a little later.

    Raises Ended if a signal interrupted the run.
    """
    import dagster as dg

    from roster_pipeline.definitions import defs
    from roster_pipeline.defs.asset_helpers import DRY_RUN_TAG, NIGHT_TAG, schools
    from roster_pipeline.defs.run_coordinator import school_tags

    run_id = run_id or str(uuid.uuid4())
    tags = school_tags(school_key)  # its connection counts in the queue's limit, but this run does not wait there
    if dry_run:
        tags[DRY_RUN_TAG] = "true"
    if night:
        tags[NIGHT_TAG] = night
    job = defs.resolve_job_def(JOB)
    selection = None
    if dry_run:
        selection = sorted(key for key in job.asset_layer.executable_asset_keys if key != dg.AssetKey(LAST_STEP))
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(schools.name), [school_key])
        done = Event()
        follower = Thread(target=_follow, args=(instance, run_id, on_step, done), daemon=True)
        if on_step is not None:
            follower.start()
        try:
            with noted() as signals:
                result = _execute(instance, job, run_id, tags | {PARTITION_TAG: school_key}, selection)
        finally:
            done.set()
            if on_step is not None:
                follower.join()
        if signals:
            ended, run = Ended(signals[0]), instance.get_run_by_id(run_id)
            if run and not result.success:  # for Dagster it failed, and people would get an alert about a killed run
                instance.report_run_canceled(run, str(ended))
            raise ended
        return RunResult(run_id, None) if result.success else _failed(result)


@dataclass(frozen=True)
class _Executed:
    run_id: str
    success: bool
    all_events: list[dg.DagsterEvent]


def _execute(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    run_id: str,
    tags: dict[str, str],
    selection: list[dg.AssetKey] | None,
) -> _Executed:
    """Run the job in this process, as a run of the code location that the UI knows, because the UI can re-execute only
    such a run.

    `execute_in_process` does not note where the job came from.
    """
    import dagster as dg
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run_iterator
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), LOCATION)
    run = instance.create_run_for_job(
        job,
        run_id=run_id,
        run_config=QUIET,
        tags={**job.run_tags, **tags},
        asset_selection=frozenset(selection) if selection else None,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), JOB),
    )
    events = list(execute_run_iterator(InMemoryJob(job), run, instance))
    return _Executed(run_id, any(event.event_type == dg.DagsterEventType.RUN_SUCCESS for event in events), events)


def _failed(result: _Executed) -> RunResult:
    from roster_pipeline.defs.asset_helpers import NOTHING_FOUND

    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            if failure and failure.description:
                nothing = failure.metadata.get(NOTHING_FOUND)
                return RunResult(result.run_id, failure.description, bool(nothing and nothing.value))
    said_nothing = f"run {result.run_id} failed before its first step\nLook at the run in the UI: roster dev"
    return RunResult(result.run_id, said_nothing)


def _follow(instance: dg.DagsterInstance, run_id: str, on_step: Callable[[str], None] | None, done: Event) -> None:
    import dagster as dg

    while on_step is not None and not done.wait(LOOK_EVERY):
        with suppress(dg.DagsterError):
            started = instance.get_records_for_run(
                run_id, of_type=dg.DagsterEventType.STEP_START, ascending=False, limit=1
            )
            for record in started.records:
                on_step(STEPS.get(record.event_log_entry.step_key or "", "running"))
