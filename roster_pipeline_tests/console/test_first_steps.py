"""The first steps of a school, and the Roster Email before it is sent: preview and test mail."""

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text as sql

from roster_pipeline.directory import tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.oneroster.presets import presets
from roster_pipeline.services.school_status import fields_named, first_steps, next_of
from roster_pipeline.settings.school import RoleSettings
from roster_pipeline_tests.console.conftest import OWNER, Browser
from roster_pipeline_tests.console.filling import fields_of
from roster_pipeline_tests.console.held_plans import CREATES, INCOMPLETE, held_creates
from roster_pipeline_tests.directory.builders import newcomer, sync_rows, write_plan
from roster_pipeline_tests.district import change_school
from roster_pipeline_tests.scenarios.mailbox import mail_server

REPORT = "/schools/lincoln/settings/report"
GREEN: list[dict[str, Any]] = [
    {"name": "School", "ok": True, "detail": "Lincoln High, found by sourcedId", "remedy": "", "value": "Lincoln High"},
    {"name": "Students", "ok": None, "detail": "1200 in this school", "remedy": "", "value": 1200},
    {"name": "Teachers", "ok": None, "detail": "0 in this school", "remedy": "", "value": 0},
]


def next_step(database: Database) -> tuple[str, str] | None:
    with database.begin() as conn:
        step = next_of(first_steps(conn, tenants.get_school(conn, "lincoln")))
    return None if step is None else (step.button, step.path)


def test_each_step_leads_to_the_next_one(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    change_school(database, "lincoln", students=RoleSettings())
    assert next_step(database) == ("Test Your Information", "/settings/connection")
    assert "First steps" in owner.get("/schools/lincoln").text
    with database.begin() as conn:
        tenant_changes.save_test(conn, tenants.get_school(conn, "lincoln"), GREEN)
    assert next_step(database) == ("Choose the roles", "/settings/synced")
    shown = owner.get("/schools/lincoln").text
    assert "Lincoln High: 1,200 students, 0 teachers" in shown, "before a switch is set"
    assert 'class="button primary" href="/schools/lincoln/settings/synced"' in shown
    assert "The last test found Lincoln High: 1,200 students" in owner.get("/schools/lincoln/settings/synced").text
    sync_rows(database, lincoln)
    change_school(database, "lincoln", students=RoleSettings(rostered=True))
    assert next_step(database) == ("Dry run", "/runs"), "a sync that looked for nobody is no first sync"
    assert '<button class="primary" type="submit">Dry run' in owner.get("/schools/lincoln/runs").text
    write_plan(database, lincoln, [newcomer("u0")], held={CREATES: [INCOMPLETE]})
    assert next_step(database) == ("Sync now", "/runs"), "nobody can approve it"
    held_creates(database, lincoln)
    assert next_step(database) == ("Look and decide", "/holds")
    with database.begin() as conn:
        conn.execute(sql("update sync set outcome = 'applied', kind = 'approval'"))
    assert next_step(database) == ("Open the schedule", "/settings/schedule")
    change_school(database, "lincoln", automatic=True)
    assert next_step(database) is None
    for path in ("", "/runs", "/settings/synced"):
        assert "First steps" not in owner.get(f"/schools/lincoln{path}").text


def test_only_a_note_with_something_to_do_is_marked(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    marks = {"ok": (True, ""), "bad": (False, "Do it."), "warn": (None, "Look at it."), "note": (None, "")}
    items = [
        {"name": name, "ok": ok, "detail": "it is so", "remedy": remedy, "value": None}
        for name, (ok, remedy) in marks.items()
    ]
    with database.begin() as conn:
        tenant_changes.save_test(conn, tenants.get_school(conn, "lincoln"), items)
    shown = owner.get("/schools/lincoln/settings/connection").text
    for mark in marks:
        assert f'<li class="{mark}"><p><strong>{mark}</strong>' in shown


def _primary(browser: Browser, path: str) -> list[str]:
    """The highlighted buttons of a page."""
    found = re.findall(r'class="(?:button )?primary"[^>]*>([^<]+)<', browser.get(f"/schools/lincoln{path}").text)
    return [one.strip() for one in found]


def test_one_button_stands_out_and_it_is_the_next_step(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    change_school(database, "lincoln", students=RoleSettings(rostered=True))

    def shown() -> list[list[str]]:
        return [_primary(owner, path) for path in ("", "/runs", "/settings/connection", "/settings/synced")]

    test, save = ["Test Your Information"], ["Save"]
    assert shown() == [test, test, test, save]
    assert (
        'class="button" href="/schools/lincoln/settings/connection"'
        in owner.get("/schools/lincoln/settings/synced").text
    ), "the next step is there, and does not stand out beside Save"
    with database.begin() as conn:
        tenant_changes.save_test(conn, tenants.get_school(conn, "lincoln"), GREEN)
    assert shown() == [["Dry run"], ["Dry run"], save, save]
    write_plan(database, lincoln, [newcomer("u0")], dry_run=True)
    assert shown() == [["Sync now"], ["Sync now"], save, save]
    held_creates(database, lincoln)
    assert shown() == [["Look and decide"], ["Look and decide"], save, save]
    with database.begin() as conn:
        conn.execute(sql("update sync set outcome = 'applied', kind = 'approval'"))
        conn.execute(sql("update verdict set rows = 0"))
    assert shown()[1:] == [["Open the schedule"], save, save]
    change_school(database, "lincoln", automatic=True)
    assert shown() == [["Preview and run"], ["Sync now"], save, save]


def test_the_field_that_a_red_item_needs_is_named_and_unfolded(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    red = {"name": "Sign-in", "ok": False, "detail": "", "remedy": "Enter the token URL that the SIS shows."}
    assert [setting.title for setting in fields_named([red])] == ["Token URL"]
    assert fields_named([red | {"ok": True}]) == []
    folded = "<details>\n<summary>Advanced connection settings"
    assert folded in owner.get("/schools/lincoln/settings/connection").text
    database.call(tenant_changes.save_test, lincoln, [red])
    assert folded not in owner.get("/schools/lincoln/settings/connection").text


def test_guards_say_what_they_would_have_done(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    page = "/schools/lincoln/settings/guards"
    assert "would have held" not in owner.get(page).text, "nothing was synced"
    held_creates(database, lincoln)
    assert "Last sync: would have held nothing" in owner.get(page).text


def test_every_supported_sis_has_a_page_and_its_settings_lead_there(owner: Browser) -> None:
    shown = owner.get("/sis").text
    for one in presets():
        assert f'href="/sis/{one.name}"' in shown
        page = unescape(owner.get(f"/sis/{one.name}").text)
        assert one.display_name in page
        for text in (one.client_id_at, one.client_secret_at, one.school_id_at, one.csv_at, *one.permissions):
            assert text is None or text in page
    assert "sftp://" in shown
    assert owner.get("/sis/nowhere").status_code == 404
    assert 'href="/sis/powerschool"' in owner.get("/sis-hints?connection-sis=powerschool").text
    assert 'href="/sis#csv"' in owner.get("/schools/lincoln/settings/connection").text


def test_the_report_is_previewed_and_a_test_mail_goes_to_nobody_else(
    owner: Browser, database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_school(database, "lincoln", report_to=["head@lincoln.example"])
    before = owner.get(f"{REPORT}/preview")
    assert before.status_code == 200, "also before the first sync"
    assert "sandbox" in before.headers["content-security-policy"]
    assert "script" not in before.headers["content-security-policy"]
    held_creates(database, lincoln)
    preview = owner.get(f"{REPORT}/preview").text
    assert lincoln.name in preview
    assert "zyxpoison" not in preview.lower()
    with mail_server(monkeypatch) as office:
        answer = owner.send_form(f"{REPORT}/test-mail", fields_of(owner.get(REPORT).text, "/test-mail"))
        assert answer.headers["location"] == REPORT
        assert f"A test mail was sent to {OWNER}." in owner.get(REPORT).text
    message = office.messages[0][0]
    assert message["To"] == OWNER
    assert message["Subject"].startswith("Test: ")
    monkeypatch.setenv("ROSTER_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("ROSTER_MAIL_FROM", "roster@example.org")
    assert owner.send_form(f"{REPORT}/test-mail").is_redirect
    assert "The test mail could not be sent" in owner.get(REPORT).text
    monkeypatch.setattr("roster_pipeline.console.pages.settings.TEST_MAILS", 1)
    assert owner.send_form(f"{REPORT}/test-mail").status_code == 429
