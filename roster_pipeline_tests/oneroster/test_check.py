"""Test Your Information: every item, green and red, and nobody's name in any of them."""

from typing import Any

import pytest
from starlette.responses import Response

from roster_pipeline.oneroster import CheckItem
from roster_pipeline.oneroster.connection_test import check_schools
from roster_pipeline.oneroster.connection_test_items import Placed, TestedSchool
from roster_pipeline.oneroster.http.endpoint import is_version_1_0
from roster_pipeline_tests.oneroster.client_helpers import Served, Start, checked
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, odd, page, person


def items(served: Served, school: str = "sch-1", **settings: Any) -> dict[str, CheckItem]:
    with served.client(**settings) as client:
        return checked(client, school, contacts=True)


def test_everything_is_green_if_everything_works(sis: Start) -> None:
    found = items(sis())
    assert [name for name, item in found.items() if item.ok is False] == []
    assert {"Address", "Encryption", "Sign-in", "Version", "School", "Students", "Teachers", "Staff", "Admins"} <= set(
        found
    )
    assert {"Guardians", "Completeness", "Page size", "Second witness", "Changes only", "Clock"} <= set(found)
    assert found["Changes only"].ok is None
    assert "not yet proved for changes of one day, changes of school or role" in found["Changes only"].detail
    assert "found by sourcedId" in found["School"].detail
    assert "identifier 100%" in found["Student number"].detail


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("credentials_ended", "Sign-in"),
        ("html_with_200", "Address"),
        ("hide_school=sch-1", "School"),
        ("role_absent=teacher", "Teachers"),
        ("forbidden=/users", "Staff"),
        ("guardians=off", "Guardians"),
        ("agents=off", "Guardians"),
        ("total_header=high", "Completeness"),
        ("offset_ignored", "People"),
    ],
)
def test_a_failing_item_is_red_with_its_remedy(sis: Start, fault: str, name: str) -> None:
    item = items(sis(fault))[name]
    assert item.ok is False
    assert item.detail
    assert item.remedy


TOLD: list[tuple[str, str, bool | None, str, str]] = [
    ("agents=one_sided", "Guardians", True, "", ""),
    ("agents=reverse", "Guardians", True, "", ""),
    ("role_dates=rotate", "Dates", None, "ended or not begun", ""),
    ("scope_granted=roster-core.readonly", "Scopes", None, "roster.readonly", ""),
    ("offset_unit=page", "Paging", False, "counts pages", ""),
    ("unknown_roles", "Other roles", None, "", ""),
    ("number_in=user_ids", "Student number", None, "userIds:", 'in the setting "Student number from"'),
    ("enabled=all_off", "Disabled accounts", None, "(100%)", "Disabled means gone"),
    ("filter_ignored=all", "Changes only", None, "", ""),
    ("single_users=off", "Second witness", None, "cannot be requested", ""),
    ("single_users=students", "Second witness", None, "not of: Teachers", "every role"),
    ("page_cap_error=60", "Page size", True, "instead of 200", ""),
]


@pytest.mark.parametrize(("fault", "name", "ok", "detail", "remedy"), TOLD)
def test_q09_q40_q54_q73_q86_what_is_found_is_told_in_these_words(
    sis: Start, fault: str, name: str, ok: bool | None, detail: str, remedy: str
) -> None:
    item = items(sis(fault), page_size=200)[name]
    assert item.ok is ok
    assert detail in item.detail
    assert remedy in item.remedy


def test_statuses_that_nobody_knows_are_red_and_counted(sis: Start) -> None:
    found = items(sis("status=unknown"))
    assert found["Students"].ok is False
    assert found["Status"].ok is False
    assert "people of this school" in found["Status"].detail


def test_a_server_that_is_not_there_is_a_red_address(sis: Start) -> None:
    served = sis()
    served.stop()
    assert items(served)["Address"].ok is False


def test_a_school_found_by_its_identifier_is_reported_as_such(sis: Start) -> None:
    served = sis()
    found = items(served, served.sis.district.schools[0].identifier)["School"]
    assert found.ok
    assert "identifier" in found.detail


def test_two_schools_with_one_identifier_are_red(sis: Start) -> None:
    served = sis("org_identifier=doubled")
    with served.client() as client:
        identifier = next(org["identifier"] for org in client.orgs() if org["type"] == "school")
    found = items(served, identifier)["School"]
    assert found.ok is False
    assert "sourcedId" in found.remedy


def test_several_schools_are_found_with_one_reading_of_the_orgs(sis: Start) -> None:
    """Only a school that does not exist, and an identifier of two schools, are red."""
    served = sis("org_identifier=doubled")
    with served.client() as client:
        doubled = next(org["identifier"] for org in client.orgs() if org["type"] == "school")

    def tested(*ids: str) -> tuple[list[Placed], int]:
        served.sis.log.clear()
        with served.client() as client:
            placed = list(check_schools(client, [TestedSchool(one) for one in ids]))
        return placed, served.sis.log.by_resource["/orgs"]

    _, reads = tested("sch-1", "nowhere")
    placed, reads_of_many = tested("sch-1", "nowhere", doubled, "elsewhere")
    assert {place: item.ok for place, item in placed if item.name == "School"} == {
        0: True,
        1: False,
        2: False,
        3: False,
    }
    assert {place for place, item in placed if item.name == "Students" and item.ok} == {0}
    assert reads_of_many == reads


def test_no_item_names_a_person(sis: Start) -> None:
    served = sis()
    people = served.pull().users
    shown = " ".join(f"{item.detail} {item.remedy}" for item in items(served).values())
    assert not [user for user in people if user["familyName"] in shown or user["sourcedId"] in shown]


def items_of(answers: Any, school: str = "sch-1", **choices: Any) -> dict[str, CheckItem]:
    with odd(answers) as client:
        return checked(client, school, **choices)


def listed(*people: dict[str, Any]) -> Any:
    return lambda path, query: page(list(people), query) if path == "/users" else None


@pytest.mark.parametrize(("ours", "ok"), [("Harbour", True), ("harbour school", True), ("", True), ("Lincoln", None)])
def test_the_name_of_the_school_is_shown_with_a_warning_if_ours_differs(ours: str, ok: bool | None) -> None:
    item = items_of(listed(person("p-1")), name=ours)["School"]
    assert item.detail.startswith("Harbour, found by")
    assert item.ok is ok
    assert ("here it is called Lincoln" in item.detail) == (ok is None)


@pytest.mark.parametrize("typed", ["SCH-1", "00300", "harbour", "sch 1"])
def test_a_school_id_that_is_there_under_another_id_is_named(typed: str) -> None:
    item = items_of(listed(person("p-1")), typed)["School"]
    assert item.ok is False
    assert "Harbour has the sourcedId sch-1" in item.detail
    assert "enter this sourcedId" in item.remedy


def test_a_school_whose_id_changed_is_found_by_its_name() -> None:
    assert "has the sourcedId sch-1" in items_of(listed(person("p-1")), "gone-17", name="Harbour")["School"].detail
    assert "sourcedId sch-1" not in items_of(listed(person("p-1")), "gone-17", name="Lincoln")["School"].detail


@pytest.mark.parametrize(("delivered", "ok"), [(10, True), (8, True), (7, False), (0, False)])
def test_guardians_are_red_if_too_few_of_the_named_ones_come(delivered: int, ok: bool) -> None:
    pupils = [person(f"s-{number}", agents=[{"sourcedId": f"g-{number}"}]) for number in range(10)]
    family = [person(f"g-{number}", "guardian") for number in range(delivered)]
    item = items_of(listed(*pupils, *family), contacts=True)["Guardians"]
    assert item.ok is ok
    assert f"{delivered} of 10" in item.detail


def test_what_the_sis_does_not_have_is_not_offered_and_not_zero() -> None:
    bare: dict[str, Any] = {"enabledUser": None, "username": None, "identifier": None}
    found = items_of(listed(*[person(f"s-{number}", **bare) for number in range(3)]), contacts=True)
    assert found["Disabled accounts"].detail == "not offered by the SIS"
    assert found["Student number"].detail == "not offered by the SIS"
    assert found["Fields"].detail == "not offered by the SIS: e-mail, user name, grades"
    assert found["Guardians"].detail == "not offered: no student names a guardian"
    assert items_of(listed(person("s-1", identifier=None)))["Student number"].detail == "username 100%"


def test_people_whose_entries_name_no_role_are_counted_as_such() -> None:
    entry = {"roleType": "primary", "org": {"sourcedId": "sch-1"}}
    found = items_of(
        listed(person("s-1"), *[person(f"x-{number}", identifier=str(number), roles=[entry]) for number in range(3)])
    )
    assert found["Other roles"].detail == "3 without a role"


def test_a_server_of_version_1_0_is_called_so() -> None:
    assert is_version_1_0("https://sis.example.org/ims/oneroster/v1p0")
    assert not is_version_1_0("https://sis.example.org/ims/oneroster/v1p1")
    assert not is_version_1_0("https://oneroster-proxy.example.com/proxy/v1p0/app/ims/oneroster/v1p1")


def test_guardians_who_are_not_rostered_are_not_fetched_one_by_one() -> None:
    asked: list[str] = []
    pupils = [person(f"s-{number}", agents=[{"sourcedId": f"g-{number}"}]) for number in range(10)]

    def answers(path: str, query: Any) -> Any:
        asked.append(path)
        return page(pupils, query) if path == "/users" else None

    items_of(answers)
    assert not [path for path in asked if path.startswith("/users/g-")]


def test_students_of_the_schools_own_list_who_are_not_among_all_users_are_named(sis: Start) -> None:
    assert "School's own list" not in items(sis())
    students = [
        person("p-0", roles=[{"role": ["x"], "org": {"sourcedId": "sch-1"}}]),
        *(person(f"p-{number}") for number in range(1, 7)),
    ]
    lists = {"/users": students[:5], "/schools/sch-1/students": students}
    with odd(lambda path, query: page(lists[path], query) if path in lists else None) as client:
        assert checked(client, "sch-1")["School's own list"].detail.startswith(
            "2 of 7 students at /schools/{id}/students"
        )


def test_single_orgs_that_lead_to_a_web_page_do_not_hide_a_listed_school() -> None:
    away = Response(status_code=302, headers={"Location": "https://portal.example.org/"})
    lists = {"/users": [person("p-1")], "/orgs": [SCHOOL]}
    with odd(lambda path, query: page(lists[path], query, path[1:]) if path in lists else away) as client:
        assert checked(client, "sch-1")["School"].ok
