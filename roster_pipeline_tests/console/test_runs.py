"""Sync now and Dry run: a process of its own, progress live and on reload, and one run of a school at a time."""

import os
import re
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from sqlalchemy import Row, text

from roster_pipeline.console import launchers
from roster_pipeline.directory import manual_runs, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.manual_runs import next_to_start, order_of
from roster_pipeline.directory.school_history import school_history
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.runtime import preloaded
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.served_sis import Served, followed, school_in
from roster_pipeline_tests.directory.builders import add_school, every, one
from roster_pipeline_tests.waiting import until

RUNS = "/schools/lincoln/runs"


@pytest.fixture
def lincoln(database: Database, environment: Path, sis: Served) -> SchoolRow:
    return school_in(database, sis)


def started(browser: Browser, kind: str) -> str:
    answer = browser.send_form(RUNS, {"kind": kind})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def ask(database: Database, school: SchoolRow, host: str | None = None) -> str:
    """Request a run, which waits for its turn without a process."""
    run_id = str(uuid.uuid4())
    where = host or socket.gethostname()
    database.call(manual_runs.ask, run_id, school.id, school.key, kind="sync", who="another", host=where)
    return run_id


def begin(database: Database, run_id: str, slots: int = 2) -> bool | None:
    return database.call(manual_runs.begin, run_id, slots)


def run_of(database: Database, school: SchoolRow, run_id: str) -> Row[Any]:
    found = database.call(manual_runs.get, school.id, run_id)
    assert found is not None
    return found


def end_of(browser: Browser, place: str) -> str:
    """What the page of a run shows once the run has ended."""
    return followed(browser, browser.get(place).text)[-1]


@pytest.mark.timeout(590)
def test_a_dry_run_then_a_first_sync_that_is_held_then_a_failure(
    owner: Browser, database: Database, dagster: None
) -> None:
    place = started(owner, "dry_run")
    first = owner.get(place).text
    assert f'hx-get="{place}/progress?seen=' in first
    assert '<meta http-equiv="refresh"' in first, "for browsers without scripts"
    *_, last = followed(owner, first)
    assert "Nothing was changed." in last
    assert "Applying" not in last
    found = re.search(r'href="/schools/lincoln/plans/(\d+)"', last)
    assert found
    assert owner.get(f"/schools/lincoln/plans/{found[1]}").status_code == 200
    reloaded = owner.get(place).text
    assert "The dry run is done" in reloaded
    assert "every 1s" not in reloaded
    assert owner.get(f"{place}/progress?seen=end").status_code == 204

    place = started(owner, "sync")
    held = end_of(owner, place)
    assert "Something is held." in held
    assert "first sync of this school waits for approval: " in held.lower(), "what it did is told in a sentence"
    assert '<a class="button primary" href="/schools/lincoln/holds">Look and decide</a>' in held
    with database.begin() as conn:
        who = conn.scalar(text("select who from sync order by id desc limit 1"))
        people = conn.scalar(text("select count(*) from person"))
    assert (who, people) == (OWNER, 0), "the first sync waits, and says who asked"

    database.call(tenant_changes.set_connection, "sis", secret_sealed=seal("p0ison-wrong"))
    failed = end_of(owner, started(owner, "sync"))
    assert "The run failed." in failed
    assert "Client ID and Client Secret" in failed
    assert "p0ison" not in failed
    listed = owner.get(RUNS).text
    assert (listed.count(">Done<"), listed.count(">Failed<")) == (2, 1)


def test_a_second_run_of_a_school_is_refused_with_a_link_to_the_first(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    going = ask(database, lincoln)
    answer = owner.send_form(RUNS, {"kind": "sync"})
    assert answer.status_code == 409
    assert f'href="{RUNS}/{going}"' in answer.text
    assert ">Waiting<" in answer.text
    assert owner.send_form(RUNS, {"kind": "rm"}).status_code == 404


A, B, C = 1, 2, 3
ORDERS = {
    "alone in the order they asked": ([("a1", A), ("a2", A)], {}, ["a1", "a2"]),
    "a district without a run comes before one that has a run": ([("a2", A), ("b1", B)], {A: 1}, ["b1", "a2"]),
    "districts take turns": ([("a1", A), ("a2", A), ("a3", A), ("b1", B)], {}, ["a1", "b1", "a2", "a3"]),
    "whoever has the fewest": ([("a1", A), ("b1", B), ("c1", C)], {A: 2, B: 1}, ["c1", "b1", "a1"]),
}


@pytest.mark.parametrize(("waiting", "running", "order"), ORDERS.values(), ids=ORDERS.keys())
def test_in_which_order_waiting_runs_start(
    waiting: list[tuple[str, int]], running: dict[int, int], order: list[str]
) -> None:
    assert order_of(waiting, running) == order


STARTS = {
    "a free machine": ([("a1", A)], {}, 2, True, "a1"),
    "nobody waits": ([], {}, 2, True, None),
    "every slot is taken": ([("a1", A)], {B: 1, C: 1}, 2, True, None),
    "the last slot is not for a district that has the others": ([("a2", A)], {A: 1}, 2, True, None),
    "it is for another": ([("a2", A), ("b1", B)], {A: 1}, 2, True, "b1"),
    "an installation of one district uses them all": ([("a2", A)], {A: 1}, 2, False, "a2"),
    "one slot is taken in turns": ([("a1", A)], {}, 1, True, "a1"),
    "two of three": ([("a2", A)], {A: 1}, 3, True, "a2"),
    "and no more": ([("a3", A)], {A: 2}, 3, True, None),
}


@pytest.mark.parametrize(("waiting", "running", "slots", "several", "starts"), STARTS.values(), ids=STARTS.keys())
def test_which_waiting_run_starts(
    waiting: list[tuple[str, int]], running: dict[int, int], slots: int, several: bool, starts: str | None
) -> None:
    assert next_to_start(waiting, running, slots, several=several) == starts


def test_one_district_leaves_a_slot_to_the_others_and_a_waiting_run_tells_its_place(
    owner: Browser, database: Database, lincoln: SchoolRow, foreign: SchoolRow
) -> None:
    with database.begin() as conn:
        oak, elm = (add_school(conn, key) for key in ("oak", "elm"))
    assert begin(database, ask(database, elm, host="another-machine")) is True
    first, second = ask(database, oak), ask(database, lincoln)
    assert begin(database, first) is True
    assert begin(database, second) is False, "the other slot is for another district"
    theirs = ask(database, foreign)
    assert "1 run is before it" in owner.get(f"{RUNS}/{second}").text
    assert ">Waiting<" in owner.get(RUNS).text
    assert begin(database, theirs) is True
    assert "it is the next one" in owner.get(f"{RUNS}/{second}").text
    assert begin(database, second) is False
    database.call(manual_runs.end, first)
    assert begin(database, second) is True
    assert begin(database, first) is None, "one that is over begins no more"
    assert "Starting." in owner.get(f"{RUNS}/{second}").text


def test_a_run_that_waits_for_its_turn_starts_by_itself(
    owner: Browser, database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchers, "MODULE", "roster_pipeline.console.no_such_module")
    going = ask(database, database.call(add_school, "oak"))
    assert begin(database, going, 1) is True
    waiting = launchers.launch(database, lincoln, "sync", who=OWNER, slots=1, minutes=1)
    time.sleep(launchers.LOOK_EVERY * 2)
    assert run_of(database, lincoln, waiting).started_at is None
    database.call(manual_runs.end, going)
    assert "exit code 1" in end_of(owner, f"{RUNS}/{waiting}")


def test_a_run_whose_console_ended_before_its_turn_was_never_started(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    lost = ask(database, lincoln)
    with database.begin() as conn:
        conn.execute(text("update manual_run set alive_at = now() - interval '2 minutes'"))
    assert "The console was restarted before this run" in owner.get(f"{RUNS}/{lost}").text


def test_a_run_that_waits_is_canceled_at_once_and_every_page_says_by_whom(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    waiting = ask(database, lincoln)
    assert "Cancel this run" in owner.get(f"{RUNS}/{waiting}").text
    answer = owner.send_form(f"{RUNS}/{waiting}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{RUNS}/{waiting}")
    assert begin(database, waiting) is None
    shown = owner.get(f"{RUNS}/{waiting}").text
    assert "The run was canceled." in shown
    assert f"Canceled by {OWNER}." in shown
    assert "Cancel this run" not in shown
    assert f"by {OWNER}" in owner.get(RUNS).text
    assert f"{OWNER} canceled a run." in owner.get("/schools/lincoln").text
    assert owner.send_form(f"{RUNS}/{waiting}/cancel").status_code == 303, "twice does no harm"
    lines = every(database, "select who, details ->> 'run' from audit where what = 'run canceled'")
    assert lines == [(OWNER, waiting)]
    (line,) = database.call(school_history, lincoln.id)
    assert database.call(school_history, lincoln.id, before=line.place) == []


def fetching(database: Database, school: SchoolRow, run_id: str) -> None:
    """Wait until a run reads from the SIS."""

    def begun() -> bool:
        run = run_of(database, school, run_id)
        assert run.ended_at is None
        return run.step == "fetching from the SIS"

    until(begun, 120)


def ended(database: Database, school: SchoolRow, run_id: str, seconds: float) -> Row[Any]:
    """Wait, at most these seconds, until the run is over and its process and sessions are gone. Returns the run."""
    until(lambda: run_of(database, school, run_id).ended_at, seconds)
    assert every(database, "select 1 from pg_stat_activity where application_name like 'roster run %'") == []
    return run_of(database, school, run_id)


def status_in_dagster(run_id: str) -> str:
    """Dagster's status of a run, once it is final."""
    with dg.DagsterInstance.get() as instance:
        finished = dg.RunsFilter([run_id], statuses=[*FINISHED_STATUSES])
        return until(lambda: instance.get_runs(finished))[0].status.value


@pytest.mark.timeout(300)
def test_a_run_that_hangs_is_canceled_within_seconds_and_leaves_nothing(
    owner: Browser, database: Database, lincoln: SchoolRow, dagster: None, sis: Served
) -> None:
    sis.sis.faults.set("hangs=100")
    try:
        place = started(owner, "sync")
        run_id = place.rpartition("/")[2]
        fetching(database, lincoln, run_id)
        assert owner.send_form(f"{place}/cancel").status_code == 303
        run = ended(database, lincoln, run_id, seconds=15)
    finally:
        sis.sis.faults.clear()
    assert run.problem == f"Canceled by {OWNER}. Nothing was half applied."
    assert status_in_dagster(run_id) == "CANCELED"
    with dg.DagsterInstance.get() as instance:
        said = [entry.message for entry in instance.all_logs(run_id)]
    assert not [line for line in said if OWNER in line], "owners of other districts can read them"
    for table in ("sync", "plan", "snapshot", "failure", "sis_record"):
        assert one(database, f"select count(*) from {table}") == 0, table
    again = end_of(owner, started(owner, "dry_run"))
    assert "The dry run is done." in again, "nothing it held is in the way of the next one"


@pytest.mark.timeout(300)
def test_a_run_that_takes_too_long_is_ended_with_a_message(
    owner: Browser, database: Database, lincoln: SchoolRow, dagster: None, sis: Served
) -> None:
    sis.sis.faults.set("hangs=100")
    try:
        run_id = launchers.launch(database, lincoln, "sync", who=OWNER, slots=1, minutes=0.25)
        fetching(database, lincoln, run_id)
        ended(database, lincoln, run_id, seconds=40)
    finally:
        sis.sis.faults.clear()
    told = owner.get(f"{RUNS}/{run_id}").text
    assert "This run was ended after 0.25 minutes, the longest that a run by hand may take." in told
    assert "ROSTER_CONSOLE_RUN_MINUTES" in told
    assert status_in_dagster(run_id) == "FAILURE"
    assert one(database, "select count(*) from failure where run_id = :run", run=run_id) == 1


def test_a_process_that_dies_or_hangs_is_noticed(owner: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, code in (("LAST_WORDS", -3600.0, -9), ("MODULE", "roster_pipeline.console.no_such_module", 1)):
        with monkeypatch.context() as changed:
            changed.setattr(launchers, name, value)
            told = end_of(owner, started(owner, "sync"))
        assert f"ended before it could say why (exit code {code})" in told


def test_a_run_whose_machine_went_away_is_given_up(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    lost = ask(database, lincoln)
    assert begin(database, lost) is True
    with database.begin() as conn:
        conn.execute(text("update manual_run set alive_at = now() - interval '1 hour'"))
    assert "Its process was probably killed." in owner.get(f"{RUNS}/{lost}").text
    ask(database, lincoln)
    database.call(manual_runs.end, lost, "later")
    found = database.call(manual_runs.get, lincoln.id, lost)
    assert found is not None
    assert found.problem == manual_runs.LOST, "only the first end counts"


def test_a_child_without_its_row_does_nothing(database: Database, environment: Path) -> None:
    assert preloaded.start(launchers.MODULE, ["nothing", 1], os.environ).wait() == 1
