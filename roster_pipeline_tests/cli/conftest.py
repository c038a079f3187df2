"""The command line under test: every command in this process, on a real database of the test's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from typer.testing import CliRunner

from roster_pipeline.cli import app
from roster_pipeline.embedded import DAGSTER_URL, DATABASE_URL, HOME, SECRET_KEY

SECRET = "correct-horse-battery"


@dataclass(frozen=True)
class Answer:
    """What one command said and how it ended."""

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
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, prog_name="roster")
    return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def roster(database_url: str, tmp_path: Path) -> Iterator[Roster]:
    """`roster(...)` on an empty, migrated database; the environment is put back afterwards."""
    environment = {DATABASE_URL: database_url, DAGSTER_URL: database_url, HOME: str(tmp_path / "home")}
    with mock.patch.dict(os.environ, environment):
        os.environ.pop(SECRET_KEY, None)
        os.environ.pop("ROSTER_WHO", None)
        yield run


@pytest.fixture
def school(roster: Roster) -> Roster:
    """A district `spring`, a connection `sis` and a school `oak`, of which nothing is rostered yet."""
    for arguments in (
        ("district", "add", "spring", "--name", "Spring Schools"),
        (
            "connection",
            "add",
            "sis",
            "--district",
            "spring",
            "--url",
            "https://sis.example.org",
            "--client-secret",
            "-",
        ),
        ("school", "add", "oak", "--connection", "sis", "--school-id", "sch-1", "--name", "Oak"),
    ):
        answer = roster(*arguments, stdin=f"{SECRET}\n")
        assert answer.code == 0, answer.err
    return roster
