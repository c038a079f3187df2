"""What proves that a list has ended: doubts that a second reading settles, and proofs that are missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline_tests.oneroster.client_helpers import Served, Told, told_by
from roster_pipeline_tests.oneroster.odd_server import odd, page, person

Start = Callable[..., Served]
PEOPLE = [person(f"p-{number:04}") for number in range(230)]


def told_of(answer: Callable[[Mapping[str, str]], Any], **settings: Any) -> Told:
    with odd(lambda path, query: answer(query) if path == "/users" else None, **settings) as client:
        return told_by(client)


def window(query: Mapping[str, str], people: list[Any] = PEOPLE) -> list[Any]:
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
    return people[offset : offset + limit]


def linked(query: Mapping[str, str], people: list[Any] = PEOPLE, *, more: bool | None = None) -> JSONResponse:
    """A page without a total; `next` where more comes."""
    records = window(query, people)
    more = int(query.get("offset", 0)) + len(records) < len(people) if more is None else more
    return JSONResponse({"users": records}, headers={"Link": '<https://x/users?offset=1>; rel="next"'} if more else {})


def test_records_that_come_twice_and_say_the_same_hold_no_night(sis: Start) -> None:
    for faults in ((), ("link=off",)):
        served = sis("record_doubled", *faults)
        told = served.told()
        assert told.complete, told.problems
        assert len(told.ids) == len(served.sis.district) == len(told.users)
        assert told.proof is not None
        assert told.proof.readings == 2
        assert "settled:duplicates" in told.proof.notes


def test_a_server_that_joins_and_so_sends_a_record_twice_is_complete() -> None:
    doubled = [*PEOPLE[:40], PEOPLE[39], *PEOPLE[40:], PEOPLE[7]]
    for answer in (lambda query: page(doubled, query, total=False), lambda query: page(doubled, query)):
        told = told_of(answer)
        assert told.ids == {one["sourcedId"] for one in PEOPLE}
        assert told.complete, told.problems


@pytest.mark.parametrize("member", ["givenName", "email", "identifier"])
def test_two_records_of_one_id_that_say_different_things_are_not_the_same(member: str) -> None:
    people = [*PEOPLE, PEOPLE[5] | {member: "another"}]
    assert "duplicates" in told_of(lambda query: page(people, query, total=False)).problems


def test_a_record_that_took_the_place_of_another_is_noticed_by_pages_of_another_size() -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        records = window(query)
        return JSONResponse({"users": [*records[:-1], records[0]] if len(records) > 1 else records})

    told = told_of(answer)
    assert len(told.ids) < len(PEOPLE)
    assert "duplicates" in told.problems


@pytest.mark.parametrize("low", [1, 100, 223])
def test_a_total_that_lies_low_holds_no_night_and_is_known_the_next_one(low: int) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({"users": window(query)}, headers={"X-Total-Count": str(low)})

    def client_of(learned: Mapping[str, Any]) -> Any:
        return odd(lambda path, query: answer(query) if path == "/users" else None, learned=learned)

    with client_of({}) as client:
        told = told_by(client)
        assert told.complete, told.problems
        assert len(told.ids) == len(PEOPLE)
        assert told.proof is not None
        assert told.proof.readings == 2
        learned = client.learned
    with client_of({"paging": learned["paging"]}) as client:
        told = told_by(client)
    assert told.complete
    assert told.proof is not None
    assert told.proof.readings == 1, "what is known of a server costs no second reading"


@pytest.mark.parametrize("stop", [50, 100, 150])
def test_an_empty_page_inside_a_list_is_not_its_end(stop: int) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        empty = int(query.get("offset", 0)) == stop
        return JSONResponse({"users": [] if empty else window(query)})

    assert "empty-page-inside" in told_of(answer).problems


def test_a_total_that_was_there_on_good_nights_is_missed(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        assert told_by(client).complete
        learned = client.learned
    served.sis.faults.set("total_header=off", "link=off")
    assert "total-gone" in served.told(learned=learned).problems


def test_links_that_ended_with_the_list_on_good_nights_are_missed_and_believed() -> None:
    answer: Callable[[Mapping[str, str]], Any] = linked

    def now(path: str, query: Mapping[str, str]) -> Any:
        return answer(query) if path == "/users" else None

    with odd(now) as client:
        assert told_by(client).complete
        paging = client.learned["paging"]
    assert paging["ends"]["/users"] == "link"
    short = PEOPLE[:150]
    for worse, problem in (
        (lambda query: linked(query, short, more=True), "next-page-empty"),
        (lambda query: page(short, query, total=False), "link-gone"),
    ):
        answer = worse
        with odd(now, learned={"paging": paging}) as client:
            assert problem in told_by(client).problems
    for good in (linked, lambda query: page(PEOPLE, query)):
        answer = good
        with odd(now, learned={"paging": paging}) as client:
            assert told_by(client).complete


@pytest.mark.parametrize(
    ("beside", "problem"),
    [
        ({"warnings": ["only a part was read"]}, "warning-beside-data"),
        ({"statusInfoSet": [{"imsx_codeMajor": "success", "imsx_severity": "warning"}]}, "warning-beside-data"),
        ({"warnings": [{"codeMinor": "invalid_sort_field"}, {"description": "cut"}]}, "warning-beside-data"),
        ({"partial": True}, "partial-answer"),
        ({"complete": False}, "partial-answer"),
        ({"imsx_codeMajor": "processing"}, "partial-answer"),
    ],
)
def test_a_body_that_speaks_against_itself_is_a_problem(beside: dict[str, Any], problem: str) -> None:
    told = told_of(lambda query: JSONResponse({"users": window(query)} | beside))
    assert told.problems == (problem,)
    assert len(told.ids) == len(PEOPLE)


@pytest.mark.parametrize(
    "beside",
    [
        {"warnings": [{"codeMajor": "success", "severity": "warning", "codeMinor": "invalid_sort_field"}]},
        {"warnings": []},
        {"partial": False, "complete": True},
        {"meta": {"page": 1}},
    ],
)
def test_what_says_nothing_about_whether_everybody_came_is_none(beside: dict[str, Any]) -> None:
    assert told_of(lambda query: JSONResponse({"users": window(query)} | beside)).complete


def test_an_answer_with_the_status_of_a_part_is_a_part() -> None:
    def answer(query: Mapping[str, str]) -> Response:
        return JSONResponse({"users": window(query)}, 206)

    assert told_of(answer).problems == ("partial-answer",)
