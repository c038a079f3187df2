"""Students who would become staff, the reverse, and contacts who would become members: these rows wait, even one."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.guards import Verdict, judge
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import Guards, RoleSettings, SchoolSettings
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


@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("stored", ["contact_sourced_id", "more_contacts"])
@pytest.mark.parametrize(
    ("status", "still", "waits"),
    [("active", "", True), ("active", "contact_sourced_id", False), ("active", "more_contacts", False),
     ("archived", "", False)],
    ids=["a contact", "still the contact", "still a later contact", "of a student who left"],
)  # fmt: skip
def test_a_contact_who_becomes_a_member_waits(role: str, stored: str, status: str, still: str, *, waits: bool) -> None:
    """stored: where the contact is stored. still: where it is in the roster, too."""
    ids = {"contact_sourced_id": "parent", "more_contacts": '[["parent", "Ada", "Oduya", null, null, null, null]]'}
    directory, settings = Directory(), school(primary_contacts=True)
    students = [directory.person(f"student{place}") for place in range(5)]
    for who in students:
        directory.member(who, "student", status if who == students[0] else "active")
    directory.members[students[0]][stored] = ids[stored]
    users = [*(user(f"student{place}") for place in range(5)), user("parent", role), user("another", role)]
    told = cleaned(users, settings)
    told.roster.loc[told.roster["sourced_id"] == "student1", ["contact_sourced_id", "contact_given_name"]] = "another"
    if still:
        told.roster.loc[told.roster["sourced_id"] == "student0", still] = ids[still]
    plan = make_plan(told.roster, directory.frames(), settings, COMPLETE)
    stats = plan_stats_of(plan, told.roster, told.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    verdict = judge(plan, stats, Guards(create_share=1))
    guards = dict(zip((ids[0] for ids in plan.rows["sourced_ids"]), verdict.row_guards, strict=True))
    assert (guards["parent"], guards["another"]) == (GUARD * waits, "")
    assert guards["student0"] == GUARD * waits, "without the stored contact, the newcomer would pass on the next night"
    said = "1 contact of students would become a member of the school. Check their roles in the SIS."
    held = [(line["action"], finding["message"]) for line in verdict.held for finding in line["findings"]]
    assert sorted(held) == [("create", said), ("update", said)] * waits


@pytest.mark.parametrize(
    ("earlier", "now", "still", "said"),
    [
        ("contact", "student", False, "1 contact of students would become a member of the school"),
        ("contact", "teacher", False, "1 contact of students would become a member of the school"),
        ("contact", "teacher", True, ""),
        ("teacher", "student", False, "1 member of staff would become a student"),
        ("student", "aide", False, "1 student would get a role of staff"),
        ("teacher", "aide", False, ""),
        ("student", "student", False, ""),
    ],
)
def test_somebody_new_waits_if_they_had_a_role_of_another_kind(
    earlier: str, now: str, said: str, *, still: bool
) -> None:
    """earlier: a role that was not rostered in an earlier list. still: the record is a contact of a student."""
    directory, settings = Directory(), school(primary_contacts=True)
    for place in range(5):
        directory.member(directory.person(f"student{place}"), "student")
    users = [*(user(f"student{place}") for place in range(5)), user("one", now), user("another", now)]
    told = cleaned(users, settings)
    if still:
        told.roster.loc[told.roster["sourced_id"] == "student1", "contact_sourced_id"] = "one"
    plan = make_plan(told.roster, directory.frames(), settings, COMPLETE)
    stats = plan_stats_of(
        plan, told.roster, told.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY,
        not_rostered={"one": [earlier], "somebody": ["contact"]},
    )  # fmt: skip
    verdict = judge(plan, stats, Guards(create_share=1))
    guards = dict(zip((ids[0] for ids in plan.rows["sourced_ids"]), verdict.row_guards, strict=True))
    assert (guards["one"], guards["another"]) == (GUARD if said else "", "")
    told_to_owners = [finding["message"] for line in verdict.held for finding in line["findings"]]
    assert told_to_owners == [f"{said}. Check their roles in the SIS."] * bool(said)
