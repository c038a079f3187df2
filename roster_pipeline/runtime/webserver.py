"""The Dagster UI behind rules that keep other web sites out.

Dagster's webserver executes every GraphQL mutation: by GET, as `application/graphql`, or in the query of a POST, from
any origin and under any host name. A page that an operator happens to visit could start runs and
stop the schedule. So this module wraps its application. A request must name a host of ours, come from our own pages or
from a program, and carry GraphQL in a JSON body. If a token is set, it is needed to sign in.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from roster_pipeline.console.config import PromptHeaders, exit_on_signals
from roster_pipeline.runtime.instance import limit_statements
from roster_pipeline.settings.installation import WebAddresses

if TYPE_CHECKING:
    from dagster._core.workspace.context import IWorkspaceProcessContext

TOKEN = "ROSTER_UI_TOKEN"  # noqa: S105 - the variable's name
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
OPERATION = "op"
"""The UI writes the name of each operation into the address, for people who look at its requests."""
READING = frozenset({"GET", "HEAD"})
FROM_US = frozenset({"same-origin", "none"})
"""Sec-Fetch-Site of a request from our own page, or from the address bar."""
STATEMENT_SECONDS = 15
"""Dagster's own default for a webserver."""
ANSWER_HEADERS = {
    "x-frame-options": "DENY", "x-content-type-options": "nosniff", "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
}  # fmt: skip
"""No page of another site may show the UI in a frame, because it could trick a person into a click."""


@dataclass(frozen=True)
class Rules:
    """hosts: host names, without ports, under which people may open the UI. token: the token to sign in with, or empty
    for none. prefix: the path under which the UI is served, such as `/view`. https: the hosts that browsers reach over
    https, so that their sign-in cookie is never sent without encryption."""

    hosts: frozenset[str]
    token: str = ""
    prefix: str = ""
    https: frozenset[str] = frozenset()

    @property
    def cookie(self) -> str:
        """The name of the sign-in cookie. Cookies do not depend on ports, so two UIs on one machine need two names."""
        return "roster_ui" + self.prefix.replace("/", "_")

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the reason if a request is refused, or None. Looks at method, path and headers only."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if host_name(host) not in self.hosts:
            return 421, "This server does not answer under that host name. Set ROSTER_UI_URL to its address."
        reading = scope["type"] == "http" and scope["method"] in READING
        site = headers.get("sec-fetch-site", "none")
        origins = headers.getlist("origin")
        ours = site in FROM_US and all(urlsplit(origin).netloc.lower() == host.lower() for origin in origins)
        navigation = reading and headers.get("sec-fetch-mode") == "navigate"
        if not ours and not navigation:
            return 403, "A page of another site sent this request."
        if scope["type"] == "http" and not reading and scope["method"] != "POST":
            return 405, "Only GET and POST are answered here."
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/graphql"):
            return self._graphql_refusal(scope, headers)
        if not reading and scope["type"] == "http" and media_type(headers) != "application/json":
            return 415, "Send the body as application/json."
        return None

    def _graphql_refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if scope["method"] != "POST":
            return 405, "GraphQL is answered by POST only."
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if media_type(headers) != "application/json" or {name for name, _ in asked} - {OPERATION}:
            return 415, "Send the GraphQL query in a body of type application/json, and not in the address."
        return None


class GuardedUI:
    """An ASGI application that passes on only the requests that `Rules` allow, and adds `ANSWER_HEADERS`."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ANSWER_HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(scope)
        if answer is None:
            await self.app(scope, receive, with_headers)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(code=1008)
        else:
            await answer(scope, receive, with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """The answer to give instead of Dagster's, or None."""
        refused = self.rules.refusal(scope)
        if refused:
            return PlainTextResponse(f"{refused[1]}\n", refused[0])
        return self._sign_in(scope) if self.rules.token else None

    def _sign_in(self, scope: Scope) -> Response | None:
        request = HTTPConnection(scope)
        if self._is_token(request.cookies.get(self.rules.cookie)):
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(given.strip()):
            return None
        asked = parse_qsl(scope["query_string"].decode("latin-1"))
        if scope["type"] == "http" and any(name == "token" and self._is_token(value) for name, value in asked):
            left = urlencode([(name, value) for name, value in asked if name != "token"])
            path = "/" + scope["path"].lstrip("/\\")
            answer = RedirectResponse(path + (f"?{left}" if left else ""), 303, {"cache-control": "no-store"})
            secure = host_name(request.headers["host"]) in self.rules.https
            answer.set_cookie(self.rules.cookie, self.rules.token, httponly=True, samesite="strict", secure=secure)
            return answer
        return PlainTextResponse("Sign in first: open the link that was printed when this server started.\n", 401)

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self.rules.token.encode())


def host_name(host: str) -> str:
    """The name in a Host header, without its port: `[::1]:3000` is `::1`. Empty if it is malformed."""
    if any(sign in host for sign in "/\\@?# ,"):
        return ""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return parts.hostname or ""


def media_type(headers: Headers) -> str:
    """The media type of a body, without its parameters, in lower case."""
    types = headers.getlist("content-type")
    return types[0].partition(";")[0].strip().lower() if len(types) == 1 else ""


def rules_from(addresses: WebAddresses, prefix: str = "") -> Rules:
    """The rules of an installation: loopback names, and the host of `ROSTER_UI_URL`; the token of `ROSTER_UI_TOKEN`."""
    parts = urlsplit(addresses.ui_url)
    public = frozenset({host_name(parts.netloc)} - {""})
    return Rules(
        LOOPBACK_NAMES | public, addresses.ui_token, prefix, public if parts.scheme == "https" else frozenset()
    )


def guarded_app(context: IWorkspaceProcessContext[Any], rules: Rules) -> ASGIApp:
    """Dagster's own application for a workspace, behind the rules."""
    from dagster_webserver.app import create_app_from_workspace_process_context

    return GuardedUI(create_app_from_workspace_process_context(context, rules.prefix), rules)


def serve(workspace: str, host: str, port: int, rules: Rules, *, read_only: bool) -> None:
    """Serve the UI of a `workspace.yaml` until a signal ends it. read_only: every mutation is refused by Dagster."""
    import uvicorn
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.version import __version__

    exit_on_signals()
    with DagsterInstance.get() as instance:
        limit_statements(STATEMENT_SECONDS)
        with WorkspaceProcessContext(
            instance, version=__version__, read_only=read_only, workspace_load_target=WorkspaceFileTarget([workspace])
        ) as context:
            app = guarded_app(context, rules)
            uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, http=PromptHeaders)
