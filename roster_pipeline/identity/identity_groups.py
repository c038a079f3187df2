"""The identities of a snapshot as planning sees them.

Cleaning joined records by evidence. This module then applies the decisions of people: links join records, and `roster
person unlink` keeps a record and a person apart, even if numbers, e-mails and names agree. If the record has become
another person's, the two persons are different people: no record of one is the other's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, codes, filled, positions, sorted_by, strings, truth
from roster_pipeline.identity.deduplication import UnionFind
from roster_pipeline.identity.directory_frames import DirectoryFrames, numbers_of
from roster_pipeline.identity.match_keys import bare_numbers_of, columns_of
from roster_pipeline.vocabulary import NUMBER_SHARED, RECORD_STATUSES, RECORDS_ALIKE, ROLE_RANK, STATUS_RANK

NOBODY = -1

ROLE_OFF, LAST_PRESENT = STATUS_RANK["role_off"], STATUS_RANK["rejected"]
"""The highest rank of a present identity's strongest record: a member (0), in a role that is off, or unusable."""

_ALIVE = STATUS_RANK["elsewhere"]

Pairs = frozenset[tuple[int, int]]


@dataclass(frozen=True)
class IdentityGroups:
    """Identities, numbered from 0 in order of their first record.

    roster: sorted by sourcedId. order, starts: the rows of identity i are order[starts[i]:starts[i + 1]], strongest
    first. identity: of each row. record_status, role_rank: ranks in `RECORD_STATUSES` and `ROLE_GROUPS`, by row.
    person: of each row's link, or -1. exclusions: columns row and person, the persons that a row is not. either: rows
    that may belong to either of two persons.
    """

    roster: pd.DataFrame
    sourced_ids: Array
    record_status: Ints
    role_rank: Ints
    identity: Ints
    order: Ints
    starts: Ints
    person: Ints
    exclusions: pd.DataFrame
    either: Flags

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def columns(self) -> Mapping[str, Array]:
        """The columns that say who a record is, for `record_match_keys`."""
        return columns_of(self.roster)

    @property
    def lead(self) -> Ints:
        """The row of each identity's strongest record: by status, then role, then sourcedId."""
        return self.order[self.starts[:-1]]

    def rows(self, identity: int) -> Ints:
        """The rows of one identity, strongest first."""
        return self.order[self.starts[identity] : self.starts[identity + 1]]

    def linked(self) -> tuple[Ints, Flags]:
        """The person that the links of each identity name, or -1.

        Also flags for identities whose links name more than one person.
        """
        if not len(self):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
        of_rows = self.person[self.order]
        highest = np.maximum.reduceat(of_rows, self.starts[:-1])
        lowest = np.minimum.reduceat(np.where(of_rows < 0, np.iinfo(np.int64).max, of_rows), self.starts[:-1])
        return highest, (highest >= 0) & (lowest != highest)


def identity_groups_of(roster: pd.DataFrame, directory: DirectoryFrames) -> IdentityGroups:
    """The identities of a roster (`ROSTER_COLUMNS`, any order of rows)."""
    roster = sorted_by(roster, "sourced_id")
    sourced_ids = strings(roster["sourced_id"])
    links = directory.own_links
    place = positions(sourced_ids, strings(links["sourced_id"]))
    person = np.append(directory.known_people, NOBODY)[place]

    record_status = status_ranks(roster)
    role_rank = _places(strings(roster["role"]), ROLE_RANK, ROLE_RANK[None])
    exclusions = excluded_links(sourced_ids, person, directory)
    deduplicated, either = split_by_exclusions(numbers_of(roster["identity"]), person, exclusions)
    identity = _joined(deduplicated, person)
    key = (identity * len(RECORD_STATUSES) + record_status) * len(ROLE_RANK) + role_rank
    order = np.argsort(key, kind="stable")
    starts = np.append(np.flatnonzero(np.diff(identity[order], prepend=-1)), len(identity))
    return IdentityGroups(
        roster, sourced_ids, record_status, role_rank, identity, order, starts, person, exclusions, either
    )


def record_conflicts(identities: IdentityGroups) -> dict[int, str]:
    """The conflicts that cleaning found and that nobody has settled since: identity to reason.

    A shared number is settled by a link (the two are one) or by unlinking (they are two). A record that fits two
    identities is settled only by a link of its own.
    """
    conflict = strings(identities.roster["conflict"])
    rows = np.flatnonzero(filled(conflict) & (identities.record_status <= _ALIVE))
    if not len(rows):
        return {}
    linked, _ = identities.linked()
    alike = identities.identity[rows[truth(pc.equal(conflict.take(pa.array(rows)), RECORDS_ALIKE))]]
    conflicts = dict.fromkeys(alike[linked[alike] == NOBODY].tolist(), RECORDS_ALIKE)
    some = identities.roster.iloc[rows]
    numbers, _ = codes(bare_numbers_of(some))
    pairs = pd.DataFrame({"number": numbers, "identity": identities.identity[rows]}).drop_duplicates()
    shared = pairs[(pairs["number"] >= 0) & pairs.duplicated("number", keep=False)]
    if len(identities.exclusions):
        shared = shared[~_settled(shared, identities)]
    return conflicts | dict.fromkeys(shared["identity"].tolist(), NUMBER_SHARED)


def _settled(shared: pd.DataFrame, identities: IdentityGroups) -> Flags:
    """Which of these identities with a shared number were unlinked from all others that have it."""
    two = excluded_groups(identities.identity, identities.person, identities.exclusions)
    settled = np.zeros(len(shared), dtype=bool)
    for place in np.flatnonzero(shared["identity"].isin({identity for identity, _ in two})):
        number, identity = shared["number"].iloc[place], shared["identity"].iloc[place]
        others = set(shared.loc[shared["number"] == number, "identity"]) - {identity}
        settled[place] = all((identity, other) in two for other in others)
    return settled


def _joined(deduplicated: Ints, person: Ints) -> Ints:
    """Numbers from 0 for the identities; identities that are linked to one person are one."""
    identity = _by_first_row(deduplicated)
    linked = np.flatnonzero(person >= 0)
    again = linked[pd.Series(person[linked]).duplicated(keep=False)]
    if not len(again):
        return identity
    parts = UnionFind(len(identity))
    for rows in pd.Series(again).groupby(person[again]).agg(list):
        parts.join(identity[rows].tolist())
    return _by_first_row(parts.settled(np.unique(identity[again]).tolist())[identity])


def status_ranks(roster: pd.DataFrame) -> Ints:
    """The place of each row's status in `RECORD_STATUSES`."""
    return _places(strings(roster["record_status"]), STATUS_RANK, STATUS_RANK["rejected"])


def _by_first_row(identity: Ints) -> Ints:
    if len(identity) < 2 or bool((np.diff(identity) > 0).all()):
        return np.arange(len(identity))
    _, first, inverse = np.unique(identity, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Ints = rank[inverse]
    return renumbered


def _places(column: Array, ranks: dict[str, int] | dict[str | None, int], otherwise: int) -> Ints:
    named = {name: rank for name, rank in ranks.items() if name is not None}
    places: Ints = np.array([*named.values(), otherwise])[positions(column, pa.array(named, TEXT))]
    return places


def excluded_links(sourced_ids: Array, person: Ints, directory: DirectoryFrames) -> pd.DataFrame:
    """The rows of a roster and the persons they are not: columns row and person.

    There are few such rows, because each was decided by hand.

    person: of each row's link, or -1. If there is also a link between the two, the link counts.
    """
    excluded = directory.exclusions
    if excluded.empty:
        return pd.DataFrame({"row": [], "person": []}, dtype=np.int64)
    names, others = strings(excluded["sourced_id"]), numbers_of(excluded["person_id"])
    row = positions(names, sourced_ids)
    direct = pd.DataFrame({"row": row, "person": others})[row >= 0]
    links = directory.own_links
    owner = np.append(directory.known_people, -1)[positions(names, strings(links["sourced_id"]))]
    two = pd.DataFrame({"person": owner, "other": others})[owner >= 0]
    follows = _rows_of(person, others).merge(two, on="other")[["row", "person"]]
    pairs = pd.concat([direct, follows], ignore_index=True)
    differs: Flags = person[pairs["row"]] != pairs["person"].to_numpy()
    return pairs[differs].reset_index(drop=True)


def split_by_exclusions(deduplicated: Ints, person: Ints, exclusions: pd.DataFrame) -> tuple[Ints, Flags]:
    """Each row's identity after applying exclusions, and a mask of the rows that may belong to either of two persons.

    If an identity contains both a record that is not a person and a link to that person, it is split: each record is an
    identity of its own, and only links join records. A record without a link and without an exclusion may belong to
    either person.
    """
    none = np.zeros(len(deduplicated), dtype=bool)
    if exclusions.empty:
        return deduplicated, none
    linked = _rows_of(person, numbers_of(exclusions["person"])).rename(columns={"other": "person"})
    of_rows = exclusions.assign(identity=deduplicated[exclusions["row"]])
    linked = linked.assign(identity=deduplicated[linked["row"]])
    met = of_rows.merge(linked, on=["identity", "person"], suffixes=("", "_linked"))
    alone = np.isin(deduplicated, met["identity"])
    either = alone & (person < 0)
    either[met["row"]] = False
    return np.where(alone, deduplicated.max() + 1 + np.arange(len(deduplicated)), deduplicated), either


def excluded_groups(identity: Ints, person: Ints, exclusions: pd.DataFrame) -> Pairs:
    """The pairs of identities, in both orders, where one has a record that somebody unlinked from the other's
    person."""
    linked = _rows_of(person, numbers_of(exclusions["person"]))
    met = exclusions.merge(linked, left_on="person", right_on="other", suffixes=("", "_linked"))
    first, other = identity[met["row"]].tolist(), identity[met["row_linked"]].tolist()
    return frozenset([*zip(first, other, strict=True), *zip(other, first, strict=True)])


def _rows_of(person: Ints, others: Ints) -> pd.DataFrame:
    """The rows that are linked to one of these persons: columns row and other."""
    row = np.flatnonzero(np.isin(person, others))
    return pd.DataFrame({"row": row, "other": person[row]})
