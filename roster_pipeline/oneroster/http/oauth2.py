"""OAuth 2.0 client credentials: asking for a token, keeping it, renewing it before it ends. And the static bearer."""

from __future__ import annotations

import base64
import threading
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urljoin, urlsplit

import httpx

from roster_pipeline.oneroster.errors import NotOffered, OneRosterError, ServerFailed, SignInRefused
from roster_pipeline.oneroster.http.address import same_origin, with_query
from roster_pipeline.oneroster.http.decoding import decoded
from roster_pipeline.oneroster.http.error_mapping import ABSENT_STATUSES, RETRY_STATUSES
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.remedies import Situation, TokenRefused
from roster_pipeline.oneroster.http.response import Response

DEFAULT_LIFE = 3600.0
"""Seconds a token lives where the reply does not say."""
RENEW_EARLY = 60.0
YOUNG = 120.0
"""Seconds in which no server lets a token end."""
REDIRECT_STATUSES = frozenset((301, 302, 307, 308))
"""Followed with the same request, on the SIS's own host alone: the secret is in it."""
MOST_TRIES = 4
LABEL = "its token address"
LONGEST_SHOWN = 200
OAUTH_ERRORS = frozenset(
    (
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
        *("unsupported_grant_type", "invalid_scope", "access_denied", "server_error", "temporarily_unavailable"),
    )
)


@dataclass(frozen=True)
class TokenForm:
    """How the token request is written. placement: where the credentials are; parameters: "form" or "query"."""

    placement: str = "basic"
    parameters: str = "form"
    scope: str = ""


class NoToken(NotOffered):
    """Something took the request for a token and answered with JSON, but gave none."""


class _Bearer(httpx.Auth):
    def __init__(self, token: str, *, carries_secret: bool = False) -> None:
        self._header = f"Bearer {token}"
        self.carries_secret = carries_secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


class BearerSignIn:
    """A key that the owner was given once. On a 401 there is nothing to do but to say so."""

    kind = "bearer"

    def __init__(self, key: str) -> None:
        self._auth = _Bearer(key, carries_secret=True)

    def authorise(self) -> tuple[httpx.Auth, int]:
        return self._auth, 0

    def renew(self, generation: int) -> bool:
        return False

    def may_have_ended(self) -> bool:
        return False

    def learned(self) -> dict[str, str]:
        return {"kind": self.kind}


class OAuth2SignIn:
    """A token from one token address in one form, renewed before it ends and once when it is refused."""

    kind = "oauth2"

    def __init__(self, exchange: HttpSession, token_url: str, form: TokenForm) -> None:
        self.token_url = token_url
        self.form = form
        self.granted: str | None = None
        self._exchange = exchange
        self._auth: httpx.Auth = httpx.Auth()
        self._ends = self._obtained = 0.0
        self._generation = 0
        self._lock = threading.Lock()

    def authorise(self) -> tuple[httpx.Auth, int]:
        with self._lock:
            if self._generation == 0 or self._exchange.clock.monotonic() >= self._ends:
                self._obtain()
            return self._auth, self._generation

    def renew(self, generation: int) -> bool:
        with self._lock:
            if generation == self._generation:
                self._obtain()
            return True

    def may_have_ended(self) -> bool:
        """Whether a 403 may be what a gateway makes of a token that it no longer knows."""
        return self._exchange.clock.monotonic() - self._obtained > YOUNG

    def learned(self) -> dict[str, Any]:
        return {"kind": self.kind, "token_url": self.token_url, "form": asdict(self.form)}

    def _obtain(self) -> None:
        reply = request_token(self._exchange, self.token_url, self.form)
        token, life, self.granted = read_token(reply, self._exchange.situation)
        self._auth = _Bearer(token)
        self._obtained = self._exchange.clock.monotonic()
        self._ends = self._obtained + life - min(RENEW_EARLY, life / 10)
        self._generation += 1


def request_token(exchange: HttpSession, token_url: str, form: TokenForm) -> Response:
    """POST for a token; retried like any request. Raises TokenRefused, NotOffered, or a network error."""
    endpoint = exchange.endpoint
    parameters = [("grant_type", "client_credentials")]
    if form.scope:
        parameters.append(("scope", form.scope))
    auth: httpx.Auth | None = None
    if form.placement == "body":
        parameters += [("client_id", endpoint.client_id), ("client_secret", endpoint.client_secret)]
    else:
        auth = _Basic(endpoint.client_id, endpoint.client_secret, encoded=form.placement == "basic-encoded")
    url, content = token_url, b""
    if form.parameters == "query":
        url = with_query(token_url, parameters)
    else:
        content = urlencode(parameters).encode()
    tried = 0
    while True:
        tried += 1
        try:
            reply = exchange.send("POST", url, LABEL, auth, content, secret=form.placement == "body")
            target = urljoin(url, reply.headers.get("Location", ""))
            if reply.status in REDIRECT_STATUSES and target != url and same_origin(url, target) and tried < MOST_TRIES:
                url = target
                continue
            if reply.status not in RETRY_STATUSES:
                break
            failure: OneRosterError = token_failed(reply)
        except OneRosterError as problem:
            failure = problem
        if not failure.retryable or tried >= exchange.endpoint.limits.attempts:
            raise failure
        exchange.backoff.wait(tried, None, failure)
    _judge(reply, url, exchange)
    return reply


def token_failed(reply: Response) -> ServerFailed:
    """The error for a token address that failed or is too busy."""
    failure = ServerFailed(
        f"The SIS failed at its token address ({reply.status}).", "It is tried again at the next sync."
    )
    failure.status = reply.status
    return failure


class NamedElsewhere(SignInRefused):
    """The SIS names a token address on another host. The secret is not sent there before a person has entered it."""

    def __init__(self, what: str, url: str) -> None:
        shown = "".join(letter for letter in url if letter.isascii() and letter.isprintable())[:LONGEST_SHOWN]
        super().__init__(
            f"{what} names a token address on another host: {shown}",
            "If that address belongs to the SIS, enter it as the token URL. Client ID and Client Secret were not sent "
            "there.",
        )


def named_elsewhere(target: str) -> NamedElsewhere:
    """The error for a redirect of a token address to another host; its query may repeat what was sent."""
    named = urlsplit(target)._replace(query="", fragment="").geturl()
    return NamedElsewhere("The token address of the SIS", named)


class _Basic(httpx.Auth):
    """RFC 6749 wants id and secret percent-encoded inside Basic; many servers do not decode them."""

    carries_secret = True

    def __init__(self, client_id: str, secret: str, *, encoded: bool) -> None:
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}" if encoded else f"{client_id}:{secret}"
        self._header = "Basic " + base64.b64encode(pair.encode()).decode()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


def _judge(reply: Response, url: str, exchange: HttpSession) -> None:
    if 200 <= reply.status < 300:
        return
    code = _error_code(reply)
    if reply.status in ABSENT_STATUSES and not code:
        raise NotOffered("The SIS has no token address there.", "Enter the token URL that the SIS shows.")
    if 300 <= reply.status < 400:
        target = urljoin(url, reply.headers.get("Location", ""))
        if not same_origin(url, target):
            raise named_elsewhere(target)
        raise NotOffered("The token address of the SIS redirects in circles.", "Enter the token URL that it shows.")
    raise TokenRefused(reply.status, code, exchange.situation)


def _error_code(reply: Response) -> str:
    try:
        body = decoded(reply)
    except OneRosterError:
        return ""
    code = body.get("error") if isinstance(body, dict) else None
    return code if isinstance(code, str) and code in OAUTH_ERRORS else ""


def read_token(reply: Response, situation: Situation) -> tuple[str, float, str | None]:
    """Token, life in seconds, scopes granted (None where the reply does not say)."""
    try:
        body = decoded(reply)
    except OneRosterError:
        raise NotOffered(
            "The token address answers with something other than JSON.", "Enter the token URL that the SIS shows."
        ) from None
    if not isinstance(body, dict):
        raise NoToken(
            "The token address answers with something other than a token reply.",
            "Enter the token URL of OAuth 2.0 client credentials; another way of signing in is not supported.",
        )
    members = {str(name).lower().replace("_", ""): value for name, value in body.items()}
    token = members.get("accesstoken", members.get("token"))
    if not isinstance(token, str) or not token.strip():
        code = members.get("error")
        if isinstance(code, str):
            raise TokenRefused(reply.status, code if code in OAUTH_ERRORS else "", situation)
        raise NoToken("The token address answers without an access token.", "Enter the token URL that the SIS shows.")
    scope = members.get("scope")
    return token.strip(), _life(members.get("expiresin")), scope if isinstance(scope, str) else None


def _life(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return DEFAULT_LIFE
    return seconds if 0 < seconds < 1e9 else DEFAULT_LIFE
