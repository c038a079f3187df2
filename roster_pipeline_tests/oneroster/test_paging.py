"""Quirks 29 to 40 and 82: lists are read to a proved end."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline.oneroster import Client, DataMoved, PagingBroken, RequestRefused, ServerFailed, Wanted, pull
from roster_pipeline_tests.oneroster.client_helpers import Pulled, Served, Start, pulled_by, quicker
from roster_pipeline_tests.oneroster.odd_server import PEOPLE, Answers, odd, page, person, told_of, users_only, window


def everybody(served: Served) -> int:
    return len(served.sis.district)


def whole(pulled: Pulled, count: int) -> bool:
    return pulled.complete and len(pulled.ids) == count == len(pulled.users)


PAGING: list[tuple[int, str]] = [
    (1000, "page_cap=17"),
    *((1000, f"page_cap=20 link=off total_header={total}") for total in ("off", "text")),
    *((50, f"link_style={s} link_next=off_by_one total_header=off") for s in ("no_brackets", "typographic", "garbage")),
    (50, "shuffle_ties"),
    *((97, f"link_next={link}") for link in ("always", "repeat", "back", "exact_multiple", "missing")),
    *((50, f"endless_pages={again} total_header=off") for again in ("repeat", "fresh")),
    *(
        (50, f"link_target={target} link_drops_query total_header=off")
        for target in ("localhost", "other_host", "http", "relative", "hostless", "port", "comma")
    ),
    (1000, "offset_ignored total_header=off link=off"),
]
"""Page size, and faults of pages, totals and links that leave nobody out."""


@pytest.mark.parametrize(("page_size", "faults"), PAGING)
def test_q29_q31_q32_q37_q38_everybody_comes_once_and_provably(sis: Start, page_size: int, faults: str) -> None:
    served = sis(*faults.split())
    assert whole(served.pull(page_size=page_size), everybody(served))


def test_q30_limit_zero_is_never_sent(sis: Start) -> None:
    served = sis("limit_zero=count")
    assert served.pull().complete
    assert not [entry for entry in served.requests if "limit=0" in entry.query]


def test_q33_an_ignored_offset_is_an_error(sis: Start) -> None:
    for more in ((), ("total_header=off", "link=off")):
        with sis("offset_ignored", *more).client() as client, pytest.raises(PagingBroken):
            pulled_by(client)


@pytest.mark.parametrize("total", ["off", "some"])
def test_q34_without_a_total_an_empty_page_is_the_proof(sis: Start, total: str) -> None:
    served = sis(f"total_header={total}", "link=off", "page_cap=40")
    pulled = served.pull()
    assert whole(pulled, everybody(served))
    assert pulled.proof.total_end is None


def test_q34_a_limit_that_is_refused_is_made_smaller_and_remembered(sis: Start) -> None:
    served = sis("page_cap_error=40")
    with served.client(page_size=1000) as client:
        assert whole(pulled_by(client), everybody(served))
        assert client.learned["paging"]["limit"] <= 40


def test_q35_the_order_is_asked_for(sis: Start) -> None:
    served = sis()
    served.pull()
    assert all("sort=sourcedId&orderBy=asc" in entry.query for entry in served.requests_for("/users")[1:])


def test_q35_shuffled_pages_are_noticed(sis: Start) -> None:
    pulled = sis("shuffle_ties", "sort_ignored").pull(parallel=1)  # each page has another order, by its turn
    assert not pulled.complete
    assert "duplicates" in pulled.problems


@pytest.mark.parametrize(
    "faults", [("record_missing",), ("duplicate_ids",), ("duplicate_ids", "total_header=off", "link=off")]
)
def test_q36_a_record_lost_between_pages_makes_it_incomplete(sis: Start, faults: tuple[str, ...]) -> None:
    pulled = sis(*faults).pull()
    assert not pulled.complete
    assert len(pulled.ids) == len(pulled.users)


def test_q36_a_new_revision_of_the_data_restarts_the_pull(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        client.connect()
        served.sis.faults.set("perm_rev=flip")
        pulled = pulled_by(client)
    assert whole(pulled, everybody(served))
    assert pulled.proof.readings == 2
    assert pulled.proof.revision is not None


def test_q36_a_revision_that_never_holds_still_ends_and_is_incomplete() -> None:
    calls = iter(range(10_000))

    def answer(query: Mapping[str, str]) -> Any:
        found = page(PEOPLE, query)
        found.headers["x-perm-rev"] = str(next(calls))
        return found

    pulled = told_of(answer)
    assert pulled.problems == ("revision-changed",)
    assert pulled.proof.readings == 3
    assert len(pulled.ids) == len(PEOPLE)


def test_q37_pages_that_never_end_are_an_error_within_bounds() -> None:
    def endless(query: Mapping[str, str]) -> Any:
        first = int(query.get("offset", 0))
        return {"users": [person(f"p-{number}") for number in range(first, first + int(query["limit"]))]}

    with pytest.raises(PagingBroken, match="does not end"):
        told_of(endless)


def test_orgs_that_never_end_are_an_error_before_they_fill_the_memory() -> None:
    def orgs(path: str, query: Mapping[str, str]) -> Any:
        first = int(query.get("offset", 0))
        ids = range(first, first + int(query.get("limit", 100)))
        return (
            {"orgs": [{"sourcedId": f"org-{number}", "type": "school"} for number in ids]} if path == "/orgs" else None
        )

    with odd(orgs, limits=quicker(orgs=200)) as client:
        with pytest.raises(PagingBroken, match="does not end"):
            pulled_by(client)
        with pytest.raises(PagingBroken, match="does not end"):
            client.find_org("none")


def test_q39_a_total_that_counts_everybody_is_no_proof_on_filtered_pulls(sis: Start) -> None:
    served = sis("total_header=unfiltered", "forbidden=/teachers")
    pulled = served.pull(Wanted(("sch-1",), roles=frozenset({"student"})))
    assert pulled.complete
    assert {entry["org"] for user in pulled.users for entry in user["roles"]} >= {"sch-1"}


def test_q40_an_offset_that_counts_pages_is_noticed(sis: Start) -> None:
    pulled = sis("offset_unit=page").pull()
    assert "total-not-reached" in pulled.problems


def test_q82_data_that_change_while_they_are_read_are_read_again(sis: Start) -> None:
    served = sis("data_moves=2")
    pulled = served.pull()
    assert whole(pulled, everybody(served))
    assert pulled.proof.readings == 2


def test_q82_the_store_is_told_to_start_over(sis: Start) -> None:
    with sis("data_moves=2").client() as client:
        pulled = pull(client, Wanted())
        with pytest.raises(DataMoved):
            list(pulled)
        assert sum(len(batch.records) for batch in pulled if batch.kind == "user") > 0
        assert pulled.proof.complete


@pytest.mark.parametrize(("total", "problem"), [("drifting", "total-drifted"), ("high", "total-not-reached")])
def test_a_wrong_total_makes_it_incomplete_but_nobody_is_lost(sis: Start, total: str, problem: str) -> None:
    served = sis(f"total_header={total}")
    pulled = served.pull()
    assert len(pulled.ids) == everybody(served)
    assert problem in pulled.problems


def test_a_total_of_the_shown_part_is_not_the_end() -> None:
    """It gives nothing from offset 150 on, and says that 150 are all."""

    def answer(query: Mapping[str, str]) -> Any:
        shown = PEOPLE if int(query.get("offset", 0)) < 150 else []
        found = page(shown, query)
        found.headers["X-Total-Count"] = "150"
        return found

    assert "last-record-gone" in told_of(answer).problems


def test_a_total_that_counts_each_page_is_ignored() -> None:
    def counting(query: Mapping[str, str]) -> Any:
        records = window(query)[:40]
        return JSONResponse({"users": records}, headers={"X-Total-Count": str(len(records))})

    assert whole(told_of(counting), len(PEOPLE))


def with_total(total: Callable[[int, int], int], asked: list[int] | None = None) -> Answers:
    """A server whose total follows from the offset and the size of a page."""

    def answer(query: Mapping[str, str]) -> Any:
        offset, records = int(query.get("offset", 0)), window(query)
        if asked is not None:
            asked.append(offset)
        return JSONResponse({"users": records}, headers={"X-Total-Count": str(total(offset, len(records)))})

    return users_only(answer)


MOVING: dict[str, Callable[[int, int], int]] = {
    "what is left": lambda offset, size: len(PEOPLE) - offset,
    "so far, and one if there is more": lambda offset, size: offset + size + (offset + size < len(PEOPLE)),
}


@pytest.mark.parametrize("total", MOVING.values(), ids=MOVING)
def test_a_total_that_says_where_a_page_is_costs_one_more_reading_once(total: Callable[[int, int], int]) -> None:
    asked: list[int] = []
    with odd(with_total(total, asked)) as client:
        pulled = pulled_by(client)
        assert whole(pulled, len(PEOPLE))
        assert "settled:total-drifted" in pulled.proof.notes
        assert client.learned["paging"]["moving_totals"] == ["/users"]
        asked.clear()
        with Client(replace(client.endpoint, learned=client.learned)) as later:
            assert whole(pulled_by(later), len(PEOPLE))
        assert asked.count(0) == 2, "the list, and its other end"
        client.habits.ends["/users"] = "total"
        assert "total-drifted" in pulled_by(client).problems, "it was the number of people until now"


def test_totals_of_two_copies_of_the_data_are_no_proof() -> None:
    """In turn, and in the same turns in every reading."""
    with odd(with_total(lambda offset, size: len(PEOPLE) - 3 * (offset // 49 % 2))) as client:
        assert "total-drifted" in pulled_by(client).problems


def test_people_who_come_while_a_list_is_read_are_no_total_that_moves() -> None:
    """An import in the order of the list, which the reading overtakes."""
    asked: list[str] = []

    def answer(query: Mapping[str, str]) -> Any:
        asked.append("")
        return page(PEOPLE[: 150 + min(len(asked), 4 * (len(asked) // 4) + 2)], query)

    assert "total-drifted" in told_of(answer, page_size=40).problems


@pytest.mark.parametrize("page_size", [1000, 37])
@pytest.mark.parametrize(
    ("count", "complete"), [(1, True), (37, None), (197, True), (20, False), (75, False), (128, False), (200, False)]
)
def test_a_server_that_does_not_page_at_all_is_believed_unless_its_list_has_the_size_of_a_page(
    page_size: int, count: int, complete: bool | None
) -> None:
    pulled = told_of(lambda query: {"users": PEOPLE[:count]}, page_size=page_size)
    assert len(pulled.ids) == count
    assert pulled.complete is (page_size != count if complete is None else complete)
    assert set(pulled.problems) <= {"paging-ignored"}


@pytest.mark.parametrize("headers", [{}, {"X-Total-Count": str(len(PEOPLE))}])
@pytest.mark.parametrize("page_size", [1000, 60, 50])
def test_a_server_that_divides_the_offset_by_the_limit_is_found_out(page_size: int, headers: dict[str, str]) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        asked, size = int(query.get("limit", 100)), min(int(query.get("limit", 100)), 60)
        number = int(query.get("offset", 0)) // asked
        return JSONResponse({"users": PEOPLE[number * size : (number + 1) * size]}, headers=headers)

    with odd(users_only(answer), page_size=page_size) as client:
        assert whole(pulled_by(client), len(PEOPLE))
        learned = client.learned["paging"]
    assert (learned["limit"], learned["aligned"]) == (min(page_size, 60), True)


@pytest.mark.parametrize("most", [1000, 33])
def test_the_same_server_is_found_out_if_its_pages_have_an_unusual_size(most: int) -> None:
    def answer(query: Mapping[str, str]) -> Any:
        asked = min(int(query.get("limit", 100)), most)
        number = int(query.get("offset", 0)) // asked
        return {"users": [one for one in PEOPLE[number * asked : (number + 1) * asked] if one != PEOPLE[7]]}

    assert whole(told_of(answer), len(PEOPLE) - 1)


def test_a_server_that_refuses_an_offset_inside_a_page_is_read_page_by_page() -> None:
    def answer(query: Mapping[str, str]) -> Any:
        inside = int(query.get("offset", 0)) % int(query["limit"])
        return JSONResponse({}, 400) if inside else page(PEOPLE, query, total=False)

    with odd(users_only(answer)) as client:
        assert whole(pulled_by(client), len(PEOPLE))
        assert client.learned["paging"]["aligned"]


def test_a_list_that_is_refused_after_its_first_part_says_so() -> None:
    def answer(query: Mapping[str, str]) -> Any:
        beyond = int(query.get("offset", 0)) + int(query["limit"]) > 150
        return JSONResponse({}, 400) if beyond else page(PEOPLE, query, total=False)

    with pytest.raises(RequestRefused, match="gave the first 150 records of /users") as refused:
        told_of(answer)
    assert not refused.value.retryable
    with pytest.raises(RequestRefused, match="gave 151 in an earlier sync") as refused:
        told_of(answer, learned={"paging": {"longest": {"/users": 151}}})
    assert refused.value.retryable


@pytest.mark.parametrize("status", [400, 404, 416, 500])
@pytest.mark.parametrize("total", [True, False])
def test_a_server_that_refuses_pages_beyond_its_end_is_read_to_the_end(status: int, *, total: bool) -> None:
    """With a total, exactly the last page is requested. Without one, the opposite order must show the last record."""

    def answer(query: Mapping[str, str]) -> Any:
        people = PEOPLE[::-1] if query.get("orderBy") == "desc" else PEOPLE
        beyond = int(query.get("offset", 0)) + int(query["limit"]) > len(people)
        return JSONResponse({}, status) if beyond else page(people, query, total=total)

    if status == 500 and not total:
        with pytest.raises(ServerFailed):
            told_of(answer)
    else:
        assert whole(told_of(answer), len(PEOPLE))


@pytest.mark.parametrize(
    ("beside", "headers"),
    [
        ({}, {"Link": '<https://sis.example.org/users?page=2>; rel="next"'}),
        ({"nextPageToken": "b"}, {}),
        ({"hasMore": True}, {}),
        ({"links": {"next": "/users?page=2"}}, {}),
        ({"paging": {"next": "b", "prev": None}}, {}),
    ],
)
def test_one_page_for_every_offset_with_a_next_one_is_not_complete(
    beside: dict[str, Any], headers: dict[str, str]
) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({"users": PEOPLE[:37]} | beside, headers=headers)

    assert told_of(answer, page_size=1000).problems == ("paging-ignored",)


def test_a_server_that_moves_the_last_page_back_to_fill_it_has_ended_where_the_opposite_order_begins() -> None:
    def answer(query: Mapping[str, str], *, sorts: bool) -> Response:
        people = PEOPLE[::-1] if sorts and query.get("orderBy") == "desc" else PEOPLE
        offset = min(int(query.get("offset", 0)), len(people) - int(query["limit"]))
        return page(people, {**query, "offset": str(offset)}, total=False)

    assert whole(told_of(lambda query: answer(query, sorts=True)), len(PEOPLE))
    assert told_of(lambda query: answer(query, sorts=False)).problems == ("last-page-repeats",)


def test_a_server_that_answers_404_behind_the_end_has_ended() -> None:
    def answer(query: Mapping[str, str]) -> Any:
        return None if int(query.get("offset", 0)) >= len(PEOPLE) else page(PEOPLE, query, total=False)

    assert whole(told_of(answer), len(PEOPLE))


@pytest.mark.parametrize("behind", ["500", "404", "400", "204", "empty_object", "empty_body"])
def test_q34_an_end_that_is_an_error_is_the_end(sis: Start, behind: str) -> None:
    served = sis(f"past_end={behind}", "total_header=off", "link=off")
    with served.client() as client:
        assert whole(pulled_by(client), everybody(served))
        learned = client.learned
    once = len(served.requests_for("/users"))
    assert whole(served.pull(learned=learned), everybody(served))
    assert len(served.requests_for("/users")) < 2 * once or behind in ("404", "400", "204")


def test_q34_a_record_that_breaks_its_page_is_no_end() -> None:
    def poisoned(query: Mapping[str, str]) -> Response:
        offset, limit = int(query.get("offset", 0)), int(query["limit"])
        return JSONResponse({}, 500) if offset <= 105 < offset + limit else page(PEOPLE, query, total=False)

    with pytest.raises(ServerFailed):
        told_of(poisoned)


@pytest.mark.parametrize("limit", [1000, 50])
def test_a_server_that_drops_records_after_paging_loses_nobody(limit: int) -> None:
    hidden = {"p-0001", "p-0060", "p-0061"}

    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({"users": [one for one in window(query) if one["sourcedId"] not in hidden]})

    pulled = told_of(answer, page_size=limit)
    assert len(pulled.ids) == len(PEOPLE) - len(hidden)
    assert pulled.complete, pulled.problems


@pytest.mark.parametrize(
    "dropped",
    [
        *([1, *range(60, 60 + block)] for block in (60, 100, 120)),
        *([number for number in range(len(PEOPLE)) if number % group >= shown] for group, shown in ((13, 1), (13, 3))),
    ],
    ids=["60", "100", "120", "all but each 13th", "all but 3 of 13: a second reading has smaller pages"],
)
def test_a_server_that_drops_a_whole_page_has_not_ended(dropped: list[int]) -> None:
    hidden = {f"p-{number:04}" for number in dropped}

    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({"users": [one for one in window(query) if one["sourcedId"] not in hidden]})

    assert told_of(answer).problems == ("empty-page-inside",)


@pytest.mark.parametrize(("first", "last"), [(95, 199), (100, 200), (140, 201), (60, 200)])
@pytest.mark.parametrize(("sorts", "problem"), [(True, "round-end"), (False, "empty-page-inside")])
def test_a_list_without_total_that_ends_before_a_hidden_page_is_not_complete(
    first: int, last: int, *, sorts: bool, problem: str
) -> None:
    """The last page of the list is short, as at a real end, and so is the one that the server did not fill."""

    def answer(query: Mapping[str, str]) -> JSONResponse:
        people = PEOPLE[::-1] if sorts and query.get("orderBy") == "desc" else PEOPLE
        hidden = PEOPLE[first:last]
        return JSONResponse({"users": [one for one in window(query, people) if one not in hidden]})

    assert told_of(answer).problems == (problem,)


@pytest.mark.parametrize(("hidden", "left"), [((60, 900), 990), ((60, 700), 990), ((60, 800), 950)])
def test_a_list_that_was_longer_before_is_looked_for_up_to_its_earlier_end(hidden: tuple[int, int], left: int) -> None:
    """All pages near the end of the shown list are in the hidden range. left: records, hidden or not."""
    people = [person(f"p-{number:04}") for number in range(990)]

    def answer(query: Mapping[str, str]) -> Any:
        return {"users": [one for one in window(query, people) if one not in gone]}

    gone: list[Any] = []
    with odd(users_only(answer)) as client:
        assert pulled_by(client).complete
        gone = people[slice(*hidden)] + people[left:]
        assert pulled_by(client).problems == ("empty-page-inside",)
        del people[left:]
        people[:] = [one for one in people if one not in gone]
        assert pulled_by(client).complete


def test_a_page_that_was_announced_is_looked_for_although_the_list_seems_to_end() -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        more = int(query.get("offset", 0)) + int(query["limit"]) < len(PEOPLE)
        shown = [one for one in window(query) if one in PEOPLE[:3] or one in PEOPLE[100:]]
        return JSONResponse(
            {"users": shown}, headers={"Link": '<https://x/users?offset=50>; rel="next"'} if more else {}
        )

    assert told_of(answer).problems == ("empty-page-inside",)


def test_a_reading_is_not_complete_if_one_that_broke_off_was_longer() -> None:
    asked: list[Any] = []

    def answer(query: Mapping[str, str]) -> Any:
        asked.append(query)
        shown = [one for place, one in enumerate(PEOPLE) if place % 13 < 3 and one in window(query)]
        return {"users": shown + shown[:1] if len(asked) < 4 else shown}

    pulled = told_of(answer)
    assert "read-again:list-moved" in pulled.proof.notes
    assert "empty-page-inside" in pulled.problems


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_q35_a_sort_that_is_refused_in_any_way_is_left_out_and_remembered(sis: Start, status: int) -> None:
    served = sis(f"sort_refused={status}")
    with served.client() as client:
        assert whole(pulled_by(client), everybody(served))
        assert client.learned["paging"]["sort"] is False


def test_pages_of_changing_size_leave_nobody_out() -> None:
    def answer(query: Mapping[str, str]) -> Any:
        records = window(query)[: 50 if int(query.get("offset", 0)) % 3 else 31]
        return JSONResponse({"users": records}, headers={"X-Total-Count": str(len(PEOPLE))})

    assert whole(told_of(answer), len(PEOPLE))


def test_pages_are_fetched_at_the_same_time_but_never_more_than_allowed(sis: Start) -> None:
    served = sis("latency=30")
    served.pull(page_size=20, parallel=3)
    assert 2 <= served.sis.log.most_at_once <= 3
