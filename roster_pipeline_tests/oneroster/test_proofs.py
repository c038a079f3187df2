"""Proofs that a list has ended: doubts that a second reading settles, and missing proofs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline.oneroster import Client
from roster_pipeline.oneroster.errors import PagingBroken
from roster_pipeline_tests.oneroster.client_helpers import Start, pulled_by
from roster_pipeline_tests.oneroster.odd_server import PEOPLE, odd, page, person, told_of, users_only, window


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
        assert pulled.proof.readings == 2
        assert "settled:duplicates" in pulled.proof.notes


def test_a_server_that_joins_and_so_sends_a_record_twice_is_complete() -> None:
    doubled = [*PEOPLE[:40], PEOPLE[39], *PEOPLE[40:], PEOPLE[7]]
    for answer in (lambda query: page(doubled, query, total=False), lambda query: page(doubled, query)):
        pulled = told_of(answer)
        assert pulled.ids == {one["sourcedId"] for one in PEOPLE}
        assert pulled.complete, pulled.problems


@pytest.mark.parametrize("again", [1, 2, 60])
@pytest.mark.parametrize("total", [True, False])
def test_a_list_that_ends_with_records_that_came_before_is_complete(again: int, *, total: bool) -> None:
    people = [*PEOPLE[:99], *PEOPLE[:again]]
    pulled = told_of(lambda query: page(people, query, total=total))
    assert pulled.ids == {one["sourcedId"] for one in PEOPLE[:99]}
    assert pulled.complete is (total or again < 60), pulled.problems


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

    with odd(users_only(answer)) as client:
        pulled = pulled_by(client)
        assert pulled.complete, pulled.problems
        assert len(pulled.ids) == len(PEOPLE)
        assert pulled.proof.readings == 2
        learned = client.learned
    pulled = told_of(answer, learned={"paging": learned["paging"]})
    assert pulled.complete
    assert pulled.proof.readings == 1, "what is known of a server costs no second reading"


def test_a_total_that_earlier_pulls_had_is_missed(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        assert pulled_by(client).complete
        learned = client.learned
    served.sis.faults.set("total_header=off", "link=off")
    assert "total-gone" in served.pull(learned=learned).problems


@pytest.mark.parametrize("total", ["none", "what is left"])
def test_an_empty_list_with_a_total_of_zero_says_nothing_about_later_totals(total: str) -> None:
    people = PEOPLE[:]

    def answer(query: Mapping[str, str]) -> Any:
        left = max(0, len(people) - int(query.get("offset", 0)))
        headers = {"X-Total-Count": str(left)} if total == "what is left" or not people else {}
        return JSONResponse({"users": window(query, people)}, headers=headers)

    with odd(users_only(answer)) as client:
        assert pulled_by(client).complete
        people.clear()
        assert pulled_by(client).problems == ("no-people",)
        people.extend(PEOPLE)
        assert pulled_by(client).problems == ()


def test_links_that_ended_with_the_list_in_earlier_pulls_are_missed_and_trusted() -> None:
    with odd(users_only(linked)) as client:
        assert pulled_by(client).complete
        paging = client.learned["paging"]
    assert paging["ends"]["/users"] == "link"
    short = PEOPLE[:150]
    for worse, problem in (
        (lambda query: linked(query, short, more=True), "next-page-empty"),
        (lambda query: page(short, query, total=False), "link-gone"),
    ):
        assert problem in told_of(worse, learned={"paging": paging}).problems
    for good in (linked, lambda query: page(PEOPLE, query)):
        assert told_of(good, learned={"paging": paging}).complete


@pytest.mark.parametrize(
    ("beside", "problem"),
    [
        ({"warnings": ["only a part was read"]}, "warning-beside-data"),
        ({"statusInfoSet": [{"imsx_codeMajor": "success", "imsx_severity": "warning"}]}, "warning-beside-data"),
        ({"warnings": [{"codeMinor": "invalid_sort_field"}, {"description": "cut"}]}, "warning-beside-data"),
        ({"partial": True}, "partial-answer"),
        ({"complete": False}, "partial-answer"),
        ({"imsx_codeMajor": "processing"}, "partial-answer"),
        ({"success": False}, "partial-answer"),
        ({"success": "False"}, "partial-answer"),
        ({"truncated": "true"}, "partial-answer"),
        ({"status": "error"}, "partial-answer"),
        ({"teachers": [PEOPLE[0]]}, "partial-answer"),
        ({"errors": [{"message": "a shard did not answer"}]}, "warning-beside-data"),
    ],
)
def test_a_body_that_speaks_against_itself_is_a_problem(beside: dict[str, Any], problem: str) -> None:
    pulled = told_of(lambda query: JSONResponse({"users": window(query)} | beside))
    assert pulled.problems == (problem,)
    assert len(pulled.ids) == len(PEOPLE)


def test_a_list_that_comes_twice_in_one_body_is_a_problem() -> None:
    def answer(query: Mapping[str, str]) -> Response:
        lists = [f'"users": {json.dumps(some)}' for some in (window(query)[:1], window(query))]
        return Response(f"{{{', '.join(lists)}}}", media_type="application/json")

    assert told_of(answer).problems == ("partial-answer",)


@pytest.mark.parametrize(
    "beside",
    [
        {"warnings": [{"codeMajor": "success", "severity": "warning", "codeMinor": "invalid_sort_field"}]},
        {"warnings": []},
        {"partial": False, "complete": True, "success": True, "status": "ok"},
        {"errors": [], "hasMore": True},
        {"success": ["false"], "students": [], "classes": [{"sourcedId": "c-1"}]},
        {"meta": {"page": 1}},
        {"meta": {"users": "users"}},
    ],
)
def test_what_says_nothing_about_whether_everybody_came_is_none(beside: dict[str, Any]) -> None:
    assert told_of(lambda query: JSONResponse({"users": window(query)} | beside)).complete


def test_a_list_under_two_names_is_one_list() -> None:
    assert told_of(lambda query: JSONResponse({"students": window(query), "users": window(query)})).complete


@pytest.mark.parametrize(
    ("status", "problem"), [(202, "partial-answer"), (206, "partial-status"), (207, "partial-answer")]
)
def test_an_answer_with_the_status_of_a_part_is_a_part(status: int, problem: str) -> None:
    def answer(query: Mapping[str, str]) -> Response:
        return JSONResponse({"users": window(query)}, status)

    assert told_of(answer).problems == (problem,)


@pytest.mark.parametrize(("age", "problems"), [("86401", ("another-day",)), ("3600", ()), ("-9", ()), ("9" * 400, ())])
def test_a_page_that_was_in_a_cache_for_a_day_is_a_problem(age: str, problems: tuple[str, ...]) -> None:
    pulled = told_of(lambda query: JSONResponse({"users": window(query)}, headers={"Age": age}))
    assert pulled.problems == problems


@pytest.mark.parametrize("days", [-2, 2])
def test_a_clock_that_is_days_off_proves_nobodys_absence(sis: Start, days: int) -> None:
    served = sis()
    wrong = replace(served.time.clock, now=lambda: datetime.now(UTC) + timedelta(days=days))
    with Client(served.endpoint(), wrong) as client:
        assert pulled_by(client).problems == ("another-day",)


@pytest.mark.parametrize("header", ["X-Total-Count: 230", "Content-Range: users 0-49/230", "Content-Range: 0-49/230"])
@pytest.mark.parametrize("missing", [0, 1])
def test_pages_with_the_status_of_a_part_are_complete_if_two_readings_meet_the_total(header: str, missing: int) -> None:
    name, value = header.split(": ")
    people = PEOPLE[missing:]
    pulled = told_of(lambda query: JSONResponse({"users": window(query, people)}, 206, headers={name: value}))
    assert pulled.complete is not bool(missing), pulled.problems
    assert not pulled.complete or "settled:partial-status" in pulled.proof.notes


def by_cursor(
    query: Mapping[str, str], people: list[Any] = PEOPLE, *, size: int = 40, cut: int = 0, address: str = "http://x/y?"
) -> Response:
    """A page of a server that ignores offset and limit. cut: the place after which it announces no further page."""
    begin = int(query.get("after", 0))
    end = min(begin + size, len(people))
    more = end < len(people) and end != cut
    links = {"Link": f'<{address}after={end}>; rel="next"'} if more else {}
    return JSONResponse({"users": people[begin:end]}, headers=links)


@pytest.mark.parametrize("address", ["http://localhost:443/users?", "?", "/users?a=1&"])
def test_a_server_that_only_follows_its_own_links_is_read_twice_and_remembered(address: str) -> None:
    learned: dict[str, Any] = {}
    for _ in range(2):
        with odd(users_only(lambda query: by_cursor(query, address=address)), learned=dict(learned)) as client:
            pulled = pulled_by(client)
            learned.update(client.learned)
        assert pulled.complete, pulled.problems
        assert pulled.ids == {one["sourcedId"] for one in PEOPLE}
        assert "settled:pages-apart" in pulled.proof.notes
    assert learned["paging"]["linked"]


@pytest.mark.parametrize(
    ("count", "cut", "problem"), [(230, 120, "round-end"), (200, 0, "round-end"), (41, 40, "paging-ignored")]
)
def test_links_that_end_after_a_full_page_prove_no_end(count: int, cut: int, problem: str) -> None:
    assert problem in told_of(lambda query: by_cursor(query, PEOPLE[:count], cut=cut)).problems


def test_links_with_an_offset_or_in_circles_are_not_believed() -> None:
    assert "paging-ignored" in told_of(lambda query: by_cursor(query, address="?offset=40&")).problems
    circle = {"Link": '<?after=40>; rel="next"'}

    def answer(query: Mapping[str, str]) -> Response:
        found = by_cursor(query)
        found.headers.update(circle)
        return found

    assert "paging-ignored" in told_of(answer).problems


def of_page(query: Mapping[str, str], cap: int, *, offset: bool = True, total: int | None = None) -> Response:
    """A page of at most `cap` people of a server that does not sort. Its total, if none is given, is that of the page.
    offset: it is honoured."""
    begin, size = int(query.get("offset", 0)) * offset, min(cap, int(query.get("limit", 100)))
    records = PEOPLE[begin : begin + size]
    return JSONResponse({"users": records}, headers={"X-Total-Count": str(total or len(records))})


@pytest.mark.parametrize("cap", [7, 25, 33, 48, 64])
def test_a_total_of_the_first_page_ends_no_list(cap: int) -> None:
    pulled = told_of(lambda query: of_page(query, cap), page_size=1000)
    assert pulled.complete
    assert len(pulled.ids) == len(PEOPLE)


@pytest.mark.parametrize("cap", [25, 50, 100])
def test_a_total_of_the_page_does_not_hide_that_the_offset_is_ignored(cap: int) -> None:
    with pytest.raises(PagingBroken, match="ignores the offset"):
        told_of(lambda query: of_page(query, cap, offset=False), page_size=1000)


@pytest.mark.parametrize("limits", [True, False])
@pytest.mark.parametrize("count", [25, 50, 100, 230])
def test_a_whole_list_is_complete_although_the_offset_is_ignored_if_its_total_stays(
    count: int, *, limits: bool
) -> None:
    """limits: the server honours the limit."""

    def answer(query: Mapping[str, str]) -> Response:
        people = PEOPLE[: min(count, int(query["limit"]) if limits else count)]
        return JSONResponse({"users": people}, headers={"X-Total-Count": str(count)})

    pulled = told_of(answer, page_size=1000)
    assert (pulled.complete, len(pulled.ids)) == (True, count), pulled.problems


@pytest.mark.parametrize(("cap", "complete"), [(33, False), (7, False), (229, True)])
def test_one_page_for_every_offset_is_everybody_if_the_opposite_order_shows_nobody_else(
    cap: int, *, complete: bool
) -> None:
    everybody = PEOPLE[:229]

    def answer(query: Mapping[str, str]) -> Response:
        people = everybody[::-1] if query.get("orderBy") == "desc" else everybody
        return JSONResponse({"users": people[: min(cap, int(query.get("limit", 100)))]})

    assert told_of(answer, page_size=1000).problems == (() if complete else ("paging-ignored",))


def test_what_a_total_counts_is_asked_once_and_again_if_the_list_is_shorter() -> None:
    learned: dict[str, Any] = {}
    asked: list[Mapping[str, str]] = []
    people: list[Any] = []

    def answer(query: Mapping[str, str]) -> Response:
        asked.extend([query] if query.get("limit") == "1" and "sort" in query else [])
        return page(people, query)

    for count, times in ((33, 1), (34, 0), (33, 1)):
        people[:] = PEOPLE[:count]
        asked.clear()
        with odd(users_only(answer), learned=dict(learned)) as client:
            assert pulled_by(client).complete
            learned.update(client.learned)
        assert len(asked) == times


def numbered(query: Mapping[str, str], link: str, *, sorts: bool, people: list[Any]) -> Response:
    """A page of a server that counts pages. link: parameters of its links. sorts: only where the request asks for it,
    else everybody comes in another order."""
    listed = people if sorts and "sort" in query else people[::-1]
    size, number = int(query.get("limit", query.get("Limit", 100))), int(query.get("page", 1))
    begin, end = (number - 1) * size, number * size
    links = {"Link": f'<https://x/y?{link}page={number + 1}>; rel="next"'} if end < len(people) else {}
    return JSONResponse({"users": listed[begin:end]}, headers=links)


@pytest.mark.parametrize("link", ["", "limit=100&", "Limit=100&", "orderBy=desc&", "limit=50&sort=name&"])
@pytest.mark.parametrize("sorts", [True, False])
def test_announced_pages_have_the_size_and_the_order_of_the_first_page(link: str, *, sorts: bool) -> None:
    people = [person(f"n-{number:04}") for number in range(740)]
    pulled = told_of(lambda query: numbered(query, link, sorts=sorts, people=people))
    assert (pulled.complete, len(pulled.ids)) == (True, len(people)), pulled.problems


@pytest.mark.parametrize("beside", ["taken", "refused", "ends the cursor"])
def test_a_cursor_is_followed_by_servers_that_take_nothing_beside_it(beside: str) -> None:
    def answer(query: Mapping[str, str]) -> Response:
        more = set(query) - {"cursor"} if beside != "taken" and "cursor" in query else set()
        if more and beside == "refused":
            return JSONResponse({"error": "nothing may stand beside a cursor"}, status_code=400)
        begin = 0 if more else int(query.get("cursor", "c0")[1:])
        links = {"Link": f'<https://x/y?cursor=c{begin + 60}>; rel="next"'} if begin + 60 < len(PEOPLE) else {}
        return JSONResponse({"users": PEOPLE[begin : begin + 60]}, headers=links)

    with odd(users_only(answer)) as client:
        assert pulled_by(client).complete
        learned = client.learned["paging"]
    for paging in (learned, {name: value for name, value in learned.items() if name != "as_announced"}):
        pulled = told_of(answer, learned={"paging": paging})
        assert (pulled.complete, len(pulled.ids)) == (True, len(PEOPLE)), pulled.problems


def test_links_to_pages_that_change_between_two_readings_are_incomplete() -> None:
    people = list(PEOPLE)

    def answer(query: Mapping[str, str]) -> Response:
        found = by_cursor(query, people)
        if query.get("after") == "40":
            del people[3]
        return found

    assert "pages-apart" in told_of(answer).problems
