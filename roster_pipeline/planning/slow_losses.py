"""Slow losses: the people whom the syncs of some weeks archive, compared with how many the role had.

A SIS that drops a class at a time, a filter that narrows, or an export that loses its newest rows stays below every
limit of one night, and the usual size of a role follows it. So the archivals of earlier nights count together with
those of this plan. Only archivals count that nobody looked at: not those by hand or with an approval, and no announced
leavers. People who came back are not lost (`directory/absences.py`).

Everybody counts for `LATELY`. For longer, the students of the highest grade count neither as lost nor as here: in many
schools, a class that graduates leaves one by one, over a month.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.frames import persons_of
from roster_pipeline.identity.directory_frames import numbers_of
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
    recent: Sequence[Sequence[Any]], archived: pd.DataFrame, managed: pd.DataFrame, announced: frozenset[int]
) -> dict[str, tuple[Loss, ...]]:
    """The losses of each role of which a plan archives somebody, in both times.

    recent: as `directory/absences.py` returns it. archived: the rows that archive somebody, without announced
    leavers. managed: as in `DirectoryFrames`. announced: leavers who are gone. They count as if they had left before.
    """
    going, left = (_by_grade(managed, people) for people in (persons_of(archived).tolist(), list(announced)))
    losses: dict[str, tuple[Loss, ...]] = {}
    for role in dict.fromkeys(role for role, _ in going):
        lines = [line for line in recent if line[0] == role]
        highest = highest_grade(lines) if role == Role.STUDENT else ""
        losses[role] = (_loss(LATELY, role, "", lines, going, left), _loss(LONG, role, highest, lines, going, left))
    return losses


def _by_grade(managed: pd.DataFrame, people: list[int]) -> Counter[tuple[str, Any]]:
    """How many of these people there are by role and grade."""
    theirs = np.isin(numbers_of(managed.index), people)
    return Counter(zip(managed["role"].array[theirs], managed["grade"].array[theirs], strict=True))


def _loss(days: int, role: str, highest: str, lines: Sequence[Sequence[Any]], *plans: Counter[tuple[str, Any]]) -> Loss:
    """highest: the grade that does not count, if there is one. plans: who goes now, and who was announced."""
    lines = [line for line in lines if not highest or line[1] != highest]
    now, left = (
        sum(many for (of, grade), many in plan.items() if of == role and not (highest and grade == highest))
        for plan in plans
    )
    before = sum(lately if days == LATELY else long for *_, lately, long in lines)
    return Loss(days, before + now, now, before + sum(line[2] for line in lines) - left, not highest)


def highest_grade(lines: Sequence[Sequence[Any]]) -> str:
    """The highest grade of students who are here or lost; "" if they are all in one. One or two people are no grade."""
    people: Counter[str] = Counter()
    for _, grade, here, _, long in lines:
        people[grade] += here + long
    grades = [grade for grade, many in people.items() if many > TOO_FEW and grade in YEARS]
    return max(grades, key=YEARS.__getitem__) if len(grades) > 1 else ""
