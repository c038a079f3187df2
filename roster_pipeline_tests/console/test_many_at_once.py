"""Pages that follow a run until the session ends, several consoles over one database, and two people who decide the
same thing at the same moment: one wins, and the other gets a message."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from roster_pipeline.console.config import Config
from roster_pipeline.directory import accounts, manual_runs
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, Browser, Console, Running, SignedIn
from roster_pipeline_tests.console.filling import fields_of
from roster_pipeline_tests.console.held_plans import audited, hash_of, held_creates, words_of
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, sync_rows

PROGRESS = "/schools/lincoln/runs/run-1/progress"


def sign_out(_: Database, browser: Browser) -> None:
    with browser.console.browser() as same:
        same.cookies.update(browser.cookies)
        assert same.send_form("/sign-out").status_code == 303


@pytest.mark.parametrize("change", [sign_out, lambda database, _: database.call(accounts.revoke, OWNER, None)])
def test_a_page_that_follows_a_run_ends_with_the_session(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow, change: Callable[[Database, Browser], None]
) -> None:
    database.call(manual_runs.ask, "run-1", lincoln.id, lincoln.key, kind="sync", who="test", host="here")
    browser = signed_in(OWNER)
    assert browser.get(PROGRESS, headers={"hx-request": "true"}).status_code == 200
    change(database, browser)
    answer = browser.get(PROGRESS, headers={"hx-request": "true"})
    assert (answer.status_code, answer.text) == (401, "")
    assert answer.headers["hx-redirect"].startswith("/sign-in")


def test_consoles_over_one_database_share_sessions_and_limits(
    database: Database, environment: Path, console_config: Config, people_let_in: None
) -> None:
    with Running(database, console_config) as first, Running(database, console_config) as second:
        with first.signed_in(OWNER) as browser, Browser(second) as other:
            other.cookies.update(browser.cookies)
            assert other.get("/schools/lincoln").status_code == 200
        answers = [asked(console, number) for number, console in enumerate((first, second) * 11)]
    assert answers == [200] * 20 + [429] * 2


def asked(console: Console, number: int) -> int:
    with console.browser() as browser:
        return browser.send_form("/sign-in", {"email": f"nobody{number}@example.org"}).status_code


WHY = {"reason": "the office said so"}
SETTINGS = "/schools/lincoln/settings/synced"


def at_once(browsers: Sequence[Browser], *forms: tuple[str, dict[str, Any]]) -> list[tuple[int, str]]:
    """Send each form by its own browser, all at the same moment. Returns the statuses, and the text of the page after
    each."""
    for browser in browsers:
        browser.get("/account")
    together = Barrier(len(forms))

    def send(browser: Browser, form: tuple[str, dict[str, Any]]) -> tuple[int, str]:
        together.wait()
        answer = browser.send_form(form[0], form[1])
        shown = browser.get(answer.headers["location"]).text if answer.is_redirect else answer.text
        return answer.status_code, words_of(shown)

    with ThreadPoolExecutor(len(forms)) as pool:
        return list(pool.map(send, browsers, forms))


@pytest.fixture
def two(signed_in: SignedIn) -> list[Browser]:
    """An owner and the manager of the district."""
    return [signed_in(OWNER), signed_in(MANAGER)]


@pytest.mark.parametrize("other", ["discard", "exempt"])
def test_a_held_plan_is_decided_once(two: list[Browser], database: Database, lincoln: SchoolRow, other: str) -> None:
    plan_id = held_creates(database, lincoln)
    bound = WHY | {"hash": hash_of(database, plan_id)}
    page = f"/schools/lincoln/plans/{plan_id}"
    answers = at_once(two, (f"{page}/approve", bound), (f"{page}/{other}", bound | {"row": "0"}))
    people, told = one(database, "select count(*) from person"), [what for _, what, _ in audited(database)]
    exempted = one(database, "select count(*) from exemption")
    if other == "discard":
        assert (people, told) in [(2, ["hold approved"]), (0, ["hold discarded"])]
    else:
        assert (people, exempted, told) in [(2, 0, ["hold approved"]), (1, 1, ["rows exempted", "hold approved"])]
    for status, text in answers:
        assert status in (303, 400, 409), text
        assert "Something unexpected" not in text
    if len(told) == 1:
        assert any(
            "already" in text or "Nothing was done" in text or "None of these rows" in text for _, text in answers
        )


def test_two_people_are_merged_once(two: list[Browser], database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada"), newcomer("u2", "Ada"))
    ada, again = person_of(database, "u1"), person_of(database, "u2")
    forms = [(f"/people/{ada}/merge", {"other": again, "keep": kept} | WHY) for kept in (ada, again)]
    answers = at_once(two, *forms)
    assert one(database, "select count(*) from person") == 1
    assert one(database, "select count(*) from person_merge") == 1
    assert one(database, "select count(distinct person_id) from link") == 1
    assert sorted(status for status, _ in answers)[0] == 303
    assert [what for _, what, _ in audited(database)] == ["people merged"]

    kept = int(one(database, "select id from person"))
    answers = at_once(two, *[(f"/people/{kept}/undo-merge", WHY)] * 2)
    assert sorted(status for status, _ in answers) == [303, 400]
    assert "Nobody was merged into person" in next(text for status, text in answers if status == 400)
    assert one(database, "select count(*) from person") == 2


def test_an_edit_is_undone_once(two: list[Browser], database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada"))
    page = f"/people/{person_of(database, 'u1')}"
    assert two[0].send_form(f"{page}/edit", {"field": "email", "value": "a@b.org", **WHY}).status_code == 303
    edit = one(database, "select max(id) from audit")
    answers = at_once(two, *[(f"{page}/undo", {"edit": edit} | WHY)] * 2)
    assert sorted(status for status, _ in answers) == [303, 400]
    assert "It was undone already." in next(text for status, text in answers if status == 400)
    assert [what for _, what, _ in audited(database)].count("edit undone") == 1


def test_settings_that_two_people_save_are_those_of_one(
    two: list[Browser], database: Database, lincoln: SchoolRow
) -> None:
    forms = [
        fields_of(browser.get(SETTINGS).text, SETTINGS) | {"school-phone_region": region}
        for browser, region in zip(two, ("FR", "DE"), strict=True)
    ]
    answers = at_once(two, *[(SETTINGS, form) for form in forms])
    assert sorted(status for status, _ in answers) == [303, 409]
    assert "Your changes were not saved." in next(text for status, text in answers if status == 409)
    saved = every(database, "select settings ->> 'phone_region' from school where id = :id", id=lincoln.id)
    winner = next(place for place, (status, _) in enumerate(answers) if status == 303)
    assert saved == [(("FR", "DE")[winner],)]
