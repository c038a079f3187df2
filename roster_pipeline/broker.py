"""What the broker and the Celery workers say of themselves, where runs go over a broker at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 2.0
"""How long every worker is given to answer. A busy one answers too: its main process does."""
OF_WORKERS = ("active", "reserved", "scheduled")


@dataclass(frozen=True)
class Broker:
    """One look. problem: why the broker cannot be reached, None where it can; then the rest is known.

    waiting: messages in the queue. processes: of all workers that take from it. held: ids of the tasks that workers
    have taken and not finished. active: how many of them are executed.
    """

    queue: str
    problem: str | None = None
    waiting: int = 0
    processes: int = 0
    active: int = 0
    held: frozenset[str] = frozenset()


def look_at_broker(instance: dg.DagsterInstance) -> Broker | None:
    """Ask broker and workers; takes a few seconds. None where another launcher is used."""
    launcher = instance.run_launcher
    app = getattr(launcher, "celery", None)
    if app is None:
        return None
    from kombu.exceptions import KombuError  # comes with Celery

    queue = str(getattr(launcher, "default_queue", ""))
    with app.connection_for_write(connect_timeout=CONNECT_SECONDS) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
            return _look(app, connection, queue)
        except (OSError, KombuError, *connection.connection_errors, *connection.channel_errors) as problem:
            return Broker(queue, problem=type(problem).__name__)


def _look(app: Any, connection: Any, queue: str) -> Broker:
    inspect = app.control.inspect(timeout=ANSWER_SECONDS, connection=connection)
    taken_from = inspect.active_queues() or {}
    ours = [name for name, queues in taken_from.items() if any(one["name"] == queue for one in queues)]
    waiting = _waiting(connection, queue)
    if not ours:
        return Broker(queue, waiting=waiting)
    inspect = app.control.inspect(destination=ours, timeout=ANSWER_SECONDS, connection=connection, limit=len(ours))
    processes = sum(int(found["pool"]["max-concurrency"]) for found in (inspect.stats() or {}).values())
    tasks = {
        kind: [task for taken in (getattr(inspect, kind)() or {}).values() for task in taken] for kind in OF_WORKERS
    }
    held = frozenset(str((task.get("request") or task)["id"]) for kind in OF_WORKERS for task in tasks[kind])
    return Broker(queue, waiting=waiting, processes=processes, active=len(tasks["active"]), held=held)


def _waiting(connection: Any, queue: str) -> int:
    """Messages in the queue; none where nobody ever made it."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0
