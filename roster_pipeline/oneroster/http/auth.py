"""Ways to sign requests in: none, a static bearer key, OAuth 1.0a; and the headers of OAuth 2.0.

OAuth 1.0a is used without tokens ("two-legged"): the consumer's key and secret sign every request. The URL is complete
before it is signed, and exactly that URL is sent. oauthlib builds nonce, timestamp and signature. Every attempt is
signed again, because servers remember nonces. The client only reads, so every signed request is a GET.
"""

import base64
import re
from collections.abc import Generator
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_HMAC_SHA256, SIGNATURE_TYPE_AUTH_HEADER
from oauthlib.oauth1 import Client as Signer

from roster_pipeline.oneroster.errors import OneRosterError

METHODS = {"sha256": SIGNATURE_HMAC_SHA256, "sha1": SIGNATURE_HMAC_SHA1}
"""Our names for the signature methods, in the order in which they are tried."""


_SIGNABLE = "=&;:%+~,*@!()/?'$"
"""Characters that oauthlib accepts in a query besides letters and digits. Pasted addresses and links have brackets,
too."""
_BARE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


class SignIn:
    """A way to sign in. "open" sends no credentials: for open servers, for servers with only a fixed header, and for
    the first requests of a search. Only OAuth 2.0 can renew a sign-in that was refused. learned: what a later session
    needs, besides the kind, to sign in in the same way. It holds no secret.
    """

    def __init__(self, kind: str = "open", auth: httpx.Auth | None = None, **learned: str) -> None:
        self.kind = kind
        self._auth = auth or httpx.Auth()
        self._learned = learned

    def authorise(self) -> tuple[httpx.Auth, int]:
        """The auth of the next request, and how often it was renewed so far. May send a request of its own."""
        return self._auth, 0

    def renew(self, generation: int) -> bool:
        """Get a new token if `generation` is still the current one, so that many threads renew one expiry once.

        False if nothing can be renewed.
        """
        return False

    def may_have_ended(self) -> bool:
        """True if a 403 may mean that the token has expired."""
        return False

    def learned(self) -> dict[str, Any]:
        """The values with which a later session signs in in the same way."""
        return {"kind": self.kind, **self._learned}


def bearer(key: str) -> SignIn:
    """A static key that the owner got once."""
    return SignIn("bearer", HeaderAuth(f"Bearer {key}", carries_secret=True))


def oauth1(key: str, secret: str, method: str) -> SignIn:
    """OAuth 1.0a. method: of `METHODS`."""
    return SignIn("oauth1", _OAuth1Auth(key, secret, method), method=method)


class HeaderAuth(httpx.Auth):
    """Sends one value of Authorization. carries_secret: it holds the owner's secret, not a token made from it."""

    def __init__(self, header: str, *, carries_secret: bool = False) -> None:
        self._header = header
        self.carries_secret = carries_secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


def basic(client_id: str, secret: str, *, encoded: bool) -> HeaderAuth:
    """HTTP Basic. RFC 6749 wants id and secret percent-encoded (`encoded`); many servers do not decode them."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}" if encoded else f"{client_id}:{secret}"
    return HeaderAuth("Basic " + base64.b64encode(pair.encode()).decode(), carries_secret=True)


class _OAuth1Auth(httpx.Auth):
    carries_secret = True
    """A signature does not hold the secret, but the server counts it as an attempt with it."""

    def __init__(self, key: str, secret: str, method: str) -> None:
        self._signer = Signer(
            key, client_secret=secret, signature_method=METHODS[method], signature_type=SIGNATURE_TYPE_AUTH_HEADER
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        query = _BARE_PERCENT.sub("%25", quote(request.url.query.decode("ascii"), safe=_SIGNABLE))
        request.url = request.url.copy_with(query=query.encode() or None)
        _, headers, _ = self._signer.sign(str(request.url), http_method="GET")
        # RFC 5849 allows a blank after each comma; some servers read it as part of the next name.
        request.headers["Authorization"] = headers["Authorization"].replace(", ", ",")
        yield request


MOST_SCOPES = 4
"""Requests of a search that do not count, because the server refused only their scopes."""


class NoMoreTries(OneRosterError):
    """A search for the way to sign in has used up the requests that may carry the credentials."""


class Allowance:
    """How many more requests may carry the credentials while a search runs. None: no search runs, so no limit.

    The limit keeps a search from locking the application out at the SIS. crashes: how often such requests crashed it.
    """

    def __init__(self) -> None:
        self.left: int | None = None
        self.crashes = 0
        self._returnable = MOST_SCOPES

    def give_back(self) -> None:
        """Do not count the last request: the server accepted its credentials, and refused only its scopes."""
        if self.left is not None and self._returnable:
            self._returnable -= 1
            self.left += 1

    def spend(self) -> None:
        """Count one request. Raises NoMoreTries when none is left."""
        if self.left is None:
            return
        if self.left <= 0:
            raise NoMoreTries("We stopped looking for the way to sign in, so that the server does not lock us out.", "")
        self.left -= 1
