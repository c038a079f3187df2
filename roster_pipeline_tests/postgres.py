"""Real PostgreSQL for tests: one server a session, one database a test.

The server is the one that ROSTER_DATABASE_URL names, else an embedded one in a temporary folder. The schema is
migrated once, into a template; each test that asks for `database` or `database_url` gets a copy, dropped afterwards.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from roster_pipeline.directory import schema
from roster_pipeline.directory.database import Database, with_driver
from roster_pipeline.runtime.embedded import DAGSTER_DRIVER, QUIET_LOG, embedded_server
from roster_pipeline_tests.left_behind import remove_at_end

HURRIED = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "max_wal_size = '256MB'",
    *QUIET_LOG,
)
"""A test's database need not survive a power cut. Only the embedded server is told so."""
MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30
"""Bytes free there for the server's files to be kept in memory: a database is made in a twentieth of the time."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """The URL of a server on which databases may be made."""
    given = os.environ.get("ROSTER_DATABASE_URL")
    if given:
        yield with_driver(given)
        return
    folder = _in_memory("roster-pg-")
    server = embedded_server(folder / "data")
    url = make_url(server.get_uri())
    with _admin(url) as admin:
        for setting in HURRIED:
            admin.execute(f"alter system set {setting}")
        admin.execute("select pg_reload_conf()")
    yield with_driver(url)
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for an embedded server: root's runs as another user, and pytest closes its own folders to others."""
    folder = _in_memory("roster-test-")
    folder.chmod(0o755)
    yield folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_log(postgres_server: URL) -> Callable[[], str]:
    """The log of the embedded server since the test began; empty for a server that was given."""
    socket_folder = postgres_server.query.get("host", "")
    log = Path(str(socket_folder)) / "log"
    if os.environ.get("ROSTER_DATABASE_URL") or not log.exists():
        return lambda: ""
    begun = log.stat().st_size

    def since() -> str:
        with log.open(errors="replace") as opened:
            opened.seek(begun)
            return opened.read()

    return since


@pytest.fixture(scope="session")
def postgres_template(postgres_server: URL) -> Iterator[str]:
    """The name of a database with the current schema and no rows."""
    name = _create(postgres_server)
    database = Database(postgres_server.set(database=name))
    schema.upgrade(database)
    database.close()
    yield name
    _drop(postgres_server, name)


@pytest.fixture
def database_url(postgres_server: URL, postgres_template: str) -> Iterator[str]:
    """The URL of an empty, migrated database of the test's own."""
    name = _create(postgres_server, postgres_template)
    yield postgres_server.set(database=name).render_as_string(hide_password=False)
    _drop(postgres_server, name)


@pytest.fixture
def dagster_url(postgres_server: URL) -> Iterator[str]:
    """The URL of an empty database for Dagster's own tables."""
    name = _create(postgres_server)
    url = postgres_server.set(database=name, drivername=DAGSTER_DRIVER)
    yield url.render_as_string(hide_password=False)
    _drop(postgres_server, name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated database of the test's own."""
    opened = Database(database_url)
    yield opened
    opened.close()


def _in_memory(prefix: str) -> Path:
    """A folder of this run of the tests, in memory if there is room: a server of its own syncs thousands of files."""
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if room else None))
    remove_at_end(folder)
    return folder


def _admin(server: URL) -> psycopg.Connection:
    url = server.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)


def _create(server: URL, template: str = "template1") -> str:
    name = f"roster_test_{secrets.token_hex(6)}"
    statement = "create database {} template {}" + ("" if template == "template1" else " strategy file_copy")
    with _admin(server) as admin:
        admin.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))
    return name


def _drop(server: URL, name: str) -> None:
    with _admin(server) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
