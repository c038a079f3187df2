"""Placeholder values, which people of many names have, as the model reads the rules."""

from collections.abc import Iterable
from dataclasses import replace

from roster_pipeline_tests.invariants.evidence import plain
from roster_pipeline_tests.invariants.identities import ELSEWHERE, Identity, strength
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sis_state import Record

MANY = 3
"""At most this many different names may have one value."""


def without_values_of_many(records: list[Record], school: str, rules: SchoolRules) -> list[Record]:
    """The records without placeholders: a number of many is unreadable, and another key of many is no evidence."""
    alive = [one for one in records if strength(one, school, rules)[0] <= ELSEWHERE]
    own = {id(one): plain(Identity(school, rules, [one]).numbered(one)) for one in records}
    numbers = {key for key in own.values() if key and _many(one for one in alive if own[id(one)] == key)}
    common = {
        name: {
            value
            for value in {getattr(one, name) for one in alive}
            if value and _many((one for one in alive if getattr(one, name) == value), families_alone=name == "email")
        }
        for name in ("username", "master", "email")
    }
    return [_counting(one, common, numberless=own[id(one)] in numbers) for one in records]


def _counting(record: Record, common: dict[str, set[str]], *, numberless: bool) -> Record:
    names = frozenset(name for name, values in common.items() if getattr(record, name) in values)
    if numberless:
        record = replace(record, number=None, spoiled=record.spoiled | {"number"})
    if "master" in names:
        record = replace(record, master=None)
    return replace(record, common=names) if names else record


def _many(records: Iterable[Record], *, families_alone: bool = False) -> bool:
    some = list(records)
    given, family = ({one.given for one in some} - {None}, {one.family for one in some} - {None})
    return len(family) > MANY or (len(given) > MANY and not families_alone)
