"""`deploy/nginx.conf` in a real nginx: which requests reach a webserver behind it."""

import base64
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from roster_pipeline.console.middleware import LARGEST_UPLOAD

DEPLOY = Path(__file__).parent.parent / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
OPERATOR = {"authorization": "Basic " + base64.b64encode(b"ada:secret").decode()}
ADDRESS = "https://roster.example.org"
JSON = {"content-type": "application/json"}


@dataclass
class Proxy:
    """nginx on a port of its own, and the requests that reached the webserver behind it: method and path."""

    port: int
    reached: list[tuple[str, str]] = field(default_factory=list)

    def ask(
        self, method: str, path: str, host: str = "roster.example.org", *, content: str = "", **headers: str
    ) -> int:
        """The status of one request. Another `host` goes into the Host header only."""
        given = {"host": host} | OPERATOR | {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(verify=False) as client:
            url = f"https://127.0.0.1:{self.port}{path}"
            sni = {"sni_hostname": "roster.example.org"}
            asked = client.build_request(method, url, headers=given, content=content, extensions=sni)
            return client.send(asked).status_code


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The configuration as it is shipped, with ports, certificate and passwords of the test."""
    if not NGINX or not shutil.which("openssl"):
        pytest.skip("The proxy tests were left out: nginx or openssl is not installed.")
    folder = tmp_path_factory.mktemp("nginx")
    pem, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=roster"]
    subprocess.run([*command, "-keyout", key, "-out", pem], check=True, capture_output=True)
    (folder / "users").write_text("ada:{PLAIN}secret\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    seen = Proxy(port)

    class Behind(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.reached.append((self.command, self.path))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Behind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shipped = (DEPLOY / "nginx.conf").read_text()
        for old, new in (
            (r"listen 443", f"listen 127.0.0.1:{port}"),
            (r"127\.0\.0\.1:(3000|3001|8080);", f"127.0.0.1:{server.server_port};"),
            (r"/etc/roster/tls/certificate\.pem", str(pem)),
            (r"/etc/roster/tls/key\.pem", str(key)),
            (r"/etc/nginx/roster-\w+", str(folder / "users")),
            (r"/var/log/nginx/roster-console\.log", str(folder / "console.log")),
        ):
            shipped, times = re.subn(old, new, shipped)
            assert times, old
        paths = "".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
            f"http {{ access_log off; {paths}\n{shipped}\n}}\n"
        )
        running = subprocess.Popen([NGINX, "-c", conf, "-p", folder], stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and running.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert running.poll() is None, running.stderr and running.stderr.read()
        yield seen
        running.terminate()
        running.wait(10)
        server.shutdown()
        assert running.stderr is not None
        running.stderr.close()


@pytest.mark.parametrize("prefix", ["", "/view"])
def test_graphql_is_passed_on_as_json_from_our_own_pages_only(proxy: Proxy, prefix: str) -> None:
    proxy.reached.clear()
    path = f"{prefix}/graphql"
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"{ADDRESS}.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},
    ):
        assert proxy.ask("POST", path, content_type="application/json", **headers) == 403
        assert proxy.ask("GET", path, upgrade="websocket", **(headers | {"sec_fetch_mode": "websocket"})) == 403
        assert proxy.ask("POST", f"{prefix}/report_asset_materialization/x", **headers) == 403
    assert proxy.ask("GET", f"{path}?query=x") == 405
    assert proxy.ask("PUT", path, content_type="application/json") == 405
    for query in ("query=x", "op=x&query=x", "op=x;query=x", "query=x&op=x", "op=%26query=x"):
        assert proxy.ask("POST", f"{path}?{query}", content_type="application/json") == 400, query
    for kind in ("application/graphql", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        assert proxy.ask("POST", path, content_type=kind) == 405
    assert proxy.ask("POST", path) == 405
    assert proxy.reached == []
    assert proxy.ask("POST", path, content_type="application/json", origin=ADDRESS, sec_fetch_site="same-origin") == 200
    assert proxy.ask("POST", path, content_type="application/json; charset=utf-8") == 200
    assert proxy.ask("POST", f"{path}?op=AssetGraph_1", content_type="application/json") == 200
    assert proxy.reached == [("POST", path)] * 2 + [("POST", f"{path}?op=AssetGraph_1")], "Dagster's pages send it so"


def test_a_link_in_a_mail_opens_the_ui_and_another_host_name_does_not(proxy: Proxy) -> None:
    proxy.reached.clear()
    assert proxy.ask("GET", "/runs/1", sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
    assert proxy.ask("GET", "/runs/1", sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
    assert proxy.ask("GET", "/runs/1", host="evil.example") == 421
    assert proxy.ask("GET", "/runs/1", authorization="Basic bm9ib2R5Ong=") == 401
    assert proxy.reached == [("GET", "/runs/1")]
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", proxy.port)) as plain:
        ssl._create_unverified_context().wrap_socket(plain, server_hostname="evil.example")


def test_the_largest_list_of_people_reaches_the_console(proxy: Proxy) -> None:
    path, at = "/schools/lincoln/people/upload", "console.example.org"
    assert proxy.ask("POST", path, host=at, content="x" * LARGEST_UPLOAD) == 200
    assert proxy.ask("POST", path, host=at, content="x" * 2 * LARGEST_UPLOAD) == 413
