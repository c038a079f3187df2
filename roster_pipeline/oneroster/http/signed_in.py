"""What signs the requests of a session in, and how often that may be tried while nobody knows whether it is right."""

from __future__ import annotations

from typing import Protocol

import httpx

from roster_pipeline.oneroster.errors import OneRosterError


class SignedIn(Protocol):
    """What authorises a request. `generation` counts renewals, so that one expiry is renewed once by many threads."""

    def authorise(self) -> tuple[httpx.Auth, int]: ...

    def renew(self, generation: int) -> bool: ...

    def may_have_ended(self) -> bool: ...


class NoSignIn:
    """No credentials: open servers, a fixed header, and the first look at an address."""

    def authorise(self) -> tuple[httpx.Auth, int]:
        return httpx.Auth(), 0

    def renew(self, generation: int) -> bool:
        return False

    def may_have_ended(self) -> bool:
        return False


class NoMoreTries(OneRosterError):
    """The search for a way of signing in has used up the requests that may carry the credentials."""


class Allowance:
    """How many more requests may carry the credentials, while nobody knows whether they are right. None: as many as
    it takes, because they were accepted."""

    def __init__(self) -> None:
        self.left: int | None = None

    def spend(self) -> None:
        if self.left is None:
            return
        if self.left <= 0:
            raise NoMoreTries("The sign-in was not tried any further.", "")
        self.left -= 1
