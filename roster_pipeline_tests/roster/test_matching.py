"""Matching to the directory: in the stated order, and never further than the evidence goes."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline.roster.directory_frames import SnapshotFacts
from roster_pipeline_tests.roster.building import Directory, entry, school, user

ANN = {"given_name": "Ann", "family_name": "Lee"}
RECORD = {"givenName": "Ann", "familyName": "Lee"}
MAIL = "ann@example.org"


def one_row(directory: Directory, *users: dict[str, Any], snapshot: SnapshotFacts | None = None) -> dict[str, Any]:
    rows = directory.plan(list(users), snapshot=snapshot or SnapshotFacts(complete=True)).rows
    assert len(rows) == 1
    return rows.astype(object).where(rows.notna(), None).to_dict("records")[0]


@pytest.mark.parametrize(
    ("person", "record", "matched_by"),
    [
        ({"number": "7", **ANN}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "given_name": "Ann", "family_name": "Ray"}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "given_name": "Anna", "family_name": "Lee"}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "preferred_given_name": "ann"}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "email": MAIL.upper()}, {"email": MAIL, "identifier": "7"}, "number"),
        ({"number": "7"}, {**RECORD, "identifier": "7"}, None),
        ({"number": "7", "number_kind": "staff", **ANN}, {**RECORD, "identifier": "7"}, None),
        ({"number": "7", "number_connection_id": 2, **ANN}, {**RECORD, "identifier": "7"}, None),
        ({"email": MAIL, **ANN}, {**RECORD, "email": MAIL}, "email"),
        ({"email": MAIL, "number": "1", **ANN}, {**RECORD, "email": MAIL, "identifier": "2"}, None),
        ({"email": MAIL, "number": "1", "number_connection_id": 2, **ANN}, {**RECORD, "email": MAIL}, "email"),
        ({"email": MAIL, "given_name": "Bo", "family_name": "Lee"}, {**RECORD, "email": MAIL}, "email"),
        ({"email": MAIL, "given_name": "Bo", "family_name": "Ray"}, {**RECORD, "email": MAIL}, None),
        (ANN, RECORD, None),
        ({**ANN, "username": "ann"}, {**RECORD, "username": "ann", "identifier": None}, None),
    ],
)
def test_by_what_a_person_without_a_link_is_found(
    person: dict[str, Any], record: dict[str, Any], matched_by: str | None
) -> None:
    directory = Directory()
    directory.person(**({"given_name": "Xi", "family_name": "Yu"} | person))
    row = one_row(directory, user("new", **record))
    assert row["matched_by"] == matched_by
    assert row["reason"] == ("joined_school" if matched_by else "joined")


def test_a_link_goes_before_number_and_email() -> None:
    directory = Directory()
    directory.person("a", number="1", given_name="Old", family_name="Name")
    directory.person(number="7", email=MAIL, **ANN)
    row = one_row(directory, user("a", **RECORD, identifier="7", email=MAIL))
    assert (row["person_id"], row["matched_by"]) == (1, "link")


def test_an_email_of_two_people_matches_neither() -> None:
    directory = Directory()
    directory.person(email=MAIL, **ANN)
    directory.person(email=MAIL, given_name="Bo", family_name="Lee")
    assert one_row(directory, user("new", **RECORD, email=MAIL))["reason"] == "joined"


def test_an_email_that_two_humans_of_the_snapshot_have_matches_neither() -> None:
    directory = Directory()
    directory.person(email=MAIL, **ANN)
    users = [user("a", **RECORD, email=MAIL), user("b", givenName="Bo", familyName="Lee", email=MAIL)]
    assert set(directory.plan(users).rows["reason"]) == {"joined"}


def test_a_sister_with_the_familys_email_is_not_her_brother_in_another_school() -> None:
    directory = Directory()
    directory.person("brother", number=None, email=MAIL, given_name="Bo", family_name="Lee")
    directory.people[1]["number"] = None
    assert one_row(directory, user("sister", **RECORD, email=MAIL, identifier=None))["reason"] == "joined"


def test_a_number_two_people_answer_to_is_a_conflict() -> None:
    directory = Directory()
    for _ in range(2):
        directory.person(number="7", **ANN)
    row = one_row(directory, user("a", **RECORD, identifier="7"))
    assert (row["action"], row["reason"], row["changes"], row["new_links"]) == ("conflict", "several_matches", {}, [])


@pytest.mark.parametrize("connection", [1, 2])
@pytest.mark.parametrize(("given", "matched_by"), [("Ann", "email"), ("Bo", None)])
def test_a_family_email_makes_nobody_their_brother_in_whichever_sis_of_the_district_he_is(
    connection: int, given: str, matched_by: str | None
) -> None:
    directory = Directory()
    who = directory.person(number="1", number_connection_id=2, email=MAIL, given_name=given, family_name="Lee")
    directory.link(who, "brother", connection)
    row = one_row(directory, user("new", **RECORD, identifier=None, email=MAIL))
    assert row["matched_by"] == matched_by


def test_a_person_whom_two_humans_match_is_neither_whoever_else_is_known() -> None:
    directory = Directory()
    directory.person(number="7", email=MAIL, **ANN)
    directory.member(directory.person("z"))
    rows = directory.plan(
        [
            user("a", **RECORD, identifier="7"),
            user("b", givenName="Ann", familyName="Ray", email=MAIL, identifier=None),
            user("z"),
        ]
    ).rows
    assert list(rows["reason"]) == ["match_taken", "match_taken", "equal"]


def test_a_new_sourced_id_with_the_same_number_is_relinked_even_with_auto_update_off() -> None:
    from roster_pipeline.settings import RoleSettings

    quiet = school(students=RoleSettings(rostered=True))
    directory = Directory()
    directory.member(directory.person("old", number="7"))
    fresh = user("new", givenName="Givenold", familyName="Changed", identifier="7")
    plan = directory.plan([fresh], quiet)
    assert [(row.action, row.reason, row.new_links) for row in plan.rows.itertuples()] == [
        ("update", "relinked", ["new"])
    ]
    assert plan.rows["changes"].iloc[0] == {"home": ["old", "new"]}
    directory.apply(plan)
    assert len(directory.people) == 1
    assert list(directory.plan([fresh], quiet).rows["reason"]) == ["auto_update_off"]


def test_somebody_entered_by_hand_is_linked_once_found_and_from_then_on_looked_after() -> None:
    directory = Directory()
    directory.member(directory.person(number="N-a", given_name="Givena", family_name="Familya"), managed=False)
    row = one_row(directory, user("a"))
    assert (row["action"], row["reason"], row["new_links"]) == ("update", "linked", ["a"])
    assert row["changes"]["home"] == [None, "a"]
    directory.apply(directory.plan([user("a")]))
    assert directory.members[1]["managed"]
    assert one_row(directory, user("a"))["action"] == "unchanged"


@pytest.mark.parametrize(
    ("link", "managed", "reason"),
    [(None, False, "linked"), (None, True, "linked"), ("a", False, "linked"), ("a", True, "equal")],
)
def test_a_member_without_a_link_or_not_looked_after_becomes_both(link: str | None, managed: bool, reason: str) -> None:
    directory = Directory()
    who = directory.person(link, number="N-a", given_name="Givena", family_name="Familya")
    directory.member(who, managed=managed)
    assert one_row(directory, user("a"))["reason"] == reason
    directory.apply(directory.plan([user("a")]))
    assert one_row(directory, user("a"))["reason"] == "equal"


def test_in_another_school_tonight_is_one_person_whichever_school_runs_first() -> None:
    directory = Directory()
    who = directory.person("ed-a", number="7", **ANN)
    gone, come = user("ed-a", **RECORD, identifier="7", status="tobedeleted"), user("ed-b", **RECORD, identifier="7")
    joined = one_row(directory, come)
    assert (joined["person_id"], joined["reason"]) == (who, "joined_school")
    left = Directory()
    left.member(left.person("ed-a", number="7", **ANN))
    assert one_row(left, gone)["reason"] == "tobedeleted"
    elsewhere = one_row(left, gone | {"status": "active", "roles": [entry("student", "s2")]})
    assert elsewhere["reason"] == "moved_school"


def test_a_locked_field_keeps_what_people_wrote() -> None:
    directory = Directory()
    directory.member(directory.person("a", locked_fields=["given_name", "grade"]))
    row = one_row(directory, user("a", givenName="New", familyName="Newer", grades=["9"]))
    assert row["changes"] == {"family_name": ["Familya", "Newer"], "source_grade": [None, "9"]}
    only = one_row(directory, user("a", givenName="New"))
    assert only["action"] == "unchanged"


def test_a_lock_of_a_field_that_is_none_holds_nothing() -> None:
    directory = Directory()
    directory.member(directory.person("a", locked_fields=["shoe_size", "given_name"]))
    row = one_row(directory, user("a", givenName="New", familyName="Newer"))
    assert row["changes"] == {"family_name": ["Familya", "Newer"]}


def test_an_unknown_login_flag_is_no_change() -> None:
    directory = Directory()
    directory.member(directory.person("a"))
    assert one_row(directory, user("a", enabledUser=None))["action"] == "unchanged"
    assert one_row(directory, user("a", enabledUser=False))["changes"] == {"enabled": [True, False]}


def test_the_same_number_of_another_kind_is_a_change_of_number() -> None:
    directory = Directory()
    directory.member(directory.person("a", number_kind="staff"), role="student")
    row = one_row(directory, user("a"))
    assert (row["changes"], row["number_kind"]) == ({"number": ["N-a", "N-a"]}, "student")


class TestTheHomeRecord:
    """A person's fields follow one record; other links only add memberships."""

    def test_another_record_adds_a_membership_and_changes_no_field(self) -> None:
        directory = Directory()
        who = directory.person("far", number="7")
        directory.links[0]["connection_id"] = 2
        directory.people[who]["number_connection_id"] = 2
        directory.elsewhere(who, 2, since=1)
        directory.link(who, "here")
        row = one_row(directory, user("here", givenName="Different"))
        assert (row["reason"], row["sourced_ids"]) == ("joined_school", ["here"])
        assert set(row["changes"]) == {"role", "source_role"}
        directory.apply(directory.plan([user("here", givenName="Different")]))
        assert one_row(directory, user("here", givenName="Again"))["action"] == "unchanged"

    def test_it_moves_when_its_record_is_deleted(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("old", number="7"))
        directory.link(who, "new")
        users = [user("old", status="tobedeleted", identifier="7"), user("new", givenName="New", identifier="7")]
        row = one_row(directory, *users)
        assert (row["changes"]["home"], row["sourced_ids"]) == (["old", "new"], ["new", "old"])
        assert row["changes"]["given_name"] == ["Givenold", "New"]
        directory.apply(directory.plan(users))
        assert [link["home"] for link in directory.links] == [False, True]
        assert one_row(directory, *users)["action"] == "unchanged"

    def test_it_stays_while_its_record_is_in_another_school(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("home", number="7"))
        directory.link(who, "second")
        users = [
            user("home", roles=[entry("student", "s2")], givenName="Home", identifier="7"),
            user("second", givenName="Second", identifier="7"),
        ]
        assert one_row(directory, *users)["changes"] == {
            "given_name": ["Givenhome", "Home"],
        }

    def test_a_record_that_could_not_be_used_stays_it_and_changes_no_field(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("home", number="7"))
        directory.link(who, "second")
        users = [
            user("home", status="odd", givenName="Odd", identifier="7"),
            user("second", givenName="Second", familyName="Familyhome", identifier="7"),
        ]
        row = one_row(directory, *users)
        assert (row["action"], row["changes"], row["sourced_ids"]) == ("unchanged", {}, ["home", "second"])

    def test_of_somebody_new_it_is_no_change(self) -> None:
        assert "home" not in one_row(Directory(), user("a"))["changes"]

    def test_a_list_of_changes_that_leaves_it_out_says_nothing(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("home", number="7"), role="admin", source_role="principal")
        directory.link(who, "second")
        delta = SnapshotFacts(complete=True, mode="delta")
        row = one_row(directory, user("second", "teacher", givenName="Second"), snapshot=delta)
        assert row["action"] == "unchanged"
        assert row["sourced_ids"] == ["home", "second"]

    @pytest.mark.parametrize(
        ("snapshot", "linked", "moves"),
        [
            (SnapshotFacts(complete=True), False, True),
            (SnapshotFacts(complete=True), True, True),
            (SnapshotFacts(complete=True, mode="school"), False, True),
            (SnapshotFacts(complete=True, mode="school"), True, False),
            (SnapshotFacts(complete=True, mode="delta"), False, False),
            (SnapshotFacts(complete=True, mode="delta"), True, False),
            (SnapshotFacts(complete=False), False, False),
            (SnapshotFacts(complete=False), True, False),
        ],
    )
    def test_where_a_list_that_leaves_it_out_says_that_it_is_gone(
        self, snapshot: SnapshotFacts, linked: bool, moves: bool
    ) -> None:
        directory = Directory()
        who = directory.member(directory.person("home", number="7", **ANN))
        if linked:
            directory.link(who, "second")
        row = one_row(directory, user("second", **RECORD, identifier="7"), snapshot=snapshot)
        assert row["matched_by"] == ("link" if linked else "number")
        assert ("home" in row["changes"]) == moves

    def test_a_list_of_changes_that_has_every_record_of_somebody_tells_their_role(self) -> None:
        directory = Directory()
        directory.member(directory.person("a"), role="student", source_role="student")
        row = one_row(directory, user("a", "teacher"), snapshot=SnapshotFacts(complete=True, mode="delta"))
        assert (row["reason"], row["changes"]["role"]) == ("changed", ["student", "teacher"])

    def test_it_stays_first_though_another_record_is_stronger(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("z-home", number="7"), role="admin", source_role="principal")
        directory.people[who]["number_kind"] = "staff"
        directory.link(who, "a-second")
        users = [
            user("z-home", "teacher", identifier="7"),
            user("a-second", "principal", identifier="7", givenName="Other"),
        ]
        row = one_row(directory, *users)
        assert (row["action"], row["sourced_ids"]) == ("unchanged", ["z-home", "a-second"])


def test_a_rejected_record_under_a_new_id_still_keeps_its_person_from_being_archived() -> None:
    directory = Directory()
    directory.member(directory.person("old", number="7"))
    row = one_row(directory, user("new", givenName="Givenold", identifier="7", status="odd"))
    assert (row["action"], row["reason"]) == ("skip", "rejected_record")
