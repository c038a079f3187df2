"""Typed errors, with a remedy, for what a server or the network did. They never contain text of the server.

The remedy depends on the connection: one that has worked before needs other advice than one that is being set up.
"""

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from roster_pipeline.oneroster.errors import (
    Busy,
    Malformed,
    NamedElsewhere,
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    RequestRefused,
    ServerFailed,
    SignInRefused,
    TooSlow,
    Unreachable,
)
from roster_pipeline.oneroster.http.endpoint import MOST_SKEW
from roster_pipeline.oneroster.http.json_decoding import decoded
from roster_pipeline.oneroster.http.response import Response, StatusInfo, read_status

RETRY_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))
ABSENT_STATUSES = frozenset((404, 405, 410, 501))
NO_CONTENT = 204
QUOTA_STATUS = 403
BROKEN_STATUS = 500
UNKNOWN_TOO = (400, 403, 422, BROKEN_STATUS)
"""Statuses under which some servers say that they do not have one object, with the code of the standard for that."""
LONGEST_SHOWN = 200
LATER = "It is tried again at the next sync; if it lasts, ask the SIS's administrator."


STATUS_OF_CODE = {
    "unauthorisedrequest": 401, "forbidden": 403, "unknownobject": 404, "server_busy": 429, "invalid_filter_field": 400,
    "invaliddata": 400, "unsupportedoperation": 405,
}  # fmt: skip
"""The HTTP status that fits a code of the standard."""


def failure_of(response: Response, label: str) -> OneRosterError | None:
    """The error for the HTTP status of a response; None for 2xx.

    204 counts like 404: it does not say that a list is empty. A failure inside a 200 is found with its records.
    """
    if response.status == NO_CONTENT:
        return error_for(NO_CONTENT, StatusInfo(False, None), label)
    if 200 <= response.status < 300:
        return None
    if is_quota(response):
        return _busy(f"{response.status} at {label}")
    try:
        status = read_status(decoded(response))
    except OneRosterError:
        status = StatusInfo(False, None)
    unknown = status.code == "unknownobject" and response.status in UNKNOWN_TOO and label.endswith("{id}")
    challenge = next(iter(response.headers.get("WWW-Authenticate", "").split()), "").lower().strip(",")
    error = error_for(404 if unknown else response.status, status, label, challenge)
    error.web_page = is_web_page(response)
    return error


def is_quota(response: Response) -> bool:
    """Whether a 403 says when to come again, as gateways do if a quota is used up."""
    return response.status == QUOTA_STATUS and "Retry-After" in response.headers


def is_web_page(response: Response) -> bool:
    """Whether a body is HTML or XML."""
    return response.body[:LONGEST_SHOWN].lstrip().startswith(b"<")


def _busy(shown: str) -> Busy:
    return Busy(
        f"The SIS is limiting our requests ({shown}).",
        "It is tried again at the next sync. If it happens often, choose another sync time, or ask the SIS's vendor to "
        "allow more requests.",
    )


def error_for(http_status: int, status: StatusInfo, label: str, challenge: str = "") -> OneRosterError:
    """The typed error for an HTTP status. challenge: the scheme in WWW-Authenticate, in lower case."""
    error = _error(http_status, status, label, challenge)
    error.status = http_status
    error.challenge = challenge
    return error


def transient(problem: OneRosterError) -> bool:
    """Whether a failure is temporary and tells nothing about the address: too busy, too slow, not reached."""
    return isinstance(problem, Busy | TooSlow | Unreachable) or problem.status == 503


def unreadable(problem: OneRosterError) -> bool:
    """Whether a failure concerns one collection only, so that another may be tried instead: the collection is not
    offered, not allowed, or its code fails (500). False for temporary failures, and for those of a token address."""
    broken = isinstance(problem, ServerFailed) and problem.status == BROKEN_STATUS
    return isinstance(problem, NotOffered | Refused | RequestRefused) or broken


def _error(http_status: int, status: StatusInfo, label: str, challenge: str) -> OneRosterError:
    shown = f"{http_status} {status.code}" if status.code else str(http_status)
    if http_status == 401:
        if challenge in ("negotiate", "ntlm"):
            return NotOneRoster(
                f"The address of the SIS asks for a Windows sign-in ({shown} at {label}).",
                "This is a portal, not the OneRoster API. Use the API's own address, without single sign-on in front.",
            )
        return SignInRefused(
            f"The SIS refused the sign-in ({shown} at {label}).",
            "Check Client ID and Client Secret in the SIS; they may have been replaced or may have expired.",
        )
    if http_status == 403:
        return Refused(
            f"The SIS does not allow us to read {label} ({shown}).",
            "Grant this permission, and a share of the school, to the application in the SIS.",
        )
    if http_status in ABSENT_STATUSES or http_status == NO_CONTENT:
        return NotOffered(f"The SIS does not offer {label} ({shown}).", "Check the URL, and what the SIS publishes.")
    if http_status == 429:
        return _busy(f"{shown} at {label}")
    if http_status in RETRY_STATUSES or http_status >= 500:
        return ServerFailed(f"The SIS failed ({shown} at {label}).", LATER)
    return RequestRefused(
        f"The SIS refused the request for {label} ({shown}).", "Check the connection's version and page size."
    )


def failure_in_good_status(status: StatusInfo, label: str) -> OneRosterError:
    """The error for a status object that reports a failure in a response with HTTP 200."""
    http_status = STATUS_OF_CODE.get(status.code or "")
    if http_status is not None:
        return error_for(http_status, status, label)
    return Malformed(f"The SIS reported an error instead of data ({status.code or 'no code'} at {label}).", LATER)


Failure = TypeVar("Failure", bound=OneRosterError)

CREDENTIALS = {
    "oauth2": "Client ID and Client Secret",
    "oauth1": "Client ID and Client Secret (consumer key and consumer secret)",
    "bearer": "the token that is entered as Client Secret",
}
_READING = {
    "/orgs": "reading of orgs",
    "/schools": "reading of schools",
    "/users": "reading of all users; staff, administrators and guardians are in no other list",
    "/students": "reading of students",
    "/teachers": "reading of teachers",
    "/enrollments": "reading of enrollments",
    "/users/{id}": "reading of single users",
    "/schools/{id}/students": "reading of a school's students (scope roster.readonly)",
    "/schools/{id}/teachers": "reading of a school's teachers (scope roster.readonly)",
    "/schools/{id}/enrollments": "reading of a school's enrollments (scope roster.readonly)",
}
"""The right that the SIS must grant for a collection, by the collection's label."""

_FIREWALL = (
    " The refusal is a web page: if all of this is right, a firewall in front of the SIS blocks the address of this "
    "machine."
)
_SWITCHED_OFF = (
    "Switch on OAuth 2.0 client credentials for this application in the SIS, or choose the sign-in that it uses."
)
_OF_TOKENS = {
    "invalid_scope": "Enter the scopes that the SIS shows for this application, or grant it OneRoster's scopes there.",
    "unauthorized_client": _SWITCHED_OFF,
    "unsupported_grant_type": _SWITCHED_OFF,
    "access_denied": "Check in the SIS whether the application is switched on and may be used from our address.",
    "server_error": LATER,
    "temporarily_unavailable": LATER,
}
"""The remedy if a token address refuses, by its error code."""


@dataclass(frozen=True)
class Situation:
    """The facts about a connection that choose the message. kind: its sign-in ("oauth2", "oauth1", "bearer", "open"),
    None while unknown. worked: an earlier session signed in. answered: labels of the collections that have answered in
    this session. skew: seconds by which the SIS's clock is ahead of ours. by_token: requests carry a token, so the
    token address has accepted the credentials."""

    kind: str | None
    worked: bool
    answered: frozenset[str] = frozenset()
    skew: float | None = None
    by_token: bool = False


class TokenRefused(SignInRefused):
    """The token endpoint refused. code: its OAuth error code, "" if it is not one of the standard's. Two codes, and the
    web page of a connection that has worked before, say nothing about the credentials."""

    def __init__(self, status: int, code: str, situation: Situation, *, web_page: bool = False) -> None:
        failed = _OF_TOKENS.get(code) == LATER
        super().__init__(
            f"The SIS {'failed' if failed else 'refused the sign-in'} ({f'{status} {code}'.strip()} at its token "
            "address).",
            (_OF_TOKENS.get(code) or refused_credentials(situation)) + (_FIREWALL if web_page else ""),
        )
        self.status = status
        self.code = code
        self.retryable = failed or (web_page and situation.worked)


def named_elsewhere(target: str) -> NamedElsewhere:
    """The error for a redirect of a token address to another host. Drops the query, which may repeat what we sent, and
    a user name, which may look like a host."""
    parts = urlsplit(target)
    named = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return NamedElsewhere("The token address of the SIS", named)


def permission(label: str) -> str:
    """The remedy for a collection that we are not allowed to read."""
    what = _READING.get(label, f"reading of {label}")
    return f"Grant {what} to the application in the SIS, and share the school with it."


def in_context(problem: Failure, label: str, situation: Situation) -> Failure:
    """The same failure, with message and remedy changed to fit the connection. label: the collection, without ids.

    A request that worked before, in this session or an earlier one, may work again later in the night.
    """
    if isinstance(problem, SignInRefused) and not isinstance(problem, TokenRefused):
        _sign_in(problem, label, situation)
    elif isinstance(problem, Refused):
        problem.remedy = permission(label)
        problem.retryable = label in situation.answered
        if label in situation.answered:
            problem.message = f"The SIS stopped answering {label} in the middle of a list ({problem.status})."
            problem.remedy = (
                "It allowed the same list minutes ago. It is tried again at the next sync; if it lasts, ask the SIS's "
                "administrator about limits on requests and for the length of a sign-in."
            )
        elif situation.worked:
            problem.remedy = f"If this worked before, a permission was removed. {problem.remedy}"
        problem.remedy += _FIREWALL if problem.web_page else ""
    elif isinstance(problem, NotOneRoster | NotOffered | Redirected | RequestRefused) and situation.worked:
        problem.retryable = True
        problem.remedy = (
            "This connection has worked before. Ask the SIS's administrator what has changed: maintenance, a new "
            "address, or a sign-in page in front of the API. It is tried again at the next sync."
        )
    return problem


def _sign_in(problem: SignInRefused, label: str, situation: Situation) -> None:
    shown = f"{problem.status} at {label}"
    if label in situation.answered:
        problem.message = f"The SIS stopped accepting our sign-in in the middle of a list ({shown})."
        problem.retryable = True
        problem.remedy = (
            "It accepted the same credentials minutes ago, so you need not enter them again. It is tried again at the "
            "next sync; if it lasts, ask the SIS's administrator how long a sign-in may last, and who else uses it."
        )
    elif situation.answered:
        problem.message = f"The SIS accepts our sign-in, but not for {label} ({shown})."
        problem.remedy = permission(label)
    elif situation.by_token:
        problem.message = f"The SIS gave us a token, but refuses it ({shown})."
        problem.retryable = situation.worked
        problem.remedy = (
            "Client ID and Client Secret are right, so you need not enter them again. Ask the SIS's administrator "
            "whether the application may use the OneRoster API, and whether URL and token URL belong together."
        )
    else:
        problem.remedy = refused_credentials(situation)


def refused_credentials(situation: Situation) -> str:
    """The remedy for refused credentials if nothing more specific is known."""
    what = CREDENTIALS.get(situation.kind or "", "Client ID and Client Secret")
    if situation.kind == "oauth1" and abs(situation.skew or 0.0) > MOST_SKEW:
        return (
            f"The clocks of the SIS and of this machine differ by {abs(situation.skew or 0.0) / 60:.0f} minutes, and a "
            f"SIS refuses signatures of another time. Correct the clock that is wrong; else check {what} in the SIS."
        )
    if situation.worked:
        return (
            f"They were accepted before: {what} may have been replaced, may have expired, or the application was "
            "switched off in the SIS. Copy the current ones from the SIS."
        )
    return f"Check {what} in the SIS; they may have been replaced or may have expired."
