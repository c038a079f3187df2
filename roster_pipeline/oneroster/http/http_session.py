"""One request and its answer: bounded in size and time, repeated where that can help, and turned into typed errors.

Every request of a session passes here: the slots of the host, the pause after a 429, the counters of the proof and the
rule that our credentials never leave the host are in this one place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from urllib.parse import urljoin, urlsplit

import httpx

from roster_pipeline.oneroster.errors import (
    AddressNotAllowed,
    Busy,
    Dribbling,
    OneRosterError,
    Redirected,
    Refused,
    ServerFailed,
    SignInRefused,
    TooSlow,
)
from roster_pipeline.oneroster.http.address import host_of, same_origin
from roster_pipeline.oneroster.http.auth import Allowance, NoMoreTries, SignIn
from roster_pipeline.oneroster.http.bounded_body import LargeBody, read_body
from roster_pipeline.oneroster.http.endpoint import Clock, Endpoint
from roster_pipeline.oneroster.http.error_mapping import Situation, failure_of, in_context, network_failure
from roster_pipeline.oneroster.http.ip_addresses import is_loopback
from roster_pipeline.oneroster.http.network import http_client, set_deadline
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.http.throttle import Backoff, HostSemaphore

REDIRECTS = 3
TRIES_WHEN_SLOW = 2
"""A time-out costs minutes; what it took counts against the budget of waiting."""
SMALL_BODY = 4 * 1024 * 1024
"""Bytes of what is no page of a list: a token, a single object, a description of the API."""
ERROR_BODY = 64 * 1024
"""Bytes of an error body that are read: of it only a code is shown."""


class HttpSession:
    """All requests of one session with one SIS."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.backoff = Backoff(endpoint.limits, clock, endpoint.parallel)
        self.counters = self.backoff.counters
        self.allowance = Allowance()
        self.sign_in = SignIn()
        self.skew_seconds: float | None = None
        self._until = time.monotonic() + endpoint.limits.pull_seconds
        self.answered: set[str] = set()
        """Labels of the collections of which this session has had records: a failure in between will pass."""
        self._client = http_client(endpoint)
        self._slots: dict[str, HostSemaphore] = {}
        self._under_way = 0
        self._turns = threading.Condition()
        self._lock = threading.Lock()

    @property
    def parallel(self) -> int:
        """How many requests may be under way at the same time: as chosen, or fewer after a 429."""
        return self.backoff.parallel

    def close(self) -> None:
        self._client.close()

    def get(self, url: str, label: str, attempts: int | None = None) -> Response:
        """GET of a small answer with sign-in and retries. label: the path without ids, for messages.

        attempts: tries where the server fails. Raises for all but 2xx.
        """
        return self.get_checked(url, label, failure_of, attempts, most_bytes=SMALL_BODY)

    def get_checked(
        self,
        url: str,
        label: str,
        judge: Callable[[Response, str], OneRosterError | None],
        attempts: int | None = None,
        most_bytes: int | None = None,
    ) -> Response:
        """Like `get`, with an own judgement of what a good answer is; what it returns as retryable is retried.

        attempts: tries where the server fails under the weight of the request, and the caller can make it lighter.
        most_bytes: of the body; None is the endpoint's limit. A large body is the only one of the process until
        `judge` is done with it, so whatever is to be decoded is decoded there.
        """
        most = self.endpoint.limits.attempts
        renewed = False
        tried = 0
        last: OneRosterError | None = None
        response: Response | None = None
        while True:
            response = None  # a body that was refused is freed before the next one comes
            sign_in = self.sign_in
            auth, generation = sign_in.authorise()
            wait: float | None = None
            asked_at = time.monotonic()
            try:
                with LargeBody() as large:
                    response = self._follow(url, label, auth, most_bytes, large)
                    failure = judge(response, label)
                if failure is None:
                    return response
                failure.with_traceback(None)
                ended = isinstance(failure, SignInRefused) or (
                    isinstance(failure, Refused) and sign_in.may_have_ended()
                )
                if ended and not renewed and sign_in.renew(generation):
                    renewed = True
                    continue
                wait = self.backoff.asked_wait(response)
                if response.status in (429, 503):
                    self.backoff.slow_down(response.status, wait)
            except NoMoreTries as spent:
                raise last or spent from None
            except OneRosterError as problem:
                failure = problem.with_traceback(None)
            response = None
            last = failure
            tried += 1
            tries = most
            if isinstance(failure, TooSlow):
                tries = min(attempts or most, TRIES_WHEN_SLOW)
                self.counters.waited += time.monotonic() - asked_at
            elif isinstance(failure, ServerFailed) and not isinstance(failure, Busy) and wait is None:
                tries = attempts or most
            if not failure.retryable or tried >= tries:
                raise in_context(failure, label, self.situation)
            self.backoff.wait(tried, wait, failure)

    @property
    def situation(self) -> Situation:
        """What is known of this connection that makes a message fit it."""
        chosen = self.endpoint.sign_in if self.endpoint.sign_in != "auto" else None
        searches = self.allowance.left is not None or self.sign_in.kind == "open"
        kind = chosen if searches else self.sign_in.kind
        return Situation(kind, bool(self.endpoint.learned.get("root")), frozenset(self.answered))

    def send(
        self,
        method: str,
        url: str,
        label: str,
        auth: httpx.Auth | None = None,
        content: bytes = b"",
        *,
        most_bytes: int | None = SMALL_BODY,
        large: LargeBody | None = None,
        secret: bool = False,
    ) -> Response:
        """One request without retries and without judgement of its status. Raises on what the network does.

        secret: the content carries the credentials.
        """
        self._allow(url)
        if secret or getattr(auth, "carries_secret", False):
            self.allowance.spend()
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {}
        request = self._client.build_request(method, url, headers=headers, content=content or None)
        if method == "POST" and not content:
            request.headers["Content-Length"] = "0"
        self.backoff.respect_pause()
        most = self.endpoint.limits.response_bytes
        with self._turn(), self._slots_of(url).one(), nullcontext(large) if large else LargeBody() as held:
            return self._receive(request, auth, label, min(most_bytes or most, most), held)

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

    def _follow(self, url: str, label: str, auth: httpx.Auth, most_bytes: int | None, large: LargeBody) -> Response:
        """A GET and its redirects, as long as they stay on the same scheme, host and port."""
        for _ in range(REDIRECTS + 1):
            response = self.send("GET", url, label, auth, most_bytes=most_bytes, large=large)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            target = urljoin(url, response.headers.get("Location", ""))
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

    def _slots_of(self, url: str) -> HostSemaphore:
        host = host_of(url)
        with self._lock:
            if host not in self._slots:
                patience = self.endpoint.limits.response_seconds * 4
                self._slots[host] = HostSemaphore(host, self.endpoint.parallel, patience)
            return self._slots[host]

    def _receive(
        self, request: httpx.Request, auth: httpx.Auth | None, label: str, most: int, large: LargeBody
    ) -> Response:
        with self.counters.lock:
            self.counters.requests += 1
        deadline = min(time.monotonic() + self.endpoint.limits.response_seconds, self._until)
        set_deadline(deadline)
        body = bytearray()
        try:
            answer = self._client.send(request, auth=auth or httpx.Auth(), stream=True)
            failed = not answer.is_success
            encoding = answer.headers.get("Content-Encoding", "").strip().lower()
            try:
                body = read_body(
                    answer.iter_raw(),
                    "" if encoding == "identity" else encoding,
                    label,
                    ERROR_BODY if failed else most,
                    until=deadline,
                    large=large,
                    cut=failed,
                )
            finally:
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TooSlow) as problem:
            if isinstance(problem, TooSlow) or time.monotonic() >= deadline:
                raise self._dribbled(label) from None
            raise network_failure(problem, host_of(str(request.url)), label) from None
        finally:
            set_deadline(None)
            with self.counters.lock:
                self.counters.bytes += len(body)
        response = Response(answer.status_code, answer.headers, body, str(request.url))
        self._note_clock(response)
        return response

    def _dribbled(self, label: str) -> Dribbling:
        if time.monotonic() >= self._until:
            return Dribbling(
                f"The SIS had not sent everything after {self.endpoint.limits.pull_seconds / 60:.0f} minutes.",
                "Choose a larger page size, or ask the SIS's administrator why it is so slow.",
            )
        return Dribbling(
            f"The answer to {label} was not complete after {self.endpoint.limits.response_seconds:.0f} s.",
            "Choose a smaller page size, or ask the SIS's administrator why it is so slow.",
        )

    def _note_clock(self, response: Response) -> None:
        theirs = response.server_time
        if theirs is not None and theirs.tzinfo is not None:
            self.skew_seconds = (theirs - self.clock.now()).total_seconds()
