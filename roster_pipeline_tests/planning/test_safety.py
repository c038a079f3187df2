"""Ways in which somebody might be archived by mistake, one by one: a person who may still be there stays."""

from itertools import product
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import Plan, make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline.settings.school import Guards, RoleSettings
from roster_pipeline_tests.planning.builders import (
    COMPLETE,
    HERE,
    SIS,
    TODAY,
    Directory,
    allows,
    cleaned,
    entry,
    planned_together,
    school,
    user,
)

MAIL = "ann@example.org"
ANN = {"given_name": "Ann", "family_name": "Lee"}
RECORD: dict[str, Any] = {"givenName": "Ann", "familyName": "Lee", "identifier": None}
LOGIN = {"number": "7", "email": MAIL, "username": "alee"}
ANEW = {"identifier": "8", "email": "ray@example.org", "username": "alee"}
DELTA = SnapshotFacts(complete=True, mode="delta")


def ann(**fields: Any) -> Directory:
    """Somebody whose sourcedId `old` is no longer in any list."""
    directory = Directory()
    directory.member(directory.person("old"))
    directory.people[1].update(ANN | {"number": None} | fields)
    return directory


def fate(plan: Plan, who: int = 1) -> tuple[str, str] | None:
    """Action and reason of a person, after the SIS answered 404 for every old id; None without a row."""
    answers = {str(one): "gone" for ids in plan.absent["sourced_ids"] for one in ids}
    rows = plan.witnessed(answers).rows
    rows = rows[rows["person_id"] == who]
    return None if rows.empty else (str(rows["action"].iloc[0]), str(rows["reason"].iloc[0]))


def test_two_new_records_with_the_number_of_somebody_whose_old_id_is_gone_archive_nobody() -> None:
    directory = ann(number="7")
    records = [user("x", identifier="7", givenName="Ann", familyName="Lee"), user("y", identifier="7")]
    for _ in range(2):
        plan = directory.plan(records)
        assert fate(plan) == ("skip", "in_conflict")
        assert list(plan.rows.loc[plan.rows["action"] == "conflict", "reason"]) == ["number_shared"] * 2
        directory.apply(plan)


def test_whom_a_record_of_this_snapshot_may_be_stays_whoever_that_record_was_taken_for() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        ({"number": "7"}, {"identifier": "7", "givenName": "Eva", "familyName": "Ray"}, True),
        ({"number": "7", "number_kind": "staff"}, {"identifier": "7", "givenName": "Eva", "familyName": "Ray"}, False),
        ({"number": "7", "number_connection_id": 2}, {"identifier": "7", "givenName": "Eva"}, False),
        ({"number": "7", "email": MAIL}, {"identifier": "8", "email": MAIL}, True),
        ({"number": "7", "email": MAIL.upper()}, {"identifier": "8", "email": MAIL}, True),
        ({"number": "7", "email": MAIL}, {"identifier": "8", "email": MAIL, "givenName": "Eva"}, False),
        ({"number": "7", "email": MAIL}, {"identifier": "8", "email": MAIL, "familyName": "Ray"}, False),
        ({"number": "7", "email": MAIL}, {"identifier": "8", "email": MAIL, "givenName": None}, True),
        ({"number": "7", "email": MAIL}, {"identifier": "8"}, False),
        ({"number": "7"}, {"email": MAIL}, True),
        ({"email": MAIL}, {"identifier": "8"}, True),
        ({}, {"identifier": "8", "email": MAIL}, True),
        ({}, {"givenName": "ANN", "familyName": "Lée"}, True),
        ({}, {"givenName": "Eva"}, False),
        ({}, {"familyName": "Ray"}, False),
        ({"email": MAIL}, {"email": "other@example.org"}, False),
        ({"email": MAIL}, {"email": "ann@other.org"}, True),
        ({"email": MAIL}, {"email": "ann+sis@example.org"}, True),
        ({"email": "Ann+old@example.org"}, {"email": "a.nn@other.org"}, True),
        ({"email": MAIL}, {"email": "ann+sis@example.org", "givenName": "Anne"}, False),
        ({"email": MAIL}, {"email": "anne+ann@example.org"}, False),
        ({"number": "7", "email": MAIL}, {"identifier": "8", "email": "other@example.org"}, False),
        ({}, {"givenName": "Lee", "familyName": "Ann"}, True),
        ({"email": MAIL}, {"givenName": "Lee", "familyName": "Ann", "email": "other@example.org"}, False),
        ({}, {"givenName": None, "familyName": "Ann Lee"}, True),
        ({}, {"givenName": "Lee, Ann", "familyName": None}, True),
        ({"email": MAIL}, {"givenName": None, "familyName": "Lee Ann", "email": MAIL}, True),
        ({"given_name": None}, {"givenName": None}, True),
        ({"family_name": None}, {"givenName": None, "familyName": "Ann"}, True),
        ({"family_name": None}, {}, False),
        ({}, {"givenName": None}, False),
        (LOGIN, {**ANEW, "familyName": "Ray"}, True),
        (LOGIN, {**ANEW, "givenName": "Andy"}, True),
        (LOGIN, {**ANEW, "familyName": "Ray", "username": "ALee"}, True),
        (LOGIN, {**ANEW, "familyName": "Ray", "email": MAIL}, True),
        (LOGIN, ANEW, True),
        (LOGIN, {**ANEW, "familyName": "Ray", "givenName": "Eva"}, False),
        (LOGIN, {**ANEW, "familyName": "Ray", "username": "alee2"}, False),
        (LOGIN, {**ANEW, "familyName": "Ray", "roles": [entry("teacher")]}, False),
        ({**LOGIN, "username": MAIL}, {**ANEW, "familyName": "Ray", "username": MAIL}, True),
        ({**LOGIN, "username": MAIL}, {**ANEW, "givenName": "Bo", "username": MAIL, "email": MAIL}, False),
        ({**LOGIN, "username": "taken"}, {**ANEW, "familyName": "Ray", "username": "taken"}, False),
    ]
    worlds = []
    for person, record, _ in cases:
        directory = ann(**person)
        directory.member(directory.person("taken", given_name="Zoe", family_name="Zed"))
        worlds.append((directory, [user("taken", **(RECORD | record))]))
    for (person, record, stays), rows in zip(cases, planned_together(worlds), strict=True):
        (fate_of_ann,) = [(row["action"], row["reason"]) for row in rows if row["person_id"] == 1]
        assert fate_of_ann == (("skip", "in_conflict") if stays else ("archive", "left")), (person, record)


MIDDLES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"middle_name": "Marie"}, {"givenName": "Anna Marie"}, False),
    ({"middle_name": "Marie"}, {"givenName": "Ann Marie"}, True),
    ({"given_name": "Ann Marie"}, {"middleName": "Marie"}, True),
    ({"family_name": "van Lee"}, {"middleName": "van"}, True),
    ({"given_name": "Ann Marie"}, {"middleName": "Rose"}, False),
    ({"number": "7", "email": MAIL, "middle_name": "Marie"}, {"email": MAIL, "givenName": "Ann-Marie"}, True),
    ({"number": "7", "email": MAIL, "middle_name": "Rose"}, {"email": MAIL, "givenName": "Ann Marie"}, False),
]


@pytest.mark.parametrize(("person", "record", "same"), MIDDLES)
def test_a_middle_name_may_stand_in_one_field_with_another_name(
    person: dict[str, Any], record: dict[str, Any], same: bool
) -> None:
    told = RECORD | record
    directory = ann(**person)
    directory.member(directory.person("taken", given_name="Zoe", family_name="Zed"))
    assert fate(directory.plan([user("taken", **told)])) == (("skip", "in_conflict") if same else ("archive", "left"))
    directory = Directory()
    directory.person(**{"email": MAIL, "given_name": "Ann", "family_name": "Lee"} | person)
    (row,) = directory.plan([user("new", **told | {"email": MAIL, "identifier": None})]).rows.to_dict("records")
    assert row["reason"] == ("joined_school" if same else "match_contradicted")


@pytest.mark.parametrize(("grade", "stays"), [("12", True), ("10", True), ("09", False)])
def test_a_user_name_of_a_leaver_that_a_younger_brother_gets_says_nothing(grade: str, stays: bool) -> None:
    directory = ann(**LOGIN)
    directory.members[1]["grade"] = "12"
    brother = user("new", **(RECORD | ANEW | {"givenName": "Bo", "grades": [grade]}))
    for _ in range(2):
        plan = directory.plan([brother])
        assert fate(plan) == (("skip", "in_conflict") if stays else ("archive", "left"))
        if stays:
            directory.apply(plan)


@pytest.mark.parametrize(("many", "stays"), [(3, True), (4, False)])
def test_a_user_name_of_many_keeps_nobody(many: int, stays: bool) -> None:
    names = ("Ann", "Eva", "Ida", "Zoe")[:many]
    records = [user(f"x{name}", **ANEW | {"identifier": name, "email": None, "givenName": name}) for name in names]
    assert fate(ann(**LOGIN).plan(records)) == (("skip", "in_conflict") if stays else ("archive", "left"))


def test_a_twin_with_the_same_email_who_leaves_takes_nothing_of_the_other_with_them() -> None:
    cases = list(product((True, False), ("own", MAIL, None), (True, False), (["tom"], ["new"], ["tom", "new"])))
    told = planned_together(_twins(*case) for case in cases)
    for (numbers, _, _, ids), rows in zip(cases, told, strict=True):
        fates = {row["person_id"]: (row["action"], row["reason"]) for row in rows}
        assert fates[1] == ("archive", "left")
        if numbers or "tom" in ids:
            (tom,) = (row for row in rows if row["person_id"] != 1)
            assert (tom["person_id"], tom["action"]) == (2, "update")
            assert not {"given_name", "number", "username", "middle_name"} & set(tom["changes"])
        else:
            assert fates[2] == ("conflict", "match_contradicted"), "an e-mail of two people tells nobody"


def _twins(numbers: bool, login: str | None, middle: bool, ids: list[str]) -> tuple[Directory, list[dict[str, Any]]]:
    """Tim and Tom, of whom only Tom comes, with these ids. login: a user name of their own, or of both."""
    directory = Directory()
    for place, given in enumerate(("Tim", "Tom")):
        username = given.lower() if login == "own" else login
        names = {"given_name": given, "family_name": "Lee", "middle_name": "AB"[place] if middle else None}
        who = directory.member(directory.person(given.lower(), email=MAIL, username=username, **names), grade="05")
        directory.people[who]["number"] = str(place) if numbers else None
    tom: dict[str, Any] = {
        "givenName": "Tom",
        "familyName": "Lee",
        "email": MAIL,
        "username": username,
        "grades": ["05"],
    }
    tom |= {"identifier": "1" if numbers else None, "middleName": "B" if middle else None}
    return directory, [user(one, **tom) for one in ids]


def test_a_family_whose_children_share_an_email_gets_no_second_person_for_a_new_id() -> None:
    directory = ann(email=MAIL)
    children = [user("x", **RECORD, email=MAIL), user("y", **(RECORD | {"givenName": "Bo"}), email=MAIL)]
    for _ in range(2):
        plan = directory.plan(children)
        assert fate(plan) == ("conflict", "match_contradicted")
        directory.apply(plan)


@pytest.mark.parametrize(
    "state",
    [
        {"status": "weird", "familyName": "Ray"},
        {"givenName": None, "familyName": None},
        {"givenName": "x" * 300},
        {"roles": [entry("ext:robot")]},
    ],
)
def test_a_record_under_a_new_id_that_cannot_be_used_still_speaks_for_somebody(state: dict[str, Any]) -> None:
    record = user("new", "teacher", **(RECORD | {"identifier": "7"} | state))
    directory = ann(number="7", number_kind="staff")
    directory.members[1]["role"] = "teacher"
    told = fate(directory.plan([record]))
    assert told in (("skip", "in_conflict"), ("skip", "rejected_record"))


def test_a_record_turned_away_at_the_door_makes_an_older_version_that_is_gone_doubtful() -> None:
    directory = ann()
    older = user("old", **RECORD, status="tobedeleted")
    rejected_at_ingest = pd.DataFrame(
        {"collection": ["users"], "sourced_id": ["old"], "field": ["roles"], "rule": ["x"], "severity": ["error"]}
    )
    for snapshot in (DELTA, COMPLETE):
        roster = cleaned([older], rejected_at_ingest=rejected_at_ingest).roster
        assert fate(make_plan(roster, directory.frames(), school(), snapshot)) == ("skip", "rejected_record")
        assert fate(directory.plan([older], snapshot=snapshot)) == ("archive", "tobedeleted")


LOOKS_LIKE_LEAVING: dict[str, list[dict[str, Any]]] = {
    "twice, the older deleted": [user("old", **RECORD, status="active"), user("old", **RECORD, status="tobedeleted")],
    "login off": [user("old", **RECORD, enabledUser=False)],
    "unknown status": [user("old", **RECORD, status="nonsense")],
    "nameless": [user("old", **(RECORD | {"givenName": None, "familyName": None}))],
    "now a teacher": [user("old", "teacher", **RECORD)],
    "now a parent": [user("old", "parent", **RECORD)],
    "a role nobody maps": [user("old", "ext:robot", **RECORD)],
    "first and last day": [user("old", **RECORD, roles=[entry(begin="2026-03-02", end="2026-03-02")])],
    "in two schools": [user("old", **RECORD, roles=[entry(org="s2"), entry()])],
    "blanks around the school": [user("old", **RECORD, roles=[entry(org=f" {HERE} ")])],
}


def test_what_only_looks_like_leaving_archives_nobody() -> None:
    for records in LOOKS_LIKE_LEAVING.values():
        for record, stamp in zip(records, ("2026-02-02T00:00:00Z", "2026-01-01T00:00:00Z"), strict=False):
            record["dateLastModified"] = stamp
    told = planned_together((ann(email=MAIL), records) for records in LOOKS_LIKE_LEAVING.values())
    for what, (row,) in zip(LOOKS_LIKE_LEAVING, told, strict=True):
        assert row["action"] != "archive", what


@pytest.mark.parametrize("status", ["inactive", "Inactive", " tobedeleted "])
def test_what_the_standards_call_gone_is_gone_and_says_so(status: str) -> None:
    assert fate(ann().plan([user("old", **RECORD, status=status)])) == ("archive", "tobedeleted")


def test_a_disabled_login_means_gone_only_if_the_connection_says_so() -> None:
    record = user("old", **RECORD, enabledUser=False)
    gone = SIS.model_copy(update={"disabled_means_gone": True})
    roster = cleaned([record], connection=gone).roster
    assert fate(make_plan(roster, ann().frames(), school(), COMPLETE)) == ("archive", "disabled")
    assert fate(ann().plan([record])) == ("update", "changed")


@pytest.mark.parametrize("number", ["7", None])
def test_ids_that_only_change_their_case_archive_nobody(number: str | None) -> None:
    told = fate(ann(number=number).plan([user("OLD", **(RECORD | {"identifier": number}))]))
    assert told == ("update", "relinked")


def test_a_school_that_changes_its_id_archives_nobody_for_the_old_one() -> None:
    directory = Directory()
    for one in "abcdef":
        directory.member(directory.person(one))
    plan = directory.plan([user(one, roles=[entry(org="s1-new")]) for one in "abcdef"])
    assert set(plan.rows["reason"]) == {"moved_school"}
    roster = cleaned([user(one, roles=[entry(org="s1-new")]) for one in "abcdef"]).roster
    none = cleaned([]).rejected
    facts = plan_stats_of(plan, roster, none, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    verdict = judge(plan, facts, Guards())
    assert not allows(verdict, "student", "archive")
    assert {finding["guard"] for row in verdict.held for finding in row["findings"]} >= {"empty_role"}


def test_a_student_who_becomes_a_teacher_under_a_new_id_the_same_sync_waits_until_somebody_says_so() -> None:
    directory = ann(number="7", email=MAIL)
    record = user("new", "teacher", **(RECORD | {"identifier": "T-1"}), email=MAIL)
    assert fate(directory.plan([record])) == ("conflict", "match_contradicted")
    directory.link(1, "new", confirmed=True)
    plan = directory.plan([record])
    assert fate(plan) == ("update", "changed")
    directory.apply(plan)
    assert [member["role"] for member in directory.members.values()] == ["teacher"]


def test_a_teacher_whose_new_role_is_not_rostered_is_not_archived_with_the_teachers() -> None:
    directory = ann()
    directory.members[1]["role"] = "teacher"
    wish = school(staff=RoleSettings(rostered=False))
    assert fate(directory.plan([user("old", "aide", **RECORD)], wish)) == ("skip", "role_off")


def test_a_stamp_in_the_future_lets_no_older_version_win() -> None:
    ahead = user("old", **RECORD, dateLastModified="2062-01-01T00:00:00Z")
    behind = user("old", **RECORD, status="tobedeleted", dateLastModified="2026-03-01T23:59:59-12:00")
    for order in ([ahead, behind], [behind, ahead]):
        told = fate(ann().plan(order))
        assert told is not None
        assert told[0] != "archive"


def test_an_incomplete_list_holds_archivals_with_any_answer_of_the_witness() -> None:
    snapshot = SnapshotFacts(complete=False, problems=("unread:teacher",))
    directory = ann()
    plan = directory.plan([], snapshot=snapshot).witnessed({"old": "gone"})
    empty = cleaned([])
    facts = plan_stats_of(plan, empty.roster, empty.rejected, directory.frames(), snapshot, pd.DataFrame(), TODAY)
    assert not allows(judge(plan, facts, Guards()), "student", "archive")


@pytest.mark.parametrize("snapshot", [COMPLETE, DELTA])
def test_whoever_was_archived_is_not_back_by_a_record_that_gives_no_role_here(snapshot: SnapshotFacts) -> None:
    records: list[dict[str, Any]] = [
        {"status": "nonsense"},
        {"status": "tobedeleted"},
        {"givenName": None, "familyName": None},
        {"roles": [entry("ext:robot")]},
        {"roles": [entry("parent")]},
        {"roles": [entry(org="s2")]},
        {"roles": [entry(org=None)]},
        {"roles": [entry(end="2026-03-01")]},
        {"roles": [entry(begin="2026-03-03")]},
    ]
    cases = [(ann(), [user("old", **(RECORD | record))]) for record in records]
    for directory, _ in cases:
        directory.member(1, status="archived")
    assert planned_together(cases, snapshot=snapshot) == [[]] * len(records)


def test_a_delta_spares_whom_it_marks_as_deleted_and_brings_under_a_new_id() -> None:
    marked, new = user("old", **RECORD, status="tobedeleted"), user("new", **RECORD)
    assert fate(ann().plan([marked], snapshot=DELTA)) == ("archive", "tobedeleted")
    assert fate(ann().plan([marked, new], snapshot=DELTA)) == ("conflict", "match_contradicted")


def test_the_preferred_family_name_of_either_side_counts() -> None:
    for person, record in (
        ({"preferred_family_name": "Ray"}, {"familyName": "Ray"}),
        ({"family_name": "Ray"}, {"familyName": "Bo", "preferredLastName": "Ray"}),
    ):
        plan = ann(**person).plan([user("new", **(RECORD | record))], school(preferred_names=True))
        assert fate(plan) == ("conflict", "match_contradicted")


def test_each_absent_person_is_judged_for_themselves() -> None:
    directory = ann(number="7", email=MAIL)
    bo = directory.member(directory.person("bo"))
    eva = directory.member(directory.person("eva"))
    directory.people[eva].update(number=None, given_name="Eva", family_name="Ray")
    told = {"givenName": "Zoe", "familyName": "Zed", "identifier": "7"}
    plan = directory.plan([user("x", **told), user("y", givenName="Eva", familyName="Ray", identifier=None)])
    assert [fate(plan, who) for who in (1, bo, eva)] == [
        ("skip", "in_conflict"),
        ("archive", "left"),
        ("conflict", "match_contradicted"),
    ]


def test_two_people_whose_records_turn_out_to_be_one_human_both_stay_though_nothing_else_speaks_for_them() -> None:
    directory = Directory()
    for one in "ab":
        directory.member(directory.person(one))
    one_human = {"identifier": "7", "givenName": "Ann", "familyName": "Lee"}
    plan = directory.plan([user("a", **one_human), user("b", **one_human)])
    assert [fate(plan, who) for who in (1, 2)] == [("skip", "in_conflict")] * 2
