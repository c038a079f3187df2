"""Several records of one person, and records that only look like it."""

from typing import Any

import pytest

from roster_pipeline.identity.identity_groups import identity_groups_of
from roster_pipeline_tests.planning.builders import Directory, cleaned, entry, school, tuples, user

ANN = {"givenName": "Ann", "familyName": "Lee"}
BO = {"givenName": "Bo", "familyName": "Lee"}
SAME = "home@example.org"


RAY = {"givenName": "Ann", "familyName": "Ray"}
CY = {"givenName": "Cy", "familyName": "Ray"}
ONE = {"identifier": "1"}
NO_NUMBER = {"identifier": None}
HOME = {"email": SAME, **NO_NUMBER}


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        # one number
        ({**ANN, **ONE}, {**ANN, **ONE}, "one person"),
        ({**ANN, **ONE, "email": "a@x.org", "username": "a1"}, {**ANN, **ONE, "email": "b@x.org"}, "one person"),
        ({**ANN, **ONE}, {"givenName": "ÁNN", "familyName": "Ray", **ONE}, "one person"),
        ({**ANN, **ONE, "email": "a@x.org"}, {**RAY, **ONE}, "one person"),
        ({**ANN, **ONE, "email": "a@x.org"}, {**RAY, **ONE, "email": "b@x.org"}, "conflict"),
        ({**ANN, **ONE, "username": "ann1"}, {**RAY, **ONE, "username": "ann2"}, "conflict"),
        ({**ANN, **ONE, "grades": ["09"]}, {**RAY, **ONE, "grades": ["03"]}, "conflict"),
        ({**ANN, **ONE, "userMasterIdentifier": "m1"}, {**RAY, **ONE, "userMasterIdentifier": "m2"}, "conflict"),
        ({**ANN, **ONE, "grades": ["09"]}, {**ANN, **ONE, "grades": ["12"]}, "conflict"),
        ({**ANN, **ONE, "grades": ["09"]}, {**ANN, **ONE, "grades": ["11"]}, "one person"),
        ({**ANN, **ONE}, {**BO, **ONE}, "conflict"),
        ({**ANN, **ONE, "email": SAME}, {**BO, **ONE, "email": SAME}, "conflict and shared e-mail"),
        ({**ANN, **ONE, "username": "lee"}, {**BO, **ONE, "username": "LEE"}, "one person"),
        ({**ANN, **ONE, "userMasterIdentifier": "m"}, {**BO, **ONE, "userMasterIdentifier": "m"}, "one person"),
        ({**ANN, **ONE}, {**CY, **ONE}, "conflict"),
        ({**ANN, **ONE, "email": SAME}, {**CY, **ONE, "email": SAME}, "conflict and shared e-mail"),
        # one e-mail
        ({**ANN, **HOME}, {**ANN, **HOME, "email": SAME.upper()}, "one person"),
        ({**ANN, **HOME, "grades": ["09"]}, {**ANN, **HOME, "grades": ["10"]}, "one person"),
        ({**ANN, **HOME, "identifier": "1"}, {**ANN, **HOME}, "one person"),
        ({**ANN, **HOME, "identifier": "1"}, {**ANN, **HOME, "identifier": "2"}, "namesakes"),
        ({**ANN, **HOME, "grades": ["09"]}, {**ANN, **HOME, "grades": ["02"]}, "namesakes"),
        ({**ANN, **HOME}, {**ANN, **HOME, "roles": [entry("teacher")]}, "namesakes"),
        ({**ANN, **HOME, "userMasterIdentifier": "1"}, {**ANN, **HOME, "userMasterIdentifier": "2"}, "namesakes"),
        ({**ANN, **HOME}, {**BO, **HOME}, "shared e-mail"),
        ({**ANN, **HOME}, {**RAY, **HOME}, "shared e-mail"),
        ({**ANN, **HOME}, {**CY, **HOME}, "shared e-mail"),
        # names that changed places, or are in one field
        ({**ANN, **ONE}, {"givenName": "Lee", "familyName": "Ann", **ONE, "email": "b@x.org"}, "one person"),
        ({**ANN, **ONE, "email": "a@x.org"}, {"givenName": None, "familyName": "Lee, Ann", **ONE}, "one person"),
        (
            {**ANN, **ONE, "grades": ["09"]},
            {"familyName": "Ann Lee", "givenName": None, **ONE, "grades": ["03"]},
            "conflict",
        ),
        ({**ANN, **ONE}, {"givenName": None, "familyName": "Lee", **ONE}, "one person"),
        ({**BO, **ONE, "givenName": None}, {"givenName": None, "familyName": "Ann", **ONE}, "conflict"),
        ({**BO, **HOME, "givenName": None}, {**ANN, **HOME, "givenName": None}, "shared e-mail"),
        ({**ANN, **HOME}, {"givenName": "Lee", "familyName": "Ann", **HOME}, "shared e-mail"),
        # middle names in one field with another name
        ({**ANN, **HOME, "middleName": "Marie"}, {**ANN, **HOME, "givenName": "Ann Marie"}, "one person"),
        ({**ANN, **HOME, "middleName": "van"}, {**ANN, **HOME, "familyName": "van Lee"}, "one person"),
        ({**ANN, **HOME, "middleName": "Rose"}, {**ANN, **HOME, "givenName": "Ann Marie"}, "shared e-mail"),
        # numbers in another spelling
        ({**ANN, "identifier": "AB 7"}, {**ANN, "identifier": "ab７"}, "one person"),
        ({**ANN, "identifier": "AB 7"}, {**RAY, "identifier": "ab７"}, "conflict"),
        # leading zeros
        ({**ANN, "identifier": "007", "email": SAME}, {**ANN, "identifier": "7", "email": SAME}, "one person"),
        ({**ANN, "identifier": "007"}, {**ANN, "identifier": "7"}, "one person"),
        ({**ANN, "identifier": "007"}, {**RAY, "identifier": "7"}, "conflict"),
        # numbers that are the sourcedId
        ({**ANN, "identifier": "a", "email": SAME}, {**ANN, "identifier": "b", "email": SAME}, "namesakes"),
        (
            {**ANN, "identifier": "a", "email": SAME, "roles": [entry("teacher")]},
            {**ANN, "identifier": "b", "email": SAME, "roles": [entry("principal")]},
            "one person",
        ),
        (
            {**ANN, "identifier": "a", "email": SAME},
            {**ANN, "identifier": "b", "email": SAME, "roles": [entry(org="s2")]},
            "one person",
        ),
        # neither
        (ANN, ANN, "two people"),
        ({**ANN, **ONE, "roles": [entry("teacher")]}, {**ANN, **ONE}, "two people"),
        ({**ANN, "identifier": "0000"}, {**BO, "identifier": "0000"}, "two people"),
    ],
)
def test_which_records_are_one_human(one: dict[str, Any], other: dict[str, Any], outcome: str) -> None:
    told = cleaned([user("a", **one), user("b", **other)])
    rules = set(told.rejected["rule"])
    assert (told.roster["identity"].nunique() == 1) == (outcome == "one person")
    assert told.roster["conflict"].notna().all() == ("conflict" in outcome)
    assert told.roster["conflict"].notna().any() == ("conflict" in outcome)
    assert ("shared_email" in rules) == ("shared e-mail" in outcome or outcome == "namesakes")
    assert ("same_name_and_email" in rules) == (outcome == "namesakes")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_record_that_fits_two_who_cannot_be_one_is_a_conflict_and_the_two_are_two(order: tuple[int, ...]) -> None:
    known: list[dict[str, Any]] = [{"identifier": "71"}, {"identifier": "72"}, {"identifier": None}]
    names = dict(zip(order, "abc", strict=True))
    users = [user(names[place], **ANN, email=SAME, **known[place]) for place in range(3)]
    rows = Directory().plan(users).rows.set_index("reason")["sourced_ids"]
    assert rows["records_alike"] == [names[2]]
    assert sorted(rows["joined"].tolist()) == sorted([[names[0]], [names[1]]])


def test_a_record_that_fits_two_belongs_to_whom_it_is_linked_by_hand() -> None:
    directory = Directory()
    users = [user("a", **ANN, email=SAME, identifier="71"), user("b", **ANN, email=SAME, identifier="72")]
    directory.apply(directory.plan(users))
    unclear = user("c", **ANN, email=SAME, identifier=None)
    assert sorted(directory.plan([*users, unclear]).rows["reason"]) == ["equal", "equal", "records_alike"]
    directory.link(1, "c", confirmed=True)
    assert sorted(directory.plan([*users, unclear]).rows["reason"]) == ["equal", "equal"]


def test_a_chain_of_numbers_and_emails_joins_nobody_who_cannot_be_one() -> None:
    users = [
        user("a", **ANN, identifier="71", email="a@x.org", userMasterIdentifier="m1"),
        user("b", **ANN, identifier="71", email=SAME),
        user("c", **ANN, identifier=None, email=SAME, userMasterIdentifier="m2"),
    ]
    assert cleaned(users).roster["identity"].tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("names", "noted"),
    [
        (("peter", "Peter", "PETER"), {"a", "b", "c"}),
        (("phale", "phale", "other"), {"a", "b"}),
        (("STRASSE", "strasse", None), {"a", "b"}),
        (("NULL", "NULL", "null"), set()),
        (("a", "b", "c"), set()),
    ],
)
def test_equal_user_names_are_noted_capitals_aside_and_their_people_are_made(
    names: tuple[str | None, ...], noted: set[str]
) -> None:
    users = [user(one, username=name) for one, name in zip("abc", names, strict=True)]
    rejected = cleaned(users).rejected
    found = rejected[rejected["rule"] == "shared_username"]
    assert set(found["sourced_id"]) == noted
    assert set(found["field"]) <= {"username"}
    assert list(Directory().plan(users).rows["reason"]) == ["joined"] * 3


def test_two_records_of_one_human_do_not_share_their_user_name() -> None:
    users = [user("t", "teacher", **ANN, **ONE, username="alee"), user("a", "principal", **ANN, **ONE, username="alee")]
    assert "shared_username" not in set(cleaned(users).rejected["rule"])


def test_a_number_of_everybody_is_a_placeholder_and_takes_no_time() -> None:
    roster = cleaned([user(f"u{i:05}", identifier="1", familyName="Lee") for i in range(3_000)]).roster
    assert roster["conflict"].isna().all()
    assert roster["identity"].nunique() == 3_000


@pytest.mark.parametrize(("records", "people"), [(30, 1), (31, 31)])
def test_up_to_thirty_different_records_of_one_number_and_name_are_compared(records: int, people: int) -> None:
    roster = cleaned([user(f"u{i:02}", **ANN, identifier="1", email=f"{i}@x.org") for i in range(records)]).roster
    assert roster["identity"].nunique() == people
    assert roster["conflict"].notna().all() == (people > 1)


def test_brothers_and_sisters_with_one_number_are_a_conflict_however_many_they_are() -> None:
    roster = cleaned([user(f"u{i}", identifier="1", familyName="Lee") for i in range(3)]).roster
    assert roster["identity"].nunique() == 3
    assert roster["conflict"].notna().all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({**ANN, "preferredFirstName": "Annie"}, {"givenName": "Annie", "familyName": "Ray"}),
        ({**ANN, "preferredLastName": "Ray"}, {"givenName": "Ann", "familyName": "Ray"}),
    ],
)
def test_a_preferred_name_agrees_with_a_number_like_any_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    users = [user("a", **one, identifier="1"), user("b", **other, identifier="1")]
    assert cleaned(users, school(preferred_names=True)).roster["identity"].nunique() == 1


def test_a_namesake_of_a_leaver_whose_record_is_still_listed_is_not_joined_with_it() -> None:
    gone = user("a", **ANN, **HOME, grades=["12"], status="tobedeleted")
    directory = Directory()
    directory.member(directory.person("a", email=SAME, given_name="Ann", family_name="Lee"), grade="12")
    directory.people[1]["number"] = None
    rows = directory.plan([gone, user("b", **ANN, **HOME, grades=["02"])]).rows
    assert list(rows["reason"]) == ["match_contradicted"]


def test_a_deleted_record_with_a_reassigned_number_takes_nothing_from_the_new_pupil() -> None:
    users = [user("a", status="tobedeleted", identifier="1"), user("b", identifier="1")]
    assert cleaned(users).roster["conflict"].isna().all()
    assert list(Directory().plan(users).rows["action"]) == ["create"]


def test_a_teacher_who_is_also_an_administrator_is_one_person_with_two_links_and_the_stronger_role() -> None:
    users = [user("x-t", "teacher", **ANN, identifier="9"), user("x-a", "principal", **ANN, identifier="9")]
    directory = Directory()
    plan = directory.plan(users)
    assert list(plan.rows["role"]) == ["admin"]
    directory.apply(plan)
    assert len(directory.people) == 1
    assert {link["sourced_id"] for link in directory.links} == {"x-t", "x-a"}
    still = directory.plan(users[:1])
    assert [(row.action, row.changes["role"]) for row in tuples(still.rows)] == [("update", ["admin", "teacher"])]


def test_records_linked_to_one_person_by_hand_are_one_identity_with_any_values() -> None:
    directory = Directory()
    directory.link(directory.member(directory.person("a")), "b", confirmed=True)
    rows = directory.plan([user("a"), user("b", identifier="other")]).rows
    assert list(rows["action"]) == ["unchanged"]
    assert list(rows["sourced_ids"]) == [["a", "b"]]


@pytest.mark.parametrize(
    ("third", "one"),
    [
        ({**BO, **HOME}, True),
        ({**CY, **HOME}, False),
        ({**CY, **HOME, "status": "tobedeleted"}, True),
        ({"givenName": "Cy", "familyName": None, **HOME}, True),
        ({**CY, **NO_NUMBER, "email": "cy@example.org"}, True),
    ],
)
def test_an_email_of_people_of_several_families_joins_nobody(third: dict[str, Any], one: bool) -> None:
    users = [user("a", **ANN, **HOME), user("b", **ANN, **HOME), user("c", **third)]
    identity = cleaned(users).roster["identity"].tolist()
    assert (identity[0] == identity[1]) == one
    assert identity[2] == 2


def test_a_conflict_that_a_link_by_hand_has_settled_is_none() -> None:
    directory = Directory()
    directory.link(directory.member(directory.person("a", number="1")), "b")
    rows = directory.plan([user("a", identifier="1"), user("b", identifier="1")]).rows
    assert list(rows["action"]) == ["unchanged"]


@pytest.mark.parametrize(
    "pairs", [[("1", "student"), ("2", "student")], [("1", "student"), ("1", "teacher")]], ids=["numbers", "kinds"]
)
def test_two_conflicts_that_links_by_hand_have_settled_do_not_meet(pairs: list[tuple[str, str]]) -> None:
    directory, users = Directory(), []
    for number, role in pairs:
        one, other = f"{number}-{role}-a", f"{number}-{role}-b"
        kind = "student" if role == "student" else "staff"
        directory.link(directory.member(directory.person(one, number=number, number_kind=kind), role), other)
        users += [user(one, role, identifier=number), user(other, role, identifier=number)]
    assert cleaned(users).roster["conflict"].notna().all()
    assert "conflict" not in set(directory.plan(users).rows["action"])


def test_a_record_of_another_school_is_in_conflict_like_one_of_this() -> None:
    users = [user("a", identifier="1"), user("b", identifier="1", roles=[entry("student", "s2")])]
    assert list(Directory().plan(users).rows["reason"]) == ["number_shared"]


def test_a_human_with_a_link_and_a_record_without_one_is_the_person_of_the_link() -> None:
    directory = Directory()
    directory.member(directory.person("a", number="1"))
    users = [user(name, givenName="Givena", familyName="Familya", identifier="1") for name in ("a", "b")]
    (row,) = tuples(directory.plan(users).rows)
    assert (row.person_id, row.action, row.sourced_ids, row.new_links) == (1, "update", ["a", "b"], ["b"])


def test_every_human_has_the_records_of_its_own() -> None:
    users = [user("a"), *(user(name, **ANN, identifier="1") for name in ("b", "c")), user("d")]
    assert list(Directory().plan(users).rows["sourced_ids"]) == [["a"], ["b", "c"], ["d"]]


def test_of_many_equal_records_the_first_by_sourced_id_leads() -> None:
    users = [user(f"u{i:03}", **ANN, identifier=str(1 + i % 2)) for i in range(200)]
    rows = Directory().plan(users[::-1]).rows
    told = [[one["sourcedId"] for one in users[first::2]] for first in (0, 1)]
    assert list(rows["sourced_ids"]) == list(rows["new_links"]) == told


@pytest.mark.parametrize("count", [2, 3, 5])
def test_identities_are_numbered_by_their_first_record_in_any_order_of_the_roster(count: int) -> None:
    roster = cleaned([user(f"u{i}") for i in range(count)]).roster
    backwards = roster.assign(identity=roster["identity"].to_numpy()[::-1]).iloc[::-1]
    assert identity_groups_of(backwards, Directory().frames()).identity.tolist() == list(range(count))


def test_records_of_one_human_that_are_linked_to_two_people_are_a_conflict_and_archive_neither() -> None:
    directory = Directory()
    directory.member(directory.person("a", number="1"))
    directory.member(directory.person("b", number="1"))
    rows = directory.plan([user("a", **ANN, identifier="1"), user("b", **ANN, identifier="1")]).rows
    assert sorted(zip(rows["action"], rows["reason"], strict=True)) == [
        ("conflict", "several_matches"),
        ("skip", "in_conflict"),
        ("skip", "in_conflict"),
    ]
