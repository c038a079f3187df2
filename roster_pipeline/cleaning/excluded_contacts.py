"""Contacts that nobody may call, by the contact rules of the connection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.agents import pairs_of
from roster_pipeline.cleaning.contact_fields import relationships_of_pairs
from roster_pipeline.cleaning.contact_rules import (
    AGENTS,
    ALLOWED,
    RELATIONSHIP,
    UNKNOWN,
    WITHHELD,
    ContactContext,
    rules_of,
    values_of,
    values_of_pairs,
)
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, lists, strings, truth
from roster_pipeline.settings.school import CONTACT

EXCLUDED_COLUMNS = ("sourced_id", "student_id")


def none_excluded() -> pd.DataFrame:
    """EXCLUDED_COLUMNS without a row."""
    return pd.DataFrame({name: pd.Series([], dtype="str") for name in EXCLUDED_COLUMNS})


def judged(
    pairs: pd.DataFrame, students: pd.DataFrame, people: pd.DataFrame, relationships: Array, context: ContactContext
) -> tuple[Ints, Ints]:
    """What the contact rules say of each of `people`, and beyond that of each pair.

    pairs: as `pairs_of` gives them. relationships: of each of `people`.
    """
    by_contact, by_pair = np.full(len(people), ALLOWED), np.full(len(pairs), ALLOWED)
    of_pairs = (context.connection.contact_relationship_from or "").startswith(AGENTS)
    for rule in rules_of(context.connection.contact_rules):
        if rule.field in context.withheld:
            by_contact = np.maximum(by_contact, WITHHELD)
        elif rule.field.startswith(AGENTS):
            by_pair = np.maximum(by_pair, rule.verdicts(values_of_pairs(pairs, students, people, rule.field)))
        elif rule.field == RELATIONSHIP and of_pairs:
            told = relationships_of_pairs(pairs, students, people, relationships, context)
            by_pair = np.maximum(by_pair, rule.verdicts(told))
        elif rule.field == RELATIONSHIP:
            by_contact = np.maximum(by_contact, rule.verdicts(relationships))
        else:
            by_contact = np.maximum(by_contact, rule.verdicts(values_of(people, rule.field, context.today)))
    return by_contact, np.where(pairs["contact"] >= 0, by_pair, ALLOWED)


def excluded_contacts(
    people: pd.DataFrame, relationships: Array, context: ContactContext
) -> tuple[pd.DataFrame, Flags]:
    """EXCLUDED_COLUMNS: the contacts that nobody may call, and those of whom one student's entry says so.

    people: every record of the snapshot, in whatever role and state, for contacts of students who left are kept too.
    The second value marks contacts with a value that no rule knows.
    """
    ids, none = strings(people["sourcedId"]), none_excluded()
    if not context.connection.contact_rules:
        return none, np.zeros(len(people), dtype=bool)
    pairs = pairs_of(people, people)
    by_contact, by_pair = judged(pairs, people, people, relationships, context)
    parents = _parents(people, context)
    by_contact[~parents] = ALLOWED
    whole = ids.filter(pa.array(by_contact >= UNKNOWN))
    there = pairs["contact"].to_numpy(dtype=np.int64)
    in_part = (there >= 0) & parents[there] & (by_contact[there] < UNKNOWN) & (by_pair >= UNKNOWN)
    some = pairs[in_part]
    unknown = by_contact == UNKNOWN
    unknown[there[in_part & (by_pair == UNKNOWN)]] = True
    frames = [
        pd.DataFrame({"sourced_id": column_of(whole), "student_id": column_of(blanks(len(whole)))}),
        pd.DataFrame(
            {
                "sourced_id": column_of(ids.take(pa.array(there[in_part]))),
                "student_id": column_of(ids.take(pa.array(some["student"].to_numpy(dtype=np.int64)))),
            }
        ),
    ]
    found = [frame for frame in frames if len(frame)]
    return (pd.concat(found, ignore_index=True) if found else none), unknown


def _parents(people: pd.DataFrame, context: ContactContext) -> Flags:
    """Who has, had or will have a role that is none of the four rostered groups: a contact's, or one nobody maps."""
    groups = context.settings.roles_by_source
    rostered = pa.array([name for name, group in groups.items() if group != CONTACT], TEXT)
    roles = lists(people["roles"])
    source = pc.utf8_lower(pc.utf8_trim_whitespace(pc.struct_field(pc.list_flatten(roles), "role")))
    other = ~truth(pc.is_in(source, value_set=rostered))
    found = np.zeros(len(people), dtype=bool)
    found[pc.list_parent_indices(roles).to_numpy()[other]] = True
    return found
