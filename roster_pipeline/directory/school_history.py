"""The history of one school: syncs, failures and cancellations page by page, and the last year by week.

A week has the number of people, of changes, and of usable records. Each sync keeps one row per school and week up to
date, so a year of three thousand schools is read quickly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.alerts import STARTED_BY
from roster_pipeline.directory.audit import RUN_CANCELED, RUN_REQUESTED

KINDS = ("f", "s", "c")
"""Failure, sync, canceled: the order of lines with the same time. The addresses of pages contain these letters."""
SCHOOL_HISTORY = f"""
select at, id, kind, outcome, counts, held, report, who, run_id, undoes, undone_by, step, message,
    to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z."') || (array{list(KINDS)})[rank + 1] || '.' || id
    as place
from (
    (
        select 1 as rank, y.at, y.id, y.kind, y.outcome, y.counts, y.held, y.report, y.who, y.run_id, y.undoes,
            (select max(l.id) from sync l where l.school_id = y.school_id and l.undoes = y.id) as undone_by,
            null::text as step, null::text as message
        from sync y where y.school_id = :school and (y.at, 1, y.id) < (cast(:at as timestamptz), :rank, :id)
        order by y.at desc, y.id desc limit :limit
    )
    union all
    (
        select 0, f.at, f.id, 'failure', 'failed', '{{}}'::jsonb, '{{}}'::jsonb, '{{}}'::jsonb,
            {STARTED_BY}, f.run_id, null, null, f.step, f.message
        from failure f where f.school_id = :school and (f.at, 0, f.id) < (cast(:at as timestamptz), :rank, :id)
        order by f.at desc, f.id desc limit :limit
    )
    union all
    (
        select 2, c.at, c.id, 'canceled', 'canceled', '{{}}'::jsonb, '{{}}'::jsonb, '{{}}'::jsonb, c.who,
            c.details ->> 'run', null, null, null, null
        from audit c
        where c.school_id = :school and c.what = :canceled and (c.at, 2, c.id) < (cast(:at as timestamptz), :rank, :id)
        order by c.at desc, c.id desc limit :limit
    )
) every_kind
order by at desc, rank desc, id desc limit :limit
"""  # noqa: S608 - constants
OPEN_ALERTS = """
select a.subject, a.cause, a.message, a.opened_at from alert a
where a.cleared_at is null and (a.school_id = :school or a.connection_id = :connection)
order by a.id
"""
PEOPLE = """
select role, count(*) as people from membership
where district_id = :district and school_id = :school and status = 'active' group by role
"""


NOTE = """
insert into school_week (school_id, week, people, created, updated, restored, archived, records, rejected)
select y.school_id, w.week,
       coalesce(size.people, (select b.people from school_week b where b.school_id = y.school_id and b.week <= w.week
                              order by b.week desc limit 1), 0),
       coalesce(done.created, 0), coalesce(done.updated, 0), coalesce(done.restored, 0), coalesce(done.archived, 0),
       coalesce(size.records, 0), coalesce(size.rejected, 0)
from sync y
join school c on c.id = y.school_id
cross join lateral (
    select date_trunc('week', y.at at time zone coalesce(c.settings ->> 'time_zone', 'UTC'))::date as week
) w
left join lateral (
    select (select sum(value::int)::int from jsonb_each_text(s.counts -> 'roles')) as people,
           coalesce((s.counts ->> 'raw_users')::int, 0) as records,
           (select count(distinct r.sourced_id)::int from rejected_record r
            where r.snapshot_id = s.id and r.collection = 'users' and r.severity = 'error') as rejected
    from snapshot s where s.id = y.snapshot_id and s.complete and y.kind = 'sync'
) size on true
left join lateral (
    select sum((value ->> 'create')::int) as created, sum((value ->> 'update')::int) as updated,
           sum((value ->> 'restore')::int) as restored, sum((value ->> 'archive')::int) as archived
    from jsonb_each(y.counts)
) done on true
where y.id = :sync and y.kind in ('sync', 'approval', 'person')
on conflict (school_id, week) do update set
    people = excluded.people,
    created = school_week.created + excluded.created,
    updated = school_week.updated + excluded.updated,
    restored = school_week.restored + excluded.restored,
    archived = school_week.archived + excluded.archived,
    records = case when excluded.records > 0 then excluded.records else school_week.records end,
    rejected = case when excluded.records > 0 then excluded.rejected else school_week.rejected end
"""
YEAR = """
with known as (
    select w.*, w.people - coalesce(lag(w.people) over (partition by w.school_id order by w.week), 0) as more
    from school_week w
    where w.school_id = any(array(
        select id from school s
        where s.id = cast(:school as bigint) or s.district_id = cast(:district as bigint)))
), weeks as (
    select week, (sum(sum(more)) over (order by week))::int as people, sum(created)::int as created,
           sum(updated)::int as updated, sum(restored)::int as restored, sum(archived)::int as archived,
           sum(records)::int as records, sum(rejected)::int as rejected
    from known group by week
)
select * from weeks where week > current_date - 371 order by week
"""
"""A week without a sync has the people of the week before, so the number is the sum of changes."""


def school_history(
    conn: Connection, school_id: int, *, before: str | None = None, limit: int = 30
) -> Sequence[Row[Any]]:
    """A school's history, newest first. kind: of a sync, `canceled` (a run, by `who`), or `failure`. place: where the
    next page begins; it can be used in an address without encoding. before: `place` of the last entry seen. Raises
    ValueError for none."""
    at, kind, number = before.rsplit(".", 2) if before else ("", "", "0")
    given: dict[str, Any] = {"school": school_id, "limit": limit, "canceled": RUN_CANCELED, "requested": RUN_REQUESTED}
    given |= {"at": datetime.fromisoformat(at).isoformat() if before else "infinity", "id": int(number)}
    given["rank"] = KINDS.index(kind) if before else len(KINDS)
    return conn.execute(text(SCHOOL_HISTORY), given).all()


def alerts_of(conn: Connection, school_id: int, connection_id: int) -> Sequence[Row[Any]]:
    """The open alerts of a school and its connection, oldest first: subject, cause, message, opened_at."""
    return conn.execute(text(OPEN_ALERTS), {"school": school_id, "connection": connection_id}).all()


def people_by_role(conn: Connection, district_id: int, school_id: int) -> dict[str, int]:
    """Role group to the number of active people; roles without any are left out."""
    rows = conn.execute(text(PEOPLE), {"district": district_id, "school": school_id})
    return {row.role: row.people for row in rows}


@dataclass(frozen=True)
class Week:
    """One week from its Monday. people: in the rosters. records, rejected: of the last complete snapshots."""

    week: date
    people: int
    created: int
    updated: int
    restored: int
    archived: int
    records: int
    rejected: int

    @property
    def changes(self) -> int:
        """How many people were changed."""
        return self.created + self.updated + self.restored + self.archived

    @property
    def usable(self) -> float | None:
        """The percentage of records that could be used; None if nothing was counted."""
        return 100 * (1 - self.rejected / self.records) if self.records else None


def note(conn: Connection, sync_id: int) -> None:
    """Count a sync in its week. Call it in the transaction of the sync."""
    conn.execute(text(NOTE), {"sync": sync_id})


def year(conn: Connection, *, school_id: int | None = None, district_id: int | None = None) -> list[Week]:
    """The last year of a school or a district, oldest week first; weeks without any sync are left out."""
    rows = conn.execute(text(YEAR), {"school": school_id, "district": district_id}).mappings()
    return [Week(**row) for row in rows]
