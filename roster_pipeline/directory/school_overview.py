"""Every school that somebody may see, with its status. One query reads the counts and one page of schools.

It finds the last events of a school with one index look-up, so the age of the ledger does not matter. A school needs
attention if its last sync failed, if something is held, if it was paused after failed nights, or if it is silent. A
school that somebody paused until a day needs none.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.plans import WAITS

State = Literal["failing", "held", "paused", "stale", "resting", "off", "fine"]
STATES: tuple[State, ...] = ("failing", "held", "paused", "stale", "resting", "off", "fine")
NEEDS_ATTENTION = ("failing", "held", "paused", "stale")

KNOWN = f"""
select s.id, s.connection_id, s.key, s.name, d.name as district, d.key as district_key,
    coalesce((s.settings ->> 'automatic')::boolean, false) as automatic,
    coalesce(s.settings ->> 'sync_time', '20:00:00')::time as sync_time,
    coalesce(s.settings ->> 'time_zone', 'UTC') as time_zone,
    done.id as sync_id, done.at as last_sync, coalesce(waits.held, 0) as held, waits.plan_id, waits.state as plan_state,
    broken.at as failed_at, broken.message as failure,
    coalesce(broken.cause = 'credentials', false) as sign_in,
    coalesce(warned.alerts, 0) as alerts, coalesce(warned.paused, false) as paused,
    coalesce(warned.stale, false) as stale, rest.until as paused_until,
    case
        when coalesce(waits.held, 0) > 0 and (broken.at is null or rest.until is not null) then 'held'
        when rest.until is not null then 'resting'
        when broken.at is not null then 'failing'
        when warned.paused then 'paused'
        when warned.stale then 'stale'
        when not coalesce((s.settings ->> 'automatic')::boolean, false) then 'off'
        else 'fine'
    end as state
from school s
join district d on d.id = s.district_id
left join lateral (
    select greatest(s.paused_until, d.paused_until) as until
    where greatest(s.paused_until, d.paused_until)
          > (now() at time zone coalesce(s.settings ->> 'time_zone', 'UTC'))::date
) rest on true
left join lateral (
    select y.id, y.at from sync y where y.school_id = s.id and y.kind not in ('person', 'upload')
    order by y.id desc limit 1
) done on true
left join lateral (
    select f.at, f.message, f.cause from failure f where f.school_id = s.id and f.at > coalesce(done.at, '-infinity')
    order by f.id desc limit 1
) broken on true
left join lateral (
    select newest.id as plan_id, newest.state, case when newest.state = 'planned' then (
        select sum(v.rows) from verdict v where v.plan_id = newest.id and {WAITS}
    ) end as held
    from (
        select p.id, p.state from plan p where p.school_id = s.id and not p.dry_run and p.person_id is null
        order by p.id desc limit 1
    ) newest
) waits on true
left join (
    select w.id, count(*) as alerts, bool_or(a.cause = 'paused') as paused, bool_or(a.cause = 'stale') as stale
    from alert a join school w on w.id = a.school_id or w.connection_id = a.connection_id
    where a.cleared_at is null group by w.id
) warned on warned.id = s.id
where (:everyone or s.district_id = any(cast(:districts as bigint[])) or s.id = any(cast(:schools as bigint[])))
"""  # noqa: S608 - a constant

COUNTS = ("schools", "held_schools", "failing", "silent", "off", "found")
"""The counts of an `Overview`, in order."""
QUIET = "(stale or paused)"
"""Paused or silent, as the tile counts schools. A school that somebody paused until a day is neither."""
PAGE = f"""
with known as materialized ({KNOWN}),
matching as (
    select * from known
    where (cast(:state as text) is null or state = :state or (:state = 'attention' and state = any(:attention))
        or (:state = 'held' and held > 0) or (:state = 'quiet' and {QUIET}))
      and (cast(:search as text) is null or name ilike :search or key ilike :search or district ilike :search)
),
page as (
    select * from matching order by array_position(cast(:order as text[]), state), lower(name), key
    limit :limit offset :offset
),
totals as (
    select count(*) as schools, count(*) filter (where held > 0) as held_schools,
        count(*) filter (where state = 'failing') as failing, count(*) filter (where {QUIET}) as silent,
        count(*) filter (where not automatic) as off, (select count(*) from matching) as found
    from known
)
select {", ".join(f"t.{name}" for name in COUNTS)}, page.*, y.kind, y.outcome, y.report,
    y.plan_id as sync_plan_id
from totals t left join page on true left join sync y on y.id = page.sync_id
order by array_position(cast(:order as text[]), page.state), lower(page.name), page.key
"""  # noqa: S608 - a constant

CONNECTIONS = f"""
with known as materialized ({KNOWN})
select c.id, c.key, c.settings ->> 'url' as url, count(k.id) as schools,
    count(*) filter (where k.state = 'failing') as failing, count(*) filter (where k.held > 0) as held,
    count(*) filter (where k.paused) as paused, count(*) filter (where k.state = 'stale') as stale,
    count(*) filter (where k.state = 'resting') as resting, max(k.last_sync) as last_sync,
    max(k.failed_at) filter (where k.state = 'failing') as failed_at,
    (array_agg(k.failure order by k.failed_at desc) filter (where k.state = 'failing'))[1] as failure,
    coalesce(bool_or(k.sign_in) filter (where k.state = 'failing'), false) as sign_in
from connection c left join known k on k.connection_id = c.id
where c.district_id = any(cast(:districts as bigint[]))
group by c.id
order by count(*) filter (where k.state = 'failing') desc, count(*) filter (where k.held > 0) desc, c.key
"""  # noqa: S608 - a constant

ORDER = ("failing", "held", "paused", "stale", "resting", "fine", "off")
"""Schools that need attention come first."""


FIRST_DAYS = f"""
select
    (select count(*) from (select 1 from sync y where y.school_id = :school and y.kind in ('sync', 'approval')
        and y.outcome in ('applied', 'unchanged') and y.counts <> '{{}}' limit 100) done) as applied,
    (select p.id from plan p where p.school_id = :school and p.person_id is null
        and exists (select from plan_line l where l.plan_id = p.id) order by p.id desc limit 1) as plan_id,
    exists (select from verdict v where {WAITS}
        and (select bool_and(coalesce((finding ->> 'overridable')::boolean, false))
            from jsonb_array_elements(v.findings) finding) and v.plan_id = (
        select p.id from plan p where p.school_id = :school and p.person_id is null and not p.dry_run
            and p.state = 'planned' order by p.id desc limit 1)) as held
"""  # noqa: S608 - a constant


def first_days(conn: Connection, school_id: int) -> Row[Any]:
    """The progress of a new school; plans and syncs without people do not count. applied: syncs that changed something,
    or had to change nothing. plan_id: also of a dry run. held: a part that a person can approve."""
    return conn.execute(text(FIRST_DAYS), {"school": school_id}).one()


@dataclass(frozen=True)
class Overview:
    """A page of schools, and counts over all that the person may see; `found`: of the search.

    Of a school: what `KNOWN` selects, and kind, outcome and report of its last sync, as they are stored. held: rows
    that wait. failed_at: after the last sync. sign_in: the SIS refused it. plan_id: the newest plan; sync_plan_id: the
    last sync's. paused_until: by a person, also the district. state: the most urgent."""

    page: list[Row[Any]]
    schools: int
    held: int
    failing: int
    silent: int
    off: int
    found: int


def overview(
    conn: Connection,
    *,
    everyone: bool = False,
    districts: Collection[int] = (),
    schools: Collection[int] = (),
    search: str = "",
    state: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Overview:
    """The schools that need attention first, then by name. everyone: all, else those of districts and schools. search:
    a part of name, key or district. state: of STATES, `attention`, or `quiet` (paused or silent)."""
    escaped = search.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    given = {
        "everyone": everyone, "districts": list(districts), "schools": list(schools), "state": state,
        "search": f"%{escaped}%" if escaped else None, "attention": list(NEEDS_ATTENTION), "order": list(ORDER),
        "limit": limit, "offset": offset,
    }  # fmt: skip
    rows = conn.execute(text(PAGE), given).all()
    return Overview([row for row in rows if row.id is not None], *rows[0][: len(COUNTS)])


def connections(conn: Connection, district_id: int) -> Sequence[Row[Any]]:
    """The connections of a district, each with its schools in numbers and the newest message of one that fails. Those
    with the most failing schools come first."""
    given = {"everyone": False, "districts": [district_id], "schools": []}
    return conn.execute(text(CONNECTIONS), given).all()


def schools_in_state(conn: Connection, district_id: int, connection_id: int, states: Collection[State]) -> list[str]:
    """The keys of the schools of a connection that are in one of these states."""
    query = f"select key from ({KNOWN}) known where connection_id = :connection and state = any(:states) order by key"  # noqa: S608
    given = {"everyone": False, "districts": [district_id], "schools": []}
    return list(conn.scalars(text(query), given | {"connection": connection_id, "states": list(states)}))


def school_status(conn: Connection, school_id: int) -> Row[Any]:
    """One school as the overview shows it. A school with this id must exist."""
    [found] = overview(conn, schools=[school_id], limit=1).page
    return found
