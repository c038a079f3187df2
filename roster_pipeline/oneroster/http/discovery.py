"""Finding out how a SIS wants to be spoken to: root, version and sign-in, from a pasted address and credentials.

First an unsigned look at every root that is possible tells which exist (401 and 403 are a yes). Then the ways of
signing in are tried against those, with few requests that carry the credentials, all of them to one host: a search must
lock nobody out, and teach nobody the secret. What worked is remembered, so that this is done once in the life of a
connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from roster_pipeline.oneroster.errors import (
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
    SignInRefused,
)
from roster_pipeline.oneroster.http.address import Root, host_of, roots, understand, with_query
from roster_pipeline.oneroster.http.auth import METHODS, BearerSignIn, NoMoreTries, OAuth1SignIn, SignIn
from roster_pipeline.oneroster.http.connected import Connected
from roster_pipeline.oneroster.http.endpoint import Endpoint
from roster_pipeline.oneroster.http.error_mapping import TokenRefused, failure_of, transient, unreadable
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import NamedElsewhere, NoToken, OAuth2SignIn
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.http.token_search import MOST_TRIES, TokenAddresses, find_form, scope_choices
from roster_pipeline.oneroster.paging.response_body import records_of


class RefusalOrigin(IntEnum):
    """Where a refusal came from, the most telling first."""

    ANSWERED = 0
    """From the API, after a sign-in that it took."""
    ELSEWHERE = 1
    """The SIS names a token address that a person has to confirm."""
    TOKEN = 2
    """From a token address, in the words of OAuth."""
    WILL_PASS = 3
    """An address that may be the right one failed in a way that will pass."""
    SIGNED = 4
    """A 401 of the API."""
    CRASHED = 5
    """What broke under a way of signing in that nobody has shown to be the right one."""
    LOOKED = 6
    """From an unsigned look."""


FEW_TRIES = 2
"""Tries of a way of signing in that nobody has shown to be the right one."""
SAMPLE = 20
"""Records that are looked at, of a server that sends them all although one was asked for."""


class Discovery:
    """One search. `find` raises the refusal that tells the owner most."""

    def __init__(self, session: HttpSession) -> None:
        self._session = session
        self._endpoint: Endpoint = session.endpoint
        self._address = understand(self._endpoint.base_url)
        self._refusals: list[tuple[RefusalOrigin, OneRosterError]] = []
        self._signs = False

    def find(self) -> Connected:
        """The first root and sign-in that answer. A failure that will pass is raised, because what it hides might be
        the better choice: a version found on a bad night would rename everybody."""
        looked = self._look_around()
        allowance = self._session.allowance
        allowance.left = MOST_TRIES
        try:
            for sign_in, root in self._ways(looked):
                self._session.sign_in = sign_in
                if self._answers(root):
                    allowance.left = None
                    return Connected(self._address, root.url, self._version(root), sign_in)
        except NoMoreTries:
            pass
        finally:
            allowance.left = None
        self._session.sign_in = SignIn()
        raise self._verdict()

    def _note(self, telling: RefusalOrigin, problem: OneRosterError) -> None:
        self._refusals.append((telling, problem))

    def _look_around(self) -> list[Root]:
        """The possible roots, those that exist first. Raises what no other root of the same host can cure."""
        candidates = roots(self._address, self._endpoint.version)
        unsure: list[Root] = []
        self._session.sign_in = SignIn()
        for place, root in enumerate(candidates):
            try:
                self._first_records(root, "/orgs")
            except SignInRefused as wanted:
                self._signs = wanted.challenge == "oauth"
            except (Refused, RequestRefused):
                pass
            except (NotOffered, NotOneRoster, Redirected, ServerFailed) as problem:
                if transient(problem):
                    raise
                self._note(RefusalOrigin.LOOKED, problem)
                unsure += [root] if isinstance(problem, ServerFailed) else []
                continue
            return [root, *unsure, *candidates[place + 1 :]]
        for _, moved in self._refusals:
            if isinstance(moved, Redirected):
                raise moved  # nothing of the SIS is at this address
        return candidates

    def _ways(self, found: list[Root]) -> Iterator[tuple[SignIn, Root]]:
        """Sign-ins and the root to try each at, best first."""
        endpoint, kind = self._endpoint, self._endpoint.sign_in
        if kind == "auto" and not endpoint.client_id and not endpoint.client_secret:
            yield from ((SignIn(), root) for root in found)
            return
        if kind == "bearer" or (kind == "auto" and not endpoint.client_id):
            yield from ((BearerSignIn(endpoint.client_secret), root) for root in found)
            return
        signed = sorted(found, key=lambda root: root.version == "1.2")
        if kind == "oauth1":
            yield from self._signatures(signed)
            return
        by_token = kind == "oauth2" or endpoint.token_url is not None
        if self._signs and not by_token:
            yield from self._signatures(signed)
            return
        yield from self._tokens(found)
        if by_token or self._is_settled():
            return
        yield from self._signatures([root for root in signed if root.version != "1.2"])
        yield from ((BearerSignIn(endpoint.client_secret), root) for root in found[:1])

    def _is_settled(self) -> bool:
        """Whether an answer was so telling that nothing else is tried: the credentials go no further."""
        return any(telling <= RefusalOrigin.TOKEN for telling, _ in self._refusals)

    def _signatures(self, found: list[Root]) -> Iterator[tuple[SignIn, Root]]:
        for root in found:
            for method in METHODS:
                yield OAuth1SignIn(self._endpoint.client_id, self._endpoint.client_secret, method), root

    def _tokens(self, found: list[Root]) -> Iterator[tuple[SignIn, Root]]:
        """Token sign-ins: for each root with the scopes of its version, at the token addresses that may be."""
        entered = self._endpoint.token_url
        urls = [entered] if entered else self._found_urls(found)
        refused: set[str] = set()
        for root in found:
            choices = scope_choices(root.version, self._endpoint.scopes)
            scopes = [scope for scope in choices if scope not in refused]
            for url in list(urls) if scopes else ():
                try:
                    sign_in = find_form(self._session, url, scopes)
                except NotOffered as problem:
                    urls.remove(url)
                    self._note(RefusalOrigin.TOKEN, SignInRefused(problem.message, problem.remedy))
                    if isinstance(problem, NoToken):
                        return
                except NamedElsewhere as problem:
                    self._note(RefusalOrigin.ELSEWHERE, problem)
                    return
                except TokenRefused as problem:
                    self._note(RefusalOrigin.TOKEN if problem.code else RefusalOrigin.SIGNED, problem)
                    if problem.code not in ("", "invalid_scope"):
                        return
                    refused.update(scopes if problem.code else ())
                else:
                    urls = [url]
                    yield sign_in, root
                    break

    def _found_urls(self, found: list[Root]) -> list[str]:
        addresses = TokenAddresses(self._session, self._address)
        urls = addresses.find(found)
        if urls:
            return urls
        if addresses.elsewhere is not None:
            self._note(RefusalOrigin.ELSEWHERE, addresses.elsewhere)
        if addresses.failure is not None:
            self._note(RefusalOrigin.WILL_PASS, addresses.failure)
        if addresses.crashed is not None:
            self._note(RefusalOrigin.CRASHED, addresses.crashed)
        if self._endpoint.sign_in == "oauth2":
            message = f"No token address was found at {host_of(self._address.base)}."
            self._note(RefusalOrigin.SIGNED, SignInRefused(message, "Enter the token URL that the SIS shows."))
        return []

    def _answers(self, root: Root) -> bool:
        """Whether the root speaks OneRoster to the sign-in just set."""
        proved = isinstance(self._session.sign_in, OAuth2SignIn) or self._endpoint.sign_in != "auto"
        for path in ("/orgs", "/schools", "/users"):
            try:
                self._first_records(root, path, None if proved else FEW_TRIES)
            except SignInRefused as problem:
                self._note(RefusalOrigin.SIGNED, problem)
                return False
            except NotOffered as problem:
                self._note(RefusalOrigin.LOOKED, problem)
            except Refused as problem:
                self._note(RefusalOrigin.ANSWERED, problem)
            except (RequestRefused, NotOneRoster, ServerFailed, Redirected) as problem:
                if transient(problem):
                    raise
                self._note(RefusalOrigin.ANSWERED if proved else RefusalOrigin.CRASHED, problem)
                if not unreadable(problem) or not proved:
                    return False
            else:
                return True
        return False

    def _first_records(self, root: Root, path: str, attempts: int | None = None) -> list[Any]:
        """One record of a collection, in the plain form of the request where the server takes no limit."""
        key = path.strip("/") if path != "/schools" else "orgs"
        found: list[list[Any]] = []

        def judge(response: Response, label: str) -> OneRosterError | None:
            failure = failure_of(response, label)
            if failure is None:
                try:
                    found[:] = [records_of(response, key, label).records[:SAMPLE]]
                except OneRosterError as problem:
                    return problem
            return failure

        plain, limited = (with_query(root.url + path, more, self._address.query) for more in ([], [("limit", "1")]))
        try:
            self._session.get_checked(limited, path, judge, attempts)
        except RequestRefused:
            self._session.get_checked(plain, path, judge, attempts)
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
        """The most telling of all refusals."""
        looked: tuple[RefusalOrigin, OneRosterError | None] = (RefusalOrigin.LOOKED, None)
        telling, best = min(self._refusals, key=lambda refusal: (refusal[0], _weight(refusal[1])), default=looked)
        if best is None or isinstance(best, NotOffered):
            return NotOneRoster(
                f"No OneRoster API was found at {host_of(self._address.base)}{self._address.path}.",
                "Check the URL; enter the address of the OneRoster API as the SIS shows it, and its token URL.",
            )
        guessed = self._endpoint.token_url is None and self._endpoint.sign_in == "auto"
        if telling == RefusalOrigin.SIGNED and guessed and isinstance(best, SignInRefused):
            best.remedy += " If the SIS shows a token URL, enter it: it could not be found out."
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
