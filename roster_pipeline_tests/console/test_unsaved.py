"""Pages with unsaved input ask before they are left; the script is also tested in a browser."""

import re

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.console.browser import Open, staying
from roster_pipeline_tests.console.conftest import MANAGER, Browser
from roster_pipeline_tests.console.test_upload import preview
from roster_pipeline_tests.directory.builders import newcomer, sync_rows

FORM = re.compile(r'<form [^>]*action="([^"]+)"[^>]* data-unsaved(="yes")?>')


def asking(page: str) -> list[tuple[str, bool]]:
    """The forms that ask before they are left, each with whether it has input from the start."""
    assert "/unsaved.js" in page
    return [(action, bool(yes)) for action, yes in FORM.findall(page)]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/schools/lincoln/people/add", "/schools/lincoln/people/add"),
        ("/schools/lincoln/leavers", "/schools/lincoln/leavers"),
        ("/access", "/access"),
    ],
)
def test_a_form_asks_and_after_an_error_from_the_start(manager: Browser, path: str, form: str) -> None:
    assert asking(manager.get(path).text) == [(form, False)]
    refused = manager.send_form(form, {"reason": "typed for nothing", "role": "owner", "place": "nowhere"})
    assert refused.status_code == 400
    assert asking(refused.text) == [(form, True)]


def test_a_preview_asks_for_its_decisions_and_its_columns(
    owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"family_name": "Byron"}))
    address, page = preview(owner, "First name,Last name,Role\nAda,Byron,student\n")
    assert asking(page) == [(f"{address}/decide", False), (f"{address}/columns", False)]


@pytest.mark.timeout(600)
def test_another_form_and_a_file_lose_nothing_silently(open_page: Open, people_let_in: None) -> None:
    page = open_page(MANAGER)
    asked = staying(page)
    page.goto("/access")
    page.get_by_label("E-mail").fill("new@example.org")
    page.get_by_role("button", name="Search").click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    assert page.get_by_label("E-mail").input_value() == "new@example.org"
    page.get_by_label("School or district").fill("lincoln")
    page.get_by_role("button", name="Let in").click()
    page.get_by_role("status").first.wait_for()
    assert asked == ["beforeunload"], "its own button loses nothing"

    page.goto("/schools/lincoln/leavers")
    page.get_by_label("Or a file").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"4711"})
    page.wait_for_function("document.getElementById('people').value === '4711'")
    page.get_by_role("link", name="Holds").last.click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"] * 2
