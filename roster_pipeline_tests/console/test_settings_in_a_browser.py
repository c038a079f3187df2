"""The settings form, the live test and a run's progress in a real Chromium, with and without scripts."""

import re
from pathlib import Path

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.runtime.embedded import DAGSTER_URL
from roster_pipeline_tests.console.browser import LEFT_OUT, PATIENCE, Open, faults_of, staying
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER
from roster_pipeline_tests.console.served_sis import SECRET, Served, school_in

pytestmark = pytest.mark.timeout(600)
expect = pytest.importorskip("playwright.sync_api", reason=f"{LEFT_OUT}Playwright is not installed.").expect
PAGE = "/schools/lincoln/settings/connection"


@pytest.fixture
def lincoln(database: Database, environment: Path, sis: Served) -> SchoolRow:
    return school_in(database, sis)


def test_a_wrong_secret_then_the_right_one_then_every_night(open_page: Open, people_let_in: None) -> None:
    page = open_page(OWNER)
    page.goto(PAGE)
    secret, test = page.get_by_label("Client Secret", exact=True), page.get_by_role("button", name="Test Your Inform")
    secret.fill("wrong")
    test.click()
    results = page.get_by_role("log", name="Results of the test")
    expect(page.get_by_text("Not everything works yet.")).to_be_visible(timeout=PATIENCE)
    expect(results).to_contain_text("Check Client ID and Client Secret")
    secret.fill(SECRET)
    test.click()
    expect(page.get_by_text("Everything works.")).to_be_visible(timeout=PATIENCE)
    assert page.locator("main .primary").all_inner_texts() == ["Save"], "not the test any more"
    expect(results.get_by_role("listitem").nth(8)).to_be_visible()
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1, "the page was not loaded again"
    assert faults_of(page) == []
    page.locator("#test").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    expect(secret).to_have_value("")
    page.get_by_role("link", name="What is synced").click()
    page.get_by_label("Students: Auto update").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Students: Auto update")).to_be_checked()
    page.get_by_role("link", name="Schedule").click()
    page.get_by_label("Enable Automatic Rostering").check()
    page.get_by_label("Time zone").fill("america/chicago")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("synced every night")
    expect(page.get_by_label("Enable Automatic Rostering")).to_be_checked()
    expect(page.get_by_label("Time zone")).to_have_value("America/Chicago")


def test_an_error_is_next_to_its_field_and_its_group_is_open(open_page: Open, people_let_in: None) -> None:
    page = open_page(OPERATOR)
    page.goto(PAGE)
    page.get_by_label("SIS", exact=True).select_option("infinite-campus")
    expect(page.get_by_text("Where to find it in Infinite Campus")).to_be_visible()
    page.get_by_text("Advanced connection settings").click()
    page.get_by_label("Page size").fill("many")
    page.get_by_label("School ID").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("2 fields need a look")
    expect(page.get_by_role("link", name="School ID: Fill this in.")).to_be_visible()
    wrong = page.get_by_label("Page size")
    expect(wrong).to_be_visible()
    expect(wrong).to_have_value("many")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    assert faults_of(page) == []
    page.goto(PAGE.replace("connection", "guards"))
    page.get_by_label("Archived people (percent)").fill("500")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Archived people: Write a percentage from 0 to 100.").click()
    expect(page.get_by_label("Archived people (percent)")).to_be_focused()
    assert faults_of(page) == []
    page.goto(PAGE.replace("connection", "synced"))
    page.get_by_text("More about roles and people").click()
    assert faults_of(page) == []


def test_leaving_with_changes_that_were_not_saved_asks_first(open_page: Open, people_let_in: None) -> None:
    page = open_page(OWNER)
    asked = staying(page)
    page.goto(PAGE.replace("connection", "synced"))
    page.get_by_label("Name of the school").fill("Lincoln High")
    page.get_by_role("link", name="Roster Email").click()
    expect(page.get_by_label("Name of the school")).to_have_value("Lincoln High")
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    page.get_by_role("link", name="Roster Email").click()
    expect(page.get_by_role("heading", name="Roster Email")).to_be_visible()
    assert asked == ["beforeunload"], "nothing is lost by saving, or by leaving what was saved"


def test_the_form_and_its_test_work_without_scripts(open_page: Open, people_let_in: None) -> None:
    page = open_page(OWNER, script=False)
    page.goto(PAGE)
    page.get_by_label("Client Secret", exact=True).fill(SECRET)
    page.get_by_role("button", name="Test Your Information").click()
    expect(page.get_by_text("Everything works.")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("Client Secret", exact=True)).to_have_value("")
    page.locator("#test").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved.")
    expect(page.get_by_text("Last test:")).to_contain_text("Everything works")


def test_a_dry_run_is_followed_to_its_plan(
    open_page: Open, people_let_in: None, dagster_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DAGSTER_URL, dagster_url)
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).parents[2]))
    page = open_page(OWNER)
    page.goto("/schools/lincoln/runs")
    assert faults_of(page) == []
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("list", name="Steps of the run")).to_be_visible()
    expect(page.get_by_text("The dry run is done. Nothing was changed.")).to_be_visible(timeout=300_000)
    assert faults_of(page) == []
    page.get_by_role("link", name="See what would change").click()
    expect(page).to_have_url(re.compile(r"/schools/lincoln/plans/\d+"))


def test_a_manager_ticks_a_school_of_the_sis_while_its_people_are_counted(open_page: Open, people_let_in: None) -> None:
    page = open_page(MANAGER)
    page.goto("/")
    page.get_by_role("link", name="Add schools").first.click()
    assert faults_of(page) == []
    page.get_by_role("button", name="Show its schools").click()
    page.get_by_role("checkbox").first.check(timeout=PATIENCE)
    expect(page.locator("#people-sch-2")).to_contain_text("students", timeout=PATIENCE)
    expect(page.get_by_role("checkbox").first).to_be_checked()
    assert faults_of(page) == []
    page.get_by_role("button", name="Add the schools").click()
    expect(page.get_by_role("status").first).to_contain_text("was added")
    page.get_by_role("link", name="Settings", exact=True).click()
    expect(page.get_by_text("This connection is shared with Lincoln.")).to_be_visible()

    page.goto("/connections/sis/test")
    page.get_by_role("button", name="Test these 2 schools").click()
    expect(page.get_by_text(re.compile(r"\d+ students"))).to_have_count(2, timeout=PATIENCE)
    assert faults_of(page) == []
    page.goto("/districts/springfield")
    page.get_by_label("Take the settings of").select_option("Lincoln")
    page.get_by_role("button", name="Begin with these settings").click()
    expect(page.get_by_text("New schools begin with these settings.").first).to_be_visible()
    assert faults_of(page) == []
    page.goto("/connections/sis/schools")
    expect(page.get_by_label("Settings", exact=True)).to_contain_text("The district’s defaults")
