"""Starts the processes of manual runs and connection tests, and waits for them; `main` is that of a test. A SIS that
sends far too much can end only this process: its memory is limited, and a machine without free memory ends it first."""

import os
import resource
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

import psutil
from sqlalchemy import Connection

from roster_pipeline.directory import audit, connection_tests, manual_runs
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.manual_runs import Kind
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.runtime import preloaded
from roster_pipeline.runtime.embedded import DATABASE_URL
from roster_pipeline.runtime.run_school import DIED
from roster_pipeline.services.connection_test import carry_out, carry_out_list, carry_out_together

UNKNOWN = "unknown"
MODULE = "roster_pipeline.runtime.run_school"
NEEDS = ("roster_pipeline.definitions", "roster_pipeline.cleaning.expectations")
"""The modules that a run loads at some time."""
LOOK_EVERY = 1.0
"""Seconds between two checks whether it is a run's turn."""
LAST_WORDS = 600.0
"""Seconds that the process of a run has, after the longest time of a run, to say how it ended. Then it is killed."""
TEST_MODULE = __name__
WINDOW = timedelta(minutes=15)
BY_ONE_PERSON = 30
"""How many tests and lists of schools one person may start within this time."""
LONGEST = 25 * 60.0
"""Seconds after which a test is ended: less than the time after which it would count as lost."""
TEST_DIED = (
    "The test's process ended before it was done (exit code {code}).\n"
    "Start it again. If this happens again, the SIS sends more than a test may hold in memory. "
    "Choose a smaller page size."
)
TOO_LONG = (
    "The test was not done after {minutes:.0f} minutes.\nChoose a larger page size, or ask why the SIS is so slow."
)


End = Callable[[Connection, str, str | None], None]
"""Ends the row with this id and a problem, unless the process has already ended the row."""
WORK: dict[str, tuple[Callable[..., None], End]] = {
    "test": (carry_out, connection_tests.end),
    "list": (carry_out_list, connection_tests.end_list),
    "together": (carry_out_together, connection_tests.end_together),
}
"""What the process of a test calls, and what ends its row. The arguments are the key of the school or connection (not
for `together`) and the id of the row."""
MOST_MEMORY = 1024 * 1024 * 1024
"""How many bytes of memory a test may take in addition to the loaded code. Our own limits keep a pull below this,
for every answer of the server: this is the second protection."""
FIRST_TO_END = "1000"


def launch(database: Database, school: SchoolRow, kind: Kind, *, who: str, slots: int, minutes: float) -> str:
    """Start a run as soon as it is its turn, and return its id. slots, minutes: as in `Config`. Raises AlreadyGoing."""
    run_id = _request_run(database, school, kind, who)
    Thread(target=_carry_out, args=(database, run_id, slots, minutes), daemon=True, name="run").start()
    return run_id


def launch_all(
    database: Database, schools: Sequence[SchoolRow], *, who: str, slots: int, minutes: float
) -> tuple[int, int]:
    """Start a sync of each school, one after the other. Returns how many wait or run now, and how many ran already."""
    run_ids, going = [], 0
    for school in schools:
        try:
            run_ids.append(_request_run(database, school, "sync", who))
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


def _request_run(database: Database, school: SchoolRow, kind: Kind, who: str) -> str:
    """Note a run that somebody asks for, and return its id. Raises AlreadyGoing."""
    run_id = str(uuid.uuid4())
    with database.begin() as conn:
        manual_runs.ask(conn, run_id, school.id, school.key, kind=kind, who=who, host=socket.gethostname())
        audit.record_run(conn, run_id, kind, school, who=who)
    return run_id


def _carry_out(database: Database, run_id: str, slots: int, minutes: float) -> None:
    """Wait for the run's turn, and run it in a process. If the process dies, note that."""
    while (turn := _turn(database, run_id, slots)) is not True:
        if turn is None:
            return
        time.sleep(LOOK_EVERY)
    try:
        child = preloaded.start(MODULE, [run_id, minutes], _environment(database), NEEDS)
    except OSError:
        code = None
    else:
        try:
            code = child.wait(minutes * 60 + LAST_WORDS)
        except TimeoutError:
            child.kill()
            code = child.wait()
    _end(database, manual_runs.end, run_id, DIED.format(code=code or UNKNOWN))


def _turn(database: Database, run_id: str, slots: int) -> bool | None:
    """As `manual_runs.begin`. While the database is away, the run keeps waiting."""
    with suppress(DirectoryError), database.begin() as conn:
        return manual_runs.begin(conn, run_id, slots)
    return False


def launch_test(database: Database, kind: Literal["test", "list", "together"], *arguments: str) -> None:
    """Start the process that carries out a test or reads a list. arguments: as `WORK` says. It does not raise: an error
    ends the row."""
    _, end = WORK[kind]
    try:
        child = preloaded.start(TEST_MODULE, [kind, *arguments], _environment(database))
    except OSError:
        _end(database, end, arguments[-1], TEST_DIED.format(code=UNKNOWN))
        return
    Thread(target=_watch, args=(database, end, arguments[-1], child), daemon=True, name="test").start()


def _watch(database: Database, end: End, row_id: str, child: preloaded.Started) -> None:
    try:
        problem = TEST_DIED.format(code=child.wait(LONGEST) or UNKNOWN)
    except TimeoutError:
        child.kill()
        child.wait()
        problem = TOO_LONG.format(minutes=LONGEST / 60)
    _end(database, end, row_id, problem)


def _environment(database: Database) -> dict[str, str]:
    """Our environment, with the console's database."""
    return {**os.environ, DATABASE_URL: database.engine.url.render_as_string(hide_password=False)}


def _end(database: Database, end: End, row_id: str, problem: str) -> None:
    with suppress(DirectoryError), database.begin() as conn:
        end(conn, row_id, problem)


def main(kind: str, *arguments: str) -> int:
    """The process of `launch_test`. The row says what to do, and how it ended."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    loaded = getattr(psutil.Process().memory_info(), "data", 0)  # only Linux counts what the limit counts
    most = loaded + MOST_MEMORY
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_END, "ascii")
    work, _ = WORK[kind]
    work(Database(os.environ[DATABASE_URL]), *arguments)
    return 0
