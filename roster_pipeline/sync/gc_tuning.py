"""Collects garbage less often while records are read, because garbage collection took half the time of a pull.

Python looks for cycles after every 700 new containers. A page of 1,000 users has ten thousand of them, and none of them
is ever part of a cycle. Each time, Python also walks through all objects that the libraries keep.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000
"""How many new containers there are between two looks: those of some pages. So only the cycles of a few requests
wait."""


@contextmanager
def infrequent_collection() -> Iterator[None]:
    """Within the block, or the decorated function, Python looks for cycles less often.

    This is a setting of the whole process.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(SELDOM, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
