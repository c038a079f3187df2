"""Carries out one run that somebody asked for, in its own process.

The run's row says what to do, how far it is, and how it ended. The run is a child of this process. This process says
that the run is alive. It ends the run if somebody cancels it, if it takes too long, or if the machine ends its
services. It uses SIGKILL, so that no clean-up of a library can delay the end. PostgreSQL rolls back everything that the
run had not committed by then.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from threading import Event, Thread

from roster_pipeline.console.launchers import DIED
from roster_pipeline.directory import manual_runs
from roster_pipeline.directory.database import NAME, Database, DirectoryError, end_sessions
from roster_pipeline.directory.manual_runs import CANCELED, ManualRun
from roster_pipeline.runtime.embedded import prepare_environment
from roster_pipeline.sync.alerts import record_failure
from roster_pipeline.sync.error_messages import SyncError, explain

LOOK_EVERY = 1.0
"""Seconds between two checks whether the run was canceled. Each check also says that the run is alive."""
TOO_LONG = "This run was ended after {minutes}, the longest that a run by hand may take. Nothing was half applied."
TOO_LONG_REMEDY = (
    "The SIS is probably slow: ask its vendor, or wait for the run of the night, which may take longer. "
    "An operator can set ROSTER_CONSOLE_RUN_MINUTES."
)
STOPPED = "The console's machine was stopped, and this run with it.\nStart it again; nothing was half applied."
APPLIED = "Canceled by {who}, after its changes had been applied."
IN_DAGSTER = "Canceled in the console; the audit of the school says who did it."
"""Owners of other districts can read Dagster's events, so they contain no person's name."""


def main(run_id: str, minutes: float) -> int:
    """Carry out the run and watch it. Returns 0 if it came to an end, also if it failed and the failure was noted."""
    database = Database(prepare_environment().roster)
    with database.begin() as conn:
        run = manual_runs.find(conn, run_id)
    if run is None:
        return 1
    database.close()  # a fork must not share connections
    child = get_context("fork").Process(target=_carry_out, args=(run_id, os.getpid()), daemon=True)
    child.start()
    stopping = Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    _watch(database, *run, child, minutes, stopping)
    return 0


def _watch(database: Database, run: ManualRun, key: str, child: BaseProcess, minutes: float, stopping: Event) -> None:
    """Wait for the end of the run, or end it."""
    until = time.monotonic() + minutes * 60
    while child.exitcode is None:
        child.join(LOOK_EVERY)
        who = None
        with suppress(DirectoryError), database.begin() as conn:
            who = manual_runs.alive(conn, run.id)
        too_long = time.monotonic() > until
        if child.exitcode is None and (who or too_long or stopping.is_set()):
            _kill(database, run.id, child)
            if who:
                _canceled(database, run, who)
            elif too_long:
                _took_too_long(database, run, key, minutes)
            else:
                _end(database, run.id, STOPPED)
                _end_in_dagster(run.id, STOPPED)
            return
    if child.exitcode:
        _end(database, run.id, DIED.format(code=child.exitcode))
        _end_in_dagster(run.id, DIED.format(code=child.exitcode), failed=True)


def _kill(database: Database, run_id: str, child: BaseProcess) -> None:
    """End the process, and then its sessions in the database.

    A session that waits for a lock would not notice that its process ended.
    """
    child.kill()
    child.join()
    with suppress(DirectoryError), database.begin() as conn:
        end_sessions(conn, _name(run_id))


def _canceled(database: Database, run: ManualRun, who: str) -> None:
    with database.begin() as conn:
        applied = manual_runs.outcome(conn, run.school_id, run.id).sync_id is not None
    _end(database, run.id, (APPLIED if applied else CANCELED).format(who=who))
    _end_in_dagster(run.id, IN_DAGSTER)


def _took_too_long(database: Database, run: ManualRun, key: str, minutes: float) -> None:
    message = TOO_LONG.format(minutes="a minute" if minutes == 1 else f"{minutes:g} minutes")
    problem = SyncError(key, message, TOO_LONG_REMEDY)
    _end(database, run.id, str(problem))
    record_failure(database, key, "run", problem, run.id)
    _end_in_dagster(run.id, str(problem), failed=True)


def _end(database: Database, run_id: str, problem: str) -> None:
    with suppress(DirectoryError), database.begin() as conn:
        manual_runs.end(conn, run_id, problem)


def _end_in_dagster(run_id: str, message: str, *, failed: bool = False) -> None:
    """Show the run as failed or canceled in Dagster, unless it ended by itself."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        if failed:
            instance.report_run_failed(run, message)
        else:
            instance.report_run_canceling(run, message)
            instance.report_run_canceled(run, message)


def _name(run_id: str) -> str:
    return f"roster run {run_id}"


def _carry_out(run_id: str, watcher: int) -> None:
    """The run itself, in the child."""
    os.environ[NAME] = _name(run_id)
    Thread(target=_end_with, args=(watcher,), daemon=True).start()
    database = Database(prepare_environment().roster)
    with database.begin() as conn:
        run = manual_runs.find(conn, run_id)
    if run is None:
        return
    problem = _run(database, *run)
    with database.begin() as conn:
        manual_runs.end(conn, run_id, problem)


def _run(database: Database, asked: ManualRun, key: str) -> str | None:
    def step(words: str) -> None:
        with suppress(DirectoryError), database.begin() as conn:
            manual_runs.alive(conn, asked.id, words)

    try:
        from roster_pipeline.runtime.run_school import run_school

        return run_school(key, dry_run=asked.kind == "dry_run", run_id=asked.id, on_step=step).problem
    except Exception as problem:
        return str(explain(key, problem))


def _end_with(watcher: int) -> None:
    """End this process if nobody else is left who could end it."""
    while os.getppid() == watcher:
        time.sleep(LOOK_EVERY)
    os._exit(1)
