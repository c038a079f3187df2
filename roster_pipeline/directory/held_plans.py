"""Held plans for the people who decide: which plans wait, over many schools at once, and what was decided about one
plan.

The caller says what a person may see: some districts and schools, or everything if it gives neither.

Claimed people also come from another connection. A school may not decide alone that they are the same person.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.alerts import CLAIMED as CLAIMED_ELSEWHERE
from roster_pipeline.directory.plans import WAITS, PlanRow

WAITING = f"""
select p.id as plan_id, p.district_id, p.school_id, s.key as school, s.name as school_name,
       s.settings ->> 'time_zone' as time_zone, p.made_at, p.hash, p.first_sync, sum(v.rows)::int as rows,
       jsonb_agg(jsonb_build_object('role', v.role, 'action', v.action, 'rows', v.rows, 'findings', v.findings)
                 order by v.role, v.action) as kinds,
       count(*) over () as plans, (sum(sum(v.rows)) over ())::int as all_rows
from plan p
join school s on s.id = p.school_id
join verdict v on v.plan_id = p.id
where p.state = 'planned' and not p.dry_run and {WAITS}
  and (:everything or p.district_id = any(:districts) or p.school_id = any(:schools))
  and position(:words in lower(s.name || ' ' || s.key)) > 0
  and (cast(:district as bigint) is null or p.district_id = :district)
  and (:guard = '' or v.findings @> jsonb_build_array(jsonb_build_object('guard', cast(:guard as text))))
group by p.id, s.id
order by p.made_at desc, p.id desc limit :limit offset :offset
"""  # noqa: S608

TIMELINE = """
select a.at, a.decision as what, a.who, a.reason, a.used_by as sync_id, a.lapses_at
from approval a where a.plan_id = :plan
union all
select y.at, y.kind, y.who, null, y.id, null from sync y where y.plan_id = :plan
union all
(select n.made_at, 'newer', null, null, n.id, null from plan n
 where n.school_id = :school and n.id > :plan and not n.dry_run and n.person_id is null and :replaced
 order by n.id limit 1)
order by at, sync_id nulls first
"""
_UNDECIDED = """not exists (
    select from link l where l.connection_id = s.connection_id and l.sourced_id = any(r.sourced_ids))
  and not exists (
    select from link_exclusion a
    where a.connection_id = s.connection_id and a.sourced_id = any(r.sourced_ids) and a.person_id = m.person_id)"""
"""Condition: nobody has decided about the person `m` and the records of a row `r`."""
CLAIMED = f"""
select m.school_id, count(distinct m.person_id) as people, array_agg(distinct s.id) as by_schools
from plan p
join school s on s.id = p.school_id
join plan_row r on r.plan_id = p.id and r.reason = 'other_connection'
join membership m on m.district_id = p.district_id and m.person_id = r.person_id and m.status = 'active'
join school o on o.id = m.school_id and o.connection_id <> s.connection_id
where p.state = 'planned' and not p.dry_run
  and {_UNDECIDED}
group by m.school_id
"""  # noqa: S608 - constants
"""The claimed people of all newest plans, without people about whom somebody has decided since."""

_CLAIMED_OF = f"""
select m.school_id, count(distinct m.person_id) as people, array_agg(distinct s.id) as by_schools
from membership m
cross join lateral (
    select plan_id, sourced_ids from plan_row
    where reason = 'other_connection' and person_id = m.person_id offset 0
) r
join plan p on p.id = r.plan_id and p.district_id = m.district_id and p.state = 'planned' and not p.dry_run
join school s on s.id = p.school_id
join school o on o.id = m.school_id and o.connection_id <> s.connection_id
where m.school_id = {{school}} and m.status = 'active'
  and (select count(*) from connection c join school h using (district_id) where h.id = {{school}}) > 1
  and {_UNDECIDED}
group by m.school_id
"""  # noqa: S608 - constants
"""The same for one school. It begins with its people, so that it costs the same in a city as in a village. If the
district has one connection, nobody is claimed, and no person is looked at."""
CLAIMED_OF_SCHOOLS = f"""
select found.* from unnest(cast(:schools as bigint[])) one (school_id)
cross join lateral ({_CLAIMED_OF.format(school="one.school_id")}) found
"""  # noqa: S608 - constants
CHANGED_CLAIMS = f"""
with concerned as materialized (select cast(:school as bigint) as school_id union select m.school_id
from (
    select p.id, p.district_id from plan p
    where p.school_id = :school and not p.dry_run and p.person_id is null order by p.id desc limit 2
) newest
cross join lateral (
    select person_id from plan_row where plan_id = newest.id and reason = 'other_connection' offset 0
) r
join membership m on m.district_id = newest.district_id and m.person_id = r.person_id
)
select one.school_id from concerned one
left join lateral ({_CLAIMED_OF.format(school="one.school_id")}) found on true
left join alert a on a.school_id = one.school_id and a.cause = :cause and a.cleared_at is null
where (found.people is null) <> (a.id is null)
"""  # noqa: S608 - constants
"""These are the school itself, and the schools whose people its newest plan claims, or the one before did."""

THEIR_OWN = """
with claimed as (
    select r.person_id, s.connection_id
    from plan p
    join school s on s.id = p.school_id
    join plan_row r on r.plan_id = p.id and r.action = 'create' and r.matched_by in ('number', 'email')
    where p.id = :plan
      and not exists (select from link l where l.person_id = r.person_id and l.connection_id = s.connection_id)
      and (exists (select from link l where l.person_id = r.person_id)
           or exists (select from membership m join school o on o.id = m.school_id
                      where m.person_id = r.person_id and o.connection_id <> s.connection_id))
), theirs as (
    select h.person_id, bool_and(o.id = any(:schools) and c.settings ->> 'controlled_by' is distinct from 'district')
           as own
    from claimed h
    join membership m on m.person_id = h.person_id and m.status = 'active'
    join school o on o.id = m.school_id and o.connection_id <> h.connection_id
    join connection c on c.id = o.connection_id
    group by h.person_id
)
select count(*) > 0 and coalesce(bool_and(t.own), false) and count(*) = count(t.own)
from claimed h left join theirs t using (person_id)
"""
"""The people of another connection who would get a role by a plan, and whether they are only in these schools."""


@dataclass(frozen=True)
class Event:
    """What happened to a plan. what: approve, discard, sync, approval, relink, or newer (sync_id: that plan)."""

    at: datetime
    what: str
    who: str | None
    reason: str | None
    sync_id: int | None
    lapses_at: datetime | None

    def lapsed(self, now: datetime) -> bool:
        """Whether this is an approval that was not used in time."""
        return self.what == "approve" and self.sync_id is None and self.lapses_at is not None and self.lapses_at <= now


def waiting(
    conn: Connection,
    *,
    districts: Collection[int] | None = None,
    schools: Collection[int] | None = None,
    words: str = "",
    guard: str = "",
    district: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Sequence[Row[Any]]:
    """Held plans of these districts and schools (without both: of all), newest first. words: part of a school's name or
    key. guard: only what it holds. kinds: role, action, rows, findings of each. plans, all_rows: over all pages."""
    given = {
        "everything": districts is None and schools is None, "districts": list(districts or ()),
        "schools": list(schools or ()), "words": words.strip().lower(), "guard": guard, "district": district,
        "limit": limit, "offset": offset,
    }  # fmt: skip
    return conn.execute(text(WAITING), given).all()


def timeline(conn: Connection, plan: PlanRow) -> list[Event]:
    """Everything that people and syncs did with a plan, oldest first."""
    given = {"plan": plan.id, "school": plan.school_id, "replaced": plan.state == "replaced"}
    return [Event(**row) for row in conn.execute(text(TIMELINE), given).mappings()]


def sync_after(conn: Connection, plan_id: int) -> int | None:
    """The newest sync that a decision of a person about this plan made: an approval or a relink."""
    query = "select max(id) from sync where plan_id = :plan and kind in ('approval', 'relink')"
    return conn.scalar(text(query), {"plan": plan_id})  # type: ignore[no-any-return]


def has_all_of_them(conn: Connection, plan_id: int, schools: Collection[int]) -> bool:
    """Whether these schools have all people that a plan claims from another connection (False for nobody). The manager
    decides about people of the district's own connection, and of those active nowhere."""
    return bool(conn.scalar(text(THEIR_OWN), {"plan": plan_id, "schools": list(schools)}))


def claimed_people(conn: Connection, schools: Collection[int] | None = None) -> dict[int, Row[Any]]:
    """School to how many of its active people wait in other schools' plans, and in whose (by_schools); of all schools
    that have any, or of these."""
    query, given = (CLAIMED, {}) if schools is None else (CLAIMED_OF_SCHOOLS, {"schools": sorted(schools)})
    return {row.school_id: row for row in conn.execute(text(query), given)}


def claimed_of_school(conn: Connection, school_id: int) -> int:
    """How many active people of one school wait in another school's plan."""
    found = claimed_people(conn, [school_id]).get(school_id)
    return found.people if found else 0


def changed_claims(conn: Connection, school_id: int) -> set[int]:
    """Schools where a sync of this school, or a decision on its plan, has to open or close the alert on claims."""
    return set(conn.scalars(text(CHANGED_CLAIMS), {"school": school_id, "cause": CLAIMED_ELSEWHERE}))


def schools_of_people(conn: Connection, district_id: int, people: Collection[int]) -> set[int]:
    """Every school that these people are or were in."""
    query = "select distinct school_id from membership where district_id = :district and person_id = any(:people)"
    return set(conn.scalars(text(query), {"district": district_id, "people": sorted(people)}))
