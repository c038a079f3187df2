"""Who may read: bearer tokens with scopes, OAuth 1.0a signatures without tokens ("2-legged"), a fixed bearer, a fixed
header."""

import base64
import hmac
import secrets
from collections import deque
from time import time
from typing import Any
from urllib.parse import quote

from oauthlib.oauth1.rfc5849 import signature

from roster_pipeline.simulator.catalog import CORE, FULL
from roster_pipeline.simulator.fault_table import Faults
from roster_pipeline.simulator.messages import Call, RequestError, read_pairs
from roster_pipeline.simulator.payload import V11
from roster_pipeline.simulator.tokens import SCOPE_PREFIXES, Tokens

FIXED_BEARER = "demo-partner-key"
FIXED_API_KEY = "demo-api-key"
API_KEY_HEADER = "X-API-Key"
CLOCK_SKEW = 300
"""Seconds by which the timestamp of a signature may be wrong, as real servers allow."""
NONCES_REMEMBERED = 100_000
HASHES = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


class Access:
    """Checks one request against what this SIS accepts."""

    def __init__(self, tokens: Tokens, faults: Faults) -> None:
        self.tokens = tokens
        self.faults = faults
        self._nonces: set[tuple[str, str, str]] = set()
        self._nonces_in_order: deque[tuple[str, str, str]] = deque()

    def require(self, call: Call, scope: str) -> None:
        """Accept the call, or raise RequestError 401 or 403."""
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
        token = self.tokens.lookup(text)
        if token is None:
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
        now = time() + self.faults.number("clock_skew")
        if not timestamp.isdecimal() or abs(now - int(timestamp)) > CLOCK_SKEW:
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
