"""The second witness counts only if the SIS answers for somebody present before and after all others."""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from starlette.responses import JSONResponse, Response

from roster_pipeline.oneroster.witness import Answer, ask_witness
from roster_pipeline_tests.oneroster.odd_server import odd

TODAY = date(2026, 3, 2)
HERE = Answer(
    "found",
    {
        "status": "active",
        "roles": [{"role": "student", "org": "s1", "beginDate": None, "endDate": None}],
    },
)
MISSING = Answer("missing", None)


class Server:
    """Answers for present people, but after this many requests it answers 404, or fails, for all."""

    def __init__(self, lasts: int, then: Answer) -> None:
        self.lasts, self.then = lasts, then
        self.asked: list[str] = []

    def answers(self, ids: Sequence[str]) -> dict[str, Answer]:
        """One after the other."""
        pulled = {}
        for one in ids:
            self.asked.append(one)
            usual = HERE if one.startswith("present") else MISSING
            pulled[one] = usual if len(self.asked) <= self.lasts else self.then
        return pulled


@pytest.mark.parametrize("then", [MISSING, Answer("unanswered", None, "ServerFailed")])
@pytest.mark.parametrize("lasts", [1, 2, 3])
def test_answers_before_the_server_stopped_answering_do_not_count(lasts: int, then: Answer) -> None:
    server = Server(lasts, then)
    report = ask_witness(server.answers, ["gone1", "gone2"], "s1", ["present1"], TODAY, list_orgs=list)
    assert report.answers == {"gone1": "unanswered", "gone2": "unanswered"}
    assert report.serves_single_users
    assert not report.proved


def test_somebody_present_who_is_answered_before_and_after_makes_every_answer_count() -> None:
    server = Server(99, MISSING)
    report = ask_witness(server.answers, ["gone1", "present2"], "s1", ["present1"], TODAY, list_orgs=list)
    assert report.answers == {"gone1": "gone", "present2": "here"}
    assert report.proved
    assert server.asked == ["present1", "gone1", "present2", "present1"]


@pytest.mark.parametrize(
    ("gone", "present", "verdict"),
    [
        ("b/1", [], "unclear"),
        ("b/1", ["b/2"], "gone"),
        ("b/1", ["b 2", "b%2"], "unclear"),
        ("b/1", ["lost/2"], "unclear"),
        ("b/1 %", ["b/2", "b 2", "b%2"], "gone"),
        ("b/1 %", ["b/2", "b%2"], "unclear"),
        ("ä", ["ö"], "gone"),
        ("ä", ["a"], "unclear"),
        ("b-._~1", [], "gone"),
    ],
)
def test_not_found_counts_only_for_ids_that_the_server_reads_in_an_address(
    gone: str, present: list[str], verdict: str
) -> None:
    """Apache answers 404 for every address with %2F, and IIS for every one with %25."""

    def answers(ids: Sequence[str]) -> dict[str, Answer]:
        return {one: MISSING if one == gone or one.startswith("lost") else HERE for one in ids}

    report = ask_witness(answers, [gone], "s1", ["a", *present], TODAY, list_orgs=list)
    assert report.answers == {gone: verdict}


def found(org: str | None, begin: str | None = None, end: str | None = None, **members: object) -> Answer:
    role = {"role": "student", "org": org, "beginDate": begin, "endDate": end}
    return Answer("found", {"status": "active", "roles": [role], "givenName": "Mira", "familyName": None, **members})


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (found("s1"), "here"),
        (found("s9"), "unclear"),
        (found("d1"), "unclear"),
        (found("s1", status="on leave"), "unclear"),
        (Answer("unanswered", None, "another-record"), "unclear"),
        (Answer("unanswered", None, "padded-ids"), "unclear"),
        (Answer("unanswered", None, "ServerFailed"), "unanswered"),
        (Answer("unanswered", None, "Forbidden"), "unanswered"),
        (MISSING, "gone"),
        (found("s2"), "elsewhere"),
        (found(None), "elsewhere"),
        (found(None, givenName=None), "unclear"),
        (found(None, givenName=None, status="inactive"), "gone"),
    ],
)
def test_an_unclear_answer_differs_from_no_answer(answer: Answer, verdict: str) -> None:
    nothing = {"parent": None, "identifier": None, "name": None, "status": "active"}
    types = {"s1": "school", "s2": "school", "d1": "district"}
    orgs = [{**nothing, "sourcedId": name, "type": of} for name, of in types.items()]

    def answers(ids: Sequence[str]) -> dict[str, Answer]:
        return {one: HERE if one == "present" else answer for one in ids}

    report = ask_witness(answers, ["a"], "s1", ["present"], TODAY, list_orgs=lambda: orgs)
    assert report.answers == {"a": verdict}


@pytest.mark.parametrize(
    ("dates", "zone", "verdict"),
    [
        ({"end": "2026-03-01T23:00Z"}, "Europe/Berlin", "here"),
        ({"end": "2026-03-01T23:00Z"}, "UTC", "elsewhere"),
        ({"end": "2026-03-02T04:30Z"}, "America/New_York", "elsewhere"),
        ({"begin": "2026-03-02T08:00Z"}, "UTC", "here"),
        ({"begin": "2026-03-02T23:30Z"}, "Europe/Berlin", "elsewhere"),
        ({"begin": "2026-03-03T04:30Z"}, "America/New_York", "here"),
    ],
)
def test_an_answer_says_on_which_day_of_the_school_a_role_begins_or_ends(
    dates: dict[str, str], zone: str, verdict: str
) -> None:
    def answers(ids: Sequence[str]) -> dict[str, Answer]:
        return {one: HERE if one == "present" else found("s1", **dates) for one in ids}

    report = ask_witness(answers, ["a"], "s1", ["present"], TODAY, list_orgs=list, zone=ZoneInfo(zone))
    assert report.answers == {"a": verdict}


UNKNOWN = {"codeMajor": "failure", "severity": "error", "codeMinor": "unknownobject"}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        *((Response(status_code=status), "missing") for status in (204, 404, 410)),
        (JSONResponse({"user": None}), "missing"),
        (JSONResponse({"users": []}), "missing"),
        *((JSONResponse(UNKNOWN, status_code=status), "missing") for status in (400, 403, 500)),
        (JSONResponse(UNKNOWN, status_code=503), "unanswered"),
        (JSONResponse(UNKNOWN | {"codeMinor": "forbidden"}, status_code=403), "unanswered"),
        *((Response(status_code=status), "unanswered") for status in (400, 403, 500)),
        *((response, "unanswered") for response in (JSONResponse({}), Response("<html>"))),
    ],
)
def test_only_clear_answers_say_that_nobody_has_an_id(answer: Response, state: str) -> None:
    with odd(lambda path, query: answer if path.startswith("/users/") else None) as client:
        assert client.user_answers(["gone"])["gone"].state == state


@pytest.mark.parametrize(
    ("status", "chosen", "for_nobody", "state"),
    [
        (403, 403, 403, "missing"),
        (400, 400, 400, "missing"),
        (403, 404, 403, "unanswered"),
        (403, 400, 403, "unanswered"),
        (403, 403, 404, "unanswered"),
        (403, 403, 200, "unanswered"),
        (503, 403, 403, "unanswered"),
    ],
)
def test_another_status_for_unknown_users_counts_if_the_connection_says_so_and_nobody_gets_it_too(
    status: int, chosen: int, for_nobody: int, state: str
) -> None:
    def answer(path: str, _: object) -> Response | None:
        if path == "/users/gone":
            return Response(status_code=status)
        return JSONResponse({"user": None}, status_code=for_nobody) if path.startswith("/users/") else None

    with odd(answer, unknown_user_status=chosen) as client:
        assert client.user_answers(["gone"])["gone"].state == state


NONE: dict[str, tuple[Response, str]] = {
    "not found": (JSONResponse({}, 404), "missing"),
    "from a cache": (JSONResponse({}, 404, {"Age": "100000"}), "unanswered"),
    "nothing, from a cache": (JSONResponse({"user": None}, headers={"Age": "100000"}), "unanswered"),
    "nothing yet": (JSONResponse({"user": None}, 202), "unanswered"),
    "nothing, with a warning": (JSONResponse({"user": None, "warnings": ["timeout"]}), "unanswered"),
    "nothing, without success": (JSONResponse({"users": [], "success": False}), "unanswered"),
}


@pytest.mark.parametrize(("answer", "state"), NONE.values(), ids=NONE)
def test_a_not_found_that_may_have_another_reason_is_no_answer(answer: Response, state: str) -> None:
    with odd(lambda path, _: answer if path == "/users/gone" else None) as client:
        assert client.user_answers(["gone"])["gone"].state == state


@pytest.mark.parametrize("nothing", [{"user": None}, {"user": {}}, {"users": []}, None])
@pytest.mark.parametrize(
    ("status", "for_nobody", "state"),
    [(200, None, "missing"), (404, "{}", "unanswered"), (404, "<html>", "unanswered"), (400, "{}", "missing")],
)
def test_an_answer_without_a_user_counts_unless_a_made_up_id_is_not_found(
    nothing: dict[str, object] | None, status: int, for_nobody: str | None, state: str
) -> None:
    """A server that hides a person may answer with nothing, and with 404 for an id that nobody has."""

    def answer(path: str, _: object) -> Response | None:
        if path.startswith("/users/") and for_nobody is not None and path != "/users/gone":
            return Response(for_nobody, status)
        without = Response(status_code=204) if nothing is None else JSONResponse(nothing)
        return without if path.startswith("/users/") else None

    with odd(answer) as client:
        assert client.user_answers(["gone"])["gone"].state == state


@pytest.mark.parametrize(("for_nobody", "state"), [("<html>", "missing"), ("{}", "unanswered")])
def test_a_web_page_with_404_counts_only_if_a_made_up_id_gets_one_too(for_nobody: str, state: str) -> None:
    def answer(path: str, _: object) -> Response | None:
        if path == "/users/gone":
            return Response("<html>", 404)
        return Response(for_nobody, 404) if path.startswith("/users/") else None

    with odd(answer) as client:
        assert client.user_answers(["gone"])["gone"].state == state
