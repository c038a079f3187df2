"""Checks what comes in, adds headers to what goes out, and serves the console's own static files.

Forms are read once, with a limit on their size, and only if they come from our own pages. The token of a form is a hash
of the browser's own cookie, which no other site knows. If a browser says that a request came from another site (Sec-
Fetch-Site), the request is refused too. A form stays valid when its session becomes idle: after the same account has
signed in again, the person may still send it. A value in an address has to be valid.

The headers of a response say what a browser may load, frame and keep. The address of a static file names its content
(`v`). A browser may keep the file for a year, because a changed file has a new address.
"""

import asyncio
import hashlib
import hmac
import io
import re
from collections.abc import AsyncGenerator
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roster_pipeline.console.session import nothing_here
from roster_pipeline.directory import sessions
from roster_pipeline.services.people_file import LARGEST_FILE

FIELD = "csrf"
HEADER = "x-csrf-token"
HARMLESS = ("GET", "HEAD", "OPTIONS")
LARGEST_FORM = 256 * 1024
LARGEST_UPLOAD = LARGEST_FILE + LARGEST_FORM
UPLOAD = re.compile(r"/schools/[^/]+/people/upload")
"""The only page that takes a file. Only people who are signed in can use it."""
FORM_SECONDS, UPLOAD_SECONDS = 30, 300
"""A client that sends more slowly is cut off."""
MULTIPART = "multipart/form-data"
MOST_FIELDS = 1000
OURS = ("same-origin", "none")
NUL = b"%00"
STALE_FORM = "This form is no longer valid, so nothing was changed. Open the page again and repeat what you did."
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Browsers load nothing inline and nothing from other sites. So a name with markup in it is only shown as a name."""
ALWAYS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
}
"""Pages contain data of people. The Back button of a shared computer must not show them to the next user."""
ONLY_HTTPS = {"strict-transport-security": "max-age=31536000"}
FOR_A_YEAR = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
MARK_LENGTH = 12


def token_for(cookie: str) -> str:
    """The token for the forms of a browser with this cookie; it does not reveal the cookie."""
    return _token_of(sessions.hashed(cookie))


def _token_of(kept: str) -> str:
    return hashlib.sha256(b"csrf " + kept.encode()).hexdigest()


class Forms:
    """Reads the form of every request that may change something into `request.state.form`, or refuses the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises HTTPException 400, 403, 404, 408, 413 or 415."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\0" in scope["path"]:
            raise nothing_here()
        if NUL in (query := scope["query_string"]):
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            scope["query_string"] = urlencode([(_storable(name), _storable(value)) for name, value in pairs]).encode()
        request = Request(scope, receive)
        if scope["method"] in HARMLESS:
            await self.app(scope, receive, send)
            return
        upload = request.state.viewer is not None and bool(UPLOAD.fullmatch(scope["path"]))
        try:
            async with asyncio.timeout(UPLOAD_SECONDS if upload else FORM_SECONDS):
                body = await _body(request, LARGEST_UPLOAD if upload else LARGEST_FORM)
        except TimeoutError:
            raise HTTPException(408, "The form came too slowly. Send it again.") from None
        except ClientDisconnect:
            return
        form = await _multipart(request, body) if upload and _kind(request) == MULTIPART else _form(request, body)
        given = request.headers.get(HEADER) or form.get(FIELD)
        cookie = request.state.token or request.state.visit
        if request.headers.get("sec-fetch-site", "none") not in OURS:
            raise HTTPException(403, STALE_FORM)
        if not cookie or not isinstance(given, str):
            raise HTTPException(403, STALE_FORM)
        if not _equal(given, token_for(cookie)) and not await run_in_threadpool(_of_an_idle_session, request, given):
            raise HTTPException(403, STALE_FORM)
        request.state.form = form
        await self.app(scope, receive, send)


def _of_an_idle_session(request: Request, given: str) -> bool:
    who = request.state.viewer
    if who is None:
        return False
    kept = request.app.state.database.call(sessions.kept_of, who.id)
    return any(_equal(given, _token_of(one)) for one in kept)


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, "This form is too large.")
    return bytes(body)


class _InMemory(MultiPartParser):
    """Keeps files in memory, so that a list of people is never written to a temporary file."""

    spool_max_size = LARGEST_UPLOAD


async def _multipart(request: Request, body: bytes) -> FormData:
    """One file, as bytes, and a few short fields."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _InMemory(request.headers, stream(), max_files=1, max_fields=10)
    try:
        parsed = await parser.parse()
    except (MultiPartException, ValueError, KeyError):
        raise HTTPException(400, "This form cannot be read.") from None
    pairs: list[tuple[str, str | UploadFile]] = []
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            content = io.BytesIO(await value.read())
            await value.close()
            pairs.append((_storable(name), UploadFile(content, filename=_storable(value.filename or ""))))
        else:
            pairs.append((_storable(name), _storable(value)))
    return FormData(pairs)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _form(request: Request, body: bytes) -> FormData:
    if not body:
        return FormData()
    if _kind(request) != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This address accepts plain forms only.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    return FormData([(_storable(name), _storable(value)) for name, value in pairs])


def _storable(text: str) -> str:
    """The text without NULs and lone surrogates, which the database cannot store."""
    return text.encode(errors="ignore").decode().replace("\0", "")


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


class Headers:
    """Adds them to every answer, errors included."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self.app = app
        self.headers = ALWAYS | (ONLY_HTTPS if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)


STATIC = Path(__file__).with_name("static")
FILES = StaticFiles(directory=STATIC)


@cache
def _mark(name: str) -> str:
    """The beginning of the hash of a file's content. Raises FileNotFoundError."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:MARK_LENGTH]


def static_url(name: str) -> str:
    """The address of a file, for templates."""
    return f"/static/{name}?v={_mark(name)}"


async def serve(request: Request) -> Response:
    """Answer with one file. Without the right mark, the browser has to ask again each time."""
    name = request.path_params["name"]
    response = await FILES.get_response(name, request.scope)
    response.headers["cache-control"] = FOR_A_YEAR if request.query_params.get("v") == _mark(name) else ASK_AGAIN
    return response
