"""Students who would become staff, and the reverse: these rows wait, even a single one."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import RoleSettings, SchoolSettings
from roster_pipeline_tests.planning.builders import COMPLETE, TODAY, Directory, cleaned, school, user

GUARD = "student_or_staff"
SKIPPING = RoleSettings(rostered=True)


def judged(
    known: dict[str, Any], now: str, elsewhere: dict[str, str] | None = None, settings: SchoolSettings | None = None
) -> tuple[str, Verdict]:
    """The guard of the row of somebody who has these memberships and comes in the role `now`, beside ten others.

    elsewhere: role to status, in another school.
    """
    directory, settings, elsewhere = Directory(), settings or school(), elsewhere or {}
    for role in ("student", "teacher"):
        for place in range(5):
            directory.member(directory.person(f"{role}{place}"), role)
    who = directory.person("one", number_kind="student" if "student" in (*known.values(), *elsewhere) else "staff")
    if known:
        directory.member(who, **known)
    for role, status in elsewhere.items():
        directory.member_elsewhere(who, role, status=status)
    others = [user(f"{role}{place}", role) for role in ("student", "teacher") for place in range(5)]
    told = cleaned([*others, user("one", now)], settings)
    plan = directory.plan([*others, user("one", now)], settings).witnessed(None)
    stats = plan_stats_of(plan, told.roster, told.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    verdict = judge(plan, stats, settings.guards)
    guards = dict(zip(plan.rows["person_id"], verdict.row_guards, strict=True))
    return guards[who], verdict


@pytest.mark.parametrize(
    ("known", "now", "elsewhere", "waits"),
    [
        ({"role": "student"}, "teacher", {}, True),
        ({"role": "student"}, "aide", {}, True),
        ({"role": "student"}, "administrator", {}, True),
        ({"role": "teacher"}, "student", {}, True),
        ({"role": "student", "status": "archived"}, "teacher", {}, True),
        ({}, "teacher", {"student": "active"}, True),
        ({}, "student", {"admin": "active"}, True),
        ({"role": "teacher"}, "administrator", {}, False),
        ({"role": "student"}, "student", {}, False),
        ({"role": "student", "status": "archived"}, "student", {"student": "active"}, False),
        ({"role": "student", "status": "archived"}, "teacher", {"staff": "active"}, False),
        ({}, "teacher", {"student": "archived"}, False),
        ({}, "teacher", {"student": "active", "teacher": "active"}, False),
    ],
)
def test_a_row_waits_if_it_makes_a_student_staff_or_the_reverse(
    known: dict[str, Any], now: str, elsewhere: dict[str, str], waits: bool
) -> None:
    guard, verdict = judged(known, now, elsewhere)
    assert guard == (GUARD if waits else "")
    held = [(line["guard"], line["rows"], line["findings"][0]["overridable"]) for line in verdict.held]
    assert held == ([(GUARD, 1, True)] if waits else [])


def test_a_role_that_does_not_follow_the_roster_does_not_wait() -> None:
    guard, verdict = judged({"role": "student", "grade": "09"}, "teacher", settings=school(teachers=SKIPPING))
    assert (guard, verdict.held) == ("", [])


def test_the_message_says_how_many_in_which_direction() -> None:
    (line,) = judged({"role": "student"}, "teacher")[1].held
    assert line["findings"][0]["message"] == "1 student would get a role of staff. Check their roles in the SIS."
    (line,) = judged({"role": "teacher"}, "student")[1].held
    assert line["findings"][0]["message"] == "1 member of staff would become a student. Check their roles in the SIS."
