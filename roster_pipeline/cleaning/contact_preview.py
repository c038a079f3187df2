"""The effect of each contact rule on the contacts of one school, shown before the first sync. Counts only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.contact_exclusions import KINDS, Links, relationships_of, usable_contacts
from roster_pipeline.cleaning.contact_rules import (
    AGENTS,
    ALLOWED,
    METADATA,
    RELATIONSHIP,
    ContactContext,
    FieldRule,
    Pairs,
    plain_word,
    rules_of,
    stored_key,
)
from roster_pipeline.cleaning.contacts import clipped
from roster_pipeline.cleaning.rejections import Rejections, one_per_sourced_id
from roster_pipeline.frames import Array, Flags, Ints, strings
from roster_pipeline.settings import school

OTHER = "other"
"""Stands for roles and relationships that no rule names. They are not shown, because a SIS may write something private
there."""


@dataclass(frozen=True)
class Accepted:
    """How many contacts a rule accepts, and of how many. field, rule: as the owner wrote them, "" for all rules
    together.

    kinds: the same for each role, and for each relationship that the rule names. delivered: whether any contact has the
    field of the rule. students: how many of the school's students have an accepted contact.
    """

    field: str
    rule: str
    accepted: int
    contacts: int
    kinds: dict[str, tuple[int, int]]
    students: int
    delivered: bool = True


def previewed(students: pd.DataFrame, people: pd.DataFrame, context: ContactContext) -> list[Accepted]:
    """One entry for each field that has contact rules, and a last one for all rules together.

    students: normalised records of the school's students. people: those who may be their contacts. Only contacts that
    are linked with one of the students are counted; the list is empty if there are none.
    """
    notes = Rejections("contacts")
    students, people = (one_per_sourced_id(clipped(some), notes)[0] for some in (students, people))
    usable, _, kinds = usable_contacts(people, context, notes)
    links = Links(students, people, relationships_of(people, kinds, context), context)
    pairs = links.pairs()
    there = pairs.contact
    pairs = pairs.at(np.flatnonzero((there >= 0) & np.append(usable, False)[there]))
    if not len(pairs):
        return []
    of_pairs = links.relationships_in(pairs)
    accepted = []
    for rule in rules_of(context.connection.contact_rules):
        lines = [line for line in context.connection.contact_rules if school.parts(line)[0] == rule.field]
        alone = replace(context, connection=context.connection.model_copy(update={"contact_rules": lines}))
        passes = _passes(pairs, replace(links, context=alone))
        delivered = _is_delivered(rule.field, students, people, context)
        accepted.append(
            _counted(rule.field, ", ".join(lines), pairs, kinds, passes, _named(of_pairs, rule), delivered=delivered)
        )
    together = _passes(pairs, links)
    return [*accepted, _counted("", "", pairs, kinds, together, [None] * len(pairs))]


def _passes(pairs: Pairs, links: Links) -> Flags:
    """Which pairs all rules of the context allow."""
    by_contact, by_pair = links.verdicts(pairs)
    verdicts: Ints = np.maximum(by_contact[pairs.contact], by_pair)
    passes: Flags = verdicts == ALLOWED
    return passes


def _named(relationships: Array, rule: FieldRule) -> list[str | None]:
    """The relationship of each pair, if the rule is about it: in the rule's own words, and any other as `OTHER`."""
    if rule.field != RELATIONSHIP:
        return [None] * len(relationships)
    words = rule.allowed | rule.excluded
    plain = (plain_word(text or "") for text in strings(relationships).to_pylist())
    return [word if word in words else OTHER for word in plain]


def _counted(
    field: str,
    rule: str,
    pairs: Pairs,
    kinds: Ints,
    passes: Flags,
    named: Sequence[str | None],
    *,
    delivered: bool = True,
) -> Accepted:
    roles = [KINDS[kind] if kind < len(KINDS) else OTHER for kind in kinds[pairs.contact]]
    rows = pd.DataFrame(
        {
            "contact": pairs.contact,
            "student": pairs.student,
            "kind": [role if name is None else name for role, name in zip(roles, named, strict=True)],
            "passes": passes,
        }
    )
    by_kind: dict[str, tuple[int, int]] = {}
    for kind, group in rows.groupby("kind", sort=True):
        by_kind[str(kind)] = _accepted(group)
    return Accepted(
        field, rule, *_accepted(rows), by_kind, students=int(rows[rows["passes"]]["student"].nunique()),
        delivered=delivered,
    )  # fmt: skip


def _accepted(rows: pd.DataFrame) -> tuple[int, int]:
    """How many contacts at least one pair allows, and how many contacts there are."""
    return int(rows[rows["passes"]]["contact"].nunique()), int(rows["contact"].nunique())


def _is_delivered(field: str, students: pd.DataFrame, people: pd.DataFrame, context: ContactContext) -> bool:
    """Whether the SIS sends the field at all. It always sends a role."""
    source = context.connection.contact_relationship_from if field == RELATIONSHIP else field
    if source is None or not source.startswith((METADATA, AGENTS)):
        return True
    key = stored_key(source)
    kept: list[Any] = [*people["metadata"], *(students["metadata"] if source.startswith(AGENTS) else ())]
    return any(key in fields for fields in kept)


def text_of(counts: dict[str, tuple[int, int]]) -> str:
    """`parent 3 of 5, relative 0 of 2`."""
    return ", ".join(f"{kind} {accepted} of {contacts}" for kind, (accepted, contacts) in counts.items())
