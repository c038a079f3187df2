"""Link exclusions, as the model reads the rules."""

from collections.abc import Iterable, Mapping

from roster_pipeline_tests.invariants.person import Person

Linked = Mapping[str, Person]


def told_apart(sourced_id: str, person: Person, linked: Linked) -> bool:
    """Whether this record is not this person: it was unlinked from them, or their record was unlinked from the record's
    person."""
    owner = linked.get(sourced_id)
    if owner is person:
        return False
    return sourced_id in person.not_theirs or (owner is not None and bool(person.links & owner.not_theirs))


def two_people(one: Iterable[str], other: Iterable[str], linked: Linked) -> bool:
    """Whether a record of the one is excluded from the person of a record of the other."""
    mine, theirs = list(one), list(other)
    return _breaking(mine, theirs, linked) != set() or _breaking(theirs, mine, linked) != set()


def split_by_decisions(group: list[str], linked: Linked) -> tuple[bool, set[str]]:
    """Whether records that seem to be one identity are several; and which of them may belong to any of these."""
    breaking = _breaking(group, group, linked)
    return bool(breaking), {one for one in group if one not in linked} - breaking if breaking else set()


def _breaking(records: list[str], linking: list[str], linked: Linked) -> set[str]:
    people = [linked[one] for one in linking if one in linked]
    return {one for one in records if any(told_apart(one, person, linked) for person in people)}
