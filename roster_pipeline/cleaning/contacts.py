"""The contacts of each student, where the school wants them: the primary one, and more in order where it wants more.

The standard links students and contacts by `agents`, in either direction, without order, kind or mark. So contacts are
ordered: by the mark of a vendor, where the connection names the metadata field that holds it; then by the role: parent,
guardian, relative, other; then by the place in the student's own list; then by the sourcedId. Whom the connection's
contact rules exclude is none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.agents import pairs_of
from roster_pipeline.cleaning.contact_fields import (
    KINDS,
    contact_fields,
    keep_lost,
    relationships_of,
    relationships_of_pairs,
)
from roster_pipeline.cleaning.contact_rules import ALLOWED, WITHHELD, ContactContext
from roster_pipeline.cleaning.duplicates import one_per_sourced_id
from roster_pipeline.cleaning.excluded_contacts import excluded_contacts, judged
from roster_pipeline.cleaning.identifiers import metadata_text
from roster_pipeline.cleaning.names import clean_names
from roster_pipeline.cleaning.rejections import Rejections
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, filled, lists, strings, truth
from roster_pipeline.vocabulary import STUDENT_CONTACTS

MANY_CONTACTS = 5
"""More contacts for one student are flagged: a household has fewer."""
MANY_STUDENTS = 10
"""One contact of more students than this is flagged: more likely an office or a placeholder than a parent."""

_NO_MARK = 1_000_000
_YES = ("true", "yes", "y", "primary")
GONE = ("tobedeleted", "inactive")


@dataclass(frozen=True)
class Chosen:
    """The contacts. fields: STUDENT_CONTACTS, an array each, one value per student row given.

    A student whose contacts were all withheld has `contact_sourced_id` alone: not known, which is not the same as none.
    excluded: EXCLUDED_COLUMNS, the contacts that nobody may call; student_id: for which student alone, or None.
    """

    fields: dict[str, Array]
    flags: dict[str, int]
    rejected: pd.DataFrame
    excluded: pd.DataFrame


def no_contacts(length: int) -> dict[str, Array]:
    """Contact fields without a contact."""
    return {name: blanks(length) for name in STUDENT_CONTACTS}


def choose_contacts(students: pd.DataFrame, others: pd.DataFrame, context: ContactContext) -> Chosen:
    """The contacts of each student.

    students, others: normalised user records, `students` once per sourcedId; contacts may be in either.
    The metadata field of the connection's `primary_contact_from` marks the primary contact: on the contact (yes, or a
    rank from 1) or on the student (the contact's sourcedId).
    """
    notes = Rejections("contacts")
    people = one_per_sourced_id(clipped(others), Rejections("contacts"))
    usable, kinds = usable_contacts(people, context, notes)
    ids = strings(people["sourcedId"])
    student_ids = strings(students["sourcedId"])
    pairs = pairs_of(students, people)
    relationships = relationships_of(people, kinds, context)
    by_contact, by_pair = judged(pairs, students, people, relationships, context)
    there = pairs["contact"].to_numpy(dtype=np.int64)
    fits = (there >= 0) & np.append(usable, False)[there]
    said = np.maximum(np.append(by_contact, ALLOWED)[there], by_pair)
    known = pairs[fits & (said == ALLOWED)]
    ranked = known.assign(
        mark=_marks(known, students, people, ids, context.connection.primary_contact_from),
        kind=kinds[known["contact"].to_numpy()],
    ).sort_values(["student", "mark", "kind", "place", "contact"])
    ranked["rank"] = ranked.groupby("student").cumcount()
    lost = pairs[(there < 0) | (fits & (said == WITHHELD))]
    kept = ranked[ranked["rank"] < context.settings.contacts_most]
    of_pairs = relationships_of_pairs(kept, students, people, relationships, context)
    fields = contact_fields(students, people, kept.assign(relationship=column_of(of_pairs).array), context, notes)
    keep_lost(fields, lost, ranked, context.settings.contacts_most)

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
    return Chosen(fields, flags, notes.frame(), excluded)


def clipped(people: pd.DataFrame) -> pd.DataFrame:
    """Ids compare without outer blanks; some servers add them in users and not in agents, or the other way round."""
    trimmed = pc.utf8_trim_whitespace(strings(people["sourcedId"]))
    return people.assign(sourcedId=pd.Series(trimmed, dtype="str", index=people.index))


def usable_contacts(people: pd.DataFrame, context: ContactContext, notes: Rejections) -> tuple[Flags, Ints]:
    """Who may be a contact: not gone, with a name, and in a contact's role today; and which kind, best first."""
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
    return is_contact & named, kinds


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
