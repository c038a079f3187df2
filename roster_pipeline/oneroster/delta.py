"""Only what changed: a filter on dateLastModified, used after it has been proved to work, never on trust.

Servers ignore filters, answer them with nobody, or evaluate them as text. Three questions tell: what changed after a
day in the future (nobody), after a day long ago (somebody), and whether the first page of the real answer keeps to it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from roster_pipeline.oneroster.errors import NotOffered, OneRosterError
from roster_pipeline.oneroster.paging import Listing
from roster_pipeline.oneroster.reading import Reading

LONG_AGO = "1990-01-01T00:00:00.000Z"
FAR_AHEAD = timedelta(days=3650)
GRANULARITY = timedelta(seconds=1)


def instant(moment: datetime) -> str:
    """A moment as the standard writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def changed_users(reading: Reading) -> Listing | None:
    """The listing of users changed since the wanted instant; None where a full pull is needed instead."""
    since = reading.wanted.since
    if since is None:
        return None
    if not filter_works(reading):
        reading.notes.append("delta-not-honoured")
        return None
    listing = reading.listing("/users", "users", query_filter=f"dateLastModified>'{instant(since)}'")
    try:
        first = listing.open(none_is_404=True)
    except OneRosterError:
        first = None
    if first is None or any(_older(record, since) for record in first):
        reading.notes.append("delta-not-honoured")
        return None
    return listing


def filter_works(reading: Reading) -> bool:
    """Whether the server tells the future from the past."""
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
    """A dateLastModified as an instant; without a zone it is UTC. None where it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip().upper())
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _older(record: Any, since: datetime) -> bool:
    stamp = moment_of(record.get("dateLastModified")) if isinstance(record, dict) else None
    return stamp is not None and stamp < since - GRANULARITY
