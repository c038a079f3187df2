"""Starting a run that somebody asked for: a row, its turn, a process of its own, and a thread that notices its end.

The thread of a run that waits is in the console that was asked. If that console ends, the run counts as never started.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock, Thread

from roster_pipeline.directory import audit, manual_runs
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.manual_runs import Kind
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.runtime.embedded import DATABASE_URL

DIED = "The run's process ended before it could say why (exit code {code}).\nStart it again; nothing was half applied."
MODULE = "roster_pipeline.console.manual_run_worker"
LOOK_EVERY = 1.0
"""Seconds between two looks at whether a run's turn has come."""


def launch(database: Database, school: SchoolRow, kind: Kind, *, who: str, slots: int, minutes: float) -> str:
    """Start a run of a school as soon as it is its turn; gives its id. Raises AlreadyGoing.

    slots: runs at once on this machine. minutes: how long the run may take.
    """
    run_id = str(uuid.uuid4())
    with database.begin() as conn:
        manual_runs.ask(conn, run_id, school.id, school.key, kind=kind, who=who, host=socket.gethostname())
        audit.record_run(conn, run_id, kind, school.id, school.district_id, who=who)
    Thread(target=_carry_out, args=(database, run_id, slots, minutes), daemon=True, name="run").start()
    return run_id


def launch_all(
    database: Database, schools: Sequence[SchoolRow], *, who: str, slots: int, minutes: float
) -> tuple[int, int]:
    """Start a sync of each school, in turn. Returns how many wait or run now, and how many were running already."""
    run_ids, going = [], 0
    for school in schools:
        run_id = str(uuid.uuid4())
        try:
            with database.begin() as conn:
                manual_runs.ask(conn, run_id, school.id, school.key, kind="sync", who=who, host=socket.gethostname())
                audit.record_run(conn, run_id, "sync", school.id, school.district_id, who=who)
            run_ids.append(run_id)
        except manual_runs.AlreadyGoing:
            going += 1
    waiting = iter(run_ids)
    lock = Lock()

    def in_turn() -> None:
        while True:
            with lock:
                run_id = next(waiting, None)
            if run_id is None:
                return
            _carry_out(database, run_id, slots, minutes)

    for _ in range(min(slots, len(run_ids))):
        Thread(target=in_turn, daemon=True, name="runs").start()
    return len(run_ids), going


def _carry_out(database: Database, run_id: str, slots: int, minutes: float) -> None:
    """Wait for the run's turn, run it in a process, and note it where that dies."""
    while (turn := _turn(database, run_id, slots)) is not True:
        if turn is None:
            return
        time.sleep(LOOK_EVERY)
    url = database.engine.url.render_as_string(hide_password=False)
    try:
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-m", MODULE, run_id, str(minutes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, DATABASE_URL: url},
            start_new_session=True,
        )
    except OSError:
        code = "none"
    else:
        code = str(child.wait())
    with suppress(DirectoryError), database.begin() as conn:
        manual_runs.end(conn, run_id, DIED.format(code=code))  # counts only where the run did not say how it ended


def _turn(database: Database, run_id: str, slots: int) -> bool | None:
    """As `manual_runs.begin`. While the database is away, the run waits on."""
    with suppress(DirectoryError), database.begin() as conn:
        return manual_runs.begin(conn, run_id, slots)
    return False
