"""Cleaning: the status of each record, rejections and notes."""

import random
from typing import Any

import pandas as pd
import pytest

from roster_pipeline.cleaning.roles import next_change
from roster_pipeline.frames import ROSTER_COLUMNS, frame_of
from roster_pipeline.oneroster.records.coercion import UNREADABLE, day
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings
from roster_pipeline_tests.planning.builders import SIS, TODAY, cleaned, entry, row_of, school, user

STAFF_OFF = school(staff=RoleSettings())


@pytest.mark.parametrize(
    ("members", "status", "role"),
    [
        ({}, "member", "student"),
        ({"status": None}, "member", "student"),
        ({"roles": [entry("Teacher ")]}, "member", "teacher"),
        ({"roles": [entry("aide")]}, "role_off", "staff"),
        ({"roles": [entry("aide"), entry("teacher")]}, "member", "teacher"),
        ({"roles": [entry("student"), entry("administrator")]}, "member", "admin"),
        ({"roles": [entry("guardian")]}, "role_off", "contact"),
        ({"roles": [entry("guardian"), entry("teacher")]}, "member", "teacher"),
        ({"roles": [entry("ext:x")]}, "unmapped", None),
        ({"roles": [entry(None)]}, "unmapped", None),
        ({"roles": [entry("ext:x"), entry("student")]}, "member", "student"),
        ({"roles": []}, "no_org", None),
        ({"roles": [entry("teacher", None)]}, "no_org", "teacher"),
        ({"roles": [entry("teacher", "s2")]}, "elsewhere", "teacher"),
        ({"roles": [entry("teacher", "s2"), entry("student", " s1 ")]}, "member", "student"),
        ({"roles": [entry("teacher", "S1")]}, "elsewhere", "teacher"),
        ({"roles": [entry(end="2026-03-01")]}, "ended", "student"),
        ({"roles": [entry(end="2026-03-02")]}, "member", "student"),
        ({"roles": [entry(begin="2026-03-03")]}, "not_begun", "student"),
        ({"roles": [entry(begin="2026-03-02")]}, "member", "student"),
        ({"roles": [entry("teacher", end="2026-01-01"), entry("student")]}, "member", "student"),
        ({"roles": [entry("teacher", "7")]}, "elsewhere", "teacher"),
        ({"roles": [entry("guardian"), entry("ext:x")]}, "unmapped", None),
        ({"status": "tobedeleted", "roles": []}, "deleted", None),
        ({"status": "InActive"}, "deleted", "student"),
        ({"status": "retired"}, "rejected", "student"),
        ({"givenName": None, "familyName": " "}, "rejected", "student"),
        ({"givenName": None}, "member", "student"),
        ({"familyName": "x" * 201}, "rejected", "student"),
        ({"enabledUser": False}, "member", "student"),
        ({"enabledUser": None}, "member", "student"),
    ],
)
def test_where_a_record_stands(members: dict[str, Any], status: str, role: str | None) -> None:
    line = row_of(cleaned([user("a", **members)], STAFF_OFF).roster, "a")
    assert (line["record_status"], line["role"]) == (status, role)


def test_of_several_records_each_stands_by_its_own_best_role() -> None:
    best_first = [entry("teacher"), entry("student")]
    users = [user("a", roles=[]), *(user(name, roles=best_first) for name in "bcd"), user("e", roles=[])]
    roster = cleaned(users).roster.astype(object)
    told = roster.where(roster.notna(), None)[["record_status", "role", "source_role"]].apply(tuple, axis=1).tolist()
    assert told == [("no_org", None, None), *[("member", "teacher", "teacher")] * 3, ("no_org", None, None)]


def test_disabled_means_gone_only_if_the_connection_says_so() -> None:
    strict = ConnectionSettings(url=SIS.url, disabled_means_gone=True)
    users = [user("a", enabledUser=False), user("b", enabledUser=None), user("c", enabledUser=True)]
    assert list(cleaned(users, connection=strict).roster["record_status"]) == ["disabled", "member", "member"]


def test_a_school_maps_vendor_roles_itself() -> None:
    settings = school(role_map={"EXT:Coach": "staff"})
    assert row_of(cleaned([user("a", "ext:coach")], settings).roster, "a")["role"] == "staff"


def test_a_bad_phone_beside_a_good_one_is_no_loss() -> None:
    told = cleaned([user("a", phone="nope", sms="(312) 555-0142")])
    assert row_of(told.roster, "a")["phone"] == "+13125550142"
    assert told.rejected.empty


def test_staff_may_have_their_number_elsewhere_than_students() -> None:
    apart = ConnectionSettings(url=SIS.url, student_number_from="username", staff_number_from="identifier")
    roles = {"a": "student", "b": "teacher", "c": "aide", "d": "administrator", "e": "guardian", "f": "ext:x"}
    users = [user(name, role, username=f"user-{name}", identifier=f"id-{name}") for name, role in roles.items()]
    told = cleaned(users, connection=apart).roster.set_index("sourced_id")[["number", "number_kind"]].astype(object)
    assert told.where(told.notna(), None).apply(tuple, axis=1).to_dict() == {
        "a": ("user-a", "student"),
        "b": ("id-b", "staff"),
        "c": ("id-c", "staff"),
        "d": ("id-d", "staff"),
        "e": (None, None),
        "f": (None, None),
    }
    assert row_of(cleaned(users).roster, "a")["number"] == "id-a"


@pytest.mark.parametrize(
    ("members", "region", "phone"),
    [
        ({"phone": "(312) 555-0142", "sms": "(312) 555-0199"}, "US", "+13125550142"),
        ({"phone": None, "sms": "(312) 555-0199"}, "US", "+13125550199"),
        ({"phone": "030 901820", "sms": "0151 23456789"}, "DE", "+4930901820"),
        ({"phone": None, "sms": "0151 23456789"}, "DE", "+4915123456789"),
    ],
)
def test_a_phone_goes_before_a_mobile_and_both_are_read_in_the_schools_region(
    members: dict[str, Any], region: str, phone: str
) -> None:
    assert row_of(cleaned([user("a", **members)], school(phone_region=region)).roster, "a")["phone"] == phone


def test_of_several_records_with_one_sourced_id_the_newest_is_used_in_any_order() -> None:
    users = [
        user("a", givenName="Old", dateLastModified="2025-01-01T00:00:00.000Z"),
        user("a", givenName="New", dateLastModified="2025-06-01T02:00:00+02:00"),
        user("a", givenName="Odd", dateLastModified="yesterday"),
        user("b"),
    ]
    for _ in range(4):
        random.shuffle(users)
        told = cleaned(users)
        assert list(told.roster["sourced_id"]) == ["a", "b"]
        assert row_of(told.roster, "a")["given_name"] == "New"
        assert list(told.rejected["rule"]) == ["duplicate_sourced_id"]


def test_a_record_that_came_twice_the_same_is_not_noted() -> None:
    told = cleaned([user("a"), user("a")])
    assert len(told.roster) == 1
    assert told.rejected.empty


def test_records_of_one_id_may_lack_members_and_carry_odd_ones() -> None:
    odd: dict[str, Any] = {"enabledUser": None, "metadata": {"a": [1, {"b": None}]}}
    told = cleaned(
        [user("a", **odd), user("a", **odd | {"email": "a@example.org"}), user("b", **odd), user("b", **odd)]
    )
    assert list(told.roster["sourced_id"]) == ["a", "b"]
    assert list(told.rejected["sourced_id"]) == ["a"]


def test_a_guardian_who_is_among_the_users_and_the_contacts_is_one_contact() -> None:
    guardian = user("g1", "guardian", email="g1@example.org")
    for contacts in ([], [guardian]):
        told = cleaned([user("s1", agents=["g1"]), guardian], school(primary_contacts=True), contacts)
        line = row_of(told.roster, "s1")
        assert (line["contact_email"], line["more_contacts"]) == ("g1@example.org", None)
        assert told.rejected.empty


def test_ids_that_differ_by_case_only_are_two_records() -> None:
    assert len(cleaned([user("Ab1"), user("aB1")]).roster) == 2


def test_preferred_names_are_kept_only_if_the_school_wants_them() -> None:
    users = [user("a", preferredFirstName="Bo", preferredLastName="Li")]
    wanted = row_of(cleaned(users, school(preferred_names=True)).roster, "a")
    assert (wanted["preferred_given_name"], wanted["preferred_family_name"]) == ("Bo", "Li")
    unwanted = row_of(cleaned(users).roster, "a")
    assert (unwanted["preferred_given_name"], unwanted["preferred_family_name"]) == (None, None)


def test_of_a_parent_in_the_list_of_users_only_id_standing_and_role_are_kept() -> None:
    parent = user("p", "guardian", email="p@example.org", phone="(312) 555-0142", username="p")
    kept = {name for name, value in row_of(cleaned([parent]).roster, "p").items() if value is not None}
    assert kept == {"sourced_id", "record_status", "identity", "role", "source_role", "enabled"}


def test_a_parent_in_the_list_of_users_takes_nothing_from_the_others() -> None:
    pupil = user("a", email="a@example.org", phone="(312) 555-0142", username="a", grades=["9"])
    alone, beside = cleaned([pupil]).roster, cleaned([user("p", "guardian"), pupil]).roster
    assert row_of(beside, "a") | {"identity": 0} == row_of(alone, "a")


def test_a_record_turned_away_at_the_door_stands_in_the_roster_as_rejected() -> None:
    rejected_at_ingest = pd.DataFrame(
        [("users", "b", "roles", "not_a_list", "error"), ("users", None, "sourcedId", "missing", "error")],
        columns=["collection", "sourced_id", "field", "rule", "severity"],
    )
    roster = cleaned([user("a"), user("c")], rejected_at_ingest=rejected_at_ingest).roster
    assert list(roster["sourced_id"]) == ["a", "b", "c"]
    assert row_of(roster, "b")["record_status"] == "rejected"
    assert sorted(roster["identity"].tolist()) == [0, 1, 2]


def test_nothing_comes_of_nothing() -> None:
    told = cleaned([])
    assert tuple(told.roster.columns) == ROSTER_COLUMNS
    assert told.roster.empty
    assert told.rejected.empty


def test_members_of_a_wrong_type_are_dropped_without_quoting_them() -> None:
    frame = frame_of([{"sourcedId": 7, "givenName": {"x": 1}, "roles": "student", "grades": [9, None], "agents": None}])
    assert frame["sourcedId"].tolist() == ["7"]
    assert frame["givenName"].isna().all()
    assert frame["grades"].tolist() == [["9", None]]
    assert frame["roles"].isna().all()


def test_half_a_surrogate_does_not_stop_the_sync() -> None:
    assert frame_of([user("a", givenName="Bo\ud83d")])["givenName"].tolist() == ["Bo?"]


@pytest.mark.parametrize(
    ("dates", "zone", "status"),
    [
        ({"end": "2026-03-01T23:00Z"}, "Europe/Berlin", "member"),
        ({"end": "2026-03-01T23:00Z"}, "UTC", "ended"),
        ({"end": "2026-03-01T22:59Z"}, "Europe/Berlin", "ended"),
        ({"end": "2026-03-02T04:30Z"}, "America/New_York", "ended"),
        ({"end": "2026-03-02T04:30Z"}, "UTC", "member"),
        ({"end": "2026-03-01T12:00Z"}, "Pacific/Auckland", "member"),
        ({"begin": "2026-03-02T23:30Z"}, "Europe/Berlin", "not_begun"),
        ({"begin": "2026-03-02T23:30Z"}, "UTC", "member"),
        ({"begin": "2026-03-03T04:30Z"}, "America/New_York", "member"),
    ],
)
def test_a_role_begins_and_ends_on_the_day_of_the_school(dates: dict[str, str], zone: str, status: str) -> None:
    others = [user("b", roles=[]), user("c", roles=[entry(org="s2"), entry(end="2026-03-02")])]
    told = cleaned([user("a", roles=[entry(org="s2"), entry(**dates)]), *others], school(time_zone=zone))
    assert dict(zip(told.roster["sourced_id"], told.roster["record_status"], strict=True)) == {
        "a": status, "b": "no_org", "c": "member",
    }  # fmt: skip


def test_the_next_change_of_a_roster_is_a_day_of_the_school() -> None:
    users = frame_of([user("a", roles=[entry(end="2026-03-05T23:30Z")]), user("b", roles=[entry(begin="2026-04-01")])])
    assert str(next_change(users, TODAY, school(time_zone="Europe/Berlin").zone)) == "2026-03-07"
    assert str(next_change(users, TODAY, school().zone)) == "2026-03-06"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-06-30", "2026-06-30"),
        ("20260630", "2026-06-30"),
        ("2026-06-30T00:00:00Z", "2026-06-30"),
        ("2026-06-30T00:00:00+02:00", "2026-06-30"),
        ("2026-06-30T23:59:59.999Z", "2026-06-30"),
        ("2026-06-30 23:59-05:00", "2026-06-30"),
        ("2026-06-30T17:30:00", "2026-06-30"),
        ("2026-06-30T22:00:00.000Z", "2026-06-30T22:00Z"),
        ("20260630T22:00:00Z", "2026-06-30T22:00Z"),
        ("2026-06-30T22:00:00-05:00", "2026-07-01T03:00Z"),
        ("2026-06-30T22:00+0530", "2026-06-30T16:30Z"),
        ("2026-06-30T25:00:00Z", "2026-06-30"),
        ("0001-01-01T05:00:00Z", None),
        ("2026-02-30T05:00:00Z", UNREADABLE),
    ],
)
def test_a_date_with_a_time_is_the_day_as_written_or_a_moment(written: str, read: Any) -> None:
    assert day(written) == read
