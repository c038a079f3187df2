"""The result of a search for root, version and sign-in, and how the next session recalls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from roster_pipeline.oneroster.http.address import Address, same_origin, understand
from roster_pipeline.oneroster.http.auth import METHODS, BearerSignIn, OAuth1SignIn, SignIn
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import OAuth2SignIn, TokenForm
from roster_pipeline.oneroster.http.token_search import scope_choices


@dataclass
class Connected:
    """A root that answered, and the sign-in that it accepted. version: "1.1" or "1.2". remembered: found earlier."""

    address: Address
    root: str
    version: str
    sign_in: SignIn
    remembered: bool = False

    def learned(self) -> dict[str, Any]:
        """What the next session needs, as JSON values without secrets."""
        return {
            "base": self.address.base,
            "root": self.root,
            "version": self.version,
            "sign_in": self.sign_in.learned(),
        }


def recalled(session: HttpSession) -> Connected | None:
    """What an earlier session found. None if there is nothing, or if the owner's settings no longer fit it."""
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
        if endpoint.scopes is not None and form.get("scope") not in scope_choices(None, endpoint.scopes):
            return None
        sign_in = OAuth2SignIn(session, stored["token_url"], TokenForm(**form))
    elif kind == "oauth1" and stored.get("method") in METHODS:
        sign_in = OAuth1SignIn(endpoint.client_id, endpoint.client_secret, stored["method"])
    elif kind == "bearer":
        sign_in = BearerSignIn(endpoint.client_secret)
    elif kind == "open":
        sign_in = SignIn()
    else:
        return None
    return Connected(address, root, version, sign_in, remembered=True)
