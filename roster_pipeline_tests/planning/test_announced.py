"""Announced leavers: guards do not count them once they are gone, and nothing else changes."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan import Plan, make_plan, usual_sizes
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, Directory, cleaned, school, tuples, user

MANY = 60
NOBODY = pd.DataFrame(
    {name: pd.Series(dtype="str") for name in ("collection", "sourced_id", "rule", "severity", "role")}
)
NO_HISTORY = pd.DataFrame()


def _night(
    gone: int,
    announced: int,
    *,
    history: pd.DataFrame = NO_HISTORY,
    settings: SchoolSettings | None = None,
    answers: dict[str, str] | None = None,
    **snapshot: Any,
) -> tuple[Plan, Verdict]:
    """A school of sixty students: the first `gone` are absent, the first `announced` were announced as leavers."""
    directory, settings = Directory(), settings or school()
    people = [directory.member(directory.person(f"s{number}")) for number in range(MANY)]
    frames = replace(directory.frames(), announced=frozenset(people[:announced]))
    roster = cleaned([user(f"s{number}") for number in range(gone, MANY)], settings).roster
    facts = replace(COMPLETE, **snapshot)
    plan = make_plan(roster, frames, settings, facts)
    plan = plan.witnessed(answers if answers is not None else dict.fromkeys(plan.asked, "gone"))
    return plan, judge(plan, plan_stats_of(plan, roster, NOBODY, frames, facts, history, TODAY), settings.guards)


def _archivals(judged: Verdict) -> dict[str, tuple[str, int, list[str]]]:
    """The archivals of students: guard of the line ("" for the rest) to verdict, rows, and the guards that hold it."""
    rows = judged.rows[(judged.rows["role"] == "student") & (judged.rows["action"] == "archive")]
    return {
        line.guard: (line.verdict, line.rows, [finding["guard"] for finding in line.findings]) for line in tuples(rows)
    }


Line = tuple[str, int, list[str]]
GO: Line = ("pass", 30, [])
INCOMPLETE = ["incomplete_snapshot"]
OFF = school(students={"rostered": True, "auto_update": True})
CASES: dict[str, tuple[int, int, dict[str, Any], Line, Line | None]] = {
    "thirty who were announced go": (30, 30, {}, ("pass", 0, []), GO),
    "thirty whom nobody announced are held": (30, 0, {}, ("hold", 30, ["archivals"]), None),
    "others are held by their own share, and do not hold the announced": (36, 30, {}, ("hold", 6, ["archivals"]), GO),
    "few others pass": (33, 30, {}, ("pass", 3, []), GO),
    "whoever is still in the roster stays": (0, 30, {}, ("pass", 0, []), None),
    "an incomplete snapshot archives nobody": (
        30, 30, {"complete": False}, ("hold", 0, INCOMPLETE), ("hold", 30, INCOMPLETE)
    ),
    "a school that does not look like itself is held, the announced too": (
        50, 10, {}, ("hold", 40, ["people_missing", "archivals"]), ("hold", 10, ["people_missing"])
    ),
    "archive off archives nobody": (30, 30, {"settings": OFF}, ("pass", 0, []), None),
}  # fmt: skip
"""Cases: who is gone, who was announced, more facts of the night; then the line of the others, and the line of the
announced."""


@pytest.mark.parametrize(("gone", "announced", "night", "others", "expected"), CASES.values(), ids=CASES)
def test_what_an_announcement_does_to_the_guards(
    gone: int, announced: int, night: dict[str, Any], others: Line, expected: Line | None
) -> None:
    _, judged = _night(gone, announced, **night)
    assert _archivals(judged) == {"": others} | ({"announced": expected} if expected else {})


def test_the_sis_still_answers_for_announced_people_without_doubt_for_the_others() -> None:
    here = {f"s{number}": "here" for number in range(5)}
    plan, judged = _night(6, 5, answers=here | {"s5": "gone"})
    assert plan.rows["reason"].value_counts()["sis_still_answers"] == 5, "they stay"
    assert _archivals(judged) == {"": ("pass", 1, [])}
    _, judged = _night(6, 0, answers=here | {"s5": "gone"})
    assert "witness" in _archivals(judged)[""][2]


def test_the_archival_says_that_it_was_announced() -> None:
    plan, _ = _night(2, 1)
    rows = plan.rows[plan.rows["action"] == "archive"].set_index("person_id")
    assert rows["notes"].fillna("").to_dict() == {1: "announced", 2: ""}
    assert rows["reason"].tolist() == ["left", "left"]


def test_a_role_of_which_everybody_was_announced_may_be_empty() -> None:
    _, judged = _night(MANY, MANY, history=pd.DataFrame({"student": [0.0, 0.0]}))
    assert _archivals(judged) == {"": ("pass", 0, []), "announced": ("pass", MANY, [])}
    _, judged = _night(MANY, 0)
    assert _archivals(judged)[""][0] == "hold"


def test_earlier_sizes_are_counted_without_those_who_have_gone() -> None:
    history = pd.DataFrame({"student": [60.0, 60.0, 30.0], "teacher": [5.0, 5.0, 5.0]}, index=[11, 12, 13])
    earlier = [{"student": [1, 2, 3]}, {"student": [2, 3, 9]}, {}]
    without = usual_sizes(history, earlier, {1, 2, 3})
    assert without["student"].tolist() == [57.0, 58.0, 30.0]
    assert without["teacher"].tolist() == [5.0, 5.0, 5.0]
    assert history["student"].tolist() == [60.0, 60.0, 30.0]
