"""Time as the client sees it, in one place, so that tests can wait without waiting."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

MOST_SKEW = 300.0
"""Seconds between the SIS's clock and ours beyond which signed requests are refused, and no time of it is believed."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """monotonic: seconds for deadlines. sleep: waits seconds. now: UTC. chance: a number from 0 to 1, for jitter."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = _utc_now
    chance: Callable[[], float] = secrets.SystemRandom().random
