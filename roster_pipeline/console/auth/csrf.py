"""What comes in: forms are read once, bounded, and only from our own pages; an address names something or nothing.

The token of a form is a hash of the browser's own cookie, which no other site knows. A browser that says that a
request came from another site (Sec-Fetch-Site) is believed as well. A form outlives a session that became idle: once
the same account has signed in again, what was typed may still be sent.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roster_pipeline.console.auth.viewer import nothing_here
from roster_pipeline.directory import sessions

FIELD = "csrf"
HEADER = "x-csrf-token"
HARMLESS = ("GET", "HEAD", "OPTIONS")
LARGEST_FORM = 256 * 1024
MOST_FIELDS = 1000
OURS = ("same-origin", "none")
NUL = b"%00"
"""No text of the database can hold it. Forms lose it as well."""
STALE_FORM = "This form is no longer valid. Open the page again and repeat what you did; nothing was changed."


def token_for(cookie: str) -> str:
    """The token for the forms of whoever carries this cookie; the cookie cannot be told from it."""
    return _token_of(sessions.hashed(cookie))


def _token_of(kept: str) -> str:
    return hashlib.sha256(b"csrf " + kept.encode()).hexdigest()


class Forms:
    """Reads the form of every request that is no mere look into `request.state.form`, or refuses it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises HTTPException 400, 403, 404, 413 or 415."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\0" in scope["path"]:
            raise nothing_here()
        scope["query_string"] = scope["query_string"].replace(NUL, b"")
        request = Request(scope, receive)
        if scope["method"] in HARMLESS:
            await self.app(scope, receive, send)
            return
        body = await _body(request)
        form = _form(request, body)
        given = request.headers.get(HEADER) or form.get(FIELD)
        cookie = request.state.token or request.state.visit
        if request.headers.get("sec-fetch-site", "none") not in OURS:
            raise HTTPException(403, STALE_FORM)
        if not cookie or not isinstance(given, str):
            raise HTTPException(403, STALE_FORM)
        if not _equal(given, token_for(cookie)) and not await run_in_threadpool(_of_an_idle_session, request, given):
            raise HTTPException(403, STALE_FORM)
        request.state.form = form
        read = False

        async def again() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)


def _of_an_idle_session(request: Request, given: str) -> bool:
    who = request.state.viewer
    if who is None:
        return False
    with request.app.state.database.begin() as opened:
        kept = sessions.kept_of(opened, who.account_id)
    return any(_equal(given, _token_of(one)) for one in kept)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, "This form is too large.")
    return body


def _form(request: Request, body: bytes) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body:
        return FormData()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Only plain forms are read here.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    return FormData([(name, value.replace("\x00", "")) for name, value in pairs])


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
