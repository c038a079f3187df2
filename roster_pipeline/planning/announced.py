"""Announced leavers: somebody said beforehand that these people leave, so nobody wonders that they are gone.

An announcement archives nobody. Who is still in the roster stays, and the second witness is asked as for everybody. A
person who is announced and absent counts as if they had left already: in no number of a guard. Their archival is held
by what doubts the snapshot, but not by what only counts archivals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from roster_pipeline.frames import Flags, persons_of
from roster_pipeline.vocabulary import ANNOUNCED, ARCHIVE

COUNT_ARCHIVALS = ("archivals", "archive_most")
"""The guards that only count how many people go. They do not hold the archival of an announced leaver."""


def announced_gone(rows: pd.DataFrame, announced: frozenset[int]) -> frozenset[int]:
    """The announced leavers for whom no record of this roster came. rows: of the plan."""
    came = persons_of(rows)[rows["matched_by"].notna().to_numpy(dtype=bool)]
    return announced - frozenset(came.tolist()) if announced else announced


def with_notes(rows: pd.DataFrame, announced: frozenset[int]) -> pd.DataFrame:
    """The rows of a plan with a note on each archival that was announced."""
    here = archivals_of(rows, announced)
    if not here.any():
        return rows
    notes = rows["notes"].astype(object).to_numpy(copy=True)
    notes[here] = ANNOUNCED
    return rows.assign(notes=pd.Series(notes, dtype="str"))


def archivals_of(rows: pd.DataFrame, people: Collection[int]) -> Flags:
    """Which rows of a plan archive one of these people."""
    flags: Flags = (rows["action"] == ARCHIVE).to_numpy(dtype=bool) & np.isin(persons_of(rows), list(people))
    return flags


def usual_sizes(
    history: pd.DataFrame, earlier: Sequence[Mapping[str, Sequence[int]]], gone: Collection[int]
) -> pd.DataFrame:
    """The sizes of earlier snapshots without the announced leavers who are gone now.

    history: one row per snapshot, a column per role. earlier: for each of these snapshots, role to the announced people
    who were members in it.
    """
    left, without = frozenset(gone), history.copy()
    for role in history.columns:
        away = [len(left.intersection(roles.get(str(role), ()))) for roles in earlier]
        without[role] = history[role].to_numpy() - np.array(away)
    return without
