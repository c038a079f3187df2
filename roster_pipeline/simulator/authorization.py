"""Access to the SIS: the token endpoint (OAuth 2 client credentials, RFC 6749, section 4.4), bearer tokens with scopes,
OAuth 1.0a signatures without tokens ("2-legged"), a fixed bearer, a fixed header."""

import base64
import binascii
import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from time import time
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_plus

from oauthlib.oauth1.rfc5849 import signature

from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import V11, Answer, Call, RequestError, read_pairs

SCOPE_PREFIXES = {
    "1.1": "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    "1.2": "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}
CORE, FULL = "roster-core.readonly", "roster.readonly"
ROSTER_SCOPES = (CORE, FULL, "roster-demographics.readonly")
SCOPES = tuple(prefix + name for prefix in SCOPE_PREFIXES.values() for name in ROSTER_SCOPES)
LIFETIME = 3600
"""Seconds a token is valid, as at most servers."""
FIXED_BEARER = "demo-partner-key"
FIXED_API_KEY = "demo-api-key"
API_KEY_HEADER = "X-API-Key"
CLOCK_SKEW = 300
"""Seconds by which the timestamp of a signature may be wrong, as real servers allow."""
NONCES_REMEMBERED = 100_000
HASHES = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


class Token(NamedTuple):
    """An access token. ends: seconds since the epoch. cookie: the session cookie sent with it."""

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
        self.issued: dict[str, Token] = {}

    def revoke_all(self) -> None:
        self.issued.clear()

    def answer(self, call: Call) -> Answer:
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
        if asked.get("grant_type") != "client_credentials":
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
        self.issued[token] = Token(time() + lifetime, granted, cookie)
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
    """What a Basic header may mean: as sent, and form-decoded. encoding: `raw` or `encoded` to accept one only."""
    try:
        client_id, _, secret = base64.b64decode(blob, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return []
    raw, encoded = (client_id, secret), (unquote_plus(client_id), unquote_plus(secret))
    return [pair for name, pair in (("raw", raw), ("encoded", encoded)) if encoding in ("", name)]


class Access:
    """Checks one request against what this SIS accepts."""

    def __init__(self, tokens: Tokens, faults: Faults) -> None:
        self.tokens = tokens
        self.faults = faults
        self._nonces: set[tuple[str, str, str]] = set()
        self._nonces_in_order: deque[tuple[str, str, str]] = deque()

    def require(self, call: Call, scope: str) -> None:
        authorization = call.headers.get("authorization", "")
        scheme, _, credentials = authorization.partition(" ")
        allowed = self.faults.text("sign_in")
        if self.faults.on("api_key"):
            if not _same(call.headers.get(API_KEY_HEADER.lower(), ""), FIXED_API_KEY):
                raise RequestError(401, "the API key header is missing or wrong")
            if allowed == "api_key":
                return
        match scheme.lower():
            case "oauth" if allowed in ("", "oauth1"):
                if reason := self._signature_error(call, authorization):
                    raise RequestError(401, reason, headers={"WWW-Authenticate": "OAuth"})
            case "bearer" if allowed == "bearer":
                if not _same(credentials, FIXED_BEARER) or self.faults.on("credentials_ended"):
                    raise _unauthorized("unknown key")
            case "bearer" if allowed in ("", "oauth2"):
                self._require_token(call, credentials, scope)
            case _:
                raise _unauthorized("no accepted authorization")

    def _require_token(self, call: Call, text: str, scope: str) -> None:
        token = self.tokens.issued.get(text)
        if token is None or token.ends <= time():
            raise _unauthorized("token unknown or ended")
        if self.faults.on("session_cookie") and f"SISSESSION={token.cookie}" not in call.headers.get("cookie", ""):
            raise _unauthorized("session unknown")
        if self.faults.on("scopes_unknown"):
            return
        if self.faults.on("scope_version_bound") and not any(
            granted.startswith(SCOPE_PREFIXES[call.version]) for granted in token.scopes
        ):
            raise RequestError(400, "the token's scope is of another version")
        granted = {name.rsplit("/", 1)[-1] for name in token.scopes}
        if scope not in granted and not (scope == CORE and FULL in granted):
            raise RequestError(403, "the token's scope does not cover this")

    def _signature_error(self, call: Call, authorization: str) -> str:
        """What is wrong with the signature, the clock or the nonce of a signed GET (RFC 5849); empty if it is good."""
        if call.version != V11:
            return "1.2 has no OAuth 1.0a"
        header = {"Authorization": authorization}
        signed = dict(signature.collect_parameters(headers=header, exclude_oauth_signature=False))
        hash_name = HASHES.get(signed.get("oauth_signature_method", ""), "")
        timestamp, nonce = signed.get("oauth_timestamp", ""), signed.get("oauth_nonce", "")
        client_key = signed.get("oauth_consumer_key", "")
        if not hash_name or hash_name != (self.faults.text("oauth1_hash") or hash_name):
            return "signature method not supported"
        if client_key not in self.tokens.credentials or self.faults.on("credentials_ended"):
            return "unknown consumer key"
        if not timestamp.isdecimal() or abs(time() - int(timestamp)) > CLOCK_SKEW:
            return "timestamp out of range"
        pairs: Any = read_pairs(call.query_string)
        pairs += signature.collect_parameters(headers=header, exclude_oauth_signature=True)
        address = signature.base_string_uri(f"{call.origin}{call.path}")
        text = signature.signature_base_string("GET", address, signature.normalize_parameters(pairs))
        key = f"{quote(self.tokens.credentials[client_key], safe='~')}&".encode()
        expected = base64.b64encode(hmac.digest(key, text.encode(), hash_name)).decode()
        if not _same(expected, signed.get("oauth_signature", "")):
            return "signature does not match"
        return "" if self._is_new((client_key, nonce, timestamp)) else "nonce used before"

    def _is_new(self, nonce: tuple[str, str, str]) -> bool:
        """Whether this nonce was not used with this client key and timestamp; remembers it."""
        if nonce in self._nonces:
            return False
        self._nonces.add(nonce)
        self._nonces_in_order.append(nonce)
        if len(self._nonces_in_order) > NONCES_REMEMBERED:
            self._nonces.discard(self._nonces_in_order.popleft())
        return True


def _unauthorized(reason: str) -> RequestError:
    return RequestError(401, reason, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())
