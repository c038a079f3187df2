"""One school's sync as a Dagster run in this process, on the instance whose history the UI shows. `main` carries out a
run that somebody asked for in the console, in a process of its own.

The row of such a run has the task, the progress and the end. The run is a child of the process, which writes the signs
of life. It ends the run if somebody cancels it, if it takes too long, or if the machine ends its services. It uses
SIGKILL, so that no clean-up of a library can delay the end. PostgreSQL rolls back everything that the run had not
committed by then.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row

from roster_pipeline.directory import manual_runs
from roster_pipeline.directory.database import NAME, Database, DirectoryError, end_sessions
from roster_pipeline.directory.manual_runs import CANCELED
from roster_pipeline.runtime.embedded import prepare_environment
from roster_pipeline.runtime.processes import Ended, noted
from roster_pipeline.sync import SyncError, explain
from roster_pipeline.sync.alerts import record_failure

if TYPE_CHECKING:
    import dagster as dg

JOB = "rostering"
MODULE, LOCATION, REPOSITORY = "roster_pipeline.definitions", "roster_pipeline", "__repository__"
"""The place of the job: the name in `workspace.yaml`, and the name that Dagster gives to a repository of
definitions."""
LAST_STEP = "applied_changes"
STEPS = {"raw": "fetching from the SIS", "cleaned_roster": "cleaning", "roster_diff": "planning", LAST_STEP: "applying"}
LOOK_EVERY = 0.5
"""Seconds between two checks of the running step."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The UI shows the log of a run; the terminal gets the outcome."""
DIED = "The run's process ended before it could say why (exit code {code}).\nStart it again; nothing was half applied."
OF_RUN = "roster run {}"
"""The name of a run's sessions in the database."""
WATCH_EVERY = 1.0
"""Seconds between two checks whether the run was canceled. Each check also writes a sign of life."""
TOO_LONG = "This run was ended after {minutes}, the longest that a run by hand may take. Nothing was half applied."
TOO_LONG_REMEDY = (
    "The SIS is probably slow: ask its vendor, or wait for the run of the night, which may take longer. "
    "An operator can set ROSTER_CONSOLE_RUN_MINUTES."
)
STOPPED = "The console's machine was stopped, and this run with it.\nStart it again; nothing was half applied."
APPLIED = "Canceled by {who}, after its changes had been applied."
IN_DAGSTER = "Canceled in the console; the audit of the school says who did it."
"""Owners of other districts can read Dagster's events, so they contain no person's name."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `problem`: what failed, for people; None if it succeeded. nothing_found: it failed because the
    SIS shows nothing of this school."""

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
    from roster_pipeline.defs.asset_helpers import DRY_RUN_TAG, NIGHT_TAG, PARTITION_TAG, schools
    from roster_pipeline.defs.run_coordinator import school_tags
    from roster_pipeline.runtime.instance import dagster_answers

    run_id = run_id or str(uuid.uuid4())
    tags = school_tags(school_key)  # the tag counts in the queue's limit, but this run does not wait there
    if dry_run:
        tags[DRY_RUN_TAG] = "true"
    if night:
        tags[NIGHT_TAG] = night
    job = defs.resolve_job_def(JOB)
    selection = None
    if dry_run:
        selection = sorted(key for key in job.asset_layer.executable_asset_keys if key != dg.AssetKey(LAST_STEP))
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with dagster_answers(school_key), dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(schools.name), [school_key])
        done = Event()
        follower = Thread(target=_follow, args=(instance, run_id, on_step, done), daemon=True)
        follower.start()
        try:
            with noted() as signals:
                events = _execute(instance, job, run_id, tags | {PARTITION_TAG: school_key}, selection)
        finally:
            done.set()
            follower.join()
        success = any(event.event_type == dg.DagsterEventType.RUN_SUCCESS for event in events)
        if signals:
            ended, run = Ended(signals[0]), instance.get_run_by_id(run_id)
            if run and not success:  # in Dagster it failed, so people would get an alert about a killed run
                instance.report_run_canceled(run, str(ended))
            raise ended
        return RunResult(run_id, None) if success else _failed(run_id, events)


def _execute(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    run_id: str,
    tags: dict[str, str],
    selection: list[dg.AssetKey] | None,
) -> list[dg.DagsterEvent]:
    """Run the job in this process, as a run of the UI's code location, because the UI can re-execute only such runs.
    `execute_in_process` does not set the location."""
    from dagster._core import remote_origin as origin
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run_iterator
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = origin.ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), LOCATION)
    run = instance.create_run_for_job(
        job,
        run_id=run_id,
        run_config=QUIET,
        tags={**job.run_tags, **tags},
        asset_selection=frozenset(selection) if selection else None,
        remote_job_origin=origin.RemoteJobOrigin(origin.RemoteRepositoryOrigin(location, REPOSITORY), JOB),
    )
    return list(execute_run_iterator(InMemoryJob(job), run, instance))


def _failed(run_id: str, events: list[dg.DagsterEvent]) -> RunResult:
    from roster_pipeline.defs.asset_helpers import NOTHING_FOUND

    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            if failure and failure.description:
                nothing = failure.metadata.get(NOTHING_FOUND)
                return RunResult(run_id, failure.description, bool(nothing and nothing.value))
    return RunResult(run_id, f"run {run_id} failed before its first step\nLook at the run in the UI: roster dev")


def _follow(instance: dg.DagsterInstance, run_id: str, on_step: Callable[[str], None] | None, done: Event) -> None:
    import dagster as dg

    from roster_pipeline.runtime.instance import AWAY

    while on_step is not None and not done.wait(LOOK_EVERY):
        with suppress(dg.DagsterError, *AWAY):
            started = instance.get_records_for_run(
                run_id, of_type=dg.DagsterEventType.STEP_START, ascending=False, limit=1
            )
            for record in started.records:
                on_step(STEPS.get(record.event_log_entry.step_key or "", "running"))


def main(run_id: str, minutes: float) -> int:
    """Carry out the run and watch it. Returns 0 if it came to an end, also if it failed and the failure was noted."""
    database = Database(prepare_environment().roster)
    run = database.call(manual_runs.find, run_id)
    if run is None:
        return 1
    database.close()  # a fork must not share connections
    child = get_context("fork").Process(target=_carry_out, args=(run_id, os.getpid()), daemon=True)
    child.start()
    stopping = Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    _watch(Database(database.engine.url), run, child, minutes, stopping)
    return 0


def _watch(database: Database, run: Row[Any], child: BaseProcess, minutes: float, stopping: Event) -> None:
    """Wait for the end of the run, or end it."""
    until = time.monotonic() + minutes * 60
    while child.exitcode is None:
        child.join(WATCH_EVERY)
        who = None
        with suppress(DirectoryError), database.begin() as conn:
            who = manual_runs.alive(conn, run.id)
        too_long = time.monotonic() > until
        if child.exitcode is None and (who or too_long or stopping.is_set()):
            _kill(database, run.id, child)
            if who:
                _canceled(database, run, who)
            elif too_long:
                _took_too_long(database, run, minutes)
            else:
                _end(database, run.id, STOPPED, STOPPED)
            return
    if child.exitcode:
        died = DIED.format(code=child.exitcode)
        _end(database, run.id, died, died, failed=True)


def _kill(database: Database, run_id: str, child: BaseProcess) -> None:
    """End the process, and then its sessions in the database. A session that waits for a lock would not notice that its
    process ended."""
    child.kill()
    child.join()
    with suppress(DirectoryError), database.begin() as conn:
        end_sessions(conn, OF_RUN.format(run_id))


def _canceled(database: Database, run: Row[Any], who: str) -> None:
    applied = database.call(manual_runs.outcome, run.school_id, run.id).sync_id is not None
    _end(database, run.id, (APPLIED if applied else CANCELED).format(who=who), IN_DAGSTER)


def _took_too_long(database: Database, run: Row[Any], minutes: float) -> None:
    message = TOO_LONG.format(minutes="a minute" if minutes == 1 else f"{minutes:g} minutes")
    problem = SyncError(run.school_key, message, TOO_LONG_REMEDY)
    record_failure(database, run.school_key, "run", problem, run.id)
    _end(database, run.id, str(problem), str(problem), failed=True)


def _end(database: Database, run_id: str, problem: str, in_dagster: str, *, failed: bool = False) -> None:
    """Note how the run ended. In Dagster it is shown as failed or canceled, unless it ended by itself."""
    import dagster as dg

    with suppress(DirectoryError), database.begin() as conn:
        manual_runs.end(conn, run_id, problem)
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        if failed:
            instance.report_run_failed(run, in_dagster)
        else:
            instance.report_run_canceling(run, in_dagster)
            instance.report_run_canceled(run, in_dagster)


def _carry_out(run_id: str, watcher: int) -> None:
    """The run itself, in the child."""
    os.environ[NAME] = OF_RUN.format(run_id)
    Thread(target=_end_with, args=(watcher,), daemon=True).start()
    database = Database(prepare_environment().roster)
    run = database.call(manual_runs.find, run_id)
    if run is None:
        return
    problem = _run(database, run)
    database.call(manual_runs.end, run_id, problem)


def _run(database: Database, asked: Row[Any]) -> str | None:
    def step(words: str) -> None:
        with suppress(DirectoryError), database.begin() as conn:
            manual_runs.alive(conn, asked.id, words)

    try:
        return run_school(asked.school_key, dry_run=asked.kind == "dry_run", run_id=asked.id, on_step=step).problem
    except Exception as problem:
        return str(explain(asked.school_key, problem))


def _end_with(watcher: int) -> None:
    """End this process if its parent is gone, because then nobody else would end it."""
    while os.getppid() == watcher:
        time.sleep(WATCH_EVERY)
    os._exit(1)
