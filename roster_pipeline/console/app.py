"""The console as one application: its pages, its middleware, and the page for an error. The page has a message and a
remedy, but never a trace, and never a value of somebody's record."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roster_pipeline.console import middleware
from roster_pipeline.console.config import Config
from roster_pipeline.console.openid import ProviderAway
from roster_pipeline.console.page import ROUTES, database, page, route
from roster_pipeline.console.pages import (  # noqa: F401
    access,
    connection_tests,
    districts,
    glossary,
    history,
    holds,
    people_pages,
    person_page,
    plan_details,
    runs,
    settings,
    sign_in,
    sis_school_pages,
    syncs,
    upload_pages,
)
from roster_pipeline.console.session import HTMX, NOTHING_HERE, NoSuchSchool, SessionEnded, SignedIn, sign_in_before
from roster_pipeline.directory import schema
from roster_pipeline.directory.apply import PlanStale
from roster_pipeline.directory.approvals import PlanChanged
from roster_pipeline.directory.database import Database, DirectoryError, RowRefused, StatementFailed
from roster_pipeline.directory.ledger import UnknownSync
from roster_pipeline.directory.members import UnknownPerson
from roster_pipeline.directory.plans import UnknownPlan
from roster_pipeline.directory.rollback import AlreadyUndone
from roster_pipeline.directory.rosters import UnknownSnapshot
from roster_pipeline.directory.tenant_changes import KeyTaken
from roster_pipeline.directory.tenants import UnknownKey
from roster_pipeline.oneroster.presets import UnknownPreset
from roster_pipeline.services.settings_changes import ChangedMeanwhile
from roster_pipeline.sync import explain

log = logging.getLogger(__name__)
UNKNOWN = (UnknownKey, UnknownPlan, UnknownPreset, UnknownSnapshot, UnknownSync, UnknownPerson)
"""Something named does not exist; the answer is the same as for something that the viewer may not see."""
IN_THE_WAY = (ChangedMeanwhile, KeyTaken, PlanChanged, PlanStale, AlreadyUndone)
BROKEN = (RowRefused, StatementFailed)
OURS = "roster_pipeline."
TITLES = {
    400: "This did not work", 401: "Please sign in", 403: "Not allowed", 404: "Nothing here", 405: "Not possible here",
    408: "Too slow", 409: "Something changed meanwhile", 413: "Too large", 429: "Too often",
    503: "Not available at the moment",
}  # fmt: skip
PLAIN = {
    404: NOTHING_HERE,
    405: "This address only takes a form, and cannot be opened by itself. Open the page with the form again.",
}
"""Messages of errors that come from the framework."""
INTO_THE_PLACE = {"HX-Reselect": ".notice", "HX-Reswap": "innerHTML"}
"""If a script asked for a piece of a page, it shows the error in the place of this piece, and keeps the page."""
AWAY = (
    "<!doctype html><title>Not available</title>"
    '<p class="notice">The console cannot reach its database. Try again in a minute.</p>'
)


def create_app(config: Config) -> Starlette:
    """The application of a configuration. Its database is opened here and closed when the server ends."""
    opened = Database(config.database_url)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        opened.close()

    app = Starlette(
        routes=all_routes(),
        middleware=[
            Middleware(middleware.Headers, secure=config.secure),
            Middleware(ErrorPages),
            Middleware(SignedIn, database=opened, config=config),
            Middleware(middleware.Forms),
        ],
        exception_handlers={HTTPException: answer_to, DirectoryError: answer_to},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # otherwise it would send people to any host that a request names
    app.state.config = config
    app.state.database = opened
    return app


def all_routes() -> list[Route]:
    """Every route of the console. If two fit an address, the one with fewer parameters counts: it comes first."""
    return sorted(ROUTES, key=lambda route: route.path.count("{"))


route("/static/{name}", "GET")(middleware.serve)


@route("/health", "GET")
def health(request: Request) -> Response:
    """For the proxy and for monitoring: 200 if the console can work. The answer says nothing about its contents."""
    try:
        ready = schema.current(database(request)) == schema.head()
    except DirectoryError:
        ready = False
    return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)


class ErrorPages:
    """Makes a page from every exception raised further inside, and one line without values for the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as problem:
            if scope["type"] != "http":
                raise
            if begun:
                _note(problem)
                raise ConnectionAbortedError("the answer broke off") from None
            answer = await run_in_threadpool(answer_to, Request(scope), problem)
            await answer(scope, receive, send)


def answer_to(request: Request, problem: Exception) -> Response:
    """The page for a problem. The log gets the type and the place of foreign errors; the page gets neither."""
    status, message, remedy = error_text(problem)
    headers = dict(problem.headers or {}) if isinstance(problem, HTTPException) else {}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _note(problem)
    title = TITLES.get(status, "Something went wrong")
    piece = bool(request.headers.get(HTMX))
    meant = problem.meant if isinstance(problem, NoSuchSchool) else []
    more = {"title": title, "message": message, "remedy": remedy, "piece": piece, "meant": meant}
    name = "error"
    if isinstance(problem, SessionEnded):
        name, more["sign_in"] = "session_ended", sign_in_before(problem.page_before)
    try:
        response = page(request, f"{name}_words.html" if piece else f"{name}.html", status=status, **more)
    except (DirectoryError, AttributeError):  # the page needs the session, and the session needs the database
        return HTMLResponse(AWAY, 503, INTO_THE_PLACE)
    response.headers.update(headers | (INTO_THE_PLACE if piece else {}))
    return response


def error_text(problem: Exception) -> tuple[int, str, str]:
    """Status, message and remedy."""
    if isinstance(problem, HTTPException):
        plain = problem.detail == HTTPStatus(problem.status_code).phrase
        return problem.status_code, PLAIN.get(problem.status_code, "") if plain else problem.detail, ""
    if isinstance(problem, ValidationError):
        lines = problem.errors(include_url=False, include_input=False, include_context=False)
        wrong = (f"{'.'.join(map(str, line['loc']))}: {line['msg'].removeprefix('Value error, ')}." for line in lines)
        return 400, " ".join(wrong), "Nothing was saved."
    if isinstance(problem, DirectoryError) and problem.retryable:
        return 503, problem.message, "Try again in a minute."
    if isinstance(problem, ProviderAway):
        return 503, problem.message, problem.remedy
    if isinstance(problem, UNKNOWN):
        return 404, NOTHING_HERE, ""
    message, remedy = str(getattr(problem, "message", "")), str(getattr(problem, "remedy", ""))
    if not type(problem).__module__.startswith(OURS) or not message:
        return 500, "Something unexpected happened. Nothing was changed.", "The console's log says where."
    if isinstance(problem, BROKEN):
        return 500, message, remedy
    return (409 if isinstance(problem, IN_THE_WAY) else 400), message, remedy


def _note(problem: Exception) -> None:
    if isinstance(problem, DirectoryError):
        log.error("%s", problem.message)
    elif isinstance(problem, ProviderAway):
        log.error("%s %s", problem.message, problem.remedy)
    elif not isinstance(problem, HTTPException):
        log.error("%s", explain("console", problem).message)
