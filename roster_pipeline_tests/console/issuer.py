"""An identity provider on loopback that signs with its own key, checks PKCE, and makes mistakes on demand."""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "roster-console", "s3cret/with:signs"


@dataclass
class Issuer:
    """The next answers of the provider. `claims` replace those of a good token; None removes one."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    algorithm: str = "RS256"
    header: dict[str, Any] = field(default_factory=dict)
    another_key: bool = False
    published_name: str = ""
    published: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    exchanges: int = 0
    key: Any = field(default_factory=cache(lambda: rsa.generate_private_key(65537, 2048)))
    key_id: str = "first"

    def app(self) -> Starlette:
        """The provider's pages."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.document),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
                Route("/userinfo", self.more),
            ]
        )

    def document(self, _: Request) -> Response:
        found = {
            "issuer": self.published_name or self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        found |= self.published
        return JSONResponse(found | ({"userinfo_endpoint": f"{self.url}/userinfo"} if self.userinfo else {}))

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        said = {"error": self.error} if self.error else {"code": f"code-{len(self.asked) - 1}"}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(said | {'state': asked['state']})}", 302)

    async def token(self, request: Request) -> Response:
        self.exchanges += 1
        sent = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.asked[int(sent["code"].removeprefix("code-"))]
        proof = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        basic = base64.b64encode(f"{CLIENT}:s3cret%2Fwith%3Asigns".encode()).decode()
        good = (
            proof == asked["code_challenge"]
            and asked["code_challenge_method"] == "S256"
            and sent["redirect_uri"] == asked["redirect_uri"]
            and request.headers["authorization"] == f"Basic {basic}"
        )
        if not good:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        plain = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email": "lincoln-owner@example.org",
            "email_verified": True,
            "name": "Lou Owner",
        }
        claims = {name: value for name, value in (plain | self.claims).items() if value is not None}
        return JSONResponse({"id_token": self.signed(claims), "access_token": "opaque", "token_type": "Bearer"})

    def signed(self, claims: dict[str, Any]) -> str:
        """The token of claims, by the way that was chosen."""
        key = rsa.generate_private_key(65537, 2048) if self.another_key else self.key
        if self.algorithm == "none":
            return jwt.encode(claims, "", algorithm="none")
        if self.algorithm == "HS256":  # the public key as the secret, which confuses careless readers
            return jwt.encode(claims, b"0" * 64, algorithm="HS256", headers={"kid": self.key_id})
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.key_id} | self.header)

    def keys(self, _: Request) -> Response:
        kind = (
            jwt.algorithms.ECAlgorithm
            if isinstance(self.key, ec.EllipticCurvePrivateKey)
            else jwt.algorithms.RSAAlgorithm
        )
        own = json.loads(kind.to_jwk(self.key.public_key()))
        keys = [own | {"kid": self.key_id, "use": "sig"}, {"kty": "unheard-of", "kid": "new"}]
        return JSONResponse({"keys": self.published.get("keys", keys)})

    def more(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer opaque"
        return JSONResponse(self.userinfo)


def query_of(address: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
