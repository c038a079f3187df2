"""Starting a run that somebody asked for: a row, a process of its own, and somebody who notices when that dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from contextlib import suppress
from threading import Thread

from roster_pipeline.directory import asked_runs, audit
from roster_pipeline.directory.asked_runs import Kind
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.embedded import DATABASE_URL

DIED = "The run's process ended before it could say why (exit code {code}).\nStart it again; nothing was half applied."
MODULE = "roster_pipeline.console.run_child"


def launch(database: Database, school: SchoolRow, kind: Kind, *, who: str, most: int) -> str:
    """Start a run of a school; gives its id. most: runs at once on this machine. Raises AlreadyGoing, TooManyRuns."""
    run_id = str(uuid.uuid4())
    with database.begin() as conn:
        asked_runs.ask(conn, run_id, school.id, school.key, kind=kind, who=who, host=socket.gethostname(), most=most)
        audit.record_run(conn, run_id, kind, school.id, school.district_id, who=who)
    url = database.engine.url.render_as_string(hide_password=False)
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-m", MODULE, run_id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, DATABASE_URL: url},
            start_new_session=True,
        )
    except OSError:
        _end(database, run_id, DIED.format(code="none"))
        return run_id
    Thread(target=_watch, args=(database, run_id, child), daemon=True, name="run").start()
    return run_id


def _watch(database: Database, run_id: str, child: subprocess.Popen[bytes]) -> None:
    _end(database, run_id, DIED.format(code=child.wait()))


def _end(database: Database, run_id: str, problem: str) -> None:
    """Counts only where the run did not say itself how it ended."""
    with suppress(DirectoryError), database.begin() as conn:
        asked_runs.end(conn, run_id, problem)
