"""Wait for what another process or thread does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FIRST_LOOK, LOOK_EVERY = 0.01, 0.1


def until(happened: Callable[[], T], seconds: float = 60, told: Callable[[], object] = str) -> T:
    """Call it until it returns a true value, and return that. Fails after this many seconds.

    told: makes the message of the failure.
    """
    end, pause = time.monotonic() + seconds, FIRST_LOOK
    while not (found := happened()):
        assert time.monotonic() < end, told()
        time.sleep(pause)
        pause = min(2 * pause, LOOK_EVERY)
    return found
