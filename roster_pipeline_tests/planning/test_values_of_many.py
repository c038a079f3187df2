"""A value that people of many names share is a key for none of them: nobody is joined, moved or held because of it."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from roster_pipeline.frames import TEXT
from roster_pipeline.identity.match_keys import of_many
from roster_pipeline_tests.planning.builders import Directory, cleaned, row_of, user

GIVEN = ("Ann", "Bo", "Cy", "Di", "Ed")
FAMILY = ("Lee", "Ray", "Kim", "Fox", "Orr", "Ash", "Day", "Hay", "Ives", "Jay")
ALONE = {"email": None, "username": None, "userMasterIdentifier": None}


def people(count: int, **same: Any) -> list[dict[str, Any]]:
    """This many people, each with their own name and keys."""
    return [
        user(
            f"r{at:02}",
            givenName=GIVEN[at % len(GIVEN)],
            familyName=FAMILY[(at // len(GIVEN) + at) % len(FAMILY)],
            **{"email": f"p{at}@x.org", "username": f"u{at}", "userMasterIdentifier": f"m{at}", **same},
        )
        for at in range(count)
    ]


def reasons(directory: Directory, users: list[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(directory.plan(users).rows["reason"].tolist()))


@pytest.mark.parametrize(
    "others", [{}, ALONE, {**ALONE, "username": "student"}, {**ALONE, "userMasterIdentifier": "7"}]
)
@pytest.mark.parametrize(
    ("count", "reason"), [(2, "number_shared"), (3, "number_shared"), (4, "joined"), (50, "joined")]
)
def test_new_people_with_one_number(count: int, reason: str, others: dict[str, Any]) -> None:
    users = people(count, identifier="9999", **others)
    assert reasons(Directory(), users) == {reason: count}
    told = cleaned(users)
    assert ("number_of_many" in set(told.rejected["rule"])) == (reason == "joined")
    assert told.roster["number"].isna().all() == (reason == "joined")


@pytest.mark.parametrize("number", ["TBD", "tba", "Pending", "UNASSIGNED", "UNKNOWN", "N/A", "0000"])
def test_a_word_for_nothing_is_nobodys_number(number: str) -> None:
    assert reasons(Directory(), people(2, identifier=number)) == {"joined": 2}


@pytest.mark.parametrize("count", [5, 50])
@pytest.mark.parametrize(
    ("same", "reason"),
    [
        ({"identifier": "9999"}, "equal"),
        ({"identifier": "009999"}, "equal"),
        ({"userMasterIdentifier": "7"}, "equal"),
        ({"username": "student"}, "changed"),
        ({"email": "none@x.org"}, "changed"),
    ],
)
def test_known_people_who_get_one_value_stay_who_they_are(count: int, same: dict[str, Any], reason: str) -> None:
    directory = Directory()
    directory.apply(directory.plan(people(count)))
    before = {who: dict(person) for who, person in directory.people.items()}
    plan = directory.plan(people(count, **same))
    assert Counter(plan.rows["reason"].tolist()) == {reason: count}
    directory.apply(plan)
    assert [person["number"] for person in directory.people.values()] == [one["number"] for one in before.values()]
    again = [one | {"sourcedId": f"z{one['sourcedId']}"} for one in people(count)]
    assert set(reasons(directory, again)) <= {"relinked", "changed"}


@pytest.mark.parametrize("same", [{"username": "student"}, {"userMasterIdentifier": "7"}, {"email": "office@x.org"}])
def test_a_value_of_many_makes_no_link_safe(same: dict[str, Any]) -> None:
    nothing = {"identifier": None, **ALONE, **same}
    directory, users = Directory(), people(9, **nothing)
    directory.apply(directory.plan(users))
    ids = [each["sourcedId"] for each in users]
    turned = [one | {"sourcedId": other} for one, other in zip(users, ids[1:] + ids[:1], strict=True)]
    assert reasons(directory, turned) == {"id_reassigned": 9}


def test_a_value_of_many_joins_no_brothers_and_sisters() -> None:
    family = [
        user(name, givenName=given, familyName="Lee", identifier="1", username="student", email=None)
        for name, given in (("x", "Ann"), ("y", "Bo"))
    ]
    assert cleaned(family).roster["identity"].nunique() == 1
    many = cleaned([*family, *people(5, username="student")]).roster
    assert {row_of(many, name)["conflict"] for name in "xy"} == {"number_shared"}


def test_a_number_of_many_in_the_directory_finds_nobody() -> None:
    directory = Directory()
    for at, family in enumerate(FAMILY[:4]):
        directory.person(f"old{at}", given_name="Ann", family_name=family, number="9999", enabled=True)
    newcomer = user("new", givenName="Ann", familyName="Zed", identifier="9999")
    assert reasons(directory, [newcomer]) == {"joined": 1}


def test_two_kinds_of_numbers_are_counted_apart() -> None:
    pupils, staff = people(3, identifier="7"), [user(f"t{at}", "teacher", identifier="7") for at in range(3)]
    assert reasons(Directory(), [*pupils, *staff]) == {"number_shared": 6}


def test_records_of_people_who_are_gone_do_not_make_a_number_one_of_many() -> None:
    users = people(6, identifier="12")
    left = [one | {"status": "tobedeleted"} for one in users[1:]]
    assert row_of(cleaned([users[0], *left]).roster, "r00")["number"] == "12"


@pytest.mark.parametrize(
    ("given", "family", "many"),
    [
        (("Ann",) * 5, ("Lee",) * 5, False),
        (("Ann", "ÁNN", "ann", "Ann-", None), ("Lee",) * 5, False),
        (("Ann", "Bo", "Cy", "Ann", "Bo"), ("Lee",) * 5, False),
        (("Ann", "Bo", "Cy", "Di", "Di"), ("Lee",) * 5, True),
        (("Ann",) * 5, ("Lee", "Ray", "Kim", "Fox", None), True),
        ((None,) * 5, (None,) * 5, False),
    ],
)
def test_what_is_a_value_of_many(given: tuple[Any, ...], family: tuple[Any, ...], many: bool) -> None:
    names = [pa.array([*side, "x"], TEXT) for side in (given, family)]
    assert of_many(pa.array(["9"] * 5 + ["1"], TEXT), *names).to_pylist() == (["9"] if many else [])
