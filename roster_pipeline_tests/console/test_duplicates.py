"""Possible duplicates on pages: two people beside each other, merged or kept apart, and who may do that."""

import re

import pytest

from roster_pipeline.directory import accounts, manual_edits
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.conftest import OWNER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import audited, words_of
from roster_pipeline_tests.directory.builders import add_school, newcomer, one, person_of, sync_rows

LIST = "/schools/lincoln/duplicates"
WHY = {"reason": "the office said so"}


@pytest.fixture
def twice(database: Database, lincoln: SchoolRow, people_let_in: None) -> tuple[int, int]:
    """Ada, whom the SIS knows, and Ada again, entered by hand."""
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"email": "ada@example.org", "grade": "09"}))
    return person_of(database, "u1"), typed(database, lincoln)


def typed(database: Database, school: SchoolRow) -> int:
    fields = {"given_name": "Ada", "family_name": "Lovelace", "email": "ada@example.org", "role": "student"}
    return database.call(manual_edits.add, school, fields | {"phone": "+13125550142"}, who="test", reason="test")


def pairs_in(page: str) -> list[str]:
    return re.findall(r'aria-labelledby="pair-(\d+-\d+)"', page)


def test_the_list_shows_both_sides_and_merging_leaves_one(
    owner: Browser, database: Database, twice: tuple[int, int]
) -> None:
    ada, again = twice
    assert LIST in owner.get("/schools/lincoln/people").text
    page = owner.get(LIST).text
    assert pairs_in(page) == [f"{ada}-{again}"]
    assert "the same e-mail, the same name" in words_of(page)
    answer = owner.send_form(f"/people/{ada}/merge", {"other": again, "keep": ada, "back": LIST} | WHY)
    assert (answer.status_code, answer.headers["location"]) == (303, LIST)
    page = owner.get(LIST).text
    assert f"Person {again} is now person {ada}." in words_of(page)
    assert pairs_in(page) == []
    assert owner.get(f"/people/{again}").headers["location"] == f"/people/{ada}"
    assert (OWNER, "people merged", WHY["reason"]) in audited(database)
    assert one(database, "select phone from person where id = :id", id=ada) == "+13125550142"


def test_a_merge_is_undone_on_the_page_of_the_person(
    owner: Browser, database: Database, twice: tuple[int, int]
) -> None:
    ada, again = twice
    answer = owner.send_form(f"/people/{ada}/merge", {"other": again, "keep": again} | WHY)
    assert answer.headers["location"] == f"/people/{again}"
    page = owner.get(f"/people/{again}").text
    assert f"Person {ada} was merged into this person" in words_of(page)
    last = words_of(page).partition("What happened last")[2].partition("The whole history")[0]
    assert f"person {ada}: removed from the directory" in last, "not this person"
    assert " removed from the directory" not in last.replace(f"person {ada}: removed from the directory", "")
    assert "record u1 linked" in words_of(page), "the history of both"
    answer = owner.send_form(f"/people/{again}/undo-merge", WHY)
    assert answer.status_code == 303
    assert owner.get(f"/people/{ada}").status_code == 200
    assert pairs_in(owner.get(LIST).text) == [f"{ada}-{again}"]


def test_two_people_leave_the_list_until_that_is_taken_back(owner: Browser, twice: tuple[int, int]) -> None:
    ada, again = twice
    owner.send_form(f"/people/{ada}/two", {"other": again, "back": LIST} | WHY)
    assert pairs_in(owner.get(LIST).text) == []
    assert pairs_in(owner.get(f"{LIST}?said=two").text) == [f"{ada}-{again}"]
    answer = owner.send_form(f"/people/{ada}/merge", {"other": again, "keep": ada} | WHY)
    assert answer.status_code == 400
    assert "Somebody said that they are two people." in words_of(answer.text)
    owner.send_form(f"/people/{ada}/open-again", {"other": again, "back": f"{LIST}?said=two"} | WHY)
    assert pairs_in(owner.get(LIST).text) == [f"{ada}-{again}"]


def test_any_two_people_may_be_compared(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada"), newcomer("u2", "Grace", changes={"family_name": "Hopper"}))
    ada, grace = person_of(database, "u1"), person_of(database, "u2")
    page = owner.get(f"/people/{ada}/beside?other={grace}")
    assert "Given name and family name both differ." in words_of(page.text)
    assert "Number of the other person" in words_of(owner.get(f"/people/{ada}/beside").text)
    for other in (ada, 0, 10**20, "x", grace + 100):
        assert owner.get(f"/people/{ada}/beside?other={other}").status_code == (200 if other == ada else 404)
        assert owner.send_form(f"/people/{ada}/merge", {"other": other} | WHY).status_code == 404


def test_a_decision_needs_a_reason_and_leads_to_our_own_pages_only(owner: Browser, twice: tuple[int, int]) -> None:
    ada, again = twice
    assert owner.send_form(f"/people/{ada}/two", {"other": again, "reason": " "}).status_code == 400
    for back in ("//evil.example", "https://evil.example", "/schools/lincoln/duplicates/../x", "/people/duplicates#x"):
        answer = owner.send_form(f"/people/{ada}/two", {"other": again, "back": back} | WHY)
        assert answer.headers["location"] == f"/people/{ada}"


def test_people_of_another_school_are_for_the_manager(
    signed_in: SignedIn, owner: Browser, manager: Browser, stranger: Browser, database: Database, twice: tuple[int, int]
) -> None:
    ada, again = twice
    oak = database.call(add_school, "oak")
    database.call(accounts.grant, "oak-owner@example.org", Place(school_id=oak.id), by="test")
    third = typed(database, oak)
    neighbour = signed_in("oak-owner@example.org")
    page = owner.get(LIST).text
    assert pairs_in(page) == [f"{ada}-{again}"]
    assert "2 more pairs have somebody of another school" in words_of(page)
    for browser, first, second in ((owner, ada, third), (neighbour, third, ada)):
        for action in ("merge", "two", "open-again"):
            assert browser.send_form(f"/people/{first}/{action}", {"other": second} | WHY).status_code == 404
    assert len(pairs_in(manager.get("/people/duplicates?district=springfield").text)) == 3
    assert manager.send_form(f"/people/{ada}/merge", {"other": third, "keep": ada} | WHY).status_code == 303
    answer = owner.send_form(f"/people/{ada}/merge", {"other": again, "keep": ada} | WHY)
    assert answer.status_code == 403, "she is active in a school that is not theirs"
    for path in (LIST, f"/people/{third}", "/people/duplicates", f"/people/{ada}/beside?other={again}"):
        assert stranger.get(path).status_code == 404
