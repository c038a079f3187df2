"""People of a school whom another connection also delivers, and may not decide alone that they are the same."""

from __future__ import annotations

from sqlalchemy import Connection, text

CLAIMED = """
select m.school_id, count(distinct m.person_id) as people
from plan p
join school s on s.id = p.school_id
join plan_row r on r.plan_id = p.id and r.reason = 'other_connection'
join membership m on m.district_id = p.district_id and m.person_id = r.person_id and m.status = 'active'
join school o on o.id = m.school_id and o.connection_id <> s.connection_id
where p.state = 'planned' and not p.dry_run and m.school_id = coalesce(cast(:school as bigint), m.school_id)
  and not exists (
    select from link l where l.connection_id = s.connection_id and l.sourced_id = any(r.sourced_ids))
  and not exists (
    select from apart a
    where a.connection_id = s.connection_id and a.sourced_id = any(r.sourced_ids) and a.person_id = r.person_id)
group by m.school_id
"""
"""By the newest plans of all schools; what somebody has settled since is left out."""


def claimed_people(conn: Connection, school_id: int | None = None) -> dict[int, int]:
    """School to how many of its active people wait in another school's plan; of one school, or of all that have any."""
    return {row.school_id: row.people for row in conn.execute(text(CLAIMED), {"school": school_id})}
