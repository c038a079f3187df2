"""Two transactions that change the same rows at the same moment: both succeed, because both lock in one order."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, text

from roster_pipeline.directory import (
    alerts,
    connection_tests,
    operations,
    pulls,
    roster_rows,
    rosters,
    secrets,
    snapshots,
    tenant_changes,
    tenants,
)
from roster_pipeline.services import connection_test, school_changes
from roster_pipeline.services.settings_changes import change_connection
from roster_pipeline.sync import clean_latest, clean_snapshot, fetch_snapshot, plan_and_apply
from roster_pipeline.sync.alerts import pause_failing
from roster_pipeline.sync.connection_checks import check_connection
from roster_pipeline.sync.monitoring import watch
from roster_pipeline_tests.district import SECRET, District
from roster_pipeline_tests.scenarios.conftest import alert_mails
from roster_pipeline_tests.waiting import until

NOW = datetime.now(UTC)
WAITS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


ROWS = ":of = any(sourced_ids)"


def troubled(district: District) -> None:
    """The school was tested. Its connection and its nights failed, and now a plan waits, which no alert tells yet."""
    district.set_connection(secret="wrong")
    district.run_sync()
    district.set_connection(secret=SECRET)
    check(district)
    district.run_sync(steps=("fetch", "clean", "plan"))
    with district.database.begin() as conn:
        for night in range(7):
            alerts.record(conn, "lincoln", "plan", "broken", f"run-{night}", night=f"2026-11-{night + 1:02}")
        assert pause_failing(conn, NOW) == 1


def apply(district: District) -> None:
    district.run_sync(steps=("apply",))
    assert district.problems == []


def watch_all(district: District) -> None:
    watch(district.database, NOW + timedelta(days=2))


def clean(district: District) -> None:
    clean_latest(district.database, "lincoln", run_id=None)


def resume(district: District) -> None:
    assert district.database.call(school_changes.resume_school, "lincoln", who="ann")


def check(district: District) -> None:
    check_connection(district.database, "lincoln")


def check_together(district: District) -> None:
    with district.database.begin() as conn:
        begun = connection_test.begin_together(conn, [tenants.get_school(conn, "lincoln")], who="ann")
    connection_test.carry_out_together(district.database, begun)


def check_by_form(district: District) -> None:
    with district.database.begin() as conn:
        school = tenants.get_school(conn, "lincoln")
        begun = connection_tests.start(
            conn, school, who="ann", form={}, settings=school.connection.settings, school_settings=school.settings
        )
    connection_test.carry_out(district.database, "lincoln", begun)


def rotate(district: District) -> None:
    key = os.environ[secrets.SECRET_KEY]
    assert district.database.call(secrets.rotate, key, key, who="ann")


def note_end_of_secret(district: District) -> None:
    with district.database.begin() as conn:
        settings = tenants.get_connection(conn, "sis").settings.model_copy(update={"secret_expires": date(2040, 1, 1)})
        change_connection(conn, "sis", who="ann", settings=settings)


def at_the_same_moment(
    district: District,
    monkeypatch: pytest.MonkeyPatch,
    when: tuple[ModuleType, str],
    first: Callable[[District], None],
    second: Callable[[District], None],
) -> None:
    """Call both. The second one begins in the first one's transaction, after its call of `when`."""
    begun: list[Future[None]] = []
    usual = getattr(*when)

    def meanwhile(*given: Any, **named: Any) -> Any:
        result = usual(*given, **named)
        if not begun:
            begun.append(threads.submit(second, district))
            until(lambda: begun[0].done() or district.value(WAITS))
        return result

    monkeypatch.setattr(*when, meanwhile)
    with ThreadPoolExecutor(1) as threads:
        first(district)
        begun[0].result()


@pytest.mark.parametrize(
    ("first", "when", "second", "alert_mail"),
    [
        pytest.param(apply, (alerts, "lock_of_school"), watch_all, "held until", id="a sync and the check of all"),
        pytest.param(resume, (tenant_changes, "pause"), watch_all, "held until", id="a resume and the check of all"),
        pytest.param(check, (tenant_changes, "save_test"), note_end_of_secret, "", id="a test and its connection"),
        pytest.param(
            check_together, (tenant_changes, "save_tests"), note_end_of_secret, "", id="tests and their connection"
        ),
        pytest.param(check_by_form, (connection_tests, "end"), rotate, "", id="a test and a new key"),
        pytest.param(check_together, (connection_tests, "end_together"), rotate, "", id="tests and a new key"),
        pytest.param(watch_all, (alerts, "silent_schools"), watch_all, "no roster sync", id="two daemons"),
    ],
)
def test_two_at_the_same_moment_both_succeed_and_tell_once(
    district: District,
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[District], None],
    when: tuple[ModuleType, str],
    second: Callable[[District], None],
    alert_mail: str,
) -> None:
    district.add_school(first_sync="approve", automatic=True, report_to=["it@example.org"], report_when="daily")
    if first is not watch_all:
        troubled(district)
    at_the_same_moment(district, monkeypatch, when, first, second)
    subjects = [subject for subject, _ in alert_mails(district)]
    assert not alert_mail or sum(alert_mail in subject for subject in subjects) == 1, subjects


def erase(district: District) -> None:
    person = district.value("select person_id from link where sourced_id = :of", of=someone(district))
    district.database.call(operations.erase, district.district_id, person, who="ann", reason="asked for")


def end_pull(district: District) -> None:
    school = district.database.call(tenants.get_school, "lincoln")
    proof = district.value("select proof from pull order by id desc limit 1")
    pull_id, _ = district.database.call(pulls.claim, school.connection, "another night")
    fetch_snapshot._finish(district.database, school, pull_id, "", proof, {})
    assert district.count("pull") == 2, "the older ones are dropped"


def prune(district: District) -> None:
    school = district.value("select id from school")
    assert district.database.call(snapshots.prune, school, 2) == 2


def someone(district: District) -> str:
    return district.people.people_of("sch-1", "student")[0].sourced_id


@pytest.mark.parametrize("second", [end_pull, prune])
def test_an_erasure_and_what_drops_old_records_both_succeed(
    district: District, monkeypatch: pytest.MonkeyPatch, second: Callable[[District], None]
) -> None:
    district.add_school()
    for _ in range(4):
        district.run_sync()
    for rejects, owner in (("pulled_reject", "pull"), ("raw_reject", "snapshot")):
        rows = f"select id, :of, 'users', 'email', 'not-a-text', 'warning' from {owner}"
        district.execute(f"insert into {rejects} {rows}", of=someone(district))
    at_the_same_moment(district, monkeypatch, (operations, "_records_in"), erase, second)
    assert district.count("link", f"sourced_id = '{someone(district)}'") == 0


@pytest.mark.parametrize(
    "when", [(clean_snapshot, "cleaned_records"), (plan_and_apply, "judge")], ids=["cleaned", "planned"]
)
def test_somebody_who_is_erased_while_a_roster_is_cleaned_or_planned_is_not_written_again(
    district: District, monkeypatch: pytest.MonkeyPatch, when: tuple[ModuleType, str]
) -> None:
    district.add_school()
    district.run_sync()
    district.people.edit(someone(district), email="new@example.org")
    district.run_sync(steps=("fetch",))
    usual, erased = getattr(*when), iter([erase])

    def meanwhile(*given: Any, **named: Any) -> Any:
        for now in erased:
            now(district)
        return usual(*given, **named)

    monkeypatch.setattr(*when, meanwhile)
    district.run_sync(steps=("clean", "plan", "apply"))
    assert district.problems == []
    assert next(erased, None) is None
    for table, names in (("roster_row", "sourced_id = :of"), ("link", "sourced_id = :of"), ("plan_row", ROWS)):
        assert district.value(f"select count(*) from {table} where {names}", of=someone(district)) == 0, table


@pytest.mark.parametrize("way", [(rosters, "write"), (roster_rows, "take_over")], ids=["anew", "taken over"])
def test_two_that_clean_one_snapshot_at_the_same_moment_both_succeed(
    district: District, monkeypatch: pytest.MonkeyPatch, way: tuple[ModuleType, str]
) -> None:
    district.add_school()
    if way[1] == "take_over":
        district.run_sync()
    district.run_sync(steps=("fetch",))
    at_the_same_moment(district, monkeypatch, way, clean, clean)
    named = "id in (select roster_id from snapshot)"
    assert district.count("roster") == district.count("roster", named), "the rows of the first one are deleted"
    district.run_sync(steps=("plan", "apply"))
    assert district.problems == []


def test_the_end_of_a_test_is_noted_although_a_deadlock_ended_the_first_attempt(district: District) -> None:
    district.add_school()
    attempts, noted = ["40P01", "40P01"], []

    def end(conn: Connection, problem: str | None) -> None:
        if attempts:
            conn.execute(text(f"do $$ begin raise exception using errcode = '{attempts.pop()}'; end $$"))
        noted.append(problem)

    connection_test.note_end(district.database, lambda: None, end, school="lincoln")
    assert noted == [None]


def test_a_test_whose_end_cannot_be_noted_leaves_a_line_in_the_log_without_data(
    district: District, caplog: pytest.LogCaptureFixture
) -> None:
    def end(conn: Connection, problem: str | None) -> None:
        raise KeyError("Mira Oduya")

    connection_test.note_end(district.database, lambda: None, end, school="lincoln")
    assert "lincoln: unexpected KeyError at roster_pipeline" in caplog.text
    assert "Mira" not in caplog.text
