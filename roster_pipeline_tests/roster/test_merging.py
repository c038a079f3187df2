"""Several records of one human, and records that only look like it."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline_tests.roster.building import Directory, cleaned, entry, user

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
    directory.link(who, "b")
    rows = directory.plan([user("a"), user("b", identifier="other")]).rows
    assert list(rows["action"]) == ["unchanged"]
    assert list(rows["sourced_ids"]) == [["a", "b"]]


def test_a_conflict_that_a_link_by_hand_has_settled_is_none() -> None:
    directory = Directory()
    who = directory.member(directory.person("a", number="1"))
    directory.link(who, "b")
    rows = directory.plan([user("a", identifier="1"), user("b", identifier="1")]).rows
    assert list(rows["action"]) == ["unchanged"]


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
