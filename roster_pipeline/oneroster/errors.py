"""What can go wrong between us and a student information system (SIS), as types a caller can act on.

Every error says what was wrong and what to do about it, and holds nothing that came from a person's record: no names,
no addresses, no free text of the server. `retryable` says whether the same request may work later without anybody
changing anything.
"""

from __future__ import annotations

from roster_pipeline.errors import RosterError


class OneRosterError(RosterError):
    """Base of all errors of this package."""

    status: int | None = None
    """The HTTP status behind it, where there was one."""
    challenge = ""
    """The scheme of signing in that the server asked for, in lower case."""


class WrongAddress(OneRosterError):
    """The text given as an address cannot be one."""


class AddressNotAllowed(OneRosterError):
    """The address is private, loopback or unencrypted, and the operator has not allowed that."""


class Unreachable(OneRosterError):
    """No connection, or it broke: DNS, refused, reset, timed out."""

    retryable = True


class TlsFailed(OneRosterError):
    """The server's certificate could not be verified."""


class Redirected(OneRosterError):
    """The server sent us to another host; our credentials do not follow."""


class SignInRefused(OneRosterError):
    """The credentials, or the way of signing in, were refused."""


class NotOneRoster(OneRosterError):
    """Something answers at this address, but it does not speak OneRoster."""


class SchoolNotFound(OneRosterError):
    """The School ID names no org of this server, or more than one."""


class Refused(OneRosterError):
    """403: signed in, but not allowed to read this."""


class NotOffered(OneRosterError):
    """404, 405, 410 or 501: the server has no such collection or object."""


class RequestRefused(OneRosterError):
    """400 or another refusal of the request itself: a parameter the server does not accept."""


class ServerFailed(OneRosterError):
    """The server failed or was too busy, also after several tries."""

    retryable = True


class Busy(ServerFailed):
    """429: the server limits our requests, and went on doing so."""


class TooSlow(ServerFailed):
    """An answer was not complete within the time allowed."""


class Dribbling(TooSlow):
    """Bytes kept coming, but so slowly that the whole time allowed for an answer passed. Not worth another try."""

    retryable = False


class Malformed(ServerFailed):
    """An answer under a good status that is not the JSON the standard promises."""


class DataMoved(OneRosterError):
    """The SIS changed its data while they were read; what was read so far is to be thrown away and read again."""

    retryable = True


class TooLarge(OneRosterError):
    """An answer was larger than allowed."""


class PagingBroken(OneRosterError):
    """The server's paging cannot be followed to an end."""
