"""The directory as people see it: the members of a school, one person with everything, and a search."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory import people_list
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.pg_copy import read_frame
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS

MOST_FOUND = 50
_SAME = ("id", "district_id", "number_kind", "excluded", "created_at", "updated_at")
"""The columns of a person that are shown as they are."""

NEWEST = """
(select max(id) from snapshot t where t.school_id = s.id
    and exists (select from roster_row r where r.roster_id = t.roster_id))
"""
"""The snapshot of the newest roster of a school `s`."""
IN_OTHER_SCHOOLS = f"""
with places as materialized (
    select m.person_id, m.school_id from membership m join school s on s.id = m.school_id
    where m.district_id = :district and m.person_id = any(:people)
      and s.connection_id = :connection and s.id <> :school
), newest as materialized (
    select s.id as school_id, {NEWEST} as snapshot_id from school s where s.id in (select school_id from places)
)
select p.person_id, p.school_id, c.role, c.phone, l.is_primary
from places p join newest n on n.school_id = p.school_id
join link l on l.district_id = :district and l.connection_id = :connection and l.person_id = p.person_id
cross join lateral (
    select role, phone from cleaned_roster
    where snapshot_id = n.snapshot_id and sourced_id = l.sourced_id and record_status = 'member' offset 0
) c
"""  # noqa: S608
MEMBERS = f"""
select m.person_id, {", ".join(f"p.{name}" for name in PERSON_FIELDS)}, p.number_kind, p.excluded, p.locked_fields,
       {", ".join(f"m.{name}" for name in MEMBERSHIP_FIELDS)}, m.status, m.archived_by, m.archived_at, m.managed,
       {", ".join(f"c.{name.removeprefix('contact_')} as {name}" for name in CONTACT_FIELDS)}
from membership m
join person p on p.id = m.person_id and p.district_id = m.district_id
left join lateral (
    select * from contact
    where district_id = m.district_id and school_id = m.school_id and person_id = m.person_id and place = 1 offset 0
) c on true
where m.district_id = :district and m.school_id = :school
  and m.status = coalesce(cast(:status as text), m.status) and m.role = coalesce(cast(:role as text), m.role)
  and (cast(:people as bigint[]) is null or m.person_id = any(:people))
order by p.family_name, p.given_name, p.id
"""  # noqa: S608 - our own column names
STORED_CONTACTS = """
select l.sourced_id as student_id, c.sourced_id
from contact c join link l on l.connection_id = {connection} and l.person_id = c.person_id
where c.district_id = {district} and c.school_id = {school} order by l.sourced_id, c.place
"""
CONTACTS_AS_CHOSEN = """
with changed as materialized (
    select person_id, case entity when 'link' then coalesce(after, before) ->> 'sourced_id' end as record
    from change_log where district_id = :district and position > :position and entity <> 'person'
      and (entity = 'link' or (entity = 'contact' and school_id = :school))
), records as materialized (
    select record from changed where record is not null
    union
    select l.sourced_id from changed c join link l on l.connection_id = :connection and l.person_id = c.person_id
)
select not exists (
    select from records cross join lateral (
        select contact_sourced_id, more_contacts from cleaned_roster
        where snapshot_id = :snapshot and sourced_id = records.record and contact_sourced_id is not null offset 0
    ) chosen
    where chosen.contact_sourced_id || array(
        select one ->> 0 from jsonb_array_elements(cast(chosen.more_contacts as jsonb)) one
    ) is distinct from array(
        select c.sourced_id from link l join contact c
            on c.district_id = :district and c.school_id = :school and c.person_id = l.person_id
        where l.connection_id = :connection and l.sourced_id = records.record order by c.place
    )
)
"""
FIND = """
with wanted as (
    select word, lower(word) as lower, nullif(bare_number(word), '') as number
    from unnest(cast(:words as text[])) w (word)
), here as materialized (
    select p.id, bare_number(p.number) as number, lower(p.email) as email, lower(p.username) as username
    from membership m join person p on p.id = m.person_id and p.district_id = m.district_id
    where m.district_id = :district and m.school_id = :school and m.status = 'active'
), found as (
    select w.word, h.id from wanted w join here h on h.number = w.number
    union select w.word, h.id from wanted w join here h on h.email = w.lower
    union select w.word, h.id from wanted w join here h on h.username = w.lower
    union select w.word, h.id from wanted w
    join link l on l.connection_id = :connection and l.sourced_id = w.word join here h on h.id = l.person_id
)
select w.word, array_agg(f.id order by f.id) filter (where f.id is not null) as people
from wanted w left join found f on f.word = w.word
group by w.word
"""
"""One pass over the people of the school for all words, because user names have no index."""
NEXT_PRIMARY = """
update link l set is_primary = true from (
    select distinct on (o.person_id) o.connection_id, o.sourced_id from link o
    where o.district_id = :district and o.person_id = any(:people)
      and not exists (select from link h where h.person_id = o.person_id and h.is_primary)
    order by o.person_id, (o.connection_id = :connection and o.sourced_id = :record) desc, o.created_at, o.sourced_id
) next where l.connection_id = next.connection_id and l.sourced_id = next.sourced_id
"""


class UnknownPerson(DirectoryError):
    """There is no such person in this district."""

    def __init__(self, person_id: int, now: int | None = None) -> None:
        """now: the person that they became by a merge."""
        if now is None:
            super().__init__(f"There is no person {person_id}.", "Search for the person: roster person find WORDS")
        else:
            super().__init__(f"Person {person_id} was merged into person {now}.", f"See: roster person show {now}")


@dataclass(frozen=True)
class Person:
    """One person with everything the directory holds of them. exclusions: records that somebody said are not theirs."""

    id: int
    district_id: int
    fields: dict[str, Any]
    number_kind: str | None
    excluded: bool
    locked_fields: list[str]
    created_at: datetime
    updated_at: datetime
    memberships: list[dict[str, Any]]
    links: list[dict[str, Any]]
    exclusions: list[dict[str, Any]]
    contacts: list[dict[str, Any]]


def stored_contacts(conn: Connection, school: SchoolRow) -> pd.DataFrame:
    """student_id and sourced_id of the contacts of a school's students, by place; for each record of the student."""
    return read_frame(conn, STORED_CONTACTS, {"student_id": "text", "sourced_id": "text"}, **school.ids)


def contacts_as_chosen(conn: Connection, school: SchoolRow, snapshot_id: int, position: int) -> bool:
    """Whether the contacts of a school that have changed since this position of the change log, or whose student's
    record has, are those that the roster of a snapshot chose. Cleaning with them gives the same roster."""
    given = school.ids | {"snapshot": snapshot_id, "position": position}
    return bool(conn.scalar(text(CONTACTS_AS_CHOSEN), given))


def list_members(
    conn: Connection,
    district_id: int,
    school_id: int,
    *,
    status: str | None = "active",
    role: str | None = None,
    people: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """Members of a school by name, with person, membership and contact fields. status: None for all."""
    given: dict[str, Any] = {"district": district_id, "school": school_id, "status": status, "role": role}
    given["people"] = None if people is None else list(people)
    return [dict(row) for row in conn.execute(text(MEMBERS), given).mappings()]


def find(conn: Connection, district_id: int, words: str) -> list[Person]:
    """People of a district, archived ones too, as the lists of people search (`people_list`)."""
    wanted = people_list.PeopleFilter(district_id, words=words)
    found = people_list.ids(conn, wanted, limit=MOST_FOUND) if words.strip() else []
    return [get_person(conn, district_id, person_id) for person_id in sorted(found)]


def district_of(conn: Connection, person_id: int) -> tuple[int, str]:
    """Number and key of a person's district. Raises UnknownPerson."""
    query = "select d.id, d.key from person p join district d on d.id = p.district_id where p.id = :person"
    row = conn.execute(text(query), {"person": person_id}).first()
    if row is None:
        raise UnknownPerson(person_id)
    return row.id, row.key


def get_person(conn: Connection, district_id: int, person_id: int) -> Person:
    """One person. Raises UnknownPerson."""
    given = {"district": district_id, "person": person_id}
    row = conn.execute(text("select * from person where district_id = :district and id = :person"), given).mappings()
    found = row.first()
    if found is None:
        raise UnknownPerson(person_id, merged_into(conn, person_id))

    def rows(query: str) -> list[dict[str, Any]]:
        return [dict(each) for each in conn.execute(text(query), given).mappings()]

    return Person(
        **{name: found[name] for name in _SAME},
        fields={name: found[name] for name in PERSON_FIELDS},
        locked_fields=list(found["locked_fields"]),
        memberships=rows(
            "select s.key as school, m.role, m.grade, m.source_role, m.source_grade, m.status, m.archived_by, "
            "m.archived_at, m.managed, m.absent_syncs from membership m join school s on s.id = m.school_id "
            "where m.district_id = :district and m.person_id = :person order by s.key"
        ),
        links=rows(
            "select c.key as connection, l.sourced_id, l.is_primary, l.primary_by_hand, l.version, l.confirmed "
            "from link l join connection c on c.id = l.connection_id "
            "where l.district_id = :district and l.person_id = :person order by l.is_primary desc, c.key, l.sourced_id"
        ),
        exclusions=rows(
            "select c.key as connection, a.sourced_id, a.created_at as since from link_exclusion a "
            "join connection c on c.id = a.connection_id "
            "where a.district_id = :district and a.person_id = :person order by c.key, a.sourced_id"
        ),
        contacts=rows(
            "select s.key as school, c.place, c.given_name, c.family_name, c.relationship, c.email, c.phone, c.flags "
            "from contact c join school s on s.id = c.school_id "
            "where c.district_id = :district and c.person_id = :person order by s.key, c.place"
        ),
    )


def merged_into(conn: Connection, person_id: int) -> int | None:
    """The person that a merged person became, after all merges; None if they were not merged."""
    query = """
    with recursive now (id) as (
        select cast(:person as bigint)
        union
        select m.kept_id from now join person_merge m on m.gone_id = now.id and m.undone_at is null
    )
    select p.id from now join person p on p.id = now.id and p.id <> :person
    """
    return conn.scalar(text(query), {"person": person_id})  # type: ignore[no-any-return]


def numbers_of(conn: Connection, person_id: int) -> list[int]:
    """The person's number, and those of all who were merged into them."""
    query = """
    with recursive earlier (id) as (
        select cast(:person as bigint)
        union
        select m.gone_id from earlier join person_merge m on m.kept_id = earlier.id and m.undone_at is null
    )
    select id from earlier order by id
    """
    return list(conn.scalars(text(query), {"person": person_id}))


def find_people(conn: Connection, school: SchoolRow, words: Collection[str]) -> dict[str, list[int]]:
    """For each number, e-mail, user name or sourcedId: the active people of the school who have it."""
    given = school.ids | {"words": list(dict.fromkeys(words))}
    return {row.word: list(row.people or ()) for row in conn.execute(text(FIND), given)}


def in_other_schools(conn: Connection, school: SchoolRow, people: Collection[int]) -> list[dict[str, Any]]:
    """person_id, school_id, role, phone, is_primary: records of these people in newest rosters of other schools."""
    rows = conn.execute(text(IN_OTHER_SCHOOLS), school.ids | {"people": list(people)}).mappings()
    return [dict(row) for row in rows]


def choose_primary(
    conn: Connection, district_id: int, people: Collection[int], rather: tuple[int, str] = (0, "")
) -> None:
    """Make the oldest record of each of these people the primary one, if they have none. rather: connection and
    sourcedId of a record that goes first."""
    connection, record = rather
    given = {"district": district_id, "people": list(people), "connection": connection, "record": record}
    conn.execute(text(NEXT_PRIMARY), given)
