"""Each page begins with the last record of the page before: lists that move, stop or are cut while they are read."""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline.oneroster.errors import Busy, RequestRefused, ServerFailed
from roster_pipeline_tests.oneroster.client_helpers import Start, checked, pulled_by
from roster_pipeline_tests.oneroster.odd_server import PEOPLE, odd, page, person, told_of, users_only, window


@pytest.mark.parametrize("stop", [49, 98, 147, 229])
@pytest.mark.parametrize("nothing", [{"users": []}, {"users": None}, []])
def test_an_empty_page_where_the_last_record_should_come_again_is_not_the_end(stop: int, nothing: Any) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse(nothing if int(query.get("offset", 0)) == stop else {"users": window(query)})

    assert "last-record-gone" in told_of(answer).problems


@pytest.mark.parametrize(
    ("status", "failure"), [(400, RequestRefused), (404, RequestRefused), (429, Busy), (500, ServerFailed)]
)
def test_a_server_that_stops_answering_fails_the_pull(status: int, failure: type[Exception]) -> None:
    def answer(query: Mapping[str, str]) -> JSONResponse:
        return JSONResponse({}, status) if int(query.get("offset", 0)) > 90 else JSONResponse({"users": window(query)})

    with pytest.raises(failure):
        told_of(answer)


def moving(leave: Callable[[int], list[int]], join: Callable[[int], int] = lambda _: 0, *, total: bool) -> Any:
    """Answers of a list that changes after each page, in every reading. leave: after a page that ends here, the
    positions that leave. join: how many new people come at the end."""
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
    assert pulled.proof.readings == (2 if total else 3)


@pytest.mark.parametrize("disorder", ["moves_to_the_end", "shuffled_pages", "turned_pages"])
def test_a_list_without_an_order_is_complete_if_two_readings_meet_the_total(disorder: str) -> None:
    people, chance = list(PEOPLE), random.Random(5)

    def answer(query: Mapping[str, str], *, total: bool) -> Response:
        found = window(query, people)
        if disorder == "moves_to_the_end":
            people.append(people.pop(chance.randrange(50)))
        elif disorder == "shuffled_pages":
            chance.shuffle(found)
        else:
            found.reverse()
        return JSONResponse({"users": found}, headers={"X-Total-Count": str(len(people))} if total else {})

    pulled = told_of(lambda query: answer(query, total=True), parallel=1)
    assert pulled.complete, pulled.problems
    assert pulled.ids == {one["sourcedId"] for one in people}
    assert "settled:list-moved" in pulled.proof.notes
    assert "list-moved" in told_of(lambda query: answer(query, total=False), parallel=1).problems


def test_a_list_without_an_order_that_misses_somebody_is_incomplete() -> None:
    """Each record comes once in the total, but one comes twice and another never, in every reading in the same way."""
    people = [*PEOPLE[:60], PEOPLE[20], *PEOPLE[61:]]

    def answer(query: Mapping[str, str]) -> Response:
        found = window(query, people)[::-1]
        return JSONResponse({"users": found}, headers={"X-Total-Count": str(len(people))})

    assert "list-moved" in told_of(answer, parallel=1).problems


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("join", [0, 1])
@pytest.mark.parametrize("often", [1, 3])
def test_pages_that_cannot_overlap_are_read_twice(*, total: bool, join: int, often: int) -> None:
    """Somebody leaves after the first page of a reading, so the next page begins one later. A total does not show that
    if somebody else came."""
    people, readings = list(PEOPLE), 0

    def answer(query: Mapping[str, str]) -> Response:
        nonlocal readings
        limit = int(query["limit"])
        number = int(query.get("offset", 0)) // limit
        found = page(people, {"limit": str(limit), "offset": str(number * limit)}, total=total)
        if query.get("orderBy") == "asc" and query.get("offset") == "0":
            readings += 1
            if readings <= often:
                del people[7]
                people.extend(person(f"q-{readings}-{new}") for new in range(join))
        return found

    habits = {"paging": {"limit": 50, "aligned": True}}
    pulled = told_of(answer, parallel=1, learned=habits)
    there = {one["sourcedId"] for one in people}
    assert pulled.complete is (often == 1), pulled.problems
    assert not pulled.complete or there == pulled.ids
    assert often == 1 or "pages-apart" in pulled.problems or "total-drifted" in pulled.problems


def test_a_list_that_was_longer_before_may_end_at_a_round_number() -> None:
    """Without a sort, nothing else proves the end; but a server that sent more before does not cut its lists there."""
    people = [person(f"p-{number:04}") for number in range(1003)]
    learned: dict[str, Any] = {}

    def read(count: int) -> Any:
        answers = users_only(lambda query: page(people[:count], query, total=False))
        with odd(answers, page_size=300, learned=dict(learned)) as client:
            pulled = pulled_by(client)
            learned.update(client.learned)
        return pulled

    assert read(1000).problems == ("round-end",)
    assert read(1003).complete
    assert read(1000).complete


@pytest.mark.parametrize("cut", [25, 100, 250, 500])
@pytest.mark.parametrize("before", [0, 700])
def test_a_cut_at_a_common_length_is_noticed_by_whom_the_opposite_order_shows(cut: int, before: int) -> None:
    people = [person(f"p-{number:04}") for number in range(600)]

    def answer(query: Mapping[str, str]) -> Response:
        order = people[::-1] if query.get("orderBy") == "desc" else people
        return page(order[:cut], query)

    learned = {"paging": {"limit": 50, "longest": {"/users": before}}}
    assert told_of(answer, learned=learned).problems == ("round-end",)


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

    with odd(users_only(lambda query: page(roles, query, total=False)), parallel=1) as client:
        assert pulled_by(client).complete
        learned = {"several_records": client.learned["several_records"]}
    moved: list[Any] = []

    def answer(query: Mapping[str, str]) -> Response:
        offset = int(query.get("offset", 0))
        return page(roles if offset < 45 else moved, query, total=False)

    moved[:] = roles[1:]
    assert "list-moved" in told_of(answer, learned=learned, parallel=1).problems


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


def test_a_server_that_takes_the_limit_for_the_last_place_has_not_ended_after_its_first_page() -> None:
    def answer(query: Mapping[str, str]) -> Response:
        return JSONResponse({"users": PEOPLE[int(query.get("offset", 0)) : int(query["limit"])]})

    assert told_of(answer).problems == ("round-end",)


@pytest.mark.parametrize("count", [230, 50, 49, 1, 0])
@pytest.mark.parametrize("total", [True, False])
def test_the_proof_costs_few_requests(count: int, *, total: bool) -> None:
    """A page for every 49 people after the first 50; without a total, or if the page is full, one more that shows the
    end; if the total is the size of the only page, one that shows what it counts; and without a total, or at a length
    at which servers cut lists, one that begins at the other end."""
    asked = 0

    def answer(query: Mapping[str, str]) -> Response:
        nonlocal asked
        asked += "sort" in query
        people = PEOPLE[:count]
        return page(people[::-1] if query.get("orderBy") == "desc" else people, query, total=total)

    pulled = told_of(answer)
    assert pulled.complete is (count > 0)
    pages = 1 + max(0, -(-(count - 50) // 49))
    assert asked <= pages + 2 * (not total) + (count == 50) * 2 * total + (count == 49 and total)


def test_a_test_by_a_person_finds_out_again_whether_pages_can_overlap(sis: Start) -> None:
    served = sis()
    with served.client(learned={"paging": {"limit": 50, "aligned": True}}) as client:
        assert client.habits.aligned
        assert checked(client, "sch-1")["Completeness"].ok
        assert not client.habits.aligned


class Restless:
    """A list in which people come and go between requests. stayed: the people who were there during the whole last
    reading."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.people = [f"p-{number:04}" for number in range(self.chance.choice([30, 120, 230]))]
        self.stayed: set[str] = set()
        self.sorted, self.total = self.chance.random() < 0.7, self.chance.random() < 0.5
        self.most = self.chance.choice([20, 1000])
        self.often = self.chance.choice([0.05, 0.2])
        self._lock = threading.Lock()

    def answer(self, path: str, query: Mapping[str, str]) -> Response | None:
        if path != "/users":
            return None
        with self._lock:
            if query.get("offset") == "0":
                self.stayed = set(self.people)
            limit = str(min(int(query.get("limit", 100)), self.most))
            people = sorted(self.people) if self.sorted else self.people
            found = page([person(who) for who in people], {**query, "limit": limit}, total=self.total)
            if self.chance.random() < self.often:
                self._change(self.chance.choice(["leave", "join", "both"]))
            return found

    def _change(self, what: str) -> None:
        if what != "join":
            self.stayed.discard(self.people.pop(self.chance.randrange(len(self.people))))
        if what != "leave":
            self.people.append(f"p-{self.chance.random():.9f}")


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("seed", range(30))
def test_whoever_was_there_all_the_time_is_in_a_complete_snapshot(seed: int, parallel: int) -> None:
    sis = Restless(seed)
    with odd(sis.answer, parallel=parallel) as client:
        pulled = pulled_by(client)
    assert not pulled.complete or sis.stayed <= pulled.ids
