"""Matching to the directory: in the stated order, and never without enough evidence."""

from copy import deepcopy
from typing import Any

import pytest

from roster_pipeline.identity.directory_frames import SnapshotFacts
from roster_pipeline_tests.planning.builders import Case, Directory, entry, planned_together, school, tuples, user

ANN = {"given_name": "Ann", "family_name": "Lee"}
RECORD = {"givenName": "Ann", "familyName": "Lee"}
MAIL = "ann@example.org"


def one_row(directory: Directory, *users: dict[str, Any], snapshot: SnapshotFacts | None = None) -> dict[str, Any]:
    rows = directory.plan(list(users), snapshot=snapshot or SnapshotFacts(complete=True)).rows
    (row,) = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {str(name): value for name, value in row.items()}


GUID, OTHER_GUID = "{A1B2C3D4-00AA-4BCD-8EF0-0123456789AB}", "a1b2c3d4-00aa-4bcd-8ef0-0123456789ac"
RESPELLED = (GUID.lower(), GUID.strip("{}"), GUID.strip("{}").lower().replace("-", ""))


def known_by_id(sourced_id: str = GUID, **fields: Any) -> Directory:
    """An active student who has a name, and no number, e-mail or user name."""
    directory = Directory()
    directory.member(directory.person(sourced_id, number="", **ANN | fields), grade="05")
    return directory


@pytest.mark.parametrize("sourced_id", RESPELLED)
def test_an_active_member_is_found_by_their_id_in_another_spelling(sourced_id: str) -> None:
    row = one_row(known_by_id(), user(sourced_id, **RECORD, identifier=None, grades=["06"]))
    assert (row["action"], row["reason"], row["notes"]) == ("update", "changed", "found_by_id")
    assert (row["person_id"], row["new_links"], row["matched_by"]) == (1, [sourced_id], "id")
    assert row["changes"]["primary_record"] == [GUID, sourced_id]


@pytest.mark.parametrize(("stored", "sourced_id"), [("Jos\u00e9-1", "Jose\u0301-1"), ("jose\u0301-1", "JOS\u00c9-1")])
def test_an_accent_of_an_id_may_be_a_character_of_its_own(stored: str, sourced_id: str) -> None:
    row = one_row(known_by_id(stored), user(sourced_id, **RECORD, identifier=None, grades=["05"]))
    assert (row["person_id"], row["notes"]) == (1, "found_by_id")


@pytest.mark.parametrize(
    ("members", "reasons"),
    [
        ({"givenName": "Bo", "familyName": "Ray"}, ["joined", "left"]),
        ({"givenName": "Bo"}, ["match_contradicted"]),
        ({"familyName": "Ray"}, ["match_contradicted"]),
        ({"familyName": None}, ["match_contradicted"]),
        ({"sourcedId": OTHER_GUID}, ["match_contradicted"]),
        ({"grades": ["12"]}, ["match_contradicted"]),
        ({"roles": [entry("teacher")], "grades": None}, ["match_contradicted"]),
    ],
)
def test_an_id_in_another_spelling_is_not_enough_if_something_speaks_against_it(
    members: dict[str, Any], reasons: list[str]
) -> None:
    record = user(RESPELLED[0], **{**RECORD, "identifier": None, "grades": ["05"]} | members)
    rows = known_by_id().plan([record]).rows
    assert sorted(rows["reason"]) == reasons
    assert not set(rows["action"]) & {"update", "archive"} - ({"archive"} if "left" in reasons else set())


@pytest.mark.parametrize(("stored", "sourced_id"), [("1-23", "12-3"), ("{7}", "7"), ("a-1", "A1")])
def test_hyphens_and_braces_of_an_id_that_is_not_a_guid_count(stored: str, sourced_id: str) -> None:
    rows = known_by_id(stored).plan([user(sourced_id, **RECORD, identifier=None, grades=["05"])]).rows
    assert sorted(rows["reason"]) == ["match_contradicted"]


def test_an_id_in_two_spellings_is_two_people() -> None:
    for stored, records in ((GUID, (GUID, RESPELLED[0])), ("x", RESPELLED[:2]), (GUID, RESPELLED[:2])):
        directory = known_by_id(stored)
        rows = directory.plan([user(one, **RECORD, identifier=None, grades=["05"]) for one in records]).rows
        assert "found_by_id" not in set(rows["notes"])
        assert not set(rows["action"]) & {"archive"}
    directory = known_by_id()
    directory.member(directory.person(RESPELLED[0], number="", **ANN), grade="05")
    rows = directory.plan([user(RESPELLED[1], **RECORD, identifier=None, grades=["05"])]).rows
    assert sorted(rows["reason"]) == ["in_conflict", "in_conflict", "several_matches"]


def test_the_number_of_a_leaver_and_a_given_name_are_not_enough() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({}, {}, "match_contradicted"),
        ({"email": MAIL}, {}, "match_contradicted"),
        ({"username": "ann"}, {}, "match_contradicted"),
        ({"username": "ann"}, {"username": "ANN"}, "returned"),
        ({"family_name": None}, {}, "returned"),
        ({}, {"familyName": "Lee"}, "returned"),
        ({"preferred_family_name": "Ray"}, {}, "returned"),
        ({}, {"givenName": "Bo"}, "joined"),
    ]
    changed = {"givenName": "Ann", "familyName": "Ray", "identifier": "7"}
    worlds: list[Case] = []
    here: list[Case] = []
    for person, record, _ in cases:
        for status, to in (("archived", worlds), ("active", here)):
            directory = Directory()
            directory.member(directory.person("old", number="7", **ANN | person), status=status)
            to.append((directory, [user("new", **changed | (record if to is worlds else {}))]))
    assert [rows[0]["reason"] for rows in planned_together(worlds)] == [reason for *_, reason in cases]
    doubted = [world for world, case in zip(here, cases, strict=True) if case[-1] == "match_contradicted"]
    assert [row["reason"] for (row,) in planned_together(doubted)] == ["changed"] * 3


def test_somebody_who_left_is_not_found_by_an_id_in_another_spelling() -> None:
    directory = known_by_id()
    directory.members[1].update(status="archived", archived_by="sync")
    row = one_row(directory, user(RESPELLED[0], **RECORD, identifier=None, grades=["05"]))
    assert (row["reason"], row["notes"]) == ("joined", None)


def test_a_list_of_changes_that_deletes_the_stored_id_is_not_a_second_record() -> None:
    told = [user(GUID, **RECORD, identifier=None, status="tobedeleted"), user(RESPELLED[0], **RECORD, identifier=None)]
    rows = known_by_id().plan(told, snapshot=SnapshotFacts(complete=True, mode="delta")).rows
    assert list(rows["notes"]) == ["found_by_id"]


def test_a_person_without_a_link_is_found_by_these_values() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
        ({"number": "7", **ANN}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "given_name": "Ann", "family_name": "Ray"}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "preferred_given_name": "ann"}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "007", **ANN}, {**RECORD, "identifier": "7"}, "number"),
        (
            {"number": "7", "username": "LEE", "family_name": "Lee"},
            dict(RECORD, identifier="7", username="lee"),
            "number",
        ),
        ({"number": "7"}, {**RECORD, "identifier": "7"}, None),
        ({"number": "7", "number_kind": "staff", **ANN}, {**RECORD, "identifier": "7"}, None),
        ({"number": "7", "number_connection_id": 2, **ANN}, {**RECORD, "identifier": "7"}, None),
        ({"email": MAIL, **ANN}, {**RECORD, "email": MAIL}, "email"),
        ({"email": MAIL, "number": "007", **ANN}, {**RECORD, "email": MAIL, "identifier": "7"}, "number"),
        ({"email": MAIL, "number": "1", "number_connection_id": 2, **ANN}, {**RECORD, "email": MAIL}, "email"),
        ({"email": MAIL, "given_name": "Bo", "family_name": "Ray"}, {**RECORD, "email": MAIL}, None),
        (ANN, RECORD, None),
        ({**ANN, "username": "ann"}, {**RECORD, "username": "ann", "identifier": None}, None),
    ]
    told = planned_together((stranger(person), [user("new", **record)]) for person, record, _ in cases)
    found = [(row["matched_by"], row["reason"]) for (row,) in told]
    assert found == [(matched_by, "joined_school" if matched_by else "joined") for *_, matched_by in cases]


def stranger(person: dict[str, Any]) -> Directory:
    """Somebody without a link, who is called Xi Yu by default."""
    directory = Directory()
    directory.person(**({"given_name": "Xi", "family_name": "Yu"} | person))
    return directory


def test_somebody_who_seems_to_be_a_person_and_is_not_surely_them_waits_beside_them() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        # the number and one name, and something speaks against it
        ({"number": "7", "family_name": "Lee"}, {**RECORD, "identifier": "7"}, "number"),
        ({"number": "7", "preferred_family_name": "Lee"}, {**RECORD, "identifier": "7"}, "number"),
        (dict(ANN, number="7", family_name="Ray", email="x@x.org"), dict(RECORD, identifier="7", email=MAIL), "number"),
        (dict(ANN, number="7", family_name="Ray", username="x"), dict(RECORD, identifier="7", username="y"), "number"),
        (dict(ANN, number="7", given_name="Bo", email=MAIL), dict(RECORD, identifier="7", email=MAIL), "number"),
        # the number and the e-mail, and no name
        ({"number": "7", "email": MAIL}, {"email": MAIL, "identifier": "7"}, "number"),
        # the e-mail and the whole name, and something speaks against it
        ({"email": MAIL, "number": "1", **ANN}, {**RECORD, "email": MAIL, "identifier": "2"}, "email"),
        # the e-mail and a name
        ({"email": MAIL, "given_name": "Ann", "family_name": "Ray"}, {**RECORD, "email": MAIL}, "email"),
        # entered by hand under a short form of the name
        ({"email": MAIL, "given_name": "Annie", "family_name": "Lee"}, {**RECORD, "email": MAIL}, "email"),
    ]
    worlds = [(stranger(person), [user("new", **record)]) for person, record, _ in cases]
    for directory, _ in worlds:
        directory.member(1)
    told = planned_together(worlds)
    names = ("action", "reason", "person_id", "new_links", "matched_by")
    assert [tuple(row[name] for name in names) for (row,) in told] == [
        ("conflict", "match_contradicted", 1, [], matched_by) for *_, matched_by in cases
    ]
    assert all(row["changes"] for (row,) in told)
    directory, records = worlds[0]
    before = deepcopy(directory.people)
    directory.apply(directory.plan(records))
    assert directory.people == before


MIDDLES = [
    ("Marie", "Marie", True),
    ("Marie", "M.", True),
    ("m", "MARIE", True),
    ("Marie", None, True),
    (None, "Marie", True),
    ("Marie", "Rose", False),
    ("M", "Rose", False),
    ("Ann Marie", "Marie", False),
]


@pytest.mark.parametrize("key", [{"number": "7"}, {"email": MAIL}, {"email": MAIL, "username": "ann"}])
def test_another_middle_name_speaks_against_an_email_and_not_against_what_one_person_has_alone(
    key: dict[str, Any],
) -> None:
    mine = {"identifier": key.get("number"), "email": key.get("email"), "username": key.get("username")}
    cases = [
        (stranger({**ANN, "middle_name": theirs, **key}), [user("new", **RECORD, middleName=told, **mine)])
        for theirs, told, _ in MIDDLES
    ]
    for directory, _ in cases:
        directory.member(1)
    contradicted = [row["reason"] == "match_contradicted" for (row,) in planned_together(cases)]
    assert contradicted == [not same and set(key) == {"email"} for *_, same in MIDDLES]


@pytest.mark.parametrize(("one", "other", "same"), MIDDLES)
def test_two_pupils_with_one_email_and_name_are_two_people_if_their_middle_names_differ(
    one: str | None, other: str | None, same: bool
) -> None:
    twins = [
        user(name, **RECORD, identifier=None, email=MAIL, username=name, middleName=middle)
        for name, middle in (("a", one), ("b", other))
    ]
    rows = Directory().plan(twins).rows
    assert sorted(map(sorted, rows["sourced_ids"])) == ([["a", "b"]] if same else [["a"], ["b"]])
    third = user("c", **RECORD, identifier=None, email=MAIL, username="c")
    rows = Directory().plan([*twins, third]).rows
    assert same or sorted(rows["reason"]) == ["joined", "joined", "records_alike"]


GRADES: dict[str, Any] = {"role": "student", "grade": "09"}


@pytest.mark.parametrize("key", [{"number": "7"}, {"email": MAIL}])
def test_a_grade_far_away_and_pupil_against_staff_speak_against_a_match(key: dict[str, Any]) -> None:
    table: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (GRADES, {"grades": ["09"]}, "changed"),
        (GRADES, {"grades": ["11"]}, "changed"),
        (GRADES, {"grades": ["12"]}, "match_contradicted"),
        (GRADES, {"grades": ["07"]}, "changed"),
        (GRADES, {"grades": ["06"]}, "match_contradicted"),
        ({**GRADES, "years": 1}, {"grades": ["12"]}, "changed"),
        ({**GRADES, "years": 9}, {"grades": ["06"]}, "match_contradicted"),
        ({**GRADES, "status": "archived"}, {"grades": ["03"]}, "match_contradicted"),
        ({"role": "student", "grade": "KG"}, {"grades": ["03"]}, "match_contradicted"),
        ({"role": "student", "grade": "UG"}, {"grades": ["03"]}, "changed"),
        ({"role": "teacher"}, {}, "match_contradicted"),
    ]
    told = {"identifier": key.get("number"), "email": key.get("email")}
    cases = []
    for elsewhere in (False, True):
        for member, record, _ in table:
            directory = stranger({**ANN, **key})
            (directory.member_elsewhere if elsewhere else directory.member)(1, **member)
            cases.append((directory, [user("new", **RECORD, **told, **record)]))
    here = [reason for *_, reason in table]
    there = [reason if reason == "match_contradicted" else "joined_school" for reason in here]
    assert [row["reason"] for (row,) in planned_together(cases)] == here + there


@pytest.mark.parametrize(("master", "reason"), [("m", "relinked"), ("n", "match_contradicted"), (None, "relinked")])
def test_another_master_identifier_speaks_against_a_match(master: str | None, reason: str) -> None:
    directory = Directory()
    who = directory.member(directory.person(number="7", **ANN), source_role="student")
    directory.link(who, "old", master="m")
    assert one_row(directory, user("new", **RECORD, identifier="7", userMasterIdentifier=master))["reason"] == reason


def test_who_is_here_under_a_record_of_their_own_is_not_one_who_has_their_old_number_and_another_grade() -> None:
    directory = Directory()
    directory.member(directory.person("a", number="7", **ANN), grade="09")
    here = user("a", **RECORD, identifier="8", grades=["09"])
    rows = directory.plan([here, user("new", **RECORD, identifier="7", grades=["02"])]).rows
    assert list(rows["reason"]) == ["changed", "joined"]
    assert rows["notes"].tolist()[1] == "number_of_another"


def test_a_record_joined_with_one_that_cannot_be_the_person_is_not_the_person() -> None:
    directory = Directory()
    directory.member(directory.person(number="7", email=MAIL, **ANN), grade="09")
    users = [
        user("a", **RECORD, identifier="7", email="x@example.org"),
        user("b", **RECORD, identifier="7", email="y@example.org", grades=["03"]),
    ]
    assert one_row(directory, *users)["reason"] == "match_contradicted"


def test_numbers_that_are_the_sourced_ids_neither_match_nor_contradict() -> None:
    directory = Directory()
    directory.member(directory.person("old", number="old", email=MAIL, **ANN))
    row = one_row(directory, user("new", **RECORD, email=MAIL, identifier="new"))
    assert (row["matched_by"], row["action"]) == ("email", "update")


@pytest.mark.parametrize("number", ["A 7", "a7", "A\uff17", "00a 7"])
def test_a_namesake_with_the_number_of_a_leaver_is_somebody_new_with_a_note(number: str) -> None:
    directory = Directory()
    directory.person("gone", number="A 7", given_name="Ann", family_name="Ray")
    row = one_row(directory, user("new", givenName="Bo", familyName="Lee", identifier=number))
    assert (row["reason"], row["notes"]) == ("joined", "number_of_another")


@pytest.mark.parametrize(
    ("record", "notes"),
    [({"identifier": "7"}, "found_by_number"), ({"identifier": None, "email": MAIL}, "found_by_email")],
)
def test_a_match_that_no_link_made_is_noted_and_from_then_on_it_is_a_link(record: dict[str, Any], notes: str) -> None:
    directory = Directory()
    directory.member(directory.person("old", number="7", email=MAIL, **ANN))
    row = one_row(directory, user("new", **RECORD, **record))
    assert row["notes"] == notes
    directory.apply(directory.plan([user("new", **RECORD, **record)]))
    assert one_row(directory, user("new", **RECORD, **record))["notes"] is None


def test_a_join_is_noted_until_links_hold_the_records_together() -> None:
    directory = Directory()
    users = [user("t", "teacher", **RECORD, identifier="9"), user("a", "principal", **RECORD, identifier="9")]
    assert one_row(directory, *users)["notes"] == "records_joined"
    directory.apply(directory.plan(users))
    assert one_row(directory, *users)["notes"] is None
    third = user("x", "aide", **RECORD, identifier="9")
    assert one_row(directory, *users, third)["notes"] == "records_joined"


@pytest.mark.parametrize("name", ["number", "username", "email"])
def test_a_key_that_somebody_else_has_already_is_noted_where_it_is_new(name: str) -> None:
    value = {"number": "N-q", "username": "Quentin", "email": MAIL}[name]
    directory = Directory()
    directory.member(directory.person("a"), source_role="student")
    directory.person("q", **({"number": "N-q"} | {name: value}))
    told = {{"number": "identifier"}.get(name, name): value.lower() if name == "username" else value}
    row = one_row(directory, user("a", **told))
    assert (row["reason"], row["notes"]) == ("changed", f"{name}_of_another")
    new = directory.plan([user("a"), user("b", **told)]).rows.set_index("reason")
    assert new.loc["joined", "notes"] == f"{name}_of_another"
    directory.apply(directory.plan([user("a", **told)]))
    assert one_row(directory, user("a", **told))["notes"] is None


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


def test_a_person_whom_two_humans_match_is_neither_of_them() -> None:
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
    from roster_pipeline.settings.school import RoleSettings

    quiet = school(students=RoleSettings(rostered=True))
    directory = Directory()
    directory.member(directory.person("old", number="7"))
    fresh = user("new", givenName="Givenold", familyName="Changed", identifier="7")
    plan = directory.plan([fresh], quiet)
    assert [(row.action, row.reason, row.new_links) for row in tuples(plan.rows)] == [("update", "relinked", ["new"])]
    assert plan.rows["changes"].iloc[0] == {"primary_record": ["old", "new"]}
    directory.apply(plan)
    assert len(directory.people) == 1
    assert list(directory.plan([fresh], quiet).rows["reason"]) == ["auto_update_off"]


def test_somebody_entered_by_hand_is_linked_once_found_and_from_then_on_looked_after() -> None:
    directory = Directory()
    directory.member(directory.person(number="N-a", given_name="Givena", family_name="Familya"), managed=False)
    row = one_row(directory, user("a"))
    assert (row["action"], row["reason"], row["new_links"]) == ("update", "linked", ["a"])
    assert row["changes"]["primary_record"] == [None, "a"]
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


def test_in_another_school_now_is_one_person_whichever_school_runs_first() -> None:
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


def test_a_lock_of_an_unknown_field_has_no_effect() -> None:
    directory = Directory()
    directory.member(directory.person("a", locked_fields=["shoe_size", "given_name"]))
    row = one_row(directory, user("a", givenName="New", familyName="Newer"))
    assert row["changes"] == {"family_name": ["Familya", "Newer"]}


def test_an_unknown_login_flag_is_not_a_change() -> None:
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
        directory.link(who, "here", confirmed=True)
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
        assert (row["changes"]["primary_record"], row["sourced_ids"]) == (["old", "new"], ["new", "old"])
        assert row["changes"]["given_name"] == ["Givenold", "New"]
        directory.apply(directory.plan(users))
        assert [link["is_primary"] for link in directory.links] == [False, True]
        assert one_row(directory, *users)["action"] == "unchanged"

    def test_it_stays_while_its_record_is_in_another_school(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("home", number="7"))
        directory.link(who, "second")
        users = [
            user("home", roles=[entry("student", "s2")], givenName="Home", identifier="7"),
            user("second", givenName="Second", identifier="7"),
        ]
        assert one_row(directory, *users)["changes"] == {"given_name": ["Givenhome", "Home"]}

    @pytest.mark.parametrize("roles", [[], [entry("student", "s2")]], ids=["no org", "another school"])
    def test_it_is_followed_from_the_night_on_that_finds_another_record(self, roles: list[dict[str, Any]]) -> None:
        """And not one night later, when both records have a link."""
        directory = Directory()
        directory.member(directory.person("home", number="7", username="kept"))
        users = [
            user("home", givenName="Home", familyName="Familyhome", identifier=None, roles=roles),
            user("second", givenName="Givenhome", familyName="Familyhome", identifier="7"),
        ]
        row = one_row(directory, *users)
        assert (row["new_links"], row["sourced_ids"][0]) == (["second"], "home")
        assert row["changes"]["given_name"] == ["Givenhome", "Home"]
        directory.apply(directory.plan(users))
        assert one_row(directory, *users)["action"] == "unchanged"

    def test_it_is_not_followed_if_its_id_went_to_somebody_else(self) -> None:
        directory = Directory()
        directory.member(directory.person("home", number="7", email="home@example.org"))
        users = [
            user("home", givenName="Zoe", familyName="Zola", identifier="8", roles=[entry("student", "s2")]),
            user("second", givenName="Givenhome", familyName="Familyhome", identifier="7"),
        ]
        row = one_row(directory, *users)
        assert row["new_links"] == ["second"]
        assert not {"given_name", "family_name", "number"} & set(row["changes"])

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

    def test_it_is_not_a_change_of_somebody_new(self) -> None:
        assert "primary_record" not in one_row(Directory(), user("a"))["changes"]

    def test_a_list_of_changes_that_leaves_it_out_says_nothing(self) -> None:
        directory = Directory()
        who = directory.member(directory.person("home", number="7"), role="admin", source_role="principal")
        directory.link(who, "second", confirmed=True)
        delta = SnapshotFacts(complete=True, mode="delta")
        row = one_row(directory, user("second", "teacher", givenName="Second"), snapshot=delta)
        assert row["action"] == "unchanged"
        assert row["sourced_ids"] == ["home", "second"]

    @pytest.mark.parametrize(
        ("snapshot", "moves"),
        [
            (SnapshotFacts(complete=True), (True, True)),
            (SnapshotFacts(complete=True, mode="school"), (True, False)),
            (SnapshotFacts(complete=True, mode="delta"), (False, False)),
            (SnapshotFacts(complete=False), (False, False)),
        ],
    )
    def test_where_a_list_that_leaves_it_out_says_that_it_is_gone(
        self, snapshot: SnapshotFacts, moves: tuple[bool, bool]
    ) -> None:
        """moves: for a person found by number, and for a linked person."""
        directory = Directory()
        who = directory.member(directory.person("home", number="7", **ANN))
        found = []
        for matched_by in ("number", "link"):
            row = one_row(directory, user("second", **RECORD, identifier="7"), snapshot=snapshot)
            assert row["matched_by"] == matched_by
            found.append("primary_record" in row["changes"])
            directory.link(who, "second")
        assert tuple(found) == moves

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
