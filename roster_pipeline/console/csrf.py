"""Forms: read once, bounded, and only from our own pages.

The token of a form is a hash of the browser's own cookie, which no other site knows. A browser that says that a
request came from another site (Sec-Fetch-Site) is believed as well.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FIELD = "csrf"
HEADER = "x-csrf-token"
HARMLESS = ("GET", "HEAD", "OPTIONS")
LARGEST_FORM = 256 * 1024
MOST_FIELDS = 1000
OURS = ("same-origin", "none")
STALE_FORM = "This form is no longer valid. Open the page again and repeat what you did; nothing was changed."


def token_for(cookie: str) -> str:
    """The token for the forms of whoever carries this cookie; the cookie cannot be told from it."""
    return hashlib.sha256(b"csrf " + cookie.encode()).hexdigest()


class Forms:
    """Reads the form of every request that changes something into `request.state.form`, or refuses it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises HTTPException 400, 403, 413 or 415."""
        if scope["type"] != "http" or scope["method"] in HARMLESS:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await _body(request)
        form = _form(request, body)
        given = request.headers.get(HEADER) or form.get(FIELD)
        cookie = request.state.token or request.state.visit
        if request.headers.get("sec-fetch-site", "none") not in OURS:
            raise HTTPException(403, STALE_FORM)
        if not cookie or not isinstance(given, str) or not _equal(given, token_for(cookie)):
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
