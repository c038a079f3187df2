"""Which records belong to a collection: arrays of indexes, four bytes a person, built from ranges and the few people
who changed."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.layout import KINDS
from roster_pipeline.simulator.person import CONTACT_ROLES, STUDENT, TEACHER, Person

Indexes: TypeAlias = "array[int]"


def listed_indexes(district: District, version: str, role: str | None = None, school: str | None = None) -> Indexes:
    """Indexes of the people who have this role (`student`, `teacher` or any) and, if given, in this school.

    In 1.1 a record has one role, the first of `roles`; in 1.2 any entry counts. Ended roles and records marked
    `tobedeleted` are listed.
    """
    with district.lock:
        belongs = belongs_rule(version, role, school)
        touched = sorted(district.gone | district.changed.keys())
        kept = [i for i in touched if i not in district.gone and belongs(district.changed.get(i) or district.at(i))]
        runs = [(index, index + 1) for index in kept]
        for span in _generated(district, role, school):
            runs.extend(_cut(span, touched))
        runs.sort()
        found = array("I")
        for first, stop in runs:
            found.extend(range(first, stop))
        return found


def may_have_role(district: District, role: str) -> Indexes:
    """Indexes of everybody who may have this (1.2) role: those the layout gives it to, and all who were changed."""
    kinds = {role, "contact"} if role in CONTACT_ROLES else {role}
    if role == "siteAdministrator":
        kinds.add(TEACHER)
    with district.lock:
        spans = [range(district.layout.office)]
        for kind in kinds & set(KINDS):
            spans.extend(district.layout.ranges(kind))
        touched = sorted(district.gone | district.changed.keys())
        runs = [(index, index + 1) for index in touched if index not in district.gone]
        for span in spans:
            runs.extend(_cut(span, touched))
        runs.sort()
        found = array("I")
        for first, stop in runs:
            found.extend(range(first, stop))
        return found


def belongs_rule(version: str, role: str | None, school: str | None) -> Callable[[Person], bool]:
    """A test of one person for a role and a school, as the version sees it."""

    def belongs(person: Person) -> bool:
        entries = person.roles[:1] if version == "1.1" and role else person.roles
        if role is not None and not any(entry.role == role for entry in entries):
            return False
        if school is None:
            return True
        if version == "1.1":
            return person.is_in(school)
        return any(entry.org == school and role in (None, entry.role) for entry in person.roles)

    return belongs


def _generated(district: District, role: str | None, school: str | None) -> Iterator[range]:
    """The generated people of a collection, as spans, without regard to later changes."""
    layout = district.layout
    if school is None:
        if role is None:
            yield range(layout.size)
        else:
            yield from layout.ranges(role)
        return
    if school not in district.population.school_ids:
        return
    number = district.population.school_ids.index(school)
    if role is None:
        first = layout.office + number * layout.block
        yield range(first, first + layout.block)
    for kind in (STUDENT, TEACHER) if role is None else (role,):
        if role is not None:
            first = layout.index(number, kind, 0)
            yield range(first, first + layout.counts[kind])
        before = (number - 1) % layout.schools
        for ordinal in range(layout.counts[kind]):
            if district.population.is_in_next_school(kind, ordinal):
                guest = layout.index(before, kind, ordinal)
                yield range(guest, guest + 1)


def _cut(span: range, touched: list[int]) -> Iterable[tuple[int, int]]:
    """The span without the touched indexes, as runs."""
    first = span.start
    for index in _within(touched, span):
        if index > first:
            yield first, index
        first = index + 1
    if first < span.stop:
        yield first, span.stop


def _within(touched: list[int], span: range) -> list[int]:
    return touched[bisect_left(touched, span.start) : bisect_left(touched, span.stop)]
