"""Recent losses: how many people of a school the syncs of the last weeks archived, by role and grade. Only a plan that
archives somebody reads them.

People are lost if a sync archived them and nobody looked at that: not with an approval, and not as announced leavers.
Nobody is lost any more who came back. If somebody approves archivals because of their number (`LOSSES`), the count of
this role begins anew.

A sync archives people and writes its own line in one transaction, so both have the same time. An approved sync is one
whose lines of the verdict were held.
"""

import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory.lasting_decisions import STAYS
from roster_pipeline.directory.sync_summary import LOSSES
from roster_pipeline.directory.tenants import SchoolRow

LOST = """
with approved as materialized (
    select v.role, y.at, bool_or(f ->> 'guard' = any(:losses) and f ->> 'about' = v.role) as settles
    from sync y
    join verdict v on v.plan_id = y.plan_id and v.sync_id = y.id and v.action = 'archive' and v.verdict = 'hold'
    cross join lateral jsonb_array_elements(v.findings) f
    where y.school_id = :school and y.at > now() - make_interval(days => :long)
    group by v.role, y.at
), of_role as materialized (
    select role, max(at) filter (where settles) as settled_at, array_agg(at) as moments from approved group by role
)
select m.role, m.grade,
    count(*) filter (where m.status = 'active') as here,
    count(*) filter (where m.status <> 'active' and m.archived_at > now() - make_interval(days => :lately)) as lately,
    count(*) filter (where m.status <> 'active') as long
from membership m
left join of_role r on r.role = m.role
left join announced_leaver a on (a.district_id, a.school_id, a.person_id) = (m.district_id, m.school_id, m.person_id)
    and (m.archived_at at time zone :zone)::date between a.day and a.day + :stays
where m.district_id = :district and m.school_id = :school and (
    (m.status = 'active' and m.managed)
    or (m.archived_by = 'sync' and m.archived_at > now() - make_interval(days => :long) and a.person_id is null
        and m.archived_at > coalesce(r.settled_at, '-infinity') and m.archived_at <> all(coalesce(r.moments, '{}')))
)
group by m.role, m.grade
"""


def recent_losses(conn: Connection, school: SchoolRow, *, lately: int, long: int) -> pd.DataFrame:
    """role, grade, here (active people that the sync manages), lately and long (people who were lost in so many days):
    a row for each role and grade."""
    given = {
        "district": school.district_id, "school": school.id, "zone": school.settings.time_zone, "losses": list(LOSSES),
        "lately": lately, "long": long, "stays": STAYS.days,
    }  # fmt: skip
    rows = conn.execute(text(LOST), given).all()
    found = pd.DataFrame(rows, columns=["role", "grade", "here", "lately", "long"])
    return found.astype({"role": "str", "grade": "str", "here": "int64", "lately": "int64", "long": "int64"})
