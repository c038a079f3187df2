"""People who may be in the directory twice: the values to compare, and pairs that somebody marked as two people."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import NEWEST, UnknownPerson
from roster_pipeline.directory.pg_copy import Kind, read_frame

KEYS: Mapping[str, Kind] = {
    "id": "int",
    **dict.fromkeys(("given_name", "family_name", "email", "number", "number_source"), "text"),
}
"""The values by which people are compared. number_source: connection and kind, if from a SIS."""

_KEYS = """
select id, given_name, family_name, email, number, number_connection_id || '/' || number_kind
from person where district_id = {district} order by id
"""
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
_CURRENT = f"""
with newest as (
    select s.id as school_id, s.connection_id, {NEWEST} as snapshot_id from school s where s.district_id = :district
)
select l.person_id, n.school_id from link l join newest n on n.connection_id = l.connection_id
join cleaned_roster c on c.snapshot_id = n.snapshot_id and c.sourced_id = l.sourced_id and c.record_status = 'member'
where l.district_id = :district and l.person_id = any(:people)
"""  # noqa: S608
_BOTH_TWO = (
    "insert into not_duplicate (district_id, person_id, other_id) values (:district, :one, :other) "
    "on conflict do nothing"
)
_OPEN_AGAIN = "delete from not_duplicate where person_id = :one and other_id = :other"


class MergeImpossible(DirectoryError):
    """The merge, or undoing it, is not possible as things are."""


def keys(conn: Connection, district_id: int) -> pd.DataFrame:
    """Every person of a district by id, with the columns of `KEYS`."""
    return read_frame(conn, _KEYS, KEYS, district=district_id)


def members(conn: Connection, district_id: int, school_id: int) -> frozenset[int]:
    """People who are or were in a school."""
    query = "select person_id from membership where district_id = :district and school_id = :school"
    return frozenset(conn.scalars(text(query), {"district": district_id, "school": school_id}))


def two_people(conn: Connection, district_id: int) -> list[tuple[int, int]]:
    """The pairs of a district that somebody marked as two people."""
    query = "select person_id, other_id from not_duplicate where district_id = :district order by 1, 2"
    return [(row.person_id, row.other_id) for row in conn.execute(text(query), {"district": district_id})]


def stored(conn: Connection, district_id: int, people: Sequence[int]) -> dict[int, dict[str, Any]]:
    """For each known person, the values of `identity.person_pairs.StoredPerson`."""
    given = {"district": district_id, "people": list(people)}
    found: dict[int, dict[str, Any]] = {}
    for person in conn.execute(text(_PEOPLE), given).mappings():
        nothing: dict[str, Any] = {"links": {}, "memberships": [], "current": set(), "not_theirs": set()}
        found[person["id"]] = {"id": person["id"], "fields": dict(person), **nothing}
    for row in conn.execute(text(_LINKS), given):
        found[row.person_id]["links"][row.connection_id, row.sourced_id] = row.master_identifier
    for each in conn.execute(text(_MEMBERSHIPS), given).mappings():
        found[each["person_id"]]["memberships"].append(dict(each))
    for row in conn.execute(text(_NOT_THEIRS), given):
        found[row.person_id]["not_theirs"].add((row.connection_id, row.sourced_id))
    for row in conn.execute(text(_CURRENT), given):
        found[row.person_id]["current"].add(row.school_id)
    return found


def are_distinct(conn: Connection, one: int, other: int) -> bool:
    """Whether somebody said that these two are two people."""
    query = "select exists (select from not_duplicate where person_id = :one and other_id = :other)"
    return bool(conn.scalar(text(query), _ordered(one, other)))


def set_distinct(
    conn: Connection, district_id: int, one: int, other: int, distinct: bool, *, who: str, reason: str
) -> None:
    """Remember that these are two people, so that nobody can merge them; or take that back. Raises MergeImpossible."""
    lock_district(conn, district_id)
    known = set(conn.scalars(text(_PEOPLE.replace("*", "id", 1)), {"district": district_id, "people": [one, other]}))
    for each in (one, other):
        if each not in known:
            raise UnknownPerson(each)
    if one == other:
        raise MergeImpossible(f"Person {one} is one person.", "Name two different people.")
    done = conn.execute(text(_BOTH_TWO if distinct else _OPEN_AGAIN), _ordered(one, other) | {"district": district_id})
    if not distinct and not done.rowcount:
        raise MergeImpossible(f"Nobody said that {one} and {other} are two people.", "Nothing has to be taken back.")
    note_pair(conn, district_id, one, other, "two people" if distinct else "two people taken back", who, reason)


def _ordered(one: int, other: int) -> dict[str, int]:
    return {"one": min(one, other), "other": max(one, other)}


def note_pair(
    conn: Connection, district_id: int, one: int, other: int, what: str, who: str, reason: str, **more: int
) -> None:
    """Write an audit entry for each of the two who is in the directory, with the number of the other."""
    there = conn.scalars(text(_PEOPLE.replace("*", "id", 1)), {"district": district_id, "people": [one, other]}).all()
    for each in sorted(there):
        details = {"other": other if each == one else one, **more}
        audit.record(conn, who, what, district_id=district_id, person_id=each, reason=reason, details=details)
