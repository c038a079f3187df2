"""Each student's possible contacts and their relationships, and the contacts that the contact rules exclude."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_rules import (
    AGENTS,
    ALLOWED,
    RELATIONSHIP,
    UNKNOWN,
    WITHHELD,
    ContactContext,
    Pairs,
    rules_of,
    shown,
    values_of,
    values_of_pairs,
)
from roster_pipeline.cleaning.field_values import clean_names, without_null_words
from roster_pipeline.cleaning.rejections import Rejections
from roster_pipeline.frames import (
    TEXT,
    Array,
    Flags,
    Ints,
    blanks,
    codes,
    column_of,
    filled,
    lists,
    positions,
    strings,
    taken,
    truth,
)
from roster_pipeline.org_tree import GONE_STATUSES
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import CONTACT

KINDS = ("parent", "guardian", "relative")
"""Roles of contacts, the first one preferred."""

EXCLUDED_COLUMNS = ("sourced_id", "student_id")


def usable_contacts(people: pd.DataFrame, context: ContactContext, notes: Rejections) -> tuple[Flags, Flags, Ints]:
    """The people who may be a contact: not gone, with a name, and with a contact's role today. Second value: those who
    only lack a name, or who have no role at all, as if roles.csv were cut. Third: the kind of each, best first."""
    named = filled(clean_names(strings(people["givenName"]))) | filled(clean_names(strings(people["familyName"])))
    gone = truth(pc.is_in(pc.utf8_lower(strings(people["status"])), value_set=pa.array(sorted(GONE_STATUSES), TEXT)))
    kinds = np.full(len(people), -1, dtype=np.int64)
    roles = lists(people["roles"])
    flat, now = pc.list_flatten(roles), context.today.isoformat()
    source = pc.utf8_lower(pc.utf8_trim_whitespace(pc.struct_field(flat, "role")))
    begins, ends = (pc.struct_field(flat, name) for name in ("beginDate", "endDate"))
    runs = ~truth(pc.less(ends, now)) & ~truth(pc.greater(begins, now))
    fits = truth(pc.is_in(source, value_set=pa.array(context.settings.contact_roles, TEXT))) & runs
    kind = pc.fill_null(pc.index_in(source, value_set=pa.array(KINDS, TEXT)), len(KINDS)).to_numpy()
    owners = pc.list_parent_indices(roles).to_numpy()
    for place in range(len(KINDS), -1, -1):
        kinds[owners[fits & (kind == place)]] = place
    is_contact = (kinds >= 0) & ~gone
    notes.note(is_contact & ~named, strings(people["sourcedId"]), "familyName", "missing_name", "error")
    has_role = np.isin(np.arange(len(people)), owners[filled(source)])
    return is_contact & named, is_contact & ~named | ~has_role & ~gone, kinds


@dataclass(frozen=True)
class Links:
    """Students, the people who may be their contacts, and what the SIS says about both.

    students, people: normalised user records. relationships: of each of `people` (`relationships_of`).
    """

    students: pd.DataFrame
    people: pd.DataFrame
    relationships: Array
    context: ContactContext

    def pairs(self) -> Pairs:
        """Every pair that either side names."""
        ids = strings(self.people["sourcedId"])
        owner, agent, place = _agents(self.students)
        there, named = _agents(self.people)[:2]
        back = positions(named, pc.utf8_trim_whitespace(strings(self.students["sourcedId"])))
        there, back = there[back >= 0], back[back >= 0]
        student, contact = np.r_[owner, back], np.r_[positions(agent, ids), there]
        place = np.r_[place, np.full(len(there), len(named) + 1)]
        agent = pa.concat_arrays([agent, ids.take(pa.array(there))])
        key, lost = contact.copy(), contact < 0
        key[lost] = len(self.people) + 1 + codes(agent.filter(pa.array(lost)))[0]
        _, first = np.unique(student * (key.max(initial=0) + 1) + key, return_index=True)
        return Pairs(student, contact, place, agent).at(np.sort(first))

    def values(self, pairs: Pairs, field: str) -> Array:
        """The value of a field for each pair."""
        if field.startswith(AGENTS):
            return values_of_pairs(pairs, self.students, self.people, field)
        return taken(values_of(self.people, field, self.context.today), pairs.contact)

    def relationships_in(self, pairs: Pairs) -> Array:
        """The relationship in each pair, because one contact may be a parent of one student and an uncle of another."""
        of_contact = taken(self.relationships, pairs.contact)
        field = self.context.connection.contact_relationship_from
        if field is None or not field.startswith(AGENTS):
            return of_contact
        return pc.coalesce(without_null_words(shown(self.values(pairs, field))), of_contact)

    def verdicts(self, pairs: Pairs) -> tuple[Ints, Ints]:
        """The verdict of the contact rules on each of `people`, and in addition on each pair."""
        by_contact, by_pair = np.full(len(self.people), ALLOWED), np.full(len(pairs), ALLOWED)
        connection = self.context.connection
        of_pairs = (connection.contact_relationship_from or "").startswith(AGENTS)
        for rule in rules_of(connection.contact_rules):
            if rule.field in self.context.withheld:
                by_contact = np.maximum(by_contact, WITHHELD)
            elif rule.field.startswith(AGENTS):
                by_pair = np.maximum(by_pair, rule.verdicts(self.values(pairs, rule.field)))
            elif rule.field == RELATIONSHIP and of_pairs:
                by_pair = np.maximum(by_pair, rule.verdicts(self.relationships_in(pairs)))
            elif rule.field == RELATIONSHIP:
                by_contact = np.maximum(by_contact, rule.verdicts(self.relationships))
            else:
                values = values_of(self.people, rule.field, self.context.today)
                by_contact = np.maximum(by_contact, rule.verdicts(values))
        return by_contact, np.where(pairs.contact >= 0, by_pair, ALLOWED)


def _agents(people: pd.DataFrame) -> tuple[Ints, Array, Ints]:
    agents = lists(people["agents"])
    owner: Ints = pc.list_parent_indices(agents).to_numpy(zero_copy_only=False).astype(np.int64)
    return owner, pc.utf8_trim_whitespace(pc.list_flatten(agents)).cast(TEXT), np.arange(len(owner))


def relationships_of(people: pd.DataFrame, kinds: Ints, context: ContactContext) -> Array:
    """The relationship of each of `people` to students: in the SIS's words if a metadata key has them, else the role.

    The standard has no field for the relationship. kinds: place in `KINDS`, or one after the last; -1 for people who
    are not a contact.
    """
    by_role = _role_names(people, kinds, context.settings)
    field = context.connection.contact_relationship_from
    if field is None or field.startswith(AGENTS):
        return by_role
    return pc.coalesce(without_null_words(shown(values_of(people, field, context.today))), by_role)


def _role_names(people: pd.DataFrame, kinds: Ints, settings: SchoolSettings) -> Array:
    """The contact's role as in `KINDS`.

    For people without such a role, the first role that the school maps to contacts.
    """
    by_source: Mapping[str, str] = settings.roles_by_source
    names = pa.array([*KINDS, None], TEXT).take(pa.array(np.where(kinds < 0, len(KINDS), kinds)))
    roles = names.to_pylist() if (kinds == len(KINDS)).any() else []
    for row in np.flatnonzero(kinds == len(KINDS)).tolist() if roles else ():
        entries = people["roles"].iloc[row]
        own = [(entry.get("role") or "").strip().lower() for entry in (entries if entries is not None else [])]
        roles[row] = next((role for role in own if by_source.get(role) == CONTACT), None)
    return pa.array(roles, TEXT) if roles else names


def none_excluded() -> pd.DataFrame:
    """EXCLUDED_COLUMNS without a row."""
    return pd.DataFrame({name: column_of(blanks(0)) for name in EXCLUDED_COLUMNS})


def excluded_contacts(links: Links) -> tuple[pd.DataFrame, Flags]:
    """EXCLUDED_COLUMNS: the contacts that nobody may call, and those that one student's entry excludes.

    Everybody in the snapshot counts as a student, in any role and status, because contacts of students who left are
    kept too. The second value marks contacts with a value that no rule knows.
    """
    people = links.people
    ids, none = strings(people["sourcedId"]), none_excluded()
    if not links.context.connection.contact_rules:
        return none, np.zeros(len(people), dtype=bool)
    links = replace(links, students=people)
    pairs = links.pairs()
    by_contact, by_pair = links.verdicts(pairs)
    parents = _parents(people, links.context)
    by_contact[~parents] = ALLOWED
    whole = ids.filter(pa.array(by_contact >= UNKNOWN))
    there = pairs.contact
    in_part = (there >= 0) & parents[there] & (by_contact[there] < UNKNOWN) & (by_pair >= UNKNOWN)
    unknown = by_contact == UNKNOWN
    unknown[there[in_part & (by_pair == UNKNOWN)]] = True
    frames = [
        pd.DataFrame({"sourced_id": column_of(whole), "student_id": column_of(blanks(len(whole)))}),
        pd.DataFrame(
            {
                "sourced_id": column_of(ids.take(pa.array(there[in_part]))),
                "student_id": column_of(ids.take(pa.array(pairs.student[in_part]))),
            }
        ),
    ]
    excluded = [frame for frame in frames if len(frame)]
    return (pd.concat(excluded, ignore_index=True) if excluded else none), unknown


def _parents(people: pd.DataFrame, context: ContactContext) -> Flags:
    """The people with a past, present or future role outside the four rostered groups: contact, or not mapped."""
    groups = context.settings.roles_by_source
    rostered = pa.array([name for name, group in groups.items() if group != CONTACT], TEXT)
    roles = lists(people["roles"])
    source = pc.utf8_lower(pc.utf8_trim_whitespace(pc.struct_field(pc.list_flatten(roles), "role")))
    other = ~truth(pc.is_in(source, value_set=rostered))
    parents = np.zeros(len(people), dtype=bool)
    parents[pc.list_parent_indices(roles).to_numpy()[other]] = True
    return parents
