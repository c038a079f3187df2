"""Nights: which schools run automatically, when they last ran, and for which nights a run was already requested.

Dagster compares a schedule's run keys only within one tick. So a night is noted here when its run is queued, and it is
started only once. Looking for due schools notes nothing, because everybody who sees the Dagster UI may evaluate a tick.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import Connection, text

SCHOOLS = """
select s.id, s.key, s.name, c.key as connection_key,
    coalesce(s.settings ->> 'sync_time', '20:00:00')::time as sync_time,
    coalesce(s.settings ->> 'time_zone', 'UTC') as time_zone,
    done.at as last_sync, asked.night as requested_night, asked.attempt as requested_attempt, asked.requested_at,
    exists (select from scheduled_run n where n.school_id = s.id and n.night = asked.night and n.slow_at is not null)
        as gave_way,
    coalesce(usual.time > cast(:first_pull as interval), false) as usually_slow,
    broken.at as failed_at, broken.night as failed_night, coalesce(broken.retryable, false) as retryable,
    greatest(s.paused_until, d.paused_until) as paused_until,
    case when not coalesce((s.settings ->> 'automatic')::boolean, false) then 'automatic rostering is off'
         when exists (select from alert a where a.school_id = s.id and a.cause = 'paused' and a.cleared_at is null)
         then 'paused after failed nights, until somebody resumes it' else '' end as stopped
from school s
join connection c on c.id = s.connection_id
join district d on d.id = s.district_id
left join lateral (
    select at from sync y where y.school_id = s.id and y.kind = 'sync' and y.at < :ahead order by y.id desc limit 1
) done on true
left join lateral (
    select night, attempt, requested_at from scheduled_run n where n.school_id = s.id and n.requested_at < :ahead
    order by night desc, attempt desc limit 1
) asked on true
left join lateral (
    select at, night, retryable from failure f where f.school_id = s.id order by f.id desc limit 1
) broken on true
left join lateral (
    select max(p.finished_at - p.started_at) as time from pull p where p.connection_id = c.id
) usual on true
order by s.key
"""
ASKED = """
insert into scheduled_run (school_id, night, attempt, requested_at)
select id, :night, :attempt, :at from school where key = :school on conflict do nothing
"""
GIVES_WAY = """
update scheduled_run set slow_at = now() where school_id = :school and night = :night and attempt = 1
"""
SLOW_TONIGHT = """
select exists (
    select from scheduled_run n join school s on s.id = n.school_id
    where s.connection_id = :connection and n.night = :night and n.slow_at > now() - interval '12 hours')
"""


@dataclass(frozen=True)
class ScheduledSchool:
    """A school and the state of its nights. stopped: why the schedule does not start it at all, or empty. gave_way: its
    first run of `requested_night` let others go first. usually_slow: a pull of its connection took longer than a first
    run may take. paused_until: the first night that the schedule starts again."""

    id: int
    key: str
    name: str
    connection_key: str
    sync_time: time
    time_zone: str
    last_sync: datetime | None
    requested_night: str | None
    requested_attempt: int | None
    requested_at: datetime | None
    gave_way: bool
    usually_slow: bool
    failed_at: datetime | None
    failed_night: str | None
    retryable: bool
    paused_until: date | None = None
    stopped: str = ""


def scheduled_schools(conn: Connection, first_pull: timedelta, now: datetime) -> list[ScheduledSchool]:
    """Every school by key, with everything that the schedule needs; one query. first_pull: how long the pull of a first
    run may take. now: what is later by more than a day was noted by a clock that was wrong, and is ignored."""
    given = {"first_pull": first_pull, "ahead": now + timedelta(days=1)}
    return [ScheduledSchool(**row) for row in conn.execute(text(SCHOOLS), given).mappings()]


def give_way(conn: Connection, school_id: int, night: str) -> bool:
    """Note that a school's first run of a night gives way, because its SIS is slow. Returns False if the schedule did
    not ask for this run."""
    return conn.execute(text(GIVES_WAY), {"school": school_id, "night": night}).rowcount > 0


def is_slow(conn: Connection, connection_id: int, night: str) -> bool:
    """Whether a run of a connection gave way in this night."""
    return bool(conn.scalar(text(SLOW_TONIGHT), {"connection": connection_id, "night": night}))


def note_requested(conn: Connection, school_key: str, night: str, attempt: int, at: datetime) -> None:
    """Note that a run of a night was requested. at: the tick of the schedule."""
    conn.execute(text(ASKED), {"school": school_key, "night": night, "attempt": attempt, "at": at})
