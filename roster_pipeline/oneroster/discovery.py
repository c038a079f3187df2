"""Finding out how a SIS wants to be spoken to: root, version and sign-in, from a pasted address and credentials.

First an unsigned look at every root that is possible tells which exist (401 and 403 are a yes). Then the ways of
signing in are tried against those. What worked is remembered, so that this is done once in the life of a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roster_pipeline.oneroster.address import Root, host_of, roots, token_urls, understand, with_query
from roster_pipeline.oneroster.connected import Connected, OpenSignIn, Remembered
from roster_pipeline.oneroster.decoding import decoded
from roster_pipeline.oneroster.endpoint import Endpoint
from roster_pipeline.oneroster.envelope import records_of
from roster_pipeline.oneroster.errors import (
    Malformed,
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
    SignInRefused,
)
from roster_pipeline.oneroster.exchange import Exchange, NoSignIn
from roster_pipeline.oneroster.oauth1 import METHODS, OAuth1SignIn
from roster_pipeline.oneroster.oauth2 import BearerSignIn
from roster_pipeline.oneroster.token_search import find_form, scope_choices

LOOK_TRIES = 2
DISCOVERY_FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""Two names circulate for the file in which a 1.2 provider describes itself."""


class Discovery:
    """One search. `find` raises the refusal that tells the owner most."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._endpoint: Endpoint = exchange.endpoint
        self._address = understand(self._endpoint.base_url)
        self._refusals: list[OneRosterError] = []
        self._no_token_there: set[str] = set()

    def find(self) -> Connected:
        looked = self._look_around()
        for sign_in, root in self._ways(looked):
            self._exchange.sign_in = sign_in
            if self._answers(root):
                version = self._version(root)
                return Connected(self._address, root.url, version, sign_in)
        self._exchange.sign_in = NoSignIn()
        raise self._verdict()

    def _look_around(self) -> list[Root]:
        """The possible roots, those that exist first. Raises what no other root of the same host can cure."""
        candidates = roots(self._address, self._endpoint.version)
        there: list[Root] = []
        unsure: list[Root] = []
        absent: list[Root] = []
        self._exchange.sign_in = NoSignIn()
        for root in candidates:
            try:
                self._first_records(root, "/orgs")
                there.append(root)
            except (SignInRefused, Refused, RequestRefused):
                there.append(root)
            except ServerFailed as problem:
                if isinstance(problem, Malformed):
                    absent.append(root)
                else:
                    unsure.append(root)
                self._refusals.append(problem)
            except (NotOffered, NotOneRoster, Redirected) as problem:
                absent.append(root)
                self._refusals.append(problem)
            if there:
                break
        rest = [root for root in candidates if root not in there + unsure + absent]
        return there + unsure + absent + rest if not there else there + unsure + rest

    def _ways(self, found: list[Root]) -> Iterator[tuple[Remembered, Root]]:
        """Sign-ins and the root to try each at, best first."""
        endpoint, kind = self._endpoint, self._endpoint.sign_in
        nothing = not endpoint.client_id and not endpoint.client_secret
        if nothing and kind == "auto":
            yield from ((OpenSignIn(), root) for root in found)
            return
        if kind == "bearer" or (kind == "auto" and not endpoint.client_id):
            yield from ((BearerSignIn(endpoint.client_secret), root) for root in found)
            return
        signed = sorted(found, key=lambda root: root.version == "1.2")
        if kind == "oauth1":
            yield from self._signatures(signed)
            return
        yield from self._tokens(found)
        if kind == "auto" and endpoint.token_url is None:
            yield from self._signatures(signed)
            yield from ((BearerSignIn(endpoint.client_secret), root) for root in found)

    def _signatures(self, found: list[Root]) -> Iterator[tuple[Remembered, Root]]:
        for root in found:
            for method in METHODS:
                yield OAuth1SignIn(self._endpoint.client_id, self._endpoint.client_secret, method), root

    def _tokens(self, found: list[Root]) -> Iterator[tuple[Remembered, Root]]:
        """Token sign-ins: for each root with the scopes of its version, at the token addresses that may be."""
        certain: str | None = self._endpoint.token_url
        for root in found:
            scopes = scope_choices(root.version or self._fallback_version(), self._endpoint.scopes)
            for url in [certain] if certain else self._token_urls(root, found):
                try:
                    sign_in = find_form(self._exchange, url, scopes)
                except NotOffered as problem:
                    self._no_token_there.add(url)
                    if certain:
                        self._refusals.append(problem)
                    continue
                except SignInRefused as problem:
                    self._refusals.append(problem)
                    if getattr(problem, "code", ""):
                        certain = url
                        break
                    continue
                certain = url
                yield sign_in, root
                break

    def _fallback_version(self) -> str:
        return "1.1" if self._endpoint.version == "1.1" else "1.2"

    def _token_urls(self, root: Root, found: list[Root]) -> list[str]:
        described = self._described_token_url(root) if root.version == "1.2" else None
        guesses = token_urls(self._address, found)
        urls = [described, *guesses] if described else guesses
        return [url for url in urls if url not in self._no_token_there]

    def _described_token_url(self, root: Root) -> str | None:
        """The token address in the file with which a 1.2 provider describes itself, served without sign-in."""
        for name in DISCOVERY_FILES:
            try:
                reply = self._exchange.send("GET", f"{root.url}/discovery/{name}", "the discovery document")
                if reply.status == 200:
                    return _token_url_in(decoded(reply))
            except OneRosterError:
                continue
        return None

    def _answers(self, root: Root) -> bool:
        """Whether the root speaks OneRoster to the sign-in just set."""
        refusals: list[OneRosterError] = []
        for path in ("/orgs", "/schools", "/users"):
            try:
                self._first_records(root, path)
            except SignInRefused as problem:
                refusals.append(problem)
                break
            except (NotOffered, Refused, RequestRefused, NotOneRoster, ServerFailed, Redirected) as problem:
                refusals.append(problem)
                if isinstance(problem, NotOneRoster | ServerFailed | Redirected):
                    break
            else:
                return True
        self._refusals += refusals
        return False

    def _first_records(self, root: Root, path: str) -> list[Any]:
        """One record of a collection, in the plain form of the request where the server takes no limit."""
        url = with_query(root.url + path, [("limit", "1")], self._address.query)
        try:
            reply = self._exchange.get(url, path, LOOK_TRIES)
        except RequestRefused:
            reply = self._exchange.get(with_query(root.url + path, [], self._address.query), path, LOOK_TRIES)
        return records_of(reply, path.strip("/") if path != "/schools" else "orgs", path)[0]

    def _version(self, root: Root) -> str:
        """The version by setting, else by what a user looks like, else by the path."""
        if self._endpoint.version != "auto":
            return self._endpoint.version
        for path in ("/users", "/students", "/teachers"):
            try:
                records = self._first_records(root, path)
            except OneRosterError:
                continue
            shown = version_of(records)
            if shown is not None:
                return shown
            break
        return root.version or "1.1"

    def _verdict(self) -> OneRosterError:
        """The most telling of all refusals: credentials before permissions before failures before absence."""

        def weight(problem: OneRosterError) -> int:
            if isinstance(problem, SignInRefused):
                return 0 if getattr(problem, "code", "") else 1
            order = (Refused, ServerFailed, RequestRefused, Redirected, NotOneRoster, NotOffered)
            return 2 + next((place for place, kind in enumerate(order) if isinstance(problem, kind)), len(order))

        best = min(self._refusals, key=weight, default=None)
        if isinstance(best, NotOffered) or best is None:
            return NotOneRoster(
                f"No OneRoster API was found at {host_of(self._address.base)}{self._address.path}.",
                "Check the URL; enter the address of the OneRoster API as the SIS shows it, and its token URL.",
            )
        if isinstance(best, SignInRefused) and not getattr(best, "code", "") and self._endpoint.token_url is None:
            return SignInRefused(
                best.message, best.remedy + " If the SIS shows a token URL, enter it: it could not be found out."
            )
        return best


def version_of(records: list[Any]) -> str | None:
    """The version a user record shows: `roles` is 1.2, `role` is 1.1."""
    for record in records:
        if isinstance(record, dict):
            if isinstance(record.get("roles"), list | dict):
                return "1.2"
            if "role" in record:
                return "1.1"
    return None


def _token_url_in(document: Any) -> str | None:
    """tokenUrl of the client-credentials flow of an OpenAPI 3 document; only an encrypted one."""
    try:
        schemes = document["components"]["securitySchemes"].values()
        urls = [scheme["flows"]["clientCredentials"]["tokenUrl"] for scheme in schemes if "flows" in scheme]
    except (KeyError, TypeError, AttributeError):
        return None
    return next((url for url in urls if isinstance(url, str) and url.startswith(("https://", "http://"))), None)
