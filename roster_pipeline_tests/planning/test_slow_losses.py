"""Slow losses: who counts as lost in two weeks and in two months, and of how many."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.slow_losses import Loss, highest_grade, losses_of

Line = tuple[str, str | None, int, int, int]
"""role, grade, people here, lost in two weeks, lost in two months."""


def losses(lines: list[Line], going: list[tuple[str, str | None]], announced: int = 0) -> dict[str, tuple[Loss, ...]]:
    """The plan archives somebody of each of these roles and grades; the last ones were announced."""
    managed = pd.DataFrame(going, columns=["role", "grade"], index=range(1, len(going) + 1)).astype("str")
    surprising = len(going) - announced
    archived = pd.DataFrame({"person_id": pd.array(range(1, surprising + 1), dtype="Int64")})
    return losses_of(lines, archived, managed, frozenset(managed.index[surprising:]))


NINE, TEN, ELEVEN = (("student", grade) for grade in ("09", "10", "11"))
SCHOOL: list[Line] = [(*NINE, 100, 5, 10), (*TEN, 100, 0, 20), (*ELEVEN, 50, 30, 50)]
CASES: dict[str, tuple[list[Line], list[Any], int, tuple[Loss, Loss]]] = {
    "the highest grade counts for two weeks only": (
        SCHOOL, [NINE, TEN], 0, (Loss(14, 37, 2, 285, True), Loss(60, 32, 2, 230, False))
    ),
    "those of the highest grade who go now too": (
        SCHOOL, [NINE, ELEVEN], 0, (Loss(14, 37, 2, 285, True), Loss(60, 31, 1, 230, False))
    ),
    "announced leavers count neither as lost nor as here": (
        SCHOOL, [NINE, NINE, ELEVEN], 2, (Loss(14, 36, 1, 283, True), Loss(60, 31, 1, 229, False))
    ),
    "one grade alone is not the highest": (
        [(*NINE, 100, 5, 10)], [NINE], 0, (Loss(14, 6, 1, 105, True), Loss(60, 11, 1, 110, True))
    ),
    "students without a grade count": (
        [*SCHOOL, ("student", None, 10, 1, 2)], [("student", None)], 0,
        (Loss(14, 37, 1, 296, True), Loss(60, 33, 1, 242, False)),
    ),
}  # fmt: skip
"""Cases: the lines, who goes now, how many of them were announced; the losses of students."""


@pytest.mark.parametrize(("lines", "going", "announced", "expected"), CASES.values(), ids=CASES)
def test_who_is_lost_and_of_how_many(
    lines: list[Line], going: list[Any], announced: int, expected: tuple[Loss, Loss]
) -> None:
    assert losses(lines, going, announced) == {"student": expected}


def test_only_roles_that_lose_somebody_now_are_counted_and_only_students_have_a_highest_grade() -> None:
    lines: list[Line] = [("teacher", "09", 10, 2, 3), ("teacher", "12", 10, 2, 3), *SCHOOL]
    assert losses(lines, [("teacher", "12")]) == {
        "teacher": (Loss(14, 5, 1, 24, True), Loss(60, 7, 1, 26, True)),
    }


@pytest.mark.parametrize(
    ("grades", "highest"),
    [
        ({"09": 3, "10": 3}, "10"),
        ({"KG": 3, "PK": 3}, "KG"),
        ({"09": 3, "10": 2}, ""),
        ({"09": 3, "10": 3, "13": 2}, "10"),
        ({"09": 3, "10": 3, "UG": 30}, "10"),
        ({}, ""),
    ],
    ids=["by year", "before the first year", "one grade", "one or two are no grade", "no year", "nobody"],
)
def test_which_grade_is_the_highest(grades: dict[str, int], highest: str) -> None:
    here = [("student", grade, many, 0, 0) for grade, many in grades.items()]
    gone = [("student", grade, 0, 0, many) for grade, many in grades.items()]
    assert highest_grade(here) == highest_grade(gone) == highest
