"""Merging two people in the model: who is never merged, and what the kept person gets."""

from collections.abc import Mapping, Set
from dataclasses import replace

from roster_pipeline_tests.invariants.evidence import compare, known_person
from roster_pipeline_tests.invariants.person import Membership, Person

Rosters = Mapping[str, Set[str]]
"""School to the records that its newest roster has as members."""


def never_one(one: Person, other: Person, rosters: Rosters) -> bool:
    """Whether the evidence against one person is so strong that the two cannot be merged."""
    mine, theirs = (replace(known_person(person), grade=_grade(person)) for person in (one, other))
    found = compare(mine, theirs)
    if found.strong - {"names"} or {"given", "family"} <= found.other - found.maybe:
        return True
    if one.not_theirs & other.links or other.not_theirs & one.links:
        return True
    return any(one.links & members and other.links & members for members in rosters.values())


def merge(kept: Person, gone: Person) -> None:
    """Move everything of one person to the other."""
    for name in ("given", "family", "middle", "email", "username"):
        kept.fields[name] = kept.fields[name] or gone.fields[name]
    if not kept.fields["number"] and gone.fields["number"]:
        kept.fields |= {name: gone.fields[name] for name in ("number", "kind", "sourced")}
    for school, theirs in gone.members.items():
        mine = kept.members.get(school)
        kept.members[school] = theirs if mine is None else _one_of(mine, theirs)
    kept.primary = kept.primary or gone.primary
    kept.confirmed |= gone.links
    kept.links |= gone.links
    kept.not_theirs |= gone.not_theirs
    kept.masters |= gone.masters
    kept.excluded = kept.excluded or gone.excluded


def _one_of(mine: Membership, theirs: Membership) -> Membership:
    active = [each for each in (mine, theirs) if each.status == "active"]
    if len(active) == 2:
        return replace(mine, absent=min(mine.absent, theirs.absent), managed=mine.managed or theirs.managed)
    if active:
        return active[0]
    by_hand = [each for each in (mine, theirs) if each.by == "hand"]
    return (by_hand or [mine])[0]


def _grade(person: Person) -> int | None:
    active = [each for each in person.members.values() if each.status == "active"]
    grades = [each.grade for each in active or person.members.values() if each.grade is not None]
    return min(grades, default=None)
