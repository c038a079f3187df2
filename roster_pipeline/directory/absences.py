"""Who is absent, and since when: the facts by which the guards doubt archivals.

Earlier lists tell whom a list of the day before may lack, and whom only another source had. The members of all schools
of a connection whom a pull lacks are counted before any school is planned. Recent losses are the people whom the syncs
of some weeks archived.
"""

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.lasting_decisions import STAYS
from roster_pipeline.directory.record_sets import RECORDS
from roster_pipeline.directory.sync_summary import LOSSES
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow
from roster_pipeline.vocabulary import ARCHIVE

MEMBERS = """
select place, role, array_agg(person_id) as people from (
    select s.place, l.person_id,
           (array_agg(c.role order by array_position(array['admin', 'teacher', 'staff', 'student'], c.role)))[1] as role
    from unnest(cast(:snapshots as bigint[])) with ordinality s(id, place)
    join link l on l.connection_id = :connection and l.person_id = any(cast(:people as bigint[]))
    join cleaned_roster c on c.snapshot_id = s.id and c.sourced_id = l.sourced_id and c.record_status = 'member'
    group by s.place, l.person_id
) known group by place, role
"""
LISTS = """
with listed as (
    select s.id, s.taken_at < now.taken_at - cast(:within as interval) as earlier
    from snapshot now join snapshot s on (s.school_id, s.connection_id) = (now.school_id, now.connection_id)
    where now.id = :snapshot and s.id < now.id and s.complete and s.roster_id is not null
)
select id from listed where id >= (select max(id) from listed where earlier) order by id
"""
"""The complete snapshots of a school that are younger than this, after the newest one that is older."""
LATELY = timedelta(hours=36)
"""A copy of the day before lacks people who came in this time."""
SAME_SOURCE = """
with earlier as (
    select s.id, s.roster_id, s.school_sourced_id = now.school_sourced_id
        and coalesce(s.proof ->> 'system' = now.proof ->> 'system', s.proof ->> 'place' = now.proof ->> 'place', true)
        as same
    from snapshot now join snapshot s on (s.school_id, s.connection_id) = (now.school_id, now.connection_id)
    where now.id = :snapshot and s.id < now.id
)
select array_agg(id order by id) filter (where same and roster_id is not null) as lists
from earlier having not bool_and(same)
"""
"""The earlier snapshots of a school from the present system and org; no row if there is no snapshot of another one. The
place is the address as it was written. Older snapshots noted it alone, or nothing."""
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
READ_LATELY = """
select s.id, newest.school_sourced_id as org from school s
cross join lateral (
    select taken_at, school_sourced_id from snapshot where school_id = s.id order by id desc limit 1
) newest
where s.connection_id = :connection and newest.taken_at > now() - interval '7 days'
"""
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
    count(*) filter (where m.here) as here,
    count(*) filter (where not m.here and m.archived_at > now() - make_interval(days => :lately)) as lately,
    count(*) filter (where not m.here) as long
from (
    select *, status = 'active' or person_id = any(cast(:back as bigint[])) as here from membership
    where district_id = :district and school_id = :school
) m
left join of_role r on r.role = m.role
left join announced_leaver a on (a.district_id, a.school_id, a.person_id) = (m.district_id, m.school_id, m.person_id)
    and (m.archived_at at time zone :zone)::date between a.day and a.day + :stays
where (
    (m.status = 'active' and m.managed)
    or (m.archived_by = 'sync' and m.archived_at > now() - make_interval(days => :long) and a.person_id is null
        and m.archived_at > coalesce(r.settled_at, '-infinity') and m.archived_at <> all(coalesce(r.moments, '{}')))
)
group by m.role, m.grade
"""
"""People are lost if a sync archived them and nobody looked at that: not with an approval, and not as announced
leavers. Nobody is lost any more who came back, or whom the plan restores. If somebody approves archivals because of
their number (`LOSSES`), the count of this role begins anew. A sync archives people and writes its own line in one
transaction, so both have the same time. An approved sync is one whose lines of the verdict were held."""


def in_earlier_snapshots(
    conn: Connection, connection_id: int, snapshots: list[int], people: Collection[int]
) -> list[dict[str, list[int]]]:
    """For each snapshot and role, the people who were members in the snapshot."""
    found: list[dict[str, list[int]]] = [{} for _ in snapshots]
    if people and snapshots:
        given = {"connection": connection_id, "snapshots": snapshots, "people": sorted(people)}
        for row in conn.execute(text(MEMBERS), given):
            found[row.place - 1][row.role] = list(row.people)
    return found


def newcomers(conn: Connection, connection_id: int, snapshot_id: int, people: Collection[int]) -> set[int]:
    """Those of these people who were members in a complete snapshot of late, but not in the newest one before."""
    lists = list(conn.scalars(text(LISTS), {"snapshot": snapshot_id, "within": LATELY}))
    of_list = [
        {person for members in roles.values() for person in members}
        for roles in in_earlier_snapshots(conn, connection_id, lists, people)
    ]
    return set().union(*of_list[1:]) - of_list[0] if of_list else set()


def never_listed(conn: Connection, connection_id: int, snapshot_id: int, people: Collection[int]) -> set[int]:
    """Those of these people who were members only in lists of an earlier address of the connection, or of an earlier
    org. A list that was pruned does not count."""
    found = conn.execute(text(SAME_SOURCE), {"snapshot": snapshot_id}).first()
    if found is None:
        return set()
    lists = in_earlier_snapshots(conn, connection_id, found.lists or [], people)
    return set(people).difference(*(members for roles in lists for members in roles.values()))


def schools_read_lately(conn: Connection, connection_id: int) -> dict[int, str]:
    """The schools that took a snapshot in the last seven days, with their orgs. Others do not follow who leaves."""
    return {row.id: row.org for row in conn.execute(text(READ_LATELY), {"connection": connection_id})}


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


def recent_losses(
    conn: Connection, school: SchoolRow, *, lately: int, long: int, back: Sequence[int] = ()
) -> Sequence[Row[Any]]:
    """role, grade, here (active people that the sync manages), lately and long (people who were lost in so many days):
    a row for each role and grade. back: people whom the plan restores. They are here."""
    given = school.ids | {
        "zone": school.settings.time_zone, "losses": list(LOSSES),
        "lately": lately, "long": long, "stays": STAYS.days, "back": list(back),
    }  # fmt: skip
    return conn.execute(text(LOST), given).all()
