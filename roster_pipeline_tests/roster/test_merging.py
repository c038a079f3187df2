"""Several records of one human, and records that only look like it."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline.roster.units import units_of
from roster_pipeline_tests.roster.building import Directory, cleaned, entry, school, user

ANN = {"givenName": "Ann", "familyName": "Lee"}
BO = {"givenName": "Bo", "familyName": "Lee"}
SAME = "home@example.org"


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ({**ANN, "identifier": "1"}, {**ANN, "identifier": "1"}, "one human"),
        ({**ANN, "identifier": "1"}, {"givenName": "ÁNN", "familyName": "Ray", "identifier": "1"}, "one human"),
        ({**ANN, "identifier": "1"}, {**BO, "identifier": "1"}, "one human"),
        ({**ANN, "identifier": "1", "email": "a@x.org"}, {**BO, "identifier": "1", "email": "b@x.org"}, "conflict"),
        ({**ANN, "identifier": "1", "username": "a"}, {**BO, "identifier": "1", "username": "b"}, "conflict"),
        ({**ANN, "identifier": "1", "email": "a@x.org"}, {**BO, "identifier": "1"}, "one human"),
        ({**ANN, "identifier": "1"}, {**BO, "identifier": "1", "email": "b@x.org"}, "one human"),
        ({**ANN, "identifier": "1", "username": "a"}, {**BO, "identifier": "1", "username": "a"}, "one human"),
        ({**ANN, "identifier": "1"}, {"givenName": "Cy", "familyName": "Ray", "identifier": "1"}, "conflict"),
        (
            {**ANN, "identifier": "1", "email": SAME},
            {"givenName": "Cy", "familyName": "Ray", "identifier": "1", "email": SAME},
            "one human",
        ),
        ({**ANN, "email": SAME}, {**ANN, "email": SAME.upper()}, "one human"),
        ({**ANN, "email": SAME}, {**BO, "email": SAME}, "shared e-mail"),
        ({**ANN, "email": SAME}, {"givenName": "Cy", "familyName": "Ray", "email": SAME}, "shared e-mail"),
        (ANN, ANN, "two humans"),
        ({**ANN, "identifier": "1", "roles": [entry("teacher")]}, {**ANN, "identifier": "1"}, "two humans"),
        ({**ANN, "identifier": "0000"}, {**BO, "identifier": "0000"}, "two humans"),
    ],
)
def test_which_records_are_one_human(one: dict[str, Any], other: dict[str, Any], outcome: str) -> None:
    told = cleaned([user("a", **one), user("b", **other)])
    assert (told.roster["human"].nunique() == 1) == (outcome == "one human")
    assert told.roster["conflict"].notna().all() == (outcome == "conflict")
    assert told.roster["conflict"].notna().any() == (outcome == "conflict")
    assert ("shared_email" in set(told.rejected["rule"])) == (outcome == "shared e-mail")


def test_a_number_everybody_has_is_a_conflict_for_all_and_takes_no_time() -> None:
    users = [user(f"u{i:05}", identifier="1", familyName="Lee") for i in range(3_000)]
    roster = cleaned(users).roster
    assert roster["conflict"].notna().all()
    assert roster["human"].nunique() == 3_000


@pytest.mark.parametrize(("people", "humans"), [(8, 1), (9, 9)])
def test_up_to_eight_people_of_one_number_and_family_name_are_compared(people: int, humans: int) -> None:
    roster = cleaned([user(f"u{i}", identifier="1", familyName="Lee") for i in range(people)]).roster
    assert roster["human"].nunique() == humans
    assert roster["conflict"].notna().all() == (humans > 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({**ANN, "preferredFirstName": "Annie"}, {"givenName": "Annie", "familyName": "Ray"}),
        ({**ANN, "preferredLastName": "Ray"}, {"givenName": "Bo", "familyName": "Ray"}),
    ],
)
def test_a_preferred_name_agrees_with_a_number_like_any_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    users = [user("a", **one, identifier="1"), user("b", **other, identifier="1")]
    assert cleaned(users, school(preferred_names=True)).roster["human"].nunique() == 1


def test_a_deleted_record_with_a_reused_number_takes_nothing_from_the_new_pupil() -> None:
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
    assert [(row.action, row.changes["role"]) for row in still.rows.itertuples()] == [("update", ["admin", "teacher"])]


def test_records_linked_to_one_person_by_hand_are_one_human_whatever_they_say() -> None:
    directory = Directory()
    who = directory.member(directory.person("a"))
    directory.link(who, "b", confirmed=True)
    rows = directory.plan([user("a"), user("b", identifier="other")]).rows
    assert list(rows["action"]) == ["unchanged"]
    assert list(rows["sourced_ids"]) == [["a", "b"]]


def test_a_conflict_that_a_link_by_hand_has_settled_is_none() -> None:
    directory = Directory()
    who = directory.member(directory.person("a", number="1"))
    directory.link(who, "b")
    rows = directory.plan([user("a", identifier="1"), user("b", identifier="1")]).rows
    assert list(rows["action"]) == ["unchanged"]


@pytest.mark.parametrize(
    "pairs", [[("1", "student"), ("2", "student")], [("1", "student"), ("1", "teacher")]], ids=["numbers", "kinds"]
)
def test_two_conflicts_that_links_by_hand_have_settled_do_not_meet(pairs: list[tuple[str, str]]) -> None:
    directory, users = Directory(), []
    for number, role in pairs:
        one, other = f"{number}-{role}-a", f"{number}-{role}-b"
        who = directory.member(directory.person(one, number=number), role)
        directory.link(who, other)
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
    (row,) = directory.plan(users).rows.itertuples()
    assert (row.person_id, row.action, row.sourced_ids, row.new_links) == (1, "update", ["a", "b"], ["b"])


def test_every_human_has_the_records_of_its_own() -> None:
    users = [user("a"), *(user(name, **ANN, identifier="1") for name in ("b", "c")), user("d")]
    rows = Directory().plan(users).rows
    assert list(rows["sourced_ids"]) == [["a"], ["b", "c"], ["d"]]


def test_of_many_equal_records_the_first_by_sourced_id_leads() -> None:
    users = [user(f"u{i:03}", **ANN, identifier=str(1 + i % 2)) for i in range(200)]
    rows = Directory().plan(users[::-1]).rows
    told = [[one["sourcedId"] for one in users[first::2]] for first in (0, 1)]
    assert list(rows["sourced_ids"]) == list(rows["new_links"]) == told


@pytest.mark.parametrize("count", [2, 3, 5])
def test_humans_are_numbered_by_their_first_record_whatever_the_order_of_the_roster(count: int) -> None:
    roster = cleaned([user(f"u{i}") for i in range(count)]).roster
    backwards = roster.assign(human=roster["human"].to_numpy()[::-1]).iloc[::-1]
    assert units_of(backwards, Directory().frames()).unit.tolist() == list(range(count))


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
