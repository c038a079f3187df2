"""Which records of one snapshot are one human, by the table of evidence (`evidence.weigh`).

Records are compared where they share a number or an e-mail. Where a chain of records that seem to be one human holds
two that cannot be, nothing of the chain is joined.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Array, Flags, Ints, codes, repeated
from roster_pipeline.identity.evidence import MatchKeys, weigh
from roster_pipeline.identity.match_keys import bare_numbers, numbered, record_match_keys

_COMPARED_AT_MOST = 30
"""So many different records of one key and name are compared with each other; more are a broken export, no human."""


@dataclass(frozen=True)
class Deduplicated:
    """human: the first row of each row's human. number_shared: rows of humans who share a number with another human.
    alike: rows that fit two humans who cannot be one.

    shared_email, shared_username: rows whose e-mail or user name another human has too. namesakes: rows with the e-mail
    and the whole name of another human.
    """

    human: Ints
    number_shared: Flags
    alike: Flags
    shared_email: Flags
    shared_username: Flags
    namesakes: Flags


class UnionFind:
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


def deduplicate(columns: Mapping[str, Array], alive: Flags) -> Deduplicated:
    """Group the rows of a roster into humans.

    columns: `traits.RECORD`, rows in order of sourcedId. alive: rows that can be in conflict; a record of someone gone
    may belong to a human, but takes no number or e-mail from anybody.
    """
    number = numbered(columns["number_kind"], columns["number"])
    plain, email = bare_numbers(number), columns["email"]
    length = len(number)
    doubtful = np.flatnonzero(repeated(plain) | repeated(email))
    joining = _Joining(length, dict(zip(doubtful.tolist(), record_match_keys(columns, doubtful), strict=True)))
    for group in _grouped(plain, doubtful):
        joining.join(group, _each_name)
    by_email = list(_grouped(email, doubtful))
    for group in by_email:
        joining.join(group, _whole_names)
    human = joining.parts.settled(doubtful.tolist())
    namesakes = np.zeros(length, dtype=bool)
    for group in by_email:
        for bucket in _buckets(group, joining.known, _whole_names):
            _flag_several(bucket, human, alive, namesakes)
    return Deduplicated(
        human,
        _all_of(human, _shared(number, human, alive)),
        _all_of(human, np.isin(np.arange(length), list(joining.alike)) & alive),
        _shared(email, human, alive),
        _shared(pc.utf8_lower(columns["username"]), human, alive),
        namesakes,
    )


class _Joining:
    """Humans in the making. known: the rows that are looked at. alike: those that fit two who cannot be one."""

    def __init__(self, length: int, known: Mapping[int, MatchKeys]) -> None:
        self.parts, self.known = UnionFind(length), known
        self.alike: set[int] = set()
        self._rows = {row: [row] for row in known}

    def join(self, group: list[int], names: Callable[[MatchKeys], Iterable[Hashable]]) -> None:
        """Join those of a group that are one human, unless a chain of them holds two who cannot be."""
        sets = sorted({self.parts.find(row) for row in group})
        place = {one: at for at, one in enumerate(sets)}
        trial = UnionFind(len(sets))
        for one, other in _pairs(group, self.known, names):
            both = [trial.find(place[self.parts.find(row)]) for row in (one, other)]
            if both[0] != both[1] and weigh(self.known[one], self.known[other]).same:
                trial.join(both)
        chains: dict[int, list[int]] = {}
        for at, one in enumerate(sets):
            chains.setdefault(trial.find(at), []).append(one)
        for chain in chains.values():
            if len(chain) > 1:
                self._close(chain)

    def _close(self, chain: list[int]) -> None:
        torn = self._torn(chain)
        if torn:
            self.alike |= {row for one in chain if one not in torn for row in self._rows[one]}
            return
        self.parts.join(chain)
        self._rows[chain[0]] = [row for one in chain for row in self._rows[one]]

    def _torn(self, chain: list[int]) -> set[int]:
        """Which of these sets of rows hold a record that cannot be one human with a record of another of them."""
        kinds = {one: {self.known[row] for row in self._rows[one]} for one in chain}
        different = set.union(*kinds.values())
        if len(different) > _COMPARED_AT_MOST:
            return set(chain)
        pairs = combinations(different, 2)
        against = {one for pair in pairs if weigh(*pair).contradicted for one in pair}
        return {one for one in chain if kinds[one] & against}


def _pairs(
    group: list[int], known: Mapping[int, MatchKeys], names: Callable[[MatchKeys], Iterable[Hashable]]
) -> Iterator[tuple[int, int]]:
    """The rows of a group that are worth comparing: those with a name in common, equal ones only with the first."""
    for bucket in _buckets(group, known, names):
        first: dict[MatchKeys, int] = {}
        for row in bucket:
            if first.setdefault(known[row], row) != row:
                yield first[known[row]], row
        if len(first) <= _COMPARED_AT_MOST:
            yield from combinations(first.values(), 2)


def _buckets(
    group: list[int], known: Mapping[int, MatchKeys], names: Callable[[MatchKeys], Iterable[Hashable]]
) -> Iterable[list[int]]:
    buckets: dict[Hashable, list[int]] = {}
    for row in group:
        for name in names(known[row]):
            buckets.setdefault(name, []).append(row)
    return (bucket for bucket in buckets.values() if len(bucket) > 1)


def _each_name(traits: MatchKeys) -> Iterable[Hashable]:
    return (*(("given", name) for name in traits.given), *(("family", name) for name in traits.family))


def _whole_names(traits: MatchKeys) -> Iterable[Hashable]:
    return product(traits.given, traits.family)


def _grouped(values: Array, rows: Ints) -> Iterator[list[int]]:
    """Those of the rows that have a value in common, by value."""
    numbers, _ = codes(values.take(pa.array(rows)))
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    for places in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if len(places) > 1:
            yield rows[places].tolist()


def _shared(values: Array, human: Ints, alive: Flags) -> Flags:
    """The rows that are not gone and have a value in common with another human who is not gone."""
    numbers, _ = codes(values)
    rows = np.flatnonzero(repeated(values) & alive)
    pairs = pd.DataFrame({"value": numbers[rows], "human": human[rows]}).drop_duplicates()
    several = pairs.loc[pairs.duplicated("value"), "value"].to_numpy()
    shared = np.zeros(len(human), dtype=bool)
    shared[rows] = np.isin(numbers[rows], several)
    return shared


def _all_of(human: Ints, flags: Flags) -> Flags:
    """All rows of the humans of whom a row is flagged."""
    return np.isin(human, human[flags]) if flags.any() else flags


def _flag_several(rows: list[int], human: Ints, alive: Flags, flags: Flags) -> None:
    there = [row for row in rows if alive[row]]
    if len({int(human[row]) for row in there}) > 1:
        flags[there] = True
