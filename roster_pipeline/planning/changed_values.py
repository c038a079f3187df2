"""What the changes of one row mean for the guards: another key, a value that is lost, or only the next grade.

changes: field to its old and its new value, as in a plan.
"""

import json
from collections.abc import Mapping, Sequence

from roster_pipeline.identity.evidence import year_of
from roster_pipeline.identity.names import name_key
from roster_pipeline.planning.moved_keys import CONTACT_KEYS
from roster_pipeline.vocabulary import CONTACT_FIELDS, MORE_CONTACTS

_KEY_FIELDS = ("email", "number", "username")
_NAMES = ("given_name", "family_name")
_CONTACT = "contact_sourced_id"
_OF_CONTACT = (*CONTACT_KEYS, "contact_given_name", "contact_family_name")
_MIDDLE = "middle_name"
_LOST = ("phone", _MIDDLE, "grade")
"""Values that identify nobody. If many people lose one in a sync, a column of the export was probably lost."""


def is_promotion(changes: dict[str, list[object]]) -> bool:
    """Whether nothing changes but the grade, by one year up: when a school year begins, everybody has such a row."""
    old, new = (year_of(None if grade is None else str(grade)) for grade in changes.get("grade", (None, None)))
    return old is not None and new == old + 1 and changes.keys() <= {"grade", "source_grade"}


def changes_keys(changes: dict[str, list[object]]) -> bool:
    """Whether a row gives somebody another key or middle name, or removes a value or the right to log in. These do not
    count: a first contact, the first e-mail, phone or name of a contact, a number of another kind or place, and the
    grade of somebody who is no longer a student."""
    if any(name in changes and changes[name][0] != changes[name][1] for name in _KEY_FIELDS):
        return True
    if _changes_contact({name: changes[name] for name in _OF_CONTACT if name in changes}):
        return True
    if _changes_later_contacts(changes) or changes.get("enabled", (None, None))[1] is False:
        return True
    if any(name in changes and changes[name][1] is None for name in _LOST) and "role" not in changes:
        return True
    old, new = (name_key(name) for name in changes.get(_MIDDLE, (None, None)))
    if old and new and not old.startswith(new) and not new.startswith(old):
        return True
    return any(name in changes and _other_name(*changes[name]) for name in _NAMES)


def _changes_contact(changes: Mapping[str, Sequence[object]]) -> bool:
    """Whether a contact becomes another one, or what the SIS says about them changes or goes."""
    given = ((name, old, new) for name, (old, new) in changes.items() if old is not None)
    return any(old != new if name in CONTACT_KEYS else _other_name(old, new) for name, old, new in given)


def _changes_later_contacts(changes: dict[str, list[object]]) -> bool:
    """Whether another contact takes the place of a contact after the primary one, or one of these changes."""
    old, new = (
        {contact[0]: dict(zip(CONTACT_FIELDS, contact, strict=False)) for contact in json.loads(str(listed or "[]"))}
        for listed in changes.get(MORE_CONTACTS, (None, None))
    )
    before, after = changes.get(_CONTACT, (None, None))
    if old.keys() - new.keys() - {after} and new.keys() - old.keys() - {before}:
        return True
    both = ((old[one], new[one]) for one in old.keys() & new.keys())
    return any(_changes_contact({name: (was.get(name), now.get(name)) for name in _OF_CONTACT}) for was, now in both)


def _other_name(old: object, new: object) -> bool:
    """Whether two spellings are two names."""
    return name_key(str(old) if old else None) != name_key(str(new) if new else None)
