"""The week's installation: databases, daemon, mail server, SISs, five schools, and the operator's commands."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import SensorInstigatorData

from roster_pipeline.directory.database import Database
from roster_pipeline.settings.school import RoleSettings
from roster_pipeline_tests.cli.conftest import Answer
from roster_pipeline_tests.cli.conftest import run as command
from roster_pipeline_tests.district import District, simulated
from roster_pipeline_tests.scenarios.mailbox import Mailbox
from roster_pipeline_tests.scenarios.simulated_week.calendar import Calendar
from roster_pipeline_tests.scenarios.simulated_week.remote_sis import CLIENT, SECRET, SPEAKS, RemoteSis

ROOT = Path(__file__).resolve().parents[3]
SCHOOLS = {"north": 3, "south": 2}
STUDENTS = 32
LAUNCHER = "ROSTER_WEEK_LAUNCHER"
"""`shipped`: a process for each run, as in `dagster.yaml`; it takes minutes."""
PATIENCE = 240.0
LOOK_EVERY = 0.3
MANY_LOOKS = 50
OPERATORS = "ops@week.example"
EVERYTHING = RoleSettings(rostered=True, auto_update=True, archive=True)
BUSY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
WARM = {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"}
"""Runs inside the daemon instead of a new interpreter for each: the same run, without four seconds of imports."""


def configuration() -> str:
    """The shipped `dagster.yaml`; the queue is read each second, and runs are warm if wanted."""
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    settings["run_coordinator"] = {
        **settings["run_coordinator"],
        "config": {"dequeue_interval_seconds": 1},
    }
    if os.environ.get(LAUNCHER) != "shipped":
        settings["run_launcher"] = WARM
    return str(yaml.safe_dump(settings))


@dataclass
class Week:
    """Everything that runs, with functions for the test."""

    database: Database
    instance: dg.DagsterInstance
    mailbox: Mailbox
    sis: dict[str, RemoteSis]
    calendar: Calendar
    daemon_log: Path
    schools: dict[str, tuple[RemoteSis, str]] = field(default_factory=dict)
    """School key to its SIS and its School ID."""

    def roster(self, *arguments: object, stdin: str | None = None) -> Answer:
        """One command of an operator."""
        return command(*arguments, stdin=stdin)

    def run_sync(self) -> None:
        """The next night comes, runs and is reported."""
        self.calendar.next_night()
        self.await_runs()
        self.settle()

    def await_runs(self, attempt: int = 1, schools: int | None = None) -> None:
        """Wait until the schedule has requested tonight's runs, and all have ended."""
        wanted = len(self.schools) if schools is None else schools
        self.until(lambda: self._asked(attempt) >= wanted, f"{wanted} schools started", self._look_again())
        self.until(lambda: not self.instance.get_runs(dg.RunsFilter(statuses=BUSY), limit=1), "all runs ended")

    def settle(self) -> None:
        """Wait until the sensors have handled everything so far, and all mail was sent."""
        for name in ("watch_schools", "send_mail"):
            before = time.time()
            self.until(lambda name=name, before=before: self._started(name) > before, f"{name} looked")  # type: ignore[misc]
            looked = self._started(name)
            self.until(lambda name=name, looked=looked: self._started(name) > looked, f"{name} done")  # type: ignore[misc]
        self.until(lambda: not self.count("outbox", "sent_at is null and dead_at is null"), "all mail left")

    def count(self, table: str, where: str = "true") -> int:
        """Rows of one of our tables."""
        return int(self.value(f"select count(*) from {table} where {where}"))

    def value(self, query: str, **given: Any) -> Any:
        """One value."""
        from sqlalchemy import text

        with self.database.begin() as conn:
            return conn.scalar(text(query), given)

    def rows(self, query: str, **given: Any) -> list[Any]:
        """Rows as tuples."""
        from sqlalchemy import text

        with self.database.begin() as conn:
            return [tuple(row) for row in conn.execute(text(query), given)]

    def until(self, true: Callable[[], object], what: str, meanwhile: Callable[[], object] = bool) -> None:
        """Wait for a condition; the error has the daemon's last output."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            meanwhile()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for: {what}\n{self.daemon_log.read_text()[-1500:]}")
            time.sleep(LOOK_EVERY)

    def _look_again(self) -> Callable[[], None]:
        """The daemon may have written its own note over ours while time passed."""
        waits = count(1)

        def look() -> None:
            if next(waits) % MANY_LOOKS == 0:
                self.calendar.set_the_schedule_back()

        return look

    def _asked(self, attempt: int) -> int:
        runs = self.instance.get_runs(dg.RunsFilter(tags={"roster/night": self.calendar.night}))
        return sum(run.tags["dagster/run_key"].endswith(f":{attempt}") for run in runs if "dagster/run_key" in run.tags)

    def _started(self, sensor: str) -> float:
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        found = [one.instigator_data for one in states if one.instigator_name == sensor]
        ticked = (one.last_tick_start_timestamp or 0.0 for one in found if isinstance(one, SensorInstigatorData))
        return max(ticked, default=0.0)


@contextmanager
def daemon_running(log: Path) -> Iterator[None]:
    """Dagster's daemon on the environment's instance."""
    command_line = [
        "-m",
        "roster_pipeline_tests.scenarios.simulated_week.brisk_daemon",
        "run",
        "-w",
        str(ROOT / "workspace.yaml"),
    ]
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, *command_line],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            process_group=0,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def enter_schools(week: Week) -> None:
    """Add two connections and five schools; every owner has their own address."""
    known = {key: simulated(sis.url, SPEAKS[key], client_id=CLIENT, page_size=200) for key, sis in week.sis.items()}
    north, south = known
    district = District(week.database, known[north], key="valley", connection=north, secret=SECRET)
    district.add_connection(south, known[south], SECRET)
    each_night = {"automatic": True, "time_zone": week.calendar.time_zone, "sync_time": week.calendar.sync_time}
    for key, sis in week.sis.items():
        for number in range(1, SCHOOLS[key] + 1):
            mail: dict[str, Any] = {"report_to": [f"{key}-{number}@week.example"]}
            school = district.add_school(f"{key}-{number}", f"sch-{number}", connection=key, **mail | each_night)
            week.schools[school] = (sis, f"sch-{number}")
    week.instance.add_dynamic_partitions("schools", list(week.schools))  # as console and command line do


@contextmanager
def running_installation(database: Database, mailbox: Mailbox, sis: dict[str, RemoteSis], home: Path) -> Iterator[Week]:
    """The installation with its daemon. The environment has databases, key, mail server and both home folders."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(configuration())
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        week = Week(database, instance, mailbox, sis, Calendar.starting_now(database, instance), home / "daemon.log")
        enter_schools(week)
        stack.enter_context(daemon_running(week.daemon_log))
        week.until(week.calendar.is_known, "the daemon")
        yield week
