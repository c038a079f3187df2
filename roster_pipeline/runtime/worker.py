"""The Celery app of a warm worker: whole runs, one after the other, in a process that has everything loaded.

celery -A roster_pipeline.runtime.worker worker -Q "$ROSTER_QUEUE"

Broker, result store and settings are those of the run launcher in `dagster.yaml`, so they are set in one place. The
app adds five things to dagster-celery's own:

- A process keeps its Dagster instance, with its connections to PostgreSQL and some answers from there, between runs.
- A task ends only when its run has ended. While the database is away, the task waits. Then it fails a run that broke
  off, so that the daemon retries it.
- A run whose worker was lost fails as soon as the broker hands it to another worker. Dagster would think that the new
  worker is a duplicate.
- A run may have to wait for another run's fetch from the same SIS. It goes to the end of the queue at the broker, and
  the process takes the run of another school.
- If somebody cancels a run, its own process interrupts it, rolls back uncommitted changes, and takes the next run.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from threading import Event, Thread
from typing import Any, NoReturn, TypeVar

import dagster as dg
from celery import Celery, Task, signals
from celery.exceptions import Retry
from dagster._cli.api import _execute_run_command_body
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from roster_pipeline.defs.asset_helpers import batch_of, partition_of
from roster_pipeline.defs.jobs import test_connection
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import alive_runs

TRY_AGAIN_SECONDS = 2.0
"""Seconds between two tries to reach a database that is away."""
TURN_SECONDS = 1.0
"""Seconds between two tries of a run that waits for the fetch of another run, at least."""
CANCELED_WITHIN_SECONDS = 3.0
"""How often a process asks whether its run was canceled."""
MARK_SECONDS = 30.0
"""How often a run that waits at the broker is marked, which shows that its message is not lost."""
WAITS_TAG = "roster/waits_at_broker"
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout, DagsterPostgresException, DirectoryError)
LOST = "The worker that executed this run was lost."
BROKE_OFF = "The run broke off before it could say how it ended, most likely because its database was away."
WAITS = "Another run fetches from this SIS. This run waits for it at the broker."
FETCH_STEP, FETCHED = "raw", dg.AssetKey("raw_users")
T = TypeVar("T")
log = logging.getLogger(__name__)


def make_app() -> Celery:
    """The launcher's Celery app, with the task that executes runs."""
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
    if not isinstance(launcher, CeleryRunLauncher):
        raise TypeError(
            f"dagster.yaml names {type(launcher).__name__} as its run launcher, so workers have nothing to do.\n"
            "Use deploy/dagster.yaml, and set DAGSTER_HOME to its folder."
        )
    found = launcher.celery
    found.task(execute_run, name=TASK_EXECUTE_JOB_NAME, bind=True)
    return found


def execute_run(task: Task, execute_job_args_packed: Any, tried_at: float = 0.0) -> int:
    """Execute one run to its end. Returns 0 if it succeeded, else 1.

    The task is marked as started here and not by Celery, because Celery would give up the run if it cannot write the
    mark.

    tried_at: when the run was last sent to the end of the queue, in seconds since 1970; 0 if never.
    """
    run_id = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id
    own = when_it_answers(instance_of_process)
    run = when_it_answers(lambda: own.get_run_by_id(run_id))
    if run is None or run.is_finished:
        return 1
    if run.status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING):
        if not when_it_answers(lambda: is_alive(run_id)):
            when_it_answers(lambda: fail_unless_ended(own, run_id, LOST))
        return 1
    code = 1
    try:
        with ExitStack() as turn:
            if when_it_answers(lambda: has_to_wait(run, turn)):
                wait_at_broker(task, own, run, tried_at)
            when_it_answers(lambda: task.update_state(state="STARTED"))
            turn.enter_context(interrupted_when_canceled(own, run_id))
            code = _execute_run_command_body(run_id, own, lambda event: None, set_exit_code_on_failure=True)
    except Retry:
        raise
    except Exception as problem:
        log.warning("run %s broke off (%s)", run_id, type(problem).__name__)
    when_it_answers(lambda: fail_unless_ended(own, run_id, BROKE_OFF))
    return code


@contextmanager
def interrupted_when_canceled(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """During the block, check whether the run was canceled, and interrupt it if it was. Dagster ends the step. Between
    steps Celery ignores the signal, and the next check sends it again."""
    ended = Event()

    def look() -> None:
        while not ended.wait(CANCELED_WITHIN_SECONDS):
            with suppress(*DATABASE_AWAY):
                if cancel_requested(instance, run_id) and not ended.is_set():
                    run = instance.get_run_by_id(run_id)
                    if run is not None and run.status is dg.DagsterRunStatus.STARTED:
                        instance.report_run_canceling(run)  # otherwise the signal is a failure for Dagster
                    os.kill(os.getpid(), signal.SIGINT)

    looking = Thread(target=look, name="cancel", daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def cancel_requested(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether somebody canceled the run. The status may not show it: a run that starts at that moment overwrites it."""
    canceling = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.PIPELINE_CANCELING, limit=1)
    return bool(canceling.records)


def has_to_wait(run: dg.DagsterRun, turn: ExitStack) -> bool:
    """Whether a run would wait for the fetch of another one. If it would not wait, `turn` keeps others from fetching
    before it."""
    key = partition_of(run.tags)
    steps, assets = run.step_keys_to_execute, run.asset_selection
    fetches = (not steps or FETCH_STEP in steps) and (not assets or FETCHED in assets)
    if key is None or run.is_finished or run.job_name == test_connection.name or not fetches:
        return False
    from roster_pipeline.sync.fetch_snapshot import turn_to_fetch

    with suppress(DirectoryError):  # the run itself will report what is wrong
        return not turn.enter_context(
            turn_to_fetch(DirectoryResource().database(), key, batch_of(run, instance_of_process()))
        )
    return False


def wait_at_broker(task: Task, instance: dg.DagsterInstance, run: dg.DagsterRun, tried_at: float) -> NoReturn:
    """Put the message at the end of the queue, where every worker can take it. Raises Celery's Retry.

    With a countdown, the message would stay with this worker and wait there until its next run ends. In a short queue,
    a worker takes the message again at once, so there are at least `TURN_SECONDS` between two tries.

    tried_at: as in `execute_run`.
    """
    now = time.time()
    if not tried_at:
        when_it_answers(lambda: instance.report_engine_event(WAITS, run))
    elif DAGSTER_CELERY_TASK_ID_TAG in run.tags and now - float(run.tags.get(WAITS_TAG, 0)) > MARK_SECONDS:
        when_it_answers(lambda: instance.add_run_tags(run.run_id, {WAITS_TAG: f"{now:.0f}"}))
    time.sleep(min(max(tried_at + TURN_SECONDS - now, 0.0), TURN_SECONDS))
    raise task.retry(kwargs={**task.request.kwargs, "tried_at": time.time()}, countdown=0, max_retries=None)


def when_it_answers(ask: Callable[[], T]) -> T:
    """The result of a question to the database. While the database is away, this retries, and the broker keeps the
    message."""
    while True:
        try:
            return ask()
        except DATABASE_AWAY as problem:
            log.warning("the database is away (%s); trying again", type(problem).__name__)
            time.sleep(TRY_AGAIN_SECONDS)


def is_alive(run_id: str) -> bool:
    """Whether another process executes this run. Then this message is a second one for the same run."""
    return bool(DirectoryResource().database().call(alive_runs, [run_id]))


def fail_unless_ended(instance: dg.DagsterInstance, run_id: str, why: str) -> None:
    """Fail a run that no process executes any more; the daemon retries it."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return
    if cancel_requested(instance, run_id):
        instance.report_run_canceled(run)
    elif run.status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
        lost = JobFailureData(error=None, failure_reason=RunFailureReason.RUN_WORKER_RESTART)
        instance.report_run_failed(run, why, lost)


@cache
def instance_of_process() -> dg.DagsterInstance:
    """The instance that all runs of this process share."""
    return dg.DagsterInstance.get()


def warm_up(**_: object) -> None:
    """Load the modules of a run before the first one comes."""
    from roster_pipeline import sync
    from roster_pipeline.cleaning import expectations  # noqa: F401 - for Great Expectations, which takes seconds
    from roster_pipeline.definitions import defs

    for step in sync.STEPS:
        getattr(sync, step)
    defs.resolve_job_def("rostering")
    instance_of_process()


signals.worker_process_init.connect(warm_up)
app = make_app()
