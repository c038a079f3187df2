"""Which records of one snapshot are one person, by the table of evidence (`evidence.weigh`).

Records are compared if they share a number or an e-mail. An e-mail of records with different family names joins
nothing: it is an office's, or a placeholder. If a chain of records that seem to be one person contains two that cannot
be, nothing of the chain is joined.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Array, Flags, Ints, codes, repeated
from roster_pipeline.identity.evidence import MatchKeys, weigh
from roster_pipeline.identity.match_keys import bare_numbers_of, record_match_keys, without_common

_COMPARED_AT_MOST = 30
"""At most this many different records of one key and name are compared; more are a broken export, not a person."""


@dataclass(frozen=True)
class Deduplicated:
    """identity: the first row of each row's identity. number_shared: rows whose identity shares a number with another.

    alike: rows that fit two identities that cannot be one. shared_email, shared_username: rows whose e-mail or user
    name another identity has too. namesakes: rows with the e-mail and the whole name of another identity.
    """

    identity: Ints
    number_shared: Flags
    alike: Flags
    shared_email: Flags
    shared_username: Flags
    namesakes: Flags


class UnionFind:
    """Disjoint sets of rows; each is named by its smallest row, so the order of joining does not matter."""

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
        for row, other in pairwise(rows):
            first, second = sorted((self.find(row), self.find(other)))
            self.of[second] = first

    def settled(self, rows: Iterable[int]) -> Ints:
        """The set of every row. rows: those that were joined; only these are looked up."""
        for row in rows:
            self.of[row] = self.find(row)
        return self.of


def deduplicate(columns: Mapping[str, Array], alive: Flags) -> Deduplicated:
    """Group the rows of a roster into identities.

    columns: `match_keys.RECORD`, rows in order of sourcedId. alive: rows that can be in conflict. A record of a person
    who left may belong to an identity, but its number and e-mail do not count as shared.
    """
    number = bare_numbers_of(columns)
    email, length = columns["email"], len(number)
    doubtful = np.flatnonzero(repeated(number) | repeated(email))
    match_keys = record_match_keys(without_common(columns), doubtful) if len(doubtful) else []
    joining = _Joining(length, dict(zip(doubtful.tolist(), match_keys, strict=True)))
    for group in _grouped(number, doubtful):
        joining.join(group, _each_name)
    by_email = list(_grouped(email, doubtful))
    for group in by_email:
        if _one_family([joining.match_keys[row].family for row in group if alive[row]]):
            joining.join(group, _whole_names)
    identity = joining.sets.settled(doubtful.tolist())
    namesakes = np.zeros(length, dtype=bool)
    for group in by_email:
        for bucket in _buckets(group, joining.match_keys, _whole_names):
            _flag_several(bucket, identity, alive, namesakes)
    return Deduplicated(
        identity,
        _all_of(identity, _shared(number, identity, alive)),
        _all_of(identity, np.isin(np.arange(length), list(joining.alike)) & alive),
        _shared(email, identity, alive),
        _shared(pc.utf8_lower(columns["username"]), identity, alive),
        namesakes,
    )


class _Joining:
    """Identities while they are built.

    match_keys: the match keys of the rows to compare. alike: rows that fit two identities that cannot be one.
    """

    def __init__(self, length: int, known: Mapping[int, MatchKeys]) -> None:
        self.sets, self.match_keys = UnionFind(length), known
        self.alike: set[int] = set()
        self._rows = {row: [row] for row in known}

    def join(self, group: list[int], names: Callable[[MatchKeys], Iterable[Hashable]]) -> None:
        """Join the rows of a group that are one person, unless a chain of them contains two that cannot be."""
        sets = sorted({self.sets.find(row) for row in group})
        place = {first: at for at, first in enumerate(sets)}
        joined = UnionFind(len(sets))
        for first, other in _pairs(group, self.match_keys, names):
            both = [joined.find(place[self.sets.find(row)]) for row in (first, other)]
            if both[0] != both[1] and weigh(self.match_keys[first], self.match_keys[other]).same:
                joined.join(both)
        chains: dict[int, list[int]] = {}
        for at, first in enumerate(sets):
            chains.setdefault(joined.find(at), []).append(first)
        for chain in chains.values():
            if len(chain) > 1:
                self._close(chain)

    def _close(self, chain: list[int]) -> None:
        torn = self._torn(chain)
        if torn:
            self.alike |= {row for part in chain if part not in torn for row in self._rows[part]}
            return
        self.sets.join(chain)
        self._rows[chain[0]] = [row for part in chain for row in self._rows[part]]

    def _torn(self, chain: list[int]) -> set[int]:
        """The sets of rows with a record that cannot be one person with a record of another of these sets."""
        kinds = {part: {self.match_keys[row] for row in self._rows[part]} for part in chain}
        different = set.union(*kinds.values())
        if len(different) > _COMPARED_AT_MOST:
            return set(chain)
        pairs = combinations(different, 2)
        against = {part for pair in pairs if weigh(*pair).contradicted for part in pair}
        return {part for part in chain if kinds[part] & against}


def _pairs(
    group: list[int], known: Mapping[int, MatchKeys], names: Callable[[MatchKeys], Iterable[Hashable]]
) -> Iterator[tuple[int, int]]:
    """The rows of a group that share a name, as pairs.

    Of equal rows, only the first is compared with the others.
    """
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


def _each_name(match_keys: MatchKeys) -> Iterable[Hashable]:
    return match_keys.given | match_keys.family | match_keys.whole


def _whole_names(match_keys: MatchKeys) -> Iterable[Hashable]:
    return product(match_keys.given, match_keys.family)


def _one_family(names: list[frozenset[str]]) -> bool:
    """Whether all records that have a family name have one in common with the first of them."""
    having = [each for each in names if each]
    return all(not each.isdisjoint(having[0]) for each in having[1:])


def _grouped(values: Array, rows: Ints) -> Iterator[list[int]]:
    """The rows that share a value, by value."""
    numbers, _ = codes(values.take(pa.array(rows)))
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    for places in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if len(places) > 1:
            yield rows[places].tolist()


def _shared(values: Array, identity: Ints, alive: Flags) -> Flags:
    """Rows that are alive and share a value with another identity that is alive."""
    shared = np.zeros(len(identity), dtype=bool)
    rows = np.flatnonzero(repeated(values) & alive)
    if len(rows):
        shared[rows] = of_several(values.take(pa.array(rows)), identity[rows])
    return shared


def of_several(values: Array, owners: Ints) -> Flags:
    """Flags the values that several owners have. Null is a value as well."""
    numbers, _ = codes(values)
    order = np.lexsort((owners, numbers))
    again = (np.diff(numbers[order]) == 0) & (np.diff(owners[order]) != 0)
    flags: Flags = np.isin(numbers, numbers[order][1:][again])
    return flags


def _all_of(identity: Ints, flags: Flags) -> Flags:
    """All rows of the identities that have a flagged row."""
    return np.isin(identity, identity[flags]) if flags.any() else flags


def _flag_several(rows: list[int], identity: Ints, alive: Flags, flags: Flags) -> None:
    there = [row for row in rows if alive[row]]
    if len({int(identity[row]) for row in there}) > 1:
        flags[there] = True
