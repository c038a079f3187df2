"""The session of a request and its cookie, one-time links by mail, and rate limits.

Without a session, only the pages for signing in are open. Before the sign-in, a browser has a *visit*: a random cookie
that binds its forms and its attempts to this browser. The sign-in begins a session with a new token and drops the
visit. So nobody can prepare a session for somebody else.

The mail with a link is sent at once and not through the outbox: in the outbox, everybody who may look at the database
could read the link, and the link would stay there for longer than its hour. If the mail cannot be sent, the person asks
for another.

The database counts the rate limits, for all processes together.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from urllib.parse import quote, urlencode

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roster_pipeline.console.config import Config
from roster_pipeline.console.viewer import Viewer
from roster_pipeline.directory import accounts, sessions
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.sessions import hashed
from roster_pipeline.notifications import MailError, mailer_from, message_id
from roster_pipeline.notifications.notice import sign_in_mail
from roster_pipeline.runtime.embedded import home
from roster_pipeline.services.access_changes import note_refusal
from roster_pipeline.settings.installation import MailServer

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
OPEN = (SIGN_IN, "/static", "/health")
HTMX, PAGE_OF_SCRIPT = "hx-request", "hx-current-url"
IPV6_HOME = 64
"""One customer of a provider has all addresses of such a network."""
log = logging.getLogger(__name__)
UNKNOWN = "somebody unknown"


class SessionEnded(HTTPException):
    """A form came after its session had ended. page_before: the page of the person, for the way back."""

    def __init__(self, page_before: str) -> None:
        super().__init__(401, "Your session has ended, so nothing was done.")
        self.page_before = page_before


class SignedIn:
    """Finds the session. Without one, a page redirects to the sign-in, and a form gets 401 and is kept."""

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
        state.token = state.viewer = state.message = None
        token = request.cookies.get(self.config.session_cookie)
        if token and not _under(scope["path"], "/static"):
            found = await run_in_threadpool(self._find, token)
            if found:
                state.token, state.message = token, found.message
                state.viewer = Viewer.of(found.account)
        if state.viewer is None and not any(_under(scope["path"], place) for place in OPEN):
            await _to_sign_in(request, self.config)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _find(self, token: str) -> sessions.Session | None:
        with self.database.begin() as opened:
            return sessions.find(opened, token, self.config.idle)


def signed_in(request: Request, response: Response, account_id: int) -> Response:
    """Begin a session of this account and give the browser its cookie. A session that the browser had before ends."""
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
    """Whether the session still goes on with the same grants.

    Streams need this, because they last longer than the check at their beginning.
    """
    with request.app.state.database.begin() as opened:
        session = sessions.find(opened, request.state.token, request.app.state.config.idle, used=False)
    return session is not None and Viewer.of(session.account) == request.state.viewer


def keep_visit(request: Request, response: Response, visit: str) -> None:
    """Give the browser its visit cookie, if it has none yet."""
    if request.state.visit != visit:
        config: Config = request.app.state.config
        _set(response, config, config.visit_cookie, visit)


def _set(response: Response, config: Config, name: str, value: str) -> None:
    """Set a cookie that ends when the browser closes. The real ends of the session are kept in the database."""
    response.set_cookie(name, value, path="/", secure=config.secure, httponly=True, samesite="lax")


def _under(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")


def _to_sign_in(request: Request, config: Config) -> Response:
    if request.method not in ("GET", "HEAD"):
        if request.url.path == SIGN_OUT:
            return RedirectResponse(SIGN_IN, 303)
        raise SessionEnded(_page_before(request, config))
    if request.headers.get(HTMX):  # the whole sign-in page must not replace a piece of a page
        return Response(status_code=401, headers={"HX-Redirect": sign_in_before(_page_before(request, config))})
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(sign_in_before(target), 302)


def sign_in_before(path: str) -> str:
    """The address of the sign-in page that leads to one of our pages afterwards."""
    return f"{SIGN_IN}?next={quote(path, safe='')}" if path != "/" else SIGN_IN


def _page_before(request: Request, config: Config) -> str:
    """The page from which a form or a script asked, as the browser says. The sign-in checks it again."""
    address = request.headers.get(PAGE_OF_SCRIPT) or request.headers.get("referer", "")
    if not address.startswith(f"{config.url}/"):
        return "/"
    return address.removeprefix(config.url).partition("#")[0]


class TooMany(HTTPException):
    """Somebody asked too often. The answer says when to come back."""

    def __init__(self, seconds: int) -> None:
        minutes = max(1, -(-seconds // 60))
        wait = f"{minutes} minute{'' if minutes == 1 else 's'}"
        super().__init__(429, f"This was tried too often. Please wait {wait}.", {"Retry-After": str(seconds)})


def limit(opened: Connection, name: str, key: str, most: int, window: timedelta) -> None:
    """Count one more use of `name` by `key`; raises TooMany beyond `most` in one window.

    Call it at the beginning, in its own transaction: a use that is rolled back is not counted.
    """
    used, seconds = sessions.count(opened, name, key, window)
    if used > most:
        raise TooMany(seconds)


def address_of(request: Request) -> str:
    """Where a request comes from, for counting: an IPv4 address, or an IPv6 network.

    The word of a proxy counts only if the settings name this proxy (`config.py`).
    """
    host = request.client.host if request.client else "unknown"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or int(address) >> (128 - IPV6_HOME))
    return host


def link_address(config: Config, token: str, next_path: str = "/") -> str:
    """The link itself. It begins with the address from the settings, never with an address from a request."""
    more = {"next": next_path} if next_path != "/" else {}
    return f"{config.url}/sign-in/link?{urlencode({'token': token, **more})}"


def send_link(database: Database, config: Config, email: str, next_path: str) -> None:
    """Send a link if the address may sign in.

    This runs after the answer, so the answer shows nobody whether the address may sign in.
    """
    try:
        with database.begin() as opened:
            account = accounts.find(opened, email)
            if account is None:
                note_refusal(opened, UNKNOWN, "a link was asked for by an address without access")
                return
            if config.oidc is not None and account.bound:
                note_refusal(opened, account.email, "a link was asked for, but the account signs in at the provider")
                return
            token = sessions.new_link(opened, account.id)
        mail = sign_in_mail(link_address(config, token, next_path), config.url, sessions.LINK_LASTS.seconds // 60)
        mailer = mailer_from(MailServer.read(), home() / "outbox")
        mailer.send(message_id("sign-in", hashed(token), sender=mailer.sender), [account.email], mail)
    except (MailError, DirectoryError) as problem:
        log.error("A sign-in link could not be sent: %s %s", problem.message, problem.remedy)
