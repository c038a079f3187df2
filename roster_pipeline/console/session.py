"""Who is asking: the session of a request, and its cookie. Without one, only the ways in are open.

Before the sign-in a browser carries a *visit*: a random cookie that binds its forms and its attempts to it. The
sign-in begins a session with a token of its own and drops the visit, so nobody can plant a session beforehand.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roster_pipeline.console.access import Viewer
from roster_pipeline.console.config import Config
from roster_pipeline.directory import sessions
from roster_pipeline.directory.database import Database

SIGN_IN = "/sign-in"
OPEN = (SIGN_IN, "/static", "/health")
HTMX = "hx-request"


class SignedIn:
    """Finds the session, and refuses whoever has none: a page sends to the sign-in, anything else gets 401."""

    def __init__(self, app: ASGIApp, database: Database, config: Config) -> None:
        self.app = app
        self.database = database
        self.config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        state = request.state
        state.visit = request.cookies.get(self.config.visit_cookie)
        state.token = state.viewer = state.told = None
        token = request.cookies.get(self.config.session_cookie)
        if token and not _under(scope["path"], "/static"):
            found = await run_in_threadpool(self._find, token)
            if found:
                state.token, state.told = token, found.told
                state.viewer = Viewer.of(found.account)
        if state.viewer is None and not any(_under(scope["path"], place) for place in OPEN):
            await _to_sign_in(request)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _find(self, token: str) -> sessions.Session | None:
        with self.database.begin() as opened:
            return sessions.find(opened, token, self.config.idle)


def signed_in(request: Request, response: Response, account_id: int) -> Response:
    """Begin a session of this account and give the browser its cookie; whatever it had before ends."""
    config: Config = request.app.state.config
    with request.app.state.database.begin() as opened:
        if request.state.token:
            sessions.end(opened, request.state.token)
        token = sessions.begin(opened, account_id, config.lifetime)
    _set(response, config, config.session_cookie, token)
    response.delete_cookie(config.visit_cookie, secure=config.secure, httponly=True, samesite="lax")
    return response


def signed_out(request: Request, response: Response) -> Response:
    """End the session here and in the browser."""
    config: Config = request.app.state.config
    if request.state.token:
        with request.app.state.database.begin() as opened:
            sessions.end(opened, request.state.token)
    response.delete_cookie(config.session_cookie, secure=config.secure, httponly=True, samesite="lax")
    return response


def still_there(request: Request) -> bool:
    """Whether the session goes on, and with the same grants. For streams, which outlive the look at the beginning."""
    with request.app.state.database.begin() as opened:
        found = sessions.find(opened, request.state.token, request.app.state.config.idle, used=False)
    return found is not None and Viewer.of(found.account) == request.state.viewer


def keep_visit(request: Request, response: Response, visit: str) -> None:
    """Give the browser its visit cookie, where it has none yet."""
    if request.state.visit != visit:
        config: Config = request.app.state.config
        _set(response, config, config.visit_cookie, visit)


def _set(response: Response, config: Config, name: str, value: str) -> None:
    """Gone when the browser closes; the ends that count are kept in the database."""
    response.set_cookie(name, value, path="/", secure=config.secure, httponly=True, samesite="lax")


def _under(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")


def _to_sign_in(request: Request) -> Response:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get(HTMX):  # a piece of a page must not be replaced by the whole sign-in page
        return Response(status_code=401, headers={"HX-Redirect": SIGN_IN})
    if request.method in ("GET", "HEAD"):
        return RedirectResponse(f"{SIGN_IN}?next={quote(target, safe='')}" if target != "/" else SIGN_IN, 302)
    return Response("Please sign in first.\n", 401, media_type="text/plain")
