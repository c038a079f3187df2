"""In which form a server wants the token request.

The standard's form comes first (Basic header, form body, both scopes); what else is tried depends on how the server
refuses: `invalid_client` moves the credentials, `invalid_scope` changes the scopes, any other refusal moves the
parameters into the query. The form that worked is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote_plus

from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import OAuth2SignIn, TokenForm
from roster_pipeline.oneroster.http.remedies import TokenRefused
from roster_pipeline.oneroster.http.signed_in import NoMoreTries

MOST_TRIES = 6
"""Requests of a search that carry the credentials: fewer than what locks an application out."""
FINAL = frozenset(("unauthorized_client", "unsupported_grant_type", "access_denied"))
"""Refusals that no other form of the request would change."""
SCOPE_PREFIX = {
    "1.1": "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    "1.2": "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}


def scope_choices(version: str | None, chosen: str | None) -> list[str]:
    """Scope texts to ask for, best first. Never of two versions at once: some servers choose the API by them.

    version: of the root; None is not known.
    """
    if chosen is not None:
        text = " ".join(chosen.replace(",", " ").split())
        twin = text.replace("https://", "http://") if "https://" in text else text.replace("http://", "https://")
        return list(dict.fromkeys((text, twin)))
    own, other = ("1.1", "1.2") if version == "1.1" else ("1.2", "1.1")
    core, both, turned = _texts(SCOPE_PREFIX[own])
    short = "roster-core.readonly roster.readonly"
    if version is None:
        return [both, _texts(SCOPE_PREFIX[other])[1], core, both.replace("https://", "http://"), short, ""]
    return [both, core, both.replace("https://", "http://"), short, turned, ""]


def _texts(prefix: str) -> tuple[str, str, str]:
    """The scope of the core, and both scopes of rostering in either order: some servers compare the whole text."""
    core, full = prefix + "roster-core.readonly", prefix + "roster.readonly"
    return core, f"{core} {full}", f"{full} {core}"


def placements(client_id: str, secret: str) -> list[str]:
    """Where to put the credentials, best first; the two spellings of Basic only where they differ."""
    differ = quote_plus(client_id) != client_id or quote_plus(secret) != secret
    ways = ["basic", "basic-encoded", "body"] if differ else ["basic", "body"]
    if ":" in client_id:
        ways.remove("basic")
    return ways


def find_form(exchange: HttpSession, token_url: str, scopes: list[str]) -> OAuth2SignIn:
    """Try the forms of a token request until one is accepted. Raises the refusal that says most."""
    refusals: list[TokenRefused] = []
    for form in _forms(exchange, scopes, refusals):
        sign_in = OAuth2SignIn(exchange, token_url, form)
        try:
            sign_in.authorise()
        except TokenRefused as refusal:
            refusals.append(refusal)
            if refusal.code in FINAL:
                break
            continue
        except NoMoreTries:
            if not refusals:
                raise
            break
        return sign_in
    raise min(refusals, key=lambda refusal: (refusal.code != "invalid_client", refusal.code == "", refusal.status))


def _forms(exchange: HttpSession, scopes: list[str], refusals: list[TokenRefused]) -> Iterator[TokenForm]:
    """Forms, each next one chosen by the last refusal."""
    endpoint = exchange.endpoint
    for placement in placements(endpoint.client_id, endpoint.client_secret):
        for parameters in ("form", "query"):
            if placement == "body" and parameters == "query":
                continue  # a secret in a URL ends up in logs
            for scope in scopes:
                yield TokenForm(placement, parameters, scope)
                if refusals[-1].code != "invalid_scope":
                    break
            if refusals[-1].code == "invalid_client":
                break
        if refusals[-1].code == "invalid_scope":
            break  # the credentials were taken; elsewhere they would fare no better
