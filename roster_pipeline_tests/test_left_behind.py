"""A test run that a signal ends leaves no database server, no child of a test and no files in memory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

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
    [(signal.SIGINT, "1"), (signal.SIGTERM, "1"), (signal.SIGKILL, "0")],
    ids=["SIGINT-xdist", "SIGTERM-xdist", "SIGKILL-alone"],
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
