"""Doctor, metrics and alerts about runs, with a real broker and worker, and faults in between."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg
import pytest
from cryptography.fernet import Fernet
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import text
from typer.testing import CliRunner

from benchmarks.plant import WORKSPACE, Plant, plant, submit
from roster_pipeline.cli import app
from roster_pipeline.defs.asset_helpers import PARTITION_TAG
from roster_pipeline.defs.resources import DirectoryResource, close_databases
from roster_pipeline.defs.sensors import watch_runs
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import alive
from roster_pipeline.runtime import run_queue
from roster_pipeline.runtime.run_queue import RunQueue, findings, look_at_runs
from roster_pipeline_tests.scale.conftest import BROKER, OVER_A_BROKER, environment, production
from roster_pipeline_tests.waiting import until

PATIENCE = 90.0
OPERATORS = "ops@example.org"
CELERY_ALLOWS = 4.0
"""Seconds that a new process may take until it is ready, by default."""

pytestmark = [
    *OVER_A_BROKER,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore:Task name .execute_job."),  # dagster-celery makes its task for every launch
]


class Installation:
    """The shipped configuration on a broker without a daemon: the tests launch and watch the runs."""

    def __init__(self, made: Plant, instance: dg.DagsterInstance, database: Database, dagster_url: str) -> None:
        self.plant = made
        self.instance = instance
        self.database = database
        self.dagster_url = dagster_url.replace("+psycopg2", "")
        self.cursor: str | None = None

    def submit(self, count: int) -> None:
        """Queue this many runs."""
        submit(self.instance, [{PARTITION_TAG: f"school-{number}"} for number in range(count)])

    def launch(self, count: int) -> list[str]:
        """Launch this many runs like the daemon, with one message each."""
        self.submit(count)
        queued = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        with WorkspaceProcessContext(self.instance, WorkspaceFileTarget([str(WORKSPACE)])) as process:
            for run in queued:
                self.instance.launch_run(run.run_id, process.create_request_context())
            registry = process._grpc_server_registry
        registry.wait_for_processes()
        return [run.run_id for run in queued]

    def let_pass(self, minutes: int) -> None:
        """Make all runs older by this time."""
        with psycopg.connect(self.dagster_url) as conn:
            conn.execute(
                "update runs set update_timestamp = update_timestamp - make_interval(mins => %s), "
                "start_time = start_time - %s",
                [minutes, minutes * 60],
            )

    def purge(self) -> None:
        """Empty the queue."""
        launcher: Any = self.instance.run_launcher
        with launcher.celery.connection_for_write() as connection, connection.channel() as channel:
            channel.queue_purge(launcher.default_queue)

    def look(self) -> RunQueue:
        return look_at_runs(self.instance, self.database)

    def red(self) -> set[str]:
        """The red checks now."""
        return {item.name for item in findings(self.look()) if item.ok is False}

    def watch(self) -> None:
        """One tick of the sensor."""
        context = dg.build_sensor_context(
            self.instance,
            self.cursor,
            last_sensor_start_time=0.0,
            resources={"directory": DirectoryResource(url=os.environ["ROSTER_DATABASE_URL"])},
        )
        result = watch_runs(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor

    def open_alerts(self) -> set[str]:
        with self.database.begin() as conn:
            return set(conn.scalars(text("select cause from alert where cleared_at is null")))

    def mails(self) -> list[str]:
        """Subjects of the mails to the operators, oldest first."""
        with self.database.begin() as conn:
            query = "select subject from outbox where recipients = array[:to] order by id"
            return list(conn.scalars(text(query), {"to": OPERATORS}))


@pytest.fixture
def installation(
    database: Database, database_url: str, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Installation]:
    """See `Installation`."""
    home = tmp_path / "home"
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_ALERTS_TO", OPERATORS)
    for name, value in environment(home, database_url, dagster_url).items():
        monkeypatch.setenv(name, value)
    with plant(home, production()) as (made, instance):
        yield Installation(made, instance, database, dagster_url)
    close_databases()


def test_missing_workers_and_lost_messages_turn_red_and_raise_alerts_and_the_runs_are_failed(
    installation: Installation,
) -> None:
    assert installation.red() == {"workers"}, "no worker takes runs"
    launched = installation.launch(3)
    queue = installation.look()
    assert queue.broker is not None
    assert (queue.broker.waiting, len(queue.launched), queue.lost()) == (3, 3, [])
    installation.let_pass(5)
    assert installation.red() == {"workers"}, "their messages still wait"

    installation.purge()
    assert installation.red() == {"workers", "lost messages"}
    installation.watch()
    assert installation.open_alerts() == set(), "one look is not enough"
    installation.watch()
    assert installation.open_alerts() == {"workers", "lost messages"}
    for run_id in launched:
        run = installation.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert run.tags["dagster/will_retry"] == "true"

    installation.plant.start_worker("one")
    until(lambda: not installation.red(), PATIENCE, lambda: "the worker never answered")
    installation.watch()
    assert installation.open_alerts() == set()
    subjects = installation.mails()
    assert len(subjects) == 4
    assert [subject for subject in subjects if "well again" in subject] == subjects[2:]
    broker = installation.look().broker
    assert broker is not None
    assert (broker.processes, broker.active, broker.waiting) == (1, 0, 0)


def test_a_process_that_loads_everything_slowly_is_not_killed(installation: Installation) -> None:
    """As on a busy machine. Celery lets each process after the first one have four seconds, unless it is told more."""
    installation.plant.start_worker("one")
    until(lambda: not installation.red(), PATIENCE, lambda: "the worker never answered")
    worker = psutil.Process(installation.plant.children["one"].pid)
    (first,) = worker.children()
    first.kill()
    until(lambda: [child for child in worker.children() if child != first], PATIENCE)
    (slow,) = worker.children()
    slow.suspend()
    time.sleep(2 * CELERY_ALLOWS)
    slow.resume()
    assert worker.children() == [slow]


def test_a_broker_that_is_away_is_red_for_doctor_and_metrics(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        scheme = os.environ[BROKER].split(":")[0]
        monkeypatch.setenv("ROSTER_BROKER_URL", f"{scheme}://guest:s3cret@127.0.0.1:{closed.getsockname()[1]}//")
        ran = CliRunner().invoke(app, ["doctor", "--json"])
        numbers = CliRunner().invoke(app, ["metrics"]).stdout
    assert ran.exit_code == 1
    assert ran.stdout, ran.stderr
    assert "s3cret" not in ran.output
    found = {item["name"]: item for item in json.loads(ran.stdout)}
    assert found["broker"]["ok"] is False
    assert "ROSTER_BROKER_URL" in found["broker"]["remedy"]
    assert "workers" not in found, "nothing is known of them"
    assert "roster_broker_up 0.0\n" in numbers
    assert "roster_run_slots 64.0\n" in numbers


def test_a_started_run_without_a_process_is_failed_and_one_with_a_process_is_not(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.submit(2)
    executed, dead = (run.run_id for run in installation.instance.get_runs())
    for run_id in (executed, dead):
        for kind in (dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START):
            installation.instance.report_dagster_event(dg.DagsterEvent(kind.value, "rostering"), run_id)
    installation.let_pass(5)
    assert not installation.look().dead, "they wrote an event just now, so they may be between two steps"
    monkeypatch.setattr(run_queue, "SILENT_SECONDS", 0.0)
    with alive(installation.database, executed):
        assert [run.dagster_run.run_id for run in installation.look().dead] == [dead]
        assert "dead runs" in installation.red()
        installation.watch()
        installation.watch()
        assert "dead runs" in installation.open_alerts()
        statuses = {run.run_id: run.status for run in installation.instance.get_runs()}
        assert statuses == {executed: dg.DagsterRunStatus.STARTED, dead: dg.DagsterRunStatus.FAILURE}
        installation.watch()
        assert "dead runs" not in installation.open_alerts()


def test_a_queue_that_stands_still_and_a_second_daemon_turn_red(installation: Installation) -> None:
    installation.submit(1)
    assert "run queue" not in installation.red()
    installation.let_pass(3)
    assert "run queue" in installation.red(), "it could start, and nothing has for two minutes"
    assert "queue age" not in installation.red()
    installation.let_pass(60)
    assert "queue age" in installation.red()

    now = time.time()
    for at, daemon in ((now - 50, "old"), (now - 20, "new")):
        for kind in ("SCHEDULER", "SENSOR"):
            installation.instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, daemon, []))
        installation.watch()
    assert "one daemon" not in installation.open_alerts(), "it was restarted"
    installation.instance.add_daemon_heartbeat(DaemonHeartbeat(now - 10, "SENSOR", "old", []))
    installation.watch()
    installation.watch()
    assert "one daemon" in installation.open_alerts()


def test_a_retry_that_the_daemon_missed_is_asked_for_again(installation: Installation) -> None:
    installation.submit(1)
    (run,) = installation.instance.get_runs()
    installation.instance.report_run_failed(run, "lost")
    installation.instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    installation.let_pass(2)
    installation.watch()
    again = installation.instance.get_run_by_id(run.run_id)
    assert again is not None
    assert again.tags["dagster/will_retry"] == "true"
    failures = installation.instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert len(failures.records) == 2
    installation.let_pass(60)
    with psycopg.connect(installation.dagster_url) as conn:
        conn.execute("update runs set create_timestamp = create_timestamp - interval '2 hours'")
    installation.watch()
    given_up = installation.instance.get_run_by_id(run.run_id)
    assert given_up is not None
    assert given_up.tags["dagster/will_retry"] == "false"
