"""Less garbage collection while records pass through: it took half the time of a pull.

Python looks for cycles after every 700 new containers, and a page of 1,000 users has ten thousand of them, none of
which is ever part of a cycle. Each look also walks what the libraries hold for good.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000
"""New containers between two looks: some pages' worth, so that the cycles of a few requests are all that waits."""


@contextmanager
def infrequent_collection() -> Iterator[None]:
    """Within the block, or the decorated function, cycles are looked for less often. It is a setting of the process."""
    before = gc.get_threshold()
    gc.set_threshold(max(SELDOM, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
