"""One problem for each state of a school, in a real browser: the first sentence of the page, and the target of its
button.

Each page on the way is checked for screen readers, in light and dark, and on a phone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from roster_pipeline.directory import alerts
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.school_changes import pause
from roster_pipeline.sync import SyncError
from roster_pipeline.sync.alerts import MOST_NIGHTS, record_failure
from roster_pipeline.sync.monitoring import settle
from roster_pipeline.sync.outbox_sender import put_reports
from roster_pipeline.vocabulary import day
from roster_pipeline_tests.console.browser import Open, faults_of
from roster_pipeline_tests.console.conftest import MANAGER, OWNER
from roster_pipeline_tests.console.held_plans import CREATES, INCOMPLETE, MANY, held_archive, held_creates
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.district import change_school

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("people_let_in")]
CLAIMED = MANY | {"guard": "claimed_people", "message": "1 person of another connection.", "approver": "manager"}
AWAY = "lincoln: the SIS did not answer within 60 seconds"
REFUSED = "lincoln: the SIS refused the sign-in (401 invalid_client at its token address)"
SOON = datetime.now(UTC).date() + timedelta(days=14)
HOME = "/schools/lincoln"


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
    builders.sync_rows(database, lincoln, builders.newcomer("old", "Grace"), builders.newcomer("older", "Alan"))
    leaving = [
        builders.row("archive", builders.person_of(database, name), links=[name], reason="left")
        for name in ("old", "older")
    ]
    held = {("student", "create"): [MANY], ("student", "archive"): [MANY | {"guard": "archivals"}]}
    builders.apply_plan(
        database, builders.write_plan(database, lincoln, [builders.newcomer("u1"), *leaving], held=held), who="night"
    )
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
    archived = builders.every(
        database,
        "select p.given_name from membership m join person p on p.id = m.person_id where m.status = 'archived'",
    )
    assert archived == [("Alan",)]
    assert faults_of(page) == []


def _not_approvable(database: Database, school: SchoolRow) -> None:
    held_archive(database, school, INCOMPLETE)
    put_reports(database)
    database.call(settle, school.id, datetime.now(UTC))


def _refused(database: Database, school: SchoolRow) -> None:
    held_creates(database, school)
    database.call(alerts.record, school.key, "raw_users", REFUSED, run_id=None, cause="credentials")


def _away(database: Database, school: SchoolRow) -> None:
    database.call(alerts.record, school.key, "raw_users", AWAY, run_id=None, cause="step")


def _paused(database: Database, school: SchoolRow) -> None:
    builders.sync_rows(database, school, builders.newcomer("u1"))
    put_reports(database)
    database.call(pause, SOON, school=school.key, who=OWNER, reason="the summer holidays")


def _silent(database: Database, school: SchoolRow) -> None:
    builders.sync_rows(database, school, builders.newcomer("u1"))
    put_reports(database)
    change_school(database, school.key, automatic=True)
    database.call(alerts.open_alert, f"school {school.key}", alerts.STALE, "No sync was finished.", school=school.id)


def _failed_for_a_week(database: Database, school: SchoolRow) -> None:
    change_school(database, school.key, automatic=True)
    for night in range(1, MOST_NIGHTS + 1):
        away = SyncError(school.key, "the SIS did not answer within 60 seconds", "Is it up?")
        record_failure(database, school.key, "raw_users", away, f"run-{night}", f"2026-11-{night:02}")


@pytest.mark.parametrize(
    ("happens", "badge", "said", "button", "leads_to"),
    [
        (_not_approvable, "Held", "Nobody can approve it. It closes once a newer plan", "Sync again", "/holds"),
        (_refused, "Failed", "The SIS refused the sign-in", "Test and settings", "/settings"),
        (_away, "Failed", "The SIS did not answer within 60 seconds", "Sync again", "/runs"),
        (_paused, "Paused", f"Paused until {day(SOON)}", "Let it run by itself again", "/holds"),
        (_silent, "Silent", "No sync was finished.", "Sync now", "/runs"),
        (_failed_for_a_week, "Failed", "It is paused after a week of failed nights.", "Sync again", "/runs"),
    ],
)
def test_the_page_says_what_happened_and_its_one_button_is_the_next_step(
    open_page: Open,
    database: Database,
    lincoln: SchoolRow,
    happens: Callable[[Database, SchoolRow], None],
    badge: str,
    said: str,
    button: str,
    leads_to: str,
) -> None:
    happens(database, lincoln)
    page = _opened(open_page)
    assert (page.locator("main .badge").first.inner_text(), _primary(page)) == (badge, [button])
    assert said in page.locator("main").inner_text()
    page.goto(HOME + leads_to)
    assert faults_of(page) == []


def test_only_the_manager_decides_then_several_schools_at_once(
    open_page: Open, database: Database, lincoln: SchoolRow
) -> None:
    plan_id = builders.write_plan(database, lincoln, [builders.newcomer("u1")], held={CREATES: [CLAIMED]})
    builders.apply_plan(database, plan_id, who="night")
    with database.begin() as opened:
        east, west = builders.add_school(opened, "east"), builders.add_school(opened, "west")
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
    assert builders.one(database, "select count(*) from person") == 4
    owner.goto(HOME)
    assert "Held" not in owner.locator("#now ~ p").first.inner_text()


def test_leavers_are_announced_from_a_file(
    open_page: Open, database: Database, lincoln: SchoolRow, tmp_path: object
) -> None:
    builders.sync_rows(database, lincoln, builders.newcomer("u1", "Ada"), builders.newcomer("u2", "Grace"))
    page = _opened(open_page, f"{HOME}/leavers")
    file: FilePayload = {"name": "leavers.csv", "mimeType": "text/csv", "buffer": b"u1\nu2\n"}
    page.get_by_label("Or a file").set_input_files(files=[file])
    page.wait_for_function("document.getElementById('people').value === 'u1\\nu2'")
    page.get_by_label("They leave on").fill(SOON.isoformat())
    page.get_by_label("Reason").fill("the last class")
    page.get_by_role("button", name="Announce", exact=True).click()
    page.get_by_text("2 people are announced as leaving").wait_for()
    assert faults_of(page) == []
