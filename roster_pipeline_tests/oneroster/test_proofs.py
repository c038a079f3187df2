"""Proofs that a list has ended: doubts that a second reading settles, and missing proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline.oneroster.errors import Busy, NotOffered, RequestRefused, ServerFailed
from roster_pipeline_tests.oneroster.client_helpers import Pulled, Served, pulled_by
from roster_pipeline_tests.oneroster.odd_server import odd, page, person

Start = Callable[..., Served]
PEOPLE = [person(f"p-{number:04}") for number in range(230)]


def told_of(answer: Callable[[Mapping[str, str]], Any], **settings: Any) -> Pulled:
    with odd(lambda path, query: answer(query) if path == "/users" else None, **settings) as client:
        return pulled_by(client)


def window(query: Mapping[str, str], people: list[Any] = PEOPLE) -> list[Any]:
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
    return people[offset : offset + limit]


def linked(query: Mapping[str, str], people: list[Any] = PEOPLE, *, more: bool | None = None) -> JSONResponse:
    """A page without a total; `next` where more comes."""
    records = window(query, people)
    more = int(query.get("offset", 0)) + len(records) < len(people) if more is None else more
    return JSONResponse({"users": records}, headers={"Link": '<https://x/users?offset=1>; rel="next"'} if more else {})


def test_identical_records_that_come_twice_hold_no_sync(sis: Start) -> None:
    for faults in ((), ("link=off",)):
        served = sis("record_doubled", *faults)
        pulled = served.pull()
        assert pulled.complete, pulled.problems
        assert len(pulled.ids) == len(served.sis.district) == len(pulled.users)
        assert pulled.proof is not None
        assert pulled.proof.readings == 2
        assert "settled:duplicates" in pulled.proof.notes


def test_a_server_that_joins_and_so_sends_a_record_twice_is_complete() -> None:
    doubled = [*PEOPLE[:40], PEOPLE[39], *PEOPLE[40:], PEOPLE[7]]
    for answer in (lambda query: page(doubled, query, total=False), lambda query: page(doubled, query)):
        pulled = told_of(answer)
        assert pulled.ids == {one["sourcedId"] for one in PEOPLE}
        assert pulled.complete, pulled.problems


def test_two_records_of_one_id_with_different_names_are_both_handed_on() -> None:
    people = [*PEOPLE, PEOPLE[5] | {"givenName": "another"}]
    pulled = told_of(lambda query: page(people, query, total=False))
    assert pulled.complete, pulled.problems
    assert len(pulled.users) == len(people)


@pytest.mark.parametrize("member", ["email", "identifier"])
def test_two_records_of_one_id_that_say_different_things_are_not_the_same(member: str) -> None:
    people = [*PEOPLE, PEOPLE[5] | {member: "another"}]
    assert "duplicates" in told_of(lambda query: page(people, query, total=False)).problems


def test_a_record_that_took_the_place_of_another_is_noticed() -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        records = window(query)
        return JSONResponse({"users": [*records[:-1], records[0]] if len(records) > 1 else records})

    pulled = told_of(answer)
    assert {"list-moved", "duplicates"} <= set(pulled.problems)


@pytest.mark.parametrize("low", [1, 100, 223])
def test_a_total_that_is_too_low_holds_no_sync_and_is_remembered(low: int) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({"users": window(query)}, headers={"X-Total-Count": str(low)})

    def client_of(learned: Mapping[str, Any]) -> Any:
        return odd(lambda path, query: answer(query) if path == "/users" else None, learned=learned)

    with client_of({}) as client:
        pulled = pulled_by(client)
        assert pulled.complete, pulled.problems
        assert len(pulled.ids) == len(PEOPLE)
        assert pulled.proof is not None
        assert pulled.proof.readings == 2
        learned = client.learned
    with client_of({"paging": learned["paging"]}) as client:
        pulled = pulled_by(client)
    assert pulled.complete
    assert pulled.proof is not None
    assert pulled.proof.readings == 1, "what is known of a server costs no second reading"


@pytest.mark.parametrize("stop", [49, 98, 147, 229])
@pytest.mark.parametrize("nothing", [{"users": []}, {"users": None}, []])
def test_an_empty_page_where_the_last_record_should_come_again_is_not_the_end(stop: int, nothing: Any) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse(nothing if int(query.get("offset", 0)) == stop else {"users": window(query)})

    assert "last-record-gone" in told_of(answer).problems


@pytest.mark.parametrize(
    ("status", "failure"), [(400, RequestRefused), (404, NotOffered), (429, Busy), (500, ServerFailed)]
)
def test_a_server_that_stops_answering_fails_the_pull(status: int, failure: type[Exception]) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({}, status) if int(query.get("offset", 0)) > 90 else JSONResponse({"users": window(query)})

    with pytest.raises(failure):
        told_of(answer)


def moving(leave: Callable[[int], list[int]], join: Callable[[int], int] = lambda _: 0, *, total: bool) -> Any:
    """Answers of a list that changes after each page, in every reading. leave: positions that leave after a page that
    ends at this one. join: how many new people come to the end."""
    people = list(PEOPLE)

    def answer(query: Mapping[str, str]) -> Response:
        offset, end = int(query.get("offset", 0)), int(query.get("offset", 0)) + int(query["limit"])
        if not offset:
            people[:] = PEOPLE
        found = page(people, query, total=total)
        for position in leave(end):
            del people[position]
        people.extend(person(f"q-{end}-{number}") for number in range(join(end)))
        return found

    return answer


@pytest.mark.parametrize(("total", "join"), [(False, 0), (False, 1), (True, 1)])
@pytest.mark.parametrize("position", [0, 20, 49])
def test_somebody_who_left_between_two_pages_hides_nobody(*, total: bool, join: int, position: int) -> None:
    """The list moves up by one, so one person is on neither page. With somebody new, even the total is the same."""
    answer = moving(lambda end: [position] if end == 50 else [], lambda end: join if end == 50 else 0, total=total)
    pulled = told_of(answer, parallel=1)
    assert "list-moved" in pulled.problems
    assert pulled.proof is not None
    assert pulled.proof.readings == 3


def test_a_list_that_moves_once_is_read_again_and_complete() -> None:
    people, removed = list(PEOPLE), False

    def answer(query: Mapping[str, str]) -> Response:
        nonlocal removed
        found = page(people, query, total=False)
        if int(query.get("offset", 0)) > 90 and not removed:
            removed = True
            del people[7]
        return found

    pulled = told_of(answer)
    assert pulled.complete, pulled.problems
    assert pulled.ids == {one["sourcedId"] for one in people}


def test_a_list_with_several_records_of_one_id_is_compared_by_whole_records() -> None:
    """After two people with two records each have left, the page begins with the same id, but the other record."""
    roles = [person(f"p-{number // 2:04}", role=("student", "aide")[number % 2]) for number in range(230)]

    def client_of(answer: Callable[[Mapping[str, str]], Any], learned: Mapping[str, Any]) -> Any:
        return odd(lambda path, query: answer(query) if path == "/users" else None, learned=learned, parallel=1)

    with client_of(lambda query: page(roles, query, total=False), {}) as client:
        assert pulled_by(client).complete
        learned = {"several_records": client.learned["several_records"]}
    moved: list[Any] = []

    def answer(query: Mapping[str, str]) -> Response:
        offset = int(query.get("offset", 0))
        return page(roles if offset < 45 else moved, query, total=False)

    moved[:] = roles[1:]
    with client_of(answer, learned) as client:
        assert "list-moved" in pulled_by(client).problems


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize(
    ("shown", "there", "backwards", "complete"),
    [
        (1000, 1000, True, True),
        (1024, 1024, True, True),
        (1000, 1003, True, False),
        (1024, 1030, True, False),
        (1000, 1000, False, False),
        (1001, 1001, False, True),
        (512, 512, False, True),
    ],
)
def test_a_list_that_ends_at_a_round_number_is_proved_from_its_other_end(
    shown: int, there: int, *, backwards: bool, complete: bool, total: bool
) -> None:
    """A search index shows the first part of a list, with a total of that part."""
    people = [person(f"p-{number:04}") for number in range(there)]

    def answer(query: Mapping[str, str]) -> Response:
        turned = query.get("orderBy") == "desc" and backwards
        return page((people[::-1] if turned else people)[:shown], query, total=total)

    pulled = told_of(answer, page_size=500)
    assert pulled.problems == (() if complete else ("round-end",))


@pytest.mark.parametrize("count", [230, 50, 49, 1, 0])
@pytest.mark.parametrize("total", [True, False])
def test_the_proof_costs_no_request(count: int, *, total: bool) -> None:
    """A page for every 49 people after the first 50; without a total, one more that shows the end."""
    asked = 0

    def answer(query: Mapping[str, str]) -> Response:
        nonlocal asked
        asked += "sort" in query
        return page(PEOPLE[:count], query, total=total)

    pulled = told_of(answer)
    assert pulled.complete is (count > 0)
    pages = 1 + max(0, -(-(count - 50) // 49))
    assert asked <= pages + (not total or count == 50)


def test_a_total_that_earlier_pulls_had_is_missed(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        assert pulled_by(client).complete
        learned = client.learned
    served.sis.faults.set("total_header=off", "link=off")
    assert "total-gone" in served.pull(learned=learned).problems


def test_links_that_ended_with_the_list_in_earlier_pulls_are_missed_and_trusted() -> None:
    answer: Callable[[Mapping[str, str]], Any] = linked

    def now(path: str, query: Mapping[str, str]) -> Any:
        return answer(query) if path == "/users" else None

    with odd(now) as client:
        assert pulled_by(client).complete
        paging = client.learned["paging"]
    assert paging["ends"]["/users"] == "link"
    short = PEOPLE[:150]
    for worse, problem in (
        (lambda query: linked(query, short, more=True), "next-page-empty"),
        (lambda query: page(short, query, total=False), "link-gone"),
    ):
        answer = worse
        with odd(now, learned={"paging": paging}) as client:
            assert problem in pulled_by(client).problems
    for good in (linked, lambda query: page(PEOPLE, query)):
        answer = good
        with odd(now, learned={"paging": paging}) as client:
            assert pulled_by(client).complete


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
    pulled = told_of(lambda query: JSONResponse({"users": window(query)} | beside))
    assert pulled.problems == (problem,)
    assert len(pulled.ids) == len(PEOPLE)


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


@pytest.mark.parametrize("status", [202, 206, 207])
def test_an_answer_with_the_status_of_a_part_is_a_part(status: int) -> None:
    def answer(query: Mapping[str, str]) -> Response:
        return JSONResponse({"users": window(query)}, status)

    assert told_of(answer).problems == ("partial-answer",)
