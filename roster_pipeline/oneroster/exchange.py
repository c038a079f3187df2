"""One request and its answer: bounded in size and time, repeated where that can help, and turned into typed errors.

Every request of a session passes here: the slots of the host, the pause after a 429, the counters of the proof and the
rule that our credentials never leave the host are in this one place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from roster_pipeline.oneroster.address import host_of, same_origin
from roster_pipeline.oneroster.clock import Clock
from roster_pipeline.oneroster.endpoint import Endpoint
from roster_pipeline.oneroster.errors import (
    AddressNotAllowed,
    Busy,
    Dribbling,
    OneRosterError,
    Redirected,
    Refused,
    ServerFailed,
    SignInRefused,
    TooLarge,
    TooSlow,
)
from roster_pipeline.oneroster.network import http_client, is_loopback, set_deadline
from roster_pipeline.oneroster.outcomes import RETRY_STATUSES, failure_of, network_failure
from roster_pipeline.oneroster.reply import Reply
from roster_pipeline.oneroster.slots import HostSlots

REDIRECTS = 3
LEAST_PARALLEL = 1
TRIES_WHEN_SLOW = 2
"""A time-out costs minutes; what it took counts against the budget of waiting."""


class SignedIn(Protocol):
    """What authorises a request. `generation` counts renewals, so that one expiry is renewed once by many threads."""

    def authorise(self) -> tuple[httpx.Auth, int]: ...

    def renew(self, generation: int) -> bool: ...

    def may_have_ended(self) -> bool: ...


class NoSignIn:
    """No credentials: open servers, a fixed header, and the first look at an address."""

    def authorise(self) -> tuple[httpx.Auth, int]:
        return httpx.Auth(), 0

    def renew(self, generation: int) -> bool:
        return False

    def may_have_ended(self) -> bool:
        return False


@dataclass
class Counters:
    """What a session has cost the SIS so far."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Exchange:
    """All requests of one session with one SIS."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.counters = Counters()
        self.sign_in: SignedIn = NoSignIn()
        self.parallel = max(LEAST_PARALLEL, endpoint.parallel)
        self.skew_seconds: float | None = None
        self.has_spoken = False
        """Whether this session has had a OneRoster answer: then a web page in between is a failure that will pass."""
        self._client = http_client(endpoint)
        self._slots: dict[str, HostSlots] = {}
        self._pause_until = 0.0
        self._under_way = 0
        self._turns = threading.Condition()
        self._lock = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def get(self, url: str, label: str, attempts: int | None = None) -> Reply:
        """GET with sign-in and retries. label: the path without ids, for messages. Raises for all but 2xx.

        attempts: tries where the server fails under the weight of the request, and the caller can make it lighter.
        """
        return self.get_checked(url, label, failure_of, attempts)

    def get_checked(
        self, url: str, label: str, judge: Callable[[Reply, str], OneRosterError | None], attempts: int | None = None
    ) -> Reply:
        """Like `get`, with an own judgement of what a good answer is; what it returns as retryable is retried."""
        most = self.endpoint.limits.attempts
        renewed = False
        tried = 0
        while True:
            sign_in = self.sign_in
            auth, generation = sign_in.authorise()
            wait: float | None = None
            asked_at = time.monotonic()
            try:
                reply = self._follow(url, label, auth)
                failure = judge(reply, label)
                if failure is None:
                    return reply
                ended = isinstance(failure, SignInRefused) or (
                    isinstance(failure, Refused) and sign_in.may_have_ended()
                )
                if ended and not renewed and sign_in.renew(generation):
                    renewed = True
                    continue
                wait = self._asked_wait(reply)
                if reply.status in (429, 503):
                    self._slow_down(reply.status, wait)
            except OneRosterError as problem:
                failure = problem
            tried += 1
            tries = most
            if isinstance(failure, TooSlow):
                tries = min(attempts or most, TRIES_WHEN_SLOW)
                self.counters.waited += time.monotonic() - asked_at
            elif isinstance(failure, ServerFailed) and not isinstance(failure, Busy) and wait is None:
                tries = attempts or most
            if not failure.retryable or tried >= tries:
                raise failure
            self.wait(tried, wait, failure)

    def send(self, method: str, url: str, label: str, auth: httpx.Auth | None = None, content: bytes = b"") -> Reply:
        """One request without retries and without judgement of its status. Raises on what the network does."""
        self._allow(url)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {}
        request = self._client.build_request(method, url, headers=headers, content=content or None)
        if method == "POST" and not content:
            request.headers["Content-Length"] = "0"
        self._respect_pause()
        with self._turn(), self._slots_of(url).one():
            return self._receive(request, auth, label)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """At most `parallel` requests under way, repeated ones too: else those that were refused meet again."""
        with self._turns:
            self._turns.wait_for(lambda: self._under_way < self.parallel)
            self._under_way += 1
        try:
            yield
        finally:
            with self._turns:
                self._under_way -= 1
                self._turns.notify_all()

    def _follow(self, url: str, label: str, auth: httpx.Auth) -> Reply:
        """A GET and its redirects, as long as they stay on the same scheme, host and port."""
        for _ in range(REDIRECTS + 1):
            reply = self.send("GET", url, label, auth)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            target = urljoin(url, reply.headers.get("Location", ""))
            if not same_origin(url, target):
                raise Redirected(
                    f"The SIS redirects {label} to another host ({host_of(target) or 'unknown'}).",
                    "Check the URL; if the SIS has moved, enter its new address.",
                )
            url = target
        raise Redirected(f"The SIS redirects {label} in circles.", "Check the URL with the SIS's administrator.")

    def _allow(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return
        if parts.scheme == "http" and is_loopback(parts.hostname or "") and self.endpoint.allow_private:
            return
        raise AddressNotAllowed(
            "The address of the SIS is not encrypted (http).", "Use the https address; the SIS must offer one."
        )

    def _slots_of(self, url: str) -> HostSlots:
        host = host_of(url)
        with self._lock:
            if host not in self._slots:
                patience = self.endpoint.limits.response_seconds * 4
                self._slots[host] = HostSlots(host, self.endpoint.parallel, patience)
            return self._slots[host]

    def _receive(self, request: httpx.Request, auth: httpx.Auth | None, label: str) -> Reply:
        limits = self.endpoint.limits
        with self.counters.lock:
            self.counters.requests += 1
        deadline = time.monotonic() + limits.response_seconds
        set_deadline(deadline)
        parts: list[bytes] = []
        size = 0
        try:
            response = self._client.send(request, auth=auth or httpx.Auth(), stream=True)
            try:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > limits.response_bytes:
                        raise TooLarge(
                            f"The answer to {label} is larger than {limits.response_bytes // 1_000_000} MB.",
                            "Choose a smaller page size; if it is small already, ask the SIS's vendor.",
                        )
                    if time.monotonic() > deadline:
                        raise self._dribbled(label)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as problem:
            if time.monotonic() >= deadline:
                raise self._dribbled(label) from None
            raise network_failure(problem, host_of(str(request.url)), label) from None
        finally:
            set_deadline(None)
            with self.counters.lock:
                self.counters.bytes += size
        reply = Reply(response.status_code, response.headers, b"".join(parts), str(request.url))
        self._note_clock(reply)
        return reply

    def _dribbled(self, label: str) -> Dribbling:
        return Dribbling(
            f"The answer to {label} was not complete after {self.endpoint.limits.response_seconds:.0f} s.",
            "Choose a smaller page size, or ask the SIS's administrator why it is so slow.",
        )

    def _note_clock(self, reply: Reply) -> None:
        theirs = reply.server_time
        if theirs is not None and theirs.tzinfo is not None:
            self.skew_seconds = (theirs - self.clock.now()).total_seconds()

    def _asked_wait(self, reply: Reply) -> float | None:
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
            now = reply.server_time or self.clock.now()
            return max(0.0, (moment - now).total_seconds())
        except (ValueError, TypeError):
            return None

    def _slow_down(self, status: int, wait: float | None) -> None:
        """After a 429 fewer at a time; and nobody of this session asks again before the time the server named."""
        with self._lock:
            if status == 429:
                self.parallel = max(LEAST_PARALLEL, self.parallel // 2)
            if wait is not None and wait <= self.endpoint.limits.longest_retry_after:
                self._pause_until = max(self._pause_until, self.clock.monotonic() + wait)

    def _respect_pause(self) -> None:
        left = self._pause_until - self.clock.monotonic()
        if left > 0:
            self.clock.sleep(left)

    def wait(self, tried: int, asked: float | None, failure: OneRosterError) -> None:
        """Back off before the next try: what the server asked for, else doubling, with jitter; within the budget."""
        limits = self.endpoint.limits
        if asked is not None and asked > limits.longest_retry_after:
            raise failure
        backoff = min(limits.first_wait * 2 ** (tried - 1), limits.longest_wait) * (0.5 + self.clock.chance())
        wait = backoff if asked is None else asked + self.clock.chance() * limits.first_wait
        with self.counters.lock:
            if self.counters.waited + wait > limits.waiting_budget:
                raise failure
            self.counters.waited += wait
            self.counters.retries += 1
        self.clock.sleep(wait)
