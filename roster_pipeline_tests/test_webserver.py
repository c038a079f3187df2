"""The Dagster UI answers only its own pages and programs: every way to send a mutation, from every kind of origin.

The server is Dagster's own, with a real instance; an executed mutation leaves a materialization.
"""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import dagster as dg
import httpx
import pytest
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from starlette.responses import PlainTextResponse

from roster_pipeline.runtime.webserver import GuardedUI, Rules, guarded_app, host_name, rules_from
from roster_pipeline.settings.installation import WebAddresses

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.timeout(300)
TOKEN = "correct-horse"
DEFINITIONS = """
import dagster as dg

@dg.asset
def target():
    return 1

defs = dg.Definitions(assets=[target])
"""
MUTATION = (
    "mutation { reportRunlessAssetEvents(eventParams: "
    '{eventType: ASSET_MATERIALIZATION, assetKey: {path: ["target"]}}) { __typename } }'
)
REPORT = "/report_asset_materialization/target"


@dataclass(frozen=True)
class UI:
    """The guarded UI. url: without the token."""

    url: str
    port: int
    instance: dg.DagsterInstance
    driven_before: int = 0

    def driven(self) -> int:
        """How many mutations were executed in all tests."""
        return len(self.instance.fetch_materializations(dg.AssetKey("target"), limit=100).records)

    def was_driven(self) -> bool:
        """Whether a mutation was executed in this test."""
        return self.driven() > self.driven_before


@pytest.fixture(scope="module")
def running_ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    """Dagster's own webserver over a workspace of one asset, behind the rules."""
    folder = tmp_path_factory.mktemp("code")
    code = folder / "code.py"
    code.write_text(DEFINITIONS)
    target = PythonFileTarget(str(code), attribute=None, working_directory=str(folder), location_name="here")
    with (
        dg.instance_for_test() as instance,
        WorkspaceProcessContext(instance, version="test", workspace_load_target=target) as context,
    ):
        app = guarded_app(context, rules_from(WebAddresses(ui_token=TOKEN)))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield UI(f"http://127.0.0.1:{port}", port, instance)
        server.should_exit = True
        thread.join()


@pytest.fixture
def ui(running_ui: UI) -> UI:
    """One UI for all tests; each test sees only its own mutations."""
    return replace(running_ui, driven_before=running_ui.driven())


def test_only_a_post_of_json_from_our_own_pages_or_a_program_changes_anything(ui: UI) -> None:
    query = {"query": MUTATION}
    json_type = {"content-type": "application/json"}
    with httpx.Client(base_url=ui.url, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        for elsewhere in (
            {"origin": "https://evil.example"},
            {"origin": "http://127.0.0.1:1"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        ):
            assert client.post("/graphql", json=query, headers=elsewhere).status_code == 403
            assert client.post(REPORT, json={}, headers=elsewhere).status_code == 403
        for host in ("evil.example", "evil.example:3000", "127.0.0.1.evil.example", "127.0.0.1@evil.example", ""):
            assert client.post("/graphql", json=query, headers={"host": host}).status_code in (400, 421)
        assert client.get("/graphql", params=query).status_code == 405
        assert client.get("/graphql", headers={"accept": "text/html"}).status_code == 405
        assert client.put("/graphql", json=query).status_code == 405
        assert client.post("/graphql", params=query).status_code == 415
        assert client.post("/graphql", params=query, headers=json_type).status_code == 415
        assert client.post("/graphql", params=query | {"op": "Start"}, json=query).status_code == 415
        assert client.post("/graphql", data=query).status_code == 415
        assert client.post("/graphql/", content=MUTATION, headers={"content-type": "text/plain"}).status_code == 415
        for kind in ("application/graphql", "text/plain; x=application/json", "multipart/form-data"):
            assert client.post("/graphql", content=MUTATION, headers={"content-type": kind}).status_code == 415
        assert client.post(REPORT).status_code == 415
        assert client.post(REPORT, data={"description": "x"}).status_code == 415
        assert not ui.was_driven()
        ours = {"origin": ui.url, "sec-fetch-site": "same-origin"}
        answer = client.post("/graphql?op=LaunchRun", json=query, headers=ours)
        assert answer.status_code == 200, answer.text
        assert ui.was_driven()


def test_nobody_gets_in_without_the_token(ui: UI) -> None:
    with httpx.Client(base_url=ui.url) as client:
        assert client.get("/").status_code == 401
        assert client.get("/", params={"token": "wrong"}).status_code == 401
        assert client.post("/graphql", json={"query": MUTATION}).status_code == 401
        assert client.get("/server_info", headers={"authorization": "Bearer wrong"}).status_code == 401
        entered = client.get(f"{ui.url}//evil.example/runs", params={"token": TOKEN, "q": "1"})
        assert entered.status_code == 303
        assert entered.headers["location"] == "/evil.example/runs?q=1"
        assert "httponly" in entered.headers["set-cookie"].lower()
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["x-frame-options"] == "DENY"
    assert not ui.was_driven()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:3000", "127.0.0.1"),
        ("[::1]:3000", "::1"),
        ("LocalHost", "localhost"),
        ("localhost:evil", ""),
        ("a@localhost", ""),
        ("localhost/x", ""),
        ("", ""),
    ],
)
def test_a_host_is_read_with_care(host: str, name: str) -> None:
    assert host_name(host) == name


def test_the_public_address_is_let_in_and_its_cookie_has_a_name_of_its_own() -> None:
    rules = rules_from(WebAddresses(ui_url="https://Roster.example.org:8443/"), "/view")
    assert "roster.example.org" in rules.hosts
    assert rules.token == ""
    assert rules.cookie != Rules(rules.hosts).cookie


@pytest.mark.parametrize(("host", "secure"), [("roster.example.org", True), ("127.0.0.1", False)])
def test_the_cookie_of_a_public_address_is_never_sent_without_encryption(host: str, secure: bool) -> None:
    rules = rules_from(WebAddresses(ui_url="https://roster.example.org", ui_token=TOKEN))
    served = httpx.ASGITransport(GuardedUI(PlainTextResponse("in"), rules))

    async def entered() -> httpx.Response:
        async with httpx.AsyncClient(transport=served) as client:
            return await client.get(f"http://{host}/", params={"token": TOKEN})

    assert ("secure" in asyncio.run(entered()).headers["set-cookie"].lower()) == secure


ATTACK = """
<!doctype html><title>attack</title><iframe name="frame"></iframe><iframe src="UI/"></iframe>
<form id="plain" method="post" enctype="text/plain" target="frame" action="UI/graphql?query=QUERY">
<input name='{"query":"x","a":"' value='"}'></form>
<form id="report" method="post" target="frame" action="UI/report_asset_materialization/target"></form>
<script>
const query = decodeURIComponent("QUERY"), address = "UI/graphql?query=QUERY";
const json = JSON.stringify({query}), done = [];
const attempt = (...given) => done.push(fetch(...given).catch(() => null));
new Image().src = address;
for (const mode of ["no-cors", "cors"]) {
  attempt(address, {mode, credentials: "include"});
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json", "application/graphql"])
    for (const [to, body] of [["UI/graphql", json], ["UI/graphql", query], [address, ""],
                              ["UI/report_asset_materialization/target", "{}"]])
      attempt(to, {method: "POST", mode, credentials: "include", body, headers: {"content-type": type}});
}
navigator.sendBeacon("UI/graphql", new Blob([json], {type: "text/plain"}));
document.getElementById("plain").submit();
document.getElementById("report").submit();
done.push(new Promise(resolve => {
  const socket = new WebSocket("UI/graphql".replace("http", "ws"), "graphql-ws");
  socket.onopen = () => {
    window.socketOpened = true;
    socket.send('{"type":"connection_init"}');
    socket.send(JSON.stringify({id: "1", type: "start", payload: {query}}));
    setTimeout(resolve, 500);
  };
  socket.onerror = resolve;
}));
Promise.all(done).then(() => setTimeout(() => { document.title = "done"; }, 500));
</script>
"""


@pytest.fixture
def attacker(ui: UI) -> Iterator[int]:
    """The port of a web site that tries to drive the UI, under any host name of this machine."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = ATTACK.replace("UI", ui.url).replace("QUERY", urllib.parse.quote(MUTATION))
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_ui_works_in_a_browser(chromium: Browser, ui: UI) -> None:
    """Its own requests are let through: the lineage has the asset."""
    window = chromium.new_context()
    page = window.new_page()
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.goto(f"{ui.url}/asset-groups?token={TOKEN}")
    page.get_by_text("target", exact=True).first.wait_for()
    window.close()
    assert refused == []


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.localhost"])
def test_a_page_of_another_origin_cannot_drive_the_ui(chromium: Browser, ui: UI, attacker: int, name: str) -> None:
    """Another port of this machine is the same site: its requests carry the cookie. Another name is another site."""
    window = chromium.new_context()
    page = window.new_page()
    page.goto(f"{ui.url}/?token={TOKEN}", wait_until="commit")
    assert page.url == f"{ui.url}/"
    other = window.new_page()
    other.goto(f"http://{name}:{attacker}/", wait_until="commit")
    other.wait_for_function("document.title === 'done'")
    assert other.evaluate("window.socketOpened") is None
    assert not ui.was_driven()
    answer = window.new_page().goto(f"http://evil.localhost:{ui.port}/")
    assert answer is not None
    assert answer.status == 421
    body = "{method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify({query: %r})}"
    assert page.evaluate(f"fetch('/graphql', {body % MUTATION}).then(answer => answer.status)") == 200
    assert ui.was_driven()
    window.close()
