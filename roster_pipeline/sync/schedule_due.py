"""Finds the schools that are due: automatic rostering is on, the local sync time has passed, and no run was requested
for this night yet.

If a night failed for a reason that may end by itself (the SIS was away, a process was killed), it is started again
once, an hour later. If a run gave way because its SIS was slow, it is requested again at the next tick, after the
others. After all other failures, the school waits for a person or for the next night.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.scheduled_runs import ScheduledSchool, note_requested, scheduled_schools
from roster_pipeline.settings.installation import Syncs
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import moment

CATCH_UP = timedelta(hours=12)
"""If a night was missed (machine down), it is still started once, up to this long after its time."""
AGAIN_AFTER = timedelta(hours=1)
"""The time between a failed night and its second try. It is longer than a restart, and still in the same night."""
FIRST_PULL = Syncs().first_pull
FIRST, SECOND = 1, 2
MOST_NAMED = 10
"""Up to this many schools, the schedule's skip reason names each school."""


@dataclass(frozen=True)
class DueSchool:
    """A school whose night (local date) has come; a night's runs share a pull. slow: comes after the others."""

    id: int
    key: str
    connection_key: str
    night: str
    attempt: int = FIRST
    slow: bool = False
    name: str = ""


def night_of(sync_time: wall_time, zone: ZoneInfo, now: datetime) -> datetime:
    """The last moment at which the sync time passed in this zone, as UTC. If the clocks skip the sync time in spring,
    it comes an hour later by the wall clock. If they show it twice in autumn, the first time counts. So every night
    comes exactly once."""
    return next(at for at in _times(sync_time, zone, now, (0, -1, -2)) if at <= now)


def next_night(sync_time: wall_time, zone: ZoneInfo, now: datetime, paused_until: date | None = None) -> datetime:
    """When the sync time passes next in this zone, as UTC; during a pause, after its end."""
    day = now.astimezone(zone).date()
    if paused_until is not None and paused_until > day:
        return datetime.combine(paused_until, sync_time, zone).astimezone(UTC)
    return next(at for at in _times(sync_time, zone, now, (-1, 0, 1)) if at > now)


def _times(sync_time: wall_time, zone: ZoneInfo, now: datetime, days: Sequence[int]) -> Iterator[datetime]:
    """The sync time on these days, from today on, as UTC. Greenland skips the hour before midnight, so a sync time of
    yesterday may come today."""
    today = now.astimezone(zone).date()
    return (datetime.combine(today + timedelta(days=more), sync_time, zone).astimezone(UTC) for more in days)


def due(school: ScheduledSchool, now: datetime, zone: ZoneInfo) -> DueSchool | None:
    """The run to start for one school at `now`, or None. Pure; the table of cases is in its test."""
    if school.stopped:
        return None
    starts_at = night_of(school.sync_time, zone, now)
    if now - starts_at > CATCH_UP or (school.last_sync is not None and school.last_sync >= starts_at):
        return None
    night = starts_at.astimezone(zone).date().isoformat()
    if school.requested_night == night and school.requested_at and starts_at - school.requested_at > CATCH_UP:
        # The sync time was early on the same day and is late now.
        night += starts_at.astimezone(zone).strftime("T%H:%M")
    if school.paused_until is not None and night < school.paused_until.isoformat():
        return None
    first = DueSchool(school.id, school.key, school.connection_key, night, slow=school.usually_slow, name=school.name)
    if school.requested_night is not None and school.requested_night > night:
        return None  # the school's zone moved west after the request: it is the same night
    if school.requested_night != night:
        return first
    second = replace(first, attempt=SECOND, slow=school.usually_slow or school.gave_way)
    if school.requested_attempt == FIRST and school.gave_way:
        return second
    failed = school.retryable and school.failed_night == night and school.failed_at is not None
    if school.requested_attempt == FIRST and failed and school.failed_at and now - school.failed_at >= AGAIN_AFTER:
        return second
    return None


def why_not(schools: Sequence[ScheduledSchool], now: datetime) -> str:
    """Why no school is due, and when it is next: of each, or of many only counted with the next one."""
    if not schools:
        return "there is no school"
    reasons = [(school.key, not_due(school, now, ZoneInfo(school.time_zone))) for school in schools]
    if len(reasons) <= MOST_NAMED:
        return "; ".join(f"{key}: {why}" + (f" (next: {when})" if when else "") for key, (why, when) in reasons)
    counts = Counter(why for _, (why, _) in reasons)
    summary = ", ".join(f"{rows:,} {why}" for why, rows in counts.most_common())
    going = [school for school in schools if not school.stopped]
    if not going:
        return summary
    following = min(
        going, key=lambda each: next_night(each.sync_time, ZoneInfo(each.time_zone), now, each.paused_until)
    )
    _, when = not_due(following, now, ZoneInfo(following.time_zone))
    return f"{summary}; the next is {following.key}: {when}"


def not_due(school: ScheduledSchool, now: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """Why one school is not due at `now`, and its next sync time, in words; empty if it has none. Pure."""
    if school.stopped:
        return school.stopped, ""
    starts_at = night_of(school.sync_time, zone, now)
    when = moment(next_night(school.sync_time, zone, now, school.paused_until), zone)
    if school.paused_until is not None and starts_at.astimezone(zone).date() < school.paused_until:
        return "paused until a day", when
    if school.last_sync is not None and school.last_sync >= starts_at:
        return "synced this night", when
    if school.requested_night is not None and school.requested_night >= starts_at.astimezone(zone).date().isoformat():
        failed = school.failed_night == school.requested_night
        return ("failed this night" if failed else "started this night"), when
    return "not yet due", when


def begin_with_next_night(conn: Connection, school_key: str, settings: SchoolSettings, now: datetime) -> None:
    """Note that no night was missed: the school runs by itself only from now on."""
    night = night_of(settings.sync_time, settings.zone, now).astimezone(settings.zone).date().isoformat()
    note_requested(conn, school_key, night, FIRST, now)


def due_schools(
    database: Database, now: datetime, first_pull: timedelta = FIRST_PULL
) -> tuple[list[DueSchool], list[ScheduledSchool]]:
    """Schools to start at the tick `now`, by key; and all others. It changes nothing, and needs one statement for any
    number of schools. first_pull: how long the pull of a first run may take; a connection that took longer is slow."""
    now = now.astimezone(UTC)
    zones: dict[str, ZoneInfo] = {}
    with database.begin() as conn:
        schools = scheduled_schools(conn, first_pull, now)
        found = {
            one.id: one
            for school in schools
            if (one := due(school, now, zones.setdefault(school.time_zone, ZoneInfo(school.time_zone)))) is not None
        }
    return [*found.values()], [school for school in schools if school.id not in found]
