"""The token endpoint: OAuth 2 client credentials, by Basic header or form body, with scopes and an end.

RFC 6749, section 4.4.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from time import time
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from roster_pipeline.simulator.fault_table import Faults
from roster_pipeline.simulator.messages import Answer, Call, read_pairs

SCOPE_PREFIXES = {
    "1.1": "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    "1.2": "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}
ROSTER_SCOPES = ("roster-core.readonly", "roster.readonly", "roster-demographics.readonly")
SCOPES = tuple(prefix + name for prefix in SCOPE_PREFIXES.values() for name in ROSTER_SCOPES)
LIFETIME = 3600
"""Seconds a token is valid, as at most servers."""


class Token(NamedTuple):
    """What the SIS knows of an access token. ends: seconds since the epoch. cookie: the session cookie sent with it."""

    ends: float
    scopes: frozenset[str]
    cookie: str


class TokenRefusedError(Exception):
    """A token request that is answered with an error: HTTP status, OAuth error code, description."""


class Tokens:
    """Issues tokens and knows which are valid."""

    def __init__(self, credentials: Mapping[str, str], faults: Faults) -> None:
        self.credentials = dict(credentials)
        self.faults = faults
        self._tokens: dict[str, Token] = {}

    def lookup(self, token: str) -> Token | None:
        """A token that was issued and has not ended."""
        issued = self._tokens.get(token)
        return issued if issued is not None and issued.ends > time() else None

    def revoke_all(self) -> None:
        """Make all tokens issued so far invalid."""
        self._tokens.clear()

    def answer(self, call: Call) -> Answer:
        """Answer one POST to the token endpoint."""
        try:
            return self._grant(call)
        except TokenRefusedError as refusal:
            status, error, description = refusal.args
            return Answer(status, {"error": error, "error_description": description}, {"Cache-Control": "no-store"})

    def _grant(self, call: Call) -> Answer:
        faults = self.faults
        in_query = dict(read_pairs(call.query_string))
        if faults.on("token_query") and faults.text("token_query") not in in_query:
            raise TokenRefusedError(400, "invalid_request", f"{faults.text('token_query')} is missing from the query")
        form = self._form(call)
        self._require_client(call.headers.get("authorization", ""), form)
        asked = in_query if faults.on("grant_type", "query") else form
        if asked.get("grant_type") != "client_credentials" and not faults.on("grant_type", "optional"):
            error = "unsupported_grant_type" if asked.get("grant_type") else "invalid_request"
            raise TokenRefusedError(400, error, "grant_type must be client_credentials")
        return self._issue(self._scopes(asked.get("scope")))

    def _form(self, call: Call) -> dict[str, str]:
        if not call.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            if self.faults.on("token_form_only"):
                raise TokenRefusedError(415, "invalid_request", "the body must be application/x-www-form-urlencoded")
            return {}
        return dict(read_pairs(call.body.decode("utf-8", "replace")))

    def _require_client(self, authorization: str, form: Mapping[str, str]) -> None:
        how = self.faults.text("token_auth")
        in_body = "client_secret" in form
        scheme, _, blob = authorization.partition(" ")
        if scheme.lower() == "basic" and in_body:
            raise TokenRefusedError(400, "invalid_request", "credentials by header and by body at once")
        if scheme.lower() == "basic" and how != "body":
            pairs = _basic_pairs(blob, self.faults.text("secret_encoding"))
        elif in_body and how != "basic":
            pairs = [(form.get("client_id", ""), form["client_secret"])]
        else:
            pairs = []
        for client_id, secret in pairs:
            expected = self.credentials.get(client_id)
            if expected is not None and secrets.compare_digest(expected.encode(), secret.encode()):
                if self.faults.on("credentials_ended"):
                    break
                return
        raise TokenRefusedError(401, "invalid_client", "client authentication failed")

    def _scopes(self, text: str | None) -> frozenset[str]:
        faults = self.faults
        if not text:
            if faults.on("scope_required"):
                raise TokenRefusedError(400, "invalid_scope", "scope is missing")
            granted = set(SCOPES)
        else:
            granted = set(text.split())
            if faults.on("scope_text", "turned") and (
                len(granted) < 2 or text.split() != sorted(granted, reverse=True)
            ):
                raise TokenRefusedError(400, "invalid_scope", "not the text of this application")
            if not faults.on("scopes_unknown"):
                spelling = faults.text("scope_spelling")
                if not granted <= {_spelled(scope, spelling) for scope in SCOPES}:
                    raise TokenRefusedError(400, "invalid_scope", "a scope is unknown")
        if faults.on("scope_granted"):
            kept = faults.names("scope_granted")
            granted = {scope for scope in granted if scope.rsplit("/", 1)[-1] in kept}
        return frozenset(granted)

    def _issue(self, granted: frozenset[str]) -> Answer:
        faults = self.faults
        token, cookie = secrets.token_urlsafe(24), secrets.token_urlsafe(8)
        lifetime = faults.number("expires_in", LIFETIME)
        self._tokens[token] = Token(time() + lifetime, granted, cookie)
        body: Any = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": lifetime,
            "scope": " ".join(sorted(granted)),
        }
        if faults.on("expires_in", "text"):
            body["expires_in"] = str(LIFETIME)
        if faults.on("expires_in", "missing"):
            del body["expires_in"]
        if faults.on("scope_omitted"):
            del body["scope"]
        if faults.on("token_members", "camel"):
            body = {_camel(name): value for name, value in body.items()}
        headers = {"Cache-Control": "no-store"}
        if faults.on("session_cookie"):
            headers["Set-Cookie"] = f"SISSESSION={cookie}; Path=/"
        return Answer(200, token if faults.on("token_bare_string") else body, headers)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _spelled(scope: str, spelling: str) -> str:
    """A scope in the one spelling that this server accepts."""
    if spelling == "http":
        return scope.replace("https:", "http:")
    return scope.rsplit("/", 1)[-1] if spelling == "short" else scope


def _basic_pairs(blob: str, encoding: str) -> list[tuple[str, str]]:
    """The client id and secret that a Basic header may mean: as sent, and form-decoded.

    encoding: `raw` or `encoded` if the server accepts only one of them.
    """
    try:
        client_id, _, secret = base64.b64decode(blob, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return []
    raw, encoded = (client_id, secret), (unquote_plus(client_id), unquote_plus(secret))
    return [pair for name, pair in (("raw", raw), ("encoded", encoded)) if encoding in ("", name)]
