"""What a failure means for this connection: one that worked last night needs other words than one that is set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from roster_pipeline.oneroster.errors import (
    NotOffered,
    NotOneRoster,
    OneRosterError,
    Redirected,
    Refused,
    SignInRefused,
)

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
"""What has to be granted for a collection, by its label."""


_SWITCHED_OFF = (
    "Switch on OAuth 2.0 client credentials for this application in the SIS, or choose its way of signing in."
)
_OF_TOKENS = {
    "invalid_scope": "Enter the scopes that the SIS shows for this application, or have OneRoster's granted there.",
    "unauthorized_client": _SWITCHED_OFF,
    "unsupported_grant_type": _SWITCHED_OFF,
    "access_denied": "Check in the SIS whether the application is switched on and may be used from our address.",
}
"""What to do about a refusal of a token address, by its code."""


@dataclass(frozen=True)
class Situation:
    """kind: the way of signing in ("oauth2", "oauth1", "bearer", "open"), None while unknown. worked: in an earlier
    session. answered: labels of the collections that have answered in this session."""

    kind: str | None
    worked: bool
    answered: frozenset[str] = frozenset()


class TokenRefused(SignInRefused):
    """The token endpoint exists and said no. `code` is its error code, where it is one of the standard's."""

    def __init__(self, status: int, code: str, situation: Situation) -> None:
        super().__init__(
            f"The SIS refused the sign-in ({status}{' ' + code if code else ''} at its token address).",
            _OF_TOKENS.get(code) or refused_credentials(situation),
        )
        self.status = status
        self.code = code


def credentials(situation: Situation) -> str:
    """What was entered to sign in, as its fields are called."""
    return CREDENTIALS.get(situation.kind or "", "Client ID and Client Secret")


def permission(label: str) -> str:
    """What has to be granted so that a collection can be read."""
    what = _READING.get(label, f"reading of {label}")
    return f"Grant {what} to the application in the SIS, and share the school with it."


def in_context(problem: Failure, label: str, situation: Situation) -> Failure:
    """The same failure with words that fit the connection. label: the collection, without ids."""
    if isinstance(problem, SignInRefused) and not isinstance(problem, TokenRefused):
        _sign_in(problem, label, situation)
    elif isinstance(problem, Refused):
        problem.remedy = permission(label)
        if situation.worked and label not in situation.answered:
            problem.remedy = f"If this worked before, a permission was taken away. {problem.remedy}"
    elif isinstance(problem, NotOneRoster | NotOffered | Redirected) and situation.worked:
        problem.remedy = (
            "This connection has worked before. Ask the SIS's administrator what has changed: maintenance, a new "
            "address, or a sign-in page in front of the API. It is tried again at the next sync."
        )
    return problem


def _sign_in(problem: SignInRefused, label: str, situation: Situation) -> None:
    said = f"{problem.status} at {label}"
    if label in situation.answered:
        problem.message = f"The SIS stopped accepting our sign-in in the middle of a list ({said})."
        problem.remedy = (
            "It accepted the same credentials minutes ago, so they need not be typed again. It is tried again at the "
            "next sync; if it lasts, ask the SIS's administrator how long a sign-in may last, and who else uses it."
        )
    elif situation.answered:
        problem.message = f"The SIS takes our sign-in, but not for {label} ({said})."
        problem.remedy = permission(label)
    else:
        problem.remedy = refused_credentials(situation)


def refused_credentials(situation: Situation) -> str:
    """What to do where the credentials were refused and nothing more is known."""
    what = credentials(situation)
    if situation.worked:
        return (
            f"They were accepted before: {what} may have been replaced, may have expired, or the application was "
            "switched off in the SIS. Copy them again from the SIS."
        )
    return f"Check {what} in the SIS; they may have been replaced or may have expired."
