"""Finds the contacts of each student, if the school wants them: the primary contact and, if it wants more, the next
ones in order.

The standard links students and contacts by `agents`, in either direction, without order, kind or mark. So contacts are
ordered by the mark of a vendor, if the connection names the metadata field that has it; then by role: parent, guardian,
relative, other; then by the place in the student's own list; then by sourcedId. Contacts that the connection's contact
rules exclude are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_columns import contact_fields, keep_lost
from roster_pipeline.cleaning.contact_exclusions import (
    KINDS,
    excluded_contacts,
    judged,
    pairs_of,
    relationships_of,
    relationships_of_pairs,
)
from roster_pipeline.cleaning.contact_rules import ALLOWED, WITHHELD, ContactContext
from roster_pipeline.cleaning.field_values import clean_names, metadata_text
from roster_pipeline.cleaning.record_fields import not_texts
from roster_pipeline.cleaning.rejections import SOURCED_ID_OF_TWO, Rejections, one_per_sourced_id
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, filled, lists, strings, truth
from roster_pipeline.vocabulary import CONTACTS, STUDENT_CONTACTS

MANY_CONTACTS = 5
"""If a student has more contacts than this, it is noted: a household has fewer."""

MANY_STUDENTS = 10
"""If a contact has more students than this, it is noted: it is probably an office or a placeholder, not a parent."""

_NO_MARK = 1_000_000

_YES = ("true", "yes", "y", "primary")

GONE = ("tobedeleted", "inactive")


@dataclass(frozen=True)
class Chosen:
    """The contacts. fields: STUDENT_CONTACTS, an array each, one value per student row given. unreadable: the rows with
    an unknown value, by its name in `UNREADABLE`.

    A student whose contacts were all withheld has only `contact_sourced_id`: the contact is unknown, which does not
    mean that there is none. excluded: EXCLUDED_COLUMNS, the contacts that nobody may call; student_id: for which
    student only, or None.
    """

    fields: dict[str, Array]
    unreadable: dict[str, Ints]
    flags: dict[str, int]
    rejected: pd.DataFrame
    excluded: pd.DataFrame


def no_contacts(length: int) -> dict[str, Array]:
    """Empty contact fields."""
    return {name: blanks(length) for name in STUDENT_CONTACTS}


def choose_contacts(students: pd.DataFrame, others: pd.DataFrame, context: ContactContext, ids_of_two: Array) -> Chosen:
    """The contacts of each student.

    students: sourcedId, agents, metadata and unreadable of each student, once per sourcedId. others: normalised user
    records, with students or without. ids_of_two: ids that two people of the school have (`sourced_id_of_two`).
    The metadata field of the connection's `primary_contact_from` marks the primary contact: on the contact (yes, or a
    rank from 1) or on the student (the contact's sourcedId).
    """
    notes, versions = Rejections("contacts"), Rejections("contacts")
    people = one_per_sourced_id(clipped(others), versions)
    usable, nameless, kinds = usable_contacts(people, context, notes)
    ids = strings(people["sourcedId"])
    ids_of_two = pa.concat_arrays([ids_of_two, versions.ids(SOURCED_ID_OF_TWO)])
    of_two = usable & truth(pc.is_in(ids, value_set=ids_of_two))
    notes.note(of_two, ids, "sourcedId", SOURCED_ID_OF_TWO, "error")
    usable &= ~of_two
    student_ids = strings(students["sourcedId"])
    pairs = pairs_of(students, people)
    relationships = relationships_of(people, kinds, context)
    by_contact, by_pair = judged(pairs, students, people, relationships, context)
    there = pairs["contact"].to_numpy(dtype=np.int64)
    fits = (there >= 0) & np.append(usable, False)[there]
    verdicts = np.maximum(np.append(by_contact, ALLOWED)[there], by_pair)
    allowed = pairs[fits & (verdicts == ALLOWED)]
    ranked = allowed.assign(
        mark=_marks(allowed, students, people, ids, context.connection.primary_contact_from),
        kind=kinds[allowed["contact"].to_numpy()],
    ).sort_values(["student", "mark", "kind", "place", "contact"])
    ranked["rank"] = ranked.groupby("student").cumcount()
    unused = np.append(nameless | of_two, False)[there]
    lost = pairs[(there < 0) | unused | (fits & (verdicts == WITHHELD))]
    kept = ranked[ranked["rank"] < context.settings.contacts_most]
    of_pairs = relationships_of_pairs(kept, students, people, relationships, context)
    kept = kept.assign(relationship=column_of(of_pairs))
    fields, unreadable = contact_fields(students, people, kept, context, notes)
    keep_lost(fields, lost, ranked)
    unreadable[CONTACTS] = dict(not_texts(students)).get("agents", np.empty(0, dtype=np.int64))

    per_student = np.bincount(ranked["student"], minlength=len(students))
    per_contact = np.bincount(ranked["contact"], minlength=len(people))
    unresolved = np.zeros(len(students), dtype=bool)
    unresolved[pairs.loc[there < 0, "student"].to_numpy(dtype=np.int64)] = True
    notes.note(unresolved, student_ids, "agents", "unresolved_agent", "warning")
    notes.note(per_student > MANY_CONTACTS, student_ids, "agents", "many_contacts", "warning")
    notes.note(per_contact > MANY_STUDENTS, ids, "agents", "many_students", "warning")
    excluded, unknown = excluded_contacts(people, relationships, context)
    notes.note(unknown, ids, "metadata", "unknown_contact_value", "warning")
    flags = {
        "students": len(students),
        "without_contact": int((per_student == 0).sum()),
        "unresolved_agents": int((there < 0).sum()),
        "students_with_many_contacts": int((per_student > MANY_CONTACTS).sum()),
        "contacts_of_many_students": int((per_contact > MANY_STUDENTS).sum()),
    }
    if context.connection.contact_rules:
        flags |= {
            "excluded": int(excluded["sourced_id"].nunique()),
            "unknown_values": int(unknown.sum()),
            "fields_withheld": len(context.withheld),
        }
    return Chosen(fields, unreadable, flags, notes.frame(), excluded)


def clipped(people: pd.DataFrame) -> pd.DataFrame:
    """Ids without outer blanks: some servers add them in users and not in agents, or the other way round."""
    trimmed = pc.utf8_trim_whitespace(strings(people["sourcedId"]))
    return people.assign(sourcedId=pd.Series(trimmed, dtype="str", index=people.index))


def usable_contacts(people: pd.DataFrame, context: ContactContext, notes: Rejections) -> tuple[Flags, Flags, Ints]:
    """The people who may be a contact: they are not gone, have a name, and have a contact's role today.

    Also those who only lack a name, and the kind of each, best first.
    """
    named = filled(clean_names(strings(people["givenName"]))) | filled(clean_names(strings(people["familyName"])))
    gone = truth(pc.is_in(pc.utf8_lower(strings(people["status"])), value_set=pa.array(GONE, TEXT)))
    kinds = np.full(len(people), -1, dtype=np.int64)
    roles = lists(people["roles"])
    flat, now = pc.list_flatten(roles), context.today.isoformat()
    source = pc.utf8_lower(pc.utf8_trim_whitespace(pc.struct_field(flat, "role")))
    runs = ~truth(pc.less(pc.struct_field(flat, "endDate"), now)) & ~truth(
        pc.greater(pc.struct_field(flat, "beginDate"), now)
    )
    fits = truth(pc.is_in(source, value_set=pa.array(context.settings.contact_roles, TEXT))) & runs
    kind = pc.fill_null(pc.index_in(source, value_set=pa.array(KINDS, TEXT)), len(KINDS)).to_numpy()
    owners = pc.list_parent_indices(roles).to_numpy()
    for place in range(len(KINDS), -1, -1):
        kinds[owners[fits & (kind == place)]] = place
    is_contact = (kinds >= 0) & ~gone
    notes.note(is_contact & ~named, strings(people["sourcedId"]), "familyName", "missing_name", "error")
    return is_contact & named, is_contact & ~named, kinds


def _marks(pairs: pd.DataFrame, students: pd.DataFrame, people: pd.DataFrame, ids: Array, mark: str | None) -> Ints:
    """The rank that a vendor gives each pair: 0 named by the student, n ranked n on the contact, else no mark."""
    ranks: Ints = np.full(len(pairs), _NO_MARK, dtype=np.int64)
    if not mark or not len(pairs):
        return ranks
    key = mark.removeprefix("metadata:")
    of_contact = np.array([_rank(text) for text in metadata_text(people["metadata"], key).to_pylist()], dtype=np.int64)
    ranks = of_contact[pairs["contact"].to_numpy()]
    named = pc.utf8_trim_whitespace(metadata_text(students["metadata"], key)).take(pa.array(pairs["student"]))
    ranks[truth(pc.equal(named, ids.take(pa.array(pairs["contact"]))))] = 0
    return ranks


def _rank(text: str | None) -> int:
    word = (text or "").strip().lower()
    if word in _YES:
        return 1
    return int(word) if word.isdecimal() and 0 < int(word) < _NO_MARK else _NO_MARK
