"""The directory in the form that the core needs: frames with all people that the roster of one snapshot may contain."""

from dataclasses import dataclass

import pandas as pd
from psycopg import sql
from sqlalchemy import Connection, text

from roster_pipeline.directory import link_records
from roster_pipeline.directory.locks import lock_district_for_reading
from roster_pipeline.directory.pg_copy import Kind, array_literal, driver, number_literal, read_frame
from roster_pipeline.directory.plan_reuse import Unsettled
from roster_pipeline.directory.roster_rows import OF_SNAPSHOT
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS

CANDIDATES = """
drop table if exists candidate;
select set_config('jit', 'off', true), set_config('work_mem', '64MB', true),
    set_config('default_statistics_target', '10', true),
    set_config('enable_nestloop', case when {records} * {large} < coalesce(
        pg_relation_size(oid) / current_setting('block_size')::int * reltuples / nullif(relpages, 0), 0
    ) then 'on' else 'off' end, true)
from pg_class where oid = 'person'::regclass;
create temporary table candidate on commit drop as
with roster as materialized (
    select sourced_id, number_kind, bare_number(number) as number, lower(email) as email
    from {rows} and ({everybody} or sourced_id = any({sourced_ids}))
), near as materialized (
    select person_id from membership
    where district_id = {district} and school_id = {school} and person_id <> all({settled})
    union
    select l.person_id from roster c
    join link l on l.connection_id = {connection} and l.sourced_id = c.sourced_id
    where current_setting('enable_nestloop') = 'off'
    union
    select f.person_id from roster c cross join lateral (
        select l.person_id from link l
        where l.connection_id = {connection} and l.sourced_id = c.sourced_id offset 0
    ) f where current_setting('enable_nestloop') = 'on'
), other as materialized (
    select p.id, case when p.number_connection_id = {connection} then p.number_kind end as number_kind,
        bare_number(p.number) as number, lower(p.email) as email
    from person p left join near on near.person_id = p.id
    where near.person_id is null and p.district_id = {district} and current_setting('enable_nestloop') = 'off'
)
    select person_id from near
    union
    select id from person where district_id = {district} and id = any({others})
    union
    select o.id from other o join roster c on c.number_kind = o.number_kind and c.number = o.number
    union
    select o.id from other o join roster c on c.email = o.email
    union
    select f.id from roster c cross join lateral (
        select p.id from person p
        where p.district_id = {district} and p.number_connection_id = {connection}
          and p.number_kind = c.number_kind and bare_number(p.number) = c.number offset 0
    ) f where current_setting('enable_nestloop') = 'on'
    union
    select f.id from roster c cross join lateral (
        select p.id from person p where p.district_id = {district} and lower(p.email) = c.email offset 0
    ) f where current_setting('enable_nestloop') = 'on';
reset enable_nestloop;
analyze candidate
"""
"""Members, and people with the link, number or e-mail of a record of the roster. There are two ways to the same people.

A small school looks up each of its records. There, `offset 0` (here and below) makes PostgreSQL do one index look-up
per record. Without statistics of new tables it expects a few rows, and would join everybody with everybody. A school
with a large part of all people reads them all, and joins by hash: then numbers and e-mails are only compared with
people whom neither membership nor link has found. enable_nestloop says which way. People are counted by the
size of their table, as PostgreSQL does: during a first night, the statistics are those of the first school.

If some people are settled, the records of the others are looked up, and settled members are left out.
"""

LARGE = 4
"""A school is large if its roster has more than one record for this many people of the directory."""
PEOPLE: dict[str, Kind] = {
    "person_id": "int", **dict.fromkeys(PERSON_FIELDS, "text"), "enabled": "bool", "number_kind": "text",
    "number_connection_id": "int", "excluded": "bool", "locked_fields": "json", "revision": "int",
}  # fmt: skip
LINKS: dict[str, Kind] = {
    "connection_id": "int", "sourced_id": "text", "person_id": "int", "is_primary": "bool", "version": "text",
    "confirmed": "bool", "primary_by_hand": "bool", "master_identifier": "text",
}  # fmt: skip
CONNECTIONS: dict[str, Kind] = {"connection_id": "int", "of_district": "bool", "rank": "int"}
AFFILIATIONS: dict[str, Kind] = {"person_id": "int", "connection_id": "int", "since": "int"}
EXCLUSIONS: dict[str, Kind] = {"sourced_id": "text", "person_id": "int"}
MEMBERS: dict[str, Kind] = {
    "person_id": "int", **dict.fromkeys((*MEMBERSHIP_FIELDS, "status", "archived_by"), "text"), "managed": "bool",
    **dict.fromkeys(("absent_syncs", "revision", "years", "archived_days"), "int"),
    **dict.fromkeys(STUDENT_CONTACTS, "text"),
}  # fmt: skip
_OWN = [name for name in PEOPLE if name != "person_id"]
_PEOPLE = f"""
select p.id, {", ".join("array_to_json(p.locked_fields)" if one == "locked_fields" else f"p.{one}" for one in _OWN)}
from candidate c join person p on p.id = c.person_id and p.district_id = {{district}} order by p.id
"""  # noqa: S608
_LINKS = f"""
select {", ".join(f"l.{name}" for name in LINKS)}
from candidate c join link l on l.person_id = c.person_id and l.district_id = {{district}}
order by l.person_id, l.connection_id, l.sourced_id
"""  # noqa: S608
_EXCLUSIONS = """
select a.sourced_id, a.person_id from candidate c
join link_exclusion a
    on a.person_id = c.person_id and a.district_id = {district} and a.connection_id = {connection}
order by a.sourced_id, a.person_id
"""
_YEARS = "extract(year from age(m.updated_at))::int as years"
"""The highest possible age of a grade, in years. Every change of the membership sets it to zero."""
_ARCHIVED_DAYS = "extract(day from now() - m.archived_at)::int as archived_days"
ELSEWHERE = f"""
select m.person_id, m.role, m.grade, m.status, {_YEARS}
from unnest(cast(:people as bigint[])) p(id)
cross join lateral (
    select * from membership where district_id = :district and person_id = p.id and school_id <> :school offset 0
) m
order by m.person_id, m.school_id
"""  # noqa: S608
POSITION = """
with preferring as materialized (
    select array(
        select id from school where district_id = :district and id <> :school
            and not :preferred and (settings ->> 'preferred_names')::boolean
    ) as schools
)
select case when is_called then last_value else 0 end,
    exists (select from contact where district_id = :district and school_id = :school and place > 1),
    exists (select from school where connection_id = :connection and id <> :school),
    array(
        select id from school where connection_id = :connection and id < :school
            and coalesce(settings ->> 'phone_region', :region) <> :region
    ),
    array(
        select c.person_id from preferring cross join candidate c cross join lateral (
            select from membership m where m.district_id = :district and m.person_id = c.person_id
                and m.school_id = any(preferring.schools) and m.status = 'active' offset 0
        ) m
        where preferring.schools <> '{}'
    )
from change_log_position_seq
"""
"""The current position of the change log, whether a student of the school has several contacts, whether the connection
has other schools, those of them that decide about phones, and the people whose preferred names another school keeps.
preferred: the school keeps preferred names. region: its `phone_region`."""
_MORE_CONTACTS = (
    f"select jsonb_agg(jsonb_build_array({', '.join(name.removeprefix('contact_') for name in CONTACT_FIELDS)}) "  # noqa: S608
    "order by place)::text as contacts from contact where district_id = m.district_id and school_id = m.school_id "
    "and person_id = m.person_id and place > 1"
)
"""MORE_CONTACTS of one member. Most schools keep one contact per student; for them, this is not read."""

_CONNECTIONS = """
select c.id, coalesce(c.settings ->> 'controlled_by', 'school') = 'district',
       (select r.place from jsonb_array_elements_text(d.settings -> 'connection_ranking') with ordinality r(key, place)
        where r.key = c.key)
from connection c join district d on d.id = c.district_id
where c.district_id = {district} order by c.id
"""
_AFFILIATIONS = """
with affiliation as materialized (
    select c.person_id, m.connection_id, min(m.created_at) filter (where m.counts) as since
    from candidate c cross join lateral (
        select s.connection_id, m.created_at, m.status = 'active' or s.id = {school} as counts
        from membership m join school s on s.id = m.school_id
        where m.district_id = {district} and m.person_id = c.person_id offset 0
    ) m
    group by 1, 2
), elsewhere as materialized (
    select person_id from affiliation where connection_id <> {connection}
    union
    select c.person_id from candidate c cross join lateral (
        select from link l where l.person_id = c.person_id and l.connection_id <> {connection} offset 0
    ) l
)
select person_id, connection_id, (extract(epoch from since) * 1000000)::bigint
from affiliation where person_id in (select person_id from elsewhere) order by 1, 2
"""
_NONE = "select null, null, null where {district} <> {district} and {connection} <> {connection}"
"""If a district has one connection, no person is known by another connection."""


@dataclass(frozen=True)
class LoadedDirectory:
    """people and members are indexed by person_id. `position`: the position of the change log at the moment of reading.
    exclusions: pairs of a record of this connection and one of these people that somebody unlinked by hand.
    link_records, connections, affiliations: as in `DirectoryFrames`. elsewhere: the memberships in other schools of
    people who are not active here (`ELSEWHERE`)."""

    people: pd.DataFrame
    links: pd.DataFrame
    exclusions: pd.DataFrame
    link_records: pd.DataFrame
    members: pd.DataFrame
    elsewhere: pd.DataFrame
    preferred_elsewhere: frozenset[int]
    other_schools: bool
    phone_schools: frozenset[int]
    connections: pd.DataFrame
    affiliations: pd.DataFrame
    position: int


def load_directory(
    conn: Connection, school: SchoolRow, snapshot_id: int, records: int, some: Unsettled | None = None
) -> LoadedDirectory:
    """Members of the school, and people who share a link, a number or an e-mail with the snapshot's roster. records:
    how many the roster has; a large one is searched in another way than a small one (`CANDIDATES`). It first waits for
    changes of the district that are being made. So `position` comes after everything that was read, and before
    everything that was not. some: only these, if others are settled."""
    lock_district_for_reading(conn, school.district_id)
    given = school.ids | {"snapshot": snapshot_id}
    of = some or Unsettled([], [], [])
    chosen = {"settled": number_literal(of.settled), "others": number_literal(of.others)}
    chosen = {name: f"'{numbers}'::bigint[]" for name, numbers in chosen.items()}
    listed = sql.Literal(array_literal(of.sourced_ids)).as_string(driver(conn)).replace("%", "%%")
    conn.exec_driver_sql(
        CANDIDATES.format(
            **given, **chosen, rows=OF_SNAPSHOT.format(**given), records=0 if some else records, large=LARGE,
            everybody=some is None, sourced_ids=f"{listed}::text[]",
        )
    )  # fmt: skip
    people = read_frame(conn, _PEOPLE, PEOPLE, **given)
    links = read_frame(conn, _LINKS, LINKS, **given)
    exclusions = read_frame(conn, _EXCLUSIONS, EXCLUSIONS, **given)
    wishes = {"preferred": school.settings.preferred_names, "region": school.settings.phone_region}
    position, several, others, of_phones, preferred = conn.execute(text(POSITION), given | wishes).one()
    members = read_frame(conn, _members(several, some=some is not None), MEMBERS, **given)
    connections = read_frame(conn, _CONNECTIONS, CONNECTIONS, **given)
    affiliations = read_frame(conn, _AFFILIATIONS if len(connections) > 1 else _NONE, AFFILIATIONS, **given)
    statuses = zip(members["person_id"].tolist(), members["status"].tolist(), strict=True)
    here = {person for person, status in statuses if status == "active"}
    away = [person for person in people["person_id"].tolist() if person not in here]
    elsewhere = conn.execute(text(ELSEWHERE), {**given, "people": away}).all() if away else []
    return LoadedDirectory(
        people=people.set_index("person_id"),
        links=links,
        exclusions=exclusions,
        link_records=read_frame(conn, link_records.OF_CANDIDATES, link_records.KINDS, **given),
        members=members.set_index("person_id"),
        elsewhere=pd.DataFrame(elsewhere, columns=["person_id", "role", "grade", "status", "years"]),
        preferred_elsewhere=frozenset(preferred),
        other_schools=others,
        phone_schools=frozenset(of_phones),
        connections=connections,
        affiliations=affiliations,
        position=int(position),
    )


def _members(several: bool, *, some: bool) -> str:
    own = ", ".join(f"m.{name}" for name in MEMBERS if name not in (*STUDENT_CONTACTS, "years", "archived_days"))
    contact = ", ".join(f"c.{name.removeprefix('contact_')}" for name in CONTACT_FIELDS)
    more = _MORE_CONTACTS if several else "select null::text as contacts"
    people = "candidate k join membership m on m.person_id = k.person_id" if some else "membership m"
    return (
        f"select {own}, {_YEARS}, {_ARCHIVED_DAYS}, {contact}, e.contacts from {people} "  # noqa: S608
        "left join lateral (select * from contact where district_id = m.district_id and school_id = m.school_id "
        f"and person_id = m.person_id and place = 1 offset 0) c on true left join lateral ({more}) e on true "
        "where m.district_id = {district} and m.school_id = {school} order by m.person_id"
    )
