"""Finds out root, version and sign-in of a SIS from a pasted address and credentials.

First, requests without credentials show which of the possible roots exist (401 and 403 mean that one does). Then the
ways to sign in are tried on those. Few requests carry the credentials, and all go to one host, so that a search does
not lock the application out and does not leak the secret. The result is remembered: a connection searches once.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from roster_pipeline.oneroster.collections.response_body import records_of
from roster_pipeline.oneroster.errors import (
    Busy,
    NamedElsewhere,
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
    SignInRefused,
)
from roster_pipeline.oneroster.http.auth import METHODS, NoMoreTries, SignIn, bearer, oauth1
from roster_pipeline.oneroster.http.endpoint import Endpoint, Root, host_of, roots, understand, with_query
from roster_pipeline.oneroster.http.error_mapping import TokenRefused, in_context, transient, unreadable
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.oauth2 import LABEL, Connected, NoToken, OAuth2SignIn
from roster_pipeline.oneroster.http.response import Response
from roster_pipeline.oneroster.http.token_search import MOST_TRIES, TokenAddresses, find_form, scope_choices


class RefusalOrigin(IntEnum):
    """The origin of a refusal. The most informative origin comes first."""

    ANSWERED = 0
    """From the API, after it accepted the sign-in."""
    ELSEWHERE = 1
    """The SIS names a token address on another host, which a person must enter."""
    TOKEN = 2
    """From a token address, with an OAuth error code."""
    TEMPORARY = 3
    """A possible token address failed temporarily."""
    SIGNED = 4
    """A 401 of the API."""
    CRASHED = 5
    """A failure under a sign-in that is not known to be the right one."""
    UNSIGNED = 6
    """From a request without credentials."""


FEW_TRIES = 2
"""Attempts with a sign-in that is not known to be the right one."""
SAMPLE = 20
"""Records to look at if a server sends all of them although one was requested."""


class Discovery:
    def __init__(self, session: HttpSession) -> None:
        self._session = session
        self._endpoint: Endpoint = session.endpoint
        self._address = understand(self._endpoint.base_url)
        self._refusals: list[tuple[RefusalOrigin, OneRosterError]] = []
        self._signs = False

    def find(self) -> Connected:
        """The first root and sign-in that work. Raises the most informative refusal if none does.

        Raises a temporary failure at once: the failing root may be the right one, and a wrong version changes
        everybody's ids.
        """
        candidates = self._existing_roots()
        allowance = self._session.allowance
        allowance.left = MOST_TRIES
        try:
            for sign_in, root in self._ways(candidates):
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

    @property
    def _had_tokens(self) -> bool:
        """Whether an earlier session got its tokens from an address that it found."""
        learned: Any = self._endpoint.learned
        return learned.get("base") == self._address.base and (learned.get("sign_in") or {}).get("kind") == "oauth2"

    def _note(self, origin: RefusalOrigin, problem: OneRosterError) -> None:
        self._refusals.append((origin, problem))

    def _existing_roots(self) -> list[Root]:
        """The possible roots, those that exist first. Raises failures that concern the whole host."""
        candidates = roots(self._address, self._endpoint.version)
        unsure: list[Root] = []
        self._session.sign_in = SignIn()
        for place, root in enumerate(candidates):
            try:
                self._first_records(root, "/orgs")
            except (SignInRefused, Refused) as wanted:
                self._signs = wanted.challenge == "oauth"
                self._note(RefusalOrigin.UNSIGNED, self._no_token_address())
            except RequestRefused:
                pass
            except (NotOffered, NotOneRoster, Redirected, ServerFailed) as problem:
                if transient(problem):
                    raise
                self._note(RefusalOrigin.UNSIGNED, problem)
                unsure += [root] if isinstance(problem, ServerFailed) else []
                continue
            return [root, *unsure, *candidates[place + 1 :]]
        if moved := next((one for _, one in self._refusals if isinstance(one, Redirected)), None):
            raise moved  # nothing of the SIS is at this address
        return candidates

    def _ways(self, candidates: list[Root]) -> Iterator[tuple[SignIn, Root]]:
        """Sign-ins, each with the root to try it on, best first."""
        endpoint, kind = self._endpoint, self._endpoint.sign_in
        if kind == "auto" and not endpoint.client_id and not endpoint.client_secret:
            yield from ((SignIn(), root) for root in candidates)
            return
        if kind == "bearer" or (kind == "auto" and not endpoint.client_id):
            yield from ((bearer(endpoint.client_secret), root) for root in candidates)
            return
        signed = sorted(candidates, key=lambda root: root.version == "1.2")
        by_token = kind == "oauth2" or endpoint.token_url is not None
        if kind == "oauth1" or (self._signs and not by_token):
            yield from self._signatures(root for root in signed if self._exists(root))
            return
        yield from self._tokens(candidates)
        clear = any(origin <= RefusalOrigin.TOKEN for origin, _ in self._refusals)
        if by_token or clear:  # else the credentials would be sent to more places
            return
        yield from self._signatures([root for root in signed if root.version != "1.2"])
        yield from ((bearer(endpoint.client_secret), root) for root in candidates[:1])

    def _exists(self, root: Root) -> bool:
        """Asked without credentials, so that a root that is not there uses up none of the tries."""
        self._session.sign_in = SignIn()
        try:
            self._first_records(root, "/orgs", FEW_TRIES)
        except OneRosterError as problem:
            return not isinstance(problem, NotOffered)
        return True

    def _signatures(self, candidates: Iterable[Root]) -> Iterator[tuple[SignIn, Root]]:
        for root in candidates:
            for method in METHODS:
                yield oauth1(self._endpoint.client_id, self._endpoint.client_secret, method), root

    def _tokens(self, candidates: list[Root]) -> Iterator[tuple[SignIn, Root]]:
        """Token sign-ins: for each root the scopes of its version, at each possible token address."""
        entered = self._endpoint.token_url
        urls = [entered] if entered else self._found_urls(candidates)
        refused: set[str] = set()
        for root in candidates:
            choices = scope_choices(root.version, self._endpoint.scopes)
            scopes = [scope for scope in choices if scope not in refused]
            for url in list(urls) if scopes else ():
                try:
                    sign_in = find_form(self._session, url, scopes)
                except NotOffered as problem:
                    urls.remove(url)
                    self._note_no_tokens(problem)
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

    def _note_no_tokens(self, problem: NotOffered) -> None:
        """Note that a token address gives no tokens."""
        fitting = in_context(problem, LABEL, self._session.situation)
        refused = SignInRefused(fitting.message, fitting.remedy)
        refused.retryable = fitting.retryable
        self._note(RefusalOrigin.TOKEN, refused)

    def _found_urls(self, candidates: list[Root]) -> list[str]:
        addresses = TokenAddresses(self._session, self._address)
        urls = addresses.find(candidates)
        if urls:
            return urls
        if addresses.elsewhere is not None:
            self._note(RefusalOrigin.ELSEWHERE, addresses.elsewhere)
        elif isinstance(addresses.failure, Busy):
            raise addresses.failure
        if addresses.failure is not None:
            self._note(RefusalOrigin.TEMPORARY, addresses.failure)
        if addresses.crashed is not None:
            addresses.crashed.remedy = "If this is not the SIS's token address, enter the token URL that the SIS shows."
            self._note(RefusalOrigin.CRASHED, addresses.crashed)
        if self._had_tokens and addresses.failure is None:
            self._note_no_tokens(NotOffered("The token address of the SIS no longer gives tokens.", ""))
        elif self._endpoint.sign_in == "oauth2":
            self._note(RefusalOrigin.SIGNED, self._no_token_address())
        return []

    def _no_token_address(self) -> SignInRefused:
        message = f"No token address was found at {host_of(self._address.base)}."
        return SignInRefused(message, "Enter the token URL that the SIS shows.")

    def _answers(self, root: Root) -> bool:
        """Whether the root answers with OneRoster records to the sign-in that was just set."""
        proved = isinstance(self._session.sign_in, OAuth2SignIn) or self._endpoint.sign_in != "auto"
        for path in ("/orgs", "/schools", "/users"):
            try:
                self._first_records(root, path, None if proved else FEW_TRIES)
            except SignInRefused as problem:
                self._note(RefusalOrigin.SIGNED, problem)
                return False
            except NotOffered as problem:
                self._note(RefusalOrigin.UNSIGNED, problem)
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
        """The first records of a collection. Asks for one; without a limit if the server refuses a limit."""
        key = path.strip("/") if path != "/schools" else "orgs"

        def records(response: Response) -> list[Any]:
            return records_of(response, key, path).records[:SAMPLE]

        plain, limited = (with_query(root.url + path, more, self._address.query) for more in ([], [("limit", "1")]))
        try:
            return self._session.read(limited, path, records, attempts)
        except RequestRefused:
            return self._session.read(plain, path, records, attempts)

    def _version(self, root: Root) -> str:
        """The version: as set, else by the shape of a user, else by the path."""
        if self._endpoint.version != "auto":
            return self._endpoint.version
        for path in ("/users", "/students", "/teachers"):
            try:
                records = self._first_records(root, path)
            except (NotOffered, Refused, RequestRefused, NotOneRoster, ServerFailed) as problem:
                if transient(problem):
                    raise
                continue
            return version_of(records) or root.version or "1.1"
        return root.version or "1.1"

    def _verdict(self) -> OneRosterError:
        """The most informative of all refusals."""
        nothing: tuple[RefusalOrigin, OneRosterError | None] = (RefusalOrigin.UNSIGNED, None)
        origin, best = min(self._refusals, key=lambda refusal: (refusal[0], _weight(refusal[1])), default=nothing)
        if best is None or isinstance(best, NotOffered):
            nothing_there = NotOneRoster(
                f"No OneRoster API was found at {host_of(self._address.base)}{self._address.path}.",
                "Check the URL. Enter the address of the OneRoster API as the SIS shows it, and its token URL.",
            )
            return in_context(nothing_there, "/orgs", self._session.situation)
        if isinstance(best, NamedElsewhere) and self._session.situation.worked:
            best.retryable = True
            best.remedy = f"This connection has worked before, so this may be maintenance. {best.remedy}"
        guessed = self._endpoint.token_url is None and self._endpoint.sign_in == "auto"
        if origin == RefusalOrigin.SIGNED and guessed and isinstance(best, SignInRefused):
            best.remedy += " If the SIS shows a token URL, enter it: it could not be found automatically."
        return best


def _weight(problem: OneRosterError) -> int:
    order = (Refused, ServerFailed, RequestRefused, Redirected, NotOneRoster, NotOffered)
    return next((place for place, kind in enumerate(order) if isinstance(problem, kind)), -1)


def version_of(records: list[Any]) -> str | None:
    """The version that user records show: `roles` is 1.2, `role` is 1.1. None if they show neither."""
    for record in records:
        if isinstance(record, dict):
            if isinstance(record.get("roles"), list | dict):
                return "1.2"
            if "role" in record:
                return "1.1"
    return None
