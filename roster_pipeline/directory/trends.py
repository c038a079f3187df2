"""The last year of a school or a district, by week: people, changes, and how many records could be used.

One row per school and week is kept up to date by each sync, so a year of three thousand schools is read at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

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
"""A school that did not sync in a week counts with its people of before: the sum of all changes so far."""


@dataclass(frozen=True)
class Week:
    """One week. week: its Monday. people: in the rosters. records, rejected: of the last complete snapshots."""

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
        """People who were changed."""
        return self.created + self.updated + self.restored + self.archived

    @property
    def usable(self) -> float | None:
        """Percent of the records that could be used; None where nothing was counted."""
        return 100 * (1 - self.rejected / self.records) if self.records else None


def note(conn: Connection, sync_id: int) -> None:
    """Count a sync in its week; in the transaction of the sync."""
    conn.execute(text(NOTE), {"sync": sync_id})


def year(conn: Connection, *, school_id: int | None = None, district_id: int | None = None) -> list[Week]:
    """The last year of a school or a district, oldest week first; weeks without any sync are left out."""
    rows = conn.execute(text(YEAR), {"school": school_id, "district": district_id}).mappings()
    return [Week(**row) for row in rows]
