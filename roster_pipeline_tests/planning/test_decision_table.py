"""The decision table, row by row: directory, SIS, expected action and reason."""

from typing import Any

from roster_pipeline.settings.school import RoleSettings
from roster_pipeline_tests.planning.builders import Directory, entry, planned_together, school, tuples, user

AUTO = RoleSettings(rostered=True, auto_update=True, archive=True)
QUIET = RoleSettings(rostered=True)
OFF = RoleSettings()
RENAMED = {"givenName": "Other"}
ELSEWHERE = {"identifier": None, "email": "a@example.org"}

Case = tuple[str, dict[str, Any], dict[str, Any] | None, RoleSettings, str | None, str | None]

PRESENT: list[Case] = [
    # the directory has, its membership, the record says, the students' switches, action, reason
    ("nobody", {}, None, AUTO, "create", "joined"),
    ("nobody", {}, None, QUIET, "create", "joined"),
    ("a person", {}, None, AUTO, "create", "joined_school"),
    ("a person", {}, None, QUIET, "create", "joined_school"),
    ("an active member", {}, None, AUTO, "unchanged", "equal"),
    ("an active member", {}, None, QUIET, "unchanged", "equal"),
    ("an active member", {}, RENAMED, AUTO, "update", "changed"),
    ("an active member", {}, RENAMED, QUIET, "skip", "auto_update_off"),
    ("an active member", {"role": "teacher"}, None, AUTO, "update", "changed"),
    ("an active member", {"role": "teacher"}, None, QUIET, "skip", "auto_update_off"),
    ("an active member", {"role": "staff"}, None, AUTO, "skip", "role_off"),
    ("an active member", {"role": "staff"}, RENAMED, QUIET, "skip", "role_off"),
    ("an active member", {}, {"roles": [entry("aide")]}, AUTO, "skip", "role_off"),
    ("an active member", {}, {"roles": [entry("aide")]}, QUIET, "skip", "role_off"),
    ("an archived member", {}, None, AUTO, "restore", "returned"),
    ("an archived member", {}, RENAMED, QUIET, "restore", "returned"),
    ("a member archived by hand", {}, None, AUTO, "skip", "archived_by_hand"),
    ("a member archived by hand", {}, RENAMED, QUIET, "skip", "archived_by_hand"),
    ("an excluded member", {}, RENAMED, AUTO, "skip", "excluded"),
    ("an excluded member", {}, None, QUIET, "skip", "excluded"),
    ("an excluded person", {}, None, AUTO, "skip", "excluded"),
    ("two people of this number", {}, None, AUTO, "conflict", "several_matches"),
    ("a person of another connection", {}, ELSEWHERE, AUTO, "conflict", "other_connection"),
    ("a member of another connection", {}, None, AUTO, "update", "primary_record_moved"),
    ("a member of another connection", {}, RENAMED, AUTO, "update", "primary_record_moved"),
    ("a member of another connection", {}, RENAMED, QUIET, "update", "primary_record_moved"),
    ("an active member", {}, {"roles": [entry("ext:mascot")]}, AUTO, "skip", "rejected_record"),
    ("an active member", {}, {"status": "paused"}, AUTO, "skip", "rejected_record"),
    ("nobody", {}, {"roles": [entry("aide")]}, AUTO, None, None),
    ("nobody", {}, {"status": "paused"}, AUTO, None, None),
    ("nobody", {}, {"status": "tobedeleted"}, AUTO, None, None),
]


def directory_with(has: str, membership: dict[str, Any]) -> Directory:
    """The directory of a case."""
    directory = Directory()
    if has == "nobody":
        return directory
    if has == "two people of this number":
        for _ in range(2):
            directory.person(number="N-a", given_name="Givena", family_name="Familya")
        return directory
    who = directory.person("a", excluded="excluded" in has, email=ELSEWHERE["email"] if "another" in has else None)
    if "another" in has:
        directory.links[0].update(sourced_id="far", connection_id=2)
        directory.people[who]["number_connection_id"] = 2
        directory.elsewhere(who, 2, since=200)
    if has == "a member of another connection":
        directory.link(who, "a")
    if "member" in has:
        directory.member(who, **membership)
    if "archived" in has:
        directory.members[who].update(status="archived", archived_by="hand" if "hand" in has else "sync")
    return directory


def test_what_happens_to_a_human_of_the_roster() -> None:
    for students in (AUTO, QUIET):
        cases = [case for case in PRESENT if case[3] == students]
        worlds = [(directory_with(*case[:2]), [user("a") | (case[2] or {})]) for case in cases]
        for case, rows in zip(cases, planned_together(worlds, school(students=students, staff=OFF)), strict=True):
            assert [(row["action"], row["reason"]) for row in rows] == ([] if case[4] is None else [case[4:]]), case


GONE: list[tuple[dict[str, Any] | None, str]] = [
    # the record says, if it comes at all; why the person is archived
    (None, "left"),
    ({"status": "tobedeleted"}, "tobedeleted"),
    ({"status": "inactive"}, "tobedeleted"),
    ({"status": "tobedeleted", "givenName": None, "familyName": None}, "tobedeleted"),
    ({"roles": []}, "no_org"),
    ({"roles": [entry("student", None)]}, "no_org"),
    ({"roles": [entry("student", "s2")]}, "moved_school"),
    ({"roles": [entry("student", end="2026-03-01")]}, "role_ended"),
    ({"roles": [entry("student", begin="2026-03-03")]}, "role_not_begun"),
]


def test_who_is_gone_is_archived_and_the_plan_says_why() -> None:
    cases = [(directory_with("an active member", {}), [user("a") | says] if says else []) for says, _ in GONE]
    for students, off in ((AUTO, None), (QUIET, ("skip", "archive_off"))):
        told = planned_together(cases, school(students=students))
        found = [[(row["action"], row["reason"], row["sourced_ids"]) for row in rows] for rows in told]
        assert found == [[(*(off or ("archive", reason)), ["a"])] for _, reason in GONE]


def test_nobody_is_archived_who_is_not_managed_or_excluded_or_whose_role_is_off() -> None:
    directory = Directory()
    directory.member(directory.person(), managed=False)
    assert directory.plan([]).rows.empty
    excluded = directory_with("an excluded member", {}).plan([]).rows
    assert [(row.action, row.reason) for row in tuples(excluded)] == [("skip", "excluded")]
    for users in ([], [user("a")]):
        assert directory_with("an active member", {}).plan(users, school(students=OFF)).rows.empty


def test_a_school_may_let_the_sync_restore_what_was_archived_by_hand() -> None:
    directory = directory_with("a member archived by hand", {})
    plan = directory.plan([user("a")], school(restore_archived_by_hand=True))
    assert [(row.action, row.reason) for row in tuples(plan.rows)] == [("restore", "returned_by_hand")]


def test_fields_of_a_known_person_follow_only_with_auto_update_on() -> None:
    for has in ("a person", "an archived member"):
        loud = directory_with(has, {}).plan([user("a") | RENAMED]).rows["changes"].iloc[0]
        quiet = directory_with(has, {}).plan([user("a") | RENAMED], school(students=QUIET)).rows["changes"].iloc[0]
        assert loud["given_name"] == ["Givena", "Other"]
        assert "given_name" not in quiet


def test_a_skipped_row_says_what_would_change() -> None:
    directory = directory_with("an active member", {})
    row = directory.plan([user("a") | RENAMED], school(students=QUIET)).rows.iloc[0]
    assert row["changes"] == {"given_name": ["Givena", "Other"]}
