"""Finds each student's contacts, if the school wants them: the primary contact, and the next ones in order if it wants
more. Writes them as columns of the roster, with the values that cannot be read.

The standard links students and contacts by `agents`, in either direction, without order, kind or mark. So contacts are
ordered by the vendor's mark (if the connection says where it is), then role (parent, guardian, relative, other), then
place in the directory, because some SISs list them in another order each night, then place in the student's list, then
sourcedId. Contacts that the connection's contact rules exclude are left out.
"""

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_exclusions import Links, excluded_contacts, relationships_of, usable_contacts
from roster_pipeline.cleaning.contact_rules import ALLOWED, WITHHELD, ContactContext, Pairs, shown
from roster_pipeline.cleaning.emails_and_phones import clean_emails
from roster_pipeline.cleaning.field_values import clean_names, hidden, metadata_text
from roster_pipeline.cleaning.record_fields import not_texts, phones_of
from roster_pipeline.cleaning.rejections import SOURCED_ID_OF_TWO, Rejections, one_per_sourced_id
from roster_pipeline.frames import (
    TEXT,
    Array,
    Flags,
    Ints,
    blanks,
    codes,
    filled,
    joined,
    lists,
    positions,
    strings,
    taken,
    truth,
)
from roster_pipeline.vocabulary import CONTACT_FIELDS, CONTACTS, MORE_CONTACTS

_READ = ("sourcedId", "givenName", "familyName", "email", "phone", "sms")
"""The texts of a contact's record that become columns."""
_NAMES = {"given_name": "givenName", "family_name": "familyName"}
MANY_CONTACTS = 5
"""If a student has more contacts than this, it is noted: a household has fewer."""
MANY_STUDENTS = 10
"""If a contact has more students than this, it is noted: it is probably an office or a placeholder, not a parent."""
BY_ORDER = "agents"
"""In `primary_contact_from`: the order of the student's list is the mark."""
_NO_MARK = 1_000_000
_NOTHING = pa.scalar("", TEXT)
_YES = ("true", "yes", "y", "primary")


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


def choose_contacts(students: pd.DataFrame, others: pd.DataFrame, context: ContactContext, ids_of_two: Array) -> Chosen:
    """The contacts of each student.

    students: sourcedId, agents, metadata and unreadable of each student, once per sourcedId. others: normalised user
    records, with students or without. ids_of_two: ids that two people of the school have (`sourced_id_of_two`).
    The connection's `primary_contact_from` says what marks the primary contact: a metadata field on the contact (yes,
    or a rank from 1) or on the student (the contact's sourcedId), or the order of the student's list.
    """
    notes, versions = Rejections("contacts"), Rejections("contacts")
    people, _ = one_per_sourced_id(clipped(others), versions)
    usable, unclear, kinds = usable_contacts(people, context, notes)
    ids = strings(people["sourcedId"])
    ids_of_two = pa.concat_arrays([ids_of_two, versions.ids(SOURCED_ID_OF_TWO)])
    of_two = usable & truth(pc.is_in(ids, value_set=ids_of_two))
    notes.note(of_two, ids, "sourcedId", SOURCED_ID_OF_TWO, "error")
    usable &= ~of_two
    student_ids = strings(students["sourcedId"])
    links = Links(students, people, relationships_of(people, kinds, context), context)
    pairs = links.pairs()
    by_contact, by_pair = links.verdicts(pairs)
    there = pairs.contact
    fits = (there >= 0) & np.append(usable, False)[there]
    verdicts = np.maximum(np.append(by_contact, ALLOWED)[there], by_pair)
    allowed = pairs.at(np.flatnonzero(fits & (verdicts == ALLOWED)))
    marks = _marks(allowed, links)
    stored = _stored(allowed, links)
    order = np.lexsort((allowed.contact, allowed.place, stored, kinds[allowed.contact], marks, allowed.student))
    ranked = allowed.at(order)
    ranked = replace(ranked, place=_earlier(ranked.student))
    unused = np.append(unclear | of_two, False)[there]
    lost = pairs.at(np.flatnonzero((there < 0) | unused | (fits & (verdicts == WITHHELD))))
    kept = ranked.at(np.flatnonzero(ranked.place < context.settings.contacts_most))
    fields, unreadable = contact_fields(links, kept, notes)
    keep_lost(fields, lost, ranked)
    unreadable[CONTACTS] = dict(not_texts(students)).get("agents", np.empty(0, dtype=np.int64))
    per_student = np.bincount(ranked.student, minlength=len(students))
    per_contact = np.bincount(ranked.contact, minlength=len(people))
    unresolved = np.zeros(len(students), dtype=bool)
    unresolved[pairs.student[there < 0]] = True
    notes.note(unresolved, student_ids, "agents", "unresolved_agent", "warning")
    notes.note(per_student > MANY_CONTACTS, student_ids, "agents", "many_contacts", "warning")
    notes.note(per_contact > MANY_STUDENTS, ids, "agents", "many_students", "warning")
    excluded, unknown = excluded_contacts(links)
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
    ids = strings(people["sourcedId"])
    trimmed = pc.utf8_trim_whitespace(ids)
    if trimmed.equals(ids):
        return people
    return people.assign(sourcedId=pd.Series(trimmed, dtype="str", index=people.index))


def _marks(pairs: Pairs, links: Links) -> Ints:
    """The rank that a vendor gives each pair: 0 named by the student, n ranked n on the contact, else no mark."""
    mark, students, people = links.context.connection.primary_contact_from, links.students, links.people
    if not mark or not len(pairs):
        return np.full(len(pairs), _NO_MARK, dtype=np.int64)
    if mark == BY_ORDER:
        return pairs.place
    key = mark.removeprefix("metadata:")
    of_contact = np.array([_rank(text) for text in metadata_text(people["metadata"], key).to_pylist()], dtype=np.int64)
    ranks: Ints = of_contact[pairs.contact]
    named = pc.utf8_trim_whitespace(metadata_text(students["metadata"], key)).take(pa.array(pairs.student))
    ranks[truth(pc.equal(named, strings(people["sourcedId"]).take(pa.array(pairs.contact))))] = 0
    return ranks


def _stored(pairs: Pairs, links: Links) -> Ints:
    """The rank of each pair among the contacts that the directory has for the student; those that it does not have come
    last."""
    stored = links.context.stored
    if stored is None or stored.empty:
        return np.zeros(len(pairs), dtype=np.int64)
    wanted = joined(strings(links.students["sourcedId"]).take(pa.array(pairs.student)), pairs.agent)
    places = positions(wanted, joined(strings(stored["student_id"]), strings(stored["sourced_id"])))
    return np.where(places < 0, len(stored), places)


def _rank(text: str | None) -> int:
    word = (text or "").strip().lower()
    if word in _YES:
        return 1
    return int(word) if word.isdecimal() and 0 < int(word) < _NO_MARK else _NO_MARK


def contact_fields(links: Links, kept: Pairs, notes: Rejections) -> tuple[dict[str, Array], dict[str, Ints]]:
    """STUDENT_CONTACTS of each student, and the students with an unknown value, by its name in `UNREADABLE`.

    kept: the chosen contacts, ranked.
    """
    people, count = links.people, len(links.students)
    some = {name: taken(strings(people[name]), kept.contact) for name in _READ}
    some["unreadable"] = lists(people["unreadable"]).take(pa.array(kept.contact))
    ids = some["sourcedId"]
    email, bad_email = clean_emails(some["email"])
    phone, bad_phone = phones_of(some, links.context.settings.phone_region)
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(codes(ids)[0], return_index=True)[1]] = True
    bad = {"email": bad_email, "phone": bad_phone}
    for name, member in _NAMES.items():
        bad[name] = hidden(some[member])
        notes.note(bad[name] & first, ids, member, "hidden_value", "warning")
    notes.note(bad_email & first, ids, "email", "invalid_email", "warning")
    notes.note(bad_phone & first, ids, "phone", "invalid_phone", "warning")
    values = {
        "contact_sourced_id": ids,
        **{f"contact_{name}": clean_names(some[member]) for name, member in _NAMES.items()},
        "contact_relationship": links.relationships_in(kept),
        "contact_email": email,
        "contact_phone": phone,
        "contact_flags": _flags(links, kept),
    }
    primary = kept.place == 0
    rows = kept.student[primary]
    fields = {name: _put(blanks(count), rows, values[name].filter(pa.array(primary))) for name in CONTACT_FIELDS}
    fields[MORE_CONTACTS] = blanks(count) if primary.all() else _more(kept, values, count)
    return fields, _unreadable(some, kept, bad, values)


def _unreadable(
    some: dict[str, Array], kept: Pairs, bad: dict[str, Flags], values: dict[str, Array]
) -> dict[str, Ints]:
    """The students of the chosen contacts whose name, e-mail or phone cannot be read, by field and place."""
    fields = {member: name for name, member in _NAMES.items()} | {"email": "email", "phone": "phone", "sms": "phone"}
    for member, rows in not_texts(some):
        if member in fields:
            bad[fields[member]][rows] = True
    places = kept.place + 1
    found: dict[str, Ints] = {}
    for name, flags in bad.items():
        rows = np.flatnonzero(flags & ~filled(values[f"contact_{name}"]))
        found |= {f"contact_{name}:{at}": kept.student[rows[places[rows] == at]] for at in np.unique(places[rows])}
    return found


def keep_lost(fields: dict[str, Array], lost: Pairs, ranked: Pairs) -> None:
    """Contacts that are unknown now are kept with their id only: in the first place, or after those that are known."""
    known, earlier = np.isin(lost.student, ranked.student), _earlier(lost.student)
    alone, beside = lost.at(np.flatnonzero(~known & (earlier == 0))), lost.at(np.flatnonzero(known))
    fields["contact_sourced_id"] = _put(fields["contact_sourced_id"], alone.student, alone.agent)
    if not len(beside):
        return
    ids = _between("[", _quoted(beside.agent), "]")
    more = pc.utf8_slice_codeunits(fields[MORE_CONTACTS], 1, -1)
    columns = _in_order(earlier[known], beside.student, ids, len(more))
    fields[MORE_CONTACTS] = _between("[", _joined([more, *columns]), "]")


def _more(kept: Pairs, values: dict[str, Array], count: int) -> Array:
    """MORE_CONTACTS of each student, in the format of PostgreSQL."""
    cells = [_quoted(values[name]) for name in CONTACT_FIELDS]
    each = _between("[", pc.binary_join_element_wise(*cells, pa.scalar(", ", TEXT)), "]")
    behind = kept.place > 0
    columns = _in_order(kept.place[behind], kept.student[behind], each.filter(pa.array(behind)), count)
    return _between("[", _joined(columns), "]")


def _flags(links: Links, kept: Pairs) -> Array:
    """The values of each contact in the keys that the connection keeps, as a JSON object of texts."""
    members = []
    for field in sorted(links.context.connection.contact_flags):
        values = shown(links.values(kept, field))
        name = json.dumps(field.partition(":")[2], ensure_ascii=False)
        value = pc.if_else(pc.is_valid(values), _quoted(values), pa.scalar(None, TEXT))
        members.append(_between(f"{name}: ", value, ""))
    return _between("{", _joined(members), "}") if members else blanks(len(kept))


def _in_order(ranks: Ints, students: Ints, values: Array, count: int) -> list[Array]:
    """The values as one column per rank, from the lowest on. students: the row to which each belongs."""
    ofs = [ranks == rank for rank in range(int(ranks.min()), int(ranks.max()) + 1)]
    return [_put(blanks(count), students[of], values.filter(pa.array(of))) for of in ofs]


def _joined(columns: list[Array]) -> Array:
    """The existing texts, with commas between them. Arrow's option to skip nulls loses rows that have only nulls."""
    parts = [pc.fill_null(_between(", ", column, ""), "") for column in columns]
    text = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*parts, _NOTHING), 2)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, TEXT), text)


def _between(before: str, array: Array, after: str) -> Array:
    return pc.binary_join_element_wise(pa.scalar(before, TEXT), array, pa.scalar(after, TEXT), _NOTHING)


def _quoted(array: Array) -> Array:
    """Texts as JSON writes them; a missing one is null."""
    if truth(pc.match_substring_regex(array, pattern="[\x00-\x1f]")).any():
        return pa.array([json.dumps(value, ensure_ascii=False) for value in array.to_pylist()], TEXT)
    escaped = pc.replace_substring(pc.replace_substring(array, "\\", "\\\\"), '"', '\\"')
    return pc.fill_null(_between('"', escaped, '"'), "null")


def _earlier(students: Ints) -> Ints:
    """For each row how many rows before it are of the same student."""
    order = np.argsort(students, kind="stable")
    begins = np.flatnonzero(np.append(True, np.diff(students[order]) != 0)[: len(order)])
    earlier = np.empty(len(order), dtype=np.int64)
    earlier[order] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return earlier


def _put(array: Array, rows: Ints, values: Array) -> Array:
    if not len(rows):
        return array
    mask = np.zeros(len(array), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(array, pa.array(mask), values.take(pa.array(np.argsort(rows))))
