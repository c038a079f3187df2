"""Slow losses: the people whom the syncs of some weeks archive, compared with how many the role had.

A SIS that drops a class at a time, a filter that narrows, or an export that loses its newest rows stays below every
limit of one night, and the usual size of a role follows it. So the archivals of earlier nights count together with
those of this plan. Only archivals count that nobody looked at: not those by hand or with an approval, and no announced
leavers. People who came back are not lost (`directory/absences.py`).

Everybody counts for `LATELY`. For longer, the students of the highest grade count neither as lost nor as here: in many
schools, a class that graduates leaves one by one, over a month.
"""

from dataclasses import dataclass

import pandas as pd

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.frames import persons_of
from roster_pipeline.planning.snapshot_guards import YEARS
from roster_pipeline.vocabulary import Role

LATELY, LONG = 14, 60
"""The days for which everybody counts, and for which all but the highest grade count. In sixty days, a loss of 0.4 % a
night adds up to the limit, and the usual moves of a year do not."""


@dataclass(frozen=True)
class Loss:
    """people: those of a role whom syncs would have archived within so many days. now: those of them whom this plan
    archives. of: how many the role had in this time. all_grades: whether the highest grade counts."""

    days: int
    people: int
    now: int
    of: int
    all_grades: bool


def losses_of(
    recent: pd.DataFrame, archived: pd.DataFrame, managed: pd.DataFrame, announced: frozenset[int]
) -> dict[str, tuple[Loss, ...]]:
    """The losses of each role of which a plan archives somebody, in both times.

    recent: as `directory/absences.py` returns it. archived: the rows that archive somebody, without announced
    leavers. managed: as in `DirectoryFrames`. announced: leavers who are gone. They count as if they had left before.
    """
    going, left = managed.loc[persons_of(archived)], managed[managed.index.isin(announced)]
    losses: dict[str, tuple[Loss, ...]] = {}
    for role in going["role"].unique().tolist():
        parts = [frame[frame["role"] == role] for frame in (recent, going, left)]
        highest = highest_grade(parts[0]) if role == Role.STUDENT else ""
        others = [part[part["grade"] != highest] for part in parts]
        losses[role] = (_loss(LATELY, *parts, all_grades=True), _loss(LONG, *others, all_grades=not highest))
    return losses


def _loss(days: int, recent: pd.DataFrame, going: pd.DataFrame, left: pd.DataFrame, *, all_grades: bool) -> Loss:
    before = int(recent["lately" if days == LATELY else "long"].sum())
    of = before + int(recent["here"].sum()) - len(left)
    return Loss(days, before + len(going), len(going), of, all_grades)


def highest_grade(recent: pd.DataFrame) -> str:
    """The highest grade of students who are here or lost; "" if they are all in one. One or two people are no grade."""
    people = (recent["here"] + recent["long"]).groupby(recent["grade"]).sum()
    grades = [str(grade) for grade in people.index[people > TOO_FEW] if grade in YEARS]
    return max(grades, key=YEARS.__getitem__) if len(grades) > 1 else ""
