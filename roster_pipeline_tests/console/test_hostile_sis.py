"""One owner's SIS cannot take the console down: its test runs in a process of its own, within limits."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roster_pipeline.directory import tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline.simulator import running
from roster_pipeline_tests.console.conftest import Browser
from roster_pipeline_tests.console.filling import fields_of
from roster_pipeline_tests.console.served_sis import school_in, served_sis, streamed
from roster_pipeline_tests.directory.builders import one

PIECE = b"{}," * 1_000_000
SCHOOL = {"sourcedId": "sch-1", "status": "active", "name": "Hostile", "type": "school", "identifier": "1"}
MOST_GROWTH = 150
"""MB that the console may grow while a hostile SIS is tested."""


def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(b'{"users":[')] + [packer.compress(PIECE) for _ in range(16)]
    return b"".join([*parts, packer.compress(b"{}]}"), packer.flush()])


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    body = bomb()

    async def answer(request: Request) -> Response:
        if request.url.path.endswith("/orgs"):
            return JSONResponse({"orgs": [SCHOOL]})
        if request.url.path.endswith("/users"):
            return Response(body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
        return Response(status_code=404)

    with running(Starlette(routes=[Route("/{path:path}", answer)])) as base:
        yield base


@pytest.fixture
def lincoln(database: Database, environment: object, hostile: str) -> Iterator[SchoolRow]:
    with served_sis() as good:
        row = school_in(database, good)
        settings = ConnectionSettings(url=hostile, allow_private_addresses=True)
        with database.begin() as conn:
            tenant_changes.add_district(conn, "shelbyville", "Shelbyville")
            tenant_changes.add_connection(conn, "shelbyville", "bad", settings, seal("x"))
            chosen = SchoolSettings(school_id="sch-1", students=RoleSettings(rostered=True))
            tenant_changes.add_school(conn, "bad", "hostile", "Hostile", chosen)
        yield row


def started(browser: Browser, school: str) -> str:
    """Start a test of a school; gives the piece of the page that follows it."""
    fields = fields_of(browser.get(f"/schools/{school}/settings/connection").text)
    return browser.send_form(f"/schools/{school}/test", fields, headers={"hx-request": "true"}).text


def resident() -> int:
    """MB of memory of this process, in which the console runs."""
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024


def test_a_hostile_sis_leaves_the_console_and_the_others_alone(operator: Browser) -> None:
    over = Event()
    before, most = resident(), 0

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            most = max(most, resident())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        bad, good = started(operator, "hostile"), started(operator, "lincoln")
        said_of_good = streamed(operator, good)
        assert "Everything works." in said_of_good, said_of_good
        said = streamed(operator, bad)
    finally:
        over.set()
        watcher.join()
    assert "far more values than a page of people" in said
    assert "Not everything works yet." in said
    assert most - before < MOST_GROWTH


def test_a_test_that_is_ended_by_its_limit_says_so(operator: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_pipeline.console.launchers.TEST_MODULE", "roster_pipeline_tests.console.greedy")
    assert "more than a test may hold in memory" in streamed(operator, started(operator, "lincoln"))


def test_a_test_that_dies_says_so(operator: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roster_pipeline.console.launchers.TEST_MODULE", "no.such.module")
    said = streamed(operator, started(operator, "lincoln"))
    assert "The test could not be finished." in said
    assert "ended before it was done (exit code 1)" in said


def test_a_test_has_a_longest_time(operator: Browser, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    monkeypatch.setattr("roster_pipeline.console.launchers.LONGEST", 0.01)
    assert "was not done after" in streamed(operator, started(operator, "lincoln"))
    assert one(database, "select count(*) from connection_test where ended_at is null") == 0
