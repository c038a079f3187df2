"""What is kept of a contact: names, relationship, e-mail, phone, and what the SIS says in the keys that are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_rules import AGENTS, ContactContext, shown, values_of, values_of_pairs
from roster_pipeline.cleaning.emails import clean_emails
from roster_pipeline.cleaning.names import clean_names
from roster_pipeline.cleaning.null_values import without_null_words
from roster_pipeline.cleaning.phones import clean_phones
from roster_pipeline.cleaning.rejections import Rejections
from roster_pipeline.frames import TEXT, Array, Ints, blanks, codes, filled, strings, taken, truth
from roster_pipeline.settings.school import CONTACT, SchoolSettings
from roster_pipeline.vocabulary import CONTACT_FIELDS, MORE_CONTACTS

KINDS = ("parent", "guardian", "relative")
"""Roles of contacts, the one that is asked first in front."""


def contact_fields(
    students: pd.DataFrame, people: pd.DataFrame, kept: pd.DataFrame, context: ContactContext, notes: Rejections
) -> dict[str, Array]:
    """STUDENT_CONTACTS of each student. kept: the contacts chosen, with `rank` (0 is the primary one), in order."""
    settings, count = context.settings, len(students)
    some = people.take(kept["contact"].to_numpy(dtype=np.int64))
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
        "contact_relationship": strings(kept["relationship"]),
        "contact_email": email,
        "contact_phone": phone,
        "contact_flags": _flags(students, people, kept, context),
    }
    primary = (kept["rank"] == 0).to_numpy(dtype=bool)
    rows = kept["student"][primary]
    fields = {name: _put(blanks(count), rows, values[name].filter(pa.array(primary))) for name in CONTACT_FIELDS}
    fields[MORE_CONTACTS] = blanks(count) if primary.all() else _more(kept, values, count)
    return fields


def keep_lost(fields: dict[str, Array], lost: pd.DataFrame, ranked: pd.DataFrame, most: int) -> None:
    """Contacts that are not known tonight stand by their id alone: in the first place, or behind those that are."""
    alone = lost[~lost["student"].isin(ranked["student"])].drop_duplicates("student")
    fields["contact_sourced_id"] = _put(fields["contact_sourced_id"], alone["student"], strings(alone["agent"]))
    beside = lost[lost["student"].isin(ranked["student"])]
    if most == 1 or not len(beside):
        return
    ids = _between("[", _quoted(strings(beside["agent"])), "]")
    place = beside.groupby("student").cumcount().to_numpy()
    columns = [pc.utf8_slice_codeunits(fields[MORE_CONTACTS], 1, -1)]
    for rank in range(int(place.max()) + 1):
        of = place == rank
        columns.append(_put(blanks(len(columns[0])), beside["student"][of], ids.filter(pa.array(of))))
    fields[MORE_CONTACTS] = _lists_of(columns)


def relationships_of(people: pd.DataFrame, kinds: Ints, context: ContactContext) -> Array:
    """What each of `people` is to students: in the SIS's words where a metadata key holds them, else the role.

    The standard has no other word for it. kinds: place in `KINDS`, or behind them; -1 for people who are no contact.
    """
    by_role = _role_names(people, kinds, context.settings)
    field = context.connection.contact_relationship_from
    if field is None or field.startswith(AGENTS):
        return by_role
    return pc.coalesce(without_null_words(shown(values_of(people, field, context.today))), by_role)


def relationships_of_pairs(
    pairs: pd.DataFrame, students: pd.DataFrame, people: pd.DataFrame, relationships: Array, context: ContactContext
) -> Array:
    """The same of each pair, for one contact may be a parent of one student and an uncle of another."""
    of_contact = taken(relationships, pairs["contact"].to_numpy(dtype=np.int64))
    field = context.connection.contact_relationship_from
    if field is None or not field.startswith(AGENTS):
        return of_contact
    return pc.coalesce(without_null_words(shown(values_of_pairs(pairs, students, people, field))), of_contact)


def _more(kept: pd.DataFrame, values: dict[str, Array], count: int) -> Array:
    """MORE_CONTACTS of each student, as PostgreSQL writes such a list."""
    cells = [_quoted(values[name]) for name in CONTACT_FIELDS]
    each = _between("[", pc.binary_join_element_wise(*cells, _text(", ")), "]")
    ranks = kept["rank"].to_numpy(dtype=np.int64)
    columns = []
    for rank in range(1, int(ranks.max()) + 1):
        of = ranks == rank
        columns.append(_put(blanks(count), kept["student"][of], each.filter(pa.array(of))))
    return _lists_of(columns)


def _flags(students: pd.DataFrame, people: pd.DataFrame, kept: pd.DataFrame, context: ContactContext) -> Array:
    """What the SIS says of each contact, for the keys that the connection keeps, as a JSON object of texts."""
    pairs = kept.reset_index(drop=True)
    rows = pa.array(pairs["contact"].to_numpy(dtype=np.int64))
    members = []
    for field in sorted(context.connection.contact_flags):
        told = (
            values_of_pairs(pairs, students, people, field)
            if field.startswith(AGENTS)
            else values_of(people, field, context.today).take(rows)
        )
        name = json.dumps(field.partition(":")[2], ensure_ascii=False)
        value = pc.if_else(pc.is_valid(told := shown(told)), _quoted(told), pa.scalar(None, TEXT))
        members.append(_between(f"{name}: ", value, ""))
    return _between("{", _joined(members), "}") if members else blanks(len(pairs))


def _role_names(people: pd.DataFrame, kinds: Ints, settings: SchoolSettings) -> Array:
    """The contact's role as the SIS spells it; of people without a name in `KINDS` the first that the school maps."""
    by_source: Mapping[str, str] = settings.roles_by_source
    names = pa.array([*KINDS, None], TEXT).take(pa.array(np.where(kinds < 0, len(KINDS), kinds)))
    told = names.to_pylist() if (kinds == len(KINDS)).any() else []
    for row in np.flatnonzero(kinds == len(KINDS)).tolist() if told else ():
        entries = people["roles"].iloc[row]
        own = [(entry.get("role") or "").strip().lower() for entry in (entries if entries is not None else [])]
        told[row] = next((role for role in own if by_source.get(role) == CONTACT), None)
    return pa.array(told, TEXT) if told else names


def _lists_of(columns: list[Array]) -> Array:
    """The items of several columns in one JSON list a row; nothing where there is no item."""
    return _between("[", _joined(columns), "]")


def _joined(columns: list[Array]) -> Array:
    """The texts that are there, with commas between them. Arrow's own way to skip nulls drops rows of nulls alone."""
    parts = [pc.fill_null(_between(", ", column, ""), "") for column in columns]
    text = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*parts, _text("")), 2)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, TEXT), text)


def _between(before: str, array: Array, after: str) -> Array:
    return pc.binary_join_element_wise(_text(before), array, _text(after), _text(""))


def _text(value: str) -> Any:
    return pa.scalar(value, TEXT)


def _quoted(array: Array) -> Array:
    """Texts as JSON writes them; a missing one is null."""
    if truth(pc.match_substring_regex(array, pattern="[\x00-\x1f]")).any():
        return pa.array([json.dumps(value, ensure_ascii=False) for value in array.to_pylist()], TEXT)
    escaped = pc.replace_substring(pc.replace_substring(array, "\\", "\\\\"), '"', '\\"')
    return pc.fill_null(_between('"', escaped, '"'), "null")


def _put(array: Array, rows: pd.Series[Any], values: Array) -> Array:
    """The array with `values` at `rows`."""
    if not len(rows):
        return array
    mask = np.zeros(len(array), dtype=bool)
    order = np.argsort(rows.to_numpy(dtype=np.int64))
    mask[rows.to_numpy(dtype=np.int64)] = True
    return pc.replace_with_mask(array, pa.array(mask), values.take(pa.array(order)))
