"""The session of a request and its cookie, who is signed in, what they may see, and rate limits. Everything that a
viewer may not see is answered as if it did not exist.

Without a session, only the pages for signing in are open. Before the sign-in, a browser has a *visit*: a random cookie
that binds its forms and its attempts to this browser. The sign-in begins a session with a new token and drops the
visit. So nobody can prepare a session for somebody else.

The database counts the rate limits, for all processes together.
"""

from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from roster_pipeline.console.config import Config
from roster_pipeline.directory import sessions, tenants
from roster_pipeline.directory.accounts import Account
from roster_pipeline.directory.database import Database
from roster_pipeline.vocabulary import similar

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
OPEN = (SIGN_IN, "/static", "/health")
HTMX, PAGE_OF_SCRIPT = "hx-request", "hx-current-url"
NOTHING_HERE = "This page does not exist, or you may not see it."
MOST_SCHOOLS = 5000
"""Similar keys are searched among at most this many schools."""
LONGEST_KEY = 64


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
            found = await run_in_threadpool(self.database.call, sessions.find, token, self.config.idle)
            if found:
                state.token, state.message = token, found.message
                state.viewer = found.account
        if state.viewer is None and not any(_under(scope["path"], place) for place in OPEN):
            await _to_sign_in(request, self.config)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def signed_in(request: Request, response: Response, account_id: int) -> Response:
    """Begin a session of this account and give the browser its cookie. A session that the browser had before ends."""
    config: Config = request.app.state.config
    with request.app.state.database.begin() as conn:
        if request.state.token:
            sessions.end(conn, request.state.token)
        token = sessions.begin(conn, account_id, config.lifetime)
    _set(response, config, config.session_cookie, token)
    response.delete_cookie(config.visit_cookie, secure=config.secure, httponly=True, samesite="lax")
    return response


def signed_out(request: Request, response: Response) -> Response:
    config: Config = request.app.state.config
    if request.state.token:
        request.app.state.database.call(sessions.end, request.state.token)
    response.delete_cookie(config.session_cookie, secure=config.secure, httponly=True, samesite="lax")
    return response


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


def limit(request: Request, name: str, key: str, most: int, window: timedelta) -> None:
    """Count a use of `name` by `key`, in a transaction of its own; TooMany beyond `most` in one window."""
    used, seconds = request.app.state.database.call(sessions.count, name, key, window)
    if used > most:
        raise TooMany(seconds)


class NoSuchSchool(HTTPException):
    """The viewer has no such school. meant: key and name of their schools with a similar key."""

    def __init__(self, meant: list[tuple[str, str]]) -> None:
        super().__init__(404, NOTHING_HERE)
        self.meant = meant


def viewer(request: Request) -> Account:
    """Who is signed in. Only pages behind the sign-in may call this: for them, somebody is always signed in."""
    found = request.state.viewer
    if not isinstance(found, Account):
        raise HTTPException(401)
    return found


def school_of(request: Request, conn: Connection) -> tenants.SchoolRow:
    """The school in the path. Raises NoSuchSchool, also if it is somebody else's."""
    key, who = request.path_params["key"], viewer(request)
    with suppress(tenants.UnknownKey):
        school = tenants.get_school(conn, key)
        if who.may_see(school):
            return school
    near: list[str] = []
    if len(key) <= LONGEST_KEY:
        names = dict(tenants.school_names(conn, who.managed, who.schools, limit=MOST_SCHOOLS))
        near = similar(key, names)
    raise NoSuchSchool([(one, names[one]) for one in near])


def the_school(request: Request) -> tenants.SchoolRow:
    """`school_of` in a transaction of its own."""
    with request.app.state.database.begin() as conn:
        return school_of(request, conn)


def zone_of(who: Account, conn: Connection) -> str:
    """The time zone of pages that are not about a single school: the zone of most of the viewer's schools."""
    return tenants.usual_time_zone(conn, who.managed, who.schools) or "UTC"


def district_of(request: Request, conn: Connection, key: str) -> tenants.DistrictRow:
    """A district that the viewer manages. Raises HTTPException 404 for any other, and UnknownKey."""
    district = tenants.get_district(conn, key)
    if not viewer(request).may_manage(district.id):
        raise nothing_here()
    return district


def connection_of(request: Request, conn: Connection) -> tenants.ConnectionRow:
    """The connection in the path, of a district that the viewer manages. Raises HTTPException 404, UnknownKey."""
    connection = tenants.get_connection(conn, request.path_params["connection"])
    if not viewer(request).may_manage(connection.district_id):
        raise nothing_here()
    return connection


def nothing_here() -> HTTPException:
    """The answer for everything that a viewer may not know about."""
    return HTTPException(404, NOTHING_HERE)
