"""Two people of the directory who may be one: the list of such pairs, and the decisions "same person" (a merge) and
"two people".

`identity.person_pairs` decides whether two people may be merged, and which values the kept person gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import duplicate_pairs, person_merge
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.duplicate_pairs import MergeImpossible
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.identity.person_pairs import (
    AGAINST,
    REMEDIES,
    StoredPerson,
    against,
    compared,
    may_be_one,
    merged_fields,
    merged_membership,
    sharing,
)
from roster_pipeline.services.conflicts import COMPARED, Side, side_of
from roster_pipeline.services.decisions import given_reason
from roster_pipeline.services.person_view import PersonView, find
from roster_pipeline.sync.monitoring import settle_people

MOST_PAIRS = 500
"""Pairs that are compared for one list."""
_AGREED = {"number": "the same number", "email": "the same e-mail"}


@dataclass(frozen=True)
class Pair:
    """Two people next to each other, the older entry first. distinct: somebody said that they are two people. agree:
    why they are a pair, in words. against: why they cannot be merged, as sentences; empty if they can be merged."""

    sides: tuple[Side, Side]
    schools: tuple[list[str], list[str]]
    agree: str
    against: tuple[str, ...]
    distinct: bool

    @property
    def fields(self) -> list[str]:
        """The fields that one of the two has."""
        return [name for name in COMPARED if any(side.values.get(name) for side in self.sides)]

    def differs(self, name: str) -> bool:
        """Whether both have the field, with different values."""
        one, other = (side.values.get(name) for side in self.sides)
        return bool(one and other) and str(one).casefold() != str(other).casefold()

    @property
    def may_change(self) -> bool:
        """Whether the reader may decide about both."""
        return all(side.may_change for side in self.sides)


@dataclass(frozen=True)
class Pairs:
    """One page of pairs. total: the number of all pairs that the reader may see. hidden: the number of pairs with
    somebody that the reader may not see, or may see by name only. A manager of the district decides about them."""

    pairs: list[Pair]
    total: int
    hidden: int


def possible_duplicates(
    conn: Connection,
    district_id: int,
    reader: Account,
    *,
    school_id: int | None = None,
    distinct: bool = False,
    limit: int,
    offset: int = 0,
) -> Pairs:
    """Pairs of people who may be one, in a district or with somebody of one school. distinct: return the pairs that
    somebody marked as two people, instead of the other pairs."""
    found = duplicate_pairs.two_people(conn, district_id)
    if not distinct:
        said = frozenset(found)
        found = [pair for pair in sharing(duplicate_pairs.keys(conn, district_id)) if pair not in said]
    if school_id is not None:
        theirs = duplicate_pairs.members(conn, district_id, school_id)
        found = [pair for pair in found if not theirs.isdisjoint(pair)]
    found = found[:MOST_PAIRS]
    people = stored_people(conn, district_id, sorted({each for pair in found for each in pair}))
    both = [(people[one], people[other]) for one, other in found]
    proposed = both if distinct else [pair for pair in both if may_be_one(*pair)]
    if reader.may_manage(district_id):
        shown, hidden = proposed, 0
    else:
        shown = [pair for pair in proposed if all(_whole(person, reader.schools) for person in pair)]
        hidden = len(proposed) - len(shown)
    page = [_pair(conn, pair, distinct, reader) for pair in shown[offset : offset + limit]]
    return Pairs(page, len(shown), hidden)


def pair_of(conn: Connection, one: int, other: int, reader: Account) -> Pair:
    """These two people next to each other. Raises UnknownPerson for people of two districts, and for people that the
    reader may not see."""
    district_id = find(conn, one, reader).person.district_id
    people = stored_people(conn, district_id, [one, other])
    if len(people) < 2 or not all(find(conn, each, reader).whole for each in people):
        raise UnknownPerson(other)
    first, second = sorted(people)
    distinct = duplicate_pairs.are_distinct(conn, first, second)
    return _pair(conn, (people[first], people[second]), distinct, reader)


def merge(conn: Connection, district_id: int, kept: int, gone: int, *, who: str, reason: str) -> str:
    """Make one person of two: everything of one person moves to the kept person. Returns what was done, as a sentence.
    Raises MergeImpossible with the reason, and UnknownPerson."""
    why = given_reason(reason)
    lock_district(conn, district_id)
    people = stored_people(conn, district_id, [kept, gone])
    for each in (kept, gone):
        if each not in people:
            raise UnknownPerson(each)
    if kept == gone:
        raise MergeImpossible(f"Person {kept} is one person.", "Name two different people.")
    distinct = duplicate_pairs.are_distinct(conn, kept, gone)
    reasons = against(people[kept], people[gone], distinct=distinct)
    if reasons:
        raise MergeImpossible(
            f"Person {kept} and person {gone} cannot be merged. {' '.join(AGAINST[each] for each in reasons)}",
            " ".join(REMEDIES[each] for each in reasons),
        )
    person_merge.merge(
        conn, district_id, kept, gone, fields=merged_fields, membership=merged_membership, who=who, reason=why
    )
    settle_people(conn, district_id, [kept], datetime.now(UTC))
    return f"Person {gone} is now person {kept}."


def undo_merge(conn: Connection, district_id: int, kept: int, *, who: str, reason: str) -> str:
    """Take the newest merge of a person back."""
    back = person_merge.undo(conn, district_id, kept, who=who, reason=given_reason(reason))
    settle_people(conn, district_id, [kept, back], datetime.now(UTC))
    return f"Person {kept} and person {back} are two people again."


def mark_distinct(conn: Connection, district_id: int, one: int, other: int, *, who: str, reason: str) -> str:
    """Remember that these are two people."""
    duplicate_pairs.mark_distinct(conn, district_id, one, other, who=who, reason=given_reason(reason))
    return f"Person {one} and person {other} are two people. They are not proposed again."


def unmark_distinct(conn: Connection, district_id: int, one: int, other: int, *, who: str, reason: str) -> str:
    """Take back the decision that these are two people."""
    duplicate_pairs.unmark_distinct(conn, district_id, one, other, who=who, reason=given_reason(reason))
    return f"It is open again whether person {one} and person {other} are one."


def stored_people(conn: Connection, district_id: int, people: Sequence[int]) -> dict[int, StoredPerson]:
    """These people in the form that the rules compare, by number. Unknown people are left out."""
    return {
        number: StoredPerson(
            id=number,
            fields=row["fields"],
            links=row["links"],
            memberships=tuple(row["memberships"]),
            current=frozenset(row["current"]),
            not_theirs=frozenset(row["not_theirs"]),
        )
        for number, row in duplicate_pairs.stored(conn, district_id, people).items()
    }


def _whole(person: StoredPerson, own: frozenset[int]) -> bool:
    """Whether a reader who sees these schools sees every field of the person (the same rule as in
    `person_view.find`)."""
    active = {each["school_id"] for each in person.memberships if each["status"] == "active"}
    return any(each["school_id"] in own for each in person.memberships) and (not active or bool(active & own))


def _pair(conn: Connection, pair: tuple[StoredPerson, StoredPerson], distinct: bool, reader: Account) -> Pair:
    views = [find(conn, person.id, reader) for person in pair]
    one, other = (side_of(each) for each in views)
    agree = compared(*pair).agree
    words = [said for name, said in _AGREED.items() if name in agree]
    words += ["the same name"] if agree >= {"given", "family"} else []
    return Pair(
        sides=(one, other),
        schools=(_schools(views[0]), _schools(views[1])),
        agree=", ".join(words),
        against=tuple(AGAINST[each] for each in against(*pair, distinct=distinct)),
        distinct=distinct,
    )


def _schools(view: PersonView) -> list[str]:
    rows: list[dict[str, Any]] = view.memberships
    return [f"{row['name']}: {row['role']}, {row['status']}" for row in rows]
