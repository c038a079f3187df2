"""OAuth 2.0 client credentials: gets a token, keeps it, and renews it before it expires."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from roster_pipeline.oneroster.errors import Busy, NotOffered, OneRosterError, ServerFailed, SignInRefused
from roster_pipeline.oneroster.http.auth import BasicAuth, BearerAuth, SignIn
from roster_pipeline.oneroster.http.endpoint import resolved, same_origin, with_query
from roster_pipeline.oneroster.http.error_mapping import ABSENT_STATUSES, RETRY_STATUSES, Situation, TokenRefused
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.response import Response, decoded

DEFAULT_LIFE = 3600.0
"""Seconds that a token lives if the response does not say it."""
RENEW_EARLY = 60.0
YOUNG = 120.0
"""Seconds. A token younger than this has not expired."""
REDIRECT_STATUSES = frozenset((301, 302, 307, 308))
"""Redirects that are followed with the same request. Only on the SIS's own host, because the request has the secret."""
MOST_REDIRECTS = 3
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
    """The form of a token request.

    placement: where the credentials are: "basic", "basic-encoded" (percent-encoded) or "body". parameters: in the
    "form" or the "query". scope: "" sends none.
    """

    placement: str = "basic"
    parameters: str = "form"
    scope: str = ""


class NoToken(NotOffered):
    """The address accepted the token request and answered with JSON, but without a token."""


class OAuth2SignIn(SignIn):
    """Signs in with a token from one token address, requested in one form.

    The token is renewed before it expires, and once when it is refused. granted: the scopes that the token response
    names; None if it names none.
    """

    kind = "oauth2"

    def __init__(self, session: HttpSession, token_url: str, form: TokenForm) -> None:
        super().__init__()
        self.token_url = token_url
        self.form = form
        self.granted: str | None = None
        self._session = session
        self._ends = self._obtained = 0.0
        self._generation = 0
        self._lock = threading.Lock()

    def authorise(self) -> tuple[httpx.Auth, int]:
        with self._lock:
            if self._generation == 0 or self._session.clock.monotonic() >= self._ends:
                self._obtain()
            return self._auth, self._generation

    def renew(self, generation: int) -> bool:
        with self._lock:
            if generation == self._generation:
                self._obtain()
            return True

    def may_have_ended(self) -> bool:
        return self._session.clock.monotonic() - self._obtained > YOUNG

    def learned(self) -> dict[str, Any]:
        return {"kind": self.kind, "token_url": self.token_url, "form": asdict(self.form)}

    def _obtain(self) -> None:
        response = request_token(self._session, self.token_url, self.form)
        token, life, self.granted = read_token(response, self._session.situation)
        self._auth = BearerAuth(token)
        self._obtained = self._session.clock.monotonic()
        self._ends = self._obtained + life - min(RENEW_EARLY, life / 10)
        self._generation += 1


def request_token(session: HttpSession, token_url: str, form: TokenForm) -> Response:
    """POST the token request, with retries.

    Raises TokenRefused, NotOffered (no token address there), NamedElsewhere (a redirect to another host), or the error
    of the network.
    """
    endpoint = session.endpoint
    parameters = [("grant_type", "client_credentials")]
    if form.scope:
        parameters.append(("scope", form.scope))
    auth: httpx.Auth | None = None
    if form.placement == "body":
        parameters += [("client_id", endpoint.client_id), ("client_secret", endpoint.client_secret)]
    else:
        auth = BasicAuth(endpoint.client_id, endpoint.client_secret, encoded=form.placement == "basic-encoded")
    url, content = token_url, b""
    if form.parameters == "query":
        url = with_query(token_url, parameters)
    else:
        content = urlencode(parameters).encode()
    tried = 0
    while True:
        tried += 1
        try:
            response = session.send("POST", url, LABEL, auth, content, secret=form.placement == "body")
            target = resolved(url, response.headers.get("Location", ""))
            moved = response.status in REDIRECT_STATUSES and target != url and same_origin(url, target)
            if moved and tried <= MOST_REDIRECTS:
                url = target
                continue
            if response.status not in RETRY_STATUSES:
                break
            failure: OneRosterError = token_failed(response)
        except OneRosterError as problem:
            failure = problem
        if not failure.retryable or tried >= session.endpoint.limits.attempts:
            raise failure
        session.backoff.wait(tried, None, failure)
    _judge(response, url, session)
    return response


def token_failed(response: Response) -> ServerFailed:
    """The error for a token address that fails or is too busy."""
    later = "It is tried again at the next sync."
    failure = ServerFailed(f"The SIS failed at its token address ({response.status}).", later)
    if response.status == 429:
        failure = Busy(f"The SIS is limiting our requests ({response.status} at its token address).", later)
    failure.status = response.status
    return failure


class NamedElsewhere(SignInRefused):
    """The SIS names a token address on another host. The secret is sent there only after a person entered it."""

    def __init__(self, what: str, url: str) -> None:
        shown = "".join(letter for letter in url if letter.isascii() and letter.isprintable())[:LONGEST_SHOWN]
        super().__init__(
            f"{what} names a token address on another host: {shown}",
            "If that address belongs to the SIS, enter it as the token URL. Client ID and Client Secret were not sent "
            "there.",
        )


def named_elsewhere(target: str) -> NamedElsewhere:
    """The error for a redirect of a token address to another host. Drops the query, which may repeat what we sent."""
    named = urlsplit(target)._replace(query="", fragment="").geturl()
    return NamedElsewhere("The token address of the SIS", named)


def _judge(response: Response, url: str, session: HttpSession) -> None:
    if 200 <= response.status < 300:
        return
    code = error_code(response)
    if response.status in ABSENT_STATUSES and not code:
        raise NotOffered("The SIS has no token address there.", "Enter the token URL that the SIS shows.")
    if 300 <= response.status < 400:
        target = resolved(url, response.headers.get("Location", ""))
        if target and not same_origin(url, target):
            raise named_elsewhere(target)
        where = "in circles" if target else "to an address that cannot be read"
        raise NotOffered(f"The token address of the SIS redirects {where}.", "Enter the token URL that it shows.")
    raise TokenRefused(response.status, code, session.situation)


def error_code(response: Response) -> str:
    """The OAuth error code in the body of a response; "" if it has none of the standard's."""
    code = json_object(response).get("error")
    return code if isinstance(code, str) and code in OAUTH_ERRORS else ""


def json_object(response: Response) -> dict[str, Any]:
    """The JSON object in the body of a response; an empty one if the body is anything else."""
    try:
        body = decoded(response)
    except OneRosterError:
        return {}
    return body if isinstance(body, dict) else {}


def read_token(response: Response, situation: Situation) -> tuple[str, float, str | None]:
    """The token, its life in seconds, and the granted scopes (None if unknown). Raises NotOffered or TokenRefused."""
    try:
        body = decoded(response)
    except OneRosterError:
        raise NotOffered(
            "The token address answers with something other than JSON.", "Enter the token URL that the SIS shows."
        ) from None
    if not isinstance(body, dict):
        raise NoToken(
            "The token address answers with something other than a token response.",
            "Enter the token URL of OAuth 2.0 client credentials; other token requests are not supported.",
        )
    members = {str(name).lower().replace("_", ""): value for name, value in body.items()}
    token = members.get("accesstoken", members.get("token"))
    if not isinstance(token, str) or not token.strip():
        code = members.get("error")
        if isinstance(code, str):
            raise TokenRefused(response.status, code if code in OAUTH_ERRORS else "", situation)
        raise NoToken("The token address answers without an access token.", "Enter the token URL that the SIS shows.")
    token = token.strip()
    if not token.isascii() or not token.isprintable():
        raise NoToken(
            "The token address gives a token that no request can carry: it holds a line break or the like.",
            "Ask the SIS's vendor about its token address.",
        )
    scope = members.get("scope")
    return token, _life(members.get("expiresin")), scope if isinstance(scope, str) else None


def _life(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_LIFE
    return seconds if 0 < seconds < 1e9 else DEFAULT_LIFE
