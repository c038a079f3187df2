"""Finds where a SIS gives out tokens, and which form of the token request it accepts.

The address: each possible address is asked without the secret. A token endpoint answers a request without credentials
with an OAuth error; other paths answer differently. So the Client Secret goes only to an address that has answered this
way, on the SIS's own host. A token address on another host that the SIS names is only reported; a person must enter it.

The form: the standard's form comes first (Basic header, form body, both scopes). Then the server's refusal decides:
`invalid_client` moves the credentials, `invalid_scope` changes the scopes, any other refusal moves the parameters into
the query, and at last into JSON. The form that worked is remembered.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote_plus, urlsplit

from roster_pipeline.oneroster.errors import Busy, NamedElsewhere, OneRosterError, ServerFailed, TokenFailed
from roster_pipeline.oneroster.http.auth import NoMoreTries
from roster_pipeline.oneroster.http.endpoint import Address, Root, resolved, same_origin, token_urls
from roster_pipeline.oneroster.http.error_mapping import (
    ABSENT_STATUSES,
    BROKEN_STATUS,
    RETRY_STATUSES,
    TokenRefused,
    named_elsewhere,
)
from roster_pipeline.oneroster.http.http_session import HttpSession
from roster_pipeline.oneroster.http.json_decoding import decoded
from roster_pipeline.oneroster.http.oauth2 import (
    IN_BODY,
    LABEL,
    REDIRECT_STATUSES,
    OAuth2SignIn,
    TokenForm,
    chosen_scopes,
    error_code,
    json_object,
    token_failed,
)
from roster_pipeline.oneroster.http.response import Response

MOST_TRIES = 6
"""Requests of a search that may carry the credentials. Fewer than what locks an application out."""
NOT_THIS_TYPE = 415
"""The HTTP status of a server that does not read forms."""
FINAL = frozenset(("unauthorized_client", "unsupported_grant_type", "access_denied"))
"""Refusals that no other form of the request can avoid."""
SCOPE_PREFIX = {
    "1.1": "https://purl.imsglobal.org/spec/or/v1p1/scope/",
    "1.2": "https://purl.imsglobal.org/spec/or/v1p2/scope/",
}

_SCOPES = ("roster-core.readonly", "roster.readonly")


def scope_choices(version: str | None, chosen: str | None) -> list[str]:
    """Scope strings to request, best first. Never of two versions at once: some servers choose the API by them.

    version: of the root; None if unknown. chosen: the owner's scopes; None if not set.
    """
    if chosen is not None:
        return chosen_scopes(chosen)
    own, other = ("1.1", "1.2") if version == "1.1" else ("1.2", "1.1")
    core, full = (SCOPE_PREFIX[own] + scope for scope in _SCOPES)
    both = f"{core} {full}"
    others = [] if version else [" ".join(SCOPE_PREFIX[other] + scope for scope in _SCOPES)]
    # Some servers grant only one of the two, and some compare the whole text.
    return [both, *others, core, full, both.replace("https://", "http://"), " ".join(_SCOPES), f"{full} {core}", ""]


def placements(client_id: str, secret: str) -> list[str]:
    """Where to put the credentials, best first. Both spellings of Basic are tried only if they differ."""
    differ = quote_plus(client_id) != client_id or quote_plus(secret) != secret
    ways = ["basic", "basic-encoded", "body", "both"] if differ else ["basic", "body", "both"]
    if ":" in client_id:
        ways.remove("basic")
    return ways


def find_form(session: HttpSession, token_url: str, scopes: list[str]) -> OAuth2SignIn:
    """Try forms of the token request until one is accepted. Raises the clearest TokenRefused, or NoMoreTries.

    A form that crashes the server is like one that it refuses. If none was refused, the crash is raised.
    """
    refusals: list[TokenRefused] = []
    crash: OneRosterError | None = None
    for form in _forms(session, scopes, refusals):
        sign_in = OAuth2SignIn(session, token_url, form)
        try:
            sign_in.authorise()
        except TokenRefused as refusal:
            refusals.append(refusal)
            if refusal.code == "invalid_scope":
                session.allowance.give_back()
            if refusal.code in FINAL:
                break
            continue
        except NoMoreTries:
            if not refusals:
                raise
            break
        except (ServerFailed, TokenFailed) as failure:
            if failure.status != BROKEN_STATUS:
                raise
            crash = failure
            refusals.append(TokenRefused(BROKEN_STATUS, "", session.situation))
            continue
        return sign_in
    if crash is not None and all(refusal.status == BROKEN_STATUS for refusal in refusals):
        raise crash
    raise min(refusals, key=lambda refusal: (refusal.code != "invalid_client", refusal.code == "", refusal.status))


def _forms(session: HttpSession, scopes: list[str], refusals: list[TokenRefused]) -> Iterator[TokenForm]:
    """The forms to try. The last of `refusals`, which the caller appends to, decides the next one."""
    endpoint = session.endpoint
    for placement in placements(endpoint.client_id, endpoint.client_secret):
        # Servers write URLs to logs, so the secret must not be in one. JSON is for servers that do not read forms.
        for parameters in ("form", "query") if placement not in IN_BODY else ("form", "json"):
            if parameters == "json" and (placement == "both" or refusals[-1].code not in ("", "invalid_request")):
                continue
            if refusals and refusals[-1].status == NOT_THIS_TYPE and parameters != "json":
                continue
            for scope in scopes:
                yield TokenForm(placement, parameters, scope)
                if refusals[-1].code != "invalid_scope":
                    break
            if refusals[-1].code == "invalid_client":
                break
        if refusals[-1].code == "invalid_scope":
            break  # the credentials were accepted, so another placement changes nothing


DISCOVERY_FILES = ("onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json")
"""The two usual names of the file in which a 1.2 provider describes itself."""
MOST_LOOKS = 18
"""Possible token addresses that are tried without credentials."""
NOWHERE = "/roster-no-such-address"
"""A path that no SIS has. If it answers like a token endpoint, a gateway answers for all paths."""
_REQUEST = b"grant_type=client_credentials"
_TEMPLATES = ("example.com", "example.org", "localhost", "127.0.0.1", "server_address", "imsglobal.org", "1edtech.org")


class TokenAddresses:
    """Finds the token address of one SIS.

    elsewhere: the SIS named one on another host. failure: an address failed temporarily, so it may be the right one.
    crashed: an address answered 500.
    """

    def __init__(self, session: HttpSession, address: Address) -> None:
        self.elsewhere: NamedElsewhere | None = None
        self.failure: OneRosterError | None = None
        self.crashed: OneRosterError | None = None
        self._session = session
        self._address = address
        self._beside: dict[str, bool] = {}

    def find(self, candidates: Sequence[Root]) -> list[str]:
        """Addresses on the SIS's own host that may get the secret, the most certain first. candidates: best first."""
        shown = map(self._described, [root for root in candidates[:2] if root.version != "1.1"])
        described = next((url for url in shown if url is not None), None)
        if described is not None and not same_origin(described, self._address.base):
            self.elsewhere = NamedElsewhere("The SIS's description of its API", described)
            described = None
        guesses = token_urls(self._address, candidates)[:MOST_LOOKS]
        likely: list[str] = []
        for url in dict.fromkeys([described, *guesses] if described is not None else guesses):
            place, sure = self._look(url)
            if place is not None and (sure or url == described):
                return [place]
            if place is not None:
                likely.append(place)
            if isinstance(self.failure, Busy):
                break  # the host limits our requests, so more of them make it worse
        return [] if self.elsewhere is not None else [url for url in likely if not self._answers_everywhere(url)]

    def _answers_everywhere(self, url: str) -> bool:
        """Whether a path next to this address that cannot exist answers in the same way."""
        beside = url.partition("?")[0].rpartition("/")[0] + NOWHERE
        if beside not in self._beside:
            self._beside[beside] = self._look(beside)[0] is not None
        return self._beside[beside]

    def _look(self, url: str) -> tuple[str | None, bool]:
        """Ask without credentials. Returns the address that answered, if it may give tokens, and whether that is
        certain."""
        for _ in range(len(REDIRECT_STATUSES)):
            try:
                response = self._ask(url)
            except OneRosterError as problem:
                if problem.retryable and self.failure is None:
                    self.failure = problem
                return None, False
            if response.status not in REDIRECT_STATUSES:
                speaks_oauth = bool(error_code(response)) or "access_token" in json_object(response)
                return (url, True) if speaks_oauth else (url if _may_be(response) else None, False)
            target = resolved(url, response.headers.get("Location", ""))
            if not target:
                return None, False
            if not same_origin(target, self._address.base):
                self.elsewhere = self.elsewhere or named_elsewhere(target)
                return None, False
            url = target
        return None, False

    def _ask(self, url: str) -> Response:
        tried = 0
        while True:
            tried += 1
            response = self._session.send("POST", url, LABEL, None, _REQUEST)
            if response.status not in RETRY_STATUSES:
                return response
            failure = token_failed(response)
            if response.status == BROKEN_STATUS:
                self.crashed = self.crashed or failure
                return response
            if tried >= self._session.endpoint.limits.attempts:
                raise failure
            backoff = self._session.backoff
            backoff.wait(tried, backoff.retry_after(response), failure)

    def _described(self, root: Root) -> str | None:
        """The token address in the file in which a 1.2 provider describes itself. It needs no sign-in."""
        for name in DISCOVERY_FILES:
            try:
                response = self._session.send("GET", f"{root.url}/discovery/{name}", "the discovery document")
                if response.status == 200:
                    return next(_token_urls_in(decoded(response)), None)
            except OneRosterError:
                continue
        return None


def _may_be(response: Response) -> bool:
    """Whether a response without an OAuth error may still come from a token endpoint."""
    if response.status in ABSENT_STATUSES or response.status == BROKEN_STATUS or response.status // 100 == 3:
        return False
    if response.status // 100 != 2:
        return True
    try:
        decoded(response)
    except OneRosterError:
        return False
    return True


def _token_urls_in(document: Any) -> Iterator[str]:
    """tokenUrl of each client-credentials flow of an OpenAPI 3 document, except those of the standard's template."""
    try:
        schemes = document["components"]["securitySchemes"].values()
        urls = [scheme["flows"]["clientCredentials"]["tokenUrl"] for scheme in schemes if "flows" in scheme]
    except (KeyError, TypeError, AttributeError):
        return
    for url in urls:
        if isinstance(url, str) and url.startswith(("https://", "http://")) and "{" not in url and resolved(url):
            host = urlsplit(url).hostname or ""
            if host and not any(host == name or host.endswith("." + name) for name in _TEMPLATES):
                yield url
