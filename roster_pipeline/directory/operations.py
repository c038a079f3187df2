"""What operators need of the directory: metrics for Prometheus, and the deletion of old rows.

Metrics (text format 0.0.4) are counts and times by school key. Old rows are raw records, sent mails, notes of nights
and cleared alerts. People are never deleted, nor are the ledger, the change log and the audit, which rollbacks and
questions need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory import connection_tests, pulls
from roster_pipeline.directory.database import Database

OF_A_SCHOOL = {
    "last_sync": ("roster_last_sync_timestamp_seconds", "When the school's last sync finished"),
    "seconds": ("roster_sync_duration_seconds", "From the end of the fetch to the end of the last sync"),
    "held": ("roster_held_rows", "Changes that the last sync held"),
    "failures": ("roster_failures_since_sync", "Failed steps since the last finished sync"),
    "automatic": ("roster_automatic", "1 where the school runs every night by itself"),
    "paused": ("roster_paused", "1 where the school is paused after a week of failed nights"),
}
OF_ALL = {
    "alerts": ("roster_open_alerts", "Alerts that are open"),
    "waiting": ("roster_outbox_waiting", "Mails that wait to be sent"),
    "dead": ("roster_outbox_dead", "Mails that were given up"),
}
SCHOOLS = """
select s.key as school, extract(epoch from done.at) as last_sync, done.seconds, done.held,
    (select count(*) from failure f where f.school_id = s.id and f.at > coalesce(done.at, '-infinity')) as failures,
    exists (select from alert a where a.school_id = s.id and a.cause = 'paused' and a.cleared_at is null) as paused,
    coalesce((s.settings ->> 'automatic')::boolean, false) as automatic
from school s
left join lateral (
    select y.at, extract(epoch from y.at - p.taken_at) as seconds,
        (select coalesce(sum(n::int), 0) from jsonb_each(y.held) r, jsonb_each_text(r.value) h(action, n)) as held
    from sync y left join snapshot p on p.id = y.snapshot_id
    where y.school_id = s.id and y.kind = 'sync' order by y.id desc limit 1
) done on true
order by s.key
"""
PEOPLE = """
select s.key as school, m.role, count(*) as people from membership m join school s on s.id = m.school_id
where m.status = 'active' group by s.key, m.role order by s.key, m.role
"""
REST = """
select (select count(*) from alert where cleared_at is null) as alerts,
    (select count(*) from outbox where sent_at is null and dead_at is null) as waiting,
    (select count(*) from outbox where dead_at is not null) as dead
"""
OLD = {
    "mails": "delete from outbox where sent_at < now() - cast(:age as interval)",
    "row details": (
        "update outbox set attachment = null where attachment is not null and dead_at < now() - interval '7 days'"
    ),
    "digest lines": "delete from digest where message_id is not null and put_at < now() - cast(:age as interval)",
    "nights": "delete from scheduled_run where requested_at < now() - cast(:age as interval)",
    "failures": (
        "delete from failure f where at < now() - cast(:age as interval) "
        "and exists (select from sync y where y.school_id = f.school_id and y.kind = 'sync' and y.at > f.at)"
    ),
    "alerts": "delete from alert where cleared_at < now() - cast(:age as interval) and cause <> 'paused'",
    "runs by hand": "delete from manual_run where ended_at < now() - cast(:age as interval)",
    "uploaded lists": "delete from people_upload where at < now() - interval '1 day'",
}
"""The row details of a mail that was given up are deleted after a week, because they concern people. A week is enough
for a second try. Failures of a school that has not worked since then are kept, because they count towards its pause.
The alerts about pauses are kept too."""


def exposition(database: Database, more: Mapping[str, tuple[str, float]] | None = None) -> str:
    """Every metric, by school key; without values of people. more: metrics from outside our tables, as name to meaning
    and value."""
    with database.begin() as connection:
        schools, people, rest = read(connection)
    lines: list[str] = []
    for column, (name, meaning) in OF_A_SCHOOL.items():
        found = ((f'school="{row["school"]}"', row[column]) for row in schools if row[column] is not None)
        lines += _family(name, meaning, found)
    counted = ((f'school="{row["school"]}",role="{row["role"]}"', row["people"]) for row in people)
    lines += _family("roster_people", "Active people of a school by role", counted)
    for column, (name, meaning) in OF_ALL.items():
        lines += _family(name, meaning, [("", rest[column])])
    for name, (meaning, value) in (more or {}).items():
        lines += _family(name, meaning, [("", value)])
    return "\n".join(lines) + "\n"


def _family(name: str, meaning: str, samples: Iterable[tuple[str, Any]]) -> list[str]:
    values = [f"{name}{{{labels}}} {float(value):.3f}" if labels else f"{name} {value}" for labels, value in samples]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", *values]


def read(conn: Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Read the metrics of each school, of each school and role, and of the whole installation."""
    schools, people, rest = (conn.execute(text(query)).mappings().all() for query in (SCHOOLS, PEOPLE, REST))
    return [dict(row) for row in schools], [dict(row) for row in people], dict(rest[0])


def drop_old(conn: Connection, age: timedelta) -> dict[str, int]:
    """Drop the rows that are older, and return how many were dropped, by name."""
    dropped = {name: conn.execute(text(query), {"age": age}).rowcount for name, query in OLD.items()}
    return dropped | {"tests of forms": connection_tests.prune(conn), "broken pulls": pulls.drop_broken(conn)}
