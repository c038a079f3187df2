"""Where a SIS gives out tokens: found by asking without the secret.

A token endpoint answers a request without credentials with an error of OAuth; any other path answers otherwise. So the
Client Secret goes to an address that has shown itself, on the SIS's own host. One on another host that the SIS names is
only told: a person has to enter it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

from roster_pipeline.oneroster.errors import OneRosterError
from roster_pipeline.oneroster.http.address import Address, Root, same_origin, token_urls
from roster_pipeline.oneroster.http.decoding import decoded
from roster_pipeline.oneroster.http.error_mapping import ABSENT_STATUSES, BROKEN_STATUS, RETRY_STATUSES
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import (
    LABEL,
    OAUTH_ERRORS,
    REDIRECT_STATUSES,
    NamedElsewhere,
    named_elsewhere,
    token_failed,
)
from roster_pipeline.oneroster.http.response import Response

DISCOVERY_FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""Two names circulate for the file in which a 1.2 provider describes itself."""
MOST_LOOKS = 18
"""Addresses that are looked at without credentials."""
NOWHERE = "/roster-no-such-address"
"""An address that no SIS has: what answers there like a token endpoint is a gateway in front of everything."""
_REQUEST = b"grant_type=client_credentials"
_TEMPLATES = ("example.com", "example.org", "localhost", "127.0.0.1", "server_address", "imsglobal.org", "1edtech.org")


class TokenAddresses:
    """What was found for one search. elsewhere: named by the SIS, on another host. failure: an address failed in a way
    that will pass, so that it may be the right one; crashed: one failed for good."""

    def __init__(self, exchange: HttpSession, address: Address) -> None:
        self.elsewhere: NamedElsewhere | None = None
        self.failure: OneRosterError | None = None
        self.crashed: OneRosterError | None = None
        self._exchange = exchange
        self._address = address
        self._beside: dict[str, bool] = {}

    def find(self, found: Sequence[Root]) -> list[str]:
        """Addresses on the SIS's own host that may get the secret, the surest first. found: the roots, best first."""
        shown = map(self._described, [root for root in found[:2] if root.version != "1.1"])
        described = next((url for url in shown if url is not None), None)
        if described is not None and not same_origin(described, self._address.base):
            self.elsewhere = NamedElsewhere("The SIS's description of its API", described)
            described = None
        guesses = token_urls(self._address, found)[:MOST_LOOKS]
        likely: list[str] = []
        for url in dict.fromkeys([described, *guesses] if described is not None else guesses):
            place, sure = self._look(url)
            if place is not None and (sure or url == described):
                return [place]
            if place is not None:
                likely.append(place)
        return [] if self.elsewhere is not None else [url for url in likely if not self._answers_everywhere(url)]

    def _answers_everywhere(self, url: str) -> bool:
        """Whether what stands beside this address, and cannot be there, answers in the same way."""
        beside = url.partition("?")[0].rpartition("/")[0] + NOWHERE
        if beside not in self._beside:
            self._beside[beside] = self._look(beside)[0] is not None
        return self._beside[beside]

    def _look(self, url: str) -> tuple[str | None, bool]:
        """Ask without credentials: the address that answered, if it may give tokens, and whether it surely does."""
        for _ in range(len(REDIRECT_STATUSES)):
            try:
                reply = self._ask(url)
            except OneRosterError as problem:
                if problem.retryable and self.failure is None:
                    self.failure = problem
                return None, False
            if reply.status not in REDIRECT_STATUSES:
                return (url, True) if _speaks_oauth(reply) else (url if _may_be(reply) else None, False)
            target = urljoin(url, reply.headers.get("Location", ""))
            if not same_origin(target, self._address.base):
                self.elsewhere = self.elsewhere or named_elsewhere(target)
                return None, False
            url = target
        return None, False

    def _ask(self, url: str) -> Response:
        tried = 0
        while True:
            tried += 1
            reply = self._exchange.send("POST", url, LABEL, None, _REQUEST)
            if reply.status not in RETRY_STATUSES:
                return reply
            failure = token_failed(reply)
            if reply.status == BROKEN_STATUS:
                self.crashed = self.crashed or failure
                return reply
            if tried >= self._exchange.endpoint.limits.attempts:
                raise failure
            self._exchange.backoff.wait(tried, None, failure)

    def _described(self, root: Root) -> str | None:
        """The token address in the file with which a 1.2 provider describes itself, served without sign-in."""
        for name in DISCOVERY_FILES:
            try:
                reply = self._exchange.send("GET", f"{root.url}/discovery/{name}", "the discovery document")
                if reply.status == 200:
                    return next(_token_urls_in(decoded(reply)), None)
            except OneRosterError:
                continue
        return None


def _speaks_oauth(reply: Response) -> bool:
    try:
        body = decoded(reply)
    except OneRosterError:
        return False
    if not isinstance(body, dict):
        return False
    code = body.get("error")
    return (isinstance(code, str) and code in OAUTH_ERRORS) or "access_token" in body


def _may_be(reply: Response) -> bool:
    """Whether an answer without an error of OAuth may come from a token endpoint all the same."""
    if reply.status in ABSENT_STATUSES or reply.status == BROKEN_STATUS or reply.status // 100 == 3:
        return False
    if reply.status // 100 != 2:
        return True
    try:
        decoded(reply)
    except OneRosterError:
        return False
    return True


def _token_urls_in(document: Any) -> Iterator[str]:
    """tokenUrl of the client-credentials flows of an OpenAPI 3 document, but for those of the standard's template."""
    try:
        schemes = document["components"]["securitySchemes"].values()
        urls = [scheme["flows"]["clientCredentials"]["tokenUrl"] for scheme in schemes if "flows" in scheme]
    except (KeyError, TypeError, AttributeError):
        return
    for url in urls:
        if isinstance(url, str) and url.startswith(("https://", "http://")) and "{" not in url:
            host = urlsplit(url).hostname or ""
            if host and not any(host == one or host.endswith("." + one) for one in _TEMPLATES):
                yield url
