"""A school's history and the page of one sync: what they say, and that they are nobody else's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from roster_pipeline.console.charts import role_bars
from roster_pipeline.directory import alerts, audit, manual_runs, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.rollback import roll_back
from roster_pipeline.directory.school_history import school_history
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.notifications.content import RoleCounts
from roster_pipeline.sync.alerts import settle_expiry
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.outbox_sender import put_reports
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.filling import changed, fields_of
from roster_pipeline_tests.console.held_plans import MANY, held_creates, words_of
from roster_pipeline_tests.directory.builders import newcomer, one, sync_rows

SignedIn = Callable[[str], Browser]


def test_a_school_without_a_past_says_what_to_do(owner: Browser) -> None:
    text = words_of(owner.get("/schools/lincoln").text)
    for said in ("Nothing was synced yet.", "Nothing happened yet.", "not tested yet", "by hand", "nobody yet"):
        assert said in text


def test_the_history_tells_syncs_rollbacks_and_failures_newest_first(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    done = sync_rows(database, lincoln, newcomer("u1"), newcomer("u2"))
    put_reports(database)
    undone = roll_back(database, done.sync_id, who="it@example.org", reason="by mistake")
    put_reports(database)
    with database.begin() as opened:
        alerts.record(opened, "lincoln", "raw_users", "lincoln: the SIS did not answer.", "run-1")
        kinds = [one.kind for one in school_history(opened, lincoln.id)]
        alerts.open_alert(opened, "connection sis", "down", "The SIS is away.", connection=lincoln.connection.id)
    assert kinds == ["failure", "rollback", "sync"]
    text = words_of(owner.get("/schools/lincoln").text)
    assert "Failed The SIS did not answer." in text
    assert "2 created." in text
    assert f"Undone by rollback {undone.sync_id}" in text
    assert f"of sync {done.sync_id}" in text
    assert "Alert on connection sis: down The SIS is away." in text


def test_the_regions_of_a_syncs_page_have_names_of_their_own(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    for name in ("u1", "u2"):
        sync_rows(database, lincoln, newcomer(name))
    put_reports(database)
    page = owner.get(f"/schools/lincoln/syncs/{one(database, 'select max(id) from sync')}").text
    ids = re.findall(r'<section[^>]*aria-labelledby="([^"]+)"', page)
    headings = [words_of(re.findall(rf'id="{each}"[^>]*>(.*?)</h2>', page, re.S)[0]).strip() for each in ids]
    names = headings + re.findall(r'role="region" aria-label="([^"]+)"', page)
    assert len(names) == len(set(names)) > 2


def test_the_runs_of_the_engineers_are_not_in_the_way_of_owners(
    owner: Browser, operator: Browser, database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_UI_URL", "https://dagster.example")
    run_id = str(uuid.uuid4())
    with database.begin() as opened:
        alerts.record(opened, "lincoln", "raw_users", "lincoln: the SIS did not answer.", "run-1")
        manual_runs.ask(opened, run_id, lincoln.id, "lincoln", kind="sync", who=OWNER, host="here")
    assert "Dagster" not in owner.get("/schools/lincoln").text
    assert "https://dagster.example/runs/run-1" in operator.get("/schools/lincoln").text
    shown = owner.get(f"/schools/lincoln/runs/{run_id}").text
    assert shown.index('aria-label="Steps of the run"') < shown.index("Dagster run")


def test_the_people_whom_a_sync_names_to_check_are_on_its_page(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", notes="number_of_another"))
    put_reports(database)
    shown = words_of(owner.get(f"/schools/lincoln/syncs/{one(database, 'select max(id) from sync')}").text)
    assert "see To check." in shown
    assert "To check 1 student: Another person has this number too." in shown


STATES = [
    ("credentials", "Test and settings", "/schools/lincoln/settings"),
    ("connection", "Sync again", "/schools/lincoln/runs"),
]


@pytest.mark.parametrize(("cause", "words", "leads_to"), STATES)
def test_a_failure_offers_its_next_step_and_no_command(
    owner: Browser, database: Database, lincoln: SchoolRow, cause: str, words: str, leads_to: str
) -> None:
    held_creates(database, lincoln)
    put_reports(database)
    message = "lincoln: the SIS refused the sign-in.\nThen run: roster test-connection lincoln"
    with database.begin() as opened:
        alerts.record(opened, "lincoln", "raw_users", message, "run-1", cause=cause)
        alerts.open_alert(opened, "connection sis", cause, message, connection=lincoln.connection.id)
    page = owner.get("/schools/lincoln").text
    assert f'<a class="button primary" href="{leads_to}">{words}</a>' in page
    assert page.count("button primary") == 1
    text = words_of(page)
    assert text.index("The SIS refused the sign-in.") < text.index("2 creations are held")
    assert "Then press Test Your Information" in text
    assert "It closes with the next sync that reads the schools of this SIS." in text
    assert "roster test-connection" not in page


def test_a_decision_is_seen_at_once_in_alerts(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    plan_id = held_creates(database, lincoln)
    with database.begin() as opened:
        settle(opened, lincoln.id, datetime.now(UTC))
    page = owner.get("/schools/lincoln").text
    assert "Alert: held" in words_of(page)
    assert '<a class="button primary" href="/schools/lincoln/holds">Look and decide</a>' in page
    given = {"hash": str(one(database, "select hash from plan where id = :id", id=plan_id)), "reason": "not ours"}
    owner.send_form(f"/schools/lincoln/plans/{plan_id}/discard", given)
    assert "Alert" not in words_of(owner.get("/schools/lincoln").text)


def test_a_pause_is_ended_on_the_schools_page(
    owner: Browser, stranger: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    with database.begin() as opened:
        alerts.open_alert(opened, "school lincoln", "paused", "It failed 7 nights.", school=lincoln.id)
    assert "Let it run by itself again" in owner.get("/schools/lincoln").text
    assert stranger.send_form("/schools/lincoln/resume").status_code == 404
    assert owner.send_form("/schools/lincoln/resume").headers["location"] == "/schools/lincoln"
    text = words_of(owner.get("/schools/lincoln").text)
    assert "The school runs by itself again" in text
    assert "Paused" not in text
    assert "People 1 student " in text


def test_the_end_of_a_secret_is_told_until_a_later_day_is_saved(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    today, where = datetime.now(UTC).date(), "/schools/lincoln/settings/connection"
    with database.begin() as opened:
        ends = lincoln.connection.settings.model_copy(update={"secret_expires": today + timedelta(days=10)})
        tenant_changes.set_connection(opened, "sis", settings=ends)
        settle_expiry(opened, lincoln.connection.id, datetime.now(UTC))
    assert "It closes once a new Client Secret is saved." in words_of(owner.get("/schools/lincoln").text)
    later = changed(fields_of(owner.get(where).text), connection__secret_expires=str(today + timedelta(days=300)))
    assert owner.send_form(where, later).is_redirect
    assert "Client Secret" not in words_of(owner.get("/schools/lincoln").text)


def test_a_failed_run_says_who_started_it(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as opened:
        audit.record_run(opened, "run-1", "sync", lincoln, who="ann@example.org")
        alerts.record(opened, "lincoln", "raw_users", "lincoln: no answer.", "run-1")
        alerts.record(opened, "lincoln", "raw_users", "lincoln: no answer.", "run-2", night="2026-11-03")
        found = [entry.who for entry in school_history(opened, lincoln.id)]
        listed = [failure.who for failure in alerts.recent(opened, school_id=lincoln.id)]
    assert sorted(found) == sorted(listed) == ["ann@example.org", "schedule"]
    assert "ann@example.org" in owner.get("/schools/lincoln").text


def test_a_long_history_is_turned_page_by_page_without_losing_a_line(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as opened:  # one transaction: all of them at the same moment
        for number in range(45):
            alerts.record(opened, "lincoln", f"step_{number}", "lincoln: no answer.", None)
        seen, before = [], None
        while page := school_history(opened, lincoln.id, before=before, limit=7):
            seen += [one.id for one in page]
            before = page[-1].place
    assert len(seen) == len(set(seen)) == 45
    assert seen == sorted(seen, reverse=True)
    first = owner.get("/schools/lincoln").text
    older = first.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = words_of(owner.get(older).text)
    assert "Step: step 44." in words_of(first)
    assert "Step: step 0." in second
    for nonsense in ("x", "2026-01-01T00:00:00.q.1", "2026-01-01T00:00:00.s.x", "9.s.1"):
        assert owner.get("/schools/lincoln", params={"before": nonsense}).status_code == 404


def test_a_syncs_page_says_what_its_mail_said(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    held_creates(database, lincoln)
    put_reports(database)
    sync_id = one(database, "select max(id) from sync")
    page = owner.get(f"/schools/lincoln/syncs/{sync_id}")
    text = words_of(page.text)
    mailed = one(database, "select report ->> 'school_name' from sync")
    assert mailed == "Lincoln"
    assert "2 creations are held until someone decides; nothing else had to change." in text
    assert str(MANY["message"]) in text
    assert "Look and decide" in text
    assert "by night" not in text
    assert '<title id="chart-title">Changes by role</title>' in page.text
    assert "Roll back" in text


def test_a_sync_that_was_undone_says_so_and_cannot_be_undone_again(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    done = sync_rows(database, lincoln, newcomer("u1"))
    undone = roll_back(database, done.sync_id, who="it@example.org", reason="by mistake")
    text = words_of(owner.get(f"/schools/lincoln/syncs/{done.sync_id}").text)
    assert f"This sync was undone by rollback {undone.sync_id}" in text
    assert "Roll back" not in text
    text = words_of(owner.get(f"/schools/lincoln/syncs/{undone.sync_id}").text)
    assert f"Undoes sync {done.sync_id}" in text
    assert "it@example.org" in text


def test_a_chart_has_a_bar_per_role_and_says_its_numbers() -> None:
    drawn = role_bars([RoleCounts("student", created=90, held=10), RoleCounts("teacher", unchanged=12)])
    assert 'width="90.0%"' in drawn
    assert "students: 90 created and 10 held; teachers: no change" in drawn
    assert "style=" not in drawn
    assert role_bars([RoleCounts("student", unchanged=12)]) == ""
    assert "&lt;b&gt;" in role_bars([RoleCounts("<b>", created=1)])
