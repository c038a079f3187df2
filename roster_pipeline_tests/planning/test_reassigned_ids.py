"""A sourcedId that the SIS gave to somebody else: the linked person does not become that person."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline.settings.school import RoleSettings
from roster_pipeline_tests.planning.builders import COMPLETE, Directory, entry, planned_together, school, tuples, user

MAIL = "ann@example.org"
ANN: dict[str, Any] = {"given_name": "Ann", "family_name": "Lee", "number": "7", "email": MAIL, "username": "ann"}
EVA: dict[str, Any] = {"givenName": "Eva", "familyName": "Ray", "identifier": "8", "email": "eva@example.org"}
NAMED: dict[str, Any] = {"givenName": "Ann", "familyName": "Lee"}
DELTA = SnapshotFacts(complete=True, mode="delta")
DOUBTED = ("conflict", "id_reassigned")


def ann(status: str = "active", **fields: Any) -> Directory:
    """Somebody linked to the record `a`, a member unless `status` is empty."""
    directory = Directory()
    who = directory.person("a")
    directory.people[who].update(ANN | fields)
    if status:
        directory.member(who, status=status)
    return directory


def told(directory: Directory, *records: dict[str, Any], **wishes: Any) -> list[tuple[str, str]]:
    rows = directory.plan(list(records), school(**wishes)).rows
    return list(zip(rows["action"], rows["reason"], strict=True))


def test_a_link_is_doubted_if_nothing_agrees_and_enough_contradicts() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        # all known values differ
        ({}, {}, True),
        ({"email": None}, {}, True),
        ({"number": None}, {}, True),
        ({}, {"identifier": None}, True),
        ({}, {"email": None}, True),
        ({"username": None}, {}, True),
        ({}, {"username": "eva"}, True),
        ({"preferred_given_name": "Annie"}, {"preferredFirstName": "Evi"}, True),
        # a common name is not enough if everything else differs
        ({}, {"givenName": "Ann"}, True),
        ({}, {"givenName": "ÄNN"}, True),
        ({}, {"familyName": "Lee"}, True),
        ({}, {"familyName": "LÉE"}, True),
        ({"preferred_given_name": "Eva"}, {}, True),
        ({"preferred_family_name": "ray"}, {}, True),
        ({}, {"preferredFirstName": "ann"}, True),
        ({}, {"preferredLastName": "Lee"}, True),
        # nor is a family e-mail enough
        ({}, {"email": MAIL}, True),
        ({"email": MAIL.upper()}, {"email": MAIL}, True),
        ({}, {"email": MAIL, "familyName": "Lee"}, True),
        # nor is a number or a user name, if more keys differ: a new child may get the number of a leaver too
        ({}, {"identifier": "7"}, True),
        ({}, {"identifier": "7", "username": "eva"}, True),
        ({}, {"identifier": "7", "username": "eva", "email": MAIL}, False),
        ({}, {"identifier": "7", "username": "ann"}, False),
        ({}, {"identifier": "7", "email": MAIL}, False),
        ({}, {"identifier": "7", "email": None}, False),
        ({}, {"identifier": "7", "email": None, "username": "eva"}, True),
        ({}, {"username": "Ann"}, True),
        ({}, {"username": "Ann", "email": MAIL}, False),
        ({}, {"username": "Ann", "identifier": None}, True),
        # a marriage, or a new given name, with the e-mail and the user name that follow it
        ({}, {"identifier": "7", "givenName": "Ann", "username": "aray"}, False),
        ({}, {"identifier": "7", "familyName": "Lee", "username": "elee"}, False),
        # new names, a new e-mail or a new number, each alone, is normal
        ({}, {"givenName": "Ann", "identifier": "7"}, False),
        ({}, {"givenName": "Ann", "identifier": None}, False),
        ({}, {"givenName": "Ann", "identifier": None, "username": "aray"}, False),
        ({}, {"givenName": "Ann", "email": MAIL}, False),
        ({}, {"familyName": "Lee", "identifier": None}, False),
        ({}, {"givenName": "Ann", "familyName": "Lee"}, False),
        ({}, {"givenName": "Ann", "familyName": "Lee", "username": "new"}, False),
        # both names, and the user name that is made from them
        ({"email": None, "number": None}, {"username": "eray"}, True),
        ({"number": None}, {"email": MAIL, "username": "eray"}, True),
        ({"number": None}, {"email": None, "username": "ANN"}, False),
        ({"email": None, "number": None}, {"givenName": "Ann", "username": "aray"}, False),
        # a number that lost its zeros is the same number
        ({"number": "007"}, {"identifier": "7"}, True),
        ({"number": "007"}, {"identifier": "7", "givenName": "Ann"}, False),
        # names that cannot be compared
        ({"given_name": None}, {}, True),
        ({"given_name": None}, {"identifier": None}, True),
        ({"given_name": None}, {"identifier": "7", "email": MAIL}, False),
        ({}, {"familyName": None, "identifier": None}, True),
        ({}, {"familyName": None, "givenName": "Ann", "identifier": None}, False),
        ({"given_name": None, "preferred_given_name": "Ann"}, {}, True),
        # only the names can be compared
        ({"number": None, "email": None}, {}, True),
        ({"email": None}, {"identifier": None}, True),
        ({"number": None}, {"email": None}, True),
        ({"email": None, "number_kind": "staff"}, {}, True),
        ({"email": None, "number_connection_id": 2}, {}, True),
        ({"number": "8", "number_kind": "staff", "email": None}, {}, True),
        ({"number": None, "email": None}, {"givenName": "Ann"}, False),
        ({"number": None, "email": None}, {"givenName": "Lee", "familyName": "Ann"}, False),
        # the e-mail alone is the same
        ({"number": None, "email": MAIL}, {"email": MAIL}, False),
        ({"number": "8", "number_connection_id": 2}, {}, True),
        # the number or the username is the sourcedId itself, so it moves with it
        ({"number": "a"}, {"identifier": "a"}, True),
        ({"username": "a"}, {"username": "a"}, True),
        ({"number": "a", "email": None}, {"identifier": "a"}, True),
        # so does an e-mail or a user name that is made of the sourcedId
        ({"number": None, "email": "a@example.org"}, {"email": "a@example.org"}, True),
        ({"email": "a@example.org"}, {"email": "A@example.org", "username": "ann", "identifier": None}, False),
        ({"email": "a@example.org"}, {"email": "a@example.org", "givenName": "Ann"}, True),
        ({"email": "a@example.org"}, {"email": "a@example.org", "givenName": "Ann", "identifier": None}, False),
        ({"email": "a@example.org"}, {"email": "a@example.org", "givenName": "Ann", "familyName": "LÉE"}, False),
        ({"number": None, "username": "a@example.org", "email": None}, {"username": "a@example.org"}, True),
        # values by hand count like values of the SIS
        ({"locked_fields": ["given_name", "family_name", "email"]}, {}, True),
        ({"locked_fields": ["given_name", "family_name"]}, {"identifier": "7", "email": MAIL}, False),
    ]
    worlds = ((ann(**person), [user("a", **({"username": None} | EVA | record))]) for person, record, _ in cases)
    for (person, record, doubted), (row,) in zip(
        cases, planned_together(worlds, school(preferred_names=True)), strict=True
    ):
        assert ((row["action"], row["reason"]) == DOUBTED) == doubted, (person, record)


def test_grade_role_and_master_identifier_speak_against_a_link() -> None:
    cases: list[tuple[dict[str, Any], str | None, dict[str, Any], bool]] = [
        # a grade jump over a year or two, another master identifier, or another role, with the number and the name
        ({"grade": "05"}, None, {**NAMED, "identifier": "7", "grades": ["09"]}, False),
        ({}, "m", {**NAMED, "identifier": "7", "userMasterIdentifier": "n"}, False),
        ({"grade": "12"}, "m", {**NAMED, "identifier": "7", "grades": ["03"], "userMasterIdentifier": "n"}, False),
        # the number went on as well
        ({"grade": "12"}, None, {"identifier": "7", "email": MAIL, "grades": ["03"]}, True),
        ({"grade": "12"}, None, {"identifier": "7", "email": MAIL, "grades": ["12"]}, False),
        ({"grade": "12"}, None, {"identifier": "7", "givenName": "Ann", "grades": ["03"]}, False),
        (
            {"grade": "12"},
            "m",
            {"identifier": "7", "givenName": "Ann", "grades": ["03"], "userMasterIdentifier": "n"},
            True,
        ),
        ({}, "m", {"identifier": "7", "email": MAIL, "userMasterIdentifier": "n"}, True),
        ({}, "m", {"userMasterIdentifier": "m"}, True),
        ({"role": "teacher"}, None, {"identifier": "7", "email": MAIL}, True),
        # a namesake
        ({"grade": "12"}, None, {**NAMED, "grades": ["03"]}, True),
        ({"grade": "12"}, None, {**NAMED, "grades": ["12"]}, False),
        ({"grade": "12"}, None, {**NAMED, "grades": ["03"], "email": MAIL}, False),
        ({"grade": "09", "years": 2}, None, {**NAMED, "grades": ["12"]}, False),
        ({"role": "teacher"}, None, {**NAMED}, True),
        ({"role": "teacher"}, None, {**NAMED, "identifier": None}, False),
        ({}, "m", {**NAMED, "userMasterIdentifier": "n"}, True),
        # one name in common, and no number
        ({"grade": "12"}, None, {"identifier": None, "givenName": "Ann", "grades": ["03"]}, True),
        ({"role": "teacher"}, None, {"identifier": None, "givenName": "Ann"}, True),
        ({}, "m", {"identifier": None, "givenName": "Ann", "userMasterIdentifier": "n"}, True),
    ]
    worlds = []
    for member, master, record, _ in cases:
        directory = ann("")
        directory.member(1, **({"role": "student"} | member))
        directory.links[0]["master_identifier"] = master
        worlds.append((directory, [user("a", **({"username": None} | EVA | record))]))
    for case, (row,) in zip(cases, planned_together(worlds), strict=True):
        assert ((row["action"], row["reason"]) == DOUBTED) == case[-1], case


def test_a_record_beside_the_primary_one_is_compared_with_what_it_said_itself() -> None:
    said = {"given_name": "Ann", "family_name": "Lee", "number": "e1", "email": MAIL, "username": "ann"}
    same = {**NAMED, "identifier": "e1", "email": MAIL, "username": "ann"}
    bo = {"givenName": "Bo", "username": None}
    cases: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        (said, same, False),
        (said, same | bo | {"identifier": "e2"}, True),
        (said, same | bo | {"identifier": "e2", "email": None}, True),
        (said, same | {"familyName": "Ray", "identifier": "e2", "email": None, "username": None}, True),
        # one new value alone, or another spelling
        (said, same | bo, False),
        (said, same | bo | {"identifier": None}, False),
        (said, same | bo | {"identifier": "E1"}, False),
        (said, same | bo | {"identifier": "00e1"}, False),
        (said, same | bo | {"identifier": "e2", "username": "ann"}, False),
        (said, same | {"identifier": "e2"}, False),
        (said, same | {"familyName": "Ray", "identifier": "e2"}, False),
        # names as this SIS always wrote them
        (said | {"given_name": "Bo"}, same | bo | {"identifier": "e2"}, False),
        (said | {"given_name": None, "preferred_given_name": "Bo"}, same | bo | {"identifier": "e2"}, False),
        # numbers of another kind or that nobody knows, and a number that is only the id
        (said | {"number_kind": "staff"}, same | bo | {"identifier": "e2"}, False),
        (said | {"number": None}, same | bo | {"identifier": "e2"}, False),
        (said | {"number": "b"}, same | bo | {"identifier": "b"}, False),
        # both names
        (said, same | {"givenName": "Bo", "familyName": "Ray"}, False),
        (said, same | {"givenName": "Bo", "familyName": "Ray", "identifier": "e2", "username": None}, True),
    ]
    worlds = []
    for values, record, _ in cases:
        directory = ann(number_connection_id=2)
        directory.links.clear()
        directory.link(1, "a", 2)
        directory.link(1, "b")
        directory.heard(1, "b", **values)
        worlds.append((directory, [user("b", **record)]))
    for case, (row,) in zip(cases, planned_together(worlds, school(preferred_names=True)), strict=True):
        assert ((row["action"], row["reason"]) == DOUBTED) == case[-1], case


def test_brothers_whose_ids_changed_places_are_both_doubted_though_they_share_name_and_email() -> None:
    directory = ann()
    bo = directory.member(directory.person("b"))
    directory.people[bo].update(ANN | {"given_name": "Bo", "number": "9", "username": "bo"})
    lee = {"familyName": "Lee", "email": MAIL}
    ann_now = user("b", givenName="Ann", identifier="7", username="ann", **lee)
    bo_now = user("a", givenName="Bo", identifier="9", username="bo", **lee)
    assert told(directory, bo_now, ann_now) == [DOUBTED, DOUBTED]


def test_a_preferred_name_that_the_school_does_not_keep_agrees_with_nobody() -> None:
    assert told(ann(), user("a", **EVA, preferredFirstName="Ann")) == [DOUBTED]


def test_an_id_of_a_leaver_that_comes_with_their_name_alone_may_be_a_namesakes() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        ({}, {}, True),
        ({}, {"username": "ann2"}, True),
        ({"username": None}, {}, True),
        ({}, {"username": "ANN"}, False),
        ({}, {"email": MAIL}, False),
        ({}, {"email": "ann@new.example"}, False),
        ({}, {"identifier": "007"}, False),
        ({}, {"identifier": None}, False),
        ({"email": None}, {}, False),
        ({"number_connection_id": 2}, {}, False),
    ]
    lee = {**NAMED, "identifier": "8", "email": "lee@example.org", "username": None}
    for status, certain in (("archived", ("restore", "returned")), ("active", ("update", "changed"))):
        told = planned_together((ann(status, **person), [user("a", **(lee | record))]) for person, record, _ in cases)
        found = [(row["action"], row["reason"]) for (row,) in told]
        assert found == [DOUBTED if doubted and status == "archived" else certain for *_, doubted in cases]


def test_a_number_of_a_leaver_may_have_gone_on_with_their_id() -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        # both names are new
        ({"identifier": "7", "email": None}, True),
        ({"identifier": "7", "username": "ann", "email": None}, False),
        ({"identifier": "7", "email": MAIL}, False),
        ({"identifier": "7", "username": "ann"}, True),
        # the given name is new
        ({"familyName": "Lee", "identifier": "7"}, True),
        ({"familyName": "Lee", "identifier": "7", "username": "elee"}, True),
        ({"familyName": "Lee", "identifier": "7", "username": "ann"}, False),
        ({"familyName": "Lee", "identifier": "7", "email": None}, False),
        # the family name is new
        ({"givenName": "Ann", "identifier": "7", "username": "aray"}, False),
    ]
    worlds = ((ann("archived"), [user("a", **({"username": None} | EVA | record))]) for record, _ in cases)
    found = [(row["action"], row["reason"]) for (row,) in planned_together(worlds)]
    assert found == [DOUBTED if doubted else ("restore", "returned") for _, doubted in cases]


@pytest.mark.parametrize("status", ["active", "archived", ""])
@pytest.mark.parametrize("auto_update", [True, False])
def test_a_doubted_person_stays_unchanged_in_every_state(status: str, auto_update: bool) -> None:
    directory = ann(status)
    students = RoleSettings(rostered=True, auto_update=auto_update, archive=True)
    plan = directory.plan([user("a", **EVA)], school(students=students))
    (row,) = plan.rows.to_dict("records")
    assert (row["action"], row["reason"], row["person_id"], row["sourced_ids"]) == (*DOUBTED, 1, ["a"])
    assert row["new_links"] == []
    told = {name: row["changes"][name] for name in ("given_name", "family_name", "number", "email")}
    assert told == {
        "given_name": ["Ann", "Eva"],
        "family_name": ["Lee", "Ray"],
        "number": ["7", "8"],
        "email": [MAIL, "eva@example.org"],
    }
    assert not {"primary_record", "role", "source_role"} & set(row["changes"])
    before = {name: dict(rows) for name, rows in vars(directory).items() if name != "links"}
    directory.apply(plan)
    assert before == {name: dict(rows) for name, rows in vars(directory).items() if name != "links"}
    assert plan.asked == []


@pytest.mark.parametrize("role", ["aide", "ext:mascot"])
def test_a_member_whose_id_went_to_somebody_of_another_role_is_reported_as_well(role: str) -> None:
    found = told(ann(), user("a", role, **EVA), staff=RoleSettings())
    assert found == ([DOUBTED] if role == "aide" else [("skip", "rejected_record")])


def test_an_id_that_went_to_somebody_with_an_unrostered_role_is_ignored_if_its_person_is_not_a_member() -> None:
    assert told(ann("archived"), user("a", "aide", **EVA), staff=RoleSettings()) == []


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"status": "odd"}, [("skip", "rejected_record")]),
        ({"roles": []}, [("archive", "no_org")]),
        ({"roles": [entry(org="s2")]}, [("archive", "moved_school")]),
        ({"roles": [entry(end="2026-03-01")]}, [("archive", "role_ended")]),
    ],
)
def test_who_has_the_id_now_says_nothing_where_they_are_not_here(
    state: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert told(ann(), user("a", **(EVA | state))) == found


@pytest.mark.parametrize(
    ("state", "doubted"),
    [
        ({}, True),
        ({"roles": [entry(org="s2")]}, True),
        ({"roles": [entry(end="2026-03-01")]}, True),
        ({"status": "tobedeleted"}, False),
        ({"status": "odd"}, False),
    ],
)
def test_one_record_at_odds_stops_all_of_a_person_unless_it_is_gone_or_could_not_be_used(
    state: dict[str, Any], doubted: bool
) -> None:
    directory = ann()
    directory.link(1, "b")
    theirs = user("b", givenName="Ann", familyName="Lee", identifier="7", email="new@example.org")
    found = told(directory, user("a", **(EVA | state)), theirs)
    assert (found == [DOUBTED]) == doubted
    assert len(found) == 1


def test_a_deletion_of_somebody_else_ends_nothing() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        ({}, {}, True),
        ({}, {"status": "inactive"}, True),
        ({}, {"email": None}, True),
        ({"email": None, "username": None}, {}, True),
        ({"preferred_given_name": "Annie"}, {"username": "eva"}, True),
        # a name of the person, or one that may be theirs
        ({}, {"givenName": "Ann"}, False),
        ({"given_name": "Elizabeth"}, {"givenName": "Beth"}, False),
        ({}, {"familyName": "LÉE"}, False),
        ({}, {"givenName": "Lee", "familyName": "Ann"}, False),
        ({"preferred_given_name": "Eva"}, {}, False),
        ({}, {"preferredLastName": "Lee"}, False),
        # an emptied record, with the same number, none, or one that cannot be compared
        ({}, {"givenName": None}, False),
        ({}, {"givenName": None, "familyName": None, "identifier": None, "email": None}, False),
        ({}, {"givenName": "Deleted", "familyName": "User", "identifier": "7", "email": None}, False),
        ({}, {"givenName": "Deleted", "familyName": "User", "identifier": None, "email": None}, False),
        ({}, {"identifier": "007"}, False),
        ({}, {"identifier": "a"}, False),
        ({"number": None}, {}, False),
        ({"number": "a"}, {}, False),
        ({"number_kind": "staff"}, {}, False),
        ({"number_connection_id": 2}, {}, False),
        # a record without a role has no number
        ({}, {"role": None, "username": "eva"}, True),
        ({}, {"role": None, "username": "eva", "email": None}, False),
        ({}, {"role": None}, False),
        ({}, {"role": None, "username": "ann"}, False),
        ({}, {"identifier": None, "username": "eva"}, True),
        ({"number": None}, {"username": "eva"}, True),
        ({}, {"identifier": "007", "username": "eva"}, False),
        # the e-mail or the user name
        ({}, {"email": MAIL}, False),
        ({}, {"username": "ANN"}, False),
    ]
    deleted = {"username": None, "status": "tobedeleted"}
    worlds = ((ann(**person), [user("a", **(deleted | EVA | record))]) for person, record, _ in cases)
    for (person, record, doubted), (row,) in zip(
        cases, planned_together(worlds, school(preferred_names=True)), strict=True
    ):
        found = DOUBTED if doubted else ("archive", "tobedeleted")
        assert (row["action"], row["reason"]) == found, (person, record)


@pytest.mark.parametrize("snapshot", [COMPLETE, DELTA], ids=["list", "changes"])
def test_a_doubted_deletion_is_shown_and_settled_like_any_doubted_id(snapshot: SnapshotFacts) -> None:
    directory, records = ann(), [user("a", **EVA, status="tobedeleted")]
    plan = directory.plan(records, snapshot=snapshot)
    (row,) = plan.rows.to_dict("records")
    assert (row["action"], row["reason"], row["person_id"], row["sourced_ids"]) == (*DOUBTED, 1, ["a"])
    assert (row["role"], row["changes"]["number"], row["new_links"]) == ("student", ["7", "8"], [])
    assert plan.asked == []
    directory.apply(plan)
    assert directory.members[1]["status"] == "active"
    directory.links[0]["confirmed"] = True
    assert list(directory.plan(records, snapshot=snapshot).rows["reason"]) == ["tobedeleted"]
    directory.unlink(1, "a")
    assert "archive" not in list(directory.plan(records, snapshot=snapshot).rows["action"])


def test_a_deletion_is_also_compared_with_what_the_record_said_itself() -> None:
    for number, found in (("e2", DOUBTED), ("e1", ("archive", "tobedeleted"))):
        directory = ann(number_connection_id=2)
        directory.links.clear()
        directory.link(1, "a", 2)
        directory.link(1, "b")
        directory.heard(1, "b", given_name="Ann", family_name="Lee", number="e1", email=MAIL)
        assert told(directory, user("b", **(EVA | {"identifier": number, "status": "tobedeleted"}))) == [found]


@pytest.mark.parametrize("state", ["archived", "other", "", "by hand"])
def test_a_deletion_of_somebody_else_is_nothing_to_decide_if_it_ends_nothing(state: str) -> None:
    directory = ann("archived" if state == "archived" else "active" if state else "")
    if state == "by hand":
        directory.members[1]["managed"] = False
    records = [user("a", **EVA, status="tobedeleted")]
    if state == "other":
        directory.link(1, "b")
        records += [user("b", **NAMED, identifier="7", email=MAIL, username="ann")]
    assert DOUBTED not in told(directory, *records)


@pytest.mark.parametrize(
    "emptied",
    [{"identifier": "0000"}, {"givenName": "Deleted", "familyName": "User"}],
    ids=["one number", "one name"],
)
def test_values_that_a_sis_writes_into_all_that_it_deletes_do_not_contradict(emptied: dict[str, Any]) -> None:
    directory = Directory()
    for place in "abc":
        directory.member(directory.person(place))
    deleted = [
        user(place, status="tobedeleted", **({**NAMED, "givenName": f"X{place}", "identifier": f"X{place}"} | emptied))
        for place in "abc"
    ]
    assert told(directory, *deleted) == [("archive", "tobedeleted")] * 3


@pytest.mark.parametrize(
    ("number", "found"),
    [
        ("0000", ("archive", "tobedeleted")),
        ("DELETED", ("archive", "tobedeleted")),
        ("N-0", DOUBTED),
        ("DELETED_10", DOUBTED),
    ],
)
def test_a_number_that_is_none_does_not_contradict_a_deletion(number: str, found: tuple[str, str]) -> None:
    assert told(ann(), user("a", **(EVA | {"identifier": number, "status": "tobedeleted"}))) == [found]


@pytest.mark.parametrize("role", ["student", None], ids=["a role", "no role"])
@pytest.mark.parametrize(
    ("given", "family", "found"),
    [
        ("Deleted", "User 12", ("archive", "tobedeleted")),
        ("Pupil", "(anonymised)", ("archive", "tobedeleted")),
        ("Gelöschter", "Benutzer", ("archive", "tobedeleted")),
        ("Anon", "Deletedov", DOUBTED),
    ],
)
def test_a_name_that_says_deleted_does_not_contradict(
    role: str | None, given: str, family: str, found: tuple[str, str]
) -> None:
    emptied = {"givenName": given, "familyName": family, "username": "x12", "role": role, "status": "tobedeleted"}
    assert told(ann(), user("a", **(EVA | emptied))) == [found]


def test_a_list_of_changes_of_another_district_archives_nobody() -> None:
    directory = Directory()
    for place in range(12):
        directory.member(directory.person(f"{place}"))
    others = [user(f"x{place}") | {"sourcedId": f"{place}", "status": "tobedeleted"} for place in range(12)]
    assert list(directory.plan(others, snapshot=DELTA).rows["reason"]) == ["id_reassigned"] * 12


def test_a_link_that_was_confirmed_by_hand_is_never_doubted() -> None:
    directory = ann()
    directory.links[0]["confirmed"] = True
    assert told(directory, user("a", **EVA)) == [("update", "changed")]


def test_a_confirmed_link_of_another_connection_confirms_nothing_here() -> None:
    directory = ann()
    directory.link(1, "a", 2, confirmed=True)
    assert told(directory, user("a", **EVA)) == [DOUBTED]


def test_once_unlinked_the_record_is_somebody_new() -> None:
    directory = ann("archived")
    directory.links.clear()
    directory.apply(directory.plan([user("a", **EVA)]))
    assert [person["given_name"] for person in directory.people.values()] == ["Ann", "Eva"]
    assert told(directory, user("a", **EVA)) == [("unchanged", "equal")]


def test_a_list_of_changes_with_a_reassigned_id_changes_nobody() -> None:
    rows = ann().plan([user("a", **EVA)], snapshot=DELTA).rows
    assert list(rows["reason"]) == ["id_reassigned"]


@pytest.mark.parametrize(
    ("record", "found"), [({}, []), ({**NAMED, "identifier": "7"}, ["moved_school"])], ids=["another", "the same"]
)
def test_a_list_of_changes_moves_nobody_by_a_record_of_somebody_else(record: dict[str, Any], found: list[str]) -> None:
    changes = replace(DELTA, whole_records=True)
    rows = ann().plan([user("a", **(EVA | record), roles=[entry(org="s2")])], snapshot=changes).rows
    assert list(rows["reason"]) == found


def test_the_record_under_which_the_person_comes_now_waits_with_the_one_that_took_their_id() -> None:
    moved = user("new", givenName="Ann", familyName="Lee", identifier="7")
    directory = ann()
    assert told(directory, user("a", **EVA), moved) == [DOUBTED, ("conflict", "match_taken")]
    directory.links.clear()
    assert told(directory, user("a", **EVA), moved) == [("create", "joined"), ("update", "changed")]


def test_a_primary_record_that_is_somebody_elses_in_another_school_gives_no_field_to_its_person() -> None:
    directory = ann()
    moved = user("new", givenName="Ann", familyName="Lee", identifier="7", email=MAIL, username="ann")
    records = [user("a", **EVA, roles=[entry(org="s2")]), moved]
    rows = directory.plan(records).rows
    assert [(row.reason, row.changes, row.new_links) for row in tuples(rows)] == [("relinked", {}, ["new"])]
    directory.apply(directory.plan(records))
    assert told(directory, *records) == [DOUBTED]


def test_a_reassigned_id_still_speaks_for_an_absent_person_whose_number_it_carries() -> None:
    directory = ann("archived")
    directory.member(directory.person("gone", number="8", given_name="Zoe", family_name="Zed"))
    assert sorted(told(directory, user("a", **EVA))) == [DOUBTED, ("skip", "in_conflict")]


def test_a_record_linked_to_two_people_stays_a_conflict_of_both() -> None:
    directory = ann()
    directory.member(directory.person("b", number="8", given_name="Eva", family_name="Ray"))
    assert {reason for _, reason in told(directory, user("a", **EVA), user("b", **EVA))} == {
        "several_matches",
        "in_conflict",
    }


def test_ids_that_were_dealt_anew_among_people_are_doubted_one_by_one() -> None:
    directory = Directory()
    for place in range(6):
        directory.member(directory.person(f"p{place}"))
    dealt = [user(f"p{(place + 1) % 6}") | {"sourcedId": f"p{place}"} for place in range(6)]
    assert told(directory, *dealt) == [DOUBTED] * 6


def test_who_is_doubted_does_not_depend_on_how_many_others_there_are() -> None:
    directory = ann()
    others = [f"p{place:02}" for place in np.random.default_rng(3).permutation(20)]
    for one in others:
        directory.member(directory.person(one))
    rows = directory.plan([user("a", **EVA), *(user(one) for one in others)]).rows
    assert list(rows.loc[rows["action"] == "conflict", "person_id"]) == [1]
    assert set(rows.loc[rows["action"] != "conflict", "action"]) == {"unchanged"}
