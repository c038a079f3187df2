"""The members of all schools of a connection whom a pull does not have. A school's own plan comes later."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.lasting_decisions import STAYS
from roster_pipeline.directory.record_sets import RECORDS
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.vocabulary import ARCHIVE

ENROLLED = """exists (
    select unnest(r.orgs) except select json_array_elements_text(coalesce(r.payload -> 'notEnrolled', '[]')))"""
"""Whether a record has a school in which it is not known to have no enrollment. It reads the whole record."""
ABSENT = f"""
with concerned (school_id, role, day) as (
    select * from unnest(cast(:schools as bigint[]), cast(:roles as text[]), cast(:days as date[]))
), known as materialized (
    select m.school_id, m.role, m.person_id
    from concerned c
    join membership m on m.district_id = :district and m.school_id = c.school_id and m.role = c.role
    join person p on p.district_id = m.district_id and p.id = m.person_id
    where m.status = 'active' and m.managed and not p.excluded and not exists (
        select from announced_leaver a where a.district_id = :district and a.school_id = m.school_id
        and a.person_id = m.person_id and c.day between a.day and a.day + :stays
    ) and not exists (
        select from exemption e where e.school_id = m.school_id and e.person_id = m.person_id and e.action = :archive
    )
), linked as materialized (
    select person_id, sourced_id from link
    where connection_id = :connection and person_id in (select person_id from known)
), away as materialized (
    select sourced_id from linked
    except select r.sourced_id from pull_record p {RECORDS.format(set="p")} r
    where p.pull_id = :pull and r.kind = 'user' and r.orgs <> '{{}}' and (not :by_enrollment or {ENROLLED})
), gone as materialized (
    select person_id, jsonb_agg(sourced_id) as ids from linked
    group by 1 having bool_and(sourced_id in (select sourced_id from away))
)
select k.school_id, k.role, count(*) as known, coalesce(jsonb_agg(g.ids) filter (where g.ids is not null), '[]') as ids
from known k join (select distinct person_id from linked) l using (person_id) left join gone g using (person_id)
group by 1, 2 order by 1, 2
"""  # noqa: S608

LATELY = """
select s.id from school s
cross join lateral (select taken_at from snapshot where school_id = s.id order by id desc limit 1) newest
where s.connection_id = :connection and newest.taken_at > now() - interval '7 days'
"""


def schools_read_lately(conn: Connection, connection_id: int) -> frozenset[int]:
    """The schools that took a snapshot in the last seven days. Others do not follow who leaves."""
    return frozenset(conn.scalars(text(LATELY), {"connection": connection_id}))


def absent_members(
    conn: Connection,
    pull_id: int,
    connection: ConnectionRow,
    concerned: Sequence[tuple[int, str, date]],
    *,
    by_enrollment: bool = False,
) -> Sequence[Row[Any]]:
    """For each school and role: how many active people the sync manages there (known), and the sourcedIds of each of
    them who has no record with an org in the pull (ids).

    concerned: school, role, and the day there. by_enrollment: a student without an enrollment counts as absent too.
    Announced leavers, excluded people and exempted archivals do not count.
    """
    schools, roles, days = ([one[place] for one in concerned] for place in range(3))
    given = {"schools": schools, "roles": roles, "days": days, "stays": STAYS.days, "archive": ARCHIVE}
    owner = {"district": connection.district_id, "connection": connection.id, "pull": pull_id}
    return conn.execute(text(ABSENT), given | owner | {"by_enrollment": by_enrollment}).all()
