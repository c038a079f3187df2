"""The table of evidence in docs/rules.md, section 2, question by question."""

from dataclasses import replace
from typing import Any

import pytest

from roster_pipeline.identity.evidence import MatchKeys, weigh

MAIL = "ann@example.org"


def keys(given: str = "ann", family: str = "lee", email: str | None = None, number: str | None = None) -> MatchKeys:
    kept = number if number is None else f"student\x1f{number}"
    return MatchKeys(frozenset({given} - {""}), frozenset({family} - {""}), email, kept)


def named(known: MatchKeys) -> MatchKeys:
    """A pupil with a user name."""
    return replace(known, username="ann1", kind="student")


@pytest.mark.parametrize(
    ("record", "person", "rash"),
    [
        (keys(), keys(), True),
        (keys("bo"), keys(), False),
        (keys(family="ray"), keys(), False),
        (keys("", ""), keys(), False),
        (keys(), keys("", ""), False),
        (keys("bo", "ray", number="7"), keys(number="7"), True),
        (keys(number="7"), keys(number="8"), False),
        (keys(number="7"), keys(), True),
        (keys(number="7"), keys(email=MAIL), True),
        (keys(email=MAIL), keys(email="x"), False),
        (keys(number="7", email=MAIL), keys(number="7", email="x"), True),
        (keys(number="7", email=MAIL), keys(number="8", email=MAIL), True),
        (keys("bo", email=MAIL), keys(email=MAIL), False),
        (keys(family="ray", email=MAIL), keys(email=MAIL), False),
        (keys("", "ray", email=MAIL), keys(email=MAIL), False),
        (keys("", "", email=MAIL), keys(email=MAIL), True),
        (keys("ann", "", email=MAIL), keys("", "lee", email=MAIL), True),
        (keys(number="AB 7"), keys(number="0ab７"), True),
        (keys(number="AB7"), keys(number="AB77"), False),
        (keys(email=MAIL), keys(email="ann@new.example"), True),
        (keys("bo", email=MAIL), keys(email="ann@new.example"), False),
        (keys(email=MAIL, number="7"), keys(email="ann@new.example", number="8"), False),
        (named(keys(email=MAIL)), named(keys(email="x")), True),
        (named(keys(email=MAIL, number="7")), named(keys(email="x", number="8")), False),
        (named(keys("bo", email=MAIL)), named(keys(email="x")), False),
        (named(keys()), replace(named(keys()), kind="staff"), False),
        (keys("lee", "ann", email=MAIL), keys(email=MAIL), True),
    ],
)
def test_how_little_is_enough_to_be_spared(record: MatchKeys, person: MatchKeys, rash: bool) -> None:
    assert weigh(record, person).may_be is rash
    assert weigh(person, record).may_be is rash


BASE = keys(number="7", email=MAIL)
OTHERS = {
    "number": replace(BASE, number="student\x1f8"),
    "master": replace(BASE, masters=frozenset("n")),
    "kind": replace(BASE, kind="staff"),
    "grade": replace(BASE, year=2),
}


@pytest.mark.parametrize("name", OTHERS)
def test_each_strong_thing_alone_stops_a_join_and_a_match_and_leaves_a_doubt(name: str) -> None:
    known = replace(BASE, masters=frozenset("m"), kind="student", year=9)
    assert weigh(known, known).same
    weighed = weigh(known, OTHERS[name])
    assert weighed.differ == {name}
    assert weighed.contradicted
    assert not weighed.same
    assert weighed.doubtful
    assert not weighed.against_link


@pytest.mark.parametrize("name", ["number", "email", "username", "masters", "kind", "year"])
def test_what_one_side_does_not_have_speaks_neither_for_nor_against(name: str) -> None:
    known = replace(BASE, username="ann", masters=frozenset("m"), kind="student", year=9)
    nothing: dict[str, Any] = {name: frozenset() if name == "masters" else None}
    missing = replace(known, **nothing)
    weighed = weigh(known, missing)
    assert not weighed.differ
    assert weighed.same
    assert weighed == weigh(missing, known)


@pytest.mark.parametrize(
    ("now", "before", "years", "differ"),
    [
        (9, 9, 0, False),
        (11, 9, 0, False),
        (12, 9, 0, True),
        (7, 9, 0, False),
        (6, 9, 0, True),
        (12, 9, 1, False),
        (13, 9, 1, True),
        (6, 9, 9, True),
        (0, 2, 0, False),
        (-1, 2, 0, True),
    ],
)
def test_a_grade_moves_on_with_the_years_and_never_back(now: int, before: int, years: int, differ: bool) -> None:
    record, person = replace(BASE, year=now), replace(BASE, year=before, years_ago=years)
    assert ("grade" in weigh(record, person).differ) == differ


@pytest.mark.parametrize(
    ("now", "fields", "same"),
    [
        (12, {"number": None}, False),
        (12, {"number": "student\x1f8"}, False),
        (12, {}, True),
        (12, {"number": None, "away": False}, True),
        (12, {"number": None, "years_ago": 2}, True),
        (13, {"number": None, "years_ago": 3}, True),
    ],
)
def test_a_new_pupil_in_the_grade_of_a_namesake_who_left_years_ago_is_not_them(
    now: int, fields: dict[str, Any], same: bool
) -> None:
    left = replace(BASE, **{"year": 12, "years_ago": 6, "away": True} | fields)
    assert ("grade" in weigh(replace(BASE, year=now), left).differ) != same
    assert "grade" not in weigh(left, replace(left, given=frozenset())).differ


def test_numbers_of_another_kind_are_not_compared() -> None:
    weighed = weigh(BASE, replace(BASE, number="staff\x1f8"))
    assert "number" not in weighed.agree | weighed.differ
    assert not weighed.near
