"""The fields of each record, and which of them were given and cannot be read.

A value that cannot be read is unknown, which does not mean that it is empty. So the roster names these fields.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.emails_and_phones import clean_emails, clean_phones
from roster_pipeline.cleaning.field_values import clean_grades, clean_names, hidden, numbers_from, without_null_words
from roster_pipeline.cleaning.roles import Entries
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, filled, lists, strings, truth
from roster_pipeline.identity.match_keys import bare_numbers, numbered, of_many
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.vocabulary import CONTACT, ROLE_RANK, Role

_NAMES = {
    "given_name": "givenName", "family_name": "familyName", "middle_name": "middleName",
    "preferred_given_name": "preferredFirstName", "preferred_family_name": "preferredLastName",
}  # fmt: skip
_PREFERRED = ("preferred_given_name", "preferred_family_name")
_FIELD_OF = {source: name for name, source in _NAMES.items()} | {
    "email": "email", "phone": "phone", "sms": "phone", "username": "username", "grades": "grade",
}  # fmt: skip
"""The field of the directory that a member of a record fills."""


_MAY_BE_HIDDEN = {**_NAMES, "username": "username", "master_identifier": "userMasterIdentifier"}
"""Numbers, e-mails, phones and grades have rules of their own."""


@dataclass(frozen=True)
class RecordFields:
    """values: every text field. noted: (field, rule) to the records whose value was dropped by a rule of cleaning.

    unreadable: field to the records that have an unknown value there.
    """

    values: dict[str, Array]
    noted: dict[tuple[str, str], Flags]
    unreadable: dict[str, Flags]


def record_fields(
    users: pd.DataFrame, entries: Entries, settings: SchoolSettings, connection: ConnectionSettings
) -> RecordFields:
    """Read every text field of the records. A parent's record has no fields."""
    student = entries.group == ROLE_RANK[Role.STUDENT]
    values = {name: clean_names(strings(users[source])) for name, source in _NAMES.items()}
    values["username"] = without_null_words(strings(users["username"]))
    values["master_identifier"] = without_null_words(strings(users["userMasterIdentifier"]))
    masked = {name: hidden(strings(users[source])) for name, source in _MAY_BE_HIDDEN.items()}
    for name, where in masked.items():
        values[name] = pc.if_else(pa.array(where), None, values[name]) if where.any() else values[name]
    values["email"], bad_email = clean_emails(strings(users["email"]))
    values["phone"], bad_phone = phones_of(users, settings.phone_region)
    values["number"], bad_number = _numbers(users, student, connection)
    grade, source_grade, bad_grade = clean_grades(lists(users["grades"]))
    values["grade"] = pc.if_else(pa.array(student), grade, None)
    values["source_grade"] = pc.if_else(pa.array(student), source_grade, None)
    bad_grade &= student
    noted = {
        ("email", "invalid_email"): bad_email,
        ("phone", "invalid_phone"): bad_phone,
        ("number", "invalid_number"): bad_number,
        ("grades", "unknown_grade"): bad_grade,
        **{(source, "hidden_value"): masked[name] for name, source in _MAY_BE_HIDDEN.items()},
    }
    unreadable = {name: np.zeros(len(users), dtype=bool) for name in dict.fromkeys(_FIELD_OF.values())}
    unreadable |= {"email": bad_email, "phone": bad_phone, "number": bad_number, "grade": bad_grade}
    unreadable |= {name: where for name, where in masked.items() if name in unreadable}
    for member, rows in not_texts(users):
        if member in _FIELD_OF:
            unreadable[_FIELD_OF[member]][rows] = True
        for setting, theirs in ((connection.student_number_from, student), (connection.staff_number_from, ~student)):
            if member == setting.partition(":")[0]:
                unreadable["number"][rows[theirs[rows]]] = True
    if not settings.preferred_names:
        values |= {name: blanks(len(users)) for name in _PREFERRED}
        unreadable = {name: where for name, where in unreadable.items() if name not in _PREFERRED}
    return _of_people(RecordFields(values, noted, unreadable), entries)


def without_placeholders(fields: RecordFields, kinds: Array, alive: Flags) -> RecordFields:
    """The fields without placeholders: numbers and master identifiers that people of many names share.

    kinds: of the numbers. alive: the records that are not gone.
    """
    values, where = dict(fields.values), np.zeros(len(alive), dtype=bool)
    for name in ("master_identifier", "number"):
        spelled = bare_numbers(values[name])
        spelled = spelled if name == "master_identifier" else numbered(kinds, spelled)
        many = of_many(pc.if_else(pa.array(alive), spelled, None), values["given_name"], values["family_name"])
        where = truth(pc.is_in(spelled, value_set=many))
        values[name] = pc.if_else(pa.array(where), None, values[name]) if len(many) else values[name]
    if not where.any():
        return RecordFields(values, fields.noted, fields.unreadable)
    noted = fields.noted | {("number", "number_of_many"): where}
    return RecordFields(values, noted, {**fields.unreadable, "number": fields.unreadable.get("number", False) | where})


def not_texts(people: Mapping[str, Array] | pd.DataFrame) -> Iterator[tuple[str, Ints]]:
    """The members that are not texts, each with the rows of the records where this is so."""
    members = lists(people["unreadable"])
    flat, rows = pc.list_flatten(members), pc.list_parent_indices(members)
    for member in pc.unique(flat).to_pylist():
        yield member, rows.filter(pc.equal(flat, member)).to_numpy().astype(np.int64)


def phones_of(people: Mapping[str, Array] | pd.DataFrame, region: str) -> tuple[Array, Flags]:
    """The phone of each record, and flags for records with phone numbers of which none can be dialled. `phone` comes
    before `sms`."""
    phone, bad_phone = clean_phones(strings(people["phone"]), region)
    mobile, bad_mobile = clean_phones(strings(people["sms"]), region)
    chosen = pc.coalesce(phone, mobile)
    return chosen, (bad_phone | bad_mobile) & ~filled(chosen)


def unreadable_column(length: int, rows: Mapping[str, Ints]) -> Array:
    """The names of the unreadable fields of each record, separated by blanks; missing if there are none.

    rows: field to the rows of the records.
    """
    names: dict[int, list[str]] = {}
    for name, places in rows.items():
        for place in places.tolist():
            names.setdefault(place, []).append(name)
    if not names:
        return blanks(length)
    mask = np.zeros(length, dtype=bool)
    mask[list(names)] = True
    texts = pa.array([" ".join(names[place]) for place in sorted(names)], TEXT)
    return pc.replace_with_mask(blanks(length), pa.array(mask), texts)


def _numbers(users: pd.DataFrame, student: Flags, connection: ConnectionSettings) -> tuple[Array, Flags]:
    of_students, bad = numbers_from(users, connection.student_number_from)
    if connection.staff_number_from == connection.student_number_from:
        return of_students, bad
    of_staff, bad_staff = numbers_from(users, connection.staff_number_from)
    return pc.if_else(pa.array(student), of_students, of_staff), np.where(student, bad, bad_staff)


def _of_people(fields: RecordFields, entries: Entries) -> RecordFields:
    """The fields without those of parents (only id, status and role stay), and without numbers of people whose role is
    not mapped. A field with a value is not unreadable."""
    values = fields.values
    people, numbered = entries.group != ROLE_RANK[CONTACT], entries.group < ROLE_RANK[CONTACT]
    if not numbered.all():
        values = values | {"number": pc.if_else(pa.array(numbered), values["number"], None)}
        values = {name: pc.if_else(pa.array(people), array, None) for name, array in values.items()}
    unreadable = {
        name: where & ~filled(values[name]) & numbered for name, where in fields.unreadable.items() if where.any()
    }
    return RecordFields(values, fields.noted, unreadable)
