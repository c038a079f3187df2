"""People whom another connection knows: what a school's own connection may decide, and what waits."""

from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.guards import judge
from roster_pipeline.planning.plan import make_plan
from roster_pipeline.planning.plan_stats import plan_stats_of
from roster_pipeline_tests.planning.builders import COMPLETE, CONNECTION, TODAY, Directory, cleaned, school, user

MAIN = 2
ADA = {"givenName": "Ada", "familyName": "Byron", "email": "ada@district.example"}
KNOWN = {"given_name": "Ada", "family_name": "Byron", "email": "ada@district.example", "username": "ada"}


def district(number: str | None = "77", *, main: bool = True, own: bool = False, **fields: Any) -> Directory:
    """Ada, whom the connection `MAIN` knows. main, own: whether it, or this sync's connection, is the district's."""
    directory = Directory()
    directory.connection(MAIN, of_district=main)
    directory.connection(CONNECTION, of_district=own)
    who = directory.person(number=number, number_connection_id=MAIN, **KNOWN | fields)
    directory.link(who, "main-ada", MAIN)
    directory.elsewhere(who, MAIN, since=1)
    return directory


def outcome(directory: Directory, *users: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(row.action, row.reason) for row in directory.plan(list(users)).rows.itertuples()]


WAITS = [("conflict", "other_connection")]
JOINS = [("create", "joined_school")]
SAID: list[tuple[str, Directory, dict[str, Any], list[tuple[str, str]]]] = [
    ("name and e-mail, no number", district(), {"identifier": None}, WAITS),
    ("name, e-mail and the number", district(), {"identifier": "77"}, JOINS),
    ("a number that a school's connection gave", district(main=False), {"identifier": "77"}, WAITS),
    ("the number in another spelling", district(), {"identifier": "077"}, JOINS),
    ("a number of another kind", district(), {"identifier": "77", "roles": "teacher"}, WAITS),
    ("no number on the other side", district(None), {"identifier": "77"}, WAITS),
    ("from a connection of the district", district(own=True), {"identifier": None}, JOINS),
    ("from the district, known by a school's", district(own=True, main=False), {"identifier": None}, JOINS),
]


@pytest.mark.parametrize(("what", "directory", "says", "wanted"), SAID, ids=[case[0] for case in SAID])
def test_a_match_across_connections_takes_what_its_connection_is_trusted_with(
    what: str, directory: Directory, says: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    record = user("a", str(says.pop("roles", "student"))) | ADA | says
    assert outcome(directory, record) == wanted


def test_with_nothing_said_every_connection_is_a_schools_own() -> None:
    directory = district()
    directory.connections = []
    assert outcome(directory, user("a", identifier="77") | ADA) == WAITS


def test_whom_a_connection_knows_already_it_may_give_a_new_id() -> None:
    directory = district()
    directory.member(1)
    directory.link(1, "old", CONNECTION)
    assert outcome(directory, user("new", identifier=None) | ADA) == [("update", "relinked")]


def test_somebody_entered_by_hand_in_a_school_of_another_connection_is_known_there() -> None:
    directory = Directory()
    who = directory.person(number="", **KNOWN)
    assert outcome(directory, user("a", identifier=None) | ADA) == JOINS, "known by nobody else"
    directory.elsewhere(who, MAIN, since=None)
    assert outcome(directory, user("a", identifier=None) | ADA) == WAITS


def test_who_waits_is_not_archived_and_nothing_of_them_changes() -> None:
    directory = district()
    directory.member(1, managed=True)
    plan = directory.plan([user("a", identifier=None) | ADA | {"givenName": "Ada", "phone": "+13125550142"}])
    assert [(row.action, row.reason, row.person_id) for row in plan.rows.itertuples()] == [
        ("conflict", "other_connection", 1)
    ]
    assert plan.rows["changes"].tolist() == [{}]
    assert plan.rows["new_links"].tolist() == [[]]


def test_a_link_or_an_unlink_of_the_manager_settles_it() -> None:
    same = district()
    same.link(1, "a", CONNECTION, confirmed=True)
    assert outcome(same, user("a", identifier=None) | ADA) == JOINS
    other = district()
    other.exclusions.append({"sourced_id": "a", "person_id": 1})
    assert outcome(other, user("a", identifier=None) | ADA) == [("create", "joined")]


def test_the_roster_of_a_whole_school_waits_row_by_row() -> None:
    directory = district()
    claiming(directory, 3)
    users = [record | {"identifier": f"9{2 * place}"} for place, record in enumerate(claimed(3))]
    rows = directory.plan(users).rows
    assert dict(zip(rows["sourced_ids"].str[0], rows["action"], strict=True)) == {
        "r0": "create",
        "r1": "conflict",
        "r2": "conflict",
    }
    assert cleaned(users, school()).roster["identity"].nunique() == 3


def claiming(directory: Directory, count: int) -> Directory:
    """This many more people of the district's connection, with numbers that `users` has."""
    for number in range(count):
        who = directory.person(number=f"9{number}", number_connection_id=MAIN, email=f"p{number}@district.example")
        directory.people[who].update(given_name=f"Given{number}", family_name=f"Family{number}")
        directory.link(who, f"main-{number}", MAIN)
    return directory


def claimed(count: int, role: str = "student") -> list[dict[str, Any]]:
    return [
        user(f"r{number}", role, givenName=f"Given{number}", familyName=f"Family{number}", identifier=f"9{number}")
        | {"email": f"p{number}@district.example"}
        for number in range(count)
    ]


def guards_on_creations(directory: Directory, users: list[dict[str, Any]], *, first_sync: bool = False) -> set[str]:
    told, settings = cleaned(users), school()
    plan = make_plan(told.roster, directory.frames(), settings, COMPLETE, first_sync=first_sync)
    facts = plan_stats_of(plan, told.roster, told.rejected, directory.frames(), COMPLETE, pd.DataFrame(), TODAY)
    rows = judge(plan, facts, settings.guards).rows
    return {finding["guard"] for found in rows.loc[rows["action"] == "create", "findings"] for finding in found}


@pytest.mark.parametrize("first_sync", [False, True])
def test_a_new_role_by_such_a_match_is_held_on_a_first_sync_and_for_one_person_alone(first_sync: bool) -> None:
    assert guards_on_creations(claiming(district(), 1), claimed(1), first_sync=first_sync) == {"claimed_people"}
    strangers = [user("n0"), user("n1")]
    assert guards_on_creations(claiming(district(), 1), strangers, first_sync=first_sync) == set()
    trusted = claiming(district(own=True), 1)
    assert guards_on_creations(trusted, claimed(1), first_sync=first_sync) == set()


def test_in_a_role_of_many_a_few_such_people_need_no_approval() -> None:
    directory = claiming(district(), 2)
    for number in range(8):
        directory.member(directory.person(f"m{number}"))
    users = [user(f"m{number}") for number in range(8)]
    assert guards_on_creations(directory, [*users, *claimed(2)]) == set()
    assert "claimed_people" in guards_on_creations(claiming(district(), 3), [user("m0"), *claimed(3)])


def test_whom_the_manager_linked_needs_no_approval() -> None:
    directory = claiming(district(), 1)
    directory.link(2, "r0", CONNECTION, confirmed=True)
    assert guards_on_creations(directory, claimed(1)) == set()
