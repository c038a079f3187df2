"""The settings of one SIS connection, the bounds of a session, and the clock it uses."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

SignInKind = Literal["auto", "oauth2", "oauth1", "bearer"]
VersionChoice = Literal["auto", "1.1", "1.2"]


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds and bytes that keep a bad server from blocking a run or filling its memory or disk.

    The read time-out is well above the 30 s that large consumers allow for a page. A page of 1,000 users is about 1 MB,
    so `response_bytes` leaves room for servers that send everything at once: about 60,000 users. The module `response`
    bounds the memory of the decoded values.
    """

    connect_seconds: float = 15.0
    read_seconds: float = 120.0
    response_seconds: float = 300.0
    response_bytes: int = 64 * 1024 * 1024
    attempts: int = 5
    """Attempts of one request, including the first."""
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    waiting_budget: float = 900.0
    """Seconds that all retries of one client may wait in total."""
    pages: int = 20_000
    """Pages of one collection. A million users at 100 a page need half of them."""
    records: int = 10_000_000
    pull_seconds: float = 6 * 3600.0
    smallest_page: int = 25
    readings: int = 3
    """How often a collection is read if it changes while it is read. After that the snapshot is incomplete."""
    single_users: int = 20_000
    """Guardians that are fetched one by one if the collections lack them."""


@dataclass(frozen=True)
class Endpoint:
    """One SIS. `base_url` as the owner pasted it: host, vendor prefix, OneRoster root, or one of its collections.

    client_secret is also the static bearer of sign_in "bearer". token_url and scopes: None means that the client finds
    them out. fixed_header is sent with every request (an API key in addition to the sign-in, or instead of it).
    ca_bundle: a path, or PEM text, of certificates to trust in addition to the public ones. parallel: requests at the
    same time. metadata_keys: members of a user's `metadata` to keep; a dot steps into nested objects. learned: the
    value of `Client.learned` after an earlier session.
    """

    base_url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    sign_in: SignInKind = "auto"
    token_url: str | None = None
    scopes: str | None = None
    version: VersionChoice = "auto"
    page_size: int = 1000
    ca_bundle: str | None = field(default=None, repr=False)
    allow_private: bool = False
    parallel: int = 4
    metadata_keys: tuple[str, ...] = ()
    fixed_header: tuple[str, str] | None = field(default=None, repr=False)
    learned: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()


MOST_SKEW = 300.0
"""Seconds. If the SIS's clock is further from ours, it refuses signed requests and we do not trust its times."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """The time functions of a session, so that tests can replace them.

    monotonic: seconds, for deadlines. sleep: waits seconds. now: UTC. chance: a number from 0 to 1, for jitter.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = _utc_now
    chance: Callable[[], float] = secrets.SystemRandom().random
