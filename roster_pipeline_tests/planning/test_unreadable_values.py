"""An unreadable value is unknown, not empty: the directory keeps its value if it belongs to the same thing."""

import json
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.planning.plan import make_plan
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.vocabulary import PERSON_FIELDS, UNREADABLE
from roster_pipeline_tests.planning.builders import COMPLETE, SIS, Directory, cleaned, entry, row_of, school, user

LONG = "9" * 601
NUMBER = ConnectionSettings(url=SIS.url, student_number_from="metadata:nr", staff_number_from="metadata:nr")
GRADE = {"grade": "05", "source_grade": "5"}
HIDDEN = ("***", "A**", "#####", "xxxx", "XXX", "[redacted]", "#REF!", "#N/A", "\u2022\u2022\u2022", "Jos\ufffd")
FAMILY = school(primary_contacts=True, contacts_most=3, phone_region="US")


def stored(one: str) -> dict[str, Any]:
    """The values in the directory of the person with this record."""
    return {
        "number": f"N-{one}", "email": f"{one}@people.example", "phone": "+13125550100", "username": f"{one}nn",
        "middle_name": "Mo",
    }  # fmt: skip


def known(*ids: str, role: str = "student", **fields: Any) -> Directory:
    """A directory of people with these records, by default of one with the record `a`."""
    directory = Directory()
    kind = "student" if role == "student" else "staff"
    for one in ids or ("a",):
        who = directory.person(one, **stored(one) | {"number_kind": kind} | fields)
        directory.member(who, role, **GRADE if role == "student" else {})
    return directory


def as_stored(one: str = "a", **members: Any) -> dict[str, Any]:
    """The record of a person in `known`."""
    members = {"grades": ["5"], "phone": "(312) 555-0100", "middleName": "Mo", **members}
    return user(one, **{"email": f"{one}@people.example", "username": f"{one}nn"} | members)


def changes(directory: Directory, *users: dict[str, Any], **given: Any) -> dict[str, list[Any]]:
    """The planned changes of the first person, after applying them without an error."""
    settings: SchoolSettings = given.pop("settings", school())
    roster = cleaned(list(users), settings, **given).roster
    plan = make_plan(roster, directory.frames(), settings, COMPLETE)
    found = [row.changes for row in plan.rows.itertuples() if row.person_id == 1]
    directory.apply(plan)
    return dict(found[0])  # type: ignore[arg-type]


READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"email": "anna@@x"}, {}),
    *(({name: hides}, {}) for name in ("email", "username", "middleName", "givenName") for hides in HIDDEN),
    ({"email": "a***@people.example"}, {}),
    ({"email": "jos\ufffd@people.example", "identifier": "12\ufffd34", "phone": "+1312555\ufffd0199"}, {}),
    ({"givenName": "***", "familyName": "#####"}, {}),
    ({"username": "a*b"}, {"username": ["ann", "a*b"]}),
    ({"middleName": "Maxxxim"}, {"middle_name": ["Mo", "Maxxxim"]}),
    ({"email": None}, {"email": ["a@people.example", None]}),
    ({"email": "n/a"}, {"email": ["a@people.example", None]}),
    ({"email": "b@people.example"}, {"email": ["a@people.example", "b@people.example"]}),
    ({"phone": "call the office"}, {}),
    ({"phone": "0000000"}, {"phone": ["+13125550100", None]}),
    ({"phone": "call the office", "sms": "+13125550199"}, {"phone": ["+13125550100", "+13125550199"]}),
    ({"phone": None, "sms": "call the office"}, {}),
    ({"identifier": LONG}, {}),
    ({"identifier": "0000"}, {"number": ["N-a", None]}),
    ({"identifier": None}, {"number": ["N-a", None]}),
    ({"grades": ["blue"]}, {"source_grade": ["5", "blue"]}),
    ({"grades": ["blue", "6"]}, {"grade": ["05", "06"], "source_grade": ["5", "blue, 6"]}),
    ({"grades": []}, {"grade": ["05", None], "source_grade": ["5", None]}),
    ({"username": None, "unreadable": ["username"]}, {}),
    ({"middleName": None, "unreadable": ["middleName"]}, {}),
    ({"identifier": None, "unreadable": ["identifier"]}, {}),
    ({"grades": [], "unreadable": ["grades"]}, {"source_grade": ["5", None]}),
    ({"email": None, "unreadable": ["username"]}, {"email": ["a@people.example", None]}),
    ({"email": "anna@@x", "phone": "-1", "familyName": "New"}, {"family_name": ["Familya", "New"]}),
]  # fmt: skip
"""What the record of the person `a` says now, and their changes."""


def test_a_stored_value_stays_if_nobody_can_read_the_new_one() -> None:
    """One sync for all: everybody has a record, a number, an e-mail and a user name of their own."""
    ids = [f"a{place}" for place in range(len(READ))]
    directory = known(*ids)
    plan = directory.plan([as_stored(one, **members) for one, (members, _) in zip(ids, READ, strict=True)])
    found = dict(zip(plan.rows["person_id"], plan.rows["changes"], strict=True))
    directory.apply(plan)
    for who, (one, (members, expected)) in enumerate(zip(ids, READ, strict=True), 1):
        own = {value: stored(one)[name] for name, value in stored("a").items()} | {"Familya": f"Family{one}"}
        assert found[who] == {name: [own.get(old, old), new] for name, (old, new) in expected.items()}, members


NAMES = [
    ({"givenName": "Jos"}, {}),
    ({"givenName": "Jos?", "familyName": "Muoz"}, {}),
    ({"familyName": "Mu?oz"}, {}),
    ({"middleName": ""}, {}),
    ({"middleName": "????"}, {}),
    ({"givenName": "Jose"}, {"given_name": ["Jos\u00e9", "Jose"]}),
    ({"middleName": "Olga"}, {"middle_name": ["\u041e\u043b\u044f", "Olga"]}),
    ({"familyName": "Munoz"}, {"family_name": ["Mu\u00f1oz", "Munoz"]}),
]  # fmt: skip
"""Names of a record whose stored names have letters outside ASCII, and the changes."""


@pytest.mark.parametrize(("members", "expected"), NAMES)
def test_a_stored_name_stays_if_only_its_letters_outside_ascii_are_lost(
    members: dict[str, Any], expected: dict[str, Any]
) -> None:
    names = {"givenName": "Jos\u00e9", "familyName": "Mu\u00f1oz", "middleName": "\u041e\u043b\u044f"}
    directory = known(given_name="Jos\u00e9", family_name="Mu\u00f1oz", middle_name="\u041e\u043b\u044f")
    assert changes(directory, as_stored(**names)) == {}
    assert changes(directory, as_stored(**names | members)) == expected


def test_a_contact_keeps_a_name_that_lost_its_letters() -> None:
    def told(given: str, family: str) -> list[dict[str, Any]]:
        elder = user("p", role="parent", givenName=given, familyName=family, email="p@people.example")
        return [as_stored(agents=["p"]), elder]

    directory = known()
    changes(directory, *told("Zo\u00eb", "\u00d6zil"), settings=FAMILY)
    assert changes(directory, *told("Zo", "?zil"), settings=FAMILY) == {}
    assert changes(directory, *told("Zoe", "\u00d6zil"), settings=FAMILY) == {"contact_given_name": ["Zo\u00eb", "Zoe"]}


def test_the_next_readable_value_changes_the_field_as_usual() -> None:
    directory = known()
    assert changes(directory, as_stored(email="anna@@x")) == {}
    assert changes(directory, as_stored(email="c@people.example"))["email"] == ["a@people.example", "c@people.example"]
    assert changes(directory, as_stored(email="anna@@x")) == {}
    assert changes(directory, as_stored(email=""))["email"] == ["c@people.example", None]


def test_a_new_person_has_nothing_that_could_stay() -> None:
    directory = Directory()
    told = cleaned([as_stored(email="anna@@x", identifier=LONG, grades=["blue"])]).roster
    directory.apply(make_plan(told, directory.frames(), school(), COMPLETE))
    assert {name: directory.people[1][name] for name in ("email", "number")} == {"email": None, "number": None}
    assert directory.members[1]["grade"] is None


def test_a_grade_does_not_stay_if_the_student_is_a_teacher_now() -> None:
    found = changes(known(), as_stored(roles=[entry("teacher")], grades=["blue"]))
    assert found["grade"] == ["05", None]


@pytest.mark.parametrize("stored", [{"number_kind": "staff"}, {"number_connection_id": 2}])
def test_a_number_of_another_kind_or_connection_does_not_stay(stored: dict[str, Any]) -> None:
    assert changes(known(**stored), as_stored(identifier=LONG))["number"] == ["N-a", None]


def test_a_number_that_is_not_a_text_stays() -> None:
    directory = known()
    spoiled: list[Any] = [{}, ["1", "2"]]
    for number in spoiled:
        assert changes(directory, as_stored(metadata={"nr": number}), connection=NUMBER) == {}
    assert changes(directory, as_stored(metadata={"nr": []}), connection=NUMBER)["number"] == ["N-a", None]


def test_a_person_who_returns_or_gets_a_new_id_keeps_the_value_too() -> None:
    directory = known()
    directory.members[1].update(status="archived", archived_by="sync")
    assert changes(directory, as_stored(email="anna@@x")) == {}
    assert changes(directory, as_stored(email="anna@@x") | {"sourcedId": "z"}) == {"primary_record": ["a", "z"]}
    assert directory.people[1]["email"] == "a@people.example"


def test_fields_follow_one_record_and_ignore_the_others() -> None:
    directory = known()
    directory.link(1, "b")
    other = as_stored(email="other@people.example") | {"sourcedId": "b"}
    assert changes(directory, as_stored(email="anna@@x"), other) == {}


def test_a_value_that_somebody_else_gets_is_a_key_that_moves() -> None:
    directory = known()
    directory.member(directory.person("b", email="b@people.example"))
    roster = cleaned([as_stored(email="anna@@x"), user("b", email="a@people.example")]).roster
    plan = make_plan(roster, directory.frames(), school(), COMPLETE)
    first, second = plan.rows.to_dict("records")
    assert first["changes"] == {}
    assert (second["changes"]["email"], second["notes"]) == (
        ["b@people.example", "a@people.example"],
        "email_of_another",
    )


def test_an_exempted_update_does_not_end_while_its_value_cannot_be_read() -> None:
    directory = known()
    refused = {"email": ["a@people.example", "c@x.org"]}
    exemption = {"id": 7, "action": "update", "person_id": 1, "sourced_ids": ["a"], "changes": refused}
    for email, ended in (("anna@@x", ()), ("d@x.org", (7,)), (None, (7,))):
        frames = directory.frames()
        frames = frames.__class__(**frames.__dict__ | {"exemptions": pd.DataFrame([exemption])})
        plan = make_plan(cleaned([as_stored(email=email)]).roster, frames, school(), COMPLETE)
        assert plan.ended_exemptions == ended


def test_the_roster_names_the_fields_and_never_a_value() -> None:
    spoiled = as_stored(email="anna@@x", phone="-1", identifier=LONG, grades=["blue"])
    roster = cleaned([spoiled, as_stored() | {"sourcedId": "b"}, user("c", "parent", email="anna@@x")]).roster
    assert set(row_of(roster, "a")[UNREADABLE].split()) == {"email", "phone", "number", "grade"}
    assert (row_of(roster, "b")[UNREADABLE], row_of(roster, "c")[UNREADABLE]) == (None, None)


def test_preferred_names_that_the_school_does_not_want_are_not_unknown() -> None:
    told = [user("a", unreadable=["preferredFirstName"])]
    assert row_of(cleaned(told, school(preferred_names=True)).roster, "a")[UNREADABLE] == "preferred_given_name"
    assert row_of(cleaned(told, school(preferred_names=False)).roster, "a")[UNREADABLE] is None


# Contacts


def guardian(sourced_id: str, **members: Any) -> dict[str, Any]:
    return user(sourced_id, "guardian", **{"email": f"{sourced_id}@home.example", "phone": "+13125550111"} | members)


def stored_contact(sourced_id: str, **values: Any) -> dict[str, Any]:
    contact = {
        "contact_sourced_id": sourced_id, "contact_given_name": f"Given{sourced_id}",
        "contact_family_name": f"Family{sourced_id}", "contact_relationship": "guardian",
        "contact_email": f"{sourced_id}@home.example", "contact_phone": "+13125550111", "contact_flags": None,
    }  # fmt: skip
    return contact | values


def more(*contacts: dict[str, Any]) -> str:
    return json.dumps([list(each.values()) for each in contacts])


def with_contacts(*contacts: str, status: str = "active") -> Directory:
    directory = Directory()
    first, *rest = map(stored_contact, contacts)
    after = {"more_contacts": more(*rest)} if rest else {}
    directory.member(directory.person("a"), status=status, **first, **after)
    return directory


SPOILED = {"email": "anna@@x", "phone": "call the office"}
EMPTIED = {"contact_email": ["g@home.example", None], "contact_phone": ["+13125550111", None]}
HALF_NAMED = more(stored_contact("h", contact_given_name=None))
WITHOUT_EMAIL = more(stored_contact("h", contact_email=None))


@pytest.mark.parametrize(
    ("stored", "named", "records", "expected"),
    [
        (["g"], ["g"], [guardian("g", **SPOILED)], {}),
        (["g"], ["g"], [guardian("g", email=None, phone="")], EMPTIED),
        (["g"], ["g"], [guardian("g", email=None, phone=None, unreadable=["email", "sms"])], {}),
        *((["g"], ["g"], [guardian("g", givenName=hides)], {}) for hides in (*HIDDEN, "J***")),
        (["g"], ["g"], [guardian("g", familyName="S***", **SPOILED)], {}),
        (["g"], ["g"], [guardian("g", givenName="J***", familyName="S***", email="new@home.example")], {}),
        (["g"], ["g"], [guardian("g", givenName=None, unreadable=["givenName"])], {}),
        (["g"], ["g"], [guardian("g", givenName=None)], {"contact_given_name": ["Giveng", None]}),
        (["g", "h"], ["g", "h"], [guardian("g"), guardian("h", familyName="#####")], {}),
        (["g"], ["g", "h"], [guardian("g"), guardian("h", givenName="J***")], {"more_contacts": [None, HALF_NAMED]}),
        (["g", "h"], ["g", "h"], [guardian("g", **SPOILED), guardian("h", **SPOILED)], {}),
        (["g"], ["g", "h"], [guardian("g"), guardian("h", email="anna@@x")], {"more_contacts": [None, WITHOUT_EMAIL]}),
    ],
)  # fmt: skip
def test_a_contact_keeps_what_nobody_can_read(
    stored: list[str], named: list[str], records: list[dict[str, Any]], expected: Any
) -> None:
    assert changes(with_contacts(*stored), user("a", agents=named), *records, settings=FAMILY) == expected


def test_contacts_that_change_places_take_their_values_along() -> None:
    directory = with_contacts("g", "h")
    students = user("a", agents=["h", "g"])
    found = changes(directory, students, guardian("g", **SPOILED), guardian("h", **SPOILED), settings=FAMILY)
    assert found["contact_email"] == ["g@home.example", "h@home.example"]
    assert found["more_contacts"] == [more(stored_contact("h")), more(stored_contact("g"))]


@pytest.mark.parametrize(
    ("record", "stays"),
    [
        (guardian("g", **SPOILED), True),
        (guardian("g", givenName="GIVENG", **SPOILED), True),
        (guardian("g", givenName=None, **SPOILED), True),
        (guardian("g", givenName="Other", **SPOILED), False),
        (guardian("g", familyName="Other", **SPOILED), False),
        (guardian("g", givenName="Other", familyName="Other", **SPOILED), False),
        (guardian("h", **SPOILED), False),
    ],
)
def test_the_value_of_another_contact_never_stays(record: dict[str, Any], stays: bool) -> None:
    directory = with_contacts("g")
    changes(directory, user("a", agents=[record["sourcedId"]]), record, settings=FAMILY)
    kept = {name: directory.members[1][name] for name in ("contact_email", "contact_phone")}
    if stays:
        assert kept == {"contact_email": "g@home.example", "contact_phone": "+13125550111"}
    else:
        assert kept == {"contact_email": None, "contact_phone": None}


@pytest.mark.parametrize(
    ("status", "own", "email"),
    [
        ("active", "old@home.example", "old@home.example"),
        ("archived", "old@home.example", "g@home.example"),
        ("active", None, "g@home.example"),
    ],
)
def test_brothers_and_sisters_have_the_same_values_of_a_contact(status: str, own: str | None, email: str) -> None:
    directory = Directory()
    contact = stored_contact("g", contact_email=own) if own else {}
    directory.member(directory.person("a"), status=status, **contact)
    directory.member(directory.person("b"), **stored_contact("h"), more_contacts=more(stored_contact("g")))
    students = [user("a", agents=["g"]), user("b", agents=["h", "g"])]
    changes(directory, *students, guardian("g", email="anna@@x"), guardian("h"), settings=FAMILY)
    assert directory.members[1]["contact_email"] == email
    assert directory.members[2]["more_contacts"] == more(stored_contact("g"))


def test_a_student_who_names_a_contact_by_no_id_keeps_the_stored_contacts() -> None:
    told = user("a", agents=["h"], unreadable=["agents"])
    assert changes(with_contacts("g"), told, guardian("h"), settings=FAMILY) == {}
    new = Directory()
    new.member(new.person("a"))
    assert changes(new, told, guardian("h"), settings=FAMILY)["contact_sourced_id"] == [None, "h"]


def test_every_field_of_a_person_that_a_record_gives_as_text_can_be_unknown() -> None:
    """A new field needs a rule for unreadable values. The login flag has its own rule."""
    source = {
        "given_name": "givenName", "family_name": "familyName", "middle_name": "middleName", "email": "email",
        "preferred_given_name": "preferredFirstName", "preferred_family_name": "preferredLastName",
        "phone": "phone", "username": "username", "number": "identifier",
    }  # fmt: skip
    assert set(source) == set(PERSON_FIELDS) - {"enabled"}
    for name, member in source.items():
        told = user("a", **{member: None}, unreadable=[member])
        assert row_of(cleaned([told], school(preferred_names=True)).roster, "a")[UNREADABLE] == name
