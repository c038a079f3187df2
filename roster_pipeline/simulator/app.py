"""The Starlette application: one or several simulated SISs, told apart by their prefixes."""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.simulator.call import Call
from roster_pipeline.simulator.control import control_reply
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.payload import ROOTS
from roster_pipeline.simulator.request_log import Entry
from roster_pipeline.simulator.sis import DEMO_CREDENTIALS, Sis
from roster_pipeline.simulator.transport import delay_seconds, respond

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
CONTROL = "/simulator/"


def create_app(
    district: District,
    *,
    prefix: str = "",
    credentials: Mapping[str, str] = DEMO_CREDENTIALS,
    faults: Faults | None = None,
    versions: Sequence[str] = tuple(ROOTS),
    control: bool = True,
) -> Starlette:
    """A server for one district; `app.state.sis` is its `Sis`. versions: which of "1.1" and "1.2" it speaks."""
    return create_site(
        [Sis(district, prefix=prefix, credentials=credentials, faults=faults, versions=versions, control=control)]
    )


def create_site(sises: Sequence[Sis]) -> Starlette:
    """A server for several SISs, each below its own prefix; `app.state.sises` by prefix, `app.state.sis` the first."""
    by_prefix = {sis.prefix: sis for sis in sorted(sises, key=lambda sis: len(sis.prefix), reverse=True)}
    if len(by_prefix) != len(sises) or not sises:
        raise ValueError("every simulated SIS of a site needs a prefix of its own")

    async def answer(request: Request) -> Response:
        call = await _read_call(request)
        sis = next((s for prefix, s in by_prefix.items() if _is_below(call.path, prefix, s)), None)
        if sis is None:
            return Response("no simulated SIS stands here\n", 404)
        below = call.path.removeprefix(sis.prefix)
        if below.startswith(CONTROL):
            reply = control_reply(sis, call, below.removeprefix(CONTROL))
            return Response(reply.content(), reply.status, reply.headers, reply.media_type)
        at_once = sis.log.begin()
        status = 0
        try:
            if delay := delay_seconds(sis, call, at_once):
                await asyncio.sleep(delay)
            if call.method == "POST" and (sis.is_token_path(call.path) or sis.is_token_path(below)):
                reply = sis.token(call)
                response = Response(reply.content(), reply.status, reply.headers, reply.media_type)
            else:
                reply = sis.read(call, at_once)
                response = respond(sis, call, reply)
            status = reply.status
            return response
        finally:
            sis.log.end(Entry(call.method, call.resource or call.path, call.path, call.query_string, status))

    app = Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])
    app.state.sis, app.state.sises, app.state.prefixes = sises[0], by_prefix, [sis.prefix for sis in sises]
    return app


def _is_below(path: str, prefix: str, sis: Sis) -> bool:
    return path == prefix or path.startswith(f"{prefix}/") or path == sis.faults.text("token_path")


async def _read_call(request: Request) -> Call:
    raw_path = request.scope.get("raw_path") or request.scope["path"].encode()
    return Call(
        method=request.method,
        path=raw_path.partition(b"?")[0].decode("latin-1"),
        query_string=request.scope["query_string"].decode("latin-1"),
        headers={name.lower(): value for name, value in request.headers.items()},
        origin=f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}",
        client=request.client.host if request.client else "",
        body=await request.body() if request.method != "GET" else b"",
    )
