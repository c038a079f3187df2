"""OAuth 2.0 client credentials: gets a token, keeps it, and renews it before it expires. Recalls the sign-in of an
earlier session."""

import json
import threading
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from roster_pipeline.oneroster.errors import Busy, NotOffered, OneRosterError, TokenFailed
from roster_pipeline.oneroster.http.auth import METHODS, HeaderAuth, SignIn, basic, bearer, oauth1
from roster_pipeline.oneroster.http.endpoint import Address, resolved, same_origin, understand, with_query
from roster_pipeline.oneroster.http.error_mapping import (
    ABSENT_STATUSES,
    BROKEN_STATUS,
    RETRY_STATUSES,
    Situation,
    TokenRefused,
    is_quota,
    is_web_page,
    named_elsewhere,
)
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.json_decoding import decoded
from roster_pipeline.oneroster.http.response import Response

DEFAULT_LIFE = 3600.0
"""Seconds that a token lives if the response does not say it."""
RENEW_EARLY = 60.0
YOUNG = 120.0
"""Seconds. A token younger than this has not expired."""
REDIRECT_STATUSES = frozenset((301, 302, 303, 307, 308))
"""Redirects that are followed with the same request. Only on the SIS's own host, because the request has the secret."""
MOST_REDIRECTS = 3
MOST_CRASHES = 2
"""After so many crashes of the server during a search, no token request is repeated: its form may be the reason."""
LABEL = "its token address"
_ENTER = "Enter the token URL that the SIS shows."
IN_BODY = ("body", "both")
LONGEST_FORM = 16_384
"""Bytes of a token response in the form of a web form."""
OAUTH_ERRORS = frozenset(
    (
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
        *("unsupported_grant_type", "invalid_scope", "access_denied", "server_error", "temporarily_unavailable"),
    )
)


@dataclass(frozen=True)
class TokenForm:
    """The form of a token request.

    placement: where the credentials are: "basic", "basic-encoded" (percent-encoded), "body", or "both". parameters: in
    the "form", the "query", or as "json". scope: "" sends none.
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

    def __init__(self, session: HttpSession, token_url: str, form: TokenForm) -> None:
        super().__init__("oauth2")
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
        self._auth = HeaderAuth(f"Bearer {token}")
        self._obtained = self._session.clock.monotonic()
        self._ends = self._obtained + life - min(RENEW_EARLY, life / 10)
        self._generation += 1


def request_token(session: HttpSession, token_url: str, form: TokenForm) -> Response:
    """POST the token request, with retries.

    Raises TokenRefused, NotOffered (no token address), NamedElsewhere (a redirect to another host), network errors.
    """
    endpoint = session.endpoint
    parameters = [("grant_type", "client_credentials")]
    if form.scope:
        parameters.append(("scope", form.scope))
    auth: httpx.Auth | None = None
    if form.placement in IN_BODY:
        parameters += [("client_id", endpoint.client_id), ("client_secret", endpoint.client_secret)]
    if form.placement != "body":
        auth = basic(endpoint.client_id, endpoint.client_secret, encoded=form.placement == "basic-encoded")
    url, content = token_url, b""
    if form.parameters == "query":
        url = with_query(token_url, parameters)
    else:
        content = (json.dumps(dict(parameters)) if form.parameters == "json" else urlencode(parameters)).encode()
    tried = 0
    while True:
        tried += 1
        wait: float | None = None
        try:
            response = session.send("POST", url, LABEL, auth, content, secret=form.placement == "body")
            target = resolved(url, response.headers.get("Location", ""))
            moved = response.status in REDIRECT_STATUSES and target != url and same_origin(url, target)
            if moved and tried <= MOST_REDIRECTS:
                url = target
                continue
            if response.status not in RETRY_STATUSES and not is_quota(response):
                break
            failure: OneRosterError = token_failed(response)
            wait = session.backoff.retry_after(response)
        except OneRosterError as problem:
            failure = problem
        crashed = session.allowance.left is not None and failure.status == BROKEN_STATUS
        session.allowance.crashes += crashed
        often = crashed and session.allowance.crashes >= MOST_CRASHES
        if not failure.retryable or often or tried >= session.endpoint.limits.attempts:
            raise failure
        session.backoff.wait(tried, wait, failure)
    _judge(response, url, session)
    return response


def token_failed(response: Response) -> TokenFailed | Busy:
    """The error for a token address that fails or is too busy."""
    later = "It is tried again at the next sync."
    failure: TokenFailed | Busy = TokenFailed(f"The SIS failed at its token address ({response.status}).", later)
    if response.status == 429 or is_quota(response):
        failure = Busy(f"The SIS is limiting our requests ({response.status} at its token address).", later)
    failure.status = response.status
    return failure


def _judge(response: Response, url: str, session: HttpSession) -> None:
    if 200 <= response.status < 300:
        return
    code = error_code(response)
    if response.status in ABSENT_STATUSES and not code:
        raise NotOffered("The SIS has no token address there.", _ENTER)
    if 300 <= response.status < 400:
        target = resolved(url, response.headers.get("Location", ""))
        if target and not same_origin(url, target):
            raise named_elsewhere(target)
        where = "in circles" if target else "to an address that cannot be read"
        raise NotOffered(f"The token address of the SIS redirects {where}.", "Enter the token URL that it shows.")
    raise TokenRefused(response.status, code, session.situation, web_page=is_web_page(response))


def error_code(response: Response) -> str:
    """The OAuth error code in the body of a response; "" if it has none of the standard's."""
    code = json_object(response).get("error")
    return code if isinstance(code, str) and code in OAUTH_ERRORS else ""


def json_object(response: Response) -> dict[str, Any]:
    """The object in the body of a response, as JSON or as a web form; an empty one if the body is anything else."""
    try:
        body = decoded(response)
    except OneRosterError:
        text = response.body.decode("ascii", errors="replace") if len(response.body) <= LONGEST_FORM else ""
        return {} if "<" in text else dict(parse_qsl(text))
    return body if isinstance(body, dict) else {}


def read_token(response: Response, situation: Situation) -> tuple[str, float, str | None]:
    """The token, its life in seconds, and the granted scopes (None if unknown). Raises NotOffered or TokenRefused."""
    members = _members(json_object(response))
    if not members:
        try:
            decoded(response)
        except OneRosterError:
            raise NotOffered("The token address answers with something other than JSON.", _ENTER) from None
        raise NoToken(
            "The token address answers with something other than a token response.",
            "Enter the token URL of OAuth 2.0 client credentials; other token requests are not supported.",
        )
    token = members.get("accesstoken", members.get("token"))
    if not isinstance(token, str) or not token.strip():
        code = members.get("error")
        if isinstance(code, str):
            raise TokenRefused(response.status, code if code in OAUTH_ERRORS else "", situation)
        raise NoToken("The token address answers without an access token.", _ENTER)
    token = token.strip()
    token = token[len("bearer ") :].strip() if token.lower().startswith("bearer ") else token
    if not token.isascii() or not token.isprintable():
        raise NoToken(
            "The token address gives a token that no request can carry: it holds a line break or the like.",
            "Ask the SIS's vendor about its token address.",
        )
    scope = members.get("scope")
    return token, _life(members.get("expiresin")), scope if isinstance(scope, str) else None


def _members(body: dict[str, Any]) -> dict[str, Any]:
    """The members of a token response by their names in lower case without "_", also if an object wraps them."""
    inner = next((value for value in body.values() if isinstance(value, dict) and "access_token" in value), body)
    return {str(name).lower().replace("_", ""): value for name, value in inner.items()}


def _life(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_LIFE
    return seconds if 0 < seconds < 1e9 else DEFAULT_LIFE


def chosen_scopes(chosen: str) -> list[str]:
    """The owner's scopes as they may be sent, best first: some servers know only the other scheme."""
    text = " ".join(chosen.replace(",", " ").split())
    twin = text.replace("https://", "http://") if "https://" in text else text.replace("http://", "https://")
    return list(dict.fromkeys((text, twin)))


@dataclass
class Connected:
    """A root that answered, and the sign-in that it accepted. version: "1.1" or "1.2". remembered: found earlier."""

    address: Address
    root: str
    version: str
    sign_in: SignIn
    remembered: bool = False

    def learned(self) -> dict[str, Any]:
        """The values for the next session, as JSON without secrets."""
        return {
            "base": self.address.base,
            "root": self.root,
            "version": self.version,
            "sign_in": self.sign_in.learned(),
        }


def recalled(session: HttpSession) -> Connected | None:
    """The findings of an earlier session. None if there is nothing, or if the owner's settings no longer fit it."""
    endpoint = session.endpoint
    learned = endpoint.learned
    address = understand(endpoint.base_url)
    stored: Any = learned.get("sign_in") or {}
    root, version = learned.get("root"), learned.get("version")
    if learned.get("base") != address.base or not isinstance(root, str) or version not in ("1.1", "1.2"):
        return None
    kind = stored.get("kind")
    if endpoint.version not in ("auto", version) or endpoint.sign_in not in ("auto", kind):
        return None
    sign_in: SignIn
    if kind == "oauth2":
        form = stored.get("form") or {}
        if endpoint.token_url not in (None, stored["token_url"]) or not endpoint.client_id:
            return None
        if endpoint.token_url is None and not same_origin(stored["token_url"], address.base):
            return None
        if endpoint.scopes is not None and form.get("scope") not in chosen_scopes(endpoint.scopes):
            return None
        sign_in = OAuth2SignIn(session, stored["token_url"], TokenForm(**form))
    elif kind == "oauth1" and stored.get("method") in METHODS:
        sign_in = oauth1(endpoint.client_id, endpoint.client_secret, stored["method"])
    elif kind == "bearer":
        sign_in = bearer(endpoint.client_secret)
    elif kind == "open":
        sign_in = SignIn()
    else:
        return None
    return Connected(address, root, version, sign_in, remembered=True)
