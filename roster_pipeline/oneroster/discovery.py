"""Finding out how a SIS wants to be spoken to: root, version and sign-in, from a pasted address and credentials.

First an unsigned look at every root that is possible tells which exist (401 and 403 are a yes). Then the ways of
signing in are tried against those. What worked is remembered, so that this is done once in the life of a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roster_pipeline.oneroster.address import Root, host_of, roots, same_origin, token_urls, understand, with_query
from roster_pipeline.oneroster.connected import Connected, OpenSignIn, Remembered
from roster_pipeline.oneroster.decoding import decoded
from roster_pipeline.oneroster.endpoint import Endpoint
from roster_pipeline.oneroster.envelope import records_of
from roster_pipeline.oneroster.errors import (
    AddressNotAllowed,
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
    SignInRefused,
    TlsFailed,
    Unreachable,
)
from roster_pipeline.oneroster.exchange import Exchange
from roster_pipeline.oneroster.oauth1 import METHODS, OAuth1SignIn
from roster_pipeline.oneroster.oauth2 import BearerSignIn, NoToken, TokenRefused
from roster_pipeline.oneroster.outcomes import failure_of, transient, unreadable
from roster_pipeline.oneroster.reply import Reply
from roster_pipeline.oneroster.signed_in import NoSignIn
from roster_pipeline.oneroster.token_search import find_form, scope_choices

ANSWERED, TOKEN, SIGNED, LOOKED = range(4)
"""Where a refusal came from, the most telling first: from the API after a sign-in that it took, from a token address,
from an API that did not take the sign-in, from an unsigned look."""
SAMPLE = 20
"""Records that are looked at, of a server that sends them all although one was asked for."""
DISCOVERY_FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""Two names circulate for the file in which a 1.2 provider describes itself."""


class Discovery:
    """One search. `find` raises the refusal that tells the owner most."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._endpoint: Endpoint = exchange.endpoint
        self._address = understand(self._endpoint.base_url)
        self._refusals: list[tuple[int, OneRosterError]] = []
        self._signed_in = False
        self._no_token_there: set[str] = set()
        self._scopes_refused: set[str] = set()

    def find(self) -> Connected:
        """The first root and sign-in that answer. A failure that will pass is raised, because what it hides might be
        the better choice: a version found on a bad night would rename everybody."""
        looked = self._look_around()
        for sign_in, root in self._ways(looked):
            self._exchange.sign_in = sign_in
            if self._answers(root):
                return Connected(self._address, root.url, self._version(root), sign_in)
        self._exchange.sign_in = NoSignIn()
        raise self._verdict()

    def _look_around(self) -> list[Root]:
        """The possible roots, those that exist first. Raises what no other root of the same host can cure."""
        candidates = roots(self._address, self._endpoint.version)
        unsure: list[Root] = []
        self._exchange.sign_in = NoSignIn()
        for place, root in enumerate(candidates):
            try:
                self._first_records(root, "/orgs")
            except (SignInRefused, Refused, RequestRefused):
                pass
            except (NotOffered, NotOneRoster, Redirected, ServerFailed) as problem:
                if transient(problem):
                    raise
                self._refusals.append((LOOKED, problem))
                unsure += [root] if isinstance(problem, ServerFailed) else []
                continue
            return [root, *unsure, *candidates[place + 1 :]]
        return candidates

    def _ways(self, found: list[Root]) -> Iterator[tuple[Remembered, Root]]:
        """Sign-ins and the root to try each at, best first."""
        endpoint, kind = self._endpoint, self._endpoint.sign_in
        if kind == "auto" and not endpoint.client_id and not endpoint.client_secret:
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
        if kind == "auto" and endpoint.token_url is None and not self._signed_in:
            yield from self._signatures([root for root in signed if root.version != "1.2"])
            yield from ((BearerSignIn(endpoint.client_secret), root) for root in found[:1])

    def _signatures(self, found: list[Root]) -> Iterator[tuple[Remembered, Root]]:
        for root in found:
            for method in METHODS:
                yield OAuth1SignIn(self._endpoint.client_id, self._endpoint.client_secret, method), root

    def _tokens(self, found: list[Root]) -> Iterator[tuple[Remembered, Root]]:
        """Token sign-ins: for each root with the scopes of its version, at the token addresses that may be."""
        certain: str | None = self._endpoint.token_url
        for root in found:
            choices = scope_choices(root.version or self._fallback_version(), self._endpoint.scopes)
            scopes = [scope for scope in choices if scope not in self._scopes_refused]
            for url in ([certain] if certain else self._token_urls(root, found)) if scopes else ():
                try:
                    sign_in = find_form(self._exchange, url, scopes)
                except NotOffered as problem:
                    self._no_token_there.add(url)
                    if certain or isinstance(problem, NoToken):
                        self._refusals.append((TOKEN, SignInRefused(problem.message, problem.remedy)))
                    continue
                except (Unreachable, TlsFailed, AddressNotAllowed):
                    if certain or same_origin(url, self._address.base):
                        raise
                    self._no_token_there.add(url)  # a description that names an address nobody can reach
                    continue
                except TokenRefused as problem:
                    self._refusals.append((TOKEN if problem.code else SIGNED, problem))
                    if problem.code == "invalid_client":
                        return
                    if problem.code == "invalid_scope":
                        self._scopes_refused.update(scopes)
                    if problem.code:
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
        for path in ("/orgs", "/schools", "/users"):
            try:
                self._first_records(root, path)
            except SignInRefused as problem:
                self._refusals.append((SIGNED, problem))
                return False
            except NotOffered as problem:
                self._refusals.append((LOOKED, problem))
            except (Refused, RequestRefused) as problem:
                self._signed_in = True
                self._refusals.append((ANSWERED, problem))
            except (NotOneRoster, ServerFailed, Redirected) as problem:
                if transient(problem):
                    raise
                self._signed_in = True
                self._refusals.append((ANSWERED, problem))
                if not unreadable(problem):
                    return False
            else:
                return True
        return False

    def _first_records(self, root: Root, path: str) -> list[Any]:
        """One record of a collection, in the plain form of the request where the server takes no limit."""
        key = path.strip("/") if path != "/schools" else "orgs"
        found: list[list[Any]] = []

        def judge(reply: Reply, label: str) -> OneRosterError | None:
            failure = failure_of(reply, label)
            if failure is None:
                try:
                    found[:] = [records_of(reply, key, label).records[:SAMPLE]]
                except OneRosterError as problem:
                    return problem
            return failure

        try:
            self._exchange.get_checked(with_query(root.url + path, [("limit", "1")], self._address.query), path, judge)
        except RequestRefused:
            self._exchange.get_checked(with_query(root.url + path, [], self._address.query), path, judge)
        return found[0]

    def _version(self, root: Root) -> str:
        """The version by setting, else by what a user looks like, else by the path."""
        if self._endpoint.version != "auto":
            return self._endpoint.version
        for path in ("/users", "/students", "/teachers"):
            try:
                records = self._first_records(root, path)
            except (NotOffered, Refused, RequestRefused, NotOneRoster, ServerFailed) as problem:
                if transient(problem):
                    raise
                continue
            shown = version_of(records)
            if shown is not None:
                return shown
            break
        return root.version or "1.1"

    def _verdict(self) -> OneRosterError:
        """The most telling of all refusals: what answered to a sign-in, then the sign-in, then what was looked at."""
        rank, best = min(self._refusals, key=lambda refusal: (refusal[0], _weight(refusal[1])), default=(LOOKED, None))
        if best is None or isinstance(best, NotOffered):
            return NotOneRoster(
                f"No OneRoster API was found at {host_of(self._address.base)}{self._address.path}.",
                "Check the URL; enter the address of the OneRoster API as the SIS shows it, and its token URL.",
            )
        if rank == SIGNED and self._endpoint.token_url is None and isinstance(best, SignInRefused):
            return SignInRefused(
                best.message, best.remedy + " If the SIS shows a token URL, enter it: it could not be found out."
            )
        return best


def _weight(problem: OneRosterError) -> int:
    order = (Refused, ServerFailed, RequestRefused, Redirected, NotOneRoster, NotOffered)
    return next((place for place, kind in enumerate(order) if isinstance(problem, kind)), -1)


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
