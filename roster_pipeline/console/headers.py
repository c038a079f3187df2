"""Headers of every response (what the browser may load, frame and keep), and the console's own static files.

The address of a static file names its content (`v`). A browser may keep the file for a year, because a changed file has
a new address.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
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
}
NOT_KEPT = "no-store"
"""Pages contain data of people. The Back button of a shared computer must not show them to the next user."""
A_YEAR = "max-age=31536000"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
FOR_A_YEAR = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
MARK_LENGTH = 12


class Headers:
    """Adds them to every answer, errors included."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self.app = app
        self.always = ALWAYS | ({"strict-transport-security": A_YEAR} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.always.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", NOT_KEPT)
            await send(message)

        await self.app(scope, receive, with_headers)


@dataclass(frozen=True)
class StaticFile:
    """One file. `mark` is the beginning of its content's hash."""

    content: bytes
    kind: str
    mark: str


@cache
def static_files() -> dict[str, StaticFile]:
    """The files by name. Nobody can request a file outside the folder `static`."""
    found = {}
    for entry in files("roster_pipeline.console").joinpath("static").iterdir():
        kind = KINDS.get("." + entry.name.rpartition(".")[2])
        if kind and entry.is_file():
            content = entry.read_bytes()
            found[entry.name] = StaticFile(content, kind, hashlib.sha256(content).hexdigest()[:MARK_LENGTH])
    return found


def static_url(name: str) -> str:
    """The address of a file, for templates. Raises KeyError if the file does not exist."""
    return f"/static/{name}?v={static_files()[name].mark}"


def serve(request: Request) -> Response:
    """Answer with one file. Without the right mark, the browser has to ask again each time."""
    found = static_files().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    kept = FOR_A_YEAR if request.query_params.get("v") == found.mark else ASK_AGAIN
    headers = {"cache-control": kept, "etag": f'"{found.mark}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.kind, headers=headers)


routes = [Route("/static/{name}", serve, methods=["GET"])]
