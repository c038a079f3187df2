"""OAuth 1.0a without tokens ("two-legged"): every request is signed with the consumer's key and secret.

The URL is finished before it is signed, and exactly that URL is sent. oauthlib builds nonce, timestamp and signature;
it is asked anew for every attempt, because servers remember nonces. Reading is all we do, so every request is a GET.
"""

from __future__ import annotations

from collections.abc import Generator

import httpx
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_HMAC_SHA256, SIGNATURE_TYPE_AUTH_HEADER
from oauthlib.oauth1 import Client as Signer

METHODS = {"sha256": SIGNATURE_HMAC_SHA256, "sha1": SIGNATURE_HMAC_SHA1}
"""Our names for the signature methods, in the order in which they are tried."""


class OAuth1Auth(httpx.Auth):
    """Signs one request at a time."""

    carries_secret = True
    """Not the secret itself, but one more try with it."""

    def __init__(self, key: str, secret: str, method: str) -> None:
        self._signer = Signer(
            key, client_secret=secret, signature_method=METHODS[method], signature_type=SIGNATURE_TYPE_AUTH_HEADER
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        _, headers, _ = self._signer.sign(str(request.url), http_method="GET")
        # RFC 5849 allows a blank after each comma; servers exist that read it as part of the next name.
        request.headers["Authorization"] = headers["Authorization"].replace(", ", ",")
        yield request


class OAuth1SignIn:
    """The sign-in of a session that signs. There is nothing to renew: a refused signature stays refused."""

    kind = "oauth1"

    def __init__(self, key: str, secret: str, method: str) -> None:
        self.method = method
        self._auth = OAuth1Auth(key, secret, method)

    def authorise(self) -> tuple[httpx.Auth, int]:
        return self._auth, 0

    def renew(self, generation: int) -> bool:
        return False

    def may_have_ended(self) -> bool:
        return False

    def learned(self) -> dict[str, str]:
        return {"kind": self.kind, "method": self.method}
