"""Ends what a test process leaves behind, however it ends: database servers, daemons, code servers, files in memory.

A watcher in a session of its own waits at a pipe that only the test process holds open. Ctrl-C, SIGTERM, SIGKILL: the
kernel closes the pipe, and the watcher ends every process that carries the mark of the test process in its environment.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

MARK = "PYTEST_PROCESS_OF_ROSTER"
"""In the environment of everything that a test process starts. A test with an environment of its own for a child passes
it on."""
POLITE_SECONDS = 10.0
_PIPE: list[IO[bytes]] = []


def pytest_configure() -> None:
    """Called in the main process and in every worker of xdist."""
    if _PIPE:
        return
    without = {name: value for name, value in os.environ.items() if name != MARK}
    token = os.environ[MARK] = secrets.token_hex(8)
    command = [sys.executable, str(Path(__file__).resolve()), token]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env=without)
    assert watcher.stdin is not None
    _PIPE.append(watcher.stdin)
    watcher.returncode = 0  # it outlives us, and nobody waits for it


def pytest_unconfigure() -> None:
    """The tests are over: the watcher can end their processes now."""
    while _PIPE:
        _PIPE.pop().close()


def remove_at_end(folder: Path) -> None:
    """Let the watcher remove a folder, if it still exists when this process has ended."""
    for pipe in _PIPE:
        pipe.write(f"{folder}\n".encode())
        pipe.flush()


def _marked(token: str) -> list[Any]:
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == token and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _end(token: str) -> None:
    """End database servers last and in order, so that they release their shared memory."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal([one for one in _marked(token) if one.name() != "postgres"], number)
    for number in (signal.SIGINT, signal.SIGQUIT):
        _signal([one for one in _marked(token) if one.name() == "postgres" and _is_server(one)], number)


def _is_server(process: Any) -> bool:
    parent = process.parent()
    return parent is None or parent.name() != "postgres"


def _signal(processes: list[Any], number: int) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
    psutil.wait_procs(processes, timeout=POLITE_SECONDS)


def watch(token: str) -> None:
    """The watcher: wait for the end of the test process, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folders = [line.strip() for line in sys.stdin]
    _end(token)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    watch(sys.argv[1])
