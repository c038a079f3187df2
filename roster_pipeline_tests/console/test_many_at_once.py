"""Things that live longer than one request: streams that end with the session, and several consoles over one
database."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from roster_pipeline.console import server_sent_events
from roster_pipeline.console.config import Config
from roster_pipeline.directory import accounts, manual_runs
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, Browser, Console, Running
from roster_pipeline_tests.directory.builders import add_school

SignedIn = Callable[[str], Browser]
EVENTS = "/schools/lincoln/runs/run-1/events"


@pytest.fixture
def going(monkeypatch: pytest.MonkeyPatch, database: Database, lincoln: SchoolRow) -> None:
    """A run that does not end; streams look at each step who is there."""
    monkeypatch.setattr(server_sent_events, "WHO_EVERY", 0.0)
    with database.begin() as opened:
        manual_runs.ask(opened, "run-1", lincoln.id, lincoln.key, kind="sync", who="test", host="here")


def sign_out(_: Database, browser: Browser) -> None:
    with browser.console.browser() as same:
        same.cookies.update(browser.cookies)
        assert same.send_form("/sign-out").status_code == 303


def take_away(database: Database, _: Browser) -> None:
    with database.begin() as opened:
        accounts.revoke(opened, OWNER, None)


def give_more(database: Database, _: Browser) -> None:
    with database.begin() as opened:
        accounts.grant(opened, OWNER, Place(school_id=add_school(opened, "second").id), by="test")


@pytest.mark.parametrize("change", [sign_out, take_away, give_more])
def test_a_stream_ends_with_the_session_or_when_grants_change(
    going: None, signed_in: SignedIn, database: Database, change: Callable[[Database, Browser], None]
) -> None:
    browser = signed_in(OWNER)
    with browser.stream("GET", EVENTS) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        change(database, browser)
        assert "event: end" not in list(lines), "the browser comes again, and is asked who it is"


def test_consoles_over_one_database_share_sessions_and_limits(
    database: Database, environment: Path, console_config: Config, people_let_in: None
) -> None:
    with Running(database, console_config) as first, Running(database, console_config) as second:
        with first.signed_in(OWNER) as browser, Browser(second) as other:
            other.cookies.update(browser.cookies)
            assert other.get("/schools/lincoln").status_code == 200
        answers = [asked(console, number) for number, console in enumerate((first, second) * 11)]
    assert answers == [200] * 20 + [429] * 2


def asked(console: Console, number: int) -> int:
    with console.browser() as browser:
        return browser.send_form("/sign-in", {"email": f"nobody{number}@example.org"}).status_code


def test_one_person_follows_only_so_many_streams_at_once(
    going: None, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_sent_events, "MOST_STREAMS", 2)
    owner, manager = signed_in(OWNER), signed_in(MANAGER)
    with owner.stream("GET", EVENTS) as one, owner.stream("GET", EVENTS) as two:
        begun = [one.iter_lines(), two.iter_lines()]  # kept, or the streams would be closed with them
        assert [next(lines) for lines in begun] == ["retry: 1000"] * 2
        assert owner.get(EVENTS).status_code == 429
        with manager.stream("GET", EVENTS) as other:
            assert other.status_code == 200
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with owner.stream("GET", EVENTS) as again:
            if again.status_code == 200:
                break
        time.sleep(0.05)
    assert again.status_code == 200, "a stream that ended makes room"
