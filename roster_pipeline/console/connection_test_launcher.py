"""Starting a test of a connection: a process of its own, and somebody who notices when that dies or does not end."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from threading import Thread

from roster_pipeline.directory import connection_tests
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.runtime.embedded import DATABASE_URL

MODULE = "roster_pipeline.console.connection_test_worker"
LONGEST = 25 * 60.0
"""Seconds until a test that has no end is ended: less than after which it would count as lost."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A test computes nothing, and the threads of these libraries would take memory of its limit."""
DIED = (
    "The test's process ended before it was done (exit code {code}).\n"
    "Start it again. If it stays, the SIS sends more than a test may hold in memory: choose a smaller page size."
)
TOO_LONG = (
    "The test was not done after {minutes:.0f} minutes.\nChoose a larger page size, or ask why the SIS is so slow."
)


def launch(database: Database, school_key: str, test_id: str) -> None:
    """Start the test that this row describes. Never raises: what goes wrong ends the row."""
    url = database.engine.url.render_as_string(hide_password=False)
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-m", MODULE, school_key, test_id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD, DATABASE_URL: url},
            start_new_session=True,
        )
    except OSError:
        _end(database, test_id, DIED.format(code="none"))
        return
    Thread(target=_watch, args=(database, test_id, child), daemon=True, name="test").start()


def _watch(database: Database, test_id: str, child: subprocess.Popen[bytes]) -> None:
    try:
        problem = DIED.format(code=child.wait(LONGEST))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        problem = TOO_LONG.format(minutes=LONGEST / 60)
    _end(database, test_id, problem)


def _end(database: Database, test_id: str, problem: str) -> None:
    """Counts only where the test did not say itself how it ended."""
    with suppress(DirectoryError), database.begin() as conn:
        connection_tests.end(conn, test_id, problem)
