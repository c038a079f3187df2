"""Processes that start immediately: each is forked from a process that has already loaded the modules.

`python -m roster_pipeline.runtime.preloaded` is that process, the host. It reads orders from its standard input, a line
of JSON each, and writes to its standard output which process it forked and how that ended. It has no threads and no
connections, so its forks are safe. It ends if it was not used for a while, or if the process that started it is gone,
but never before its own children.

Loading Dagster, pandas and Great Expectations takes 5 CPU seconds, more than a school of 2,000 people costs.
"""

import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

import psutil

IDLE_SECONDS = 15 * 60.0
LOOK_EVERY = 0.1
"""Seconds between two checks of the host's children, while it has any."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ONE_THREAD |= {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # that of Arrow's allocator would make forks unsafe
_PACKAGE = Path(__file__).parents[1]


class Started:
    """A process of a host."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.pid = 0
        self.given = 0
        self._unwanted = False
        self._ended: SimpleQueue[int | None] = SimpleQueue()

    def came_up(self, pid: int) -> None:
        """Note its process."""
        self.pid = pid
        if self._unwanted:
            self.kill()

    def kill(self) -> None:
        """End the process, now or as soon as it begins."""
        self._unwanted = True
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def end(self, code: int | None) -> None:
        """Note how it ended; None if its host went away."""
        self._ended.put(code)

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end and return its exit code.

        The exit code is minus the signal's number if a signal killed the process, or None if it is not known.

        Raises TimeoutError if it has not ended after these seconds.
        """
        try:
            code = self._ended.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None
        while code is None and self.pid and _runs(self.pid):
            time.sleep(LOOK_EVERY)
        return code


def _runs(pid: int) -> bool:
    """Whether a process has not ended. In a container without an init, an ended one may stay as a zombie for ever."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


class _Host:
    """The other end of a host process."""

    def __init__(self) -> None:
        self.code = _code_on_disk()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                [sys.executable, "-m", __name__],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,
            )
        self._started: dict[int, Started] = {}
        self._lock = Lock()
        self._gone = False
        Thread(target=self._read, daemon=True, name="preloaded").start()

    def order(self, started: Started) -> bool:
        """Send an order. Returns False if the host is gone."""
        with self._lock:
            if self._gone:
                return False
            self._started[started.order["id"]] = started
            with suppress(OSError):  # the thread that reads will notice
                self._socket.sendall(json.dumps(started.order).encode() + b"\n")
            return True

    def close(self) -> None:
        """Stop sending orders. The host then ends with its last child."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        with self._socket, suppress(OSError):
            for line in self._socket.makefile(encoding="ascii"):
                answer = json.loads(line)
                if "pid" in answer:
                    self._started[answer["id"]].came_up(answer["pid"])
                else:
                    self._started.pop(answer["id"]).end(answer["code"])
        self._process.wait()
        with self._lock:
            self._gone = True
        for started in self._started.values():
            if started.pid or started.given > 1:
                started.end(None)
            else:  # the host ended just as the order came
                _give(started)


_host: _Host | None = None
_hosts = Lock()
_ids = itertools.count()


def start(
    module: str, arguments: Sequence[str | float], environment: Mapping[str, str], needs: Sequence[str] = ()
) -> Started:
    """Call `main(*arguments)` of a module in its own process and session, with this environment.

    needs: other modules that are loaded before the process begins. Its standard streams lead nowhere. Raises OSError if
    no process can be made.
    """
    order = {"module": module, "arguments": list(arguments), "env": dict(environment), "needs": [module, *needs]}
    started = Started({"id": next(_ids), **order})
    _give(started)
    return started


def _give(started: Started) -> None:
    """Give the order to a host that has loaded the code as it is on the disk now."""
    global _host
    started.given += 1
    with _hosts:
        if _host is not None and _host.code != _code_on_disk():
            _host.close()
            _host = None
        if _host is None or not _host.order(started):
            _host = _Host()
            if not _host.order(started):
                started.end(None)


def _code_on_disk() -> tuple[int, int]:
    """A value that changes with every edit of the package, for example when somebody edits it while `roster dev`
    runs."""
    times = [path.stat().st_mtime_ns for path in _PACKAGE.rglob("*.py")]
    return len(times), max(times)


def main() -> int:
    """The host itself."""
    children: dict[int, int] = {}
    unread, needed, idle_since = b"", True, time.monotonic()
    while needed or children:
        if needed and select.select([0], [], [], LOOK_EVERY if children else IDLE_SECONDS)[0]:
            read = os.read(0, 65536)
            needed = bool(read)
            *orders, unread = (unread + read).split(b"\n")
            for line in orders:
                _carry_out(json.loads(line), children)
            idle_since = time.monotonic()
        elif not needed:
            time.sleep(LOOK_EVERY)
        elif not children and time.monotonic() - idle_since >= IDLE_SECONDS:
            break
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            _report(id=children.pop(pid), code=os.waitstatus_to_exitcode(status))
            idle_since = time.monotonic()
    return 0


def _report(**words: int | None) -> None:
    with suppress(OSError):  # the process that asked may be gone
        os.write(1, json.dumps(words).encode() + b"\n")


def _load(modules: Sequence[str]) -> None:
    if sys.platform == "darwin":
        return  # once it is loaded, its system libraries do not work in a fork
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # otherwise each collection in a child would copy the memory that it shares with the host


def _carry_out(order: dict[str, Any], children: dict[int, int]) -> None:
    try:
        _load(order["needs"])
        pid = os.fork()
    except Exception:
        _report(id=order["id"], code=1)
        return
    if pid:
        children[pid] = order["id"]
        _report(id=order["id"], pid=pid)
        return
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        os.environ.clear()
        os.environ.update(order["env"])
        code = importlib.import_module(order["module"]).main(*order["arguments"])
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
