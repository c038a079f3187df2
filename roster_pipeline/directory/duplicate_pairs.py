"""Who may be in the directory twice: pairs to compare, and pairs of which somebody said that they are two people."""

# ruff: noqa: S608 - what is put together here are our own table and column names

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import UnknownPerson

_LARGEST_GROUP = 6
"""More people than this with one number, e-mail or name are not duplicates of each other, but bad data."""
MOST_PAIRS = 500
"""Pairs that are compared for one list."""

_NAME = "nullif(regexp_replace(lower(normalize({0}, NFKD)), '[^[:alnum:]]+', '', 'g'), '')"
_PAIRS = f"""
with named as materialized (
    select id, lower(email) as email, number_kind, number_connection_id, nullif(ltrim(number, '0'), '') as number,
           {_NAME.format("given_name")} as given, {_NAME.format("family_name")} as family
    from person where district_id = :district
), keyed as (
    select 1 as way, id, concat_ws('/', number_connection_id, number_kind, number) as key from named
    where number is not null and number_connection_id is not null
    union all
    select 2, id, email from named where email is not null
    union all
    select 3, id, concat_ws('/', given, family) from named where given is not null and family is not null
), several as materialized (
    select way, array_agg(id order by id) as ids from keyed group by way, key
    having count(*) between 2 and {_LARGEST_GROUP}
), pair as (
    select min(s.way) as way, a.id as one, b.id as other
    from several s cross join lateral unnest(s.ids) a(id) cross join lateral unnest(s.ids) b(id)
    where a.id < b.id group by 2, 3
)
select p.one, p.other, n.person_id is not null as said_two
from pair p join named a on a.id = p.one join named b on b.id = p.other
left join not_duplicate n on n.person_id = p.one and n.other_id = p.other
where (p.way = 1 or a.given is null or b.given is null or a.given = b.given)
  and (p.way = 1 or a.family is null or b.family is null or a.family = b.family)
  and (p.way < 3 or a.email is null or b.email is null)
  and (p.way < 3 or a.number is null or b.number is null
       or (a.number_kind, a.number_connection_id) is distinct from (b.number_kind, b.number_connection_id))
  and (:said_two or n.person_id is null)
  and (cast(:school as bigint) is null or exists (
      select from membership m where m.district_id = :district and m.school_id = :school
        and m.person_id in (p.one, p.other)))
order by p.way, p.one, p.other limit {MOST_PAIRS}
"""
"""Pairs that share a number, an e-mail, or both names, without those that the table of evidence would refuse anyhow."""
_PEOPLE = "select * from person where district_id = :district and id = any(:people)"
_LINKS = """
select person_id, connection_id, sourced_id, master_identifier from link
where district_id = :district and person_id = any(:people)
"""
_MEMBERSHIPS = """
select person_id, school_id, role, grade, status, archived_by,
       extract(year from age(updated_at))::int as years
from membership where district_id = :district and person_id = any(:people)
"""
_NOT_THEIRS = """
select person_id, connection_id, sourced_id from link_exclusion
where district_id = :district and person_id = any(:people)
"""
_CURRENT = """
with newest as (
    select s.id as school_id, s.connection_id,
           (select max(id) from snapshot t where t.school_id = s.id
            and exists (select from cleaned_roster c where c.snapshot_id = t.id)) as snapshot_id
    from school s where s.district_id = :district
)
select l.person_id, n.school_id from link l join newest n on n.connection_id = l.connection_id
join cleaned_roster c on c.snapshot_id = n.snapshot_id and c.sourced_id = l.sourced_id and c.record_status = 'member'
where l.district_id = :district and l.person_id = any(:people)
"""
_BOTH_TWO = (
    "insert into not_duplicate (district_id, person_id, other_id) values (:district, :one, :other) "
    "on conflict do nothing"
)


class MergeImpossible(DirectoryError):
    """The merge, or undoing it, is not possible as things are."""


def pairs(
    conn: Connection, district_id: int, *, school_id: int | None = None, said_two: bool = False
) -> list[tuple[int, int, bool]]:
    """At most `MOST_PAIRS` pairs of people of a district who share a number, an e-mail or both names.

    school_id: only pairs with somebody who is or was in this school. said_two: also pairs of which somebody said that
    they are two people; the third value of a pair tells.
    """
    given = {"district": district_id, "school": school_id, "said_two": said_two}
    return [(row.one, row.other, row.said_two) for row in conn.execute(text(_PAIRS), given)]


def stored(conn: Connection, district_id: int, people: Sequence[int]) -> dict[int, dict[str, Any]]:
    """By person: what `identity.person_pairs.StoredPerson` takes, under its names. Unknown people are left out."""
    given = {"district": district_id, "people": list(people)}
    found: dict[int, dict[str, Any]] = {
        row["id"]: {
            "id": row["id"],
            "fields": dict(row),
            "links": {},
            "memberships": [],
            "current": set(),
            "not_theirs": set(),
        }
        for row in conn.execute(text(_PEOPLE), given).mappings()
    }
    for row in conn.execute(text(_LINKS), given):
        found[row.person_id]["links"][row.connection_id, row.sourced_id] = row.master_identifier
    for each in conn.execute(text(_MEMBERSHIPS), given).mappings():
        found[each["person_id"]]["memberships"].append(dict(each))
    for row in conn.execute(text(_NOT_THEIRS), given):
        found[row.person_id]["not_theirs"].add((row.connection_id, row.sourced_id))
    for row in conn.execute(text(_CURRENT), given):
        found[row.person_id]["current"].add(row.school_id)
    return found


def said_two(conn: Connection, one: int, other: int) -> bool:
    """Whether somebody said that these two are two people."""
    query = "select exists (select from not_duplicate where person_id = :one and other_id = :other)"
    return bool(conn.scalar(text(query), _ordered(one, other)))


def say_two(conn: Connection, district_id: int, one: int, other: int, *, who: str, reason: str) -> None:
    """Remember that two people are two; they are never proposed again and cannot be merged."""
    _both_known(conn, district_id, one, other)
    conn.execute(text(_BOTH_TWO), _ordered(one, other) | {"district": district_id})
    note_pair(conn, district_id, one, other, "two people", who, reason)


def ask_again(conn: Connection, district_id: int, one: int, other: int, *, who: str, reason: str) -> None:
    """Take back that two people are two. Raises MergeImpossible if nobody said so."""
    _both_known(conn, district_id, one, other)
    query = "delete from not_duplicate where person_id = :one and other_id = :other"
    if not conn.execute(text(query), _ordered(one, other)).rowcount:
        raise MergeImpossible(f"Nobody said that {one} and {other} are two people.", "Nothing has to be taken back.")
    note_pair(conn, district_id, one, other, "two people taken back", who, reason)


def _both_known(conn: Connection, district_id: int, one: int, other: int) -> None:
    lock_district(conn, district_id)
    known = set(conn.scalars(text(_PEOPLE.replace("*", "id", 1)), {"district": district_id, "people": [one, other]}))
    for each in (one, other):
        if each not in known:
            raise UnknownPerson(each)
    if one == other:
        raise MergeImpossible(f"Person {one} is one person.", "Name two different people.")


def _ordered(one: int, other: int) -> dict[str, int]:
    return {"one": min(one, other), "other": max(one, other)}


def note_pair(
    conn: Connection, district_id: int, one: int, other: int, what: str, who: str, reason: str, **more: int
) -> None:
    """An audit entry for each person who is there, with the number of the other."""
    there = conn.scalars(text(_PEOPLE.replace("*", "id", 1)), {"district": district_id, "people": [one, other]}).all()
    for each in sorted(there):
        details = {"other": other if each == one else one, **more}
        audit.record(conn, who=who, what=what, district_id=district_id, person_id=each, reason=reason, details=details)
