"""The console as one application: its pages and its middleware."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from roster_pipeline.console import headers
from roster_pipeline.console.auth.csrf import Forms
from roster_pipeline.console.auth.session import SignedIn
from roster_pipeline.console.config import Config
from roster_pipeline.console.error_pages import ErrorPages, answer_to
from roster_pipeline.console.headers import Headers
from roster_pipeline.console.page import database
from roster_pipeline.console.pages import (
    access,
    conflicts,
    connection_tests,
    districts,
    help_page,
    history,
    holds,
    new_school,
    people_pages,
    person_page,
    plan_details,
    rejected,
    runs,
    settings,
    sign_in,
    sis_school_pages,
    syncs,
    upload_pages,
)
from roster_pipeline.directory import migrate
from roster_pipeline.directory.database import Database, DirectoryError

PAGES = (
    new_school,  # comes before the route of a school with this key
    access,
    conflicts,
    connection_tests,
    districts,
    headers,
    help_page,
    history,
    holds,
    people_pages,
    person_page,
    plan_details,
    rejected,
    runs,
    settings,
    sign_in,
    sis_school_pages,
    syncs,
    upload_pages,
)
"""Modules with `routes`, by name. If two routes fit, the first one counts."""


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
            Middleware(Headers, secure=config.secure),
            Middleware(ErrorPages),
            Middleware(SignedIn, database=opened, config=config),
            Middleware(Forms),
        ],
        exception_handlers={HTTPException: answer_to, DirectoryError: answer_to},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # otherwise it would send people to any host that a request names
    app.state.config = config
    app.state.database = opened
    app.state.streams = Counter()
    return app


def all_routes() -> list[BaseRoute]:
    """Every route of the console."""
    return [Route("/health", health, methods=["GET"]), *(route for module in PAGES for route in module.routes)]


def health(request: Request) -> Response:
    """For the proxy and for monitoring: 200 if the console can work. The answer says nothing about its contents."""
    try:
        ready = migrate.current(database(request)) == migrate.head()
    except DirectoryError:
        ready = False
    return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)
