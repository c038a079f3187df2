"""Rate limits: how often somebody may sign in or test, counted in the database by all processes together."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Address, ip_address

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request

from roster_pipeline.directory import rate_limit

IPV6_HOME = 64
"""Whoever has one address of such a network has them all."""


class TooMany(HTTPException):
    """Too often; the answer says when to come back."""

    def __init__(self, seconds: int) -> None:
        minutes = max(1, -(-seconds // 60))
        wait = f"{minutes} minute{'' if minutes == 1 else 's'}"
        super().__init__(429, f"This was tried too often. Please wait {wait}.", {"Retry-After": str(seconds)})


def limit(opened: Connection, name: str, key: str, most: int, window: timedelta) -> None:
    """Count one more use of `name` by `key`; raises TooMany beyond `most` in one window.

    Give it a transaction of its own, at the beginning: what is rolled back is not counted.
    """
    used, seconds = rate_limit.count(opened, name, key, window)
    if used > most:
        raise TooMany(seconds)


def address_of(request: Request) -> str:
    """Where a request comes from, for counting: an IPv4 address, or an IPv6 network.

    A proxy's word for it counts only where the proxy is named in the settings (`serve.py`).
    """
    host = request.client.host if request.client else "unknown"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or int(address) >> (128 - IPV6_HOME))
    return host
