"""The ids of leavers that a SIS has given to newcomers, taken away from the leavers all at once.

Some SISs deal their ids out anew every year. Each is a conflict of its own, and each answer is the same: somebody else.
Whoever is still active somewhere, or has several records tonight, is looked at one by one.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow

STAGE = """
create temporary table leaver on commit drop as
select r.person_id, l.sourced_id from plan_row r
join link l on l.connection_id = :connection and l.sourced_id = r.sourced_ids[1] and l.person_id = r.person_id
join person p on p.id = r.person_id and p.district_id = :district and p.revision = r.person_revision
where r.plan_id = :plan and r.reason = 'id_reused' and cardinality(r.sourced_ids) = 1
  and not exists (select from membership m where m.person_id = r.person_id and m.status = 'active')
"""
UNLINK = (
    "insert into apart (district_id, connection_id, sourced_id, person_id) "
    "select :district, :connection, sourced_id, person_id from leaver on conflict do nothing",
    "delete from link l using leaver g where l.connection_id = :connection and l.sourced_id = g.sourced_id "
    "and l.person_id = g.person_id and l.district_id = :district",
    "update link l set home = true from ("
    "select distinct on (o.person_id) o.connection_id, o.sourced_id from link o join leaver using (person_id) "
    "where not exists (select from link h where h.person_id = o.person_id and h.home) "
    "order by o.person_id, o.created_at, o.sourced_id"
    ") next where l.connection_id = next.connection_id and l.sourced_id = next.sourced_id",
    "update person p set revision = revision + 1 from leaver g where p.id = g.person_id and p.district_id = :district",
    "insert into audit (who, what, district_id, person_id, reason, details) "
    "select :who, 'record unlinked', :district, person_id, :reason, "
    "jsonb_build_object('connection', cast(:key as text)) from leaver order by person_id",
)
"""As `people.unlink` for each: the record is not theirs, another link becomes the home, the plan is out of date."""


def unlink_leavers(conn: Connection, school: SchoolRow, plan: PlanRow, *, who: str, reason: str) -> int:
    """Say of every leaver of a plan whose id came as somebody else that the record is not theirs. Returns how many."""
    lock_district(conn, school.district_id)
    given = {
        "plan": plan.id,
        "district": school.district_id,
        "connection": school.connection.id,
        "key": school.connection.key,
        "who": who,
        "reason": reason,
    }
    found: int = conn.execute(text(STAGE), given).rowcount
    for statement in UNLINK:
        conn.execute(text(statement), given)
    return found
