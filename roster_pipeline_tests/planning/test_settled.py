"""People who share a key with somebody who is not settled are planned too; the others stay settled."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from roster_pipeline.frames import sorted_by, strings
from roster_pipeline.planning.settled import IDLE, OPEN, neighbours, settled_by, still_settled, those_of_roster
from roster_pipeline_tests.planning.builders import COMPLETE, Directory, cleaned, school, user

ADA, BO, MUM = "a", "b", "mum"
KEYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("number, in another spelling", {"identifier": "0n-A"}, {}),
    ("e-mail", {"email": "ada@x.example"}, {"email": "ada@x.example"}),
    ("user name, in capitals", {"username": "ADA"}, {"username": "ada"}),
    ("id, in another spelling", {"sourcedId": "A"}, {}),
]


def records(*users: dict[str, Any]) -> pd.DataFrame:
    """A roster in the form that planning reads."""
    return sorted_by(cleaned(list(users), school(primary_contacts=True)).roster, "sourced_id")


def two_people(**fields: Any) -> Directory:
    """Ada, with these fields, and Bo, who are both here."""
    directory = Directory()
    directory.member(directory.person(ADA, **fields))
    directory.member(directory.person(BO))
    return directory


def near(roster: pd.DataFrame, directory: Directory, settled: set[str]) -> set[str]:
    """Those records of `settled` that are planned too. The directory has only the people who are not settled."""
    flags = neighbours(roster, roster["sourced_id"].isin(settled).to_numpy(), directory.frames())
    return set(roster["sourced_id"][flags])


@pytest.mark.parametrize(("key", "new", "old"), KEYS, ids=[key for key, _, _ in KEYS])
def test_whoever_has_a_key_of_a_newcomer_is_planned_too(key: str, new: dict[str, Any], old: dict[str, Any]) -> None:
    ada, bo = user(ADA, **old), user(BO)
    assert near(records(ada, bo, user("n", **new)), Directory(), {ADA, BO}) == {ADA}, key


@pytest.mark.parametrize("fields", [{"number": "n-A"}, {"email": "Ada@x.example"}, {"username": "Ada"}])
def test_whoever_has_a_key_of_a_person_that_was_changed_is_planned_too(fields: dict[str, str]) -> None:
    directory = Directory()
    directory.person("gone", **fields)
    roster = records(user(ADA, email="ada@x.example", username="ada"), user(BO))
    assert near(roster, directory, {ADA, BO}) == {ADA}


def test_a_record_that_may_be_an_absent_member_is_planned_too() -> None:
    directory = Directory()
    directory.member(directory.person("gone", number="", given_name=f"Given{ADA}", family_name=f"Family{ADA}"))
    assert near(records(user(ADA, identifier=None), user(BO)), directory, {ADA, BO}) == {ADA}
    directory.members[1]["status"] = "archived"
    assert near(records(user(ADA, identifier=None), user(BO)), directory, {ADA, BO}) == set()


def test_people_who_have_one_key_are_planned_together_through_others() -> None:
    roster = records(
        user(ADA, email="x@x.example"),
        user(BO, email="x@x.example", username="bo"),
        user("c", username="BO"),
        user("d"),
    )
    directory = Directory()
    directory.person("gone", email="x@x.example")
    assert near(roster, directory, {ADA, BO, "c", "d"}) == {ADA, BO, "c"}


def test_only_a_contact_that_somebody_gains_makes_neighbours() -> None:
    contact = user(MUM, "guardian", identifier=None)
    users = [user(ADA, agents=[MUM]), user(BO, agents=[MUM])]
    roster = sorted_by(cleaned(users, school(primary_contacts=True), [contact]).roster, "sourced_id")
    directory = Directory()
    directory.member(directory.person(ADA))
    assert near(roster, directory, {BO}) == {BO}
    directory.members[1]["contact_sourced_id"] = MUM
    assert near(roster, directory, {BO}) == set()


SPECIAL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a change", {}, {"given_name": "Other"}),
    ("a lock", {}, {"locked_fields": ["email"]}),
    ("a locked difference", {}, {"locked_fields": ["email"], "email": "by@hand.example"}),
    ("a value that nobody can read", {"email": "ada at x"}, {}),
]


@pytest.mark.parametrize(("what", "sent", "known"), SPECIAL, ids=[what for what, _, _ in SPECIAL])
def test_only_people_without_a_difference_are_settled(what: str, sent: dict[str, Any], known: dict[str, Any]) -> None:
    directory, roster = two_people(**known), records(user(ADA, **sent), user(BO), user("p", "guardian"))
    plan = directory.plan([user(ADA, **sent), user(BO), user("p", "guardian")], school(primary_contacts=True))
    assert settled_by(plan, roster, directory.frames()).tolist() == [OPEN, 2, IDLE], what


def test_a_pair_is_settled_until_record_or_person_changes() -> None:
    directory, roster = two_people(), records(user(ADA), user(BO))
    plan = directory.plan([user(ADA), user(BO)], school(primary_contacts=True), COMPLETE)
    persons = settled_by(plan, roster, directory.frames())
    assert persons.tolist() == [1, 2]
    before = pa.table({"sourced_id": strings(roster["sourced_id"]), "person_id": persons})
    assert still_settled(records(user(ADA), user(BO), user("n")), before, (), ()).tolist() == [1, 2, OPEN]
    assert still_settled(roster, before, {1}, ()).tolist() == [OPEN, 2]
    assert still_settled(roster, before, (), {BO}).tolist() == [1, OPEN]


def test_people_of_other_schools_count_by_number_e_mail_or_id() -> None:
    roster = records(user(ADA, email="ada@x.example"))
    people = [
        (1, "ada@x.example", None, None, []), (2, None, "student", "n-a", []), (3, None, None, None, [ADA]),
        (4, "bo@x.example", "staff", "n-a", [BO]),
    ]  # fmt: skip
    assert those_of_roster(people, roster) == [1, 2, 3]
