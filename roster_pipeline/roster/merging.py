"""Which records of one snapshot are one human.

Records are one human when they agree in the number (of one kind) and in the name or the e-mail, or in the e-mail and
the whole name. Brothers and sisters share a family name and often the family's e-mail, so an e-mail needs given and
family name; and a family name alone does not confirm a number where e-mails or usernames say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.frames import TEXT, Array, Flags, Ints, repeated
from roster_pipeline.roster.names import name_key

NUMBER_SHARED = "number_shared"
_PAIRS_AT_MOST = 8
"""So many people of one number and family name are compared with each other; more are a broken number, not a family."""


@dataclass(frozen=True)
class Merged:
    """human: the first row of each row's human. conflict: rows of humans who cannot be told apart.

    shared_email: rows whose e-mail another human has too.
    """

    human: Ints
    conflict: Flags
    shared_email: Flags


@dataclass(frozen=True)
class _Record:
    row: int
    number: str | None
    email: str | None
    username: str | None
    given: frozenset[str]
    family: frozenset[str]


class Parts:
    """Disjoint sets of rows; each is named by its smallest row, so the order of joining never shows."""

    def __init__(self, length: int) -> None:
        self.of: Ints = np.arange(length, dtype=np.int64)

    def find(self, row: int) -> int:
        """The smallest row of this row's set."""
        while self.of[row] != row:
            self.of[row] = self.of[self.of[row]]
            row = int(self.of[row])
        return row

    def join(self, rows: Iterable[int]) -> None:
        """Make one set of the sets of these rows."""
        for one, other in pairwise(rows):
            first, second = sorted((self.find(one), self.find(other)))
            self.of[second] = first

    def settled(self, rows: Iterable[int]) -> Ints:
        """The set of every row, once the given rows, the only ones that were joined, are looked up."""
        for row in rows:
            self.of[row] = self.find(row)
        return self.of


def merge_humans(columns: dict[str, Array], alive: Flags) -> Merged:
    """Group the rows of a roster into humans.

    columns: number_kind, number, email, username, given_name, family_name, preferred_given_name and
    preferred_family_name, rows in order of sourcedId. alive: rows that can be in conflict; a record of someone gone
    may belong to a human, but takes no number or e-mail from anybody.
    """
    number = pc.binary_join_element_wise(columns["number_kind"], columns["number"], pa.scalar("\x1f", TEXT))
    length = len(number)
    doubtful = np.flatnonzero(repeated(number) | repeated(columns["email"]))
    parts = Parts(length)
    records = _records(columns, number, doubtful)
    by_number = list(_grouped(records, "number"))
    by_email = list(_grouped(records, "email"))
    for group in by_number:
        _join_number(group, parts)
    for group in by_email:
        _join_equal(group, parts, lambda record: [(g, f) for g in record.given for f in record.family])
    human = parts.settled(doubtful.tolist())
    conflict, shared = np.zeros(length, dtype=bool), np.zeros(length, dtype=bool)
    for group, flags in [*((g, conflict) for g in by_number), *((g, shared) for g in by_email)]:
        rows = np.array([record.row for record in group if alive[record.row]], dtype=np.int64)
        if len(np.unique(human[rows])) > 1:
            flags[rows] = True
    if conflict.any():
        conflict = np.isin(human, human[conflict])
    return Merged(human, conflict, shared)


def _join_number(group: list[_Record], parts: Parts) -> None:
    _join_equal(group, parts, lambda record: record.given)
    _join_equal(group, parts, lambda record: [record.email] if record.email else [])
    families: dict[str, list[_Record]] = {}
    for record in group:
        for family in record.family:
            families.setdefault(family, []).append(record)
    for family_group in families.values():
        if len(family_group) <= _PAIRS_AT_MOST:
            for one, other in combinations(family_group, 2):
                if not _denied(one.email, other.email) and not _denied(one.username, other.username):
                    parts.join((one.row, other.row))


def _denied(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _join_equal(group: list[_Record], parts: Parts, keys: Callable[[_Record], Iterable[Hashable]]) -> None:
    first: dict[Hashable, int] = {}
    for record in group:
        for key in keys(record):
            parts.join((first.setdefault(key, record.row), record.row))


def _grouped(records: list[_Record], name: str) -> Iterator[list[_Record]]:
    groups: dict[str, list[_Record]] = {}
    for record in records:
        value = getattr(record, name)
        if value is not None:
            groups.setdefault(value, []).append(record)
    return (group for group in groups.values() if len(group) > 1)


def _records(columns: dict[str, Array], number: Array, rows: Ints) -> list[_Record]:
    some = pa.array(rows)

    def values(array: Array) -> list[str | None]:
        taken: list[str | None] = array.take(some).to_pylist()
        return taken

    def keys(*names: str) -> list[frozenset[str]]:
        pairs = zip(*(values(columns[name]) for name in names), strict=True)
        return [frozenset(key for key in map(name_key, pair) if key) for pair in pairs]

    told = zip(
        rows.tolist(),
        values(number),
        values(columns["email"]),
        values(columns["username"]),
        keys("given_name", "preferred_given_name"),
        keys("family_name", "preferred_family_name"),
        strict=True,
    )
    return [_Record(*record) for record in told]
