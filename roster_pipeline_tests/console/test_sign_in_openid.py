"""Signing in by OpenID Connect: at a correct mock provider, and at one that makes every mistake."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from roster_pipeline.console.config import Config, Oidc
from roster_pipeline.console.pages.sign_in import send_link
from roster_pipeline.directory import accounts
from roster_pipeline.directory.database import Database
from roster_pipeline.simulator.app import SimulatorThread
from roster_pipeline_tests.cli.test_processes import free_port
from roster_pipeline_tests.console.conftest import OWNER, Browser, Console, Running
from roster_pipeline_tests.console.issuer import CLIENT, SECRET, Issuer, query_of
from roster_pipeline_tests.directory.builders import every, one
from roster_pipeline_tests.waiting import until

pytestmark = pytest.mark.usefixtures("people_let_in")
STARTING_SECONDS = 60.0


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    server = SimulatorThread(found.app()).start()
    found.url = server.base_url
    yield found
    server.stop()


@pytest.fixture
def console_config(database_url: str, issuer: Issuer) -> Config:
    return Config(database_url, oidc=Oidc(issuer.url, CLIENT, SECRET), mail_links=False)


def there_and_back(browser: Browser, next_path: str = "/") -> httpx.Response:
    """The whole sign-in, up to our answer to the provider's response."""
    begun = browser.get("/sign-in/oidc", params={"next": next_path})
    assert begun.status_code == 303, begun.text
    return browser.get(httpx.get(begun.headers["location"], timeout=60, verify=False).headers["location"])


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 403
    found = re.search(r'<p role="alert">(.*?)</p>', answer.text)
    assert found, answer.text
    return found[1]


def test_a_verified_address_signs_in_and_is_bound(visitor: Browser, issuer: Issuer, database: Database) -> None:
    answer = there_and_back(visitor, "/holds")
    assert (answer.status_code, answer.headers["location"]) == (303, "/holds")
    assert visitor.get("/sign-in").headers["location"] == "/"
    assert every(database, "select issuer, subject, name from account where email = :e", e=OWNER) == [
        (issuer.url, "subject-1", "Lou Owner")
    ]
    assert ("signed in", OWNER, {"by": "openid"}) in every(database, "select what, who, details from audit")


def test_the_address_counts_only_the_first_time(console: Console, issuer: Issuer) -> None:
    with console.browser() as browser:
        assert there_and_back(browser).status_code == 303
    issuer.claims = {"sub": "subject-2"}
    with console.browser() as browser:
        assert "belongs to another person" in refusal(there_and_back(browser))
        assert browser.get("/").status_code == 302
    issuer.claims = {"email": "renamed@example.org"}
    with console.browser() as browser:
        assert there_and_back(browser).status_code == 303


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nonce": ({"claims": {"nonce": "of another sign-in"}}, "nonce"),
    "no nonce": ({"claims": {"nonce": None}}, "nonce"),
    "expired": ({"claims": {"exp": 1_700_000_000}}, "ExpiredSignature"),
    "never expires": ({"claims": {"exp": None}}, "MissingRequiredClaim"),
    "from the future": ({"claims": {"iat": 4_000_000_000}}, "ImmatureSignature"),
    "for another application": ({"claims": {"aud": "another"}}, "InvalidAudience"),
    "for two applications": ({"claims": {"aud": ["roster-console", "another"]}}, "azp"),
    "handed on by another": ({"claims": {"azp": "another"}}, "azp"),
    "of another issuer": ({"claims": {"iss": "https://accounts.google.com"}}, "InvalidIssuer"),
    "nobody": ({"claims": {"sub": None}}, "MissingRequiredClaim"),
    "an empty subject": ({"claims": {"sub": " "}}, "names nobody"),
    "a subject that cannot be stored": ({"claims": {"sub": "subject-1\0"}}, "names nobody"),
    "a subject of half a letter": ({"claims": {"sub": "\ud800"}}, "names nobody"),
    "a subject without end": ({"claims": {"sub": "s" * 256}}, "names nobody"),
    "a nonce of half a letter": ({"claims": {"nonce": "\ud800"}}, "nonce"),
    "a foreign key": ({"another_key": True}, "InvalidSignature"),
    "an unknown key": ({"header": {"kid": "second"}}, "does not publish"),
    "unsigned": ({"algorithm": "none"}, "not signed with a public key"),
    "signed with a shared secret": ({"algorithm": "HS256"}, "not signed with a public key"),
}


def test_a_token_that_proves_nothing_is_refused(console: Console, issuer: Issuer, database: Database) -> None:
    good = {name: value for told, _ in WRONG.values() for name, value in vars(issuer).items() if name in told}
    for number, (what, (told, said)) in enumerate(WRONG.items(), start=1):
        vars(issuer).update(good | told)
        with console.browser() as browser:
            assert said in refusal(there_and_back(browser)), what
            assert browser.get("/").status_code == 302, what
        assert one(database, "select count(*) from console_session") == 0, what
        assert one(database, "select count(*) from audit where what = 'sign-in refused'") == number, what


def test_an_address_that_is_not_verified_is_refused(visitor: Browser, issuer: Issuer) -> None:
    for verified in (False, None, "false", 0):
        issuer.claims = {"email_verified": verified}
        refused = refusal(there_and_back(visitor))
        assert "does not say that your e-mail address is verified" in refused, verified


def test_an_address_that_only_becomes_the_one_of_an_account_is_refused(
    visitor: Browser, issuer: Issuer, database: Database
) -> None:
    database.call(accounts.grant, "kim@school.example", accounts.Place(), by="ada")
    for email in ("\u212aim@school.example", "kim\0@school.example", "kim@school.example\nbob@school.example"):
        issuer.claims = {"email": email}
        assert "does not say that your e-mail address is verified" in refusal(there_and_back(visitor)), email
    issuer.claims = {"email": "Kim@School.example", "name": "Kim\0 \ud800\x1b[31m\u202e"}
    assert there_and_back(visitor).status_code == 303
    assert one(database, "select name from account where email = 'kim@school.example'") == "Kim [31m"


def test_who_was_not_let_in_reads_so(visitor: Browser, issuer: Issuer, database: Database) -> None:
    issuer.claims = {"email": "<b>new@example.org", "sub": "subject-9"}
    said = refusal(there_and_back(visitor))
    assert "this address has no access" in said
    assert "&lt;b&gt;new@example.org" in said
    assert one(database, "select count(*) from account where subject = 'subject-9'") == 0


def test_the_address_may_come_from_userinfo_of_the_same_subject(visitor: Browser, issuer: Issuer) -> None:
    issuer.claims = {"email": None, "email_verified": None}
    issuer.userinfo = {"sub": "somebody else", "email": OWNER, "email_verified": True}
    assert "its answers name two people" in refusal(there_and_back(visitor))
    issuer.userinfo = {"sub": "subject-1", "email": OWNER, "email_verified": True}
    assert there_and_back(visitor).status_code == 303


def test_a_word_of_the_token_verifies_no_address_of_userinfo(visitor: Browser, issuer: Issuer) -> None:
    issuer.claims = {"email": None, "email_verified": True}
    issuer.userinfo = {"sub": "subject-1", "email": OWNER}
    assert "does not say that your e-mail address is verified" in refusal(there_and_back(visitor))


def test_a_key_that_was_exchanged_is_found(visitor: Browser, issuer: Issuer) -> None:
    issuer.key, issuer.key_id, issuer.algorithm = ec.generate_private_key(ec.SECP256R1()), "elliptic", "ES256"
    assert there_and_back(visitor).status_code == 303


def test_an_answer_works_once_and_only_in_the_browser_that_began(console: Console, issuer: Issuer) -> None:
    with console.browser() as browser, console.browser() as thief:
        sent = httpx.get(browser.get("/sign-in/oidc").headers["location"], timeout=60).headers["location"]
        thief.get("/sign-in")
        assert "another browser" in refusal(thief.get(sent))
        assert browser.get(sent).status_code == 303
        with console.browser() as again:
            again.cookies.update(browser.cookies)
            assert "another browser" in refusal(again.get(sent))
    assert issuer.exchanges == 1


def test_state_nonce_and_proof_are_new_each_time(visitor: Browser, console: Console, issuer: Issuer) -> None:
    asked = [query_of(visitor.get("/sign-in/oidc").headers["location"]) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
    assert asked[0]["redirect_uri"] == f"{console.url}/sign-in/callback"
    assert asked[0]["scope"].split()[0] == "openid"


def test_a_refusal_of_the_provider_is_shown_as_its_code_alone(visitor: Browser, issuer: Issuer) -> None:
    issuer.error = "access_denied"
    assert "(access_denied)" in refusal(there_and_back(visitor))
    issuer.error = "<script>"
    assert "(no reason given)" in refusal(there_and_back(visitor))


def test_a_provider_with_another_name_or_none_gets_a_page_without_a_trace(visitor: Browser, issuer: Issuer) -> None:
    issuer.published_name = "https://accounts.example.org"
    answer = visitor.get("/sign-in/oidc")
    assert answer.status_code == 503
    assert "has another name" in answer.text


@pytest.mark.parametrize(
    "published",
    [
        {"token_endpoint_auth_methods_supported": None},
        {"token_endpoint_auth_methods_supported": 5},
        {"authorization_endpoint": "https://[accounts"},
        {"token_endpoint": "https://[accounts"},
        {"jwks_uri": 5},
        {"jwks_uri": "http://accounts.example.org/keys"},
        {"keys": None},
        {"keys": 5},
        {"keys": [None, 5, {}]},
    ],
    ids=str,
)
def test_a_provider_that_publishes_nonsense_gets_a_page_without_a_trace(
    visitor: Browser, issuer: Issuer, published: dict[str, Any]
) -> None:
    issuer.published = published
    begun = visitor.get("/sign-in/oidc")
    if begun.status_code == 303:
        begun = visitor.get(httpx.get(begun.headers["location"], timeout=60, verify=False).headers["location"])
    assert begun.status_code in (403, 503)
    assert "The identity provider" in begun.text


def test_the_link_by_mail_is_off_if_there_is_a_provider(visitor: Browser, console: Console, environment: Path) -> None:
    shown = visitor.get("/sign-in").text
    assert "Sign in with" in shown
    assert 'type="email"' not in shown
    visitor.send_form("/sign-in", {"email": OWNER})
    assert one(console.database, "select count(*) from sign_in_link") == 0


def test_an_account_that_signed_in_at_the_provider_is_sent_no_link(
    visitor: Browser, console: Console, issuer: Issuer, environment: Path, database: Database
) -> None:
    """With both ways of signing in on. A link from before the first sign-in there does not work either."""
    both = Config(console.config.database_url, url=console.config.url, oidc=console.config.oidc, mail_links=True)
    send_link(database, both, OWNER, "/")
    (before,) = every(database, "select used_at from sign_in_link")
    assert before == (None,)
    assert there_and_back(visitor).status_code == 303
    assert one(database, "select count(*) from sign_in_link where used_at is null") == 0
    send_link(database, both, OWNER, "/")
    assert one(database, "select count(*) from sign_in_link") == 1
    assert ("sign-in refused", OWNER) in every(database, "select what, who from audit")


def known_to(provider: str) -> bool:
    """Let a provider know OWNER, once it runs."""
    with contextlib.suppress(httpx.TransportError):
        httpx.put(f"{provider}/users/{OWNER}", json={"email": OWNER, "email_verified": True}, verify=False)
        return True
    return False


def test_a_well_kept_provider(database: Database, environment: Path, database_url: str) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    provider = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: known_to(url), STARTING_SECONDS)
        config = Config(database_url, oidc=Oidc(url, CLIENT, SECRET))
        with Running(database, config) as console, console.browser() as browser:
            there = browser.get("/sign-in/oidc").headers["location"]
            back = httpx.post(there, data={"sub": OWNER}, timeout=60).headers["location"]
            assert browser.get(back).status_code == 303
            assert browser.get("/sign-in").status_code == 303
    finally:
        provider.terminate()
        provider.wait(20)
