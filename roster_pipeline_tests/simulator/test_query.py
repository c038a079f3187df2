"""Paging, filter and sort, with the errors of each version."""

import pytest

from roster_pipeline.simulator import Sis
from roster_pipeline.simulator.query import Filter, filter_test, parse_filter
from roster_pipeline_tests.simulator.conftest import Api


@pytest.mark.parametrize("limit", [7, 50, 1000])
@pytest.mark.parametrize("path", ["/users", "/schools/sch-2/students", "/enrollments"])
def test_pages_together_are_the_whole_without_repetition(api: Api, path: str, limit: int) -> None:
    total, found, url = None, [], None
    answer = api.get(path, limit=limit, sort="sourcedId")
    while True:
        (records,) = answer.json().values()
        found += [record["sourcedId"] for record in records]
        assert total in (None, answer.headers["X-Total-Count"])
        total, url = answer.headers["X-Total-Count"], answer.links.get("next", {}).get("url")
        if url is None:
            break
        assert "sort=sourcedId" in url
        answer = api.http.get(url, headers={"Authorization": f"Bearer {api.token}"})
    assert len(found) == len(set(found)) == int(total or 0)


def test_the_links_of_a_page_in_the_middle(api: Api) -> None:
    answer = api.get("/schools/sch-1/students", limit=25, offset=25)
    total = int(answer.headers["X-Total-Count"])
    assert {name: link["url"].rsplit("=", 1)[1] for name, link in answer.links.items()} == {
        "next": "50", "prev": "0", "first": "0", "last": str((total - 1) // 25 * 25),
    }  # fmt: skip
    assert "prev" not in api.get("/users", limit=25).links
    assert "next" not in api.get("/users", limit=5000).links


def test_the_default_page_has_a_hundred_and_behind_the_end_is_nothing(api: Api) -> None:
    assert len(api.get("/users").json()["users"]) == 100
    assert api.get("/users", offset=100_000).json() == {"users": []}


@pytest.mark.parametrize("parameters", [{"limit": 0}, {"limit": -1}, {"limit": "x"}, {"offset": -1}, {"limit": "1.5"}])
def test_bad_paging_is_400(api: Api, parameters: dict[str, object]) -> None:
    modern, legacy = (api.get("/users", version, **parameters) for version in ("1.2", "1.1"))
    assert modern.status_code == legacy.status_code == 400
    assert modern.json()["imsx_CodeMinor"]["imsx_codeMinorField"][0]["imsx_codeMinorFieldValue"] == "invaliddata"
    assert legacy.json()["codeMinor"] == "invalid data"


@pytest.mark.parametrize(
    ("version", "text", "count"),
    [
        ("1.1", "role='student'", 180),
        ("1.1", "role='administrator'", 9),
        ("1.2", "roles.role='principal'", 3),
        ("1.2", "roles.org.sourcedId='sch-2'", None),
        ("1.2", "identifier='000001'", 2),
        ("1.2", "familyName~'NOT THERE'", 0),
        ("1.2", "status!='active'", 0),
        ("1.2", "dateLastModified>'2026-09-01'", 0),
        ("1.2", "dateLastModified<='2026-09-01T00:00:00.000Z'", "all"),
        ("1.2", "metadata.homeroom='1A'", None),
        ("1.2", "email=''", None),
    ],
)
def test_filters(api: Api, sis: Sis, version: str, text: str, count: object) -> None:
    answer = api.get("/users", version, filter=text, limit=1000)
    assert answer.status_code == 200, answer.text
    records = answer.json()["users"]
    assert int(answer.headers["X-Total-Count"]) == len(records)
    if count is None:
        assert 0 < len(records) < len(sis.district)
    else:
        assert len(records) == (len(sis.district) if count == "all" else count)


def test_a_filter_finds_what_changed_since(api: Api, sis: Sis) -> None:
    changed = sis.district.rename("u-1003").sourced_id
    left = sis.district.people_of("sch-2", "student")[0].sourced_id
    sis.district.remove(left, how="mark")
    found = api.users("/users", filter="dateLastModified>='2026-09-15T19:59:59+00:00'")
    assert {record["sourcedId"] for record in found} == {changed, left}


@pytest.mark.parametrize(
    "text", ["shoeSize='9'", "roles.shoe='x'", "role='a", "role=student", "role = 'x'", "nonsense",
             "status='a' AND status='b'", "(status='a')", "dateLastModified>'yesterday'", ""],
)  # fmt: skip
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_filter_that_cannot_be_answered_is_400(api: Api, version: str, text: str) -> None:
    answer = api.get("/users", version, filter=text)
    assert answer.status_code == 400
    assert "invalid_filter_field" in answer.text


def test_a_doubled_quote_in_a_value_is_one_quote() -> None:
    asked = parse_filter("familyName='O''Shea AND B'")
    assert asked == Filter("familyName", "=", "O'Shea AND B")
    assert filter_test(asked)({"familyName": "O'Shea AND B"})


def test_sort_orders_and_an_unknown_field_is_only_warned_about(api: Api) -> None:
    for order, reverse in (("asc", False), ("desc", True)):
        names = [r["familyName"] for r in api.users("/students", sort="familyName", orderBy=order)]
        assert names == sorted(names, reverse=reverse)
    legacy, modern = (api.get("/users", version, sort="shoeSize") for version in ("1.1", "1.2"))
    assert legacy.status_code == modern.status_code == 200
    assert legacy.json()["warnings"][0]["codeMinor"] == "invalid_sort_field"
    assert list(modern.json()) == ["users"]


def test_errors_have_the_shape_of_their_version(api: Api) -> None:
    legacy, modern = (api.get("/users/nobody", version).json() for version in ("1.1", "1.2"))
    assert legacy.keys() == {"codeMajor", "severity", "codeMinor", "description"}
    assert legacy["codeMinor"] == "unknown object"
    assert modern["imsx_codeMajor"] == "failure"
    assert modern["imsx_CodeMinor"]["imsx_codeMinorField"] == [
        {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": "unknownobject"}
    ]
