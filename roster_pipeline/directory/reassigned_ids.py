"""The ids of leavers that a SIS has given to newcomers, taken away from the leavers all at once.

Some SISs deal their ids out anew every year. Each is a conflict of its own, and each answer is the same: somebody else.
Whoever is still active somewhere, or has several records tonight, is looked at one by one.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.manual_edits import unlink_pairs
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow

LEAVERS = """
select r.person_id, l.sourced_id from plan_row r
join link l on l.connection_id = :connection and l.sourced_id = r.sourced_ids[1] and l.person_id = r.person_id
join person p on p.id = r.person_id and p.district_id = :district and p.revision = r.person_revision
where r.plan_id = :plan and r.reason = 'id_reused' and cardinality(r.sourced_ids) = 1
  and not exists (select from membership m where m.person_id = r.person_id and m.status = 'active')
order by r.person_id
"""


def unlink_leavers(conn: Connection, school: SchoolRow, plan: PlanRow, *, who: str, reason: str) -> int:
    """Say of every leaver of a plan whose id came as somebody else that the record is not theirs. Returns how many."""
    lock_district(conn, school.district_id)
    given = {"plan": plan.id, "district": school.district_id, "connection": school.connection.id}
    found = [(row.person_id, row.sourced_id) for row in conn.execute(text(LEAVERS), given)]
    unlink_pairs(conn, school.connection, found, who=who, reason=reason)
    return len(found)
