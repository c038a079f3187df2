"""Quirks 8 to 23: every way of signing in."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roster_pipeline.oneroster import Client, Endpoint, SignInRefused
from roster_pipeline.oneroster.http.oauth2 import OAuth2SignIn
from roster_pipeline.simulator import District, running
from roster_pipeline.simulator.authorization import API_KEY_HEADER, FIXED_API_KEY, FIXED_BEARER
from roster_pipeline_tests.oneroster.client_helpers import QUICK, Served, Start, TestClock, pulled_by, serve
from roster_pipeline_tests.oneroster.odd_server import SCHOOL, odd, page, person


def tokens_asked(served: Served) -> int:
    return sum(1 for entry in served.requests if entry.method == "POST")


def tokens_given(served: Served) -> int:
    return sum(1 for entry in served.requests if entry.method == "POST" and entry.status == 200)


def test_q08_credentials_in_the_form_body(sis: Start) -> None:
    served = sis("token_auth=body")
    with served.client() as client:
        assert pulled_by(client).complete
        assert client.learned["sign_in"]["form"]["placement"] == "body"


SCOPE = "https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly"


def token_address(needs: Callable[[Mapping[str, str]], bool], refusal: Response, token: str = "Bearer abc") -> Any:
    """A server with a token address that gives its token if `needs` holds for the request, else this refusal."""

    async def reply(request: Request) -> Response:
        if request.url.path == "/token":
            kind, body = request.headers["content-type"], (await request.body()).decode()
            given = {"basic": request.headers.get("Authorization", ""), "json": "yes" if kind.endswith("json") else ""}
            given |= json.loads(body) if given["json"] else dict(parse_qsl(body))
            return Response(token) if needs(defaultdict(str, given)) else refusal
        if request.headers.get("Authorization") != "Bearer abc":
            return Response(status_code=401)
        orgs = request.url.path.endswith("/orgs")
        return page([SCHOOL], request.query_params, "orgs") if orgs else Response(status_code=404)

    return running(Starlette(routes=[Route("/{path:path}", reply, methods=["GET", "POST"])]))


REFUSED, NO_CLIENT, NO_SCOPE = (
    Response(status_code=400),
    *(JSONResponse({"error": code}, 400) for code in ("invalid_client", "invalid_scope")),
)


def test_q08_a_secret_with_two_spellings_reaches_the_body_of_a_server_that_basic_crashes() -> None:
    crash = Response(status_code=500)
    with token_address(lambda given: bool(given["client_secret"]), crash, '{"access_token": "Bearer abc"}') as base:
        endpoint = Endpoint(base, "id", "s+e/c=", token_url=base + "/token", allow_private=True, limits=QUICK)
        with Client(endpoint, TestClock().clock) as client:
            assert client.connect().sign_in.learned()["form"]["placement"] == "body"


@pytest.mark.parametrize(
    ("needs", "refusal", "learned"),
    [
        (lambda given: bool(given["client_secret"]), REFUSED, {"placement": "body"}),
        (lambda given: bool(given["client_secret"]), Response(status_code=500), {"placement": "body"}),
        (lambda given: bool(given["basic"] and given["client_secret"]), NO_CLIENT, {"placement": "both"}),
        (lambda given: bool(given["basic"] and given["client_id"]), REFUSED, {"placement": "both"}),
        (lambda given: bool(given["json"] and given["client_secret"]), REFUSED, {"parameters": "json"}),
        (lambda given: bool(given["json"] and given["scope"]), Response(status_code=415), {"parameters": "json"}),
        (lambda given: given["scope"] == SCOPE, NO_SCOPE, {"placement": "basic", "scope": SCOPE}),
    ],
)
def test_q08_q15_whatever_a_token_address_needs_is_found(
    needs: Callable[[Mapping[str, str]], bool], refusal: Response, learned: dict[str, str]
) -> None:
    with token_address(needs, refusal, '{"access_token": "Bearer abc"}') as base:
        endpoint = Endpoint(base, "id", "secret", token_url=base + "/token", allow_private=True, limits=QUICK)
        with Client(endpoint, TestClock().clock) as client:
            form = client.connect().sign_in.learned()["form"]
            assert form | learned == form
        with Client(replace(endpoint, learned=client.learned), TestClock().clock) as later:
            assert later.connect().remembered
            assert list(later.orgs())


@pytest.mark.parametrize(
    "token", ["access_token=abc&token_type=bearer&expires_in=60", '{"data": {"access_token": "abc"}, "code": 0}']
)
def test_a_token_response_as_a_web_form_or_inside_an_object_is_read(token: str) -> None:
    with token_address(lambda given: bool(given["basic"]), NO_CLIENT, token) as base:
        endpoint = Endpoint(base, "id", "secret", allow_private=True, limits=QUICK)
        with Client(endpoint, TestClock().clock) as client:
            assert list(client.orgs())


def test_q09_scopes_are_always_sent_and_missing_ones_are_told(sis: Start) -> None:
    served = sis("scope_required", "scope_granted=roster-core.readonly")
    with served.client() as client:
        assert pulled_by(client).complete
        sign_in = client.connect().sign_in
        assert isinstance(sign_in, OAuth2SignIn)
        assert (sign_in.granted or "").endswith("roster-core.readonly")


def test_q11_a_token_reply_that_is_no_object_gets_a_clear_message(sis: Start) -> None:
    served = sis("token_bare_string")
    for stated in (served.url + "/token", None):
        with served.client(token_url=stated) as client, pytest.raises(SignInRefused) as problem:
            client.connect()
        assert "other than a token response" in str(problem.value)
        assert "token URL" in str(problem.value)


def test_q12_a_bar_in_the_client_id_and_a_base_with_a_tail(small_district: District) -> None:
    served = serve(
        small_district,
        ["token_auth=basic", "root_suffix=/school"],
        versions=("1.1",),
        credentials={"rp|1234567": "s:+ x"},
    )
    try:
        pulled = served.pull(
            base_url=served.url + "/ims/oneroster/v1p1/school",
            token_url=served.url + "/token",
            client_id="rp|1234567",
            client_secret="s:+ x",
        )
    finally:
        served.stop()
    assert pulled.complete


@pytest.mark.parametrize("encoding", ["raw", "encoded"])
def test_q13_a_secret_is_sent_raw_and_then_percent_encoded(small_district: District, encoding: str) -> None:
    secret = "a+b/c=d%e"
    served = serve(
        small_district, [f"secret_encoding={encoding}", "token_auth=basic"], credentials={"demo-client": secret}
    )
    try:
        assert served.pull(client_secret=secret).complete
    finally:
        served.stop()


def test_q14_a_token_from_another_host_than_the_api(sis: Start) -> None:
    tokens = sis()
    api = sis()
    api.sis.access.tokens = tokens.sis.tokens
    pulled = api.pull(token_url=tokens.url + "/token")
    assert pulled.complete
    assert tokens_asked(api) == 0


TOKEN_HABITS = [
    *("scope_omitted", "scopes_unknown"),
    *("scope_spelling=http", "scope_spelling=short", "scope_version_bound", "scope_text=turned"),
    *("token_form_only", "session_cookie", "token_members=camel", "token_moved=307"),
]


@pytest.mark.parametrize("habit", TOKEN_HABITS)
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_q10_q15_q17_q18_habits_of_a_token_address_are_lived_with(sis: Start, habit: str, version: str) -> None:
    assert sis(habit, versions=(version,)).pull().complete


def test_q15_chosen_scopes_are_sent_as_they_are(sis: Start) -> None:
    served = sis()
    with served.client(scopes="https://purl.imsglobal.org/spec/or/v1p2/scope/roster.readonly") as client:
        client.connect()
        assert client.learned["sign_in"]["form"]["scope"].endswith("scope/roster.readonly")


def test_a_token_url_that_leads_nowhere_gets_a_clear_message(sis: Start) -> None:
    served = sis()
    with served.client(token_url=served.url + "/nowhere") as client, pytest.raises(SignInRefused) as problem:
        client.connect()
    assert "no token address there" in str(problem.value)


def test_q16_parameters_in_the_query(sis: Start) -> None:
    with sis("grant_type=query").client() as client:
        assert pulled_by(client).complete
        assert client.learned["sign_in"]["form"]["parameters"] == "query"


def test_q20_a_static_bearer_and_what_is_said_when_it_is_replaced(sis: Start) -> None:
    served = sis("sign_in=bearer")
    key: dict[str, Any] = {"client_id": "", "client_secret": FIXED_BEARER}
    assert served.pull(**key).complete
    served.sis.faults.set("credentials_ended")
    with served.client(sign_in="bearer", **key) as client, pytest.raises(SignInRefused) as problem:
        client.connect()
    assert "replaced" in str(problem.value)


@pytest.mark.parametrize("method", ["sha256", "sha1"])
def test_q21_signed_requests_by_either_hash(sis: Start, method: str) -> None:
    served = sis("sign_in=oauth1", f"oauth1_hash={method}", versions=("1.1",))
    with served.client(sign_in="oauth1") as client:
        assert pulled_by(client).complete
        assert client.learned["sign_in"] == {"kind": "oauth1", "method": method}


def test_q21_signing_is_found_out_where_nothing_was_chosen(sis: Start) -> None:
    served = sis("sign_in=oauth1", versions=("1.1",))
    with served.client() as client:
        assert client.version == "1.1"
        assert client.learned["sign_in"]["kind"] == "oauth1"


def test_q21_a_retry_is_signed_anew_with_a_filter_in_the_query(sis: Start) -> None:
    served = sis("sign_in=oauth1", "not_found=/teachers", versions=("1.1",))
    with served.client(sign_in="oauth1") as client:
        client.connect()
        served.sis.faults.set("fails_first=2")
        answer = client.collection("/users", "users", query_filter="role='a b'").page(0)
    assert answer.records == []


@pytest.mark.parametrize("query", ["app[id]=1", "note=50%", "x={1}|2", "q=%C3%A9"])
def test_q21_an_address_with_any_query_can_be_signed(sis: Start, query: str) -> None:
    served = sis("sign_in=oauth1", versions=("1.1",))
    with served.client(sign_in="oauth1", base_url=f"{served.url}?{query}") as client:
        assert list(client.orgs())


def test_q22_a_fixed_header_beside_the_sign_in_or_instead_of_it(sis: Start) -> None:
    header = (API_KEY_HEADER, FIXED_API_KEY)
    assert sis("api_key").pull(fixed_header=header).complete
    assert sis("api_key", "sign_in=api_key").pull(fixed_header=header, client_id="", client_secret="").complete


@pytest.mark.parametrize("lifetime", ["missing", "text"])
def test_q23_a_lifetime_that_is_missing_or_text(sis: Start, lifetime: str) -> None:
    served = sis(f"expires_in={lifetime}")
    assert served.pull().complete
    assert tokens_given(served) == 1


def token_server(token: str) -> Any:
    """A client of a server that gives out this token response, and asks for a token everywhere else."""

    def answers(path: str, query: Mapping[str, str]) -> Any:
        if path == "/token":
            return Response(token, media_type="application/json")
        return page([person("s-1")], query) if path == "/users" else None

    return odd(answers, open_server=False)


@pytest.mark.parametrize("lifetime", ["0", "-1", "1e999", "1" + "0" * 400, '"soon"', "[1]", "true", "0.5"])
def test_q23_a_lifetime_that_means_nothing_is_ignored(lifetime: str) -> None:
    with token_server(f'{{"access_token": "abc", "expires_in": {lifetime}}}') as client:
        assert pulled_by(client).complete


@pytest.mark.parametrize("token", [r"a\nb", r"a\r\nX-Evil: 1", r"a\u0000", r"a\ud800b", "gültig"])
def test_a_token_that_no_request_can_carry_gets_a_clear_message(token: str) -> None:
    server = token_server(f'{{"access_token": "{token}"}}')
    with server as client, pytest.raises(SignInRefused, match="no request can carry"):
        client.connect()


@pytest.mark.parametrize(
    "settings", [{"client_secret": "a\nb"}, {"client_id": "a\r\nX-Evil: 1"}, {"client_secret": "\ud800"}]
)
def test_credentials_that_no_request_can_carry_get_a_clear_message(sis: Start, settings: dict[str, str]) -> None:
    served = sis()
    with pytest.raises(SignInRefused, match="no request can carry"):
        served.client(**settings)
    assert not served.requests


def test_q23_a_token_is_renewed_in_the_middle_of_a_listing(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        client.connect()
        served.sis.faults.set("unauthorized_midway=3")
        assert pulled_by(client).complete
    assert tokens_given(served) == 2


def test_q23_a_token_that_has_run_out_by_its_own_word_is_renewed_before_it_is_used(sis: Start) -> None:
    served = sis("expires_in=100")
    with served.client() as client:
        client.connect()
        served.time.sleep(95)
        assert pulled_by(client).complete
    assert tokens_given(served) == 2
    assert not [entry for entry in served.requests_for("/users") if entry.status == 401]


def test_q23_credentials_that_ended_are_no_empty_roster(sis: Start) -> None:
    served = sis()
    with served.client() as client:
        client.connect()
        learned = dict(client.learned)
    served.sis.faults.set("credentials_ended")
    served.sis.tokens.revoke_all()
    with served.client(learned=learned) as client, pytest.raises(SignInRefused) as problem:
        pulled_by(client)
    assert "expired" in str(problem.value)
    assert "demo-secret" not in str(problem.value)


def test_a_wrong_secret_is_tried_in_few_forms_only(sis: Start) -> None:
    served = sis()
    with served.client(client_secret="wrong") as client, pytest.raises(SignInRefused, match="invalid_client"):
        client.connect()
    assert tokens_asked(served) <= 4


def test_q23_a_gateway_that_forbids_what_an_old_token_asks_for_gets_a_new_one() -> None:
    tokens = forbidden = 0

    def answers(path: str, query: Mapping[str, str]) -> Any:
        nonlocal tokens, forbidden
        if path == "/token":
            tokens += 1
            return {"access_token": f"token-{tokens}"}
        if path == "/users" and tokens == 2 and query.get("limit") != "1":
            forbidden += 1
            return Response(status_code=403)
        return page([person("p-1")], query) if path == "/users" else None

    with odd(answers, open_server=False) as client:
        client.connect()
        client.clock.sleep(600)
        assert pulled_by(client).ids == {"p-1"}
    assert (tokens, forbidden) == (3, 1), "the first one was given to a look without credentials"


def test_what_was_learned_saves_every_question(sis: Start) -> None:
    served = sis("token_auth=body")
    with served.client() as client:
        pulled_by(client)
        learned = client.learned
    served.sis.log.clear()
    with served.client(learned=learned) as client:
        assert pulled_by(client).complete
    assert tokens_asked(served) == 1
    assert len(served.requests) == 1 + len(served.requests_for("/orgs")) + len(served.requests_for("/users"))
    assert {entry.status for entry in served.requests} == {200}


def test_what_was_learned_and_is_no_longer_true_is_found_out_anew(sis: Start) -> None:
    served = sis("token_auth=body")
    with served.client() as client:
        client.connect()
        learned = client.learned
    served.sis.faults.clear()
    served.sis.faults.set("token_auth=basic")
    assert served.pull(learned=learned).complete


def test_the_token_address_of_a_discovery_document_is_used() -> None:
    asked: list[str] = []

    def answers(path: str, query: Mapping[str, str]) -> Any:
        asked.append(path)
        if path.startswith("/discovery/onerosterv1p2"):
            flow = {"clientCredentials": {"tokenUrl": "https://tokens.example.net/never", "scopes": {}}}
            return {"components": {"securitySchemes": {"OAuth2": {"flows": flow}}}}
        return Response(status_code=401)

    with odd(answers, open_server=False) as client, pytest.raises(SignInRefused, match=r"tokens\.example\.net/never"):
        client.connect()
    assert any(path.startswith("/discovery/") for path in asked)


def test_a_client_without_anything_to_sign_in_with_reads_an_open_server() -> None:
    with odd(lambda path, query: JSONResponse({"users": []}) if path == "/users" else None) as client:
        assert client.find_org("0300") == {
            "sourcedId": "sch-1",
            "status": "active",
            "name": "Harbour",
            "type": "school",
            "identifier": "0300",
            "dateLastModified": None,
            "parent": None,
            "foundBy": "identifier",
        }


def test_secrets_are_in_no_text_of_an_endpoint(sis: Start) -> None:
    endpoint = sis().endpoint(fixed_header=("X-Key", "demo-key"))
    assert "demo-secret" not in repr(endpoint)
    assert "demo-key" not in repr(endpoint)
