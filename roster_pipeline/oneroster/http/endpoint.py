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
    """Bounds that keep a bad server from holding a run, its memory or its disk.

    Seconds and bytes. The read time-out is well above the 30 s that large consumers demand of a page; a page of 1,000
    users is about 1 MB, so the response bound leaves room for servers that send everything at once: about 60,000 users.
    What an answer may take once it is decoded is bounded in `decoded_size`.
    """

    connect_seconds: float = 15.0
    read_seconds: float = 120.0
    response_seconds: float = 300.0
    response_bytes: int = 64 * 1024 * 1024
    attempts: int = 5
    """Tries of one request, the first included."""
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    waiting_budget: float = 900.0
    """Seconds that all retries of one client may wait together."""
    pages: int = 20_000
    """Pages of one collection: a million users at 100 a page is half of it."""
    records: int = 10_000_000
    pull_seconds: float = 6 * 3600.0
    smallest_page: int = 25
    readings: int = 3
    """How often a collection that moves while it is read is read, before the snapshot is called incomplete."""
    single_users: int = 20_000
    """Guardians fetched one by one, where the collections lack them."""


@dataclass(frozen=True)
class Endpoint:
    """One SIS. `base_url` as pasted: host, vendor prefix, OneRoster root, or even one of its collections.

    client_secret is also the static bearer of sign_in "bearer". token_url and scopes: None means found out.
    fixed_header is sent with every request (an API key beside, or instead of, the sign-in). ca_bundle is a path, or
    PEM text, of certificates trusted in addition to the public ones. metadata_keys: members of a user's `metadata` that
    are kept; a dot steps into nested objects. learned: what `Client.learned` held after an earlier session.
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
"""Seconds between the SIS's clock and ours beyond which signed requests are refused, and no time of it is believed."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """monotonic: seconds for deadlines. sleep: waits seconds. now: UTC. chance: a number from 0 to 1, for jitter."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = _utc_now
    chance: Callable[[], float] = secrets.SystemRandom().random
