"""The command line under test: every command in this process, on a real database of the test's own."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL
from typer.testing import CliRunner

from roster_pipeline.cli import app
from roster_pipeline.runtime.embedded import DAGSTER_URL, DATABASE_URL, HOME, SECRET_KEY

SECRET = "correct-horse-battery"


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
    add_school(roster)
    return roster


@pytest.fixture(scope="module")
def shared_school(
    postgres_server: URL, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Roster]:
    """The same, for a module whose tests do not mind what another one set."""
    name = f"roster_cli_{secrets.token_hex(4)}"
    with admin(postgres_server) as server:
        template = sql.Identifier(postgres_template)
        server.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), template))
    url = postgres_server.set(database=name).render_as_string(hide_password=False)
    environment = {DATABASE_URL: url, DAGSTER_URL: url, HOME: str(tmp_path_factory.mktemp("home"))}
    with mock.patch.dict(os.environ, environment):
        os.environ.pop(SECRET_KEY, None)
        os.environ.pop("ROSTER_WHO", None)
        add_school(run)
        yield run
    drop(postgres_server, name)


def add_school(roster: Roster) -> None:
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


def admin(server: URL) -> psycopg.Connection:
    """A connection that may make and drop databases."""
    url = server.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def drop(server: URL, *names: str) -> None:
    with admin(server) as connected:
        for name in names:
            connected.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
