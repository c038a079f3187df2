"""Decisions about who is who, side by side: conflicts between records and people in the newest plan, and two people who
may be one. For a conflict, "same person" is `person_changes.link` and "two people" `unlink`; for two people, "same
person" is a merge, by the rules of `identity.person_pairs`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from roster_pipeline.directory import duplicate_pairs, person_merge, plan_rows, plans, relink, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.plans import PlanRow
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.identity import person_pairs as rules
from roster_pipeline.identity.person_pairs import StoredPerson
from roster_pipeline.services.person_view import PersonView, find
from roster_pipeline.services.plan_rows import Line, line_of
from roster_pipeline.services.settings_changes import given_reason
from roster_pipeline.sync.monitoring import settle_people
from roster_pipeline.vocabulary import OTHER_CONNECTION

COMPARED = (
    *("given_name", "family_name", "preferred_given_name", "preferred_family_name"),
    *("email", "username", "number", "role", "grade"),
)
MOST_PEOPLE = 4
"""How many people are shown next to one record. If a record fits more people, the SIS has to be corrected."""
MOST_PAIRS = 500
"""Pairs that are compared for one list."""
_CONFLICTS = plan_rows.RowFilter(actions=("conflict",))
_AGREED = {"number": "the same number", "email": "the same e-mail"}


@dataclass(frozen=True)
class Side:
    """A record of the SIS or a person of the directory. values: its values, by the names in `COMPARED`."""

    values: Mapping[str, Any]
    sourced_id: str = ""
    person_id: int = 0
    name: str = ""
    may_change: bool = False


@dataclass(frozen=True)
class SideBySide:
    """Several sides next to each other: the records before the people."""

    sides: Sequence[Side]

    @property
    def fields(self) -> list[str]:
        """The fields that at least one side has."""
        return [name for name in COMPARED if any(side.values.get(name) for side in self.sides)]

    def differs(self, name: str) -> bool:
        """Whether the sides that have the field have different values."""
        return len({str(side.values[name]).casefold() for side in self.sides if side.values.get(name)}) > 1


@dataclass(frozen=True)
class Conflict(SideBySide):
    """One row of a school's plan. hidden: people of schools that the reader may not see. decisions: (sourcedId, person)
    to `same` or `two`, where somebody decided since."""

    line: Line
    records: list[Side]
    people: list[Side]
    hidden: int
    decisions: Mapping[tuple[str, int], str]
    school: SchoolRow
    plan: PlanRow

    @property
    def decided(self) -> bool:
        """Whether somebody decided about every pair of the row, or decided that one pair is the same person."""
        pairs = [(record.sourced_id, person.person_id) for record in self.records for person in self.people]
        decisions = [self.decisions.get(pair) for pair in pairs]
        return "same" in decisions or (bool(decisions) and None not in decisions)


def count_conflicts(conn: Connection, plan: PlanRow | None) -> int:
    """How many conflicts a plan has."""
    return plan_rows.count(conn, plan, _CONFLICTS) if plan else 0


def conflicts(
    conn: Connection, school: SchoolRow, plan: PlanRow, reader: Account, *, limit: int, offset: int
) -> list[Conflict]:
    """One page of a plan's conflicts, as far as the reader may see the people."""
    rows = plan_rows.page(conn, plan, _CONFLICTS, limit=limit, offset=offset)
    return [_conflict(conn, school, plan, line_of(row), reader) for row in rows]


def conflicts_of_district(
    conn: Connection, district_id: int, reader: Account, *, limit: int, offset: int
) -> tuple[list[Conflict], int]:
    """One page of the conflicts in the newest plans of a district's schools, and how many there are on all pages."""
    rows = plan_rows.conflicts_of_district(conn, district_id, limit=limit, offset=offset)
    schools = tenants.schools_by_id(conn, {row["school_id"] for row in rows})
    of = plans.get_all(conn, {row["plan_id"] for row in rows})
    found = [_conflict(conn, schools[row["school_id"]], of[row["plan_id"]], line_of(row), reader) for row in rows]
    return found, rows[0]["total"] if rows else 0


def _conflict(conn: Connection, school: SchoolRow, plan: PlanRow, line: Line, reader: Account) -> Conflict:
    ids = line.sourced_ids
    records = [
        Side(row, row["sourced_id"]) for row in relink.conflicting_records(conn, plan.snapshot_id, ids, COMPARED)
    ]
    if line.person_id is not None:
        candidates = [line.person_id]
    else:
        candidates = relink.candidates(conn, school, plan.snapshot_id, ids, limit=MOST_PEOPLE)
    people = [side for one in candidates if (side := _side(conn, school, line, one, reader)) is not None]
    decisions = relink.decided_pairs(conn, school, ids)
    hidden = len(candidates) - len(people)
    return Conflict([*records, *people], line, records, people, hidden, decisions, school, plan)


def _side(conn: Connection, school: SchoolRow, line: Line, person_id: int, reader: Account) -> Side | None:
    """The person with the values that the reader may see, or None."""
    if line.reason == OTHER_CONNECTION and not reader.may_manage(school.district_id):
        return None
    try:
        view = find(conn, person_id, reader)
    except UnknownPerson:
        return None
    if not view.whole:
        return None
    return side_of(view, school.key)


def side_of(view: PersonView, school: str = "") -> Side:
    """A person as one side, with role and grade in this school, else in their first one."""
    belongs = next((each for each in view.memberships if each["school"] == school), None)
    belongs = belongs or next(iter(view.memberships), {})
    values = view.person.fields | {"role": belongs.get("role"), "grade": belongs.get("grade")}
    return Side(values, person_id=view.person.id, name=view.name, may_change=view.may_change)


@dataclass(frozen=True)
class Pair(SideBySide):
    """Two people next to each other, the older entry first. distinct: somebody said that they are two people. agree:
    why they are a pair, in words. against: why they cannot be merged, as sentences; empty if they can be merged."""

    schools: Sequence[list[str]]
    agree: str
    against: tuple[str, ...]
    distinct: bool

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
    """Pairs who may be one, in a district or with somebody of a school; or (distinct) those marked as two people."""
    found = duplicate_pairs.two_people(conn, district_id)
    if not distinct:
        two = frozenset(found)
        found = [pair for pair in rules.sharing(duplicate_pairs.keys(conn, district_id)) if pair not in two]
    if school_id is not None:
        theirs = duplicate_pairs.members(conn, district_id, school_id)
        found = [pair for pair in found if not theirs.isdisjoint(pair)]
    found = found[:MOST_PAIRS]
    people = stored_people(conn, district_id, sorted({each for pair in found for each in pair}))
    both = [(people[one], people[other]) for one, other in found]
    proposed = both if distinct else [pair for pair in both if rules.may_be_one(*pair)]
    if reader.may_manage(district_id):
        shown, hidden = proposed, 0
    else:
        shown = [pair for pair in proposed if all(_whole(person, reader.schools) for person in pair)]
        hidden = len(proposed) - len(shown)
    page = [_pair(conn, pair, distinct, reader) for pair in shown[offset : offset + limit]]
    return Pairs(page, len(shown), hidden)


def pair_of(conn: Connection, one: int, other: int, reader: Account) -> Pair:
    """Two people side by side. Raises UnknownPerson if the reader may not see them, or for two districts."""
    district_id = find(conn, one, reader).person.district_id
    people = stored_people(conn, district_id, [one, other])
    if len(people) < 2 or not all(find(conn, each, reader).whole for each in people):
        raise UnknownPerson(other)
    first, second = sorted(people)
    distinct = duplicate_pairs.are_distinct(conn, first, second)
    return _pair(conn, (people[first], people[second]), distinct, reader)


def merge(conn: Connection, district_id: int, kept: int, gone: int, *, who: str, reason: str) -> str:
    """Make one person of two, and return what was done, as a sentence. Raises MergeImpossible, UnknownPerson."""
    why = given_reason(reason)
    lock_district(conn, district_id)
    people = stored_people(conn, district_id, [kept, gone])
    for each in (kept, gone):
        if each not in people:
            raise UnknownPerson(each)
    if kept == gone:
        raise duplicate_pairs.MergeImpossible(f"Person {kept} is one person.", "Name two different people.")
    distinct = duplicate_pairs.are_distinct(conn, kept, gone)
    reasons = rules.against(people[kept], people[gone], distinct=distinct)
    if reasons:
        raise duplicate_pairs.MergeImpossible(
            f"Person {kept} and person {gone} cannot be merged. {' '.join(rules.AGAINST[each] for each in reasons)}",
            " ".join(rules.REMEDIES[each] for each in reasons),
        )
    values = {"fields": rules.merged_fields, "membership": rules.merged_membership}
    person_merge.merge(conn, district_id, kept, gone, **values, who=who, reason=why)
    settle_people(conn, district_id, [kept])
    return f"Person {gone} is now person {kept}."


def undo_merge(conn: Connection, district_id: int, kept: int, *, who: str, reason: str) -> str:
    """Take the newest merge of a person back."""
    back = person_merge.undo(conn, district_id, kept, who=who, reason=given_reason(reason))
    settle_people(conn, district_id, [kept, back])
    return f"Person {kept} and person {back} are two people again."


def set_distinct(
    conn: Connection, district_id: int, one: int, other: int, distinct: bool, *, who: str, reason: str
) -> str:
    """Remember that these are two people, or take that decision back."""
    duplicate_pairs.set_distinct(conn, district_id, one, other, distinct, who=who, reason=given_reason(reason))
    if distinct:
        return f"Person {one} and person {other} are two people. They are not proposed again."
    return f"It is open again whether person {one} and person {other} are one."


def stored_people(conn: Connection, district_id: int, people: Sequence[int]) -> dict[int, StoredPerson]:
    """These people in the form that the rules compare, by number. Unknown people are left out."""
    stored = duplicate_pairs.stored(conn, district_id, people)
    return {number: StoredPerson(**row) for number, row in stored.items()}


def _whole(person: StoredPerson, own: frozenset[int]) -> bool:
    """Whether a reader of these schools sees every field (the rule of `person_view.find`)."""
    active = {each["school_id"] for each in person.memberships if each["status"] == "active"}
    return any(each["school_id"] in own for each in person.memberships) and (not active or bool(active & own))


def _pair(conn: Connection, pair: tuple[StoredPerson, StoredPerson], distinct: bool, reader: Account) -> Pair:
    views = [find(conn, person.id, reader) for person in pair]
    agree = rules.compared(*pair).agree
    words = [word for name, word in _AGREED.items() if name in agree]
    words += ["the same name"] if agree >= {"given", "family"} else []
    return Pair(
        sides=[side_of(each) for each in views],
        schools=[[f"{row['name']}: {row['role']}, {row['status']}" for row in view.memberships] for view in views],
        agree=", ".join(words),
        against=tuple(rules.AGAINST[each] for each in rules.against(*pair, distinct=distinct)),
        distinct=distinct,
    )
