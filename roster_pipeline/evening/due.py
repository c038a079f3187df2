"""Which schools are due: automatic rostering on, the local sync time passed, and no run for that evening yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from roster_pipeline.directory import ledger, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.settings import SchoolSettings

CATCH_UP = timedelta(hours=12)
"""An evening that was missed (machine down) is still started this long after its time, once."""


@dataclass(frozen=True)
class DueSchool:
    """A school whose evening has come. `night` is the local date of that evening; its runs share one pull."""

    key: str
    connection_key: str
    night: str


def evening_of(settings: SchoolSettings, now: datetime) -> datetime:
    """The last moment at which this school's sync time passed, as UTC; daylight saving follows the zone."""
    local = now.astimezone(settings.zone)
    at = local.replace(hour=settings.sync_time.hour, minute=settings.sync_time.minute, second=0, microsecond=0, fold=0)
    if at.astimezone(UTC) > now.astimezone(UTC):
        at = (at.replace(tzinfo=None) - timedelta(days=1)).replace(tzinfo=settings.zone)
    return at.astimezone(UTC)


def due_schools(database: Database, now: datetime) -> list[DueSchool]:
    """Schools to start at `now`, ordered by key. Two queries, however many schools there are."""
    with database.begin() as connection:
        schools = tenants.list_schools(connection)
        last = ledger.last_sync_times(connection)
    found = []
    for school in schools:
        if not school.settings.automatic:
            continue
        evening = evening_of(school.settings, now)
        if now.astimezone(UTC) - evening > CATCH_UP or (school.id in last and last[school.id] >= evening):
            continue
        night = evening.astimezone(school.settings.zone).date().isoformat()
        found.append(DueSchool(school.key, school.connection.key, night))
    return sorted(found, key=lambda school: school.key)
