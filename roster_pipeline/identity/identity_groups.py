"""The humans of a snapshot as planning sees them: records merged by cleaning, joined or told apart by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.directory_frames import DirectoryFrames
from roster_pipeline.frames import Array, Flags, Ints, codes, filled, positions, sorted_by, strings, truth
from roster_pipeline.identity.deduplication import UnionFind
from roster_pipeline.identity.match_keys import numbered
from roster_pipeline.vocabulary import NUMBER_SHARED, RECORD_STATUSES, RECORDS_ALIKE, ROLE_RANK, STATUS_RANK

NOBODY = -1

ROLE_OFF, LAST_PRESENT = STATUS_RANK["role_off"], STATUS_RANK["rejected"]
"""A human whose strongest record stands up to here is not gone: a member (0), in a role that is off, or unreadable."""

_ALIVE = STATUS_RANK["elsewhere"]

Pairs = frozenset[tuple[int, int]]


@dataclass(frozen=True)
class IdentityGroups:
    """Humans, numbered from 0 in order of their first record.

    roster: sorted by sourcedId. order, starts: rows of unit u are order[starts[u]:starts[u + 1]], strongest first.
    unit: of each row. standing, strength: places in `RECORD_STATUSES` and `ROLE_GROUPS`.
    person: of each row's link, or -1.
    apart: rows and the persons that somebody said they are not. either: rows that may be either of two told apart.
    """

    roster: pd.DataFrame
    sourced_ids: Array
    standing: Ints
    strength: Ints
    unit: Ints
    order: Ints
    starts: Ints
    person: Ints
    apart: pd.DataFrame
    either: Flags

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lead(self) -> Ints:
        """The row of each unit's strongest record: by standing, then by role, then by sourcedId."""
        return self.order[self.starts[:-1]]

    def rows(self, unit: int) -> Ints:
        """The rows of one unit, strongest first."""
        return self.order[self.starts[unit] : self.starts[unit + 1]]

    def linked(self) -> tuple[Ints, Flags]:
        """The person that each unit's links name, or -1; and where they name more than one."""
        if not len(self):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
        of_rows = self.person[self.order]
        highest = np.maximum.reduceat(of_rows, self.starts[:-1])
        lowest = np.minimum.reduceat(np.where(of_rows < 0, np.iinfo(np.int64).max, of_rows), self.starts[:-1])
        return highest, (highest >= 0) & (lowest != highest)


def identity_groups_of(roster: pd.DataFrame, directory: DirectoryFrames) -> IdentityGroups:
    """The units of a roster (`ROSTER_COLUMNS`, any order of rows)."""
    roster = sorted_by(roster, "sourced_id")
    sourced_ids = strings(roster["sourced_id"])
    links = directory.own_links
    found = positions(sourced_ids, strings(links["sourced_id"]))
    person = np.append(links["person_id"].to_numpy(dtype=np.int64), NOBODY)[found]

    standing = _places(strings(roster["standing"]), STATUS_RANK, STATUS_RANK["rejected"])
    strength = _places(strings(roster["role"]), ROLE_RANK, ROLE_RANK[None])
    apart = excluded_links(sourced_ids, person, directory)
    human, either = split_by_exclusions(roster["human"].to_numpy(dtype=np.int64), person, apart)
    unit = _joined(human, person)
    key = (unit * len(RECORD_STATUSES) + standing) * len(ROLE_RANK) + strength
    order = np.argsort(key, kind="stable")
    starts = np.append(np.flatnonzero(np.diff(unit[order], prepend=-1)), len(unit))
    return IdentityGroups(roster, sourced_ids, standing, strength, unit, order, starts, person, apart, either)


def record_conflicts(units: IdentityGroups) -> dict[int, str]:
    """Units that cannot be told apart, to the reason: cleaning found a conflict, and nobody has settled it since.

    Records that share a number: a link settles it, for the two are one; so does that one of them was said not to be the
    other, for they are two. A record that fits two humans is settled by its link alone.
    """
    conflict = strings(units.roster["conflict"])
    rows = np.flatnonzero(filled(conflict) & (units.standing <= _ALIVE))
    if not len(rows):
        return {}
    linked, _ = units.linked()
    alike = units.unit[rows[truth(pc.equal(conflict.take(pa.array(rows)), RECORDS_ALIKE))]]
    found = dict.fromkeys(alike[linked[alike] == NOBODY].tolist(), RECORDS_ALIKE)
    some = units.roster.iloc[rows]
    numbers, _ = codes(numbered(strings(some["number_kind"]), strings(some["number"])))
    pairs = pd.DataFrame({"number": numbers, "unit": units.unit[rows]}).drop_duplicates()
    shared = pairs[(pairs["number"] >= 0) & pairs.duplicated("number", keep=False)]
    if len(units.apart):
        shared = shared[~_settled(shared, units)]
    return found | dict.fromkeys(shared["unit"].tolist(), NUMBER_SHARED)


def _settled(shared: pd.DataFrame, units: IdentityGroups) -> Flags:
    """Which of these units with a shared number were told apart from all others that have it."""
    two = excluded_groups(units.unit, units.person, units.apart)
    settled = np.zeros(len(shared), dtype=bool)
    for place in np.flatnonzero(shared["unit"].isin({one for one, _ in two})):
        number, unit = shared["number"].iloc[place], shared["unit"].iloc[place]
        others = set(shared.loc[shared["number"] == number, "unit"]) - {unit}
        settled[place] = all((unit, other) in two for other in others)
    return settled


def _joined(human: Ints, person: Ints) -> Ints:
    """Numbers from 0 for the humans; humans that are linked to one person are one."""
    first_rows, unit = np.unique(human, return_inverse=True)
    linked = np.flatnonzero(person >= 0)
    _, inverse, often = np.unique(person[linked], return_inverse=True, return_counts=True)
    again = linked[often[inverse] > 1]
    if len(again):
        parts = UnionFind(len(first_rows))
        for rows in pd.Series(again).groupby(person[again]).agg(list):
            parts.join(unit[rows].tolist())
        unit = np.unique(parts.settled(np.unique(unit[again]).tolist())[unit], return_inverse=True)[1]
    return _by_first_row(unit)


def _by_first_row(unit: Ints) -> Ints:
    if len(unit) < 2 or bool((np.diff(unit) > 0).all()):
        return unit.astype(np.int64)
    _, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Ints = rank[inverse]
    return renumbered


def _places(column: Array, known: dict[str, int] | dict[str | None, int], otherwise: int) -> Ints:
    names = column.dictionary_encode().dictionary.to_pylist()
    numbers, _ = codes(column)
    places: Ints = np.array([*(known.get(name, otherwise) for name in names), otherwise], dtype=np.int64)[numbers]
    return places


def excluded_links(sourced_ids: Array, person: Ints, directory: DirectoryFrames) -> pd.DataFrame:
    """The rows of a roster and the persons they are not: `row`, `person`; few, for each was said by hand.

    person: of each row's link, or -1. A link counts more, should there be both.
    """
    said = directory.apart
    if said.empty:
        return pd.DataFrame({"row": [], "person": []}, dtype=np.int64)
    names, others = strings(said["sourced_id"]), said["person_id"].to_numpy(dtype=np.int64)
    row = positions(names, sourced_ids)
    direct = pd.DataFrame({"row": row, "person": others})[row >= 0]
    links = directory.own_links
    owner = np.append(links["person_id"].to_numpy(dtype=np.int64), -1)[positions(names, strings(links["sourced_id"]))]
    two = pd.DataFrame({"person": owner, "other": others})[owner >= 0]
    follows = _rows_of(person, others).merge(two, on="other")[["row", "person"]]
    pairs = pd.concat([direct, follows], ignore_index=True)
    told: Flags = person[pairs["row"]] != pairs["person"].to_numpy()
    return pairs[told].reset_index(drop=True)


def split_by_exclusions(human: Ints, person: Ints, apart: pd.DataFrame) -> tuple[Ints, Flags]:
    """The humans of the rows where what was said is heeded; and the rows that may be either of two humans.

    A human that holds a record told apart from a person, and a link to that person, is several: each record stands for
    itself, and links alone say which belong together. A record without a link, of which nothing was said, is as much
    the one's as the other's.
    """
    nobody = np.zeros(len(human), dtype=bool)
    if apart.empty:
        return human, nobody
    linked = _rows_of(person, apart["person"].to_numpy(dtype=np.int64)).rename(columns={"other": "person"})
    said = apart.assign(human=human[apart["row"]])
    met = said.merge(linked.assign(human=human[linked["row"]]), on=["human", "person"], suffixes=("", "_linked"))
    alone = np.isin(human, met["human"])
    either = alone & (person < 0)
    either[met["row"]] = False
    return np.where(alone, human.max() + 1 + np.arange(len(human)), human), either


def excluded_groups(unit: Ints, person: Ints, apart: pd.DataFrame) -> Pairs:
    """The pairs of units, in either order, of which one holds a record that is not the other's person."""
    linked = _rows_of(person, apart["person"].to_numpy(dtype=np.int64))
    met = apart.merge(linked, left_on="person", right_on="other", suffixes=("", "_linked"))
    one, other = unit[met["row"]].tolist(), unit[met["row_linked"]].tolist()
    return frozenset([*zip(one, other, strict=True), *zip(other, one, strict=True)])


def _rows_of(person: Ints, others: Ints) -> pd.DataFrame:
    """The rows that are linked to one of these persons: `row`, `other`."""
    row = np.flatnonzero(np.isin(person, others))
    return pd.DataFrame({"row": row, "other": person[row]})
