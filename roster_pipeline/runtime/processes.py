"""How processes end. A command ends by Ctrl-C or SIGTERM at once, in order, and with the exit code that shells expect.
A group of processes ends together: it is asked to stop, and killed if it does not stop in time.

While a run executes, Dagster replaces our handlers by its own, and turns their exceptions into failures. So we also
note signals below Python's handlers, and read this note when the run has ended.

If the owner of a group is killed, the group stays. The owner had written it to a file that it held locked. The kernel
releases the lock, so the next command finds the group there and ends it. It also clears away the start of an embedded
server that was broken off.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO

from roster_pipeline.errors import RosterError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_AFTER = 0.05
"""Seconds. By then, the deletion is over."""
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the end of its terminal"}
POLITE_SECONDS = 15.0
"""Seconds for a daemon to finish its work, and for a web server to finish its answers. Longer would look like
hanging.
"""
LOOK_EVERY = 0.1
RECORD = "dev.processes"
"""In the home folder: what `roster dev` has started."""
MARK = "ROSTER_STARTED_BY"
"""In the environment of every process of a group: the group that it belongs to."""


LOCK_LINES = 8
"""Of the lock file of a server, once it is ready."""
OWN_DATABASES = "base/?????*"
"""Databases that `initdb` has not made: their numbers have five digits or more."""


class Ended(KeyboardInterrupt):
    """A signal asked this process to end. `str()` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"Ended by {NAMES.get(signal.Signals(number), signal.Signals(number).name)}.")
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 and the number: what a shell shows for a process that a signal ended."""
        return 128 + self.number


def raise_ended(number: int, _: FrameType | None = None) -> None:
    """The handler. A second signal has no effect while the process follows the first."""
    for signal_number in ENDING:
        if signal.getsignal(signal_number) is raise_ended:
            signal.signal(signal_number, signal.SIG_IGN)
    raise Ended(number)


def end_by_signals() -> None:
    """Make signals raise `Ended` in the main thread from now on. A signal that the caller ignores (nohup) stays
    ignored."""
    # It logs whatever ends the reset of a connection, and during a run Dagster raises an exception of its own.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    for one in ENDING:
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, raise_ended)
    before = sys.unraisablehook

    def unraisable(found: sys.UnraisableHookArgs) -> None:
        if not _came_again(found.exc_value):
            before(found)

    sys.unraisablehook = unraisable


def _came_again(lost: BaseException | None) -> bool:
    """If a signal comes while an object is being deleted, Python drops the exception. Then the signal is sent again."""
    if lost is None or isinstance(lost, (Exception, SystemExit, GeneratorExit)):
        return False
    number = lost.number if isinstance(lost, Ended) else signal.SIGTERM  # Dagster's exception does not name the signal
    if isinstance(lost, Ended):
        signal.signal(number, raise_ended)
    threading.Timer(AGAIN_AFTER, os.kill, (os.getpid(), number)).start()
    return True


@contextmanager
def noted() -> Iterator[list[int]]:
    """The signals that came while the block ran, with any handlers. Read them after the block. In any thread
    but the main one, which alone receives them, the list stays empty."""
    numbers: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield numbers
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield numbers
    finally:
        signal.set_wakeup_fd(before)
        with suppress(BlockingIOError):
            numbers += [signal_number for signal_number in os.read(reading, 64) if signal_number in ENDING]
        os.close(reading)
        os.close(writing)


@contextmanager
def put_off() -> Iterator[None]:
    """If a signal comes while the block runs, follow it after the block. Use this for work that must not stop in the
    middle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {one: signal.signal(one, lambda number, _: came.append(number)) for one in ENDING}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if came:
            signal.raise_signal(came[0])


class ProcessGroup:
    """Children in one process group of their own, so that their own children end with them. Use as a context manager;
    its end ends all of them, also after an error. record: where the group is written down, one group at a time."""

    def __init__(self, record: Path | None = None) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._group = 0
        self._record = record
        self._token = secrets.token_hex(8)
        self._locked: IO[str] | None = None

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a child; it writes to our output."""
        marked = {**(os.environ if environment is None else environment), MARK: self._token}
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            command, process_group=self._group, stdin=subprocess.DEVNULL, env=marked, preexec_fn=_hear_signals
        )
        self._children[name] = child
        if not self._group:
            self._group = child.pid
            if self._locked:
                self._locked.truncate(0)
                self._locked.write(f"{self._group} {self._token}\n")
                self._locked.flush()

    def ended(self) -> str | None:
        """The name of a child that ended by itself, if one did."""
        return next((name for name, child in self._children.items() if child.poll() is not None), None)

    def end(self) -> None:
        """Ask the children to stop, then the rest of the group; then kill what is left, and wait. Children come first:
        a daemon prints an error if its code server ends before it does."""
        for child in self._children.values():
            child.terminate()
        _wait_until(self._reap)
        if self._group:
            _end_group(self._group, self._reap)
        if self._locked:
            self._locked.truncate(0)
            self._locked.close()

    def _reap(self) -> bool:
        """Whether every child has ended; an ended child counts as running until it is polled."""
        running = [child for child in self._children.values() if child.poll() is None]  # polls every one of them
        return not running

    def __enter__(self) -> ProcessGroup:
        """Raises RosterError if the group of another process is written down there."""
        if self._record is not None:
            self._locked = self._record.open("a+")
            try:
                fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._locked.close()
                raise RosterError(
                    f"roster dev already runs for the folder {self._record.parent}.",
                    "Stop it first: two daemons would start every sync twice. Or set ROSTER_HOME to another folder.",
                ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _hear_signals() -> None:
    """Let the children hear signals. A shell's background job and its children ignore SIGINT; Dagster then ignores
    SIGTERM too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end_left_behind(record: Path) -> int:
    """End the group that a killed owner left. Returns the number of its processes; 0 if the owner lives."""
    if not record.exists():
        return 0
    with record.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        group, _, token = file.read().strip().partition(" ")
        number = _members(int(group), token) if token else 0
        if number:
            _end_group(int(group), lambda: True)
        file.truncate(0)
    return number


def _members(group: int, token: str) -> int:
    """How many processes of a group have our mark, because other programs may have got the group's number."""
    import psutil

    number = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            number += os.getpgid(process.pid) == group and process.environ().get(MARK) == token
    return number


def _end_group(group: int, reaped: Callable[[], bool]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _signal(group, number) and _wait_until(lambda: reaped() and not _signal(group, 0)):
            return


def _wait_until(done: Callable[[], bool]) -> bool:
    """Whether the condition became true in time."""
    deadline = time.monotonic() + POLITE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY)
    return True


def _signal(group: int, number: int) -> bool:
    """Send a signal to the group. Returns whether it still had a process."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


def clear_broken_start(data: Path, mark: str) -> None:
    """Remove what a killed process, or a power cut, left in the folder of an embedded server, and what would stop every
    later start: the lock file of a server that is gone, and the folder itself if no server was ever ready in it. mark:
    a setting that a ready server has."""
    import psutil  # slow

    lock, settings = data / "postmaster.pid", data / "postgresql.auto.conf"
    if lock.exists():
        if _serves(data, lines := lock.read_text().splitlines()):
            return
        if len(lines) < LOCK_LINES or psutil.pid_exists(int(lines[0])):
            lock.unlink()
    (data / ".handle_pids.json").unlink(missing_ok=True)  # the library's, not used by us, and it may be cut off
    ready = settings.exists() and mark in settings.read_text()
    if (data / "PG_VERSION").exists() and not ready and not any(data.glob(OWN_DATABASES)):
        left = [one for one in psutil.process_iter(["cmdline"]) if str(data) in (one.info["cmdline"] or ())]
        psutil.wait_procs(left, timeout=POLITE_SECONDS)  # initdb goes on alone, and empties the folder if it fails
        shutil.rmtree(data, ignore_errors=True)


def _serves(data: Path, lock: list[str]) -> bool:
    """Whether the server of this lock file runs. Its number may be another process's by now, so the folder in which it
    works counts, or that somebody answers."""
    import psutil

    with suppress(psutil.Error, ValueError, IndexError):
        if psutil.Process(int(lock[0])).cwd() == str(data):
            return True
    folder, port = (lock[4], lock[3]) if len(lock) == LOCK_LINES else (data, 5432)
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(f"{folder}/.s.PGSQL.{port}") == 0
