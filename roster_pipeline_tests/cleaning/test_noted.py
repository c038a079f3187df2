"""The notes of cleaning, line by line: collection, sourcedId, field, rule, severity, role; and what it does not
note."""

from typing import Any

import pytest

from roster_pipeline.frames import REJECTED_COLUMNS
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings
from roster_pipeline_tests.planning.builders import SIS, cleaned, entry, row_of, school, user

TEACHES = [entry("teacher")]
LONG = "x" * 201
STAFF_OFF = school(staff=RoleSettings())
STRICT = ConnectionSettings(url=SIS.url, disabled_means_gone=True)


def noted(*users: dict[str, Any], **given: Any) -> list[tuple[Any, ...]]:
    rejected = cleaned(list(users), **given).rejected.astype(object)
    assert tuple(rejected.columns) == REJECTED_COLUMNS
    return list(rejected.where(rejected.notna(), None).itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("members", "field", "rule", "severity", "role"),
    [
        ({"status": "odd", "roles": TEACHES}, "status", "unknown_status", "error", "teacher"),
        ({"roles": [entry("ext:x")]}, "role", "unmapped_role", "error", None),
        ({"givenName": "", "familyName": "", "roles": TEACHES}, "familyName", "missing_name", "error", "teacher"),
        ({"givenName": LONG, "roles": TEACHES}, "familyName", "name_too_long", "error", "teacher"),
        ({"familyName": LONG, "roles": TEACHES}, "familyName", "name_too_long", "error", "teacher"),
        ({"familyName": "", "roles": TEACHES}, "familyName", "single_name", "warning", "teacher"),
        ({"givenName": "", "roles": TEACHES}, "familyName", "single_name", "warning", "teacher"),
        ({"email": "nope", "roles": TEACHES}, "email", "invalid_email", "warning", "teacher"),
        ({"phone": "nope", "roles": TEACHES}, "phone", "invalid_phone", "warning", "teacher"),
        ({"sms": "nope", "roles": TEACHES}, "phone", "invalid_phone", "warning", "teacher"),
        ({"grades": ["blue"]}, "grades", "unknown_grade", "warning", "student"),
    ],
)
def test_a_rule_is_noted_with_all_that_its_reader_needs(
    members: dict[str, Any], field: str, rule: str, severity: str, role: str | None
) -> None:
    assert noted(user("a", **members)) == [("users", "a", field, rule, severity, role)]


def test_an_id_that_came_twice_is_noted_once() -> None:
    assert noted(user("a"), user("a", familyName="Other")) == [
        ("users", "a", "sourcedId", "duplicate_sourced_id", "warning", None)
    ]


def test_what_two_records_share_is_noted_of_both() -> None:
    same_email = [user(name, "teacher", email="office@example.org") for name in ("a", "b")]
    assert noted(*same_email) == [("users", n, "email", "shared_email", "warning", "teacher") for n in ("a", "b")]
    same_number = [user(name, "teacher", identifier="7") for name in ("a", "b")]
    assert noted(*same_number) == [("users", n, "number", "number_shared", "warning", "teacher") for n in ("a", "b")]


@pytest.mark.parametrize(
    "members",
    [
        {"roles": [entry("aide")], "givenName": "", "familyName": ""},
        {"roles": [entry("aide")], "familyName": LONG},
        {"roles": [entry("aide")], "familyName": "", "email": "nope", "phone": "nope"},
        {"roles": [entry("student", "s2")], "givenName": "", "familyName": ""},
        {"status": "tobedeleted", "givenName": "", "familyName": ""},
        {"roles": TEACHES, "grades": ["blue"]},
    ],
)
def test_nothing_is_noted_for_people_who_are_not_members_and_fields_that_a_role_lacks(members: dict[str, Any]) -> None:
    for connection in (SIS, STRICT):
        assert noted(user("a", **members), settings=STAFF_OFF, connection=connection) == []


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"enabledUser": False}, "disabled"),
        ({"enabledUser": False, "status": "tobedeleted"}, "deleted"),
        ({"enabledUser": False, "status": "odd"}, "rejected"),
        ({"enabledUser": False, "givenName": "", "familyName": ""}, "disabled"),
        ({"enabledUser": False, "roles": [entry("aide")]}, "role_off"),
        ({"enabledUser": True, "givenName": "", "familyName": ""}, "rejected"),
    ],
)
def test_where_a_disabled_record_stands_when_disabled_means_gone(members: dict[str, Any], status: str) -> None:
    told = cleaned([user("a", **members)], STAFF_OFF, connection=STRICT)
    assert row_of(told.roster, "a")["record_status"] == status
    assert list(told.rejected["severity"]) == (["error"] if status == "rejected" else [])
