"""The environment variables of an installation: one model has them all, and the documentation agrees with it. And the
folder of an installation: it may have any name."""

import ast
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from roster_pipeline.runtime import embedded
from roster_pipeline.runtime.embedded import OUR_DRIVER, embedded_server, plain_connection
from roster_pipeline.settings import installation
from roster_pipeline.settings.installation import (
    Installation,
    InstallationError,
    MailServer,
    Retention,
    own_temporary_folder,
)

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_DEFAULTS = ("operations.md", "console.md")
"""Pages whose tables end with a column of defaults."""
FOR_CHILDREN = {"ROSTER_EMBEDDED_URL", "ROSTER_UI_TOKEN"}
"""Set by our own processes for those that they start."""
NOT_OURS = {"ROSTER_PROOF", "ROSTER_WEEK_LAUNCHER", "ROSTER_TEST_BROKER_URL", "ROSTER_READER_URL"}
"""Of the tests, and of the compose file alone."""
PASS_ON = {
    "cleaning/expectations.py",
    "cli/dev.py",
    "cli/commands.py",
    "runtime/processes.py",
    "console/launchers.py",
    "runtime/run_school.py",
    "defs/resources.py",
    "demo.py",
    "directory/database.py",
    "directory/secrets.py",
    "runtime/embedded.py",
    "runtime/instance.py",
    "runtime/preloaded.py",
}
"""Modules that hand the environment to children, change it for them, read what a child was given, or look up a
variable that a person named (`env:NAME`)."""


def rows(page: Path) -> list[tuple[list[str], list[str]]]:
    """The variables and the cells of every table row that begins with one."""
    found = []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if names := re.findall(r"`((?:ROSTER|DAGSTER)_[A-Z_]+)`", cells[0]) if line.startswith("|") else []:
            found.append((names, cells))
    return found


def test_every_variable_is_in_a_table_of_the_documentation() -> None:
    documented = {name for page in PAGES for names, _ in rows(page) for name in names}
    assert documented == set(Installation.variables()) - FOR_CHILDREN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_no_other_variable(page: Path) -> None:
    named = set(re.findall(r"\bROSTER_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
    assert named - NOT_OURS <= set(Installation.variables())


@pytest.mark.parametrize("name", WITH_DEFAULTS)
def test_the_documented_defaults_are_the_real_ones(name: str) -> None:
    compared = 0
    for names, cells in rows(ROOT / "docs" / name):
        default = Installation.variables()[names[0]]
        if isinstance(default, int) and not isinstance(default, bool):
            assert cells[-1] == str(default), names
            compared += 1
        elif default is False:
            assert cells[-1] == "off", names
    assert compared


def test_the_files_of_the_deployment_set_known_variables_only() -> None:
    files = [*(ROOT / "deploy" / "environment").glob("*.env"), ROOT / "deploy" / "compose.yaml"]
    for file in files:
        set_there = set(re.findall(r"^\s*(ROSTER_[A-Z_]+)[=:]", file.read_text(encoding="utf-8"), re.MULTILINE))
        assert set_there <= set(Installation.variables()), file


def test_the_environment_is_read_in_one_place() -> None:
    package, names = ROOT / "roster_pipeline", ("environ", "getenv")
    elsewhere = set()
    for path in package.rglob("*.py"):
        code = path.read_text(encoding="utf-8")
        nodes = ast.walk(ast.parse(code)) if any(name in code for name in names) else ()
        if any(isinstance(node, ast.Attribute) and node.attr in names for node in nodes):
            elsewhere.add(str(path.relative_to(package)))
    assert elsewhere - PASS_ON == {"settings/installation.py"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ROSTER_KEEP_SYNCS", "3", "ROSTER_KEEP_SYNCS is not a whole number from 7 to"),
        ("ROSTER_FIRST_PULL_MINUTES", "hunter2", "ROSTER_FIRST_PULL_MINUTES is not a whole number from 1 to 360"),
        ("ROSTER_OIDC_TRUST_EMAIL", "hunter2", "ROSTER_OIDC_TRUST_EMAIL is neither on nor off"),
    ],
)
def test_a_wrong_variable_is_named_with_the_remedy_and_without_its_value(name: str, value: str, message: str) -> None:
    with pytest.raises(InstallationError, match=message) as caught:
        Installation.read({name: value})
    assert name in caught.value.remedy
    assert "hunter2" not in str(caught.value)


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(InstallationError) as caught:
        Installation.read({"ROSTER_KEEP_DAYS": "x", "ROSTER_CONSOLE_RUNS": "0"})
    assert {"ROSTER_KEEP_DAYS", "ROSTER_CONSOLE_RUNS"} <= set(re.findall(r"ROSTER_\w+", caught.value.message))


def test_a_wrong_variable_stops_only_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSTER_KEEP_DAYS", "forever")
    monkeypatch.setenv("ROSTER_ALERTS_TO", "a@example.org; b@example.org,")
    assert MailServer.read().alerts_to == ["a@example.org", "b@example.org"]
    with pytest.raises(InstallationError):
        Retention.read()


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Installation.read({"ROSTER_KEEP_DAYS": " ", "ROSTER_CONSOLE_MAIL_LINKS": ""}) == Installation()


def test_no_secret_is_shown_by_the_model() -> None:
    secrets = {name: "hunter2" for name in Installation.variables() if re.search("SECRET|TOKEN|_URL$", name)}
    public = {"ROSTER_UI_URL", "ROSTER_CONSOLE_URL"}
    assert "hunter2" not in repr(
        Installation.read({name: text for name, text in secrets.items() if name not in public})
    )


@pytest.mark.parametrize(
    "name", ["My Files", "C++", "50%25", "o'brien & sons", "a" * 110], ids=["blank", "plus", "percent", "quote", "long"]
)
def test_the_embedded_server_works_in_every_folder_and_for_nobody_else(open_folder: Path, name: str) -> None:
    data = open_folder / name / "postgres"
    data.parent.mkdir()
    server = embedded_server(data)
    try:
        url = make_url(server.get_uri())
        plain_connection(url).close()
        with create_engine(url.set(drivername=OUR_DRIVER).render_as_string(), poolclass=NullPool).connect():
            pass
        socket_folder = Path(str(url.query["host"]))
        assert socket_folder == data or socket_folder.parent == own_temporary_folder(), "nobody else made it before"
        assert socket_folder.stat().st_mode & 0o077 == 0
        assert socket_folder.stat().st_uid == data.stat().st_uid
    finally:
        server.stop()
        shutil.rmtree(socket_folder, ignore_errors=True)


def test_the_embedded_server_needs_no_file_of_another_user(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no XDG_RUNTIME_DIR, the library takes one lock for all users of the machine."""
    library = type(embedded_server(open_folder / "first"))
    library._instances[open_folder / "first"].stop()
    monkeypatch.setattr(library, "_lock", type(library._lock)(tmp_path / "missing" / "of root"))
    embedded_server(open_folder / "second").stop()


def test_a_server_that_was_killed_is_left_without_a_traceback(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_HOME", str(open_folder))
    monkeypatch.setattr(embedded, "_USES", {})
    embedded._start_embedded()
    data = open_folder / "postgres"
    server = embedded._USES[data].server
    assert server is not None
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    monkeypatch.setattr(server, "stop", Mock(side_effect=psutil.NoSuchProcess(1)))  # init takes a while to notice
    embedded._leave(data)


def _lock(data: Path, *lines: object) -> None:
    (data / "postmaster.pid").write_text("\n".join(map(str, lines)))


@pytest.mark.parametrize(
    "left",
    {
        "of initdb": lambda data: (data / "global" / "pg_control").unlink(),
        "a lock without its last lines": lambda data: _lock(data, 1, data),
        "an empty lock": lambda data: _lock(data),
        "a list that is cut off": lambda data: (data / ".handle_pids.json").write_text("[12"),
        "the number of another process": lambda data: _lock(data, os.getpid(), data, 0, 5432, data, "", "1 1", "ready"),
    }.items(),
    ids=lambda left: left[0],
)
def test_a_start_that_was_broken_off_stops_no_later_start(
    open_folder: Path, left: tuple[str, Callable[[Path], None]]
) -> None:
    data = open_folder / "postgres"
    first = embedded_server(data)
    first.stop()
    first._instances.clear()  # as in another process
    left[1](data)
    server = embedded_server(data)
    plain_connection(make_url(server.get_uri())).close()
    server.stop()


@pytest.mark.parametrize(("ours", "remedy"), [(True, "Run the command again"), (False, "Check ROSTER_DATABASE_URL")])
def test_a_database_that_ended_has_the_remedy_of_its_kind(
    ours: bool, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = f"postgresql+psycopg://postgres@/roster?host={tmp_path}"
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.setenv("ROSTER_DATABASE_URL", address)
    monkeypatch.setenv("ROSTER_EMBEDDED_URL", address if ours else "")
    with pytest.raises(embedded.DatabaseRefusedError, match=remedy):
        embedded._create_if_missing(make_url(address), "ROSTER_DATABASE_URL")


@pytest.mark.parametrize("taken", ["a file", "a link to our folder", "a dangling link", "open to all"])
def test_a_temporary_folder_that_somebody_else_prepared_is_not_used(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    installation._spare_folder.cache_clear()
    (target := tmp_path / "target").mkdir()
    name = tmp_path / f"roster-{os.geteuid()}"
    match taken:
        case "a file":
            name.touch()
        case "a link to our folder":
            name.symlink_to(target)
        case "a dangling link":
            name.symlink_to(tmp_path / "nowhere")
        case _:
            name.mkdir()
            name.chmod(0o777)
    found = own_temporary_folder()
    assert found != name
    assert own_temporary_folder() == found, "each process has one"
    assert found.stat().st_mode & 0o777 == 0o711
    assert not any(target.iterdir())
    installation._spare_folder.cache_clear()


def test_the_processes_of_a_user_share_a_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert own_temporary_folder() == own_temporary_folder() == tmp_path / f"roster-{os.geteuid()}"
    assert own_temporary_folder().stat().st_mode & 0o777 == 0o711
