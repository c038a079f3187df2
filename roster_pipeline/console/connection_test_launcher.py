"""Starting a test of a connection: a process of its own, and somebody who notices when that dies or does not end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from sqlalchemy import Connection

from roster_pipeline.directory import connection_tests, sis_school_lists
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.runtime.embedded import DATABASE_URL

MODULE = "roster_pipeline.console.connection_test_worker"
SCHOOLS = "--schools"
LONGEST = 25 * 60.0
"""Seconds until a test that has no end is ended: less than after which it would count as lost."""
SMALL = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A test computes nothing, and the threads of these libraries would take memory of its limit."""
DIED = (
    "The test's process ended before it was done (exit code {code}).\n"
    "Start it again. If it stays, the SIS sends more than a test may hold in memory: choose a smaller page size."
)
TOO_LONG = (
    "The test was not done after {minutes:.0f} minutes.\nChoose a larger page size, or ask why the SIS is so slow."
)


End = Callable[[Connection, str], None]
"""Ends the row of what was started with a problem, unless the process has ended it."""


def launch(database: Database, school_key: str, test_id: str) -> None:
    """Start the test that this row describes. Never raises: what goes wrong ends the row."""
    _start(database, [school_key, test_id], lambda conn, problem: connection_tests.end(conn, test_id, problem))


def launch_list(database: Database, connection: ConnectionRow, list_id: str) -> None:
    """Start reading the schools of a connection's SIS, in the same way."""
    arguments = [SCHOOLS, connection.key, list_id]
    _start(database, arguments, lambda conn, problem: sis_school_lists.end(conn, list_id, problem))


def _start(database: Database, arguments: list[str], end: End) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-m", MODULE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **SMALL, DATABASE_URL: url},
            start_new_session=True,
        )
    except OSError:
        _end(database, end, DIED.format(code="none"))
        return
    Thread(target=_watch, args=(database, end, child), daemon=True, name="test").start()


def _watch(database: Database, end: End, child: subprocess.Popen[bytes]) -> None:
    try:
        problem = DIED.format(code=child.wait(LONGEST))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        problem = TOO_LONG.format(minutes=LONGEST / 60)
    _end(database, end, problem)


def _end(database: Database, end: End, problem: str) -> None:
    with suppress(DirectoryError), database.begin() as conn:
        end(conn, problem)
