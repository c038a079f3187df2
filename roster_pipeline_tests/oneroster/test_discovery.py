"""The search for the way to sign in: few requests carry the secret, and all go to one host."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from roster_pipeline.oneroster import (
    Busy,
    Client,
    Clock,
    Endpoint,
    NotOneRoster,
    OneRosterError,
    Redirected,
    SignInRefused,
)
from roster_pipeline.oneroster.http.auth import MOST_SCOPES
from roster_pipeline.oneroster.http.token_search import MOST_TRIES
from roster_pipeline.simulator import running
from roster_pipeline_tests.oneroster.client_helpers import QUICK, TestClock, checked
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, page, person

SECRET = "wr0ng-secret"
ROOT_1_1, ROOT_1_2 = "/ims/oneroster/v1p1", "/ims/oneroster/rostering/v1p2"


class Recorded:
    """A server that records requests. asked: all paths. secret: paths of requests that carried the credentials."""

    def __init__(self, answer: Callable[[str, str, str], Response]) -> None:
        self.answer = answer
        self.url = ""
        self.asked: list[str] = []
        self.secret: list[str] = []

    async def reply(self, request: Request) -> Response:
        path, sent = request.url.path, request.headers.get("authorization", "")
        body = unquote_to_bytes(await request.body()).decode()
        self.asked.append(path)
        kind, _, value = sent.partition(" ")
        opened = base64.b64decode(value).decode() if kind == "Basic" else value
        if SECRET in opened or SECRET in body or kind == "OAuth":
            self.secret.append(path)
        return self.answer(request.method, path, sent)


@contextmanager
def serving(answer: Callable[[str, str, str], Response]) -> Iterator[Recorded]:
    made = Recorded(answer)
    with running(Starlette(routes=[Route("/{path:path}", made.reply, methods=["GET", "POST"])])) as base:
        made.url = base
        yield made


def refusal(base: str, clock: Clock | None = None, **settings: Any) -> OneRosterError:
    known: dict[str, Any] = {"client_id": "id", "client_secret": SECRET, "allow_private": True, "limits": QUICK}
    with Client(Endpoint(base, **(known | settings)), clock or TestClock().clock) as client:
        with pytest.raises(OneRosterError) as problem:
            list(client.orgs())
        return problem.value


def closed(path: str, root: str = ROOT_1_2) -> Response:
    """Only the root exists, and it requires a sign-in."""
    return Response(status_code=401 if path.startswith(root) else 404)


def oauth(code: str, status: int = 401) -> Response:
    return JSONResponse({"error": code}, status)


def token(path: str, answer: Response, root: str = ROOT_1_2, where: str = "/token") -> Response:
    return answer if path == where else closed(path, root)


def described(path: str, url: str) -> Response:
    if path.startswith(ROOT_1_2 + "/discovery/"):
        return JSONResponse(
            {"components": {"securitySchemes": {"a": {"flows": {"clientCredentials": {"tokenUrl": url}}}}}}
        )
    return closed(path)


@pytest.mark.parametrize(
    "answer",
    [
        lambda method, path, sent: Response(status_code=401),
        lambda method, path, sent: closed(path),
        lambda method, path, sent: closed(path, ROOT_1_1),
        lambda method, path, sent: token(path, oauth("invalid_client")),
        lambda method, path, sent: token(path, oauth("invalid_scope", 400)),
        lambda method, path, sent: token(path, oauth("invalid_request", 400)),
        lambda method, path, sent: token(path, Response(status_code=401), where="/oauth2/token"),
        lambda method, path, sent: Response(status_code=500) if sent else closed(path, ROOT_1_1),
        lambda method, path, sent: Response(status_code=403) if sent else closed(path, ROOT_1_1),
        lambda method, path, sent: Response(status_code=401 if method == "GET" else 400),
    ],
)
@pytest.mark.parametrize("secret_id", ["id", "i+d"])
def test_few_requests_carry_the_secret_with_any_answer(
    answer: Callable[[str, str, str], Response], secret_id: str
) -> None:
    with serving(answer) as server:
        refusal(server.url, client_id=secret_id)
    of_scopes = MOST_SCOPES if "invalid_scope" in bytes(answer("POST", "/token", "").body).decode() else 0
    assert len(server.secret) <= MOST_TRIES + of_scopes
    assert (MOST_TRIES, MOST_SCOPES) == (6, 4)
    assert len(server.asked) < 60


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client", "access_denied", "unsupported_grant_type"])
def test_the_first_telling_answer_ends_the_search(code: str) -> None:
    with serving(lambda method, path, sent: token(path, oauth(code))) as server:
        problem = refusal(server.url)
    assert isinstance(problem, SignInRefused)
    assert code in problem.message
    assert set(server.secret) == {"/token"}
    assert len(server.secret) <= 3, "Basic, in the form, and both"


def test_no_address_gets_the_secret_that_has_not_shown_itself_as_a_token_address() -> None:
    with serving(lambda method, path, sent: closed(path)) as server:
        problem = refusal(server.url, sign_in="oauth2")
    assert server.secret == []
    assert "No token address was found" in problem.message
    assert "Enter the token URL" in problem.remedy


@pytest.mark.parametrize("status", [401, 403])
def test_an_api_that_asks_for_a_sign_in_is_there_although_no_token_address_was_found(status: int) -> None:
    there = Response(status_code=status)
    with serving(lambda method, path, sent: there if path.startswith(ROOT_1_2 + "/orgs") else closed("")) as server:
        problem = refusal(server.url)
    assert isinstance(problem, SignInRefused)
    assert "No token address was found" in problem.message
    assert "Enter the token URL" in problem.remedy


def test_a_gateway_that_answers_every_path_is_not_a_token_address() -> None:
    with serving(lambda method, path, sent: Response(status_code=401)) as server:
        problem = refusal(server.url, sign_in="oauth2")
    assert server.secret == []
    assert "token URL" in problem.remedy


@pytest.mark.parametrize("way", ["described", "redirected", "entered"])
@pytest.mark.parametrize("status", [307, 302])
def test_a_token_address_on_another_host_gets_no_secret_before_somebody_entered_it(way: str, status: int) -> None:
    with serving(lambda method, path, sent: oauth("invalid_client")) as elsewhere:
        there = elsewhere.url + "/given/token"

        def answer(method: str, path: str, sent: str) -> Response:
            if way == "described":
                return described(path, there.replace("127.0.0.1", "[::1]"))
            return token(path, RedirectResponse(there + "?client_secret=x", status), where="/token")

        with serving(answer) as server:
            problem = refusal(server.url, token_url=server.url + "/token" if way == "entered" else None)
        assert isinstance(problem, SignInRefused)
        assert "/given/token" in problem.message
        assert "client_secret" not in str(problem)
        assert "enter it as the token URL" in problem.remedy
        assert elsewhere.asked == []
        if way != "entered":
            assert server.secret == []
        with serving(lambda method, path, sent: closed(path)) as server:
            assert "invalid_client" in refusal(server.url, token_url=there).message
        assert set(elsewhere.secret) == {"/given/token"}, "entered by a person, it is asked"
        assert server.secret == []


@pytest.mark.parametrize("way", ["described", "redirected", "entered", "entered itself"])
@pytest.mark.parametrize("there", ["https://[/token", "https://sis.example:99999/token"])
def test_an_unreadable_token_address_gets_a_message_and_no_secret(way: str, there: str) -> None:
    def answer(method: str, path: str, sent: str) -> Response:
        if way == "described":
            return described(path, there)
        return token(path, Response(status_code=307, headers={"Location": there}), where="/token")

    with serving(answer) as server:
        entered = {"entered": server.url + "/token", "entered itself": there}.get(way)
        problem = refusal(server.url, token_url=entered)
    assert "token URL" in problem.remedy
    assert way == "entered" or "/token" not in server.secret


def test_an_api_that_redirects_to_another_host_gets_no_secret_there() -> None:
    with serving(lambda method, path, sent: oauth("invalid_client")) as elsewhere:
        with serving(lambda method, path, sent: RedirectResponse(elsewhere.url + path, 307)) as server:
            problem = refusal(server.url)
        assert isinstance(problem, Redirected)
        assert elsewhere.asked == []
        assert server.secret == []


def test_a_token_address_on_another_host_is_not_recalled_either() -> None:
    with (
        serving(lambda method, path, sent: oauth("invalid_client")) as elsewhere,
        serving(lambda *_: closed(_[1])) as server,
    ):
        learned = {"base": server.url, "root": server.url + ROOT_1_2, "version": "1.2"}
        form = {"placement": "basic", "parameters": "form", "scope": ""}
        learned |= {"sign_in": {"kind": "oauth2", "token_url": elsewhere.url + "/token", "form": form}}  # type: ignore[dict-item]
        refusal(server.url, learned=learned)
        assert elsewhere.asked == []


def strict_oauth1(method: str, path: str, sent: str, root: str = ROOT_1_1) -> Response:
    """A server that splits a header at its commas and trims nothing."""
    if method == "POST" or not path.startswith(root):
        return Response(status_code=404)
    names = {part.partition("=")[0] for part in sent.removeprefix("OAuth ").split(",")}
    if not {"oauth_consumer_key", "oauth_nonce", "oauth_signature", "oauth_timestamp"} <= names:
        return Response(status_code=401, headers={"WWW-Authenticate": 'OAuth realm="x"'})
    if path.endswith("/orgs"):
        return page([SCHOOL], {}, "orgs")
    return page([person("p-1")], {}) if path.endswith("/users") else Response(status_code=404)


@pytest.mark.parametrize("root", [ROOT_1_1, ROOT_1_2])
@pytest.mark.parametrize("kind", ["oauth1", "auto"])
def test_the_header_of_oauth1_has_no_blanks_after_its_commas(kind: Any, root: str) -> None:
    """At 1.2 too, which does not have it: a root that is not there costs none of the few tries."""
    with serving(partial(strict_oauth1, root=root)) as server:
        endpoint = Endpoint(server.url, "id", SECRET, kind, allow_private=True, limits=QUICK)
        with Client(endpoint, TestClock().clock) as client:
            assert client.version == "1.2"
            assert client.learned["sign_in"]["kind"] == "oauth1"
    assert server.secret
    assert "/token" not in server.asked, "the server said which way it wants"


@pytest.mark.parametrize(
    "crash",
    [
        lambda method, sent: sent.startswith("Bearer"),
        lambda method, sent: method == "POST",
        lambda method, sent: method == "POST" or sent.startswith("Bearer"),
    ],
)
def test_a_401_of_the_right_way_is_more_telling_than_a_crash_of_a_wrong_one(crash: Callable[[str, str], bool]) -> None:
    def answer(method: str, path: str, sent: str) -> Response:
        return Response(status_code=500) if crash(method, sent) else closed(path, ROOT_1_1)

    with serving(answer) as server:
        problem = refusal(server.url)
    assert isinstance(problem, SignInRefused)
    assert "401" in problem.message
    assert len(server.secret) <= MOST_TRIES


@pytest.mark.parametrize(
    ("chosen", "said", "unsaid"),
    [
        ({"sign_in": "oauth1"}, "consumer secret", "token URL"),
        ({"sign_in": "bearer", "client_id": ""}, "the token that is entered as Client Secret", "Client ID"),
        ({"sign_in": "auto"}, "Client ID and Client Secret", "consumer"),
    ],
)
def test_a_remedy_fits_the_way_that_was_chosen(chosen: dict[str, Any], said: str, unsaid: str) -> None:
    with serving(lambda method, path, sent: closed(path, ROOT_1_1)) as server:
        problem = refusal(server.url, **chosen)
    assert said in problem.remedy
    assert unsaid not in problem.remedy


def test_refused_signatures_name_the_clock_if_it_is_wrong() -> None:
    late = replace(TestClock().clock, now=lambda: datetime.now(UTC) - timedelta(hours=1))
    with serving(lambda method, path, sent: closed(path, ROOT_1_1)) as server:
        assert "differ by 60 minutes" in refusal(server.url, late, sign_in="oauth1").remedy
        assert "clock" not in refusal(server.url, late, sign_in="bearer", client_id="").remedy


@pytest.mark.parametrize("kind", ["auto", "oauth2"])
def test_what_worked_before_and_fails_now_gets_other_words_than_a_new_connection(kind: Any) -> None:
    good = True

    def answer(method: str, path: str, sent: str) -> Response:
        if path == "/token":
            return JSONResponse({"access_token": "t"}) if good and sent else oauth("invalid_client")
        if path.endswith("/orgs"):
            return page([SCHOOL], {}, "orgs") if sent else Response(status_code=401)
        return page([person("p-1")], {}) if sent and path.endswith("/users") else Response(status_code=404)

    with serving(answer) as server:
        endpoint = Endpoint(server.url, "id", SECRET, kind, allow_private=True, limits=QUICK)
        with Client(endpoint, TestClock().clock) as client:
            client.connect()
            learned = client.learned
        good = False
        new, old = refusal(server.url, sign_in=kind), refusal(server.url, sign_in=kind, learned=learned)
    assert "accepted before" not in new.remedy
    assert "accepted before" in old.remedy


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (Response("<html>", media_type="text/html"), "other than JSON"),
        (Response(status_code=404), "No OneRoster API was found"),
    ],
)
def test_another_answer_where_data_were_is_reported_as_a_change_of_the_sis_and_retried(
    there: Response, said: str
) -> None:
    with serving(lambda method, path, sent: there) as server:
        new = refusal(server.url)
        old = refusal(server.url, learned={"base": server.url, "root": server.url + ROOT_1_2, "version": "1.2"})
    for problem in (new, old):
        assert isinstance(problem, NotOneRoster)
        assert said in problem.message
    assert "Check the URL" in new.remedy
    assert "has worked before" in old.remedy
    assert "Check the URL" not in old.remedy
    assert (new.retryable, old.retryable) == (False, True)


@pytest.mark.parametrize("worked", [True, False])
def test_a_web_page_at_the_token_address_passes_if_there_were_tokens(worked: bool) -> None:
    with serving(lambda method, path, sent: token(path, Response("<html>", media_type="text/html"))) as server:
        learned = {"base": server.url, "root": server.url + ROOT_1_2, "version": "1.2"} if worked else {}
        problem = refusal(server.url, token_url=server.url + "/token", learned=learned)
    assert isinstance(problem, SignInRefused)
    assert (problem.retryable, "has worked before" in problem.remedy) == (worked, worked)


ROOT_1_0 = "/ims/oneroster/v1p0"


def old_server(way: str) -> Callable[[str, str, str], Response]:
    """OneRoster 1.0, behind one of the ways of signing in; a gateway answers 401 to every unsigned request."""

    def answer(method: str, path: str, sent: str) -> Response:
        if path == "/token":
            given = JSONResponse({"access_token": "t0ken", "token_type": "bearer", "expires_in": 3600})
            return given if sent.startswith("Basic") else oauth("invalid_client")
        signed = way == "open" or sent.startswith("OAuth " if way == "oauth1" else "Bearer ")
        if not signed:
            return Response(status_code=401 if way == "gateway" or path.startswith(ROOT_1_0) else 404)
        if not path.startswith(ROOT_1_0):
            return Response(status_code=404)
        old = {"status": "active", "role": "student", "orgs": [{"sourcedId": "sch-1"}], "givenName": "Mira"}
        lists: dict[str, Any] = {"/orgs": {"orgs": [SCHOOL]}, "/users": {"users": [{"sourcedId": "p-1", **old}]}}
        found = lists.get(path.removeprefix(ROOT_1_0))
        return JSONResponse(found) if found else Response(status_code=404)

    return answer


@pytest.mark.parametrize("way", ["open", "token", "gateway", "oauth1"])
@pytest.mark.parametrize("pasted", ["", "/ims/oneroster", ROOT_1_0])
def test_a_1_0_server_is_found_by_its_host_and_called_1_0(way: str, pasted: str) -> None:
    with serving(old_server(way)) as server:
        known: dict[str, Any] = {"client_id": "id", "client_secret": SECRET, "allow_private": True, "limits": QUICK}
        if way == "open":
            known |= {"client_id": "", "client_secret": ""}
        if way == "oauth1":
            known |= {"sign_in": "oauth1"}
        with Client(Endpoint(server.url + pasted, **known), TestClock().clock) as client:
            items = checked(client, "sch-1", roles=frozenset({"student"}))
            assert client.connect().root == server.url + ROOT_1_0
    assert items["Version"].detail == "OneRoster 1.0, read as 1.1"
    assert items["School"].ok
    assert "1 in this school" in items["Students"].detail
    before = server.secret if way != "oauth1" else server.secret[: server.secret.index(ROOT_1_0 + "/orgs") + 1]
    assert len(before) <= MOST_TRIES


@pytest.mark.parametrize("wait", [None, "7200"])
def test_a_host_that_limits_our_requests_is_not_searched_on(wait: str | None) -> None:
    headers = {} if wait is None else {"Retry-After": wait}
    busy = Response(status_code=429, headers=headers)
    asked: list[str] = []

    def answer(method: str, path: str, sent: str) -> Response:
        asked.append(method)
        return busy if method == "POST" else closed(path)

    with serving(answer) as made:
        assert isinstance(refusal(made.url), Busy)
    assert asked[asked.index("POST") :] == ["POST"] * (QUICK.attempts if wait is None else 1)
