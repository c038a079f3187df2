"""Real signals to real commands: the exit code, a true message, and no process left."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import plain_connection
from roster_pipeline_tests.cli.test_processes import free_port
from roster_pipeline_tests.left_behind import MARK
from roster_pipeline_tests.postgres import as_text
from roster_pipeline_tests.waiting import until

pytestmark = pytest.mark.timeout(300)
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
AT_ONCE = 100
"""Seconds. The database's last checkpoint is most of it, on a machine that is busy with other tests."""
PYTHON = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default", "PYTHONFAULTHANDLER": "1"}
SYNC = """
import sys
from roster_pipeline.cli import main
from roster_pipeline.directory import schema, tenants
from roster_pipeline.directory import tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.runtime.embedded import prepare_environment
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

address = f"http://127.0.0.1:{sys.argv[1]}"
database = Database(prepare_environment().roster)
schema.upgrade(database)
with database.begin() as conn:
    if not tenants.list_districts(conn):
        tenant_changes.add_district(conn, "springfield", "Springfield")
        settings = ConnectionSettings(url=address + "/ims/oneroster/v1p1", client_id="us", allow_private_addresses=True)
        tenant_changes.add_connection(conn, "springfield", "sis", settings, seal("secret"))
        tenant_changes.add_school(conn, "sis", "oak", "Oak", SchoolSettings(school_id="1"))
database.close()
sys.argv = ["roster", "sync", "oak"]
main()
"""
INSTANCE = """
import dagster as dg
from roster_pipeline.runtime.embedded import prepare_environment
prepare_environment()
with dg.DagsterInstance.get() as instance:
    print(*[run.status.value for run in instance.get_runs()])
"""


@pytest.fixture
def environment(open_folder: Path) -> dict[str, str]:
    """A home folder of its own, with an embedded database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROSTER_", "DAGSTER_"))}
    return kept | {"ROSTER_HOME": str(open_folder / "home")} | PYTHON


@pytest.fixture
def silent_sis() -> Iterator[socket.socket]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """As a shell starts it: in a session of its own, with no signal ignored."""
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def at_work(environment: dict[str, str]) -> list[str]:
    """The processes of a home folder: its children and its database server."""
    home, found = environment["ROSTER_HOME"], []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) != os.environ[MARK] or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("ROSTER_HOME") == home:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def shared_memory(environment: dict[str, str]) -> str:
    """The number of the shared memory segment of a home's database server; the system lists it until it is gone."""
    return (Path(environment["ROSTER_HOME"]) / "postgres" / "postmaster.pid").read_text().splitlines()[6].split()[-1]


def segments() -> set[str]:
    listed = Path("/proc/sysvipc/shm")
    return {line.split()[1] for line in listed.read_text().splitlines()[1:]} if listed.exists() else set()


def ended(process: subprocess.Popen[str], number: int) -> str:
    """Send the signal and return the output. The command has to end soon, with the exit code of that signal."""
    process.send_signal(number)
    try:
        said, _ = process.communicate(timeout=AT_ONCE)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # PYTHONFAULTHANDLER prints where it was
        said, _ = process.communicate(timeout=AT_ONCE)
    assert process.returncode == 128 + number, said
    return said


def test_a_sync_ends_at_once_and_says_that_nothing_was_applied(
    environment: dict[str, str], silent_sis: socket.socket
) -> None:
    for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
        run = started(["-c", SYNC, str(silent_sis.getsockname()[1])], environment)
        waiting, _ = silent_sis.accept()
        segment = shared_memory(environment)
        with waiting:
            said = ended(run, number)
        assert f"oak: Ended by {name}. Nothing was applied; the directory is unchanged." in said
        assert "Traceback" not in said
        assert at_work(environment) == []
        assert segment not in segments()
    listed = subprocess.run(
        [sys.executable, "-c", INSTANCE], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert listed.stdout.split() == ["CANCELED"] * 2, "a failed run would raise an alert about a killed one"


@SIGNALS
def test_a_signal_that_comes_while_an_object_is_deleted_is_not_lost(environment: dict[str, str], number: int) -> None:
    """Python prints exceptions that are raised there, and goes on."""
    code = (
        "import time; from roster_pipeline.runtime.processes import end_by_signals, Ended\n"
        "class Slow:\n    def __del__(self): print('up', flush=True); time.sleep(2)\n"
        "end_by_signals()\n"
        "try:\n    Slow(); time.sleep(60)\n"
        "except Ended as ended:\n    print(ended); raise SystemExit(ended.exit_code)\n"
    )
    process = started(["-c", code], environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    assert ended(process, number).startswith("Ended by")


def in_the_first_night(server: Path) -> bool:
    """Whether the demo has begun to read from a SIS."""
    address = URL.create("postgresql", "postgres", database="roster", query={"host": str(server)})
    with suppress(psycopg.Error), psycopg.connect(as_text(address)) as conn:
        return conn.execute("select exists (select from pull)").fetchone() == (True,)
    return False


MOMENTS = {signal.SIGINT: lambda server: (server / "postmaster.pid").exists(), signal.SIGTERM: in_the_first_night}
"""When the signal comes: while the demo's database is starting, and while it syncs."""


@SIGNALS
def test_the_demo_ends_at_once(environment: dict[str, str], number: signal.Signals) -> None:
    home = Path(environment["ROSTER_HOME"])
    demo = started(["-m", "roster_pipeline.cli", "demo"], environment)
    until(lambda: MOMENTS[number](home / "postgres"), 120)
    said = ended(demo, number)
    assert "Ended by" in said
    assert "Traceback" not in said
    assert at_work(environment) == []


def test_a_signal_during_the_reset_of_a_connection_prints_no_traceback(environment: dict[str, str]) -> None:
    code = """
import signal
from sqlalchemy import event
from roster_pipeline.directory.database import Database
from roster_pipeline.runtime import embedded, processes
database = Database(embedded.addresses().roster)
processes.end_by_signals()
event.listen(database.engine, "reset", lambda *_: signal.raise_signal(signal.SIGTERM))
try:
    with database.begin():
        pass
except processes.Ended as ended:
    print(ended)
"""
    said, _ = started(["-c", code], environment).communicate(timeout=60)
    assert said == "Ended by SIGTERM.\n"
    during_a_run = code.replace("try:", "signal.signal(signal.SIGTERM, signal.default_int_handler)\ntry:")
    said, _ = started(["-c", during_a_run.replace("processes.Ended", "KeyboardInterrupt")], environment).communicate(
        timeout=60
    )
    assert said == "\n", "Dagster has a handler of its own during a run"


@pytest.mark.timeout(400)
def test_what_a_killed_dev_left_is_ended_by_the_next_command(environment: dict[str, str]) -> None:
    ports = {"--port": free_port(), "--console-port": free_port(), "--simulator-port": free_port()}
    command = ["-m", "roster_pipeline.cli", "dev", *(str(word) for pair in ports.items() for word in pair)]
    dev = started(command, environment)
    assert dev.stdout is not None
    seen = ""
    while "The Dagster UI is at" not in seen or "The console is at" not in seen:
        line = dev.stdout.readline()
        assert line, seen
        seen += line
    assert "RuntimeWarning" not in seen, "python -m of a module that its own package has loaded already"
    dev.kill()
    dev.wait(30)
    assert len(at_work(environment)) > 3
    command = [sys.executable, "-m", "roster_pipeline.cli", "district", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=150)
    dev.stdout.close()
    assert done.returncode == 0, done.stderr
    assert re.search(r"A roster dev was killed and left \d+ processes behind", done.stderr)
    assert at_work(environment) == []


def test_commands_share_a_server_which_the_last_stops_also_one_that_killed_commands_left(
    environment: dict[str, str],
) -> None:
    code = "from roster_pipeline.runtime.embedded import addresses; print(addresses().roster, flush=True)"

    def holding() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", f"{code}; input()"]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    (first, address), (second, same) = holding(), holding()
    assert same == address
    first.communicate("\n", timeout=60)
    database = Database(address)
    with database.begin() as conn:
        assert conn.exec_driver_sql("select 1").scalar() == 1
    database.close()
    second.communicate("\n", timeout=60)
    assert at_work(environment) == []
    (first, _), (second, _) = holding(), holding()
    for process in (first, second):
        process.kill()
        process.communicate()
    assert len([one for one in at_work(environment) if "-D" in one]) == 1, "the server that nobody could stop"
    with plain_connection(make_url(address)) as admin:
        admin.execute("alter system reset all")  # as if they had been killed right after they made the server
    (third, again) = holding()
    assert again == address
    with plain_connection(make_url(address)) as admin:
        assert admin.execute("show log_min_error_statement").fetchone() == ("panic",), "its log quotes no rows"
    third.communicate("\n", timeout=60)
    assert at_work(environment) == []
