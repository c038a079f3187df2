"""Wait for what another process or thread does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_EVERY = 0.1


def until(happened: Callable[[], T], seconds: float = 60, told: Callable[[], object] = str) -> T:
    """Call it until it returns a true value, and return that. Fails after this many seconds.

    told: makes the message of the failure.
    """
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, told()
        time.sleep(LOOK_EVERY)
    return found
