"""Sync now and Dry run: a process of its own, progress live and on reload, and one run of a school at a time."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from roster_pipeline.console import launching
from roster_pipeline.directory import asked_runs, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.embedded import DAGSTER_URL
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.sis import Served, events_of, school_in, served_sis
from roster_pipeline_tests.directory.building import add_school

SignedIn = Callable[[str], Browser]
RUNS = "/schools/lincoln/runs"


@pytest.fixture(scope="module")
def sis() -> Iterator[Served]:
    with served_sis() as served:
        yield served


@pytest.fixture
def lincoln(database: Database, environment: Path, sis: Served) -> SchoolRow:
    return school_in(database, sis)


@pytest.fixture
def dagster(environment: Path, dagster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's own tables, for the runs' processes."""
    monkeypatch.setenv(DAGSTER_URL, dagster_url)
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).parents[2]))


def started(browser: Browser, kind: str) -> str:
    answer = browser.send_form(RUNS, {"kind": kind})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def ask(database: Database, school: SchoolRow, most: int = 2, host: str | None = None) -> str:
    """A run that somebody asked for and that nobody carries out."""
    run_id = str(uuid.uuid4())
    with database.begin() as conn:
        asked_runs.ask(
            conn,
            run_id,
            school.id,
            school.key,
            kind="sync",
            who="another",
            host=host or socket.gethostname(),
            most=most,
        )
    return run_id


@pytest.mark.timeout(590)
def test_a_dry_run_then_a_first_sync_that_is_held_then_a_failure(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow, dagster: None
) -> None:
    browser = signed_in(OWNER)
    place = started(browser, "dry_run")
    first = browser.get(place).text
    assert f'data-live="{place}/events"' in first
    assert '<meta http-equiv="refresh"' in first, "for browsers without scripts"
    events = events_of(browser, place + "/events")
    assert [kind for _, kind, _ in events][-2:] == ["show", "end"]
    assert "Nothing was changed." in events[-2][2], events
    assert "Applying" not in events[-2][2]
    found = re.search(r'href="/schools/lincoln/plans/(\d+)"', events[-2][2])
    assert found
    assert browser.get(f"/schools/lincoln/plans/{found[1]}").status_code == 200
    reloaded = browser.get(place).text
    assert "The dry run is done" in reloaded
    assert "data-live" not in reloaded
    assert events_of(browser, place + "/events", last_id="end") == [("", "end", "end")]

    place = started(browser, "sync")
    held = events_of(browser, place + "/events")[-2][2]
    assert "Something is held and waits for you." in held
    assert "first sync of this school waits for approval: " in held.lower(), "what it did is told in a sentence"
    assert 'href="/schools/lincoln/holds"' in held
    with database.begin() as conn:
        who = conn.scalar(text("select who from sync order by id desc limit 1"))
        people = conn.scalar(text("select count(*) from person"))
    assert (who, people) == (OWNER, 0), "the first sync waits, and says who asked"

    with database.begin() as conn:
        tenants.set_connection(conn, "sis", secret_sealed=seal("p0ison-wrong"))
    failed = events_of(browser, started(browser, "sync") + "/events")[-2][2]
    assert "The run failed." in failed
    assert "Client ID and Client Secret" in failed
    assert "p0ison" not in failed
    listed = browser.get(RUNS).text
    assert (listed.count(">Done<"), listed.count(">Failed<")) == (2, 1)


def test_a_second_run_of_a_school_is_refused_with_a_link_to_the_first(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow
) -> None:
    going = ask(database, lincoln)
    browser = signed_in(OWNER)
    answer = browser.send_form(RUNS, {"kind": "sync"})
    assert answer.status_code == 409
    assert f'href="{RUNS}/{going}"' in answer.text
    assert "Under way" in answer.text


def test_a_machine_runs_only_so_many_at_once(signed_in: SignedIn, database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as conn:
        others = [add_school(conn, key) for key in ("oak", "elm")]
    ask(database, others[0], host="another-machine")
    ask(database, others[1])
    browser = signed_in(OWNER)
    with pytest.raises(asked_runs.TooManyRuns):
        ask(database, lincoln, most=1)
    with database.begin() as conn:
        third = add_school(conn, "fir")
    ask(database, third)
    answer = browser.send_form(RUNS, {"kind": "sync"})
    assert answer.status_code == 409
    assert "2 runs are going on already on this machine" in answer.text
    with database.begin() as conn:
        assert asked_runs.of_school(conn, lincoln.id) == []


def test_a_process_that_dies_is_noticed(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "MODULE", "roster_pipeline.console.no_such_module")
    browser = signed_in(OWNER)
    told = events_of(browser, started(browser, "sync") + "/events")[-2][2]
    assert "ended before it could say why (exit code 1)" in told


def test_a_run_whose_machine_went_away_is_given_up(signed_in: SignedIn, database: Database, lincoln: SchoolRow) -> None:
    lost = ask(database, lincoln)
    with database.begin() as conn:
        conn.execute(text("update asked_run set alive_at = now() - interval '1 hour'"))
    told = signed_in(OWNER).get(f"{RUNS}/{lost}").text
    assert "Its process was probably killed." in told
    ask(database, lincoln)
    with database.begin() as conn:
        asked_runs.end(conn, lost, "later")
        found = asked_runs.get(conn, lincoln.id, lost)
    assert found is not None
    assert found.problem == asked_runs.LOST, "only the first end counts"


def test_runs_of_other_schools_and_other_words_are_nowhere(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    theirs = ask(database, foreign)
    browser = signed_in(OWNER)
    for path in (f"{RUNS}/{theirs}", f"{RUNS}/{theirs}/events", f"{RUNS}/nothing", f"{RUNS}/nothing/events"):
        assert browser.get(path).status_code == 404
    assert browser.send_form(RUNS, {"kind": "rm"}).status_code == 404
    assert browser.post(RUNS, data={"kind": "sync"}).status_code == 403, "without the token of a form"


def test_a_child_without_its_row_does_nothing(database: Database, environment: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", launching.MODULE, "nothing"], env=dict(os.environ), timeout=300, check=False
    )
    assert ended.returncode == 1
