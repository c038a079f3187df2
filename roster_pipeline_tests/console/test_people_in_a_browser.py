"""An owner works on one pupil in a real browser, without a command: find, exclude, restore, fix a link."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from roster_pipeline.directory import manual_edits
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.browser import PHONE, Open, faults_of
from roster_pipeline_tests.console.conftest import MANAGER, OWNER
from roster_pipeline_tests.console.held_plans import audited, clean_records
from roster_pipeline_tests.directory.builders import newcomer, one, person_of, row, sync_rows, write_plan

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(600)
RECORD = {"sourced_id": "new1", "given_name": "Adele", "family_name": "Lovelace", "email": "ada@example.org"}
LINK_OF = "select count(*) from link where person_id = :id and confirmed"


def _do(page: Page, summary: str, button: str, reason: str) -> None:
    """Unfold a change, give the reason, press the button, and see the message."""
    act = page.locator("details.act").filter(has=page.get_by_text(summary, exact=True))
    act.locator("summary").click()
    act.get_by_label("Reason").fill(reason)
    act.get_by_role("button", name=button, exact=True).click()
    page.locator(".flash").wait_for()


def _shown_well(page: Page) -> None:
    """No fault of accessibility or width when everything is unfolded, on a desktop and on a phone."""
    page.evaluate("document.querySelectorAll('details.act').forEach(each => { each.open = true; })")
    assert faults_of(page) == []


def test_an_owner_finds_excludes_and_restores_a_pupil_and_fixes_a_link(
    open_page: Open, people_let_in: None, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"email": "ada@example.org"}), newcomer("u2", "Grace"))
    ada = person_of(database, "u1")
    sync_rows(database, lincoln, row("archive", ada, reason="left", links=["u1"]))
    before = len(audited(database))

    page = open_page(OWNER)
    page.goto("/schools/lincoln")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="People").click()
    page.get_by_role("link", name="Grace Lovelace").wait_for()
    page.get_by_label("Status").select_option("all")
    page.get_by_label("Search").fill("lovelace ada")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("1 person", exact=True).wait_for()
    assert "ada" not in page.url.casefold()
    page.get_by_role("link", name="Ada Lovelace").click()
    page.get_by_role("heading", name="Ada Lovelace").wait_for()
    assert page.url.endswith(f"/people/{ada}")

    _do(page, "Exclude from the sync", "Exclude", "the office looks after her")
    _do(page, "Restore in Lincoln", "Restore", "she has come back")
    _do(page, "Confirm that this record is theirs", "It is theirs", "seen in the SIS")
    assert page.get_by_text("Excluded from the sync").first.is_visible()
    assert one(database, "select status from membership where person_id = :id", id=ada) == "active"
    assert one(database, LINK_OF, id=ada) == 1

    _do(page, "This record is not theirs", "Unlink", "it is her sister's")
    assert one(database, "select count(*) from link where person_id = :id", id=ada) == 0
    assert [what for _, what, _ in audited(database)[before:]] == [
        "person excluded",
        "membership active",
        "link confirmed",
        "record unlinked",
    ]
    undo = page.locator("details.act").filter(has=page.get_by_text("Undo this edit", exact=True)).first
    undo.locator("summary").click()
    undo.get_by_label("Reason").fill("it is hers after all")
    undo.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_text("Undone: record unlinked").wait_for()
    assert one(database, LINK_OF, id=ada) == 1
    _shown_well(page)


def test_an_owner_says_that_two_sides_of_a_conflict_are_one_person(
    open_page: Open, people_let_in: None, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"email": "ada@example.org"}))
    ada = person_of(database, "u1")
    plan = write_plan(database, lincoln, [row("conflict", ada, links=["new1"], reason="match_contradicted")])
    clean_records(database, plan, RECORD)
    page = open_page(OWNER)
    page.goto("/schools/lincoln/people")
    page.get_by_role("link", name="Look at both sides and decide").click()
    page.get_by_role("cell", name="Adele").wait_for()
    _shown_well(page)
    one_person = page.locator("details.act").filter(has_text="Same person")
    one_person.get_by_label("Reason").fill("she married")
    one_person.get_by_role("button", name="They are the same person").click()
    page.get_by_text("decided, the next sync follows").wait_for()
    assert person_of(database, "new1") == ada

    manager = open_page(MANAGER)
    manager.goto("/people")
    manager.get_by_role("link", name="Conflicts").click()
    manager.get_by_role("heading", name="Ada Lovelace", level=2).wait_for()
    assert faults_of(manager) == []


def test_an_owner_makes_one_person_of_two_and_takes_it_back(
    open_page: Open, people_let_in: None, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"email": "ada@example.org", "grade": "09"}))
    ada, typed = person_of(database, "u1"), {"email": "ada@example.org", "phone": "+13125550142", "role": "student"}
    with database.begin() as conn:
        fields = {"given_name": "Ada", "family_name": "Lovelace", **typed}
        again = manual_edits.add(conn, lincoln, fields, who="test", reason="test")
    page = open_page(OWNER)
    page.goto("/schools/lincoln/people")
    _shown_well(page)
    page.get_by_role("link", name="Possible duplicates").click()
    page.get_by_role("heading", name="Ada Lovelace").wait_for()
    _shown_well(page)
    same = page.locator("details.act").filter(has_text="Schools, records of the SIS")
    same.get_by_label(f"Person {again}").check()
    same.get_by_label("Reason").fill("entered twice")
    same.get_by_role("button", name="They are the same person").click()
    page.get_by_text("No possible duplicates.").wait_for()
    assert person_of(database, "u1") == again

    page.goto(f"/people/{ada}")
    assert page.url.endswith(f"/people/{again}")
    _shown_well(page)
    undo = page.locator("details.act").filter(has_text="Undo this merge")
    undo.get_by_label("Reason").fill("two people after all")
    undo.get_by_role("button", name="Undo the merge").click()
    page.get_by_text("are two people again").wait_for()
    assert person_of(database, "u1") == ada


def test_an_owner_uploads_a_list_and_rolls_it_back(
    open_page: Open, people_let_in: None, database: Database, lincoln: SchoolRow, tmp_path: Path
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"email": "ada@example.org"}))
    file = tmp_path / "list.csv"
    file.write_text(
        "First name,Last name,Mail,Shoe size\nAda,Lovelace,ada@example.org,38\nBo,Poe,bo@example.org,41\n"
        "Cy,Roe,nothing,40\n=1+1,Roe,,\nAda,Lovelace,,39\n"
    )
    page = open_page(OWNER)
    page.goto("/schools/lincoln/people")
    page.get_by_role("link", name="Upload a list").click()
    _shown_well(page)
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Role of everybody").select_option("teacher")
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("Not recognised: Shoe size").wait_for()
    page.get_by_label("Decide on row 6").select_option("A new person")
    page.get_by_role("button", name="Keep these decisions").click()
    page.get_by_text("Saved. Nobody is entered yet.").wait_for()
    _shown_well(page)
    page.get_by_label("Reason").fill("the list of the office")
    page.get_by_role("button", name="Enter them").click()
    page.get_by_text("The list is entered").wait_for()
    assert one(database, "select count(*) from person where given_name = 'Bo'") == 1
    assert one(database, "select count(*) from person where given_name = 'Ada'") == 2
    page.get_by_role("link", name="Roll back").click()
    page.get_by_label("Reason").first.fill("the wrong list")
    page.get_by_role("button", name="Roll back").first.click()
    page.locator(".flash").wait_for()
    assert one(database, "select count(*) from person where given_name = 'Bo'") == 0


def test_the_list_and_the_page_fit_a_phone_with_long_values(
    open_page: Open, people_let_in: None, database: Database, lincoln: SchoolRow
) -> None:
    long = {"email": f"{'long' * 15}@example.org", "number": "9" * 40, "family_name": "Wolfeschlegelstein" * 5}
    sync_rows(database, lincoln, newcomer("x" * 80, "Maximiliana" * 3, changes=long))
    page = open_page(OWNER)
    page.set_viewport_size(PHONE)
    for path in ("/schools/lincoln/people", f"/people/{person_of(database, 'x' * 80)}"):
        page.goto(path)
        assert faults_of(page) == []
        page.emulate_media(media="print")
        assert not page.locator(".top").is_visible()
        pressed = page.locator("main :is(button, details.act)").locator("visible=true")
        assert pressed.all_inner_texts() == [], "nobody presses paper"
        page.emulate_media(media="screen")
