"""Who may read: bearer tokens with scopes, OAuth 1.0a signatures, a fixed bearer, a fixed header."""

import secrets
from dataclasses import dataclass, field

from roster_pipeline.simulator.call import Call
from roster_pipeline.simulator.catalog import CORE, FULL
from roster_pipeline.simulator.error_responses import RequestError
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.oauth1 import Nonces, refusal
from roster_pipeline.simulator.payload import V11
from roster_pipeline.simulator.tokens import SCOPE_PREFIXES, Tokens

FIXED_BEARER = "demo-partner-key"
FIXED_API_KEY = "demo-api-key"
API_KEY_HEADER = "X-API-Key"


@dataclass
class Access:
    """Checks one request against what this SIS accepts."""

    tokens: Tokens
    faults: Faults
    nonces: Nonces = field(default_factory=Nonces)

    def require(self, call: Call, scope: str) -> None:
        """Let the call pass, or raise 401 or 403."""
        authorization = call.headers.get("authorization", "")
        scheme, _, credentials = authorization.partition(" ")
        allowed = self.faults.text("sign_in")
        if self.faults.on("api_key"):
            if not _same(call.headers.get(API_KEY_HEADER.lower(), ""), FIXED_API_KEY):
                raise RequestError(401, "the API key header is missing or wrong")
            if allowed == "api_key":
                return
        if scheme.lower() == "oauth" and allowed in ("", "oauth1"):
            self._signed(call, authorization)
        elif scheme.lower() == "bearer" and allowed == "bearer":
            if not _same(credentials, FIXED_BEARER) or self.faults.on("credentials_ended"):
                raise self._unauthorized("unknown key")
        elif scheme.lower() == "bearer" and allowed in ("", "oauth2"):
            self._bearer(call, credentials, scope)
        else:
            raise self._unauthorized("no accepted authorization")

    def _signed(self, call: Call, authorization: str) -> None:
        if call.version != V11:
            raise self._unauthorized("1.2 has no OAuth 1.0a")
        url = f"{call.origin}{call.path}" + (f"?{call.query_string}" if call.query_string else "")
        reason = refusal(
            url,
            authorization,
            {} if self.faults.on("credentials_ended") else self.tokens.credentials,
            self.nonces,
            only_hash=self.faults.text("oauth1_hash"),
            clock_offset=self.faults.number("clock_skew"),
        )
        if reason is not None:
            raise self._unauthorized(reason, "OAuth")

    def _bearer(self, call: Call, credentials: str, scope: str) -> None:
        token = self.tokens.lookup(credentials)
        if token is None:
            raise self._unauthorized("token unknown or ended")
        if self.faults.on("session_cookie") and f"SISSESSION={token.cookie}" not in call.headers.get("cookie", ""):
            raise self._unauthorized("session unknown")
        if self.faults.on("scopes_unknown"):
            return
        if self.faults.on("scope_version_bound") and not any(
            granted.startswith(SCOPE_PREFIXES[call.version]) for granted in token.scopes
        ):
            raise RequestError(400, "the token's scope is of another version")
        granted = {name.rsplit("/", 1)[-1] for name in token.scopes}
        if scope not in granted and not (scope == CORE and FULL in granted):
            raise RequestError(403, "the token's scope does not cover this")

    def _unauthorized(self, reason: str, scheme: str = "Bearer") -> RequestError:
        challenge = 'Bearer error="invalid_token"' if scheme == "Bearer" else "OAuth"
        return RequestError(401, reason, headers={"WWW-Authenticate": challenge})


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())
