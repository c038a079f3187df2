"""The way of a run from the queue over the broker to a process: shows its state and its problems.

Dagster knows which runs should go on, the broker which messages wait, PostgreSQL which runs a process executes.
Together they show lost messages and runs without a process.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._utils.tags import TagConcurrencyLimitsCounter

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import alive_runs
from roster_pipeline.sync.health_checks import Item
from roster_pipeline.vocabulary import counted

OUR_JOBS = frozenset({"rostering", "test_connection", "prune", "__ASSET_JOB"})
"""Jobs whose processes show that they are alive. Runs of other code on the same instance are not judged."""
TASK_TAG = "dagster-celery/task_id"
STUCK_SECONDS = 120.0
"""If a run could go on but has not done so for this long, something is wrong."""
SILENT_SECONDS = 30.0
"""A process without its lock writes an event within this time: it begins its run, or is between two steps."""
LONG_QUEUE_SECONDS = 3600.0
"""A run that waits longer than this may miss the night."""
MOST_LOOKED_AT = 500
"""How many queued runs are read. The oldest are enough."""
DAEMON_BEATS_SECONDS = 300.0
"""How long heartbeats of the daemon are remembered. They show whether there are two daemons, or one that was
restarted."""
BROKER, WORKERS, STUCK, LONG_QUEUE, LOST, DEAD, DAEMONS = (
    "broker", "workers", "run queue", "queue age", "lost messages", "dead runs", "one daemon",
)  # fmt: skip
CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 2.0
"""How long we wait for an answer of every worker. A busy worker answers too, because its main process does."""
OF_WORKERS = ("active", "reserved", "scheduled")


@dataclass(frozen=True)
class Broker:
    """The state of the broker. problem: why it cannot be reached; None if it can be reached.

    The rest is known only then.

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
    """Ask the broker and the workers. This takes a few seconds. None if another launcher is used."""
    launcher = instance.run_launcher
    app = getattr(launcher, "celery", None)
    if app is None:
        return None
    from kombu.exceptions import KombuError  # this module comes with Celery

    queue = str(getattr(launcher, "default_queue", ""))
    with app.connection_for_write(connect_timeout=CONNECT_SECONDS) as conn:
        try:
            conn.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
            return _look(app, conn, queue)
        except (OSError, KombuError, *conn.connection_errors, *conn.channel_errors) as problem:
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
    """The number of messages in the queue; 0 if nobody has made the queue yet."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except connection.channel_errors:
            return 0


@dataclass(frozen=True)
class RunQueue:
    """The state of the run queue. dead: started runs that no process executes. broker: None without Celery.

    slots: runs that may go on at once. last_start: when the last run began, in seconds since 1970.
    beats: time and daemon id of the daemon's last heartbeats.
    """

    at: datetime
    waiting: list[dg.RunRecord]
    launched: list[dg.RunRecord]
    started: list[dg.RunRecord]
    dead: list[dg.RunRecord]
    last_start: float | None
    slots: int
    limits: list[Mapping[str, object]]
    broker: Broker | None
    beats: tuple[tuple[float, str], ...]

    def age(self, record: dg.RunRecord) -> float:
        """Seconds since something last changed about a run."""
        return (self.at - record.update_timestamp.replace(tzinfo=UTC)).total_seconds()

    def lost(self) -> list[dg.RunRecord]:
        """Launched runs whose message is neither in the queue nor with a worker.

        The queue is first in, first out, so it still has the messages of the runs that changed last. A run that waits
        there for the fetch of another run is changed every half minute (`worker.WAITS_TAG`).
        """
        if self.broker is None or self.broker.problem:
            return []
        free = [run for run in self.launched if run.dagster_run.tags.get(TASK_TAG) not in self.broker.held]
        free.sort(key=lambda run: run.update_timestamp, reverse=True)
        return [run for run in free[self.broker.waiting :] if self.age(run) > STUCK_SECONDS]

    def stuck(self) -> list[dg.RunRecord]:
        """Runs that have waited for long and that no limit keeps from starting."""
        going = [*self.launched, *self.started]
        counter = TagConcurrencyLimitsCounter(self.limits, [run.dagster_run for run in going])
        free = [run for run in self.waiting if not counter.is_blocked(run.dagster_run)]
        if self.slots >= 0 and len(going) >= self.slots:
            free = []
        idle = self.broker is None or self.broker.active < self.broker.processes
        return [run for run in [*free, *(self.launched if idle else [])] if self.age(run) > STUCK_SECONDS]


def look_at_runs(instance: dg.DagsterInstance, database: Database) -> RunQueue:
    """Read the state of the run queue. This takes a few seconds if workers have to be asked."""
    status = dg.DagsterRunStatus
    broker = look_at_broker(instance)
    queued = dg.RunsFilter(statuses=[status.QUEUED])
    waiting = instance.get_run_records(queued, MOST_LOOKED_AT, order_by="update_timestamp", ascending=True)
    going = instance.get_run_records(dg.RunsFilter(statuses=[status.STARTING, status.STARTED]))
    started = [run for run in going if run.dagster_run.status == status.STARTED]
    alive = database.call(alive_runs, [run.dagster_run.run_id for run in started])
    last = instance.get_run_records(limit=1, order_by="start_time", ascending=False)
    config = instance.get_concurrency_config().run_queue_config
    found = RunQueue(
        at=datetime.now(UTC),
        waiting=list(waiting),
        launched=[run for run in going if run.dagster_run.status == status.STARTING],
        started=started,
        dead=[],
        last_start=max((run.start_time for run in last if run.start_time), default=None),
        slots=config.max_concurrent_runs if config else -1,
        limits=list(config.tag_concurrency_limits) if config else [],
        broker=broker,
        beats=tuple((beat.timestamp, str(beat.daemon_id)) for beat in instance.get_daemon_heartbeats().values()),
    )
    held = broker.held if broker else frozenset()
    found.dead.extend(
        run
        for run in started
        if run.dagster_run.job_name in OUR_JOBS
        and run.dagster_run.run_id not in alive
        and run.dagster_run.tags.get(TASK_TAG) not in held
        and found.at.timestamp() - _last_event(instance, run) > SILENT_SECONDS
    )
    return found


def _last_event(instance: dg.DagsterInstance, run: dg.RunRecord) -> float:
    """When a run last wrote an event, in seconds since 1970."""
    newest = instance.get_records_for_run(run.dagster_run.run_id, limit=1, ascending=False).records
    return max((event.timestamp for event in newest), default=run.start_time or 0)


def recent_beats(queue: RunQueue, before: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """The daemon's heartbeats of the last minutes, from this check and earlier ones."""
    oldest = queue.at.timestamp() - DAEMON_BEATS_SECONDS
    return sorted(beat for beat in {*before, *queue.beats} if beat[0] > oldest)


def several_daemons(beats: Iterable[tuple[float, str]]) -> bool:
    """Whether heartbeats of two daemons alternate. A restarted one has a new id, and its old one never returns."""
    seen: list[str] = []
    for _, daemon in sorted(beats):
        if seen and seen[-1] == daemon:
            continue
        if daemon in seen:
            return True
        seen.append(daemon)
    return False


def findings(
    queue: RunQueue, beats: Iterable[tuple[float, str]] = (), *, open_alerts: Collection[str] = ()
) -> list[Item]:
    """The findings: each is green, red with its remedy, or a note. beats: heartbeats of earlier checks. open_alerts: of
    the installation. Heartbeats of one look seldom show that there are two daemons, so this alert counts."""
    lost, dead, stuck = queue.lost(), queue.dead, queue.stuck()
    oldest = max((queue.age(run) for run in queue.waiting), default=0.0)
    no_start = queue.last_start is None or queue.at.timestamp() - queue.last_start > STUCK_SECONDS
    double = DAEMONS in open_alerts or several_daemons(recent_beats(queue, beats))
    waited = f"the oldest run has waited for {counted(round(oldest / 60), 'minute', 'minutes')}"
    again = "These runs are marked as failed and start again within minutes."
    return [
        *(_over_the_broker(queue.broker, queue) if queue.broker else []),
        _item(
            STUCK, bool(stuck and no_start),
            f"{len(queue.waiting)} waiting, {len(queue.launched)} launched, {len(queue.started)} under way",
            f"{counted(len(stuck), 'run', 'runs')} could start, and none has for {STUCK_SECONDS / 60:.0f} minutes",
            "Check that daemon and workers run, and read their output: roster doctor",
        ),
        _item(
            LONG_QUEUE, oldest > LONG_QUEUE_SECONDS, waited if oldest else "nothing waits", waited,
            "Start more workers, or spread the schools' sync times.",
        ),
        _item(
            LOST, bool(lost), "none",
            f"{counted(len(lost), 'launched run has', 'launched runs have')} no message in the broker any more",
            f"{again} Find out who empties the queue.",
        ),
        _item(
            DEAD, bool(dead), "none",
            f"no process executes {counted(len(dead), 'run that counts', 'runs that count')} as started",
            f"{again} Find out why their processes ended.",
        ),
        _item(
            DAEMONS, double, "no second one", "two daemons run at once",
            "Stop one of them. While two run, every schedule and every mail is handled twice.",
        ),
    ]  # fmt: skip


def _item(name: str, wrong: bool, fine: str, problem: str, remedy: str) -> Item:
    return Item(name, not wrong, problem if wrong else fine, remedy if wrong else "")


def _over_the_broker(broker: Broker, queue: RunQueue) -> list[Item]:
    if broker.problem:
        remedy = "Start RabbitMQ or Redis, and check ROSTER_BROKER_URL of daemon, code server and workers."
        return [Item(BROKER, False, f"cannot be reached ({broker.problem})", remedy)]
    reached = Item(
        BROKER,
        True,
        f"answers, {counted(broker.waiting, 'message waits', 'messages wait')} in the queue {broker.queue}",
    )
    if not broker.processes:
        remedy = "Start workers (docs/deployment.md), and check that ROSTER_QUEUE and ROSTER_BROKER_URL are the same."
        return [reached, Item(WORKERS, False, f"none takes runs from the queue {broker.queue}", remedy)]
    of_one = min((int(str(limit["limit"])) for limit in queue.limits), default=0)
    processes, slots = counted(broker.processes, "process", "processes"), counted(queue.slots, "slot", "slots")
    detail = f"{processes}, {broker.active} busy, {slots}"
    if 0 <= queue.slots < broker.processes:
        remedy = "Raise max_concurrent_runs in dagster.yaml: some processes never get a run."
        return [reached, Item(WORKERS, None, detail, remedy)]
    if of_one >= broker.processes:
        remedy = (
            f"One connection may have {counted(of_one, 'run', 'runs')} at once: a slow SIS can take every process. "
            "Start more workers."
        )
        return [reached, Item(WORKERS, None, detail, remedy)]
    return [reached, Item(WORKERS, True, detail)]
