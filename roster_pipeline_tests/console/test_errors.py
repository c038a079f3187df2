"""Every error becomes a page with a message and a remedy. Names and traces are neither there nor in the log."""

import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import text
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from roster_pipeline.console import app as application
from roster_pipeline.console import config, middleware
from roster_pipeline.console.app import error_text
from roster_pipeline.console.config import Config
from roster_pipeline.directory import accounts
from roster_pipeline.directory.accounts import LastOperator, Place
from roster_pipeline.directory.approvals import PlanChanged
from roster_pipeline.directory.database import Database, DatabaseBusy, DatabaseUnreachable, RowRefused
from roster_pipeline.directory.tenant_changes import KeyTaken
from roster_pipeline.directory.tenants import UnknownKey
from roster_pipeline.services import access_changes
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline_tests.console.conftest import OPERATOR, OWNER, Browser, Console, Running
from roster_pipeline_tests.directory.builders import one

PUPIL = "Poisoned Pupil"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


def breaks(_: Request) -> Response:
    raise ValueError(PUPIL)


def breaks_in_the_database(request: Request) -> Response:
    with request.app.state.database.begin() as opened:
        opened.execute(text("select cast(:name as integer)"), {"name": PUPIL})
    raise AssertionError


def breaks_off(_: Request) -> Response:
    def parts() -> Iterator[str]:
        yield "begun"
        raise ValueError(PUPIL)

    return StreamingResponse(parts())


def test_a_client_that_never_ends_its_headers_is_cut_off(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "HEADER_SECONDS", 0.3)
    begun, rest = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\r\n"
    for whole in (b"", begun + rest):
        with socket.create_connection(("127.0.0.1", urlsplit(console.url).port or 0), timeout=5) as slow:
            if whole:
                slow.sendall(whole)
                assert b"200 OK" in slow.recv(4096), "a request on time is answered"
            slow.sendall(begun)
            parts = list(iter(lambda: slow.recv(4096), b""))
            assert b"HTTP/1.1" not in b"".join(parts), "cut off without an answer"


@pytest.fixture
def broken_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that fail, as pages of later days may."""
    routes = application.all_routes()
    more = [Route(f"/broken/{page.__name__}", page) for page in (breaks, breaks_in_the_database, breaks_off)]
    monkeypatch.setattr(application, "all_routes", lambda: [*routes, *more])


@pytest.mark.parametrize(("page", "place"), [("breaks", "unexpected ValueError"), ("breaks_in_the_database", "row of")])
def test_the_unforeseen_names_a_type_and_a_place_and_nobody(
    broken_pages: None, owner: Browser, caplog: pytest.LogCaptureFixture, page: str, place: str
) -> None:
    answer = owner.get(f"/broken/{page}")
    assert answer.status_code == 500
    assert "<h1>" in answer.text
    assert answer.headers["content-security-policy"]
    assert place in caplog.text
    for shown in (answer.text, caplog.text):
        assert PUPIL not in shown
        assert "Traceback" not in shown


def test_an_answer_that_breaks_off_leaves_no_name_in_the_log(
    broken_pages: None, owner: Browser, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(httpx.RemoteProtocolError):
        owner.get("/broken/breaks_off")
    printed = capfd.readouterr()
    assert PUPIL not in caplog.text + printed.out + printed.err
    assert "unexpected ValueError" in caplog.text


@pytest.mark.parametrize("waits", [True, False])
def test_a_form_that_never_ends_is_refused_and_one_that_breaks_off_leaves_no_line_in_the_log(
    console: Console, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    monkeypatch.setattr(middleware, "FORM_SECONDS", 0.2 if waits else 30)
    host, _, port = console.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nemail=")
        if waits:
            assert client.recv(99).startswith(b"HTTP/1.1 408 ")
    with console.browser() as browser:
        assert browser.get("/health").status_code == 200
    assert not caplog.records


def test_without_a_database_there_is_a_page_all_the_same(database: Database, environment: object) -> None:
    with Running(database, Config(NOWHERE)) as console, console.browser() as browser:
        assert browser.get("/health").status_code == 503
        assert browser.get("/sign-in").status_code == 200
        browser.cookies.set(console.config.session_cookie, "anything", domain="127.0.0.1")
        answer = browser.get("/")
        assert answer.status_code == 503
        assert "cannot be reached" in answer.text
        assert "Traceback" not in answer.text


def test_health_says_ready_and_nothing_else(visitor: Browser) -> None:
    answer = visitor.get("/health")
    assert (answer.status_code, answer.text) == (200, "ready\n")


def wrong_settings() -> ValidationError:
    try:
        SchoolSettings(school_id="x", report_to=[PUPIL])
    except ValidationError as problem:
        return problem
    raise AssertionError


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (UnknownKey("school", "oak"), 404),
        (KeyTaken("school", "oak"), 409),
        (PlanChanged(7), 409),
        (DatabaseBusy("Busy."), 503),
        (DatabaseUnreachable("Away."), 503),
        (RowRefused("person", "rule", "23505"), 500),
        (LastOperator(), 400),
        (wrong_settings(), 400),
        (HTTPException(405), 405),
        (ValueError(PUPIL), 500),
    ],
)
def test_each_kind_of_problem_has_its_status(problem: Exception, status: int) -> None:
    found, message, remedy = error_text(problem)
    assert found == status
    assert PUPIL not in message + remedy


def test_a_mistyped_key_is_answered_with_similar_schools_of_the_viewer(owner: Browser) -> None:
    for path in ("/schools/lincon", "/schools/LINCOLN/people"):
        page = owner.get(path)
        assert page.status_code == 404
        assert 'Do you mean <a href="/schools/lincoln">Lincoln</a>?' in page.text
    for path in ("/schools/foreing", "/schools/" + "lincoln" * 100, "/schools/xyzzy"):
        assert "Do you mean" not in owner.get(path).text


@pytest.mark.usefixtures("people_let_in")
def test_one_link_used_twice_at_the_same_moment_signs_in_once(console: Console, database: Database) -> None:
    token = database.call(access_changes.link_for, OWNER, who="test")

    def use(_: int) -> int:
        with console.browser() as browser:
            return browser.send_form("/sign-in/link", {"token": token}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(use, range(6))) == [303, *[403] * 5]
    assert one(database, "select count(*) from console_session") == 1


@pytest.mark.usefixtures("people_let_in")
def test_two_operators_cannot_remove_each_other_at_the_same_moment(database: Database) -> None:
    database.call(accounts.grant, "second@example.org", Place(), by="test")

    def remove(email: str) -> bool:
        try:
            database.call(accounts.revoke, email, Place())
        except LastOperator:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, [OPERATOR, "second@example.org"])) == [False, True]
    assert one(database, "select count(*) from access_grant where role = 'operator'") == 1
