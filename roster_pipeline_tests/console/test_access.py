"""Granting and revoking access, on the page and at the command line, with the audit."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from roster_pipeline.console.config import Config
from roster_pipeline.console.pages import access
from roster_pipeline.directory import accounts
from roster_pipeline.directory.accounts import LastOperator, Place
from roster_pipeline.directory.database import Database
from roster_pipeline.services import access_changes
from roster_pipeline_tests.cli.conftest import run
from roster_pipeline_tests.console.conftest import (
    MANAGER,
    OPERATOR,
    OWNER,
    STRANGER,
    Browser,
    Console,
    Running,
    SignedIn,
    link_in,
)
from roster_pipeline_tests.directory.builders import add_school, every, one

NEW = "new@example.org"


def let_in(browser: Browser, role: str, place: str = "", email: str = NEW) -> tuple[int, str]:
    answer = browser.send_form("/access", {"email": email, "role": role, "place": place})
    return answer.status_code, html.unescape(answer.text)


def grant_of(database: Database, email: str) -> str:
    query = "select g.id from access_grant g join account a on a.id = g.account_id where a.email = :email"
    return str(one(database, query, email=email))


def may(database: Database, email: str) -> list[tuple[str, str]]:
    return [(row.role, row.place) for row in database.call(accounts.grants) if row.email == email]


def test_who_is_let_in_is_invited_by_mail_if_that_is_ticked(manager: Browser, database: Database) -> None:
    assert let_in(manager, "owner", "lincoln")[0] == 303
    assert every(database, "select id from outbox") == []
    given = {"email": NEW, "role": "manager", "place": "springfield", "invite": "on"}
    assert manager.send_form("/access", given).status_code == 303
    assert "They get an invitation by mail." in manager.get("/access").text
    assert manager.send_form("/access", given).status_code == 303, "they have access already, and get no second mail"
    recipients, text = every(database, "select recipients, text from outbox")[0]
    assert recipients == [NEW]
    assert "You can now look after" in text
    assert one(database, "select count(*) from outbox") == 1


def test_one_person_invites_only_so_many(manager: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "INVITED_BY_ONE", 1)
    given = {"email": NEW, "role": "manager", "place": "springfield"}
    found = [
        manager.send_form("/access", given | more).status_code for more in ({"invite": "on"}, {"invite": "on"}, {})
    ]
    assert found == [303, 429, 303]


def test_an_operator_lets_anybody_in(operator: Browser, database: Database) -> None:
    for role, place in (("owner", "lincoln"), ("manager", "shelbyville"), ("operator", "")):
        assert let_in(operator, role, place, "NEW@Example.org")[0] == 303
        assert f"{NEW} has access now." in operator.get("/access").text
    assert may(database, NEW) == [("owner", "lincoln"), ("operator", "everything"), ("manager", "shelbyville")]
    assert let_in(operator, "owner", "lincoln")[0] == 303
    assert "had access already" in operator.get("/access").text
    lines = every(database, "select who, details ->> 'account', details ->> 'role' from audit order by id")
    assert lines == [(OPERATOR, NEW, role) for role in ("owner", "manager", "operator")]


def test_a_manager_lets_in_and_out_within_the_district_only(manager: Browser, database: Database) -> None:
    assert let_in(manager, "owner", "lincoln")[0] == 303
    assert let_in(manager, "manager", "springfield")[0] == 303
    for role, place in (("owner", "foreign"), ("owner", "nowhere"), ("manager", "shelbyville")):
        status, said = let_in(manager, role, place)
        assert (status, "or you may not see it" in said) == (400, True)
    assert let_in(manager, "operator")[0] == 400
    shown = manager.get("/access").text
    assert OWNER in shown
    assert STRANGER not in shown
    assert "Operator of everything" not in shown
    assert '<option value="lincoln">Lincoln</option>' in shown, "keys are proposed, with names"
    assert "shelbyville" not in shown
    assert 'value="foreign"' not in shown
    for email in (OPERATOR, STRANGER):
        assert manager.send_form("/access/revoke", {"grant": grant_of(database, email)}).status_code == 404
    assert manager.send_form("/access/revoke", {"grant": grant_of(database, OWNER)}).status_code == 303
    assert may(database, OWNER) == []
    assert may(database, NEW) == [("owner", "lincoln"), ("manager", "springfield")]


def test_an_owner_lets_nobody_in(owner: Browser, database: Database) -> None:
    assert owner.get("/access").status_code == 404
    assert let_in(owner, "owner", "lincoln")[0] == 404
    assert owner.send_form("/access/revoke", {"grant": grant_of(database, OWNER)}).status_code == 404
    assert 'href="/access"' not in owner.get("/").text


def test_what_is_wrong_stands_beside_the_field(operator: Browser) -> None:
    for given, said in (
        ({"email": "nobody", "role": "owner", "place": "lincoln"}, "This is not an e-mail address."),
        ({"email": NEW, "role": "owner"}, "Write the key"),
        ({"email": NEW, "role": "emperor", "place": "lincoln"}, "Choose one of these."),
        ({"email": NEW, "role": "operator", "place": "lincoln"}, "An operator may do everything"),
    ):
        answer = operator.send_form("/access", given)
        assert answer.status_code == 400, given
        assert said in html.unescape(answer.text), given


def test_what_is_taken_away_is_gone_at_the_next_click(owner: Browser, operator: Browser, database: Database) -> None:
    assert owner.get("/schools/lincoln").status_code == 200
    assert operator.send_form("/access/revoke", {"grant": grant_of(database, OWNER)}).status_code == 303
    assert owner.get("/schools/lincoln").status_code == 302
    assert one(database, "select count(*) from console_session s join account a on a.id = account_id"
               " where email = :email", email=OWNER) == 0  # fmt: skip


def test_a_grant_less_is_a_school_less_without_a_new_sign_in(owner: Browser, database: Database) -> None:
    second = database.call(add_school, "roosevelt")
    database.call(accounts.grant, OWNER, Place(school_id=second.id), by="test")
    assert owner.get("/schools/roosevelt").status_code == 200
    database.call(accounts.revoke, OWNER, Place(school_id=second.id))
    assert owner.get("/schools/roosevelt").status_code == 404
    assert owner.get("/schools/lincoln").status_code == 200


def test_the_last_operator_stays(operator: Browser, database: Database) -> None:
    answer = operator.send_form("/access/revoke", {"grant": grant_of(database, OPERATOR)})
    assert answer.status_code == 400
    assert "This is the last operator" in answer.text
    with database.begin() as opened, pytest.raises(LastOperator):
        accounts.revoke(opened, OPERATOR, None)
    database.call(accounts.grant, NEW, Place(), by="test")
    assert operator.send_form("/access/revoke", {"grant": grant_of(database, OPERATOR)}).status_code == 303
    assert may(database, NEW) == [("operator", "everything")]


def test_search_finds_addresses_and_keys(operator: Browser) -> None:
    assert STRANGER in operator.get("/access", params={"q": "foreign"}).text
    assert STRANGER not in re.sub(r"<header.*?</header>", "", operator.get("/access", params={"q": "linc%"}).text)


@pytest.mark.usefixtures("people_let_in")
def test_at_the_command_line(visitor: Browser, database: Database, environment: Path) -> None:
    assert run("access", "grant", NEW, "--school", "lincoln", "--who", "ann").code == 0
    assert run("access", "grant", NEW, "--district", "springfield").code == 0
    listed = {(row["email"], row["role"]) for row in run("access", "list", "--json").data}
    assert {(NEW, "owner"), (NEW, "manager"), (OPERATOR, "operator")} <= listed
    made = run("access", "link", NEW)
    assert made.out.startswith("http://127.0.0.1:8080/sign-in/link?token=")
    link = link_in(made.out)
    visitor.get(link)
    assert visitor.send_form("/sign-in/link", {"token": link.partition("token=")[2]}).status_code == 303
    assert visitor.get("/schools/lincoln").status_code == 200
    assert run("access", "revoke", NEW, "--all").code == 0
    assert may(database, NEW) == []
    assert one(database, "select who from audit where what = 'access granted' order by id limit 1") == "ann"


@pytest.mark.usefixtures("people_let_in", "environment")
def test_what_the_command_line_refuses() -> None:
    for arguments, said in (
        (("grant", NEW), "exactly one"),
        (("grant", NEW, "--operator", "--school", "lincoln"), "exactly one"),
        (("grant", "nobody", "--operator"), "not an e-mail address"),
        (("grant", NEW, "--school", "nowhere"), "no school nowhere"),
        (("revoke", OPERATOR, "--operator"), "last operator"),
        (("revoke", NEW, "--operator"), "no such grant"),
        (("link", NEW), "roster access grant"),
    ):
        answer = run("access", *arguments)
        assert answer.code == 1, arguments
        assert said in " ".join(answer.err.split()), arguments


def test_behind_a_proxy_cookies_are_kept_to_https_and_to_this_host(
    database: Database, environment: Path, database_url: str, people_let_in: None
) -> None:
    config = Config(database_url, url="https://roster.example.org", proxies="127.0.0.1")
    with Running(database, config) as console, console.browser() as browser:
        answer = browser.get("/sign-in", headers={"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-roster-visit=")
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
        assert "Domain" not in cookie
        assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize(("proxies", "kept_apart"), [("127.0.0.1", True), ("", False)])
def test_a_forwarded_address_counts_only_from_a_proxy_of_the_settings(
    database: Database, environment: Path, console_config: Config, proxies: str, kept_apart: bool
) -> None:
    with Running(database, replace(console_config, proxies=proxies)) as console, console.browser() as browser:
        for number in range(22):
            more = {"x-forwarded-for": f"203.0.113.{number}"}
            status = browser.send_form("/sign-in", {"email": f"n{number}@example.org"}, headers=more).status_code
    assert (status == 200) is kept_apart


def test_refusals_and_sign_ins_are_in_the_audit_without_what_strangers_typed(
    console: Console, database: Database, people_let_in: None
) -> None:
    with console.browser() as browser:
        browser.send_form("/sign-in/link", {"token": "made up by somebody"})
    token = database.call(access_changes.link_for, OWNER, who="ann")
    with console.browser() as browser:
        browser.send_form("/sign-in/link", {"token": token})
    found = every(database, "select who, what from audit order by id")
    assert found == [("somebody unknown", "sign-in refused"), ("ann", "sign-in link made"), (OWNER, "signed in")]
    assert "made up" not in str(every(database, "select * from audit"))


def test_a_place_is_found_by_its_name_among_thousands(signed_in: SignedIn, database: Database) -> None:
    with database.begin() as opened:
        for number in range(60):
            add_school(opened, f"many-{number:02}")
        opened.execute(text("update school set name = 'Zebra Primary' where key = 'many-59'"))
        opened.execute(text("update school set name = 'Twice' where key in ('many-57', 'many-58')"))
    browser = signed_in(OPERATOR)
    proposed = browser.get("/access/places", params={"place": "zebra"}).text
    assert re.findall('value="([^"]+)"', proposed) == ["many-59"]
    assert let_in(browser, "owner", "zebra primary")[0] == 303
    assert may(database, NEW) == [("owner", "many-59")]
    assert let_in(browser, "owner", "Twice")[0] == 400
    assert "foreign" not in signed_in(MANAGER).get("/access/places", params={"place": "foreign"}).text
    assert signed_in(OWNER).get("/access/places").status_code == 404
