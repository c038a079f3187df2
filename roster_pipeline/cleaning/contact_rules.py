"""Contact rules: which contacts nobody may call, according to the SIS, and what else the SIS says about a contact.

A rule looks at a role, at the relationship, at a metadata key of the contact, or at a member of the entry in `agents`
with which student and contact name each other. It fails closed: a value that no rule of its field knows excludes the
contact.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Ints, lists, strings
from roster_pipeline.settings import school
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

ALLOWED, WITHHELD, UNKNOWN, EXCLUDED = range(4)
"""The verdicts of the rules on a contact; the strongest one counts. WITHHELD: the SIS does not deliver the field now.
"""

METADATA, AGENTS = "metadata:", "agents:"
ROLE, RELATIONSHIP = "role", "relationship"
_NAMES = (ROLE, RELATIONSHIP)
"""Fields whose values are names. A rule that excludes some names allows all others; in other fields these are unknown.
"""
_WORDS = dict.fromkeys(("true", "t", "yes", "y", "1"), "true") | dict.fromkeys(("false", "f", "no", "n", "0"), "false")
_OPPOSITE = {"true": "false", "false": "true"}
_NULLS = ("", "null", "(null)")
"""These texts mean no value. Other words for "nothing" are values here: custody "none" has a meaning."""
_LIST, _OBJECT = "\x01", "\x02"
"""Marks in a column of texts: before each item of a list, and in place of an object. No cleaned text contains them."""


@dataclass(frozen=True)
class ContactContext:
    """The input of the choice of contacts. withheld: fields of contact rules that the SIS does not deliver now.

    stored: the contacts that the directory has now, of each student by place: student_id, sourced_id.
    """

    settings: SchoolSettings
    connection: ConnectionSettings
    today: date
    withheld: frozenset[str] = frozenset()
    stored: pd.DataFrame | None = None


@dataclass(frozen=True)
class FieldRule:
    """All rules of one field together. If `allowed` is empty, any known value that is not excluded is allowed."""

    field: str
    allowed: frozenset[str]
    excluded: frozenset[str]

    def verdict(self, text: str | None) -> int:
        """The verdict on one value; None means that the contact has no value."""
        words = [word for item in (text or "").split(_LIST) if (word := plain_word(item)) not in _NULLS]
        if self.excluded.intersection(words):
            return EXCLUDED
        if not words:
            return EXCLUDED if self.allowed else ALLOWED
        if self.allowed.intersection(words) or (self.field in _NAMES and not self.allowed):
            return ALLOWED
        opposite = {_OPPOSITE.get(word, "") for word in words}
        if self.field in _NAMES or (self.allowed and opposite <= self.allowed):
            return EXCLUDED
        return ALLOWED if not self.allowed and opposite <= self.excluded else UNKNOWN

    def verdicts(self, values: Array) -> Ints:
        """The verdicts on a column of texts; each distinct text is judged once."""
        coded = pc.fill_null(values, "").dictionary_encode()
        verdicts = np.array([self.verdict(text) for text in coded.dictionary.to_pylist()], dtype=np.int64)
        return (
            verdicts[coded.indices.to_numpy(zero_copy_only=False)] if len(verdicts) else np.zeros(len(values), np.int64)
        )


def rules_of(lines: Iterable[str]) -> tuple[FieldRule, ...]:
    """The rules of a connection's setting `contact_rules`, one per field."""
    allowed: dict[str, set[str]] = {}
    excluded: dict[str, set[str]] = {}
    for line in lines:
        field, allows, values = school.parts(line)
        (allowed if allows else excluded).setdefault(field, set()).update(map(plain_word, values))
    fields = sorted({*allowed, *excluded})
    return tuple(
        FieldRule(field, frozenset(allowed.get(field, ())), frozenset(excluded.get(field, ()))) for field in fields
    )


def contact_fields(connection: ConnectionSettings) -> tuple[str, ...]:
    """Every contact field that the connection's settings name: for contact rules, for the relationship, or to keep."""
    ruled = [rule.field for rule in rules_of(connection.contact_rules)]
    relationship = [connection.contact_relationship_from] if connection.contact_relationship_from else []
    return tuple(dict.fromkeys((*ruled, *relationship, *connection.contact_flags)))


def withheld_fields(
    connection: ConnectionSettings, delivered: Collection[str], known: Collection[str]
) -> frozenset[str]:
    """Fields of contact rules that say nothing now, because the SIS delivers them for no contact at all.

    delivered: metadata and agents fields that some contact has, with or without a value. known: those that some contact
    had in an earlier pull. A field that is written only for excluded contacts may be missing everywhere, until it was
    there once.
    """
    withheld = set()
    for rule in rules_of(connection.contact_rules):
        source = connection.contact_relationship_from if rule.field == RELATIONSHIP else rule.field
        if source is None or source == ROLE or source in delivered:
            continue
        if source in known or (rule.allowed and rule.field != RELATIONSHIP):
            withheld.add(rule.field)
    return frozenset(withheld)


def stored_key(field: str) -> str:
    """The key under which a normalised record keeps a field's value: `metadata:custody` is `custody`."""
    return field.removeprefix(METADATA)


def values_of(people: pd.DataFrame, field: str, today: date) -> Array:
    """The value of a field in each record, as text.

    For `role`, the roles that have not ended; otherwise the value of a metadata key.
    """
    if field == ROLE:
        now = today.isoformat()
        return pa.array([_roles(entries or (), now) for entries in lists(people["roles"]).to_pylist()], TEXT)
    key = stored_key(field)
    return pa.array(
        [_text(metadata.get(key)) if isinstance(metadata, Mapping) else None for metadata in people["metadata"]], TEXT
    )


@dataclass(frozen=True)
class Pairs:
    """Pairs of a student and a contact, by their rows; contact is -1 if it was not delivered. agent: the contact's id.

    place: of the contact among those of the student, in the SIS's list or, if they are ranked, from 0 for the primary.
    """

    student: Ints
    contact: Ints
    place: Ints
    agent: Array

    def __len__(self) -> int:
        return len(self.student)

    def at(self, rows: Ints) -> "Pairs":
        """The pairs in these rows, in this order."""
        return Pairs(self.student[rows], self.contact[rows], self.place[rows], self.agent.take(pa.array(rows)))


def values_of_pairs(pairs: Pairs, students: pd.DataFrame, people: pd.DataFrame, field: str) -> Array:
    """The value of an `agents:` field for each pair of `agents`: the student's entry first, else the contact's."""
    of_students, of_people = _entries(students, field), _entries(people, field)
    student_ids = strings(students["sourcedId"])
    texts = []
    for student, contact, agent in zip(
        pairs.student.tolist(), pairs.contact.tolist(), pairs.agent.to_pylist(), strict=True
    ):
        value = of_students.get(student, {}).get(agent)
        if value is None and contact in of_people:
            value = of_people[contact].get(str(student_ids[student]).strip())
        texts.append(_text(value))
    return pa.array(texts, TEXT)


def shown(values: Array) -> Array:
    """Values in the form in which a person writes them: a list has commas; an object or an empty cell is missing."""
    plain = pc.replace_substring(pc.utf8_ltrim(values, characters=_LIST), pattern=_LIST, replacement=", ")
    plain = pc.utf8_trim_whitespace(plain)
    return pc.if_else(pc.is_in(plain, value_set=pa.array((*_NULLS, _OBJECT), TEXT)), pa.scalar(None, TEXT), plain)


def _entries(people: pd.DataFrame, field: str) -> dict[int, Mapping[str, Any]]:
    values = ((row, kept.get(field)) for row, kept in enumerate(people["metadata"]) if isinstance(kept, Mapping))
    return {row: value for row, value in values if isinstance(value, Mapping) and value}


def _roles(entries: Iterable[Mapping[str, str | None]], now: str) -> str:
    running = (entry.get("role") or "" for entry in entries if (entry.get("endDate") or now) >= now)
    return "".join(_LIST + role for role in running)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "".join(_LIST + (_text(item) or "") for item in value) or None
    return str(value) if isinstance(value, int | float) else _OBJECT


def plain_word(value: str) -> str:
    """A value as rules compare it: without case and outer blanks; every word for yes is "true"."""
    plain = " ".join(value.split()).casefold()
    return _WORDS.get(plain, plain)
