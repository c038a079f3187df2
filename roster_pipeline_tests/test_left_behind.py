"""A test run that is ended by a signal leaves no database server, no child of a test and no files in memory.

A test leaves nothing to the next one that gets its database.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from roster_pipeline_tests.directory.builders import add_school, every
from roster_pipeline_tests.postgres import Copy
from roster_pipeline_tests.waiting import until

ROOT = Path(__file__).parent.parent
LONG = """
import os, subprocess, sys, time
from pathlib import Path

def test_long(postgres_server, tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    folder = Path(postgres_server.query["host"])
    server = (folder / "postmaster.pid").read_text().split()[0]
    Path(os.environ["TOLD"]).write_text(f"{child.pid} {server} {folder.parent}")
    time.sleep(600)
"""


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGINT, "1"), (signal.SIGTERM, "1"), (signal.SIGTERM, "0"), (signal.SIGKILL, "0")],
    ids=["SIGINT-xdist", "SIGTERM-xdist", "SIGTERM-alone", "SIGKILL-alone"],
)
def test_a_run_that_a_signal_ends_leaves_nothing_behind(number: signal.Signals, workers: str, tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(LONG)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    told = tmp_path / "told"
    plugins = ["-p", "roster_pipeline_tests.left_behind", "-p", "roster_pipeline_tests.postgres"]
    environment = {name: value for name, value in os.environ.items() if name != "ROSTER_DATABASE_URL"}
    environment |= {"PYTHONPATH": str(ROOT), "TOLD": str(told)}
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", workers, "-p", "no:cacheprovider", "test_long.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            until(lambda: told.exists() and len(told.read_text().split()) == 3, 120)
            child, server, folder = told.read_text().split()
            run.send_signal(number)
            run.wait(60)
        finally:
            run.kill()
    until(lambda: not running(int(child)))
    until(lambda: not running(int(server)))
    until(lambda: not Path(folder).exists())


@pytest.mark.parametrize(
    ("left", "serves"),
    [
        ("create temporary table a (b int primary key)", True),
        ("update alembic_version set version_num = 'x'", False),
        ("create table a ()", False),
        ("create or replace function restart_log() returns void language sql as ''", False),
        ("alter table person disable trigger all", False),
        ("alter table person set (fillfactor = 50)", False),
        ("grant select on person to public", False),
        ("do $$ begin execute format('alter database %I set work_mem = 64', current_database()); end $$", False),
    ],
)
def test_a_database_serves_another_test_where_one_left_rows_alone(
    postgres_template: URL, left: str, serves: bool
) -> None:
    copy = Copy(postgres_template)
    try:
        with copy.database.begin() as conn:
            first = add_school(conn, "lincoln")
            conn.execute(text(left))
        copy.database.close()
        assert copy.emptied() is serves
        if serves:
            assert not every(copy.database, "select from school union all select from audit")
            with copy.database.begin() as conn:
                assert add_school(conn, "lincoln") == first
            assert not copy.emptied(), "a session is still open"
            copy.database.close()
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as late:
                assert not copy.emptied(), "a process may still write"
                late.communicate()
            assert copy.emptied()
    finally:
        copy.database.close()
        copy.drop()
