"""The errors of this package, as types that a caller can act on.

Every error says what is wrong and what to do. It never contains data of a person: no names, no addresses, no free text
of the server. retryable: the same request may work later although nobody changes anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from roster_pipeline.errors import RosterError

MOST_NAMED = 3
"""Orgs that an error names."""
LONGEST_ADDRESS = 200
"""Characters of an address that an error shows."""


class OneRosterError(RosterError):
    """Base of all errors of this package."""

    status: int | None = None
    """The HTTP status of the response, if there was one."""
    challenge = ""
    """The scheme in the header WWW-Authenticate, in lower case."""
    web_page = False
    """Whether the response was a web page, as firewalls send them."""
    of_today = True
    """Whether the response was less than a day from our clock."""


class WrongAddress(OneRosterError):
    """The text that was entered is not an address."""


class AddressNotAllowed(OneRosterError):
    """The address is private, loopback or not encrypted, and the operator has not allowed that."""


class Unreachable(OneRosterError):
    """No connection, or it broke: DNS, refused, reset, time-out."""

    retryable = True


class TokenFailed(Unreachable):
    """The token address failed in all attempts. This says nothing about the collection that was requested."""


class TlsFailed(OneRosterError):
    """The server's certificate could not be verified."""


class Redirected(OneRosterError):
    """The server redirects to another host. We do not send our credentials there."""


class SignInRefused(OneRosterError):
    """The server refused the credentials or the kind of sign-in."""


class NamedElsewhere(SignInRefused):
    """The SIS names a token address on another host. The secret is sent there only after a person entered it."""

    def __init__(self, what: str, url: str) -> None:
        shown = "".join(letter for letter in url if letter.isascii() and letter.isprintable())[:LONGEST_ADDRESS]
        super().__init__(
            f"{what} names a token address on another host: {shown}",
            "If that address belongs to the SIS, enter it as the token URL. Client ID and Client Secret were not sent "
            "there.",
        )


class NotOneRoster(OneRosterError):
    """The address answers, but not with OneRoster."""


class SchoolNotFound(OneRosterError):
    """No org of this server has the School ID, or several have it."""

    @classmethod
    def of_several(cls, orgs: Sequence[Mapping[str, Any]]) -> Self:
        """The error for several orgs with one identifier."""
        return cls(
            f"{len(orgs)} orgs of the SIS have this School ID as their identifier: {_named(orgs)}.",
            "Enter the sourcedId of the school as School ID.",
        )

    @classmethod
    def of_new_id(cls, school_id: str, orgs: Sequence[Mapping[str, Any]]) -> Self:
        """The error for a school that may have got another id. orgs: with the identifier or the name that it had."""
        return cls(
            f"the SIS has no school {school_id} any more, but one with the same identifier or name: {_named(orgs)}.",
            "If it is the same school, enter that sourcedId as School ID.",
        )


def _named(orgs: Sequence[Mapping[str, Any]]) -> str:
    return " and ".join(f"{org['sourcedId']} ({org.get('name') or 'no name'})" for org in orgs[:MOST_NAMED])


class Refused(OneRosterError):
    """403: signed in, but not allowed to read this."""


class NotOffered(OneRosterError):
    """404, 405, 410 or 501: the server has no such collection or object."""


class RequestRefused(OneRosterError):
    """400 or another refusal that concerns the request itself: for example a parameter that the server does not
    accept."""


class ServerFailed(OneRosterError):
    """The server failed or was too busy in all attempts."""

    retryable = True


class Busy(ServerFailed):
    """429 in all attempts: the server limits our requests."""


class TooSlow(ServerFailed):
    """A response was not complete within the time limit."""


class Dribbling(TooSlow):
    """A response came so slowly that its whole time limit passed. Another attempt would not help."""

    retryable = False


class Malformed(ServerFailed):
    """A response with a good status that is not the JSON of the standard."""


class DataMoved(OneRosterError):
    """The SIS changed its data while they were read. Drop what was read so far, and read again."""

    retryable = True


class TooLarge(OneRosterError):
    """A response was larger than allowed."""


class PagingBroken(OneRosterError):
    """A list of the server cannot be read to its end."""
