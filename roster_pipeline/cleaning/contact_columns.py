"""The chosen contacts of each student as columns of the roster, and which of their values cannot be read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_rules import AGENTS, ContactContext, shown, values_of, values_of_pairs
from roster_pipeline.cleaning.emails_and_phones import clean_emails
from roster_pipeline.cleaning.field_values import clean_names
from roster_pipeline.cleaning.record_fields import not_texts, phones_of
from roster_pipeline.cleaning.rejections import Rejections
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, codes, filled, strings, truth
from roster_pipeline.vocabulary import CONTACT_FIELDS, MORE_CONTACTS

_READ = ("sourcedId", "givenName", "familyName", "email", "phone", "sms", "unreadable")
"""The members of a contact's record that become columns."""


def contact_fields(
    students: pd.DataFrame, people: pd.DataFrame, kept: pd.DataFrame, context: ContactContext, notes: Rejections
) -> tuple[dict[str, Array], dict[str, Ints]]:
    """STUDENT_CONTACTS of each student, and the students with an unknown value, by its name in `UNREADABLE`.

    kept: the chosen contacts in order, with `rank` (0 is the primary one).
    """
    count = len(students)
    some = people[list(_READ)].take(kept["contact"].to_numpy(dtype=np.int64))
    ids = strings(some["sourcedId"])
    email, bad_email = clean_emails(strings(some["email"]))
    phone, bad_phone = phones_of(some, context.settings.phone_region)
    first = ~pd.Series(codes(ids)[0]).duplicated().to_numpy()
    notes.note(bad_email & first, ids, "email", "invalid_email", "warning")
    notes.note(bad_phone & first, ids, "phone", "invalid_phone", "warning")
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
    return fields, _unreadable(some, kept, {"email": bad_email, "phone": bad_phone}, values)


def _unreadable(
    some: pd.DataFrame, kept: pd.DataFrame, bad: dict[str, Flags], values: dict[str, Array]
) -> dict[str, Ints]:
    """The students of the chosen contacts whose e-mail or phone cannot be read, by field and place."""
    for member, rows in not_texts(some):
        if member in (*bad, "sms"):
            bad["phone" if member == "sms" else member][rows] = True
    places, student = kept["rank"].to_numpy(dtype=np.int64) + 1, kept["student"].to_numpy(dtype=np.int64)
    found: dict[str, Ints] = {}
    for name, flags in bad.items():
        rows = np.flatnonzero(flags & ~filled(values[f"contact_{name}"]))
        found |= {f"contact_{name}:{at}": student[rows[places[rows] == at]] for at in np.unique(places[rows])}
    return found


def keep_lost(fields: dict[str, Array], lost: pd.DataFrame, ranked: pd.DataFrame) -> None:
    """Contacts that are unknown now are kept with their id only: in the first place, or after those that are known."""
    alone = lost[~lost["student"].isin(ranked["student"])].drop_duplicates("student")
    fields["contact_sourced_id"] = _put(fields["contact_sourced_id"], alone["student"], strings(alone["agent"]))
    beside = lost[lost["student"].isin(ranked["student"])]
    if not len(beside):
        return
    ids = _between("[", _quoted(strings(beside["agent"])), "]")
    place = beside.groupby("student").cumcount().to_numpy()
    columns = [pc.utf8_slice_codeunits(fields[MORE_CONTACTS], 1, -1)]
    for rank in range(int(place.max()) + 1):
        of = place == rank
        columns.append(_put(blanks(len(columns[0])), beside["student"][of], ids.filter(pa.array(of))))
    fields[MORE_CONTACTS] = _lists_of(columns)


def _more(kept: pd.DataFrame, values: dict[str, Array], count: int) -> Array:
    """MORE_CONTACTS of each student, in the format of PostgreSQL."""
    cells = [_quoted(values[name]) for name in CONTACT_FIELDS]
    each = _between("[", pc.binary_join_element_wise(*cells, _text(", ")), "]")
    ranks = kept["rank"].to_numpy(dtype=np.int64)
    columns = []
    for rank in range(1, int(ranks.max()) + 1):
        of = ranks == rank
        columns.append(_put(blanks(count), kept["student"][of], each.filter(pa.array(of))))
    return _lists_of(columns)


def _flags(students: pd.DataFrame, people: pd.DataFrame, kept: pd.DataFrame, context: ContactContext) -> Array:
    """The values of each contact in the keys that the connection keeps, as a JSON object of texts."""
    pairs = kept.reset_index(drop=True)
    rows = pa.array(pairs["contact"].to_numpy(dtype=np.int64))
    members = []
    for field in sorted(context.connection.contact_flags):
        values = (
            values_of_pairs(pairs, students, people, field)
            if field.startswith(AGENTS)
            else values_of(people, field, context.today).take(rows)
        )
        name = json.dumps(field.partition(":")[2], ensure_ascii=False)
        value = pc.if_else(pc.is_valid(values := shown(values)), _quoted(values), pa.scalar(None, TEXT))
        members.append(_between(f"{name}: ", value, ""))
    return _between("{", _joined(members), "}") if members else blanks(len(pairs))


def _lists_of(columns: list[Array]) -> Array:
    """The items of several columns as one JSON list per row; missing if there is no item."""
    return _between("[", _joined(columns), "]")


def _joined(columns: list[Array]) -> Array:
    """The existing texts, with commas between them. Arrow's own way to skip nulls drops rows that have only nulls."""
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
