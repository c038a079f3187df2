"""Changes only: a filter on dateLastModified, used only after tests have shown that it works.

Servers ignore filters, answer them with nobody, or compare them as text. Three requests test it: changes after a day in
the future (must be nobody), changes after a day long ago (must be somebody), and the first page of the real answer,
which must fit.

That is not enough: some servers compare days only, some keep the old date when a person's school or e-mail changes. So
before a pull fetches changes only, a few pulls read everybody and also ask who changed (`named_changes`), and the
caller compares both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from roster_pipeline.oneroster.collections.list_end import ConcurrentChange
from roster_pipeline.oneroster.collections.listing import Listing
from roster_pipeline.oneroster.collections.reading import Reading
from roster_pipeline.oneroster.collections.response_body import raw_id
from roster_pipeline.oneroster.errors import NotOffered, OneRosterError
from roster_pipeline.oneroster.http.endpoint import MOST_SKEW

LONG_AGO = "1990-01-01T00:00:00.000Z"
NOT_HONOURED = "delta-not-honoured"
FAR_AHEAD = timedelta(days=3650)
GRANULARITY = timedelta(seconds=1)
KINDS = ("same_day", "membership", "email")
"""Kinds of changes that a server must have named before a pull fetches changes only."""
PROVED = "delta_proved"
"""Key in `Client.learned`: the kinds that were proved."""
MOST_NAMED = 200_000
"""How many changed people are compared at most. If more people changed since the last sync, nothing is proved."""


@dataclass(frozen=True)
class NamedChanges:
    """The sourcedIds that the server names as changed. same_day: it distinguishes two moments of one day."""

    ids: frozenset[str]
    same_day: bool


def instant(moment: datetime) -> str:
    """A moment in the notation of the standard."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def changed_users(reading: Reading, since: datetime) -> Listing | None:
    """The listing of users changed since then; None if a full pull is needed instead."""
    listing = _changed_since(reading, since)
    if listing is None:
        reading.notes.append(NOT_HONOURED)
    return listing


def named_changes(reading: Reading, since: datetime) -> NamedChanges | None:
    """The people that the server names as changed since then; None if that is not known. Call it after everybody was
    read."""
    named: dict[str, str | None] = {}
    try:
        listing = _changed_since(reading, since)
        for page in listing.pages() if listing is not None else ():
            for record in page:
                if isinstance(record, dict) and raw_id(record) is not None:
                    named[str(raw_id(record)).strip()] = record.get("dateLastModified")
            if len(named) > MOST_NAMED:
                return None
        if listing is None:
            reading.notes.append(NOT_HONOURED)
            return None
        return NamedChanges(frozenset(named), _tells_moments(reading, named))
    except (OneRosterError, ConcurrentChange):
        return None


def _changed_since(reading: Reading, since: datetime) -> Listing | None:
    """The listing, opened; None if the filter does not work, or the clocks differ too much to trust it."""
    skew = reading.client.session.skew_seconds
    if (skew is not None and abs(skew) > MOST_SKEW) or not filter_works(reading):
        return None
    listing = reading.listing("/users", "users", query_filter=f"dateLastModified>'{instant(since)}'")
    try:
        first = listing.open(none_is_404=True)
    except OneRosterError:
        return None
    return None if any(_older(record, since) for record in first) else listing


def _tells_moments(reading: Reading, named: Mapping[str, str | None]) -> bool:
    """Whether a filter for one second before the newest change of a day names the person who changed."""
    moments = {name: moment for name, written in named.items() if (moment := moment_of(written)) is not None}
    if not moments:
        return False
    name, newest = max(moments.items(), key=lambda item: item[1])
    before = newest - GRANULARITY
    if before.date() != newest.date():
        return False
    listing = reading.listing("/users", "users", query_filter=f"dateLastModified>'{instant(before)}'")
    return any(str(raw_id(record)).strip() == name for record in listing.open() if isinstance(record, dict))


def filter_works(reading: Reading) -> bool:
    """Whether the server names nobody for a day in the future, and somebody for a day long ago."""
    ahead = instant(reading.client.clock.now() + FAR_AHEAD)
    try:
        if reading.listing("/users", "users", query_filter=f"dateLastModified>'{ahead}'").open():
            return False
    except NotOffered:
        pass
    except OneRosterError:
        return False
    try:
        return bool(reading.listing("/users", "users", query_filter=f"dateLastModified>'{LONG_AGO}'").open())
    except OneRosterError:
        return False


def moment_of(value: Any) -> datetime | None:
    """A dateLastModified as an instant; without a zone it is UTC. None if it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _older(record: Any, since: datetime) -> bool:
    stamp = moment_of(record.get("dateLastModified")) if isinstance(record, dict) else None
    return stamp is not None and stamp < since - GRANULARITY
