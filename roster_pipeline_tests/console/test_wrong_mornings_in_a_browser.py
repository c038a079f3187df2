"""A wrong morning per state, in a real browser: what the page says first, and where its one button leads.

Held and decided, held and not approvable, a refused sign-in, a SIS that is away, a school that somebody paused, one
that is silent, one that failed for a week, a secret that ends, what the manager decides, several schools at once. Each
page on the way is looked at for screen readers, in light and dark, and on a phone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from roster_pipeline.directory import alerts, tenant_changes
from roster_pipeline.directory.apply import apply_plan
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.school_status import RESUME
from roster_pipeline.sync import SyncError
from roster_pipeline.sync.alerts import MOST_NIGHTS, record_failure, settle_expiry
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.outbox_sender import put_reports
from roster_pipeline.vocabulary import day
from roster_pipeline_tests.console.browser import Open, faults_of
from roster_pipeline_tests.console.conftest import MANAGER, OWNER
from roster_pipeline_tests.console.held_plans import CREATES, INCOMPLETE, MANY, held_archive, held_creates
from roster_pipeline_tests.directory.builders import (
    add_school,
    every,
    newcomer,
    one,
    person_of,
    row,
    sync_rows,
    write_plan,
)
from roster_pipeline_tests.district import change_school

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("people_let_in")]
CLAIMED = MANY | {"guard": "claimed_people", "message": "1 person of another connection.", "approver": "manager"}
AWAY = "lincoln: the SIS did not answer within 60 seconds"
REFUSED = "lincoln: the SIS refused the sign-in (401 invalid_client at its token address)"
SOON = datetime.now(UTC).date() + timedelta(days=14)
HOME = "/schools/lincoln"


def _fails(database: Database, message: str, cause: str) -> None:
    with database.begin() as opened:
        alerts.record(opened, "lincoln", "raw_users", message, run_id=None, cause=cause)


def _opened(open_page: Open, path: str = HOME, who: str = OWNER) -> Page:
    page = open_page(who)
    page.goto(path)
    assert faults_of(page) == []
    return page


def _primary(page: Page) -> list[str]:
    """The highlighted button; there is only one."""
    return [str(button).strip() for button in page.locator("main .primary").all_inner_texts()]


def test_held_and_decided_in_parts_with_one_row_left_out(
    open_page: Open, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("old", "Grace"), newcomer("older", "Alan"))
    leaving = [row("archive", person_of(database, name), links=[name], reason="left") for name in ("old", "older")]
    held = {("student", "create"): [MANY], ("student", "archive"): [MANY | {"guard": "archivals"}]}
    apply_plan(database, write_plan(database, lincoln, [newcomer("u1"), *leaving], held=held), who="night")
    put_reports(database)
    page = _opened(open_page)
    assert _primary(page) == ["Look and decide"]
    page.get_by_role("link", name="Look and decide").click()
    page.get_by_text("3 changes wait for a decision").wait_for()
    assert faults_of(page) == []

    page.get_by_role("button", name="Who").click()
    page.locator("th[aria-sort=ascending]").wait_for()
    page.get_by_label("Leave out Grace Lovelace").check()
    page.locator("#exempt-reason").fill("on a journey")
    page.get_by_role("button", name="Leave the chosen rows out").click()
    page.get_by_text("1 row is left out, in this plan and in later ones.").wait_for()
    assert faults_of(page) == []

    page.get_by_label("1 creation of students").uncheck()
    page.locator("#approve-reason").fill("Alan has left")
    page.get_by_role("button", name="Approve and apply").click()
    page.get_by_text("1 row stays held.").wait_for()
    archived = every(
        database,
        "select p.given_name from membership m join person p on p.id = m.person_id where m.status = 'archived'",
    )
    assert archived == [("Alan",)]
    assert faults_of(page) == []


def test_held_and_not_approvable_leads_to_another_sync(open_page: Open, database: Database, lincoln: SchoolRow) -> None:
    held_archive(database, lincoln, INCOMPLETE)
    put_reports(database)
    with database.begin() as opened:
        settle(opened, lincoln.id, datetime.now(UTC))
    page = _opened(open_page)
    assert _primary(page) == ["Sync again"]
    page.get_by_text("Nobody can approve it. It closes once a newer plan holds nothing.").wait_for()
    assert "decides" not in page.locator("main").inner_text()
    page.goto(f"{HOME}/holds")
    page.get_by_text("An approval cannot let this through").wait_for()
    assert _primary(page) == ["Sync again"]
    assert faults_of(page) == []
    page.get_by_role("link", name="Sync again").click()
    page.get_by_role("button", name="Sync now").wait_for()


def test_a_refused_sign_in_leads_to_the_settings(open_page: Open, database: Database, lincoln: SchoolRow) -> None:
    held_creates(database, lincoln)
    _fails(database, REFUSED, "credentials")
    page = _opened(open_page)
    assert page.locator(".lead").first.inner_text().startswith("The SIS refused the sign-in")
    assert _primary(page) == ["Test and settings"]
    page.get_by_role("link", name="Test and settings").click()
    page.get_by_label("Client ID", exact=True).wait_for()
    assert faults_of(page) == []


def test_a_sis_that_is_away_leads_to_another_sync(open_page: Open, database: Database, lincoln: SchoolRow) -> None:
    _fails(database, AWAY, "step")
    page = _opened(open_page)
    assert page.locator(".lead").first.inner_text().startswith("The SIS did not answer within 60 seconds")
    assert _primary(page) == ["Sync again"]
    with database.begin() as opened:
        add_school(opened, "east")
    district = _opened(open_page, "/districts/springfield", MANAGER)
    district.get_by_text("1 of 2 failing").wait_for()
    district.get_by_text("1 school needs attention").click()
    district.get_by_role("link", name="Lincoln").wait_for()


def test_a_school_is_paused_and_runs_again(open_page: Open, database: Database, lincoln: SchoolRow) -> None:
    change_school(database, "lincoln", automatic=True)
    page = _opened(open_page)
    page.get_by_text("Pause until a day").click()
    page.get_by_label("First day with syncs again").fill(SOON.isoformat())
    page.locator("#pause-reason").fill("the summer holidays")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("status").get_by_text(f"Paused until {day(SOON)}").wait_for()
    assert faults_of(page) == []
    assert _primary(page) == ["Let it run by itself again"]
    page.get_by_role("button", name="Let it run by itself again").click()
    page.get_by_text("The school runs by itself again").wait_for()
    assert one(database, "select paused_until from school where key = 'lincoln'") is None


def test_a_silent_school_then_one_that_failed_for_a_week_then_a_secret_that_ends(
    open_page: Open, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1"))
    put_reports(database)
    change_school(database, "lincoln", automatic=True)
    with database.begin() as opened:
        silent = alerts.open_alert(opened, "school lincoln", alerts.STALE, "No sync was finished.", school=lincoln.id)
    page = _opened(open_page)
    assert (page.locator("main .badge").first.inner_text(), _primary(page)) == ("Silent", ["Sync now"])
    page.get_by_role("link", name="Sync now").click()
    page.get_by_role("button", name="Sync now").wait_for()
    assert _primary(page) == ["Sync now"]

    with database.begin() as opened:
        alerts.close(opened, silent or 0)
    for night in range(1, MOST_NIGHTS + 1):
        away = SyncError("lincoln", "the SIS did not answer within 60 seconds", "Is it up?")
        record_failure(database, "lincoln", "raw_users", away, f"run-{night}", f"2026-11-{night:02}")
    page.goto(HOME)
    assert (page.locator("main .badge").first.inner_text(), _primary(page)) == ("Failed", ["Sync again"])
    page.get_by_text("It is paused after a week of failed nights.").wait_for()
    assert faults_of(page) == []
    page.get_by_role("button", name=RESUME).click()
    page.get_by_text("The school runs by itself again").wait_for()
    assert page.get_by_role("button", name=RESUME).count() == 0

    sync_rows(database, lincoln, newcomer("u2"))
    change_school(database, "lincoln", automatic=False)  # else it needs a test to save
    with database.begin() as opened:
        ends = lincoln.connection.settings.model_copy(update={"secret_expires": SOON - timedelta(days=4)})
        tenant_changes.set_connection(opened, "sis", settings=ends)
        settle_expiry(opened, lincoln.connection.id, datetime.now(UTC))
    page.goto(HOME)
    page.get_by_text("It closes once a new Client Secret is saved.").wait_for()
    assert faults_of(page) == []
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_text("Advanced connection settings").click()
    page.get_by_label("Secret valid until").fill((SOON + timedelta(days=300)).isoformat())
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved.").wait_for()
    page.goto(HOME)
    assert "Client Secret" not in page.locator("main").inner_text()


def test_only_the_manager_decides_then_several_schools_at_once(
    open_page: Open, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = write_plan(database, lincoln, [newcomer("u1")], held={CREATES: [CLAIMED]})
    apply_plan(database, plan_id, who="night")
    with database.begin() as opened:
        east, west = add_school(opened, "east"), add_school(opened, "west")
    held_creates(database, east, "e1")
    held_creates(database, west, "w1", "w2")
    put_reports(database)
    owner = _opened(open_page, f"{HOME}/holds")
    owner.get_by_text("The district's manager decides", exact=True).wait_for()
    assert owner.get_by_role("button", name="Approve and apply").count() == 0
    manager = _opened(open_page, f"{HOME}/holds", MANAGER)
    manager.locator("#approve-reason").fill("they are here too")
    manager.get_by_role("button", name="Approve and apply").click()
    manager.get_by_text(f"Plan {plan_id} was approved and applied.").wait_for()

    manager.goto("/holds")
    manager.get_by_label("All 2 schools of this page that can be decided").check()
    assert (faults_of(manager), _primary(manager)) == ([], ["Decide"])
    manager.get_by_label("Reason").fill("the office confirmed")
    manager.get_by_role("button", name="Decide").click()
    manager.get_by_text("2 of 2 schools.").wait_for()
    assert faults_of(manager) == []
    assert one(database, "select count(*) from person") == 4
    owner.goto(HOME)
    assert "Held" not in owner.locator("#now ~ p").first.inner_text()


def test_leavers_are_announced_from_a_file(
    open_page: Open, database: Database, lincoln: SchoolRow, tmp_path: object
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada"), newcomer("u2", "Grace"))
    page = _opened(open_page, f"{HOME}/leavers")
    file: FilePayload = {"name": "leavers.csv", "mimeType": "text/csv", "buffer": b"u1\nu2\n"}
    page.get_by_label("Or a file").set_input_files(files=[file])
    page.wait_for_function("document.getElementById('people').value === 'u1\\nu2'")
    page.get_by_label("They leave on").fill(SOON.isoformat())
    page.get_by_label("Reason").fill("the last class")
    page.get_by_role("button", name="Announce", exact=True).click()
    page.get_by_text("2 people are announced as leaving").wait_for()
    assert faults_of(page) == []
