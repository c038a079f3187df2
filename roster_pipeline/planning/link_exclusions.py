"""Records that somebody said are not a person (`roster person unlink`), and what follows from that.

What a person said goes before what numbers, e-mails and names say: the two are two humans, in whatever they agree. And
where the record has become another person's, the two persons are two: no record of the one is the other.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from roster_pipeline.directory_frames import DirectoryFrames
from roster_pipeline.frames import Array, Flags, Ints, positions, strings

Pairs = frozenset[tuple[int, int]]


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
