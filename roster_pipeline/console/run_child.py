"""One run that somebody asked for, in a process of its own: `python -m roster_pipeline.console.run_child RUN`.

The console stays light, and nothing that happens in here can take it down. What is to be done stands in the run's row;
how far it is, and how it ended, is written there too.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from threading import Event, Thread

from roster_pipeline.directory import asked_runs
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.embedded import prepare_environment
from roster_pipeline.evening.errors import explain

ALIVE_EVERY = 10.0
"""Seconds between two signs of life."""


def carry_out(run_id: str) -> int:
    """Run it; 0 where it came to an end, also to a bad one that is written down."""
    database = Database(prepare_environment().roster)
    with database.begin() as conn:
        found = asked_runs.find(conn, run_id)
    if found is None:
        return 1
    asked, key = found
    done = Event()
    heart = Thread(target=_beat, args=(database, run_id, done), daemon=True)
    heart.start()
    try:
        problem = _run(database, asked, key)
    finally:
        done.set()
        heart.join()
    with database.begin() as conn:
        asked_runs.end(conn, run_id, problem)
    return 0


def _run(database: Database, asked: asked_runs.AskedRun, key: str) -> str | None:
    def step(words: str) -> None:
        with suppress(DirectoryError), database.begin() as conn:
            asked_runs.alive(conn, asked.id, words)

    try:
        from roster_pipeline.running import run_school

        return run_school(key, dry_run=asked.kind == "dry_run", run_id=asked.id, on_step=step).problem
    except Exception as problem:
        return str(explain(key, problem))


def _beat(database: Database, run_id: str, done: Event) -> None:
    while not done.wait(ALIVE_EVERY):
        with suppress(DirectoryError), database.begin() as conn:
            asked_runs.alive(conn, run_id)


if __name__ == "__main__":
    sys.exit(carry_out(sys.argv[1]))
