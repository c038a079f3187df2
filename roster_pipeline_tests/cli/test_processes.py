"""`roster dev` and what it starts: everything ends together, no matter who asks or which process ends first."""

import contextlib
import importlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.workspace.load_target import WorkspaceFileTarget

from roster_pipeline.demo_sis import PORT
from roster_pipeline.errors import RosterError
from roster_pipeline.runtime import processes
from roster_pipeline.runtime.processes import ProcessGroup
from roster_pipeline_tests.cli.conftest import Roster
from roster_pipeline_tests.waiting import until

pytestmark = pytest.mark.timeout(300)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); time.sleep(60)"
DEV = """
import sys
from roster_pipeline.cli import dev, main
python = sys.executable
dev._commands = lambda workspace, port, console_port, simulator_port: {{
    "Dagster UI": [python, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
    "console": [python, "-m", "roster_pipeline.cli", "console", "--port", str(console_port)],
    "Dagster daemon": [python, "-c", "import time; time.sleep({seconds})"],
}}
sys.argv = ["roster", "dev", "--no-simulator", "--port", sys.argv[1], "--console-port", sys.argv[2]]
main()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def members(group: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [row.split(maxsplit=2) for row in listed.splitlines()]
    return [row[2] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


def test_grandchildren_that_will_not_stop_are_killed_with_their_parents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "POLITE_SECONDS", 1.0)
    with ProcessGroup(tmp_path / "record") as group:
        with pytest.raises(RosterError, match="already runs"), ProcessGroup(tmp_path / "record"):
            pass  # a second one, with other ports
        group.start("parent", [sys.executable, "-c", PARENT])
        until(lambda: len(members(group._group)) == 2, 10)
        leader = group._group
    assert members(leader) == []


def answers(address: str) -> bool:
    """Whether a server answers."""
    with contextlib.suppress(httpx.TransportError):  # without TLS; loading certificates takes longer than an answer
        return httpx.get(address, timeout=60, verify=False).status_code == 200
    return False


def dev(environment: dict[str, str], port: int, seconds: int = 60) -> subprocess.Popen[str]:
    code = DEV.format(seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(port), str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def test_dev_serves_the_sis_where_the_demo_left_its_connections() -> None:
    assert importlib.import_module("roster_pipeline.cli.dev").SIMULATOR_PORT == PORT


def test_the_ui_and_the_daemon_of_dev_share_one_code_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"python_module": {"module_name": "roster_pipeline.definitions", "location_name": "roster_pipeline"}}
    other = {"python_module": "another.team"}
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [own, other]}))
    (served := tmp_path / "served").mkdir()
    commands = importlib.import_module("roster_pipeline.cli.dev")._commands(served, 1, 2, None)
    target = WorkspaceFileTarget([commands["Dagster daemon"][commands["Dagster daemon"].index("-w") + 1]])
    assert str(target.paths[0]) in commands["Dagster UI"]
    shared, beside = target.create_origins()
    assert isinstance(shared, GrpcServerCodeLocationOrigin)
    assert shared.location_name == "roster_pipeline"
    assert shared.socket in commands["code server"]
    assert beside.location_name == "another.team"


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    given = {"ROSTER_DATABASE_URL": database_url, "ROSTER_DAGSTER_DATABASE_URL": database_url}
    return os.environ | given | {"ROSTER_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}


def test_dev_says_where_the_ui_is_and_ctrl_c_ends_everything(environment: dict[str, str]) -> None:
    port = free_port()
    started = dev(environment, port)
    assert started.stdout is not None
    seen = ""
    while "The Dagster UI is at" not in seen or "/sign-in/link?token=" not in seen:
        line = started.stdout.readline()
        assert line, seen
        seen += line
    link = re.search(r"http://127.0.0.1:\d+/sign-in/link\?token=[\w-]+", seen)
    assert link, seen
    assert httpx.get(link[0], timeout=60).status_code == 200
    started.send_signal(signal.SIGINT)
    assert started.wait(40) == 128 + signal.SIGINT
    started.stdout.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_dev_ends_with_the_first_child_that_ends(environment: dict[str, str]) -> None:
    out, _ = dev(environment, free_port(), seconds=0).communicate(timeout=100)
    assert "The Dagster daemon ended by itself" in out


@pytest.mark.parametrize(
    "started",
    [
        "import sys; sys.argv = ['roster', '--version']; from roster_pipeline.cli import main; main()",
        "import roster_pipeline.runtime.instance",
    ],
)
def test_a_command_and_a_process_of_dagster_end_without_a_last_garbage_collection(started: str) -> None:
    at_the_end = "import atexit, gc; atexit.register(lambda: print('left alone:', gc.get_freeze_count() > 10_000))"
    done = subprocess.run(
        [sys.executable, "-c", f"{at_the_end}; {started}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "left alone: True"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"], ids=["stdout", "all"])
def test_a_command_works_without_streams(closed: str) -> None:
    """As some schedulers start it."""
    started = f"{shlex.quote(sys.executable)} -m roster_pipeline.cli sis list --json {closed}"
    assert subprocess.run(started, shell=True, check=False).returncode == 0


def test_a_port_in_use_is_named_before_anything_starts(roster: Roster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        dev, console = roster("dev", "--no-simulator", "--port", port), roster("console", "--port", port)
    assert (dev.code, console.code) == (1, 1)
    assert f"Port {port} is in use" in dev.err
    assert "cannot listen on" in console.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_console_in_order(environment: dict[str, str], number: int) -> None:
    """In order: functions that are registered for the end of the process run, such as the end of the embedded
    database."""
    port = free_port()
    code = f"""
import atexit, sys
from roster_pipeline.cli import main
atexit.register(lambda: print("in order", flush=True))
sys.argv = ["roster", "console", "--port", "{port}"]
main()
"""
    started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert started.stdout is not None
    assert f"http://127.0.0.1:{port}" in started.stdout.readline()
    until(lambda: answers(f"http://127.0.0.1:{port}/health"))
    started.send_signal(number)
    out, _ = started.communicate(timeout=60)
    assert (started.returncode, out.strip()) == (0, "in order")
