"""The demo as a person runs it: a process of its own, on databases that it makes."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from unittest import mock

import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from roster_pipeline import demo_sis
from roster_pipeline.demo_sis import DISTRICT
from roster_pipeline.directory import schema, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.cli.conftest import run
from roster_pipeline_tests.postgres import admin, drop

COMMAND = [sys.executable, "-m", "roster_pipeline.cli", "demo"]
PATIENCE = 300


@pytest.fixture
def environment(postgres_server: URL, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Names of databases that do not exist yet, on the tests' server; dropped afterwards."""
    name = f"roster_test_{secrets.token_hex(6)}"
    address = postgres_server.set(database=name).render_as_string(hide_password=False)
    home = {"ROSTER_HOME": str(tmp_path / "home"), "ROSTER_DATABASE_URL": address}
    yield {key: value for key, value in os.environ.items() if not key.startswith("ROSTER_")} | home
    drop(postgres_server, name, f"{name}_dagster")


@pytest.mark.timeout(PATIENCE + 20)
def test_three_nights_end_with_a_report_and_mails(environment: dict[str, str]) -> None:
    environment["ROSTER_SMTP_URL"] = "smtp://127.0.0.1:9"  # as in a real installation; the demo never sends mail to it
    ran = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    nights = ran.stdout.split("Night ")[1:]
    assert len(nights) == 3
    assert _numbers(nights[0], "Lincoln High")[0] > 400
    created, updated, restored, _, archived, held, _ = _numbers(nights[1], "Cedar High ")
    assert (restored, held) == (1, 0)
    assert min(created, updated, archived) >= 1
    assert _numbers(nights[2], "Lincoln High")[4:6] == [0, 4]
    mails = list((Path(environment["ROSTER_HOME"]) / "outbox").glob("*.eml"))
    assert len(mails) == 10
    for mail in mails:
        body = message_from_bytes(mail.read_bytes(), policy=default).get_body(("plain",))
        text = body.get_content() if body else ""
        assert "http://127.0.0.1:8080/schools/" in text, "the console of `make dev`"
        assert "roster school" not in text, "an owner has the pages, not the commands"
    assert "lincoln-high" in ran.stdout
    asked = [sys.executable, "-m", "roster_pipeline.cli", "history", "--json"]
    told = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert {line["who"] for line in json.loads(told.stdout)} == {"the demo"}


def made(address: str, server: URL) -> Database:
    """The directory's database at an address, with its tables."""
    with admin(server) as connected:
        connected.execute(sql.SQL("create database {}").format(sql.Identifier(make_url(address).database or "")))
    database = Database(address)
    schema.upgrade(database)
    return database


def test_the_demo_does_not_touch_a_database_with_districts_of_its_own(
    environment: dict[str, str], postgres_server: URL
) -> None:
    database = made(environment["ROSTER_DATABASE_URL"], postgres_server)
    database.call(tenant_changes.add_district, "springfield", "Springfield")
    with mock.patch.dict(os.environ, environment, clear=True):
        answer = run("demo")
    assert answer.code == 1
    assert "districts of your own" in answer.err
    assert [row.key for row in database.call(tenants.list_districts)] == ["springfield"]
    database.close()


def _numbers(night: str, school: str) -> list[int]:
    line = next(line for line in night.splitlines() if line.startswith(school) and "noon" not in line)
    return [0 if word == "·" else int(word) for word in line.removeprefix(school).split()]


def test_the_demo_drops_no_database_that_it_may_not_make_anew(
    environment: dict[str, str], postgres_server: URL
) -> None:
    given = make_url(environment["ROSTER_DATABASE_URL"])
    user = f"modest_{secrets.token_hex(4)}"
    environment["ROSTER_DATABASE_URL"] = given.set(username=user).render_as_string(hide_password=False)
    with admin(postgres_server) as server:
        role = sql.Identifier(user)
        server.execute(sql.SQL("create role {} login").format(role))
        names = [given.database or "", f"{given.database}_dagster"]
        for name in names:
            server.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), role))
        database = Database(environment["ROSTER_DATABASE_URL"])
        schema.upgrade(database)
        database.call(tenant_changes.add_district, DISTRICT, "Of an earlier demo")
        database.close()
        with mock.patch.dict(os.environ, environment, clear=True):
            answer = run("demo")
        assert answer.code == 1
        assert "may not create databases" in answer.err
        there = server.execute("select count(*) from pg_database where datname = any(%s)", [names]).fetchone()
        for name in names:
            server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        server.execute(sql.SQL("drop role {}").format(role))
    assert there == (2,)


def test_the_schools_of_the_demo_have_one_name_here_and_in_their_sis() -> None:
    people = demo_sis.bring_to(3)
    for school in demo_sis.SCHOOLS:
        names = [org.name for org in people[school.connection].orgs if org.sourced_id == school.school_id]
        assert names == [school.name]
