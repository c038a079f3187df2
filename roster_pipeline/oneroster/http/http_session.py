"""Sends the requests of a session: bounded in size and time, with retries, redirects and typed errors.

Every request of a session passes through this module. It holds the slots of the host, pauses after a 429, counts
requests for the proof, and never follows a redirect to another host, so our credentials stay on the SIS's own host.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar
from urllib.parse import urlsplit

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
    WrongAddress,
)
from roster_pipeline.oneroster.http.addresses import is_loopback, private_address
from roster_pipeline.oneroster.http.auth import Allowance, NoMoreTries, SignIn
from roster_pipeline.oneroster.http.endpoint import Clock, Endpoint, host_of, resolved, same_origin, with_query
from roster_pipeline.oneroster.http.error_mapping import Situation, failure_of, in_context
from roster_pipeline.oneroster.http.network import http_client, network_failure, set_deadline
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.http.throttle import Backoff, HostSemaphore, LargeBody, read_body

Read = TypeVar("Read")
REDIRECTS = 3
TRIES_WHEN_SLOW = 2
"""Attempts after a time-out, which costs minutes. Its time counts against the budget of waiting."""
SMALL_BODY = 4 * 1024 * 1024
"""Bytes of a response that is not a page of a list: a token, a single object, a description of the API."""
ERROR_BODY = 64 * 1024
"""Bytes of an error body that are read. Only its code is used."""


class HttpSession:
    """All requests of one session with one SIS."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        if not f"{endpoint.client_id}{endpoint.client_secret}".isprintable():
            raise SignInRefused(
                "Client ID or Client Secret holds a line break or another character that no request can carry.",
                "Copy both again from the SIS.",
            )
        self.endpoint = endpoint
        self.clock = clock
        self.backoff = Backoff(endpoint.limits, clock, endpoint.parallel)
        self.counters = self.backoff.counters
        self.allowance = Allowance()
        self.sign_in = SignIn()
        self.skew_seconds: float | None = None
        self._until = time.monotonic() + endpoint.limits.pull_seconds
        self.answered: set[str] = set()
        """Labels of the collections that gave this session records. A later failure of one is temporary."""
        self._client = http_client(endpoint)
        self._slots: dict[str, HostSemaphore] = {}
        self._under_way = 0
        self._turns = threading.Condition()
        self._lock = threading.Lock()

    @property
    def parallel(self) -> int:
        """How many requests may run at the same time: the endpoint's setting, or fewer after a 429."""
        return self.backoff.parallel

    def close(self) -> None:
        self._client.close()

    def get(self, url: str, label: str) -> Response:
        """GET a small response with sign-in and retries. Raises a OneRosterError unless the status is 2xx.

        label: the path without ids, for messages.
        """
        return self.read(url, label, lambda response: response, most_bytes=SMALL_BODY)

    def read(
        self,
        url: str,
        label: str,
        parse: Callable[[Response], Read],
        attempts: int | None = None,
        most_bytes: int | None = None,
    ) -> Read:
        """GET a response and parse it. An error of `parse` counts like a bad status: the request may be sent again.

        attempts: how often to try if the server fails, for callers that can ask for less instead. most_bytes: of the
        body; None is the endpoint's limit. Only one large body of the process is in memory until `parse` returns.
        """
        most = self.endpoint.limits.attempts
        renewed = False
        tried = 0
        last: OneRosterError | None = None
        response: Response | None = None
        while True:
            response = None  # frees a refused body before the next one arrives
            sign_in = self.sign_in
            auth, generation = sign_in.authorise()
            wait: float | None = None
            started = time.monotonic()
            try:
                with LargeBody() as large:
                    response = self._follow(url, label, auth, most_bytes, large)
                    failure = failure_of(response, label)
                    try:
                        if failure is None:
                            return parse(response)
                    except OneRosterError as problem:
                        failure = problem
                failure.with_traceback(None)
                failure.of_today = response.is_of_today(self.clock.now())
                ended = isinstance(failure, SignInRefused) or (
                    isinstance(failure, Refused) and sign_in.may_have_ended()
                )
                if ended and not renewed and sign_in.renew(generation):
                    renewed = True
                    continue
                wait = self.backoff.retry_after(response)
                if isinstance(failure, Busy) or response.status == 503:
                    self.backoff.slow_down(wait, fewer=isinstance(failure, Busy))
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
                self.counters.waited += time.monotonic() - started
            elif isinstance(failure, ServerFailed) and not isinstance(failure, Busy) and wait is None:
                tries = attempts or most
            if not failure.retryable or tried >= tries:
                raise in_context(failure, label, self.situation)
            self.backoff.wait(tried, wait, failure)

    @property
    def situation(self) -> Situation:
        """The facts about this connection, for messages that fit it."""
        chosen = self.endpoint.sign_in if self.endpoint.sign_in != "auto" else None
        searches = self.allowance.left is not None or self.sign_in.kind == "open"
        kind = chosen if searches else self.sign_in.kind
        worked = bool(self.endpoint.learned.get("root"))
        by_token = self.sign_in.kind == "oauth2"
        return Situation(kind, worked, frozenset(self.answered), self.skew_seconds, by_token)

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
        """Send one request, without retries and with any status. Raises a OneRosterError if the network fails.

        secret: `content` carries the credentials.
        """
        self._allow(url)
        if secret or getattr(auth, "carries_secret", False):
            self.allowance.spend()
        kind = "application/json" if content.startswith(b"{") else "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind} if method == "POST" else {}
        request = self._client.build_request(method, url, headers=headers, content=content or None)
        if method == "POST" and not content:
            request.headers["Content-Length"] = "0"
        self.backoff.respect_pause()
        most = self.endpoint.limits.response_bytes
        with self._turn(), self._slots_of(url).slot(), nullcontext(large) if large else LargeBody() as held:
            return self._receive(request, auth, label, min(most_bytes or most, most), held)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until fewer than `parallel` requests run.

        Retries count too, so that they do not all repeat at the same moment.
        """
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
        """GET and follow redirects to the same scheme, host and port. Raises Redirected for others."""
        for _ in range(REDIRECTS + 1):
            response = self.send("GET", url, label, auth, most_bytes=most_bytes, large=large)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            target = _with_the_query(url, resolved(url, response.headers.get("Location", "")))
            if not same_origin(url, target):
                raise Redirected(
                    f"The SIS redirects {label} to another host ({host_of(target) or 'unreadable'}).",
                    "Check the URL; if the SIS has moved, enter its new address.",
                )
            url = target
        raise Redirected(f"The SIS redirects {label} in circles.", "Check the URL with the SIS's administrator.")

    def _allow(self, url: str) -> None:
        if not resolved(url):
            raise WrongAddress(
                "An address of the SIS is not a valid web address.",
                "Check the URL and the token URL; copy them from the SIS.",
            )
        parts = urlsplit(url)
        if parts.scheme == "https":
            return
        if parts.scheme == "http" and is_loopback(parts.hostname or ""):
            if self.endpoint.allow_private:
                return
            raise private_address()
        raise AddressNotAllowed(
            "The address of the SIS is not encrypted (http).", "Enter the https address; the SIS must offer one."
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
            try:
                body = read_body(
                    answer.iter_raw(), answer.headers.get("Content-Encoding", ""), label,
                    ERROR_BODY if failed else most, until=deadline, large=large, cut=failed,
                )  # fmt: skip
            finally:
                answer.close()
        except (httpx.HTTPError, ValueError, httpx.InvalidURL, OSError, TooSlow) as problem:
            if isinstance(problem, TooSlow) or time.monotonic() >= deadline:
                raise self._out_of_time(label) from None
            raise network_failure(problem, host_of(str(request.url)), label) from None
        finally:
            set_deadline(None)
            with self.counters.lock:
                self.counters.bytes += len(body)
        response = Response(answer.status_code, answer.headers, body, str(request.url), label)
        if response.server_time is not None:
            self.skew_seconds = (response.server_time - self.clock.now()).total_seconds()
        return response

    def _out_of_time(self, label: str) -> Dribbling:
        if time.monotonic() >= self._until:
            return Dribbling(
                f"The SIS had not sent everything after {self.endpoint.limits.pull_seconds / 60:.0f} minutes.",
                "Choose a larger page size, or ask the SIS's administrator why it is so slow.",
            )
        return Dribbling(
            f"The response to {label} was not complete after {self.endpoint.limits.response_seconds:.0f} s.",
            "Choose a smaller page size, or ask the SIS's administrator why it is so slow.",
        )


def _with_the_query(url: str, target: str) -> str:
    """The target of a redirect. Adds the query if the server forgot it: servers that only add a slash to the path often
    do."""
    asked, named = urlsplit(url), urlsplit(target)
    only_slash = not named.query and named.path.rstrip("/") == asked.path.rstrip("/")
    return with_query(target, [], asked.query) if target and only_slash else target
