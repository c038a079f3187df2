"""Token endpoint, scopes, signatures, fixed keys."""

import time
from urllib.parse import quote

import httpx
import oauthlib.oauth1
import pytest

from roster_pipeline.simulator import Sis, authorization
from roster_pipeline_tests.simulator.conftest import ROOTS, SCOPES, Api

GRANT = {"grant_type": "client_credentials"}
BODY = {**GRANT, "client_id": "demo-client", "client_secret": "demo-secret"}


def signed(api: Api, path: str = "/users?limit=1", method: str = "HMAC-SHA256", **options: object) -> httpx.Response:
    """One GET with an OAuth 1.0a signature."""
    client = oauthlib.oauth1.Client(
        str(options.pop("key", "demo-client")), client_secret=str(options.pop("secret", "demo-secret")),
        signature_method=method, **options,  # type: ignore[arg-type]
    )  # fmt: skip
    url = f"{api.http.base_url}".rstrip("/") + ROOTS["1.1"] + path
    _, headers, _ = client.sign(url)
    return api.http.get(url, headers=headers)


@pytest.mark.parametrize("path", ["/oauth/token", "/token", "/ims/oneroster/v1p1/token"])
def test_credentials_by_header_or_by_body(api: Api, path: str) -> None:
    by_header = api.http.post(path, data=GRANT, auth=("demo-client", "demo-secret"))
    by_body = api.http.post(path, data=BODY)
    for answer in (by_header, by_body):
        assert answer.status_code == 200
        assert answer.json().keys() == {"access_token", "token_type", "expires_in", "scope"}


def test_a_secret_with_odd_characters_may_come_encoded_or_not(api: Api, sis: Sis) -> None:
    sis.tokens.credentials["rp|1234567"] = "s+e/c=r%et:"
    for encode in (str, quote):
        auth = (encode("rp|1234567"), encode("s+e/c=r%et:"))
        assert api.http.post("/token", data=GRANT, auth=auth).status_code == 200
        sis.faults.set(f"secret_encoding={'raw' if encode is str else 'encoded'}")
        assert api.http.post("/token", data=GRANT, auth=auth).status_code == 200
        sis.faults.set(f"secret_encoding={'encoded' if encode is str else 'raw'}")
        assert api.http.post("/token", data=GRANT, auth=auth).status_code == 401
        sis.faults.clear()


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        (GRANT, ("demo-client", "wrong"), 401, "invalid_client"),
        (GRANT, ("nobody", "demo-secret"), 401, "invalid_client"),
        (GRANT, None, 401, "invalid_client"),
        ({"grant_type": "password"}, ("demo-client", "demo-secret"), 400, "unsupported_grant_type"),
        ({}, ("demo-client", "demo-secret"), 400, "invalid_request"),
        (BODY, ("demo-client", "demo-secret"), 400, "invalid_request"),
        ({**GRANT, "scope": "https://elsewhere.example/scope"}, ("demo-client", "demo-secret"), 400, "invalid_scope"),
    ],
)
def test_what_the_token_endpoint_refuses(
    api: Api, form: dict[str, str], auth: tuple[str, str] | None, status: int, error: str
) -> None:
    answer = api.http.post("/oauth/token", data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_scopes_limit_what_can_be_read(api: Api) -> None:
    api.sign_in(SCOPES + "roster-core.readonly")
    assert api.get("/users").status_code == 200
    assert api.get("/schools/sch-1/students").status_code == 403
    assert "forbidden" in api.get("/schools/sch-1/students").text
    api.sign_in(SCOPES + "roster.readonly")
    assert api.get("/users").status_code == api.get("/schools/sch-1/students").status_code == 200


def test_without_a_good_token_it_is_401(api: Api, sis: Sis, monkeypatch: pytest.MonkeyPatch) -> None:
    api.token = "made-up"
    for version in ("1.1", "1.2"):
        answer = api.get("/users", version)
        assert answer.status_code == 401
        assert "invalid_token" in answer.headers["WWW-Authenticate"]
    sis.faults.set("expires_in=1")
    api.sign_in()
    assert api.get("/users").status_code == 200
    monkeypatch.setattr(authorization, "time", lambda: time.time() + 1.1)
    assert api.get("/users").status_code == 401


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256"])
def test_signed_requests_read_1_1(api: Api, method: str) -> None:
    assert signed(api, method=method).status_code == 200
    odd = "/users?limit=3&filter=" + quote("familyName~'a b'", safe="")
    assert signed(api, odd, method=method).status_code == 200


def test_a_signature_must_fit_key_query_time_nonce_and_version(api: Api, sis: Sis) -> None:
    assert signed(api, secret="wrong").status_code == 401
    assert signed(api, key="nobody").status_code == 401
    assert signed(api, timestamp=str(int(time.time()) - 900)).status_code == 401
    once = {"nonce": "n-1", "timestamp": str(int(time.time()))}
    assert [signed(api, **once).status_code for _ in range(2)] == [200, 401]
    client = oauthlib.oauth1.Client("demo-client", client_secret="demo-secret", signature_method="HMAC-SHA256")
    base = f"{api.http.base_url}".rstrip("/")
    _, headers, _ = client.sign(f"{base}{ROOTS['1.1']}/users?limit=1")
    assert api.http.get(f"{ROOTS['1.1']}/users?limit=2", headers=headers).status_code == 401
    _, headers, _ = client.sign(f"{base}{ROOTS['1.2']}/users")
    assert api.http.get(f"{ROOTS['1.2']}/users", headers=headers).status_code == 401
    sis.faults.set("oauth1_hash=sha1")
    assert signed(api, method="HMAC-SHA256").status_code == 401
    assert signed(api, method="HMAC-SHA1").status_code == 200


def test_a_fixed_bearer_and_a_fixed_header(api: Api, sis: Sis) -> None:
    sis.faults.set("sign_in=bearer")
    assert api.get("/users").status_code == 401
    api.token = "demo-partner-key"
    assert api.get("/users").status_code == 200
    sis.faults.set("credentials_ended")
    assert api.get("/users").status_code == 401
    sis.faults.clear()
    sis.faults.set("api_key", "sign_in=api_key")
    assert api.get("/users").status_code == 401
    assert api.http.get(f"{ROOTS['1.2']}/users", headers={"X-API-Key": "demo-api-key"}).status_code == 200


def test_faults_of_the_token_endpoint(api: Api, sis: Sis) -> None:
    def post(path: str = "/oauth/token", **more: str) -> httpx.Response:
        return api.http.post(path, data={**GRANT, **more}, auth=("demo-client", "demo-secret"))

    def one(*faults: str) -> None:
        sis.faults.clear()
        sis.faults.set(*faults)

    one("token_auth=body")
    assert (post().status_code, api.http.post("/token", data=BODY).status_code) == (401, 200)
    one("token_auth=basic")
    assert (post().status_code, api.http.post("/token", data=BODY).status_code) == (200, 401)
    one("scope_required")
    assert (post().json()["error"], post(scope=SCOPES + "roster.readonly").status_code) == ("invalid_scope", 200)
    one("scope_granted=roster-core.readonly")
    assert post().json()["scope"].count(" ") == 1
    one("scope_omitted", "expires_in=missing")
    assert post().json().keys() == {"access_token", "token_type"}
    one("scope_spelling=http")
    assert post(scope=SCOPES + "roster.readonly").status_code == 400
    assert post(scope=SCOPES.replace("https", "http") + "roster.readonly").status_code == 200
    one("scope_version_bound")
    api.sign_in(SCOPES + "roster.readonly")
    assert (api.get("/users", "1.1").status_code, api.get("/users", "1.2").status_code) == (400, 200)
    one("scopes_unknown")
    assert api.sign_in("https://elsewhere.example/scope").status_code == 200
    assert api.get("/schools/sch-1/students").status_code == 200
    one("scope_text=turned")
    core, full = SCOPES + "roster-core.readonly", SCOPES + "roster.readonly"
    assert [post(scope=text).status_code for text in (core, f"{core} {full}", f"{full} {core}")] == [400, 400, 200]
    one("token_members=camel")
    assert post().json()["accessToken"]
    one("token_moved=307")
    assert (post().status_code, post("/oauth/token?moved=1").status_code) == (307, 200)
    one("token_bare_string")
    assert isinstance(post().json(), str)
    one("grant_type=query")
    assert (post().status_code, post("/token?grant_type=client_credentials").status_code) == (400, 200)
    one("token_form_only")
    assert api.http.post("/token", json=GRANT, auth=("demo-client", "demo-secret")).status_code == 415
    one("expires_in=text")
    assert post().json()["expires_in"] == "3600"
    one("token_path=/campus/oauth2/token", "token_query=appName")
    assert post().status_code == 404
    assert [post(f"/campus/oauth2/token{q}").status_code for q in ("", "?appName=roster")] == [400, 200]
    one("session_cookie")
    api.sign_in()
    assert api.get("/users").status_code == 200
    api.http.cookies.clear()
    assert api.get("/users").status_code == 401
    one("credentials_ended")
    assert post().json()["error"] == "invalid_client"
