"""The command line under test: commands run in this process, on a real database for one test."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy.engine import URL
from typer.main import get_command
from typer.testing import CliRunner

from roster_pipeline.cli import app
from roster_pipeline.runtime.embedded import DAGSTER_URL, DATABASE_URL, HOME, SECRET_KEY
from roster_pipeline_tests.postgres import as_text, copy_of

SECRET = "correct-horse-battery"
_tree = cache(get_command)
"""The commands of an app. Typer makes them for each call, which takes longer than most commands."""


@dataclass(frozen=True)
class Answer:
    """The output and the exit code of one command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)


Roster = Callable[..., Answer]


def run(*arguments: object, stdin: str | None = None) -> Answer:
    """Run one command in this process."""
    with mock.patch("typer.testing._get_command", _tree):
        result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, prog_name="roster")
    return Answer(result.exit_code, result.stdout, result.stderr)


@contextmanager
def installed_at(url: str, home: Path) -> Iterator[Roster]:
    """The command line on a database; the environment is put back afterwards."""
    environment = {DATABASE_URL: url, DAGSTER_URL: url, HOME: str(home)}
    with mock.patch.dict(os.environ, environment):
        os.environ.pop(SECRET_KEY, None)
        os.environ.pop("ROSTER_WHO", None)
        yield run


@pytest.fixture
def roster(database_url: str, tmp_path: Path) -> Iterator[Roster]:
    """`roster(...)` on an empty, migrated database."""
    with installed_at(database_url, tmp_path / "home") as roster:
        yield roster


@pytest.fixture
def school(roster: Roster) -> Roster:
    """A district `spring`, a connection `sis` and a school `oak` without rostered roles."""
    add_school(roster)
    return roster


@pytest.fixture(scope="module")
def shared_school(postgres_template: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roster]:
    """The same, shared by the tests of a module."""
    with copy_of(postgres_template) as url, installed_at(as_text(url), tmp_path_factory.mktemp("home")) as roster:
        add_school(roster)
        yield roster


def add_school(roster: Roster) -> None:
    for line in (
        "district add spring --name Spring",
        "connection add sis --district spring --url https://sis.example.org --client-secret -",
        "school add oak --connection sis --school-id sch-1 --name Oak",
    ):
        answer = roster(*line.split(), stdin=f"{SECRET}\n")
        assert answer.code == 0, answer.err
