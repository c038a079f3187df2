"""Processes that live and end together: one group, asked to stop, waited for, and only then killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

POLITE_SECONDS = 15.0
"""A daemon finishes what it does and a web server its answers; more would look like hanging."""
LOOK_EVERY = 0.1


class ProcessGroup:
    """Children in one process group of their own, so that what they start in turn ends with them.

    Use as a context manager; leaving it ends all of them, however it is left.
    """

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._group = 0

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start one child; its output goes where ours goes."""
        child = subprocess.Popen(  # noqa: S603 - the command is ours
            command, process_group=self._group, stdin=subprocess.DEVNULL, env=environment
        )
        self._group = self._group or child.pid
        self._children[name] = child

    def ended(self) -> str | None:
        """The name of a child that ended by itself, if one did."""
        return next((name for name, child in self._children.items() if child.poll() is not None), None)

    def end(self) -> None:
        """Ask the whole group to stop, wait, kill what is left, and wait for that."""
        if not self._group:
            return
        self._signal(signal.SIGTERM)
        if not self._gone(POLITE_SECONDS):
            self._signal(signal.SIGKILL)
            self._gone(POLITE_SECONDS)

    def _gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            running = [child for child in self._children.values() if child.poll() is None]
            if not running and not self._signal(0):
                return True
            time.sleep(LOOK_EVERY)
        return False

    def _signal(self, number: int) -> bool:
        """Whether there was anyone to signal."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
            return True
        return False

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
