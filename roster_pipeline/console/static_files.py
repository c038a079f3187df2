"""The console's own files (style, script, icon), served from the package under an address that names their content.

An address with the right `v` may be kept for a year: when the file changes, its address does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
FOR_A_YEAR = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
MARK_LENGTH = 12


@dataclass(frozen=True)
class StaticFile:
    """One file. `mark` is the beginning of its content's hash."""

    content: bytes
    kind: str
    mark: str


@cache
def static_files() -> dict[str, StaticFile]:
    """File name to file; nothing outside the folder `static` can be asked for."""
    found = {}
    for entry in files("roster_pipeline.console").joinpath("static").iterdir():
        kind = KINDS.get("." + entry.name.rpartition(".")[2])
        if kind and entry.is_file():
            content = entry.read_bytes()
            found[entry.name] = StaticFile(content, kind, hashlib.sha256(content).hexdigest()[:MARK_LENGTH])
    return found


def static_url(name: str) -> str:
    """The address of a file, for templates. Raises KeyError for one that there is not."""
    return f"/static/{name}?v={static_files()[name].mark}"


def serve(request: Request) -> Response:
    """One file; without the right mark the browser has to ask again each time."""
    found = static_files().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    kept = FOR_A_YEAR if request.query_params.get("v") == found.mark else ASK_AGAIN
    headers = {"cache-control": kept, "etag": f'"{found.mark}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.kind, headers=headers)


routes = [Route("/static/{name}", serve, methods=["GET"])]
