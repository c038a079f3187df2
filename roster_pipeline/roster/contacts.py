"""One primary contact per student, where the school wants them.

The standard links students and contacts by `agents`, in either direction, without order, kind or mark. So the primary
contact is chosen in this order: the mark of a vendor, where the connection names the metadata field that holds it;
then the role: parent, guardian, relative, other; then the place in the student's own list; then the sourcedId.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.fields import CONTACT_FIELDS
from roster_pipeline.roster.duplicates import one_per_sourced_id
from roster_pipeline.roster.emails import clean_emails
from roster_pipeline.roster.frames import (
    TEXT,
    Array,
    Flags,
    Ints,
    blanks,
    codes,
    filled,
    lists,
    positions,
    strings,
    truth,
)
from roster_pipeline.roster.names import clean_names
from roster_pipeline.roster.numbers import metadata_text
from roster_pipeline.roster.phones import clean_phones
from roster_pipeline.roster.rejections import Rejections
from roster_pipeline.settings import CONTACT, SchoolSettings

MANY_CONTACTS = 5
"""More contacts for one student are flagged: a household has fewer."""
MANY_STUDENTS = 10
"""One contact of more students than this is flagged: more likely an office or a placeholder than a parent."""

_KINDS = ("parent", "guardian", "relative")
_NO_MARK = 1_000_000
_YES = ("true", "yes", "y", "primary")
GONE = ("tobedeleted", "inactive")


@dataclass(frozen=True)
class Chosen:
    """The primary contacts. fields: CONTACT_FIELDS, an array each, one value per student row given.

    A student whose contacts were all withheld has `contact_sourced_id` alone: not known, which is not the same as none.
    """

    fields: dict[str, Array]
    flags: dict[str, int]
    rejected: pd.DataFrame


def no_contacts(length: int) -> dict[str, Array]:
    """Contact fields without a contact."""
    return {name: blanks(length) for name in CONTACT_FIELDS}


def choose_contacts(
    students: pd.DataFrame, others: pd.DataFrame, settings: SchoolSettings, mark: str | None, today: date
) -> Chosen:
    """The primary contact of each student.

    students, others: normalised user records, `students` once per sourcedId; contacts may be in either.
    mark: the metadata field in which the vendor marks the primary contact, on the contact (yes, or a rank from 1) or
    on the student (the contact's sourcedId).
    """
    notes = Rejections("contacts")
    people = one_per_sourced_id(_clipped(others), Rejections("contacts"))
    usable, kinds = _contacts(people, settings, today, notes)
    ids = strings(people["sourcedId"])
    student_ids = strings(students["sourcedId"])
    pairs = _pairs(students, people, student_ids, ids)
    known = pairs[np.append(usable, False)[pairs["contact"].to_numpy(dtype=np.int64)]]
    ranked = known.assign(
        mark=_marks(known, students, people, ids, mark), kind=kinds[known["contact"].to_numpy()]
    ).sort_values(["student", "mark", "kind", "place", "contact"])
    best = ranked.drop_duplicates("student")
    fields = _fields(people, best, len(students), settings, notes)
    lost = pairs[(pairs["contact"] < 0) & ~pairs["student"].isin(best["student"])].drop_duplicates("student")
    fields["contact_sourced_id"] = _put(fields["contact_sourced_id"], lost["student"], strings(lost["agent"]))

    per_student = np.bincount(ranked["student"], minlength=len(students))
    per_contact = np.bincount(ranked["contact"], minlength=len(people))
    unresolved = np.zeros(len(students), dtype=bool)
    unresolved[pairs.loc[pairs["contact"] < 0, "student"].to_numpy(dtype=np.int64)] = True
    notes.note(unresolved, student_ids, "agents", "unresolved_agent", "warning")
    notes.note(per_student > MANY_CONTACTS, student_ids, "agents", "many_contacts", "warning")
    notes.note(per_contact > MANY_STUDENTS, ids, "agents", "many_students", "warning")
    flags = {
        "students": len(students),
        "without_contact": int((per_student == 0).sum()),
        "unresolved_agents": int((pairs["contact"] < 0).sum()),
        "students_with_many_contacts": int((per_student > MANY_CONTACTS).sum()),
        "contacts_of_many_students": int((per_contact > MANY_STUDENTS).sum()),
    }
    return Chosen(fields, flags, notes.frame())


def _clipped(people: pd.DataFrame) -> pd.DataFrame:
    """Ids compare without outer blanks; some servers add them in users and not in agents, or the other way round."""
    trimmed = pc.utf8_trim_whitespace(strings(people["sourcedId"]))
    return people.assign(sourcedId=pd.Series(trimmed, dtype="str", index=people.index))


def _contacts(people: pd.DataFrame, settings: SchoolSettings, today: date, notes: Rejections) -> tuple[Flags, Ints]:
    """Who may be a contact: not gone, with a name, and in a contact's role today; and which kind, best first."""
    named = filled(clean_names(strings(people["givenName"]))) | filled(clean_names(strings(people["familyName"])))
    gone = truth(pc.is_in(pc.utf8_lower(strings(people["status"])), value_set=pa.array(GONE, TEXT)))
    kinds = np.full(len(people), -1, dtype=np.int64)
    roles = lists(people["roles"])
    flat, now = pc.list_flatten(roles), today.isoformat()
    source = pc.utf8_lower(pc.utf8_trim_whitespace(pc.struct_field(flat, "role")))
    runs = ~truth(pc.less(pc.struct_field(flat, "endDate"), now)) & ~truth(
        pc.greater(pc.struct_field(flat, "beginDate"), now)
    )
    names = [name for name, group in settings.roles_by_source.items() if group == CONTACT]
    fits = truth(pc.is_in(source, value_set=pa.array(names, TEXT))) & runs
    kind = pc.fill_null(pc.index_in(source, value_set=pa.array(_KINDS, TEXT)), len(_KINDS)).to_numpy()
    owners = pc.list_parent_indices(roles).to_numpy()
    for place in range(len(_KINDS), -1, -1):
        kinds[owners[fits & (kind == place)]] = place
    is_contact = (kinds >= 0) & ~gone
    notes.note(is_contact & ~named, strings(people["sourcedId"]), "familyName", "missing_name", "error")
    return is_contact & named, kinds


def _pairs(students: pd.DataFrame, people: pd.DataFrame, student_ids: Array, ids: Array) -> pd.DataFrame:
    """Every (student, contact) named by either side: rows, the agent's id, and the place in the student's list.

    contact is -1 where the agent was not delivered.
    """
    trimmed = pc.utf8_trim_whitespace(student_ids)
    owner, agent, place = _agents(students)
    forward = pd.DataFrame({"student": owner, "contact": positions(agent, ids), "place": place, "agent": agent})
    owner, agent, place = _agents(people)
    back = positions(agent, trimmed)
    backward = pd.DataFrame(
        {"student": back, "contact": owner, "place": len(place) + 1, "agent": ids.take(pa.array(owner))}
    )
    pairs = pd.concat([forward, backward[back >= 0]], ignore_index=True)
    return pairs.drop_duplicates(["student", "agent"], ignore_index=True)


def _agents(people: pd.DataFrame) -> tuple[Ints, Array, Ints]:
    agents = lists(people["agents"])
    owner: Ints = pc.list_parent_indices(agents).to_numpy(zero_copy_only=False).astype(np.int64)
    return owner, pc.utf8_trim_whitespace(pc.list_flatten(agents)).cast(TEXT), np.arange(len(owner))


def _marks(known: pd.DataFrame, students: pd.DataFrame, people: pd.DataFrame, ids: Array, mark: str | None) -> Ints:
    """The rank a vendor gives each pair: 0 named by the student, n ranked n on the contact, else no mark."""
    ranks: Ints = np.full(len(known), _NO_MARK, dtype=np.int64)
    if not mark or not len(known):
        return ranks
    key = mark.removeprefix("metadata:")
    of_contact = np.array([_rank(text) for text in metadata_text(people["metadata"], key).to_pylist()], dtype=np.int64)
    ranks = of_contact[known["contact"].to_numpy()]
    named = pc.utf8_trim_whitespace(metadata_text(students["metadata"], key)).take(pa.array(known["student"]))
    ranks[truth(pc.equal(named, ids.take(pa.array(known["contact"]))))] = 0
    return ranks


def _rank(text: str | None) -> int:
    word = (text or "").strip().lower()
    if word in _YES:
        return 1
    return int(word) if word.isdecimal() and 0 < int(word) < _NO_MARK else _NO_MARK


def _fields(
    people: pd.DataFrame, best: pd.DataFrame, count: int, settings: SchoolSettings, notes: Rejections
) -> dict[str, Array]:
    rows = best["contact"].to_numpy(dtype=np.int64)
    some = people.take(rows)
    ids = strings(some["sourcedId"])
    email, bad_email = clean_emails(strings(some["email"]))
    phone, bad_phone = clean_phones(strings(some["phone"]), settings.phone_region)
    mobile, bad_mobile = clean_phones(strings(some["sms"]), settings.phone_region)
    phone = pc.coalesce(phone, mobile)
    first = ~pd.Series(codes(ids)[0]).duplicated().to_numpy()
    notes.note(bad_email & first, ids, "email", "invalid_email", "warning")
    notes.note((bad_phone | bad_mobile) & ~filled(phone) & first, ids, "phone", "invalid_phone", "warning")
    values = {
        "contact_sourced_id": ids,
        "contact_given_name": clean_names(strings(some["givenName"])),
        "contact_family_name": clean_names(strings(some["familyName"])),
        "contact_relationship": _relationships(some, best["kind"].to_numpy(), settings),
        "contact_email": email,
        "contact_phone": phone,
    }
    return {name: _put(blanks(count), best["student"], values[name]) for name in CONTACT_FIELDS}


def _relationships(some: pd.DataFrame, kinds: Ints, settings: SchoolSettings) -> Array:
    """The role's name as the SIS spells it; the standard has no other word for the relationship."""
    by_source: Mapping[str, str] = settings.roles_by_source
    told: list[str | None] = []
    for kind, entries in zip(kinds.tolist(), lists(some["roles"]).to_pylist(), strict=True):
        own = [(entry.get("role") or "").strip().lower() for entry in entries or []]
        others = (role for role in own if by_source.get(role) == CONTACT)
        told.append(_KINDS[kind] if kind < len(_KINDS) else next(others, None))
    return pa.array(told, TEXT)


def _put(array: Array, rows: pd.Series[Any], values: Array) -> Array:
    """The array with `values` at `rows`."""
    if not len(rows):
        return array
    mask = np.zeros(len(array), dtype=bool)
    order = np.argsort(rows.to_numpy(dtype=np.int64))
    mask[rows.to_numpy(dtype=np.int64)] = True
    return pc.replace_with_mask(array, pa.array(mask), values.take(pa.array(order)))
