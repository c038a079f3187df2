"""Ctrl-C and SIGTERM end a command at once, in order, and with the exit code that shells expect.

While a run executes, Dagster replaces our handlers by its own, and turns their exceptions into failures. So we also
note below Python's handlers which signal came, and read this note when the run has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_AFTER = 0.05
"""Seconds. By then, the deletion is over."""
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the end of its terminal"}


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
    for one in ENDING:
        if signal.getsignal(one) is raise_ended:
            signal.signal(one, signal.SIG_IGN)
    raise Ended(number)


def end_by_signals() -> None:
    """Make signals raise `Ended` in the main thread from now on.

    A signal that the caller ignores (nohup) stays ignored.
    """
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
    number = lost.number if isinstance(lost, Ended) else signal.SIGTERM  # Dagster's exception does not say which
    if isinstance(lost, Ended):
        signal.signal(number, raise_ended)
    threading.Timer(AGAIN_AFTER, os.kill, (os.getpid(), number)).start()
    return True


@contextmanager
def noted() -> Iterator[list[int]]:
    """The signals that came while the block ran, whatever handlers were set. Read them after the block.

    In any thread but the main one, which alone receives them, the list stays empty.
    """
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
            numbers += [one for one in os.read(reading, 64) if one in ENDING]
        os.close(reading)
        os.close(writing)


@contextmanager
def put_off() -> Iterator[None]:
    """If a signal comes while the block runs, follow it after the block.

    Use this for work that must not stop in the middle.
    """
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
