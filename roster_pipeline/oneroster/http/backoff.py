"""How long to wait before a request is repeated: what the server asked for, else doubling, within one budget."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from roster_pipeline.oneroster.errors import OneRosterError
from roster_pipeline.oneroster.http.clock import Clock
from roster_pipeline.oneroster.http.endpoint import Limits
from roster_pipeline.oneroster.http.error_mapping import RETRY_STATUSES
from roster_pipeline.oneroster.http.response import Response

LEAST_PARALLEL = 1


@dataclass
class Counters:
    """What a session has cost the SIS so far."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Backoff:
    """The waits of one session, and how many requests it may have under way at the same time."""

    def __init__(self, limits: Limits, clock: Clock, parallel: int) -> None:
        self.counters = Counters()
        self.parallel = max(LEAST_PARALLEL, parallel)
        self._limits = limits
        self._clock = clock
        self._pause_until = 0.0
        self._lock = threading.Lock()

    def asked_wait(self, reply: Response) -> float | None:
        """Retry-After in seconds, given as a number or as a date; None if absent or unreadable."""
        if reply.status not in RETRY_STATUSES:
            return None
        text = reply.headers.get("Retry-After", "").strip()
        try:
            return max(0.0, float(text))
        except ValueError:
            pass
        try:
            moment = parsedate_to_datetime(text)
            now = reply.server_time or self._clock.now()
            return max(0.0, (moment - now).total_seconds())
        except (ValueError, TypeError):
            return None

    def slow_down(self, status: int, wait: float | None) -> None:
        """After a 429 fewer at a time; and nobody of this session asks again before the time the server named."""
        with self._lock:
            if status == 429:
                self.parallel = max(LEAST_PARALLEL, self.parallel // 2)
            if wait is not None and wait <= self._limits.longest_retry_after:
                self._pause_until = max(self._pause_until, self._clock.monotonic() + wait)

    def respect_pause(self) -> None:
        left = self._pause_until - self._clock.monotonic()
        if left > 0:
            self._clock.sleep(left)

    def wait(self, tried: int, asked: float | None, failure: OneRosterError) -> None:
        """Wait before the next try, with jitter. Raises `failure` where that is too long, or the budget is used up."""
        limits = self._limits
        if asked is not None and asked > limits.longest_retry_after:
            raise failure
        doubled = min(limits.first_wait * 2 ** (tried - 1), limits.longest_wait) * (0.5 + self._clock.chance())
        wait = doubled if asked is None else asked + self._clock.chance() * limits.first_wait
        with self.counters.lock:
            if self.counters.waited + wait > limits.waiting_budget:
                raise failure
            self.counters.waited += wait
            self.counters.retries += 1
        self._clock.sleep(wait)
