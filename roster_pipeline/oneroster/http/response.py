"""A complete answer of the SIS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx


@dataclass(frozen=True)
class Response:
    """A complete answer. `body` is decoded from any transfer compression, but otherwise as it came."""

    status: int
    headers: httpx.Headers
    body: bytes | bytearray
    url: str

    @property
    def server_time(self) -> datetime | None:
        """The server's own clock, from the Date header."""
        try:
            return parsedate_to_datetime(self.headers["Date"])
        except (KeyError, ValueError, TypeError):
            return None
