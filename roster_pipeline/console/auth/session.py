"""Who is asking: the session of a request, and its cookie. Without one, only the ways in are open.

Before the sign-in a browser carries a *visit*: a random cookie that binds its forms and its attempts to it. The
sign-in begins a session with a token of its own and drops the visit, so nobody can plant a session beforehand.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roster_pipeline.console.auth.viewer import Viewer
from roster_pipeline.console.config import Config
from roster_pipeline.directory import sessions
from roster_pipeline.directory.database import Database

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
OPEN = (SIGN_IN, "/static", "/health")
HTMX, PAGE_OF_SCRIPT = "hx-request", "hx-current-url"


class SessionEnded(HTTPException):
    """A form came, and its session is over. page_before: where the person was, for the way back."""

    def __init__(self, page_before: str) -> None:
        super().__init__(401, "Your session has ended, so nothing was done.")
        self.page_before = page_before


class SignedIn:
    """Finds the session, and refuses whoever has none: a page sends to the sign-in, a form gets 401 and is kept."""

    def __init__(self, app: ASGIApp, database: Database, config: Config) -> None:
        self.app = app
        self.database = database
        self.config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises SessionEnded."""
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
                state.token, state.told = token, found.message
                state.viewer = Viewer.of(found.account)
        if state.viewer is None and not any(_under(scope["path"], place) for place in OPEN):
            await _to_sign_in(request, self.config)(scope, receive, send)
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


def _to_sign_in(request: Request, config: Config) -> Response:
    if request.method not in ("GET", "HEAD"):
        if request.url.path == SIGN_OUT:
            return RedirectResponse(SIGN_IN, 303)
        raise SessionEnded(_page_before(request, config))
    if request.headers.get(HTMX):  # a piece of a page must not be replaced by the whole sign-in page
        return Response(status_code=401, headers={"HX-Redirect": sign_in_before(_page_before(request, config))})
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(sign_in_before(target), 302)


def sign_in_before(path: str) -> str:
    """The address of the sign-in that leads on to a page of ours."""
    return f"{SIGN_IN}?next={quote(path, safe='')}" if path != "/" else SIGN_IN


def _page_before(request: Request, config: Config) -> str:
    """The page that a form or a script asked from, by the browser's word; the sign-in looks at it again."""
    said = request.headers.get(PAGE_OF_SCRIPT) or request.headers.get("referer", "")
    if not said.startswith(f"{config.url}/"):
        return "/"
    return said.removeprefix(config.url).partition("#")[0]
