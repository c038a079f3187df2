"""People of a school whom another connection also delivers, and may not decide alone that they are the same."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, text

CLAIMED = """
select m.school_id, count(distinct m.person_id) as people
from plan p
join school s on s.id = p.school_id
join plan_row r on r.plan_id = p.id and r.reason = 'other_connection'
join membership m on m.district_id = p.district_id and m.person_id = r.person_id and m.status = 'active'
join school o on o.id = m.school_id and o.connection_id <> s.connection_id
where p.state = 'planned' and not p.dry_run
  and not exists (
    select from link l where l.connection_id = s.connection_id and l.sourced_id = any(r.sourced_ids))
  and not exists (
    select from link_exclusion a
    where a.connection_id = s.connection_id and a.sourced_id = any(r.sourced_ids) and a.person_id = r.person_id)
group by m.school_id
"""
"""By the newest plans of all schools; what somebody has settled since is left out."""


CLAIMED_OF_SCHOOL = """
select count(distinct m.person_id)
from membership m
cross join lateral (
    select plan_id, sourced_ids from plan_row
    where reason = 'other_connection' and person_id = m.person_id offset 0
) r
join plan p on p.id = r.plan_id and p.district_id = m.district_id and p.state = 'planned' and not p.dry_run
join school s on s.id = p.school_id
join school o on o.id = m.school_id and o.connection_id <> s.connection_id
where m.school_id = :school and m.status = 'active'
  and not exists (
    select from link l where l.connection_id = s.connection_id and l.sourced_id = any(r.sourced_ids))
  and not exists (
    select from link_exclusion a
    where a.connection_id = s.connection_id and a.sourced_id = any(r.sourced_ids) and a.person_id = m.person_id)
"""
"""The same for one school. It begins with the people of the school, so that it costs the same in a city as in a
village."""

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
"""The people of another connection to whom a plan would give a role, and whether they are in these schools alone."""


def has_all_of_them(conn: Connection, plan_id: int, schools: Collection[int]) -> bool:
    """Whether the owner of these schools has everybody whom a plan claims from another connection.

    False where it claims nobody. People of a connection of the district, and those who are active nowhere, are the
    district's manager's to decide about.
    """
    return bool(conn.scalar(text(THEIR_OWN), {"plan": plan_id, "schools": list(schools)}))


def claimed_people(conn: Connection) -> dict[int, int]:
    """School to how many of its active people wait in another school's plan; of all schools that have any."""
    return {row.school_id: row.people for row in conn.execute(text(CLAIMED))}


def claimed_of_school(conn: Connection, school_id: int) -> int:
    """How many active people of one school wait in another school's plan."""
    return int(conn.scalar(text(CLAIMED_OF_SCHOOL), {"school": school_id}) or 0)
