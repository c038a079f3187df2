"""The files of `deploy/` work as shipped: each unit starts with the files of environment that it names, and no
others."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from dagster._grpc.client import DagsterGrpcClient
from psycopg import sql
from sqlalchemy.engine import make_url

from roster_pipeline.console.config import config_from
from roster_pipeline.directory.secrets import new_key
from roster_pipeline.notifications.smtp import mailer_from
from roster_pipeline.runtime.embedded import plain_connection
from roster_pipeline.settings.installation import Installation
from roster_pipeline_tests.cli.test_processes import answers, free_port
from roster_pipeline_tests.left_behind import MARK
from roster_pipeline_tests.waiting import until

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
STOPPING = 80
"""Seconds. systemd and compose.yaml wait longer before they kill a service."""
CLOSED = {"ROSTER_DATABASE_URL", "ROSTER_SECRET_KEY", "ROSTER_SMTP_URL", "ROSTER_BROKER_URL"}
"""The variables that the read-only webserver must not get."""


def given(file: Path) -> dict[str, str]:
    """The variables of one file of environment."""
    lines = [line.partition("=") for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in lines}


def files_of(unit: Path) -> list[Path]:
    """The files of environment that a unit names."""
    return [DEPLOY / "environment" / name for name in re.findall(r"EnvironmentFile=/etc/roster/(.+)", unit.read_text())]


def environment_of(unit: Path) -> dict[str, str]:
    return {name: value for file in files_of(unit) for name, value in given(file).items()}


def test_the_example_values_are_settings_that_we_take(tmp_path: Path) -> None:
    example = {name: value for file in (DEPLOY / "environment").glob("*.env") for name, value in given(file).items()}
    installation = Installation.read(example)
    assert mailer_from(installation, tmp_path).sender == "roster@example.org"
    assert config_from(installation, installation.database_url).url == "https://console.example.org"
    assert make_url(example["ROSTER_DATABASE_URL"]).drivername == "postgresql+psycopg"
    assert make_url(example["ROSTER_DAGSTER_DATABASE_URL"]).drivername == "postgresql+psycopg2"
    assert installation.keep_syncs > 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_names_files_that_are_shipped_and_has_its_bounds(unit: Path) -> None:
    text = unit.read_text()
    assert all(file.exists() for file in files_of(unit))
    assert "User=roster" in text
    assert "MemoryMax=" in text
    assert (DEPLOY / "systemd" / "roster-.service.d" / "hardening.conf").exists(), "systemd adds it by the name"
    if "readonly" in unit.stem:
        assert not CLOSED & set(environment_of(unit))


def test_the_code_server_is_one_process_so_that_it_is_restarted_if_it_is_killed() -> None:
    """`dagster code-server start` answers on, without its server, and nobody restarts it."""
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["code"]["command"]
    assert composed[:3] == ["dagster", "api", "grpc"]
    assert "/dagster api grpc " in (DEPLOY / "systemd" / "roster-code.service").read_text()


def test_containers_are_as_closed_as_the_units() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service.get("image") == "roster-pipeline"}
    assert len(ours) == 7
    for name, service in ours.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
    assert not CLOSED & set(ours["web-readonly"]["environment"])
    assert re.search(r"^USER roster$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_a_broker_waits_longer_for_a_worker_than_the_longest_run_takes() -> None:
    """RabbitMQ cuts a worker off, and Redis gives its run to another one."""
    settings = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    longest = settings["run_monitoring"]["max_runtime_seconds"]
    celery = settings["run_launcher"]["config"]["config_source"]
    assert celery["broker_transport_options"]["visibility_timeout"] > longest
    broker = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["broker"]["environment"]
    setting, milliseconds = broker["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"].removeprefix("-rabbit ").split()
    assert int(milliseconds) > longest * 1000
    assert f"`{setting} = {milliseconds}`" in (ROOT / "docs" / "deployment.md").read_text()


@pytest.fixture
def reader_url(dagster_url: str) -> Iterator[str]:
    """A login that may only read Dagster's tables."""
    plain = make_url(dagster_url).set(drivername="postgresql").render_as_string(hide_password=False)
    role = sql.Identifier(f"dagster_reader_{os.getpid()}")
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login").format(role))
        admin.execute(sql.SQL("grant select on all tables in schema public to {}").format(role))
    yield make_url(dagster_url).set(username=f"dagster_reader_{os.getpid()}").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))


def command_of(unit: Path, port: int, folder: Path) -> list[str]:
    """The command of a unit, from this checkout and on a free port."""
    found = re.search(r"^ExecStart=/opt/roster/.venv/bin/(.+)$", unit.read_text(), re.MULTILINE)
    assert found
    words = found[1].replace("${ROSTER_CODE_PORT}", str(port)).replace("/opt/roster/deploy", str(DEPLOY)).split()
    words = ["--port=" + str(port) if re.fullmatch(r"8080|300\d", word) else word for word in words if word != "--port"]
    words = [word.replace("/var/lib/roster-metrics", str(folder)) for word in words]
    module = {"roster": "roster_pipeline.cli", "dagster": "dagster", "dagster-daemon": "dagster._daemon"}[words[0]]
    return [sys.executable, "-m", module, *words[1:]]


def _answers(port: int) -> bool:
    client: Any = DagsterGrpcClient(port=port, host="127.0.0.1")
    return bool(client.health_check_query() == "SERVING")


def _beats(dagster_url: str) -> bool:
    """Whether each loop of the daemon has sent a heartbeat."""
    with plain_connection(make_url(dagster_url)) as conn:
        found = conn.execute("select daemon_type from daemon_heartbeats").fetchall()
    return {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"} <= {kind for (kind,) in found}


READY: dict[str, Callable[[int, Path, str], bool]] = {
    "roster-code": lambda port, _, __: _answers(port),
    "roster-console": lambda port, _, __: answers(f"http://127.0.0.1:{port}/health"),
    "roster-web": lambda port, _, __: answers(f"http://127.0.0.1:{port}/server_info"),
    "roster-web-readonly": lambda port, _, __: answers(f"http://127.0.0.1:{port}/view/server_info"),
    "roster-metrics": lambda _, folder, __: (folder / "roster.prom").exists(),
    "roster-daemon": lambda _, __, dagster_url: _beats(dagster_url),
}
"""For each service a check that it works, by its port, its folder and Dagster's database. The others use the first."""


@pytest.mark.timeout(590)
def test_the_services_work_together_each_with_its_own_files_of_environment(
    database_url: str, dagster_url: str, reader_url: str, tmp_path: Path
) -> None:
    """Databases, key, folders and ports are the test's; all other values are the example's. Workers need a broker (see
    scale/)."""
    units, ports = (
        {name: DEPLOY / "systemd" / f"{name}.service" for name in READY},
        {name: free_port() for name in READY},
    )
    own = {
        "ROSTER_DATABASE_URL": database_url,
        "ROSTER_SECRET_KEY": new_key(),
        "ROSTER_HOME": str(tmp_path),
        "ROSTER_CODE_PORT": str(ports["roster-code"]),
        "DAGSTER_HOME": str(ROOT),
    }
    passed_on = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), MARK: os.environ[MARK]}
    with ExitStack() as stack:
        running: dict[str, subprocess.Popen[bytes]] = {}
        for name, unit in units.items():
            log = stack.enter_context((tmp_path / f"{name}.log").open("w+b"))
            given = own | {"ROSTER_DAGSTER_DATABASE_URL": reader_url if "readonly" in name else dagster_url}
            environment = {variable: given.get(variable, value) for variable, value in environment_of(unit).items()}
            command = command_of(unit, ports[name], tmp_path)
            process = running[name] = stack.enter_context(
                subprocess.Popen(command, env=environment | passed_on, cwd=ROOT, stderr=log, stdout=subprocess.DEVNULL)
            )
            stack.callback(process.kill)
            ready = partial(READY[name], ports[name], tmp_path, dagster_url)
            until(lambda ready=ready, process=process: ready() or process.poll() not in (None, 0), 300)  # type: ignore[misc]
            assert ready(), Path(log.name).read_text()[-3000:]
        for name, process in reversed(running.items()):
            if "Type=oneshot" not in units[name].read_text():
                process.terminate()
            assert process.wait(STOPPING) == 0, f"{name} has to end in order when it is asked to"


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("The checks by systemd were left out: systemd-analyze is not installed.")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", unit.read_text()))
    shutil.copytree(DEPLOY / "systemd" / "roster-.service.d", tmp_path / "roster-.service.d")
    done = subprocess.run(
        [verify, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line and "roster@" not in line]
    assert ours == [], done.stderr
