"""Somebody who comes under a new id and another name: never archived and made anew, and never joined in silence."""

from dataclasses import replace
from typing import Any

import pytest

from roster_pipeline.planning.plan import make_plan
from roster_pipeline_tests.planning.builders import COMPLETE, Directory, cleaned, entry, school, tuples, user

MAIL = "p@example.org"
IVAN, PETROV = "\u0418\u0432\u0430\u043d", "\u041f\u0435\u0442\u0440\u043e\u0432"
Values = dict[str, Any]
ALEX: Values = {"given_name": "Alexander", "family_name": "Lee", "email": MAIL, "number": "7"}
NEW: Values = {"givenName": "Alex", "familyName": "Lee", "email": MAIL, "identifier": "8"}
BOB: Values = {"givenName": "Bob", "familyName": "Lee", "email": MAIL, "identifier": "8"}
GRADE: Values = {"role": "student", "grade": "08"}
TEACHER: Values = {"role": "teacher"}
ALIKE: list[tuple[Values, Values, Values]] = [
    (ALEX, GRADE, NEW),
    (ALEX, TEACHER, {**NEW, "roles": [entry("teacher")]}),
    (ALEX, GRADE, {**NEW, "identifier": None, "grades": ["09"]}),
    (ALEX, GRADE, {**NEW, "givenName": "A."}),
    (ALEX, GRADE, {**NEW, "givenName": "Xander", "grades": ["07"]}),
    ({**ALEX, "given_name": "Anna Maria"}, GRADE, {**NEW, "givenName": "Maria"}),
    ({**ALEX, "given_name": "Anna", "middle_name": "Maria"}, GRADE, {**NEW, "givenName": "Maria"}),
    ({**ALEX, "given_name": IVAN}, GRADE, {**NEW, "givenName": "Ivan"}),
    ({**ALEX, "given_name": IVAN, "family_name": PETROV}, GRADE, {**NEW, "givenName": "Ivan", "familyName": "Petrov"}),
    ({**ALEX, "given_name": "Ivan", "family_name": "Petrov"}, GRADE, {**NEW, "givenName": IVAN, "familyName": PETROV}),
    ({**ALEX, "family_name": "Lee Ray"}, GRADE, {**NEW, "familyName": "Ray"}),
    ({**ALEX, "given_name": None}, GRADE, BOB),
    (ALEX, GRADE, {**BOB, "grades": ["08"]}),
    (ALEX, GRADE, {**BOB, "grades": ["10"]}),
    (ALEX, {**GRADE, "years": 1}, {**BOB, "grades": ["09"]}),
    ({**ALEX, "number_kind": "staff"}, TEACHER, {**BOB, "roles": [entry("teacher")]}),
    ({**ALEX, "number_kind": "staff"}, TEACHER, {**BOB, "roles": [entry("aide")]}),
]
"""Somebody with this e-mail is missing, and a record with it comes: the person, their membership, the record."""
TWO: list[tuple[Values, Values, Values]] = [
    (ALEX, GRADE, BOB),
    (ALEX, GRADE, {**BOB, "grades": ["07"]}),
    (ALEX, GRADE, {**BOB, "grades": ["11"]}),
    (ALEX, {**GRADE, "years": 2}, {**BOB, "grades": ["09"]}),
    (ALEX, {"role": "student"}, {**BOB, "grades": ["09"]}),
    (ALEX, GRADE, {**NEW, "grades": ["11"]}),
    (ALEX, GRADE, {**NEW, "grades": ["05"]}),
    (ALEX, TEACHER, NEW),
    (ALEX, TEACHER, {**BOB, "familyName": "Ray", "roles": [entry("teacher")]}),
    (ALEX, GRADE, {**BOB, "givenName": "Xen"}),
    ({**ALEX, "given_name": "Jo", "family_name": "Xu"}, GRADE, {**NEW, "givenName": "Majo", "familyName": "Xu"}),
    ({**ALEX, "given_name": "Ann", "middle_name": "Rose"}, GRADE, {**NEW, "givenName": "Ann Marie"}),
]

KEYS: Values = {"email": "other@example.org", "identifier": "8", "username": "other"}
ALEXANDER: Values = {**NEW, **KEYS, "givenName": "Alexander"}
AGAIN: list[tuple[Values, Values, Values]] = [
    (ALEX, GRADE, {**ALEXANDER, "grades": ["08"]}),
    (ALEX, GRADE, {**ALEXANDER, "grades": ["09"]}),
    (ALEX, GRADE, ALEXANDER),
    (ALEX, {"role": "student"}, {**ALEXANDER, "grades": ["09"]}),
    (ALEX, {**GRADE, "years": 1}, {**ALEXANDER, "grades": ["09"]}),
    (ALEX, GRADE, {**ALEXANDER, "givenName": "Lee", "familyName": "Alexander"}),
    (ALEX, GRADE, {**ALEXANDER, "givenName": "Alexander Max", "grades": ["08"]}),
    ({**ALEX, "middle_name": "Max"}, GRADE, {**ALEXANDER, "middleName": "M.", "grades": ["08"]}),
    (ALEX, GRADE, {**NEW, **KEYS, "grades": ["08"]}),
    ({**ALEX, "given_name": IVAN}, GRADE, {**NEW, **KEYS, "givenName": "Ivan"}),
    ({**ALEX, "number_kind": "staff"}, TEACHER, {**ALEXANDER, "roles": [entry("aide")]}),
    ({**ALEX, "email": None, "number": None}, GRADE, {**ALEXANDER, "email": None, "identifier": None}),
]
"""Somebody is missing, and somebody comes who may be the same person, although every key is another one."""
NAMESAKES: list[tuple[Values, Values, Values]] = [
    (ALEX, GRADE, {**ALEXANDER, "grades": ["07"]}),
    (ALEX, GRADE, {**ALEXANDER, "grades": ["11"]}),
    (ALEX, {**GRADE, "years": 2}, {**ALEXANDER, "grades": ["09"]}),
    ({**ALEX, "middle_name": "Max"}, GRADE, {**ALEXANDER, "middleName": "Otto", "grades": ["08"]}),
    (ALEX, TEACHER, ALEXANDER),
    (ALEX, GRADE, {**ALEXANDER, "roles": [entry("teacher")]}),
    (ALEX, GRADE, {**BOB, **KEYS, "grades": ["08"]}),
    (ALEX, GRADE, {**ALEXANDER, "familyName": "Ray", "grades": ["08"]}),
    (ALEX, GRADE, {**ALEXANDER, "familyName": "Lee Ray", "grades": ["08"]}),
    (ALEX, GRADE, {**ALEXANDER, "familyName": None, "grades": ["08"]}),
    (
        {**ALEX, "given_name": IVAN, "family_name": PETROV},
        GRADE,
        {**ALEXANDER, "givenName": "Ivan", "familyName": "Petrov"},
    ),
]
"""The same with two people: a cousin in another grade, a teacher, another middle name."""


LATELY: Values = {"status": "archived", "archived_days": 13}
"""A membership that a sync ended two weeks ago."""
MISSING = pytest.mark.parametrize("gone", [pytest.param({}, id="tonight"), pytest.param(LATELY, id="lately")])


def missing(person: Values, membership: Values) -> Directory:
    """A directory with a member whose sourcedId no list has any more."""
    directory = Directory()
    directory.member(directory.person("old", **person), **membership)
    return directory


@MISSING
def test_who_may_be_the_same_person_under_another_name_or_with_other_keys_waits_beside_them(gone: Values) -> None:
    for case in (*ALIKE, *AGAIN):
        person, membership, record = case
        (row,) = tuples(missing(person, membership | gone).plan([user("new", **record)]).rows)
        assert (row.action, row.reason, row.person_id) == ("conflict", "match_contradicted", 1), case
        assert row.new_links == []
        assert row.matched_by == "name" or case not in AGAIN, case


@MISSING
def test_a_stranger_with_the_email_of_a_leaver_and_a_namesake_who_cannot_be_them_join(gone: Values) -> None:
    for person, membership, record in (*TWO, *NAMESAKES):
        reasons = missing(person, membership | gone).plan([user("new", **record)]).rows["reason"]
        assert sorted(reasons) == (["joined"] if gone else ["joined", "left"]), (person, record)


def test_a_namesake_joins_if_somebody_archived_the_leaver_or_it_was_long_ago_or_they_are_in_another_school() -> None:
    for membership in ({"archived_days": 14}, {"archived_by": "hand"}, {"grade": "12"}):
        directory = missing(ALEX, GRADE | LATELY | membership)
        assert list(directory.plan([user("new", **ALEXANDER, grades=["08"])]).rows["reason"]) == ["joined"], membership
    directory = missing(ALEX, GRADE | LATELY)
    directory.member_elsewhere(1, "student", "08", status="archived")
    assert list(directory.plan([user("new", **ALEXANDER)]).rows["reason"]) == ["match_contradicted"]
    directory.member_elsewhere(1, "student", "08")
    assert list(directory.plan([user("new", **ALEXANDER)]).rows["reason"]) == ["joined"]


def test_a_leaver_who_was_entered_again_comes_back_once_somebody_says_so() -> None:
    directory = missing(ALEX, GRADE)
    directory.apply(directory.plan([]))
    record = user("new", **ALEXANDER, grades=["08"])
    for _ in range(2):
        plan = directory.plan([record])
        assert list(plan.rows["reason"]) == ["match_contradicted"]
        directory.apply(plan)
    directory.link(1, "new", confirmed=True)
    assert list(directory.plan([record]).rows["reason"]) == ["returned"]


def test_a_namesake_joins_beside_somebody_who_has_a_record_in_any_school_or_whose_leaving_was_announced() -> None:
    elsewhere = user(
        "old", roles=[entry(org="s2")], givenName="Alexander", familyName="Lee", identifier="7", email=MAIL
    )
    directory, record = missing(ALEX, GRADE), user("new", **ALEXANDER)
    assert sorted(directory.plan([record, elsewhere]).rows["reason"]) == ["joined", "moved_school"]
    assert sorted(directory.plan([record, elsewhere | {"status": "tobedeleted"}]).rows["reason"]) == [
        "match_contradicted"
    ]
    frames = replace(directory.frames(), announced=frozenset({1}))
    plan = make_plan(cleaned([record]).roster, frames, school(), COMPLETE)
    assert sorted(plan.rows["reason"]) == ["joined", "left"]


def test_two_newcomers_or_two_leavers_of_one_name_all_wait() -> None:
    directory = missing(ALEX, GRADE)
    two = [user(name, **ALEXANDER | {"identifier": name, "email": None}) for name in ("new", "newer")]
    assert list(directory.plan(two).rows["reason"]) == ["match_taken", "match_taken"]
    directory.member(directory.person("older", **ALEX | {"number": "6"}), **GRADE)
    assert sorted(directory.plan(two[:1]).rows["reason"]) == ["in_conflict", "in_conflict", "several_matches"]


def test_who_is_found_by_a_key_is_not_looked_for_by_name() -> None:
    """The leaver came under a new id, so their namesake is somebody else."""
    back = user("back", givenName="Alexander", familyName="Lee", identifier="7", email=MAIL, grades=["08"])
    rows = missing(ALEX, GRADE).plan([back, user("new", **ALEXANDER)]).rows
    assert sorted(rows["reason"]) == ["changed", "joined"]


@pytest.mark.parametrize("record", [NEW, {**BOB, "grades": ["09"]}, ALEXANDER])
def test_the_leaver_stays_until_somebody_says_who_it_is(record: Values) -> None:
    directory = missing(ALEX, GRADE)
    for _ in range(3):
        plan = directory.plan([user("new", **record)])
        assert list(plan.rows["reason"]) == ["match_contradicted"]
        directory.apply(plan)
    directory.unlink(1, "new")
    assert sorted(directory.plan([user("new", **record)]).rows["reason"]) == ["joined", "left"]


def test_a_brother_or_sister_who_has_a_record_already_keeps_nobody() -> None:
    directory = missing(ALEX, GRADE)
    directory.member(directory.person("bob", given_name="Bob", family_name="Lee", email=MAIL), **GRADE)
    rows = directory.plan([user("bob", **{**BOB, "identifier": "N-bob", "grades": ["08"]})]).rows
    assert list(rows["reason"]) == ["changed", "left"]


def test_a_brother_or_sister_in_another_school_is_nobody_else() -> None:
    directory = Directory()
    directory.member_elsewhere(directory.person("old", **ALEX), role="student", grade="08", status="active")
    assert list(directory.plan([user("new", **{**BOB, "grades": ["09"]})]).rows["reason"]) == ["joined"]
    assert list(directory.plan([user("new", **NEW)]).rows["reason"]) == ["match_contradicted"]


@pytest.mark.parametrize(
    ("record", "reasons"),
    [
        ({"givenName": "Ivan", "familyName": "Petrov"}, ["in_conflict", "joined"]),
        ({"givenName": IVAN, "familyName": "Petrov"}, ["in_conflict", "joined"]),
        ({"givenName": "Ivan", "familyName": PETROV}, ["match_contradicted"]),
        ({"givenName": "Ivan", "familyName": "Petrov", "roles": [entry("teacher")]}, ["joined", "left"]),
        ({"givenName": "Bo", "familyName": "Ray", "username": "other"}, ["joined", "left"]),
    ],
)
def test_a_user_name_and_names_in_other_letters_keep_somebody_here(record: Values, reasons: list[str]) -> None:
    person = {"given_name": IVAN, "family_name": PETROV, "username": "ip", "number": "7"}
    rows = missing(person, GRADE).plan([user("new", **{"identifier": "8", "username": "IP"} | record)]).rows
    assert sorted(rows["reason"]) == reasons


def test_two_children_with_one_email_of_whom_one_comes_anew_keep_both() -> None:
    directory = missing(ALEX, GRADE)
    directory.member(directory.person("zoe", given_name="Zoe", family_name="Lee", email=MAIL), **GRADE)
    zoe = user("zoe", givenName="Zoe", familyName="Lee", email=MAIL, grades=["08"])
    rows = directory.plan([zoe, user("new", **NEW)]).rows
    assert sorted(rows["reason"]) == ["changed", "match_contradicted"]
    rows = directory.plan([zoe, user("new", **NEW, grades=["07"])]).rows
    assert sorted(rows["reason"]) == ["changed", "in_conflict", "joined"]
