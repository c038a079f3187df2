"""Real PostgreSQL for tests: one server a session, one database a test.

The server is the one that ROSTER_DATABASE_URL names, else an embedded one in a temporary folder. The schema is migrated
once, into a template; each test with `database` or `database_url` gets a copy, which is dropped afterwards.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine, make_url

from roster_pipeline.directory import database as databases
from roster_pipeline.directory.database import Database, with_driver
from roster_pipeline.runtime.embedded import DAGSTER_DRIVER, QUIET_LOG, embedded_server
from roster_pipeline_tests.left_behind import remove_at_end

HURRIED = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '256MB'", *QUIET_LOG)
"""A test's database need not survive a power cut. Settings of the embedded server only."""
EMPTY = "template1"
MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30
"""Free bytes that are needed to keep the server's files in memory, where a database is made in a twentieth of the
time."""


_compiled_by: Engine | None = None
_kept: dict[URL, psycopg.Connection] = {}
"""The connection to each server on which tests make and drop databases: a new one takes as long as dropping one."""


def _engine(*arguments: Any, **options: Any) -> Engine:
    """As `create_engine` makes it. But it takes the statements that the first engine of this process has compiled: all
    tests compile the same ones, each on a database of its own."""
    global _compiled_by
    made = create_engine(*arguments, **options)
    if _compiled_by is not None and _compiled_by.dialect.server_version_info:
        made.dialect, made._compiled_cache = _compiled_by.dialect, _compiled_by._compiled_cache
    else:
        _compiled_by = made
    return made


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """The URL of a server on which databases may be made."""
    mock.patch.object(databases, "create_engine", _engine).start()
    given = os.environ.get("ROSTER_DATABASE_URL")
    if given:
        yield with_driver(given)
        _close_kept()
        return
    folder = _in_memory("roster-pg-")
    server = embedded_server(folder / "data")
    url = make_url(server.get_uri())
    with admin(url) as server_admin:
        for setting in HURRIED:
            server_admin.execute(f"alter system set {setting}")
        server_admin.execute("select pg_reload_conf()")
    yield with_driver(url)
    _close_kept()
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for an embedded server. A server of root runs as another user, who cannot read pytest's own folders."""
    folder = _in_memory("roster-test-")
    folder.chmod(0o755)
    yield folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_log(postgres_server: URL) -> Callable[[], str]:
    """The log of the embedded server since the test began; empty for another server."""
    log = Path(str(postgres_server.query.get("host", ""))) / "log"
    if os.environ.get("ROSTER_DATABASE_URL") or not log.exists():
        return lambda: ""
    begun = log.stat().st_size

    def since() -> str:
        with log.open(errors="replace") as opened:
            opened.seek(begun)
            return opened.read()

    return since


@pytest.fixture(scope="session")
def postgres_template(postgres_server: URL) -> Iterator[URL]:
    """A database with the current schema and no rows."""
    from roster_pipeline.directory import schema  # loads pandas, which the process that hands out the tests never needs

    with copy_of(postgres_server.set(database=EMPTY)) as url:
        database = Database(url)
        schema.upgrade(database)
        database.close()
        yield url


@pytest.fixture
def database_url(postgres_template: URL) -> Iterator[str]:
    """The URL of an empty, migrated database for one test."""
    with copy_of(postgres_template) as url:
        yield as_text(url)


@pytest.fixture(scope="session")
def dagster_template(postgres_server: URL) -> Iterator[URL]:
    """A database with Dagster's own tables and no rows, because making them takes seconds."""
    from dagster_postgres.storage import DagsterPostgresStorage

    with copy_of(postgres_server.set(database=EMPTY)) as made:
        url = made.set(drivername=DAGSTER_DRIVER)
        DagsterPostgresStorage(as_text(url))
        yield url


@pytest.fixture
def dagster_url(dagster_template: URL) -> Iterator[str]:
    """The URL of a database with Dagster's tables for one test."""
    with copy_of(dagster_template) as url:
        yield as_text(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty, migrated database for one test."""
    opened = Database(database_url)
    yield opened
    opened.close()


def _in_memory(prefix: str) -> Path:
    """A folder of this run of the tests, in memory if there is room: a server of its own syncs thousands of files."""
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if room else None))
    remove_at_end(folder)
    return folder


def as_text(url: URL) -> str:
    """The URL with its password."""
    return url.render_as_string(hide_password=False)


def admin(server: URL) -> psycopg.Connection:
    """A connection that may make and drop databases."""
    return psycopg.connect(as_text(server.set(drivername="postgresql", database="postgres")), autocommit=True)


@contextmanager
def copy_of(source: URL) -> Iterator[URL]:
    """A copy of a database to which nobody is connected; dropped afterwards."""
    name = f"roster_test_{secrets.token_hex(6)}"
    made = sql.SQL("create database {} template {} strategy file_copy")
    _admin(source).execute(made.format(sql.Identifier(name), sql.Identifier(source.database or EMPTY)))
    try:
        yield source.set(database=name)
    finally:
        drop(source, name)


def drop(server: URL, *names: str) -> None:
    """Drop databases, even with open connections."""
    for name in names:
        _admin(server).execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _admin(server: URL) -> psycopg.Connection:
    """The kept connection; a new one if that was lost."""
    place = server.set(drivername="postgresql", database="postgres")
    if place not in _kept or _kept[place].closed:
        _kept[place] = admin(server)
    return _kept[place]


def _close_kept() -> None:
    while _kept:
        _kept.popitem()[1].close()
