"""Two days of an owner, from the first click to the last, in a real browser: a first day, and a bad morning.

Nothing is replaced: a simulated SIS over HTTP, mails through a real SMTP server, runs as processes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from roster_pipeline.defs.resources import InstallationResource
from roster_pipeline.directory import accounts, tenants
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.runtime.embedded import DAGSTER_URL
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline.sync.outbox_sender import send_due
from roster_pipeline_tests.console.browser import Open, faults_of
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, STRANGER, link_in
from roster_pipeline_tests.console.served_sis import CLIENT, SECRET, Served, school_in, served_sis
from roster_pipeline_tests.directory.builders import add_school, one
from roster_pipeline_tests.scenarios.mailbox import Mailbox, post_office

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(900)
A_RUN = 300_000
"""Milliseconds that a run may take on a machine with other things to do."""
LEAVERS = 8
REASON = "the office says that they are still here"
ACTIVE = "select count(*) from membership where status = 'active' and role = 'student'"


@pytest.fixture
def sis() -> Iterator[Served]:
    """A SIS of the test's own: its people leave."""
    with served_sis() as served:
        yield served


@pytest.fixture
def lincoln(database: Database, environment: Path, sis: Served) -> SchoolRow:
    """What an operator prepares: the school with its address, which is on this machine, and nothing else."""
    school_in(database, sis, secret=None)
    with database.begin() as opened:
        settings = ConnectionSettings(url=sis.url, allow_private_addresses=True)
        tenants.set_connection(opened, "sis", settings)
        tenants.set_school(opened, "lincoln", SchoolSettings(school_id="to-be-filled-in"))
        found = tenants.get_school(opened, "lincoln")
        accounts.grant(opened, OWNER, Place(school_id=found.id), by="operator")
    return found


@pytest.fixture
def dagster(environment: Path, dagster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's own tables, for the runs' processes."""
    monkeypatch.setenv(DAGSTER_URL, dagster_url)
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).parents[2]))


@pytest.fixture
def post(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """The mail server that the console sends to."""
    with post_office(monkeypatch) as office:
        yield office


def test_a_first_day_from_the_invitation_to_the_first_applied_sync(
    open_page: Open, database: Database, sis: Served, post: Mailbox, environment: Path, dagster: None
) -> None:
    with database.begin() as opened:
        accounts.grant(opened, OPERATOR, Place(), by="test")
    page = open_page(OPERATOR)
    page.goto("/districts/new")
    page.get_by_label("Name", exact=True).fill("Springfield")
    page.get_by_label("Managers").fill(MANAGER)
    page.get_by_role("button", name="Add the district").click()
    page.get_by_text("Springfield was added.").wait_for()
    with database.begin() as opened:  # only an operator may let a connection into this machine's network
        settings = ConnectionSettings(url=sis.url, allow_private_addresses=True)
        tenants.add_connection(opened, "springfield", "sis", settings, None)
    send_due(database, InstallationResource().mailer())
    invitation = _newest_mail(page, post)
    assert "You can now look after Springfield in Roster." in invitation

    page = open_page()
    post.messages.clear()
    page.goto(re.findall(r"http://127\.0\.0\.1:\d+(/\S+)", invitation)[0])
    page.get_by_label("E-mail").fill(MANAGER)
    page.get_by_role("button", name="Send me a link").click()
    page.get_by_role("heading", name="Look into your mail").wait_for()
    page.goto(link_in(_newest_mail(page, post)))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Add schools").wait_for()

    page.get_by_role("button", name="Show its schools").click()
    page.get_by_text("The schools could not be read.").wait_for()
    assert faults_of(page) == []
    page.get_by_label("Client ID", exact=True).fill(CLIENT)
    page.get_by_label("Client Secret", exact=True).fill(SECRET)
    page.get_by_role("button", name="Sign in and list the schools").click()
    school = next(org for org in sis.people.orgs if org.sourced_id == "sch-1")
    page.get_by_role("checkbox", name=school.name).check()
    page.get_by_role("button", name="Add the schools").click()
    page.get_by_text(f"{school.name} was added.").wait_for()
    assert faults_of(page) == []

    page.get_by_role("link", name="Test Your Information", exact=True).first.click()
    page.get_by_role("button", name="Test Your Information").click()
    page.get_by_text("Everything works.").wait_for()
    students = len(sis.people.people_of("sch-1", "student"))
    assert f"{school.name}: {students} students, " in page.locator("[data-state]").inner_text()
    assert page.locator("#test .steps li.bad").count() == 0
    assert faults_of(page) == []
    page.locator("#test").get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Choose the roles").click()
    page.get_by_label("Students rostered").check()
    page.get_by_label("Teachers rostered").check()
    _save(page)
    page.get_by_role("link", name="Dry run", exact=True).click()
    page.get_by_role("button", name="Dry run").click()
    page.get_by_text("The dry run is done. Nothing was changed.").wait_for(timeout=A_RUN)
    assert faults_of(page) == []
    assert one(database, "select count(*) from person") == 0

    page.get_by_role("link", name="Syncs", exact=True).click()
    page.get_by_text(re.compile(r"A sync would bring \d+ creations")).first.wait_for()
    page.get_by_role("link", name="Sync now").click()
    page.get_by_role("button", name="Sync now").click()
    page.get_by_text("Something is held.").wait_for(timeout=A_RUN)
    assert one(database, "select count(*) from person") == 0
    page.get_by_role("link", name="Look and decide").click()
    page.get_by_label("Reason").first.fill("checked against the office's list")
    page.get_by_role("button", name="Approve and apply").click()
    page.get_by_text(re.compile(r"^Approved plan applied: \d+ created\.$")).wait_for(timeout=A_RUN)
    assert one(database, ACTIVE) == students

    page.get_by_role("link", name="Syncs", exact=True).click()
    page.get_by_role("link", name="Open the schedule").click()
    page.get_by_label("Time zone").fill("america/chicago")
    page.get_by_label("Enable Automatic Rostering").check()
    _save(page)
    assert faults_of(page) == []
    assert page.get_by_role("heading", name="First steps").count() == 0
    page.get_by_role("link", name="Syncs", exact=True).click()
    assert page.get_by_text("20:00 (America/Chicago)").is_visible()
    assert one(database, "select count(*) from audit where who = :who and what = 'hold approved'", who=MANAGER) == 1


def test_a_bad_morning(
    open_page: Open, database: Database, lincoln: SchoolRow, sis: Served, post: Mailbox, dagster: None
) -> None:
    _set_up(database, sis)
    page = open_page(OWNER)
    _sync_now(page, "The sync is done.")
    students = sis.people.people_of("sch-1", "student")
    assert one(database, ACTIVE) == len(students)
    for leaver in students[:LEAVERS]:
        sis.people.remove(leaver.sourced_id)
    _sync_now(page, "Something is held.")

    page.goto("/")
    page.get_by_text(f"{LEAVERS} archivals are held until someone decides").wait_for()
    page.get_by_role("link", name=str(LEAVERS), exact=True).first.click()
    page.get_by_text(f"{LEAVERS} changes wait for a decision; everything else went on.").wait_for()
    assert faults_of(page) == []
    assert page.locator("#rows ~ * tbody tr").count() == LEAVERS
    _has_nothing_for_a_stranger(open_page, database, page.url)

    page.get_by_role("button", name="Discard").click()  # without a reason the browser itself says what is missing
    assert page.locator("#discard-reason").evaluate("it => it.validity.valueMissing")
    page.locator("#discard-reason").fill(REASON)
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("status").first.wait_for()
    page.goto("/")
    page.get_by_text("Discarded", exact=True).wait_for()
    assert one(database, ACTIVE) == len(students)
    assert one(database, "select reason from audit where what = 'hold discarded'") == REASON
    page.goto("/schools/lincoln/holds")
    page.get_by_text("Nothing is held").wait_for()


def _save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()
    page.locator(".flash").filter(has_text="Saved.").wait_for()


def _set_up(database: Database, sis: Served) -> None:
    """The school as it is after some weeks: everything on, and nothing waits for a first approval."""
    from roster_pipeline.directory.secrets import seal

    everything = RoleSettings(rostered=True, auto_update=True, archive=True)
    with database.begin() as opened:
        settings = ConnectionSettings(url=sis.url, client_id=CLIENT, allow_private_addresses=True)
        tenants.set_connection(opened, "sis", settings, seal(SECRET))
        chosen = SchoolSettings(school_id="sch-1", students=everything, first_sync="apply")
        tenants.set_school(opened, "lincoln", chosen)
        foreign = add_school(opened, "foreign", connection="foreign-sis", district="shelbyville")
        accounts.grant(opened, STRANGER, Place(school_id=foreign.id), by="operator")


def _sync_now(page: Page, said: str) -> None:
    page.goto("/schools/lincoln/runs")
    page.get_by_role("button", name="Sync now").click()
    page.get_by_text(said).wait_for(timeout=A_RUN)


def _has_nothing_for_a_stranger(open_page: Callable[..., Page], database: Database, here: str) -> None:
    """Whoever owns another school gets the same answer for each page of this one as for one that never was."""
    plan, sync, snapshot = (int(one(database, f"select max(id) from {name}")) for name in ("plan", "sync", "snapshot"))
    run = one(database, "select max(id::text) from manual_run")
    home = "/schools/lincoln"
    page = open_page(STRANGER)
    for path in (
        here,
        home,
        f"{home}/settings/connection",
        f"{home}/holds",
        f"{home}/audit",
        f"{home}/runs",
        f"{home}/runs/{run}",
        f"{home}/runs/{run}/events",
        f"{home}/plans/{plan}",
        f"{home}/plans/{plan}/rows.csv",
        f"{home}/syncs/{sync}",
        f"{home}/syncs/{sync}/rollback",
        f"{home}/rejected/{snapshot}",
        f"/schools/foreign/plans/{plan}",
        f"/schools/foreign/syncs/{sync}",
    ):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404, path
        assert page.get_by_role("heading", level=1).inner_text() == "Nothing here"
        assert "Lincoln" not in page.content().replace(path, "")
    page.goto("/")
    assert "Lincoln" not in page.content()
    token = page.locator("input[name=csrf]").first.input_value()
    for path in (
        "settings/connection",
        "runs",
        "test",
        f"plans/{plan}/approve",
        f"plans/{plan}/discard",
        f"syncs/{sync}/rollback",
    ):
        refused = page.request.post(f"{home}/{path}", form={"csrf": token, "reason": "mine", "kind": "sync"})
        assert refused.status == 404, path


def _newest_mail(page: Page, post: Mailbox) -> str:
    """The text of the mail that came last; waits for the first one."""
    for _ in range(600):
        if post.messages:
            body = post.messages[-1][0].get_body(("plain",))
            assert body is not None
            return str(body.get_content())
        page.wait_for_timeout(100)
    raise AssertionError("no mail came")
