"""Upload of a list on pages: file, columns, preview, entering, rollback, and refusals."""

import json
import logging
import re

import httpx
import pytest

from roster_pipeline.console.middleware import FIELD
from roster_pipeline.console.pages import upload_pages
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.people_file import LARGEST_FILE
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, STRANGER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import audited, words_of
from roster_pipeline_tests.directory.builders import every, newcomer, one, sync_rows
from roster_pipeline_tests.hostile_strings import leaked

UPLOAD = "/schools/lincoln/people/upload"
WHY = {"reason": "the office said so"}
LIST = "First name,Last name,Shoe size,Mail,Role\nAda,Byron,42,ada@example.org,teacher\nBo,Poe,41,nothing,student\n"

pytestmark = pytest.mark.usefixtures("people_let_in")


def send(
    browser: Browser, data: bytes | str, name: str = "list.csv", path: str = UPLOAD, **more: str
) -> httpx.Response:
    if browser.csrf is None:
        browser.get("/sign-in")
    content = data.encode() if isinstance(data, str) else data
    return browser.post(path, data={FIELD: browser.csrf, "role": "", **more}, files={"file": (name, content)})


def preview(browser: Browser, data: str = LIST) -> tuple[str, str]:
    """The address of a preview, and its page."""
    answer = send(browser, data)
    assert answer.status_code == 303, words_of(answer.text)
    return answer.headers["location"], browser.get(answer.headers["location"]).text


def digest_of(page: str) -> str:
    found = re.search(r'name="digest" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def test_a_list_is_previewed_entered_and_rolled_back(owner: Browser, database: Database, lincoln: SchoolRow) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Grace"), newcomer("u2", "Alan"))
    assert UPLOAD in owner.get("/schools/lincoln/people").text
    address, page = preview(owner)
    said = words_of(page)
    assert "Not recognised: Shoe size" in said
    assert "Enter 1 person" in said
    assert "Enter a valid e-mail address." in said
    assert one(database, "select count(*) from person") == 2
    assert owner.send_form(f"{address}/apply", {"digest": digest_of(page)}).status_code == 400
    answer = owner.send_form(f"{address}/apply", {"digest": digest_of(page)} | WHY)
    assert answer.status_code == 303
    sync = answer.headers["location"]
    shown = owner.get(sync)
    assert shown.status_code == 200
    assert "The list is entered" in words_of(shown.text)
    assert (
        one(
            database,
            "select given_name || role from person p join membership m on m.person_id = p.id where not managed",
        )
        == "Adateacher"
    )
    assert (OWNER, "people uploaded", WHY["reason"]) in audited(database)
    assert owner.get(address).status_code == 404, "the list is not kept"
    assert "(uploaded list)" in owner.get("/schools/lincoln").text
    assert owner.send_form(f"{sync}/rollback", WHY).status_code == 303
    assert one(database, "select count(*) from person") == 2


def test_rows_that_need_a_look_are_decided_on_the_preview(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    sync_rows(database, lincoln, newcomer("u1", "Ada", changes={"family_name": "Byron"}), newcomer("u2", "Bo"))
    address, page = preview(owner, "First name,Last name,Role\nAda,Byron,student\nBo,Lovelace,student\n")
    assert "The list changes nothing." in words_of(page)
    file = re.search(r'name="file" value="([0-9a-f]+)"', page)
    assert file
    given = {"file": file[1], "show": "look", "page": "1", "row-2": "new", "row-3": "out", "row-77": "new"}
    stale = owner.send_form(f"{address}/decide", given | {"file": "0" * 64})
    assert (stale.status_code, "Decide again." in stale.text) == (400, True)
    assert manager.send_form(f"{address}/decide", given).status_code == 404, "somebody else's list"
    assert owner.send_form(f"{address}/decide", given).headers["location"] == f"{address}?show=look"
    assert one(database, "select count(*) from person") == 2, "nothing is written"
    assert audited(database) == []
    page = owner.get(address).text
    assert "Enter 1 person" in words_of(page)
    assert "left out" in words_of(page)
    assert len(re.findall(r"<option[^>]* selected", page.split("<tbody>")[1].split("</tbody>")[0])) == 2
    assert owner.send_form(f"{address}/apply", {"digest": digest_of(page)} | WHY).status_code == 303
    assert one(database, "select count(*) from person where family_name = 'Byron'") == 2


def test_columns_with_unknown_names_can_be_chosen(owner: Browser, database: Database) -> None:
    address, page = preview(owner, "Vorname,Nachname,Rolle\nAda,Byron,teacher\n")
    assert "No column has a given name or a family name." in words_of(page)
    chosen = {"column-0": "given_name", "column-1": "family_name", "column-2": "role"}
    assert owner.send_form(f"{address}/columns", chosen).headers["location"] == address
    page = owner.get(address).text
    assert "Enter 1 person" in words_of(page)
    owner.send_form(f"{address}/columns", chosen | {"column-2": "given_name", "column-1": "shoe"})
    assert "Not recognised: Nachname, Rolle" in words_of(owner.get(address).text)


def test_rows_are_filtered_and_paged(owner: Browser) -> None:
    rows = "".join(f"Ada,Number{place},teacher\n" for place in range(70))
    address, page = preview(owner, f"first name,last name,role\n{rows},,teacher\n")
    assert page.count('data-label="Row"') == 50
    assert owner.get(f"{address}?show=create&page=2").text.count('data-label="Row"') == 20
    assert owner.get(f"{address}?show=unreadable").text.count('data-label="Row"') == 1


def test_a_file_that_is_not_a_list_is_refused(owner: Browser) -> None:
    for data, said in (
        (b"", "The file is empty."),
        (b"\0\1\2", "This is not a CSV or XLSX file."),
        (b"PK\x03\x04x", "The file cannot be read as XLSX."),
        (b"x" * (LARGEST_FILE + 1), "The file is larger than 5 MB."),
    ):
        answer = send(owner, data)
        assert answer.status_code == 400, said
        assert said in words_of(answer.text), said


def test_one_person_sends_only_so_many_lists(owner: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_pages, "BY_ONE_PERSON", 1)
    assert [send(owner, b"").status_code for _ in range(2)] == [400, 429]


def test_files_are_taken_on_this_page_only_from_people_who_are_signed_in_and_with_a_token(signed_in: SignedIn) -> None:
    owner = signed_in(OWNER)
    assert send(owner, b"x" * (LARGEST_FILE + 512 * 1024)).status_code == 413
    assert send(owner, LIST, path="/schools/lincoln/people/add").status_code == 415
    assert owner.send_form(UPLOAD, {"file": "text"}).status_code == 400
    assert owner.post(UPLOAD, files={"file": ("list.csv", LIST)}).status_code == 403
    owner.cookies.clear()
    assert send(owner, LIST).status_code in (303, 401, 415)
    assert send(signed_in(STRANGER), LIST).status_code == 404
    broken = {"content-type": "multipart/form-data; boundary=x", "x-csrf-token": signed_in(OWNER).csrf or ""}
    again = signed_in(OWNER)
    broken["x-csrf-token"] = again.csrf or ""
    assert again.post(UPLOAD, content=b"--x\r\nnothing", headers=broken).status_code == 400


def test_texts_that_cannot_be_stored_cause_no_unexpected_error(owner: Browser) -> None:
    owner.get("/sign-in")
    half = "multipart/form-data; charset=unicode-escape; boundary=x"
    names = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n\\ud800\r\n' for name in ("a\\0", FIELD)
    )
    answer = owner.post(UPLOAD, content=f"{names}--x--\r\n".encode(), headers={"content-type": half})
    assert answer.status_code == 403, "the token is wrong"


def test_nobody_else_sees_an_uploaded_list(signed_in: SignedIn, owner: Browser) -> None:
    address, page = preview(owner)
    for email in (MANAGER, STRANGER):
        browser = signed_in(email)
        assert browser.get(address).status_code == 404
        assert browser.send_form(f"{address}/apply", {"digest": digest_of(page)} | WHY).status_code == 404


def test_nothing_of_a_list_is_logged(owner: Browser, database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rows = "Zyxpoison,Qqleak,qqleak@zyxpoison.example,99887766,teacher\nZyxpoison,Qqleak,qqleak,5550199777,student\n"
    address, page = preview(owner, f"first name,last name,mail,number,role\n{rows}")
    answer = owner.send_form(f"{address}/apply", {"digest": digest_of(page)} | WHY)
    assert answer.status_code == 303
    said = [str(answer.headers), address]
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    said += [json.dumps(entry, default=str) for entry in every(database, "select * from audit")]
    assert leaked("\n".join(said)) == []
