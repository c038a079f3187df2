"""Who would come to a school, by a pull: counted for all its schools before any of them is planned. And who moves to a
school that does not have them yet."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.absences import schools_read_lately
from roster_pipeline.directory.record_sets import NAMED, RECORDS
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow, schools_by_id
from roster_pipeline.vocabulary import ARCHIVE

KNOWN = """
select school_id, count(*) as people, count(*) filter (where role = 'student') as students
from membership where district_id = :district and school_id = any(:schools) and status = 'active' group by school_id
"""
NAMED_TODAY = """exists (
    select from json_to_recordset(r.payload -> 'roles') e (role text, org text, "beginDate" text, "endDate" text)
    where e.org = c.org and e.role is not null and (e."beginDate" > :today or e."endDate" < :today) is not true
)"""
"""Whether a record has a role of today in an org."""
SAME_GRADES = """(
    select coalesce(bool_or(coalesce(b.payload ->> 'grades', '') = coalesce(r.payload ->> 'grades', '')), true)
    from sis_record b where b.connection_id = :connection and b.kind = 'user' and c.org <> all(b.orgs)
        and b.sourced_id = any(array(
            select sourced_id from link where connection_id = :connection and person_id = w.id))
)"""
"""Whether somebody came before without this org and with the same grades. True too if nothing is stored any more."""
SAME_PERSON = """(
    select id from person p where lower(given_name) = lower(r.payload ->> 'givenName') and (
        district_id = :district and lower(email) = lower(r.payload ->> 'email')
            and lower(family_name) = lower(r.payload ->> 'familyName')
        or district_id = :district and number_connection_id = :connection and number_kind = 'student'
            and bare_number(number) = bare_number(r.payload ->> 'identifier'))
    order by id limit 1
)"""
"""The person whom a student under a new id seems to be."""
NOT_ROSTERED = """
select sourced_id, array_agg(distinct role) as roles from roster_row
where roster_id = any(array(select roster_id from snapshot where school_id = :school and roster_id is not null))
    and sourced_id = any(:records) and record_status = 'role_off' and role is not null
group by 1
"""
"""The rows of each list of the school are found by key."""
OURS = """ours as materialized (
    select * from unnest(
        cast(:schools as bigint[]), cast(:orgs as text[]), cast(:students as boolean[]), cast(:others as boolean[])
    ) s (school_id, org, students, others)
)"""
COMES = f"""coalesce(r.payload ->> 'status', 'active') not in ('tobedeleted', 'inactive') and {NAMED_TODAY}
        and not (:by_enrollment and c.student and coalesce((r.payload -> 'notEnrolled')::jsonb ? c.org, false))
        and not exists (
            select from exemption e where e.school_id = c.school_id and e.action <> :archive
                and (e.person_id = w.id or c.sourced_id = any(e.sourced_ids)))"""
"""Whether a record would bring a person to a school."""
IS_NO_MEMBER = """not exists (select from person where id = w.id and excluded)
            and not exists (
                select from membership m where m.person_id = w.id and m.school_id = c.school_id
                    and (m.status = 'active' or m.archived_by <> 'sync'))"""
"""Whether a person is no member of a school, and nobody decided that."""
ARRIVALS = f"""
with {OURS}, named as materialized (
    select r.id, r.sourced_id, r.student, r.orgs from pull_record p {RECORDS.format(set="p")} r
    where p.pull_id = :pull and r.kind = 'user' and (r.student or exists (
        select from link where connection_id = :connection and sourced_id = r.sourced_id))
), places as materialized (
    select n.orgs, o.* from (select distinct orgs from named) n cross join lateral unnest(n.orgs) u (org)
    join ours o using (org)
), wanted as materialized (
    select n.sourced_id, p.school_id from named n join places p using (orgs)
    where case when n.student then p.students else p.others end
    except select l.sourced_id, m.school_id
    from membership m join link l on l.person_id = m.person_id and l.connection_id = :connection
    where m.district_id = :district and m.school_id = any(:schools) and (m.status = 'active' or m.archived_by <> 'sync')
), coming as materialized (
    select n.id, n.sourced_id, n.student, w.school_id, p.org, l.person_id
    from wanted w join named n using (sourced_id) join places p on (p.orgs, p.school_id) = (n.orgs, w.school_id)
    left join link l on l.connection_id = :connection and l.sourced_id = w.sourced_id
), arrived as materialized (
    select w.id as person_id, c.sourced_id, c.school_id, c.student, coalesce(r.payload ->> 'grades', '') as grades
    from coming c cross join lateral (select payload from sis_record where id = c.id offset 0) r
    cross join lateral (select coalesce(c.person_id, {SAME_PERSON}) as id offset 0) w
    where {COMES}
        and (w.id is null or {SAME_GRADES}
            and {IS_NO_MEMBER})
), here as materialized (
    select distinct l.person_id, p.school_id from (select distinct person_id from arrived) a
    join link l on l.connection_id = :connection and l.person_id = a.person_id
    join named n using (sourced_id) join places p using (orgs)
), moves as (
    select distinct on (a.person_id, a.school_id) a.person_id, m.school_id as left_id, a.school_id,
        h.person_id is null as gone
    from arrived a
    join membership m on m.district_id = :district and m.person_id = a.person_id and m.school_id = any(:schools)
        and m.status = 'active'
    left join here h on (h.person_id, h.school_id) = (m.person_id, m.school_id)
    order by a.person_id, a.school_id, h.person_id is not null, m.school_id
)
select left_id, school_id, count(*) as people, count(*) filter (where gone) as gone,
    count(*) filter (where place = 2) as several
from (select *, row_number() over (partition by person_id order by school_id) as place from moves) each
group by left_id, school_id
union all
select null, school_id, count(distinct sourced_id), 0, 0 from arrived where person_id is null and student
group by school_id, grades
"""  # noqa: S608
ON_THEIR_WAY = f"""
with ours as materialized (select * from unnest(cast(:schools as bigint[]), cast(:orgs as text[])) s (school_id, org))
select w.id, c.school_id from unnest(cast(:people as bigint[])) n (id)
join person w using (id) join link l on l.connection_id = :connection and l.person_id = w.id
cross join lateral (
    select * from sis_record where connection_id = :connection and kind = 'user' and sourced_id = l.sourced_id offset 0
) r
join lateral (select *, r.student, r.sourced_id from ours where org = any(r.orgs)) c on true
where exists (select from pull_record where pull_id = :pull and {NAMED.format(id="r.id")})
    and {COMES} and {IS_NO_MEMBER} and (
        lower(w.given_name) = lower(r.payload ->> 'givenName')
        or lower(w.family_name) = lower(r.payload ->> 'familyName')
        or lower(w.email) = lower(r.payload ->> 'email') or lower(w.username) = lower(r.payload ->> 'username'))
"""  # noqa: S608
"""People whose record names a school that does not have them. If no name, e-mail or user name is theirs, their id went
to somebody else, and they left."""
BY_HASHES = "set local enable_nestloop = {}"
"""Without statistics of a new pull, PostgreSQL would join everybody with everybody."""


def known_people(conn: Connection, district_id: int, schools: Collection[int]) -> Sequence[Row[Any]]:
    """The active members of each school: school_id, people, and students among them."""
    return conn.execute(text(KNOWN), {"district": district_id, "schools": list(schools)}).all()


def arrivals(
    conn: Connection, pull_id: int, source: ConnectionRow, schools: Sequence[SchoolRow], today: date
) -> Sequence[Row[Any]]:
    """Who comes to these schools and is no member there: from which of them (left_id) to which (school_id) how many
    people move, how many of them no longer name the first (gone), and how many come to a second school at once
    (several). Without left_id: students whom nobody knows, a row for each grade. A student under a new id is known by
    number and given name, or by e-mail and whole name.

    Students whose grade changed with the school, excluded people, and those whom somebody archived or exempted there do
    not count. If enrollments decide, students come only where they are enrolled.
    """
    lately = schools_read_lately(conn, source.id)
    rostered = {school.id: {*school.settings.rostered} for school in schools}
    given = _given(pull_id, source, {one: lately[one] for one in rostered}, today) | {
        "students": ["student" in roles for roles in rostered.values()],
        "others": [bool(roles - {"student"}) for roles in rostered.values()],
    }
    conn.execute(text(BY_HASHES.format("off")))
    found = conn.execute(text(ARRIVALS), given).all()
    conn.execute(text(BY_HASHES.format("on")))
    return found


def on_their_way(
    conn: Connection, pull_id: int | None, school: SchoolRow, roles: Mapping[int, str], today: date
) -> Collection[int]:
    """Those of these people whose record names another school of the connection that does not have them, although it
    was read lately, rosters their role and nobody decided that. roles: the role of each person here. pull_id: None if
    the pull was dropped; then nobody knows, and all may be on their way."""
    if pull_id is None:
        return roles
    source = school.connection
    given = _given(pull_id, source, schools_read_lately(conn, source.id), today) | {"people": list(roles)}
    found = conn.execute(text(ON_THEIR_WAY), given).all()
    there = schools_by_id(conn, {one.school_id for one in found})
    return {one.id for one in found if roles[one.id] in there[one.school_id].settings.rostered}


def _given(pull_id: int, source: ConnectionRow, orgs: Mapping[int, str], today: date) -> dict[str, Any]:
    """The parameters of both queries. orgs: of each school."""
    return {
        "pull": pull_id, "connection": source.id, "district": source.district_id, "today": today.isoformat(),
        "by_enrollment": source.settings.no_enrollment_means_gone, "archive": ARCHIVE, "schools": list(orgs),
        "orgs": list(orgs.values()),
    }  # fmt: skip


def roles_not_rostered(conn: Connection, school_id: int, records: Collection[str]) -> dict[str, list[str]]:
    """By record, the roles that it had here in a list that is still kept, if the school did not roster them: those of
    contacts, and role groups that were off."""
    found = conn.execute(text(NOT_ROSTERED), {"school": school_id, "records": list(records)})
    return {row.sourced_id: list(row.roles) for row in found}
