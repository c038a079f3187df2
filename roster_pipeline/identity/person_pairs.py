"""Two people of the directory who may be one human being: which pairs are compared, what rules a merge out, and the
merged values.

The table of evidence compares two people as it compares a record and a person. Statements of the SIS and of people
count as well: two records in one school at the same time, or a record that somebody unlinked from this person. The
rules are in docs/rules.md, section 3, "Two people who are one".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Flags, Ints, codes, joined, strings
from roster_pipeline.identity.evidence import Evidence, MatchKeys, bare, kind_of, weigh, year_of
from roster_pipeline.identity.match_keys import bare_numbers, name_keys_of
from roster_pipeline.identity.names import (
    in_other_letters,
    may_be_one_name,
    name_key,
    name_keys,
    whole_names,
    with_middle,
)
from roster_pipeline.vocabulary import PERSON_FIELDS

AGAINST = {
    "number": "They have different numbers of one kind in one SIS.",
    "master": "The SIS has different userMasterIdentifiers for them.",
    "kind": "One is a student, the other works at a school.",
    "grade": "Their grades are three years or more apart.",
    "names": "Given name and family name both differ.",
    "two_records": "The SIS now has a record of each person in one school.",
    "said": "Somebody said that they are two people.",
}
"""Why two people cannot be merged."""
REMEDIES = {
    "number": "Correct the wrong number first.",
    "master": "Correct it in the SIS first.",
    "kind": "Archive the membership that is wrong first.",
    "grade": "Correct the wrong grade first.",
    "names": "Correct the name that is wrong first.",
    "two_records": "Merge the two records in the SIS first.",
    "said": "If that was wrong, take it back first.",
}

LARGEST_GROUP = 6
"""More people than this with one number, e-mail or name are not duplicates of each other, but bad data."""
_NUMBER = ("number", "number_kind", "number_connection_id")
_FOLLOWING = tuple(name for name in PERSON_FIELDS if name != "number")


@dataclass(frozen=True)
class StoredPerson:
    """A person as the directory has them.

    fields: the columns of `person`. links: (connection, sourcedId) to userMasterIdentifier. memberships: role, grade,
    status and years (whole years since it was written), of every school. current: the schools whose newest roster has a
    record of theirs as a member. not_theirs: records that somebody unlinked from this person.
    """

    id: int
    fields: Mapping[str, Any]
    links: Mapping[tuple[int, str], str | None]
    memberships: Sequence[Mapping[str, Any]]
    current: Set[int]
    not_theirs: Set[tuple[int, str]]


def sharing(people: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs that share a number, an e-mail or the whole name, without those that the table of evidence would refuse.

    people: id, given_name, family_name, email, number and number_source, in order of id. Those who share a number come
    first, then those who share an e-mail.
    """
    given, family = (name_keys_of(people[name]) for name in ("given_name", "family_name"))
    emails = pc.utf8_lower(strings(people["email"]))
    numbers = bare_numbers(strings(people["number"]))
    numbers = pc.if_else(pc.equal(numbers, ""), None, numbers)
    sources = strings(people["number_source"])
    whole = pc.min_element_wise(joined(given, family), joined(family, given), skip_nulls=False)
    keys = (joined(sources, numbers), emails, whole)
    email, number, source, name = (codes(each)[0] for each in (emails, numbers, sources, whole))
    given_name, family_name = codes(given)[0], codes(family)[0]
    ids = people["id"].to_numpy(dtype=np.int64)
    found: dict[tuple[int, int], None] = {}
    for way, key in zip(("number", "email", "names"), keys, strict=True):
        one, other = _with_one_key(codes(key)[0])
        likely = np.ones(len(one), dtype=bool)
        if way != "number":
            for kind, of in (("given_name", given_name), ("family_name", family_name)):
                likely[likely] = _may_be_one(people[kind], of, one[likely], other[likely])
            likely |= name[one] == name[other]
        if way == "names":
            likely &= (email[one] < 0) | (email[other] < 0)
            likely &= (number[one] < 0) | (number[other] < 0) | (source[one] != source[other])
        found |= dict.fromkeys(zip(ids[one[likely]].tolist(), ids[other[likely]].tolist(), strict=True))
    return list(found)


def _with_one_key(key: Ints) -> tuple[Ints, Ints]:
    """The places of every two rows with the same key, in order. Keys of more than `LARGEST_GROUP` rows are left out."""
    places = np.flatnonzero(key >= 0)
    often = np.bincount(key[places])
    few = (often > 1) & (often <= LARGEST_GROUP)
    places = places[few[key[places]]]
    rows = pd.DataFrame({"key": key[places], "place": places})
    both = rows.merge(rows, on="key")
    one, other = both["place_x"].to_numpy(dtype=np.int64), both["place_y"].to_numpy(dtype=np.int64)
    order = np.lexsort((other, one))
    order = order[one[order] < other[order]]
    return one[order], other[order]


def _may_be_one(names: pd.Series[Any], key: Ints, one: Ints, other: Ints) -> Flags:
    """Whether the names of two rows are equal or may be one, or one is missing."""
    alike: Flags = (key[one] == key[other]) | (key[one] < 0) | (key[other] < 0)
    differ = np.flatnonzero(~alike)
    sides = (strings(names).take(pa.array(side[differ])).to_pylist() for side in (one, other))
    for place, mine, theirs in zip(differ.tolist(), *sides, strict=True):
        alike[place] = may_be_one_name(name_keys(mine), name_keys(theirs)) or in_other_letters(mine, theirs)
    return alike


def compared(one: StoredPerson, other: StoredPerson) -> Evidence:
    """What agrees and what differs between two people, by the table of evidence."""
    shared = {connection for connection, _ in one.links} & {connection for connection, _ in other.links}
    sides = sorted((_match_keys(one, shared), _match_keys(other, shared)), key=lambda keys: keys.years_ago)
    return weigh(*sides)


def against(one: StoredPerson, other: StoredPerson, *, distinct: bool = False) -> tuple[str, ...]:
    """The differences that are so strong that the two are never merged: keys of `AGAINST`.

    distinct: somebody said that they are two people.
    """
    weighed = compared(one, other)
    found = set(AGAINST) & weighed.differ
    if {"given", "family"} <= weighed.differ - weighed.unclear:
        found.add("names")
    if one.current & other.current:
        found.add("two_records")
    if distinct or one.not_theirs & other.links.keys() or other.not_theirs & one.links.keys():
        found.add("said")
    return tuple(name for name in AGAINST if name in found)


def may_be_one(one: StoredPerson, other: StoredPerson) -> bool:
    """Whether two people are proposed as possible duplicates.

    That is so if the table of evidence cannot rule it out and nothing speaks against it, strong or a middle name. A
    name alone proposes nobody who has two records in the SIS now.
    """
    weighed = compared(one, other)
    if not weighed.may_be or weighed.another_middle or against(one, other):
        return False
    return bool(weighed.agree & {"number", "email"}) or weighed.near or not (one.current and other.current)


def merged_fields(kept: Mapping[str, Any], gone: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of `person` that the kept person gets from the other.

    A value of the other person fills an empty one. A locked value replaces a value that is not locked, and stays
    locked. If one of the two was excluded, the kept person is excluded.
    """
    locked, theirs = set(kept["locked_fields"]), set(gone["locked_fields"])
    new: dict[str, Any] = {}
    for name in _FOLLOWING:
        if name not in locked and (name in theirs or (kept[name] is None and gone[name] is not None)):
            new[name] = gone[name]
    if "number" not in locked and ("number" in theirs or (kept["number"] is None and gone["number"] is not None)):
        new |= {name: gone[name] for name in _NUMBER}
    new |= {"locked_fields": sorted(locked | theirs), "excluded": kept["excluded"] or gone["excluded"]}
    return {name: value for name, value in new.items() if value != kept[name]}


def stays(kept: Mapping[str, Any], gone: Mapping[str, Any]) -> bool:
    """Whether the kept person's membership stays, of two memberships in one school.

    If not, the other's membership takes its place.

    An active one comes before an archived one. If both are archived, the one that was archived by hand comes first,
    because no sync restores it. Otherwise the kept person's stays.
    """
    if kept["status"] != gone["status"]:
        return bool(kept["status"] == "active")
    return bool(kept["status"] == "active" or kept["archived_by"] == "hand" or gone["archived_by"] != "hand")


def merged_membership(kept: Mapping[str, Any], gone: Mapping[str, Any]) -> dict[str, Any]:
    """Make one membership of two in the same school.

    If both are active and the sync manages one of them, it manages the result.
    """
    first, second = (kept, gone) if stays(kept, gone) else (gone, kept)
    new = dict(first)
    if first["status"] == second["status"] == "active":
        new["managed"] = first["managed"] or second["managed"]
        new["absent_syncs"] = min(first["absent_syncs"], second["absent_syncs"])
    return new


def _match_keys(person: StoredPerson, connections: set[int]) -> MatchKeys:
    fields = person.fields
    kinds, year, years_ago = _schooling(person.memberships)
    number = None
    if fields["number"] is not None and fields["number_connection_id"] is not None:
        number = f"{fields['number_connection_id']}:{fields['number_kind']}\x1f{fields['number']}"
    middle = name_key(fields["middle_name"])
    given, family = (name_keys(fields[f"{of}_name"], fields[f"preferred_{of}_name"]) for of in ("given", "family"))
    given, family = with_middle(given, family, middle)
    return MatchKeys(
        given=given,
        family=family,
        email=fields["email"].lower() if fields["email"] else None,
        number=number,
        username=fields["username"].lower() if fields["username"] else None,
        masters=frozenset(
            f"{connection}:{master}"
            for (connection, _), master in person.links.items()
            if master and connection in connections
        ),
        number_is_id=(fields["number_connection_id"], fields["number"]) in person.links,
        kind=next(iter(kinds)) if len(kinds) == 1 else None,
        year=year,
        years_ago=years_ago,
        linked=bool(person.links),
        middle=middle,
        written=(fields["given_name"], fields["family_name"]),
    )


def _schooling(memberships: Sequence[Mapping[str, Any]]) -> tuple[set[str], int | None, int]:
    """Student or staff, school year, age of the grade: of active memberships, or of archived ones if none is."""
    active = [each for each in memberships if each["status"] == "active"]
    counted = active or list(memberships)
    kinds = {kind for each in counted if (kind := kind_of(each["role"])) is not None}
    graded = [(each["years"], year) for each in counted if (year := year_of(each["grade"])) is not None]
    years_ago, newest = min(graded, default=(0, None))
    return kinds, newest, years_ago


def search_keys(person: StoredPerson) -> list[tuple[str, Any]]:
    """The values by which people are found. The table of evidence then compares them."""
    fields = person.fields
    keys: list[tuple[str, Any]] = []
    if fields["email"]:
        keys.append(("email", fields["email"].lower()))
    if fields["number"] and fields["number_connection_id"] is not None:
        number = (fields["number_connection_id"], fields["number_kind"], bare(fields["number"]))
        keys.append(("number", number))
    return [*keys, *(("name", name) for name in sorted(names_of(fields["given_name"], fields["family_name"])))]


def names_of(given: str | None, family: str | None) -> frozenset[str]:
    """The texts by which people with this whole name are found, in any order and in any fields."""
    return whole_names(name_keys(given), name_keys(family))
