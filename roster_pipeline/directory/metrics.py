"""Numbers for monitoring, by school key: never more than counts and times."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

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


def read(conn: Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Per school; per school and role; over all."""
    schools, people, rest = (conn.execute(text(query)).mappings().all() for query in (SCHOOLS, PEOPLE, REST))
    return [dict(row) for row in schools], [dict(row) for row in people], dict(rest[0])
