"""Values that the SIS gave but nobody can read: the directory keeps the stored value.

Such a value is unknown, not empty. So it does not differ from the stored value, unless the stored value belongs to
something else: a number of another kind or connection, or another contact.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, filled, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames
from roster_pipeline.identity.names import name_key
from roster_pipeline.planning.field_changes import BeforeAfter, Differences, stored_numbers, suppress
from roster_pipeline.vocabulary import (
    CONTACT_FIELDS,
    CONTACTS,
    MEMBERSHIP_FIELDS,
    MORE_CONTACTS,
    PERSON_FIELDS,
    STUDENT_CONTACTS,
    UNREADABLE,
)

Contact = list[str | None]
"""The values of a contact in the order of CONTACT_FIELDS. One that was not delivered has only its id."""
_NAMES = (
    *("given_name", "family_name", "middle_name", "preferred_given_name", "preferred_family_name"),
    *("contact_given_name", "contact_family_name", MORE_CONTACTS),
)
_ID, _GIVEN, _FAMILY = (CONTACT_FIELDS.index(f"contact_{name}") for name in ("sourced_id", "given_name", "family_name"))


def keep_unreadable(
    differences: Differences, roster: pd.DataFrame, directory: DirectoryFrames, sides: BeforeAfter
) -> None:
    """Treat unreadable values as equal to the stored ones. A contact gets its stored values."""
    _keep_names_without_letters(differences)
    column = strings(roster[UNREADABLE])
    if column.null_count == len(column):
        return
    for names, wanted in ((PERSON_FIELDS, sides.fields), (MEMBERSHIP_FIELDS, sides.lead)):
        for name, rows in _rows_by_field(taken(column, wanted)).items():
            if name in names:
                kept = np.zeros(len(sides), dtype=bool)
                kept[rows] = True
                if name == "number":
                    kept &= np.logical_and(*stored_numbers(roster, directory, sides))
                suppress(differences, kept, [name])
    of_contacts = _rows_by_field(taken(column, sides.lead))
    stays = np.isin(np.arange(len(sides)), of_contacts.get(CONTACTS, ()))
    stays &= filled(differences.have["contact_sourced_id"]) | filled(differences.have[MORE_CONTACTS])
    suppress(differences, stays, STUDENT_CONTACTS)
    unknown: dict[int, list[tuple[int, int]]] = {}
    for name, rows in of_contacts.items():
        field, _, place = name.partition(":")
        for row in rows if place else ():
            unknown.setdefault(row, []).append((int(place) - 1, CONTACT_FIELDS.index(field)))
    _keep_values_of_contacts(differences, unknown, directory, sides.member)


def _keep_names_without_letters(differences: Differences) -> None:
    """A name that is the stored one without its letters outside ASCII, or with question marks for them, lost them."""
    for name in _NAMES:
        rows: Flags = differences.differ[name] & truth(pc.invert(pc.string_is_ascii(differences.have[name])))
        if not rows.any():
            continue
        have, want = differences.have[name].filter(pa.array(rows)), differences.want[name].filter(pa.array(rows))
        left = pc.replace_substring_regex(have, pattern=r"[^\x00-\x7F]", replacement="")
        rows[rows] = truth(pc.equal(left, pc.fill_null(pc.replace_substring(want, "?", ""), "")))
        suppress(differences, rows, [name])


def _rows_by_field(column: Array) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    places = np.flatnonzero(filled(column))
    for place, names in zip(places.tolist(), column.take(pa.array(places)).to_pylist(), strict=True):
        for name in names.split():
            rows.setdefault(name, []).append(place)
    return rows


def _keep_values_of_contacts(
    differences: Differences, unknown: Mapping[int, list[tuple[int, int]]], directory: DirectoryFrames, member: Ints
) -> None:
    """unknown: row to the contacts and fields that cannot be read."""
    wanted = {row: _contacts_at(differences.want, row) for row in unknown}
    stored = {row: _contacts_at(differences.have, row) for row in unknown}
    active = np.append(directory.active, False)[member]
    ids = {row: {wanted[row][place][_ID] for place, _ in fields} for row, fields in unknown.items()}
    missing = {row: ids[row] - ({each[_ID] for each in stored[row]} if active[row] else set()) for row in unknown}
    of_others = _of_active(directory, set().union(*missing.values()))
    changed = []
    for row, fields in unknown.items():
        known = {each[_ID]: each for each in stored[row]} | {
            one: of_others[one] for one in missing[row] & set(of_others)
        }
        before = json.dumps(wanted[row])
        for place, field in fields:
            contact = wanted[row][place]
            theirs = known.get(contact[_ID])
            if theirs is not None and _same_name(contact, theirs):
                contact[field] = theirs[field]
        if json.dumps(wanted[row]) != before:
            changed.append(row)
    if changed:
        _put(differences, sorted(changed), wanted)


def _contacts_at(columns: Mapping[str, Array], row: int) -> list[Contact]:
    """The contacts of a row, in order: the primary one, even if there is none, and those after it."""
    more = columns[MORE_CONTACTS][row].as_py()
    return [[columns[name][row].as_py() for name in CONTACT_FIELDS], *(json.loads(more) if more else ())]


def _of_active(directory: DirectoryFrames, wanted: set[str | None]) -> dict[str | None, Contact]:
    """The contacts with these ids as an active member has them. Brothers and sisters have the same values."""
    if not wanted:
        return {}
    members = directory.members[directory.active]
    columns = {name: strings(members[name]) for name in STUDENT_CONTACTS}
    ids = pa.array(sorted(filter(None, wanted)), TEXT)
    near = truth(pc.is_in(columns["contact_sourced_id"], value_set=ids)) | filled(columns[MORE_CONTACTS])
    found: dict[str | None, Contact] = {}
    for row in np.flatnonzero(near).tolist():
        for contact in _contacts_at(columns, row):
            if contact[_ID] in wanted:
                found.setdefault(contact[_ID], contact)
    return found


def _same_name(one: Contact, other: Contact) -> bool:
    """Whether two contacts with one id differ in no name. An id may go to somebody else."""
    pairs = ((name_key(one[at]), name_key(other[at])) for at in (_GIVEN, _FAMILY))
    return all(not mine or not theirs or mine == theirs for mine, theirs in pairs)


def _put(differences: Differences, rows: list[int], contacts: Mapping[int, list[Contact]]) -> None:
    """Write these contacts as the wanted ones of their rows, and compare them again."""
    mask = np.zeros(len(differences.want[MORE_CONTACTS]), dtype=bool)
    mask[rows] = True
    more = [json.dumps(contacts[row][1:], ensure_ascii=False) if contacts[row][1:] else None for row in rows]
    values: dict[str, Iterable[Any]] = {
        name: [contacts[row][0][at] for row in rows] for at, name in enumerate(CONTACT_FIELDS)
    }
    for name, wanted in (values | {MORE_CONTACTS: more}).items():
        new = pa.array(wanted, TEXT)
        differences.want[name] = pc.replace_with_mask(differences.want[name], pa.array(mask), new)
        have = differences.have[name].take(pa.array(rows)).to_pylist()
        differences.differ[name][rows] = [one != other for one, other in zip(wanted, have, strict=True)]
