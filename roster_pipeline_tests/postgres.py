"""Real PostgreSQL for tests: one server a session, one database a test.

The server is the one that ROSTER_DATABASE_URL names, else an embedded one in a temporary folder. The schema is
migrated once, into a template; each test that asks for `database` or `database_url` gets a copy. A test that leaves
nothing but rows hands its copy, emptied, to the next one; every other copy is dropped.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from roster_pipeline.directory import schema
from roster_pipeline.directory.database import Database, with_driver
from roster_pipeline.runtime.embedded import DAGSTER_DRIVER, QUIET_LOG, embedded_server, plain_connection
from roster_pipeline_tests.left_behind import remove_at_end

HURRIED = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "max_wal_size = '256MB'",
    *QUIET_LOG,
)
"""A test's database need not survive a power cut. Only the embedded server is told so."""
EMPTY = "template1"
MOST_TESTS = 40
"""Tests that a copy serves one after the other: emptied tables still keep their old rows on the disk."""
CLOSING_SECONDS = 0.2
"""How long the sessions of a test may take to end after it."""
CATALOGS = (
    *("attribute", "attrdef", "constraint", "index", "inherits", "policy", "proc", "rewrite", "trigger"),
    *("type", "db_role_setting", "default_acl", "description", "publication"),
)
"""What changes in one of these is not undone by deleting rows."""
SHAPE = f"""
    select md5(concat_ws(' ',
        {", ".join(f"(select row(count(*), max(xmin::text::bigint))::text from pg_{name})" for name in CATALOGS)},
        (select string_agg(row(oid, relacl, reloptions, relpersistence)::text, '' order by oid) from pg_class),
        (select string_agg(n::text, '' order by oid) from pg_namespace n where nspname !~ '^pg_(toast_)?temp_'),
        (select row(datacl, datconnlimit)::text from pg_database where datname = current_database())))"""
OTHERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"""
TABLES = """
    select format('%I.%I', nspname, relname) from pg_class join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname !~ '^(pg_|information_schema$)' order by 1"""
RESTART = """
    select setval(seqrelid::regclass, seqstart, false) from pg_sequence
    where pg_sequence_last_value(seqrelid) is not null"""
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
    with admin(url) as server_admin:
        for setting in HURRIED:
            server_admin.execute(f"alter system set {setting}")
        server_admin.execute("select pg_reload_conf()")
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
def postgres_template(postgres_server: URL) -> Iterator[URL]:
    """A database with the current schema and no rows."""
    with copy_of(postgres_server.set(database=EMPTY)) as url:
        database = Database(url)
        schema.upgrade(database)
        database.close()
        yield url


class Copy:
    """A copy of the template that can serve several tests, and the access to it, which remembers its statements."""

    def __init__(self, template: URL) -> None:
        self.url, self.left = made_from(template), MOST_TESTS
        self.database = Database(self.url)
        self.admin = plain_connection(self.url)
        self.admin.execute("set session_replication_role = replica")
        self.shape = self.admin.execute(SHAPE).fetchone()
        self.tables = [name for (name,) in self.admin.execute(TABLES).fetchall()]
        self.first_rows = self._content()
        self.processes = _started()

    def emptied(self) -> bool:
        """Delete the rows that a test left. False if it left a session, a process that may still write, or anything
        else: then the copy is no use."""
        self.left -= 1
        before, self.processes = self.processes, _started()
        if self.processes - before:
            return False
        with suppress(psycopg.Error):
            return bool(self.left) and self._left_alone() and self._as_at_first()
        return False

    def drop(self) -> None:
        """It serves nobody any more."""
        self.admin.close()
        drop(self.url, str(self.url.database))

    def _left_alone(self) -> bool:
        until = time.monotonic() + CLOSING_SECONDS
        while self.admin.execute(OTHERS).fetchone() != (0,):
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def _as_at_first(self) -> bool:
        if self.admin.execute(SHAPE).fetchone() != self.shape:
            return False
        used = [f"delete from {name}" for name in self._filled() if name not in self.first_rows]
        self.admin.execute(";".join([*used, RESTART]))
        return self._content() == self.first_rows

    def _filled(self) -> list[str]:
        """The tables with rows."""
        each = " union all ".join(f"select '{name}' where exists (select from {name})" for name in self.tables)
        return [name for (name,) in self.admin.execute(each).fetchall()]

    def _content(self) -> dict[str, object]:
        """What is in the tables with rows."""
        content = "select md5(string_agg(t::text, ' ' order by t::text)) from {} t"
        return {name: self.admin.execute(content.format(name)).fetchone() for name in self._filled()}


@pytest.fixture(scope="session")
def copies(postgres_template: URL) -> Iterator[list[Copy]]:
    """The copies that wait for a test: one, as a test has one database."""
    waiting: list[Copy] = []
    yield waiting
    for copy in waiting:
        copy.drop()


@pytest.fixture
def own_copy(postgres_template: URL, copies: list[Copy]) -> Iterator[Copy]:
    """An empty, migrated copy of the test's own."""
    copy = copies.pop() if copies else Copy(postgres_template)
    yield copy
    if copy.emptied():
        copies.append(copy)
    else:
        copy.drop()


@pytest.fixture
def database_url(own_copy: Copy) -> str:
    """The URL of an empty, migrated database of the test's own."""
    return as_text(own_copy.url)


@pytest.fixture(scope="session")
def dagster_template(postgres_server: URL) -> Iterator[URL]:
    """A database with Dagster's own tables and no rows: to make them takes seconds."""
    from dagster_postgres.storage import DagsterPostgresStorage

    with copy_of(postgres_server.set(database=EMPTY)) as made:
        url = made.set(drivername=DAGSTER_DRIVER)
        DagsterPostgresStorage(as_text(url))
        yield url


@pytest.fixture
def dagster_url(dagster_template: URL) -> Iterator[str]:
    """The URL of a database of the test's own with Dagster's tables."""
    with copy_of(dagster_template) as url:
        yield as_text(url)


@pytest.fixture
def database(own_copy: Copy) -> Iterator[Database]:
    """An empty, migrated database of the test's own."""
    yield own_copy.database
    own_copy.database.close()


def _started() -> set[int]:
    """The processes that this one and its children started, and that still run."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


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
    made = made_from(source)
    try:
        yield made
    finally:
        drop(source, str(made.database))


def made_from(source: URL) -> URL:
    """A new copy of a database to which nobody is connected."""
    name = f"roster_test_{secrets.token_hex(6)}"
    made = sql.SQL("create database {} template {} strategy file_copy")
    with admin(source) as server:
        server.execute(made.format(sql.Identifier(name), sql.Identifier(source.database or EMPTY)))
    return source.set(database=name)


def drop(server: URL, *names: str) -> None:
    """Drop databases, whoever is connected to them."""
    with admin(server) as connected:
        for name in names:
            connected.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
