"""The console never shows, logs or keeps the names of a school's people. Only pages about people name them."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import Browser
from roster_pipeline_tests.console.filling import fields_of
from roster_pipeline_tests.console.served_sis import Served, school_in, streamed
from roster_pipeline_tests.district import EVERYTHING
from roster_pipeline_tests.hostile_strings import hostile_strings, leaked

SETTINGS, TEST, RUNS = (f"/schools/lincoln/{page}" for page in ("settings/connection", "test", "runs"))
FAULTS = ("", "email=invalid", "nulls", "types", "unknown_roles", "truncated_json", "failure_with_200")
PLAIN_PAGES = ("/", "/schools/lincoln", RUNS, "/schools/lincoln/holds", SETTINGS, "/schools/lincoln/audit")
"""Pages about a school that name nobody."""
TABLES = (
    "connection_test",
    "manual_run",
    "audit",
    "school",
    "failure",
    "sync",
    "plan",
    "verdict",
    "snapshot",
    "pull",
    "alert",
)


@pytest.fixture
def sis(sis: Served) -> Served:
    hostile_strings(sis.people)
    return sis


@pytest.fixture
def lincoln(database: Database, environment: Path, sis: Served) -> SchoolRow:
    on: dict[str, Any] = {
        "students": EVERYTHING,
        "teachers": EVERYTHING,
        "primary_contacts": True,
        "first_sync": "apply",
    }
    return school_in(database, sis, **on)


def _tested(browser: Browser) -> str:
    """All that a page shows of a connection test."""
    answer = browser.send_form(TEST, fields_of(browser.get(SETTINGS).text), headers={"hx-request": "true"})
    return streamed(browser, answer.text)


def _ran(browser: Browser, kind: str) -> str:
    """All that a page shows of a run, and its page afterwards."""
    place = browser.send_form(RUNS, {"kind": kind}).headers["location"]
    return streamed(browser, browser.get(place).text) + browser.get(place).text


def _shown(browser: Browser, page: str) -> str:
    answer = browser.get(page)
    assert answer.status_code == 200, page
    return answer.text


def test_a_test_of_the_connection_shows_and_keeps_nothing_about_people(
    owner: Browser, database: Database, sis: Served, caplog: pytest.LogCaptureFixture, postgres_log: Callable[[], str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for fault in FAULTS:
        if fault:
            sis.sis.faults.set(fault)
        said.append(_tested(owner))
        sis.sis.faults.clear()
    assert all("Students" in one for one in said[:2])
    said += [_shown(owner, page) for page in PLAIN_PAGES]
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    assert leaked("\n".join([*said, *_kept(database), postgres_log()])) == []


@pytest.mark.timeout(590)
def test_a_run_with_any_end_shows_and_keeps_nothing_about_people(
    owner: Browser,
    database: Database,
    sis: Served,
    dagster: None,
    caplog: pytest.LogCaptureFixture,
    postgres_log: Callable[[], str],
) -> None:
    caplog.set_level(logging.DEBUG)
    said = [_ran(owner, "dry_run")]
    with database.begin() as conn:
        conn.execute(text("alter table person add constraint refuse check (given_name !~* 'zyxpoison') not valid"))
    said.append(_ran(owner, "sync"))
    assert "The run failed." in said[-1]
    with database.begin() as conn:
        conn.execute(text("alter table person drop constraint refuse"))
    said.append(_ran(owner, "sync"))
    with database.begin() as conn:
        assert conn.scalar(text("select count(*) from person where given_name like 'Zyxpoison%'"))
        sync = conn.scalar(text("select max(id) from sync"))
    said.append(_shown(owner, f"/schools/lincoln/syncs/{sync}"))
    said += [_shown(owner, page) for page in PLAIN_PAGES]
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    assert leaked("\n".join([*said, *_kept(database), postgres_log()])) == []


def _kept(database: Database) -> list[str]:
    with database.begin() as conn:
        return [
            json.dumps(row, default=str)
            for table in TABLES
            for row in conn.scalars(text(f"select to_jsonb(t) from {table} t"))
        ]
