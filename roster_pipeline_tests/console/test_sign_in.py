"""Signing in by a one-time link, sessions and their ends, and refusals; all over live HTTP."""

import email
from email.policy import default
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from roster_pipeline.console.middleware import token_for
from roster_pipeline.console.pages import sign_in
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, Browser, Console, SignedIn, link_in
from roster_pipeline_tests.console.filling import fields_of
from roster_pipeline_tests.directory.builders import every, one
from roster_pipeline_tests.scenarios.mailbox import body_of, mail_server
from roster_pipeline_tests.waiting import until

pytestmark = pytest.mark.usefixtures("people_let_in")
PATIENCE = 30.0


def mails_to(folder: Path, address: str) -> list[str]:
    """The texts of the mails in the folder of the outbox."""
    found = []
    for path in sorted((folder / "outbox").glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=default)
        if address in message["To"]:
            body = message.get_body(("plain",))
            assert body is not None
            found.append(body.get_content())
    return found


def mail_to(folder: Path, address: str) -> str:
    """Wait for the next mail."""
    return until(lambda: mails_to(folder, address), PATIENCE, lambda: "no mail came")[0]


def asked(browser: Browser, address: str, **more: str) -> httpx.Response:
    return browser.send_form("/sign-in", {"email": address, **more})


def used(browser: Browser, link: str) -> httpx.Response:
    """Press the button behind a link."""
    given = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    assert browser.get(link).status_code == 200
    return browser.send_form("/sign-in/link", given)


def test_a_link_by_mail_signs_in_once(
    visitor: Browser, console: Console, environment: Path, database: Database
) -> None:
    assert "a link is on its way" in asked(visitor, OWNER.upper(), next="/holds").text
    mail = mail_to(environment, OWNER)
    link = link_in(mail)
    assert f"{console.url}{link}" in mail
    answer = used(visitor, link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/holds")
    assert visitor.get("/sign-in").headers["location"] == "/"
    with console.browser() as another:
        assert "does not work any more" in another.get(link).text
        token = parse_qs(urlsplit(link).query)["token"][0]
        assert another.send_form("/sign-in/link", {"token": token}).status_code == 403
        assert another.get("/").status_code == 302
    assert ("signed in", OWNER) in every(database, "select what, who from audit")


def test_a_link_goes_out_by_smtp_past_the_outbox(
    console: Console, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(monkeypatch) as mailbox, console.browser() as browser:
        asked(browser, OWNER)
        message, recipients = until(lambda: mailbox.messages, PATIENCE)[0]
        assert recipients == [OWNER]
        assert used(browser, link_in(body_of(message))).status_code == 303
    assert one(database, "select count(*) from outbox") == 0


def test_a_mail_server_that_is_away_is_logged_without_addresses(
    visitor: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sign_in, "SENT_AGAIN_AFTER", ())
    monkeypatch.setenv("ROSTER_SMTP_URL", "smtp://127.0.0.1:1")
    monkeypatch.setenv("ROSTER_MAIL_FROM", "roster@example.org")
    assert "a link is on its way" in asked(visitor, OWNER).text
    until(lambda: "could not be sent" in caplog.text, PATIENCE)
    assert "cannot be reached" in caplog.text
    assert OWNER not in caplog.text


def test_a_mail_server_that_puts_off_new_senders_gets_the_link_again(
    console: Console, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The person may ask for one link an hour, so without another try the sign-in would be closed to them."""
    monkeypatch.setattr(sign_in, "SENT_AGAIN_AFTER", (0.1, 0.1))
    with mail_server(monkeypatch) as mailbox, console.browser() as browser:
        mailbox.put_off = 2
        asked(browser, OWNER)
        ((message, recipients),) = until(lambda: mailbox.messages, PATIENCE)
        assert recipients == [OWNER]
        assert used(browser, link_in(body_of(message))).status_code == 303
    assert caplog.text.count("It is tried again") == 2
    assert OWNER not in caplog.text


def test_looking_at_a_link_as_mail_scanners_do_uses_nothing_up(
    visitor: Browser, console: Console, environment: Path
) -> None:
    asked(visitor, OWNER)
    link = link_in(mail_to(environment, OWNER))
    for _ in range(3):
        with console.browser() as scanner:
            looked = scanner.get(link)
            assert looked.status_code == 200
            assert looked.headers["referrer-policy"] == "no-referrer"
            assert OWNER in looked.text, "nobody is signed in as somebody else unawares"
            assert console.config.session_cookie not in scanner.cookies
    assert used(visitor, link).status_code == 303


def test_a_link_is_over_after_an_hour(visitor: Browser, environment: Path, database: Database) -> None:
    asked(visitor, OWNER)
    link = link_in(mail_to(environment, OWNER))
    assert one(database, "select expires_at - created_at = interval '1 hour' from sign_in_link")
    with database.begin() as opened:
        opened.execute(text("update sign_in_link set expires_at = now() - interval '1 second'"))
    assert visitor.get(link).status_code == 403


def test_the_answer_does_not_tell_who_may_sign_in(visitor: Browser, environment: Path, database: Database) -> None:
    known, unknown = (asked(visitor, address) for address in (OWNER, "nobody@example.org"))
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    mail_to(environment, OWNER)
    assert mails_to(environment, "nobody@example.org") == []
    assert not any("nobody@" in str(row) for row in every(database, "select who, details from audit"))


def test_links_and_sessions_cannot_be_read_in_the_database(
    visitor: Browser, console: Console, environment: Path, database: Database
) -> None:
    asked(visitor, OWNER)
    link = link_in(mail_to(environment, OWNER))
    used(visitor, link)
    secret = visitor.cookies[console.config.session_cookie]
    token = parse_qs(urlsplit(link).query)["token"][0]
    for table in ("sign_in_link", "console_session", "outbox", "audit", "rate_limit"):
        rows = str(every(database, f"select * from {table}"))
        assert token not in rows
        assert secret not in rows


def test_a_wrong_address_is_shown_next_to_its_field(visitor: Browser) -> None:
    for address in ("", "nobody", "@", "a" * 400 + "@example.org"):
        answer = asked(visitor, address)
        assert answer.status_code == 400, address
        assert 'aria-invalid="true"' in answer.text, address


def test_a_planted_session_is_not_the_one_signed_in(console: Console, signed_in: SignedIn) -> None:
    browser = signed_in(OWNER)
    before = browser.cookies[console.config.session_cookie]
    with console.database.begin() as opened:
        from roster_pipeline.services.access_changes import link_for

        token = link_for(opened, OPERATOR, who="test")
    assert browser.send_form("/sign-in/link", {"token": token}).status_code == 303
    assert browser.cookies[console.config.session_cookie] != before
    with console.browser() as thief:
        thief.cookies.set(console.config.session_cookie, before, domain="127.0.0.1")
        assert thief.get("/").status_code == 302


def test_signing_out_ends_the_session_for_everybody_with_the_cookie(console: Console, signed_in: SignedIn) -> None:
    browser = signed_in(OWNER)
    cookie = browser.cookies[console.config.session_cookie]
    assert browser.get("/sign-in").status_code == 303
    assert browser.send_form("/sign-out").headers["location"] == "/sign-in"
    assert console.config.session_cookie not in browser.cookies
    with console.browser() as thief:
        thief.cookies.set(console.config.session_cookie, cookie, domain="127.0.0.1")
        assert thief.get("/").status_code == 302


@pytest.mark.parametrize("column", ["seen_at = now() - interval '2 hours 1 second'", "expires_at = now()"])
def test_a_session_ends_when_it_is_idle_and_at_the_latest_after_its_lifetime(
    database: Database, signed_in: SignedIn, column: str
) -> None:
    browser = signed_in(OWNER)
    assert browser.get("/sign-in").status_code == 303
    with database.begin() as opened:
        opened.execute(text(f"update console_session set {column}"))
    assert browser.get("/").status_code == 302


def test_use_keeps_a_session_alive(database: Database, signed_in: SignedIn) -> None:
    browser = signed_in(OWNER)
    with database.begin() as opened:
        opened.execute(text("update console_session set seen_at = now() - interval '1 hour'"))
    browser.get("/sign-in")
    assert one(database, "select seen_at > now() - interval '5 minutes' from console_session")


def test_without_a_session_pages_lead_to_the_sign_in_and_back(visitor: Browser, console: Console) -> None:
    assert visitor.get("/schools/lincoln?tab=1").headers["location"] == "/sign-in?next=%2Fschools%2Flincoln%3Ftab%3D1"
    piece = {"hx-request": "true"}
    assert visitor.get("/", headers=piece).headers["hx-redirect"] == "/sign-in"
    here = visitor.get("/", headers=piece | {"hx-current-url": f"{console.url}/schools/new"})
    assert here.headers["hx-redirect"] == "/sign-in?next=%2Fschools%2Fnew"
    for foreign in ("https://evil.example/schools/new", f"{console.url}.evil.example/x", "http://["):
        elsewhere = visitor.get("/", headers=piece | {"hx-current-url": foreign})
        assert elsewhere.headers["hx-redirect"] == "/sign-in"
    assert visitor.send_form("/sign-out").headers["location"] == "/sign-in"


def test_a_form_whose_session_ended_is_kept_and_may_be_sent_after_a_new_sign_in(
    database: Database, signed_in: SignedIn
) -> None:
    browser = signed_in(OWNER)
    page = "/schools/lincoln/settings/synced"
    sent = fields_of(browser.get(page).text, page) | {"school-name": "Lincoln High"}
    with database.begin() as opened:
        opened.execute(text("update console_session set seen_at = now() - interval '3 hours'"))
    ended = browser.post(page, data=sent, headers={"referer": f"{browser.base_url}{page}"})
    assert ended.status_code == 401
    assert "Nothing was saved" in ended.text
    assert 'href="/sign-in?next=%2Fschools%2Flincoln%2Fsettings%2Fsynced"' in ended.text
    piece = browser.post(page, data=sent, headers={"hx-request": "true"})
    assert (piece.status_code, "<html" in piece.text, "press the button once more" in piece.text) == (401, False, True)

    again = signed_in(OWNER)
    assert token_for(again.cookies[again.console.config.session_cookie]) != sent["csrf"]
    assert again.post(page, data=sent, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert again.post(page, data=sent).status_code == 303
    assert one(database, "select name from school where key = 'lincoln'") == "Lincoln High"
    assert signed_in(MANAGER).post(page, data=sent).status_code == 403, "a form of somebody else's"


def test_a_form_of_a_session_that_ended_is_refused(signed_in: SignedIn) -> None:
    browser = signed_in(OWNER)
    sent = fields_of(browser.get("/schools/lincoln/settings/connection").text)
    assert browser.send_form("/sign-out").is_redirect
    assert signed_in(OWNER).post("/schools/lincoln/settings/connection", data=sent).status_code == 403


def test_an_address_is_mailed_once_an_hour_and_the_page_says_when_again(
    console: Console, environment: Path, database: Database
) -> None:
    again = "You can ask for another link in 60 minutes."
    with console.browser() as browser:
        first, second = asked(browser, OWNER), asked(browser, OWNER)
        assert again not in first.text
        assert (second.status_code, again in second.text) == (200, True)
        assert again not in asked(browser, "somebody@example.org").text
        link = link_in(mail_to(environment, OWNER))
        assert len(mails_to(environment, OWNER)) == 1
        assert used(browser, link).status_code == 303
    with console.browser() as browser:
        assert again not in asked(browser, OWNER).text, "a link that was used keeps nobody from the next one"
        with database.begin() as opened:
            opened.execute(text("update rate_limit set until = now()"))
        assert again not in asked(browser, OWNER).text


def test_a_stranger_who_asks_for_somebodys_address_locks_nobody_out(
    visitor: Browser, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "address_of", lambda _: "203.0.113.9")
    for _ in range(3):
        asked(visitor, OWNER)
    monkeypatch.setattr(sign_in, "address_of", lambda _: "198.51.100.7")
    assert "a link is on its way" in asked(visitor, OWNER).text


def test_strangers_with_many_addresses_keep_nobody_out_and_fill_no_mailbox(
    visitor: Browser, environment: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sign_in, "LINKS_FOR_ONE_ADDRESS", 2)
    monkeypatch.setattr(sign_in, "LINKS_FOR_ALL", 3)

    def ask_from(place: str, address: str) -> None:
        monkeypatch.setattr(sign_in, "address_of", lambda _: place)
        assert asked(visitor, address).status_code == 200

    for number in range(4):
        ask_from(f"203.0.113.{number}", f"nobody{number}@example.org")
        ask_from(f"203.0.113.{number}", OWNER)
    ask_from("198.51.100.7", MANAGER)
    assert len(until(lambda: mails_to(environment, MANAGER), PATIENCE, lambda: "no mail came")) == 1
    assert len(mails_to(environment, OWNER)) == 2
    ask_from("198.51.100.8", OPERATOR)
    until(lambda: "A sign-in link was not sent: 3 were sent" in caplog.text, PATIENCE, lambda: "nothing was logged")
    assert mails_to(environment, OPERATOR) == []
    assert OPERATOR not in caplog.text


def test_people_see_their_sessions_and_end_all_of_them(signed_in: SignedIn, database: Database) -> None:
    first, second, other = signed_in(OWNER), signed_in(OWNER), signed_in(MANAGER)
    page = first.get("/account").text
    assert (page.count("This browser"), page.count("Another browser")) == (1, 1)
    assert MANAGER not in page
    assert first.send_form("/account/sign-out-everywhere").headers["location"] == "/sign-in"
    assert [browser.get("/account").status_code for browser in (first, second, other)] == [302, 302, 200]
    assert ("signed out everywhere", OWNER) in every(database, "select what, who from audit")


def test_one_machine_may_not_try_many_addresses(visitor: Browser) -> None:
    answers = [asked(visitor, f"nobody{number}@example.org").status_code for number in range(21)]
    assert answers == [200] * 20 + [429]


def test_a_form_without_its_token_is_refused(console: Console, signed_in: SignedIn) -> None:
    browser = signed_in(OWNER)
    assert browser.post("/sign-out").status_code == 403
    assert browser.post("/sign-out", data={"csrf": token_for("another")}).status_code == 403
    assert browser.send_form("/sign-out", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert browser.post("/sign-out", headers={"x-csrf-token": browser.csrf or ""}).status_code == 303


def test_forms_are_bounded_and_plain(signed_in: SignedIn) -> None:
    browser = signed_in(OWNER)
    assert browser.send_form("/sign-out", {"more": "x" * 300_000}).status_code == 413
    assert browser.post("/sign-out", json={"csrf": browser.csrf}).status_code == 415
    assert browser.send_form("/sign-out", {f"f{number}": "" for number in range(1500)}).status_code == 400


def test_a_used_link_says_so_to_somebody_who_is_signed_in(signed_in: SignedIn) -> None:
    page = signed_in(OWNER).get("/sign-in/link?token=used-long-ago")
    assert page.status_code == 403
    assert "Not signed in" not in page.text
    assert f"You are signed in as <strong>{OWNER}</strong> all the same." in page.text
