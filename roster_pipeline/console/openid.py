"""OpenID Connect: the way to the identity provider and back (authorization code, PKCE, state, nonce), and the account.

We trust the provider only through an ID token that we verified: signature (by its published keys), issuer, audience,
time and nonce. PyJWT does the cryptography. Errors never contain a token or a person's address.

An e-mail address counts once, at the first sign-in. From then on the account belongs to that subject of the provider.
If an office gives the address to somebody else later, that person does not get the account.
"""

import base64
import hashlib
import hmac
import logging
import re
import time
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt
from sqlalchemy import Connection

from roster_pipeline.bounded_http import exchange
from roster_pipeline.console.config import Oidc
from roster_pipeline.directory import accounts, sessions
from roster_pipeline.errors import RosterError
from roster_pipeline.oneroster.http.addresses import is_loopback
from roster_pipeline.services.access_changes import note_refusal, note_sign_in

log = logging.getLogger(__name__)
SCOPE = "openid email profile"
DISCOVERY = "/.well-known/openid-configuration"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Only methods with a public key: a token must not choose another method of checking, or none."""
CLAIMS_NEEDED = ["exp", "iat", "iss", "aud", "sub"]
SUBJECT = re.compile(r"(?=.*\S)[ -~]{1,255}")
"""What the standard allows: 255 ASCII characters. Another spelling must never become the subject of somebody else."""
LONGEST_NAME = 200
LEEWAY_SECONDS = 60
"""Allows for clocks that differ a little."""
SECONDS = 10.0
"""For one answer. A sign-in needs up to four."""
LARGEST_ANSWER = 512 * 1024
KEPT_SECONDS = 3600.0
KEYS_AT_MOST_EVERY = 60.0
"""How often the provider is asked again for an unknown key, so that forged keys cannot keep us busy."""
UNKNOWN = "somebody unknown"
NOT_VERIFIED = (
    "The identity provider does not say that your e-mail address is verified, so it cannot be used here. "
    "Verify it there, or ask the people who run this console."
)
NOT_LET_IN = (
    "You are signed in there as {email}, but this address has no access here. "
    "Ask an operator of this console, or the manager of your district, for access."
)
ANOTHER_PERSON = (
    "The account of {email} belongs to another person at the identity provider. "
    "If it is to be yours now, an operator has to remove its access and grant it again."
)


@dataclass(frozen=True)
class Identity:
    """The identity that the provider confirms. `email` is empty unless we may trust it."""

    issuer: str
    subject: str
    email: str
    name: str


class Provider:
    """One identity provider. The facts that it publishes about itself are kept for an hour."""

    def __init__(self, settings: Oidc, redirect_uri: str) -> None:
        self.settings = settings
        self.redirect_uri = redirect_uri
        self._lock = Lock()
        self._document: dict[str, Any] = {}
        self._document_until = 0.0
        self._keys: list[jwt.PyJWK] = []
        self._keys_at = float("-inf")

    def address(self, state: str, attempt: sessions.Attempt) -> str:
        """The address to which the browser is sent. Raises ProviderAway."""
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def identity(self, code: str, attempt: sessions.Attempt) -> Identity:
        """Exchange the code for a token, and verify the token. Raises ProviderAway, TokenRefused."""
        answer = self._exchange(code, attempt.verifier)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise TokenRefused("it sent no ID token")
        claims = self._verified(token)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(errors="replace"), attempt.nonce.encode()):
            raise TokenRefused("its answer belongs to another sign-in (nonce)")
        if "email" not in claims and isinstance(answer.get("access_token"), str):
            # the source of the address says whether it is verified; the token has no address here
            claims.pop("email_verified", None)
            claims |= self._more(answer["access_token"], claims["sub"])
        name = "".join(filter(str.isprintable, str(claims.get("name") or "")))[:LONGEST_NAME]  # people choose it
        return Identity(self.settings.issuer, claims["sub"], self._email(claims), name)

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        own = self.settings
        ways = self._published().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" not in str(ways):
            sent |= {"client_id": own.client_id, "client_secret": own.client_secret}
            return self._json("POST", self._endpoint("token_endpoint"), data=sent)
        signed = httpx.BasicAuth(quote(own.client_id, safe=""), quote(own.client_secret, safe=""))
        return self._json("POST", self._endpoint("token_endpoint"), data=sent, auth=signed)

    def _verified(self, token: str) -> dict[str, Any]:
        own = self.settings
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise TokenRefused("its ID token is not signed with a public key")
            claims: dict[str, Any] = jwt.decode(
                token, self._key(header.get("kid"), header["alg"]), algorithms=[header["alg"]], audience=own.client_id,
                issuer=own.issuer, leeway=LEEWAY_SECONDS, options={"require": CLAIMS_NEEDED},
            )  # fmt: skip
        except jwt.PyJWTError as problem:  # its text repeats values of the token, so only its name is shown
            raise TokenRefused(f"its ID token is not valid ({type(problem).__name__})") from None
        if not isinstance(claims["sub"], str) or not SUBJECT.fullmatch(claims["sub"]):
            raise TokenRefused("its ID token names nobody (sub)")
        party = claims.get("azp")
        others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (party is not None or others) and party != own.client_id:
            raise TokenRefused("its ID token is for another application (azp)")
        return claims

    def _key(self, key_id: str | None, algorithm: str) -> jwt.PyJWK:
        with self._lock:
            for fresh in (False, True):
                if fresh and time.monotonic() - self._keys_at < KEYS_AT_MOST_EVERY:
                    break
                if fresh:
                    self._keys = _signing_keys(self._json("GET", self._endpoint("jwks_uri")))
                    self._keys_at = time.monotonic()
                fit = [key for key in self._keys if key_id in (None, key.key_id) and _fits(key, algorithm)]
                if len(fit) == 1:
                    return fit[0]
        raise TokenRefused("its ID token is signed with a key that it does not publish")

    def _more(self, access_token: str, subject: str) -> dict[str, Any]:
        """The facts that the provider gives outside the token. Some providers give the e-mail only there."""
        if "userinfo_endpoint" not in self._published():
            return {}
        bearer = {"authorization": f"Bearer {access_token}"}
        claims = self._json("GET", self._endpoint("userinfo_endpoint"), headers=bearer)
        if claims.get("sub") != subject:
            raise TokenRefused("its answers name two people (sub)")
        return {
            name: claims[name] for name in ("email", "email_verified", "name", "preferred_username") if name in claims
        }

    def _email(self, claims: dict[str, Any]) -> str:
        email = claims.get("email")
        if self.settings.trust_email:
            email = email or claims.get("preferred_username")
        elif str(claims.get("email_verified", "")).lower() != "true":
            return ""
        if not isinstance(email, str) or "@" not in email or not email.strip().isprintable():
            return ""
        # the Kelvin sign becomes a k: nobody can register such an address for the account of another one
        return "" if accounts.normal(email).isascii() and not email.isascii() else email

    def _endpoint(self, name: str) -> str:
        address = self._published().get(name)
        try:
            parts = urlsplit(address) if isinstance(address, str) else None
        except ValueError:
            parts = None
        if not parts or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
            raise ProviderAway(f"publishes no safe address for {name}")
        return str(address)

    def _published(self) -> dict[str, Any]:
        if time.monotonic() >= self._document_until:
            document = self._json("GET", self.settings.issuer.rstrip("/") + DISCOVERY)
            if document.get("issuer") != self.settings.issuer:
                raise ProviderAway("has another name than ROSTER_OIDC_ISSUER")
            self._document, self._document_until = document, time.monotonic() + KEPT_SECONDS
        return self._document

    def _json(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            answer = exchange(method, address, seconds=SECONDS, most_bytes=LARGEST_ANSWER, verify=_trusted(), **more)
            if answer.status_code != httpx.codes.OK:
                raise ProviderAway(f"answered with status {answer.status_code}")
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise ProviderAway(f"cannot be reached ({type(problem).__name__})") from None
        except ValueError:
            raise ProviderAway("sent something that is not JSON") from None
        if not isinstance(found, dict):
            raise ProviderAway("sent something that is not a JSON object")
        return found


_trusted = cache(httpx.create_ssl_context)
"""The public certificates. Loading them takes longer than all else that a sign-in does here, so it is done once."""


def _signing_keys(document: dict[str, Any]) -> list[jwt.PyJWK]:
    """The keys with which we can check a signature. A provider may also publish keys of kinds that we do not know."""
    found = []
    keys = document.get("keys")
    for entry in keys if isinstance(keys, list) else []:
        try:
            if entry.get("use", "sig") == "sig":
                found.append(jwt.PyJWK(entry))
        except (jwt.PyJWTError, AttributeError):
            log.info("The identity provider publishes a key of a kind that is not known here.")
    return found


def _fits(key: jwt.PyJWK, algorithm: str) -> bool:
    kinds = {"R": "RSA", "P": "RSA", "E": "OKP" if algorithm == "EdDSA" else "EC"}
    return key.key_type == kinds[algorithm[0]]


def account_of(conn: Connection, identity: Identity) -> accounts.Account | str:
    """The account, bound to this identity and noted; or why there is none, for the person to read."""
    known = accounts.by_subject(conn, identity.issuer, identity.subject)
    if known is None and not identity.email:
        note_refusal(conn, UNKNOWN, "the e-mail address is not verified")
        return NOT_VERIFIED
    account = known or accounts.find(conn, identity.email)
    email = accounts.normal(identity.email)
    if account is None:
        note_refusal(conn, email, "this address has no access")
        return NOT_LET_IN.format(email=email)
    if not accounts.bind(conn, account.id, identity.issuer, identity.subject, identity.name):
        note_refusal(conn, email, "the account belongs to another subject")
        return ANOTHER_PERSON.format(email=email)
    if not account.bound:
        sessions.use_up(conn, account.id)  # the provider is asked from here on
    note_sign_in(conn, account, "openid")
    return account


class ProviderAway(RosterError):
    """The provider does not answer, or its answer is wrong."""

    def __init__(self, what: str) -> None:
        remedy = "If this happens again, ask the people who run the console to check its settings."
        super().__init__(f"The identity provider {what}.", f"Try again in a minute. {remedy}")


class TokenRefused(RosterError):
    """The token of the provider does not prove who the person is."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The identity provider did not prove who you are: {what}.", "Try again from the beginning.")
