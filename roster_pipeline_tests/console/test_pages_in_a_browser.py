"""Every page in a real browser: fit for screen readers in light and dark, for a phone, and for a keyboard alone."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from roster_pipeline.console.middleware import STATIC
from roster_pipeline.directory import alerts, manual_runs, uploads
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.fields import SECTIONS
from roster_pipeline.sync.outbox_sender import put_reports
from roster_pipeline_tests.console.browser import PHONE, WIDE, Open, faults_of
from roster_pipeline_tests.console.conftest import OPERATOR, OWNER, Console
from roster_pipeline_tests.console.held_plans import held_creates
from roster_pipeline_tests.console.test_isolation import MAIL, PARAMETER, ROUTES
from roster_pipeline_tests.directory.builders import add_school, newcomer, one, sync_rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(600)
RENAMED = """
insert into plan_row (plan_id, row, action, reason, role, sourced_ids, new_links, changes)
values (:plan, 900, 'update', 'fields', 'student', array['u-900'], '{}', '{"given_name": ["محمد", "أحمد"]}')
"""
FOCUS = """
() => { const at = document.activeElement; return (at.innerText || at.name || at.tagName).trim().split("\\n")[0]; }
"""


@pytest.fixture
def past(database: Database, people_let_in: None, lincoln: SchoolRow) -> dict[str, int | str]:
    """A school with a sync, two failures, an alert and a held plan. Returns the values for the paths."""
    sync_rows(database, lincoln, newcomer("u0"), newcomer("a-very-long-sourced-id-" + "x" * 60))
    database.call(alerts.record, "lincoln", "raw_users", "lincoln: the SIS did not answer. " + "word " * 30, "run-1")
    database.call(alerts.open_alert, "connection sis", "unreachable", "Away.", connection=lincoln.connection.id)
    database.call(add_school, "a-school-with-a-very-long-key-that-nobody-would-want-to-read-aloud")
    plan_id = held_creates(database, lincoln)
    put_reports(database)
    with database.begin() as opened:
        run = str(uuid.uuid4())
        manual_runs.ask(opened, run, lincoln.id, "lincoln", kind="sync", who=OWNER, host="here")
        manual_runs.end(opened, run, "The SIS did not answer.\nTry it again later.")
        upload = uploads.keep(opened, lincoln, ["Name", "Shoe"], [(2, ["Ada", "9"])], ["", ""], "", who=OPERATOR)
    known: dict[str, int | str] = {
        name: int(one(database, f"select max(id) from {name}")) for name in ("sync", "snapshot", "person")
    }
    first, other = (int(one(database, f"select min(id) from {name}")) for name in ("sync", "person"))
    return known | {"plan": plan_id, "first": first, "other": other, "run": run, "upload": upload}


PATHS = (
    "/",
    "/?q=nothing",
    "/holds",
    "/access",
    "/audit",
    "/account",
    "/people",
    "/people/{person}",
    "/people/{person}/beside?other={other}",
    "/people/duplicates?district=springfield",
    "/people/duplicates?district=springfield&said=two",
    "/people/conflicts",
    "/help",
    "/schools/new",
    "/districts/new",
    "/sis",
    "/sis/powerschool",
    "/sis/other",
    "/connections/sis/schools",
    "/connections/sis/test",
    "/districts/springfield",
    "/schools/lincoln",
    "/schools/lincoln/people",
    "/schools/lincoln/people/add",
    "/schools/lincoln/people/upload",
    "/schools/lincoln/people/upload/{upload}",
    "/schools/lincoln/leavers",
    "/schools/lincoln/duplicates",
    "/schools/lincoln/conflicts",
    *(f"/schools/lincoln/settings/{section.key}" for section in SECTIONS),
    "/schools/lincoln/holds",
    "/schools/lincoln/runs",
    "/schools/lincoln/runs/{run}",
    "/schools/lincoln/audit",
    "/schools/lincoln/plans/{plan}",
    "/schools/lincoln/syncs/{sync}",
    "/schools/lincoln/syncs/{first}/rollback",
    "/schools/lincoln/rejected/{snapshot}",
    "/schools/nowhere",
)
NO_PAGES = ("/health", "/static", "/sign-in", "/sis-hints", "/access/places")
"""Files, pieces of pages, and the pages before the sign-in, which have a test of their own."""


def test_every_page_is_fit_for_screen_readers_and_phones(open_page: Open, past: dict[str, int | str]) -> None:
    faults = {}
    page = open_page(OPERATOR)
    for path in PATHS:
        answer = page.goto(path.format(**past))
        headings = page.locator("h1").count()
        found = faults_of(page) + ([f"{headings} first headings"] if headings != 1 else [])
        if answer is None or answer.status != (404 if path == "/schools/nowhere" else 200):
            found.append(f"answered {answer and answer.status}")
        if found:
            faults[path] = found
    assert faults == {}


def test_no_page_is_left_out() -> None:
    for method, route in ROUTES:
        if method == "GET" and not route.startswith(NO_PAGES) and not route.endswith(("/progress", ".csv", MAIL)):
            shape = re.compile(PARAMETER.sub("[^/]+", route) + "(/connection)?")  # settings lead to their first section
            assert any(shape.fullmatch(path.partition("?")[0]) for path in PATHS), route


def test_a_dark_page_differs_in_the_values_of_colours_alone() -> None:
    css = (STATIC / "console.css").read_text("utf-8")
    dark = re.findall(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}\s*\}", css, re.DOTALL)
    assert len(dark) == css.count("prefers-color-scheme")
    assert all(line.strip().startswith("--") for lines in dark for line in lines.split(";") if line.strip())


def test_the_pages_before_the_sign_in_are_fit_too(open_page: Open) -> None:
    page = open_page()
    for path in ("/sign-in", "/sign-in/link?token=x"):
        page.goto(path)
        assert faults_of(page) == [], path


def test_the_keyboard_reaches_the_content_first_and_then_everything_in_order(
    open_page: Open, past: dict[str, int | str]
) -> None:
    page = open_page(OWNER)
    page.goto("/schools/lincoln")
    assert _tabbed(page, 9) == [
        "Skip to the content",
        "Roster",
        "Schools",
        "People",
        "Holds",
        OWNER,
        "Sign out",
        "Schools",
        "Syncs",
    ]
    page.goto("/schools/lincoln")
    page.keyboard.press("Tab")
    assert page.locator(".skip").evaluate("it => it.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS) == "Schools"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_search_answers_while_one_types(open_page: Open, past: dict[str, int | str]) -> None:
    page = open_page(OPERATOR)
    page.goto("/")
    page.get_by_label("Search by name or key").press_sequentially("foreign")
    page.get_by_role("status").filter(has_text="1 school found for").wait_for()
    assert page.locator("table.schools tbody tr").count() == 1
    assert page.url.endswith("/?q=foreign&state=")
    page.get_by_label("Search by name or key").fill("")
    page.get_by_label("Show").select_option("held")
    page.get_by_role("status").filter(has_text="1 school").wait_for()
    page.get_by_role("link", name="Lincoln").wait_for()


def test_pages_work_without_scripts(open_page: Open, past: dict[str, int | str]) -> None:
    page = open_page(OWNER, script=False)
    page.goto("/")
    page.get_by_label("Search by name or key").fill("nowhere")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("No school fits.").wait_for()
    page.goto("/")
    page.get_by_role("link", name="Lincoln", exact=True).click()
    page.get_by_role("heading", name="Lincoln").wait_for()


def test_on_a_phone_every_cell_says_what_it_is(open_page: Open, past: dict[str, int | str]) -> None:
    page = open_page(OWNER)
    page.set_viewport_size(PHONE)
    page.goto("/")
    said = page.locator("td[data-label='Last sync']").first.evaluate("it => getComputedStyle(it, '::before').content")
    assert said == '"Last sync"'
    page.set_viewport_size(WIDE)
    assert page.get_by_role("columnheader", name="Last sync").is_visible()


def test_a_long_name_stays_inside_its_page(open_page: Open, database: Database, past: dict[str, int | str]) -> None:
    with database.begin() as opened:
        opened.execute(text("update school set name = :name where key = 'lincoln'"), {"name": "Llanfair" * 25})
    page = open_page(OWNER)
    page.goto("/")
    edges = [page.locator(name).evaluate("it => it.getBoundingClientRect().right") for name in ("#schools", ".schools")]
    assert edges[1] <= edges[0]
    for path in ("/", "/schools/lincoln", "/schools/lincoln/settings", "/schools/lincoln/holds"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDE["width"], path
        assert faults_of(page) == [], path


def test_what_was_stands_before_what_comes_also_where_names_run_from_right_to_left(
    open_page: Open, database: Database, past: dict[str, int | str]
) -> None:
    with database.begin() as opened:
        opened.execute(text(RENAMED), {"plan": past["plan"]})
    page = open_page(OWNER)
    page.goto(f"/schools/lincoln/plans/{past['plan']}?action=update")
    line = page.get_by_role("listitem").filter(has_text="given name")
    places = line.locator("bdi").evaluate_all("all => all.map(it => [it.textContent, it.getBoundingClientRect().left])")
    assert [name for name, _ in sorted(places, key=lambda one: one[1])] == ["محمد", "أحمد"]


def test_a_form_outlives_its_session(
    open_page: Open, database: Database, people_let_in: None, console: Console
) -> None:
    page = open_page(OWNER)
    page.goto("/schools/lincoln/settings/connection")
    page.get_by_label("Client ID", exact=True).fill("roster-4711")
    with database.begin() as opened:
        opened.execute(text("update console_session set seen_at = now() - interval '3 hours'"))
    page.get_by_role("button", name="Test Your Information").click()
    page.locator("#test").get_by_text("press the button once more").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("reload it: your browser then sends the form once more").wait_for()
    assert faults_of(page) == []
    way = page.get_by_role("link", name="Sign in again in a new tab").get_attribute("href")
    assert way == "/sign-in?next=%2Fschools%2Flincoln%2Fsettings%2Fconnection"
    with console.signed_in(OWNER) as again:
        token = again.cookies[console.config.session_cookie]
    page.context.add_cookies([{"name": console.config.session_cookie, "value": token, "url": console.url}])
    page.reload()
    page.get_by_role("status").filter(has_text="Saved.").wait_for()
    assert one(database, "select settings ->> 'client_id' from connection where key = 'sis'") == "roster-4711"


def _tabbed(page: Page, times: int) -> list[str]:
    reached = []
    for _ in range(times):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUS))
    return reached
