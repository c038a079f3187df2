"""Signing in by OpenID Connect: to the identity provider, and back."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from roster_pipeline.console.auth.account_binding import UNKNOWN, account_of
from roster_pipeline.console.auth.openid import Provider
from roster_pipeline.console.auth.provider_errors import TokenRefused
from roster_pipeline.console.auth.rate_limits import address_of, limit
from roster_pipeline.console.auth.session import keep_visit, signed_in
from roster_pipeline.console.auth.viewer import nothing_here
from roster_pipeline.console.config import Config
from roster_pipeline.console.page import database, page
from roster_pipeline.console.pages.sign_in import TRIED_FROM_ONE_PLACE, WINDOW, local_path
from roster_pipeline.directory import rate_limit, sign_ins
from roster_pipeline.directory.sessions import new_token
from roster_pipeline.directory.sign_ins import Attempt
from roster_pipeline.services.access_changes import note_refusal

CALLBACK = "/sign-in/callback"
ERROR_CODE = re.compile(r"[a-z_]{1,40}")
NOT_OURS = "This sign-in was begun in another browser, or too long ago. Please begin again."


def begin(request: Request) -> Response:
    """GET /sign-in/oidc: remember the attempt and send the browser to the provider."""
    provider = _provider(request)
    visit = request.state.visit or new_token()
    attempt = Attempt(new_token(), new_token(), local_path(request.query_params.get("next", "")))
    with database(request).begin() as opened:
        rate_limit.sweep(opened)
        limit(opened, "openid begun from", address_of(request), TRIED_FROM_ONE_PLACE, WINDOW)
        state = sign_ins.begin_attempt(opened, visit, attempt)
    answer = RedirectResponse(provider.address(state, attempt), 303)
    keep_visit(request, answer, visit)
    return answer


def come_back(request: Request) -> Response:
    """GET /sign-in/callback: what the provider says of the person."""
    provider = _provider(request)
    given = request.query_params
    with database(request).begin() as opened:
        limit(opened, "openid back from", address_of(request), TRIED_FROM_ONE_PLACE, WINDOW)
    with database(request).begin() as opened:
        attempt = sign_ins.take_attempt(opened, request.state.visit or "", given.get("state", ""))
    if attempt is None:
        return _refused(request, NOT_OURS)
    if "code" not in given:
        code = given.get("error", "")
        said = code if ERROR_CODE.fullmatch(code) else "no reason given"
        return _refused(request, f"The identity provider did not sign you in ({said}).")
    try:
        identity = provider.identity(given["code"], attempt)
    except TokenRefused as problem:
        with database(request).begin() as opened:
            note_refusal(opened, UNKNOWN, problem.message)
        return _refused(request, f"{problem.message} {problem.remedy}")
    with database(request).begin() as opened:
        found = account_of(opened, identity)
    if isinstance(found, str):
        return _refused(request, found)
    return signed_in(request, RedirectResponse(attempt.next_path, 303), found.id)


def _provider(request: Request) -> Provider:
    """The one of the settings; 404 where there is none."""
    state = request.app.state
    config: Config = state.config
    if config.oidc is None:
        raise nothing_here()
    if not hasattr(state, "provider"):
        state.provider = Provider(config.oidc, config.url + CALLBACK)
    found: Provider = state.provider
    return found


def _refused(request: Request, message: str) -> Response:
    return page(request, "sign_in_refused.html", status=403, message=message)


routes = [Route("/sign-in/oidc", begin, methods=["GET"]), Route(CALLBACK, come_back, methods=["GET"])]
