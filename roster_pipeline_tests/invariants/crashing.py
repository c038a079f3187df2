"""A process that runs one school's sync and dies at a given moment, as if the machine had lost its power.

Started once as `python -m roster_pipeline_tests.invariants.crashing`; it reads one job per line (JSON) and forks for
each that will die, so that each crash costs a fork and not the start of an interpreter. Other jobs run in the process
itself, like one run after the other in a worker. The moments are those of every write: before
and after a statement, in the middle of a COPY, and before, during and after a COMMIT. A job without a moment runs to
its end and lists the moments.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event

from roster_pipeline import sync
from roster_pipeline.directory.database import Database

STEPS = ("fetch", "clean", "plan", "apply")
WRITES = ("insert", "update", "delete", "with", "create temporary")
"""How statements begin that write, or stage what will be written."""


class Watch:
    """Numbers the moments of one night, and ends the process at the wanted one."""

    def __init__(self, die_at: int | None) -> None:
        self.step = "before"
        self.moments: list[str] = []
        self._die_at = die_at
        self._lock = threading.Lock()

    def passes(self, what: str, dying: Callable[[], object] = lambda: None) -> None:
        """A moment is reached. dying: a last action before the process is killed."""
        with self._lock:
            self.moments.append(f"{self.step}: {what}")
            if len(self.moments) - 1 == self._die_at:
                dying()
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, database: Database) -> None:
        """Watch every write to this database."""
        event.listen(database.engine, "before_cursor_execute", self._before)
        event.listen(database.engine, "after_cursor_execute", self._after)
        dialect: Any = database.engine.dialect
        commit = dialect.do_commit

        def do_commit(connection: Any) -> None:
            raw = connection.driver_connection
            writing = raw.execute("select pg_current_xact_id_if_assigned()").fetchone()[0] is not None
            if writing:
                self.passes("before commit")
                self.passes("during commit", lambda: raw.pgconn.send_query(b"commit"))
            commit(connection)
            if writing:
                self.passes("after commit")

        dialect.do_commit = do_commit

    def _before(self, conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().lower().startswith(WRITES):
            self.passes(f"before {_short(statement)}")

    def _after(self, conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().lower().startswith(WRITES):
            self.passes(f"after {_short(statement)}")


def _short(statement: str) -> str:
    return " ".join(statement.split())[:40]


@contextmanager
def _watched_copies(watch: Watch) -> Iterator[None]:
    """COPY goes past SQLAlchemy: its moments are after its first chunk, and after its end."""
    write = psycopg.Copy.write

    def watched(self: psycopg.Copy, buffer: Any) -> None:
        half = len(buffer) // 2
        write(self, buffer[:half])
        watch.passes("inside a copy")
        write(self, buffer[half:])

    psycopg.Copy.write = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        psycopg.Copy.write = write  # type: ignore[method-assign]


def run(job: dict[str, Any]) -> None:
    """Run the steps of one night. job: url, school, batch, run, steps, die_at (or null), moments (a file)."""
    database = Database(job["url"])
    watch = Watch(job["die_at"])
    watch.watch(database)
    school, run_id = job["school"], job["run"]
    calls: dict[str, Callable[[], object]] = {
        "fetch": lambda: sync.fetch(database, school, batch=job["batch"], run_id=run_id),
        "clean": lambda: sync.clean_latest(database, school, run_id=run_id),
        "plan": lambda: sync.plan_latest(database, school, run_id=run_id),
        "apply": lambda: sync.apply_latest(database, school, run_id=run_id, who="proof"),
    }
    with _watched_copies(watch):
        for step in job["steps"]:
            watch.step = step
            calls[step]()
    Path(job["moments"]).write_text(json.dumps(watch.moments))
    database.close()


def _done(job: dict[str, Any]) -> int:
    """Run a job; returns its exit status."""
    try:
        run(job)
    except BaseException as problem:
        print(type(problem).__name__, problem, file=sys.stderr, flush=True)
        return 1
    return 0


def main() -> None:
    """Answer each job with its exit status, negative for a signal."""
    for line in sys.stdin:
        job = json.loads(line)
        if job["die_at"] is None:
            print(_done(job), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            os._exit(_done(job))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
