"""One's own account: where it is signed in, and signing out everywhere."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from roster_pipeline.console.auth.session import signed_out
from roster_pipeline.console.auth.viewer import viewer, zone_of
from roster_pipeline.console.page import database, page
from roster_pipeline.directory import audit, sessions


def show(request: Request) -> Response:
    """GET /account: the sessions of whoever asks."""
    who, config = viewer(request), request.app.state.config
    with database(request).begin() as opened:
        found, zone = sessions.open_of(opened, who.account_id, request.state.token, config.idle), zone_of(who, opened)
    return page(request, "account.html", sessions=found, zone=zone)


def sign_out_everywhere(request: Request) -> Response:
    """POST /account/sign-out-everywhere: end every session of the account, this one included."""
    who = viewer(request)
    with database(request).begin() as opened:
        ended = sessions.end_all(opened, who.account_id)
        audit.record(opened, who=who.who, what="signed out everywhere", details={"sessions": ended})
    return signed_out(request, RedirectResponse("/sign-in", 303))


routes = [
    Route("/account", show, methods=["GET"]),
    Route("/account/sign-out-everywhere", sign_out_everywhere, methods=["POST"]),
]
