"""Two people who may be one: docs/rules.md, section 3, "Two people who are one", row by row."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.identity import person_pairs
from roster_pipeline.vocabulary import PERSON_FIELDS

SIS, OTHER_SIS = 1, 2
OAK, ELM = 10, 11
BLANK: dict[str, Any] = dict.fromkeys(PERSON_FIELDS) | {
    "number_kind": None,
    "number_connection_id": None,
    "excluded": False,
    "locked_fields": [],
}


def fields(given: str | None = "Ann", family: str | None = "Lee", **more: Any) -> dict[str, Any]:
    number = {"number_kind": "student", "number_connection_id": SIS} if "number" in more else {}
    return BLANK | {"given_name": given, "family_name": family} | number | more


def member(role: str = "student", grade: str | None = None, status: str = "active", years: int = 0) -> dict[str, Any]:
    return {"role": role, "grade": grade, "status": status, "years": years, "archived_by": None}


def person(given: str | None = "Ann", family: str | None = "Lee", **more: Any) -> person_pairs.StoredPerson:
    return person_pairs.StoredPerson(1, fields(given, family, **more), {}, (member(),), frozenset(), frozenset())


NAME = person()
MARY_ANN, MARY_ROSE = (person(email="ann@example.org", middle_name=middle) for middle in ("Ann", "Rose"))
NUMBER = person(number="7")
MAIL = person(email="ann@example.org")
SAME = [
    (NUMBER, NUMBER),
    (NUMBER, person(number="007")),
    (NUMBER, person("Annie", number="7")),
    (NUMBER, person("", "", number="7")),
    (MAIL, MAIL),
    (MAIL, person("ANN", "L\u00e9e", email="Ann@example.org")),
    (MAIL, person(None, "Lee", email="ann@example.org")),
    (MAIL, person("Annie", "Lee", email="ann@example.org")),
    (MAIL, person("\u0410\u043d\u043d\u0430", "\u041b\u0438", email="ann@example.org")),
    (MAIL, replace(NUMBER, fields=fields(email="ann@example.org", number="7"))),
    (NAME, NAME),
    (NAME, NUMBER),
    (NAME, MAIL),
    (NUMBER, replace(NUMBER, fields=fields(number="8", number_connection_id=OTHER_SIS))),
    (NAME, replace(NAME, current=frozenset({OAK}))),
    (replace(MAIL, current=frozenset({OAK})), replace(MAIL, current=frozenset({ELM}))),
    (NAME, replace(NAME, memberships=(member(grade="09"),))),
    (MARY_ANN, MAIL),
    (MARY_ANN, person(email="ann@example.org", middle_name="A.")),
    (person(number="7", middle_name="Ann"), person(number="007", middle_name="Rose")),
    (*(person(number="7", middle_name=middle) for middle in ("Ann", "Rose")),),
    (*(person(username="al", email="ann@example.org", middle_name=middle) for middle in ("Ann", "Rose")),),
]
TWO = [
    (NAME, person("Bo")),
    (NAME, person("Ann", "Ray")),
    (MAIL, person("Bo", email="ann@example.org")),
    (MAIL, person(email="lee@example.org")),
    (replace(NAME, current=frozenset({OAK})), replace(NAME, current=frozenset({ELM}))),
    (person(None, None), person(None, None)),
    (MARY_ANN, MARY_ROSE),
    (person(middle_name="Ann"), person(middle_name="Rose")),
]
A_AND_B = (replace(MAIL, links={(SIS, "a"): None}), replace(MAIL, links={(SIS, "b"): None}))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_who_is_proposed(one: person_pairs.StoredPerson, other: person_pairs.StoredPerson) -> None:
    assert person_pairs.may_be_one(one, other)
    assert person_pairs.may_be_one(other, one)
    assert person_pairs.against(one, other) == ()


@pytest.mark.parametrize(("one", "other"), TWO)
def test_who_is_not(one: person_pairs.StoredPerson, other: person_pairs.StoredPerson) -> None:
    assert not person_pairs.may_be_one(one, other)
    assert not person_pairs.may_be_one(other, one)


def of(first: person_pairs.StoredPerson, **more: Any) -> person_pairs.StoredPerson:
    return replace(first, **more)


STRONG: dict[str, tuple[person_pairs.StoredPerson, person_pairs.StoredPerson]] = {
    "number": (NUMBER, person(number="8")),
    "master": (of(MAIL, links={(SIS, "a"): "m"}), of(MAIL, links={(SIS, "b"): "n"})),
    "kind": (MAIL, of(MAIL, memberships=(member("teacher"),))),
    "grade": (of(MAIL, memberships=(member(grade="09"),)), of(MAIL, memberships=(member(grade="12"),))),
    "names": (NUMBER, person("Bo", "Ray", number="7")),
    "two_records": (of(MAIL, current=frozenset({OAK, ELM})), of(MAIL, current=frozenset({ELM}))),
    "said": (A_AND_B[0], of(A_AND_B[1], not_theirs=frozenset({(SIS, "a")}))),
}
WEAK = [
    (NUMBER, person(number="8", number_kind="staff")),
    (NUMBER, person(number="8", number_connection_id=None)),
    (of(MAIL, links={(SIS, "a"): "m"}), of(MAIL, links={(OTHER_SIS, "b"): "n"})),
    (MAIL, of(MAIL, memberships=(member("teacher", status="archived"), member()))),
    (of(MAIL, memberships=(member(grade="09"),)), of(MAIL, memberships=(member(grade="11"),))),
    (
        of(MAIL, memberships=(member(grade="06", status="archived", years=4),)),
        of(MAIL, memberships=(member(grade="11"),)),
    ),
    (NUMBER, person("Bo", "Ray", preferred_given_name="Ann", number="7")),
    (NUMBER, person(email="another@example.org", number="7", username="al")),
    (MARY_ANN, MARY_ROSE),
    (of(A_AND_B[0], not_theirs=frozenset({(SIS, "c")})), A_AND_B[1]),
    (
        person(number="a", email="ann@example.org"),
        of(person(number="b", email="ann@example.org"), links={(SIS, "b"): None}),
    ),
]


@pytest.mark.parametrize("reason", person_pairs.AGAINST)
def test_each_strong_thing_alone_keeps_two_people_apart(reason: str) -> None:
    one, other = STRONG[reason]
    assert person_pairs.against(one, other) == person_pairs.against(other, one) == (reason,)
    assert not person_pairs.may_be_one(one, other)
    assert person_pairs.REMEDIES[reason]


@pytest.mark.parametrize(("one", "other"), WEAK[:-1])
def test_what_does_not_keep_two_people_apart(one: person_pairs.StoredPerson, other: person_pairs.StoredPerson) -> None:
    assert person_pairs.against(one, other) == person_pairs.against(other, one) == ()


def test_a_number_that_is_only_the_sourced_id_of_both_says_nothing() -> None:
    one, other = (of(person(number=key, email="ann@example.org"), links={(SIS, key): None}) for key in "ab")
    assert person_pairs.against(one, other) == ()
    assert person_pairs.against(*WEAK[-1]) == ("number",), "of one of them it is a number like any other"


def test_what_somebody_said_keeps_two_people_apart() -> None:
    assert person_pairs.against(MAIL, MAIL, distinct=True) == ("said",)


@pytest.mark.parametrize(
    ("kept", "gone", "new"),
    [
        (fields(), fields("Annie", "Leigh"), {}),
        (fields(email=None), fields(email="a@example.org"), {"email": "a@example.org"}),
        (fields(email="k@example.org"), fields(email="g@example.org"), {}),
        (fields(), fields(number="7"), {"number": "7", "number_kind": "student", "number_connection_id": SIS}),
        (fields(number="6"), fields(number="7", number_connection_id=OTHER_SIS), {}),
        (fields(excluded=True), fields(), {}),
        (fields(), fields(excluded=True), {"excluded": True}),
        (
            fields(email="k@example.org"),
            fields(email="g@example.org", locked_fields=["email"]),
            {"email": "g@example.org", "locked_fields": ["email"]},
        ),
        (
            fields(email="k@example.org", locked_fields=["email"]),
            fields(email="g@example.org", locked_fields=["email", "phone"]),
            {"locked_fields": ["email", "phone"]},
        ),
        (fields(email=None, locked_fields=["email"]), fields(email="g@example.org"), {}),
        (
            fields(number="6"),
            fields(number=None, locked_fields=["number"], number_kind=None, number_connection_id=None),
            {"number": None, "number_kind": None, "number_connection_id": None, "locked_fields": ["number"]},
        ),
    ],
)
def test_what_the_kept_person_gets(kept: dict[str, Any], gone: dict[str, Any], new: dict[str, Any]) -> None:
    assert person_pairs.merged_fields(kept, gone) == new


def at_school(status: str, by: str | None = None, managed: bool = True, absent: int = 0, **more: Any) -> dict[str, Any]:
    return {"status": status, "archived_by": by, "managed": managed, "absent_syncs": absent} | more


@pytest.mark.parametrize(
    ("kept", "gone", "result"),
    [
        (at_school("active", grade="09"), at_school("active", grade="10"), {"grade": "09"}),
        (at_school("active", absent=2), at_school("active"), {"absent_syncs": 0}),
        (at_school("active", managed=False), at_school("active"), {"managed": True}),
        (at_school("active", managed=False), at_school("archived", "sync"), {"status": "active", "managed": False}),
        (at_school("archived", "hand"), at_school("active", grade="10"), {"status": "active", "grade": "10"}),
        (at_school("active"), at_school("archived", "hand"), {"status": "active", "archived_by": None}),
        (at_school("archived", "sync"), at_school("archived", "hand"), {"archived_by": "hand"}),
        (at_school("archived", "hand"), at_school("archived", "sync"), {"archived_by": "hand"}),
        (at_school("archived", "sync", grade="09"), at_school("archived", "sync", grade="10"), {"grade": "09"}),
    ],
)
def test_two_memberships_in_one_school_become_one(
    kept: dict[str, Any], gone: dict[str, Any], result: dict[str, Any]
) -> None:
    made = person_pairs.merged_membership(kept, gone)
    assert {name: made[name] for name in result} == result


COLUMNS = ("given_name", "family_name", "email", "number", "number_source")
SIS_STUDENT, OTHER_STUDENT = f"{SIS}/student", f"{OTHER_SIS}/student"
ANN, ANN_AGAIN, BEN = ("Ann", "Lee"), ("\u00c1nn", "LEE"), ("Ben", "Ray")
CYRILLIC = ("\u0418\u0432\u0430\u043d", "\u041b\u0438")
COMPARED = {
    "one name": ((*ANN, None, None, None), (*ANN_AGAIN, None, None, None), True),
    "one name, one of the e-mails missing": ((*ANN, "a@x.org", None, None), (*ANN, None, None, None), True),
    "one name, other e-mails": ((*ANN, "a@x.org", None, None), (*ANN, "b@x.org", None, None), False),
    "one name, other numbers of one SIS": ((*ANN, None, "1", SIS_STUDENT), (*ANN, None, "2", SIS_STUDENT), False),
    "one name, numbers of two SISs": ((*ANN, None, "1", SIS_STUDENT), (*ANN, None, "2", OTHER_STUDENT), True),
    "one name, numbers of no SIS": ((*ANN, None, "1", None), (*ANN, None, "2", None), False),
    "names that changed places": ((*ANN, None, None, None), ("Lee", "Ann", None, None, None), True),
    "names that changed places, one e-mail": (
        (*ANN, "a@x.org", None, None),
        ("Lee", "Ann", "a@x.org", None, None),
        True,
    ),
    "a name of punctuation is none": (("-", "Lee", None, None, None), ("-", "Lee", None, None, None), False),
    "one e-mail": ((*ANN, "a@x.org", "1", SIS_STUDENT), (None, "Lee", "A@x.org", "2", SIS_STUDENT), True),
    "one e-mail, a short name": ((*ANN, "a@x.org", None, None), ("Anna", "Lee", "a@x.org", None, None), True),
    "one e-mail, other letters": (("Ivan", "Li", "a@x.org", None, None), (*CYRILLIC, "a@x.org", None, None), True),
    "a short name": ((*ANN, None, None, None), ("Anna", "Lee", None, None, None), False),
    "one e-mail, other names": ((*ANN, "a@x.org", None, None), (*BEN, "a@x.org", None, None), False),
    "one number, other names": ((*ANN, None, "007", SIS_STUDENT), (*BEN, None, "7", SIS_STUDENT), True),
    "zeros are no number": ((*ANN, None, "00", SIS_STUDENT), (*BEN, None, "0", SIS_STUDENT), False),
    "one number of two SISs": ((*ANN, None, "7", SIS_STUDENT), (*BEN, None, "7", OTHER_STUDENT), False),
    "nothing": ((*ANN, None, None, None), (*BEN, None, None, None), False),
}


def people_of(*rows: tuple[str | None, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS), dtype="str")
    frame.insert(0, "id", range(11, 11 + len(rows)))
    return frame


@pytest.mark.parametrize(("one", "other", "wanted"), COMPARED.values(), ids=COMPARED.keys())
def test_who_is_compared(one: tuple[str | None, ...], other: tuple[str | None, ...], wanted: bool) -> None:
    assert person_pairs.sharing(people_of(one, other)) == [(11, 12)] * wanted


def test_pairs_come_in_the_order_of_what_they_share_and_once() -> None:
    by_email, by_number = (*BEN, "b@x.org", None, None), (*ANN, None, "7", SIS_STUDENT)
    found = person_pairs.sharing(people_of(by_email, by_email, (*ANN, "a@x.org", "7", SIS_STUDENT), by_number))
    assert found == [(13, 14), (11, 12)]


def test_a_name_of_many_makes_no_pairs() -> None:
    person = (*ANN, None, None, None)
    assert (
        len(person_pairs.sharing(people_of(*[person] * person_pairs.LARGEST_GROUP)))
        == person_pairs.LARGEST_GROUP * (person_pairs.LARGEST_GROUP - 1) // 2
    )
    assert person_pairs.sharing(people_of(*[person] * (person_pairs.LARGEST_GROUP + 1))) == []
    assert person_pairs.sharing(people_of()) == []
