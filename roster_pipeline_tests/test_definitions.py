"""The cost of loading the definitions: the code server, the daemon and every run start with it."""

import json
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from dagster._core.workspace.load_target import ModuleTarget, get_target_from_toml_data

from roster_pipeline.definitions import build_defs
from roster_pipeline.runtime.run_school import LOCATION
from roster_pipeline_tests.cli.test_processes import free_port
from roster_pipeline_tests.cli.test_signals import at_work, environment
from roster_pipeline_tests.waiting import until

__all__ = ["environment"]
ROOT = Path(__file__).parent.parent
STARTS_PYTHON = pytest.mark.timeout(300)
SNAPSHOT = Path(__file__).with_name("definitions.json")
COPIED = ("pyproject.toml", "dagster.yaml", "workspace.yaml", "roster_pipeline")

ONLY_FOR_RUNS = (
    "alembic",
    "asyncssh",
    "great_expectations",
    "httpx",
    "jinja2",
    "pandas",
    "phonenumbers",
    "psycopg",
    "pyarrow",
    "rich",
    "uvicorn",
)


RULES_OF = {
    "oneroster/records/orgs.py": {"raw_orgs", "raw_users", "raw_contacts"},
    "cleaning/quality_suite.json": {"cleaned_roster"},
    "identity/evidence.py": {"cleaned_roster", "roster_diff"},
    "planning/decisions.py": {"roster_diff"},
    "directory/apply_sql.py": {"applied_changes"},
    "console/page.py": set(),
}
"""A file of each kind, to the assets that its rules make."""


@STARTS_PYTHON
def test_listing_the_definitions_and_a_night_load_only_what_they_need() -> None:
    code = (
        "import roster_pipeline.definitions, sys; print(*sys.modules); import roster_pipeline.sync; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listing, night = (set(line.split()) for line in done.stdout.splitlines())
    assert not set(ONLY_FOR_RUNS) & listing
    assert not {"asyncssh", "great_expectations"} & night


def described() -> dict[str, object]:
    """The lists of Dagster's UI: assets with their dependencies, checks, jobs, schedules and sensors."""
    repository = build_defs().get_repository_def()
    graph = repository.asset_graph
    ticking: list[Any] = [*repository.schedule_defs, *repository.sensor_defs]
    assert [one.name for one in ticking if not one.description] == []
    return {
        "assets": {
            key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
            for key in sorted(graph.get_all_asset_keys())
        },
        "run by us": sorted(key.to_user_string() for key in graph.executable_asset_keys),
        "resources": sorted(repository.get_top_level_resources()),
        "checks": sorted(f"{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys),
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "schedules": {one.name: str(one.cron_schedule) for one in repository.schedule_defs},
        "sensors": {one.name: one.minimum_interval_seconds for one in repository.sensor_defs},
        "started": sorted(one.name for one in ticking if one.default_status.value == "RUNNING"),
    }


def test_the_definitions_are_those_that_the_saved_list_names() -> None:
    """Runs, history and links depend on these names. To change one, change the list too."""
    assert described() == json.loads(SNAPSHOT.read_text())


@STARTS_PYTHON
def test_the_code_version_of_an_asset_changes_with_its_rules_and_with_nothing_else(tmp_path: Path) -> None:
    package = shutil.copytree(ROOT / "roster_pipeline", tmp_path / "roster_pipeline")
    command = [sys.executable, "-c", VERSIONS, "", "", *RULES_OF]
    done = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=True)
    before, again, *after = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(before) == {"raw_orgs", "raw_users", "raw_contacts", "cleaned_roster", "roster_diff", "applied_changes"}
    assert all(before.values())
    assert again == before
    for (changed, assets), versions in zip(RULES_OF.items(), after, strict=True):
        assert {name for name in before if versions[name] != before[name]} == assets, changed


VERSIONS = """
import json, os, sys
from pathlib import Path
import dagster

for changed in sys.argv[1:]:
    file = Path("roster_pipeline") / (changed or "__init__.py")
    as_it_was = file.read_bytes()
    file.write_bytes(as_it_was + (b"\\n" if changed else b""))
    if os.fork() == 0:
        from roster_pipeline.definitions import defs
        graph = defs.get_repository_def().asset_graph
        versions = {key.to_user_string(): graph.get(key).code_version for key in graph.executable_asset_keys}
        print(json.dumps(versions), flush=True)
        os._exit(0)
    os.wait()
    file.write_bytes(as_it_was)
"""
"""Prints the code versions as a new process sees them, after a change of each file of the copy; "" changes none."""


def test_dagster_and_dg_know_the_code_by_one_name() -> None:
    """Otherwise a schedule that is off in one UI would run in the other, and runs could not be re-executed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    started = get_target_from_toml_data(project)
    assert isinstance(started, ModuleTarget)
    files = [ROOT / "workspace.yaml", ROOT / "deploy" / "workspace.yaml"]
    by_file = [next(iter(one.values())) for file in files for one in yaml.safe_load(file.read_text())["load_from"]]
    names = [started.location_name, project["tool"]["dg"]["project"].get("code_location_name")]
    assert names + [one["location_name"] for one in by_file] == [LOCATION] * 4


@pytest.fixture
def clone(open_folder: Path) -> Path:
    """The project in a new folder, as after `git clone`: no database, no `.roster`."""
    folder = open_folder / "clone"
    folder.mkdir()
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def typed(words: str) -> list[str]:
    """Run a command as people type it, with this Python."""
    name, *options = words.split()
    return [sys.executable, "-m", {"dagster": "dagster", "dg": "dagster_dg_cli.cli"}[name], *options]


TYPED_FIRST = {
    "dagster definitions validate": "All code locations passed validation",
    "dg check defs": "All definitions loaded successfully",
    "dg check toml": "All TOML configuration files are valid",
    "dg list defs": "applied_changes",
}
"""Commands in a fresh clone, and their expected output."""


@STARTS_PYTHON
def test_what_is_typed_first_works_in_a_fresh_clone(clone: Path, environment: dict[str, str]) -> None:
    environment |= {"PYTHONPATH": str(clone), "ROSTER_HOME": str(clone / ".roster")}
    for words, said in TYPED_FIRST.items():
        done = subprocess.run(typed(words), cwd=clone, env=environment, capture_output=True, text=True, timeout=250)
        printed = done.stdout + done.stderr
        assert done.returncode == 0, printed
        assert said in printed
        assert "Traceback" not in printed
        assert at_work(environment) == [], "the embedded database ends with the command"


@pytest.mark.timeout(400)
def test_dagster_dev_works_in_a_fresh_clone(clone: Path, environment: dict[str, str]) -> None:
    """Wait until every sensor has ticked once; the directory does not exist before."""
    port = free_port()
    environment |= {"PYTHONPATH": str(clone), "ROSTER_HOME": str(clone / ".roster")}
    log = clone.parent / "printed"
    with log.open("w") as printed:
        dev = subprocess.Popen(
            typed(f"dagster dev -p {port}"), cwd=clone, env=environment, stdout=printed, stderr=printed, text=True
        )
    looked = ["send_mail skipped: 0 sent", "every school has its partition", "watch_schools skipped: 0 crashed"]
    until(lambda: all(words in log.read_text() for words in looked) or dev.poll() is not None, 240, log.read_text)
    assert dev.poll() is None, log.read_text()
    assert httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=60).status_code == 200
    dev.send_signal(signal.SIGINT)
    assert dev.wait(100) == 0
    assert "Traceback" not in log.read_text(), log.read_text()
    until(lambda: not at_work(environment), told=lambda: at_work(environment))
