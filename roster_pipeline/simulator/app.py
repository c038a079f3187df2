"""The Starlette application: simulated SISs below their prefixes, their control endpoints (`<prefix>/simulator/`, for
loopback callers only), and the server, in the foreground or in a thread for tests."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from roster_pipeline.simulator.days import pass_day
from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import FAULTS, Faults
from roster_pipeline.simulator.messages import ROOTS, Answer, Call
from roster_pipeline.simulator.person import Person, Role
from roster_pipeline.simulator.sis import DEMO_CREDENTIALS, LoggedRequest, Sis
from roster_pipeline.simulator.wire_faults import delay_seconds, respond

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
CONTROL = "/simulator/"
CONTROL_FROM = ("127.0.0.1", "::1", "testclient", "")
VERBS = ("add", "remove", "restore", "edit", "rename", "move", "set_role", "set_roles")
LOOPBACK = "127.0.0.1"
BACKLOG = 128
TURNS = 3
"""Turns of the event loop in which a closed connection ends."""
STOP_PATIENCE = 10.0
"""Seconds to wait for the server thread to end."""


def create_app(
    district: District,
    *,
    prefix: str = "",
    credentials: Mapping[str, str] = DEMO_CREDENTIALS,
    faults: Faults | None = None,
    versions: Sequence[str] = tuple(ROOTS),
) -> Starlette:
    """A server for one district; `app.state.sis` is its `Sis`. versions: which of "1.1" and "1.2" it speaks."""
    return create_site([Sis(district, prefix=prefix, credentials=credentials, faults=faults, versions=versions)])


def create_site(sises: Sequence[Sis]) -> Starlette:
    """A server for several SISs, each below its prefix: `app.state.sises` by prefix, `app.state.sis` the first."""
    by_prefix = {sis.prefix: sis for sis in sorted(sises, key=lambda sis: len(sis.prefix), reverse=True)}
    if len(by_prefix) != len(sises) or not sises:
        raise ValueError("every simulated SIS of a site needs a prefix of its own")

    async def answer(request: Request) -> Response:
        call = await _read_call(request)
        sis = next((s for prefix, s in by_prefix.items() if _is_below(call.path, prefix, s)), None)
        if sis is None:
            return Response("no simulated SIS at this path\n", 404)
        below = call.path.removeprefix(sis.prefix)
        if below.startswith(CONTROL):
            return _plain(_control(sis, call, below.removeprefix(CONTROL)))
        at_once = sis.log.begin()
        status = 0
        try:
            if delay := delay_seconds(sis.faults, call):
                await asyncio.sleep(delay)
            if call.method == "POST" and (sis.is_token_path(call.path) or sis.is_token_path(below)):
                response = _plain(sis.token(call))
            else:
                response = respond(sis.faults, call, sis.read(call, at_once))
            status = response.status_code
            return response
        finally:
            sis.log.end(LoggedRequest(call.method, call.resource or call.path, call.path, call.query_string, status))

    app = Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])
    app.state.sis, app.state.sises, app.state.prefixes = sises[0], by_prefix, [sis.prefix for sis in sises]
    return app


def _is_below(path: str, prefix: str, sis: Sis) -> bool:
    return path == prefix or path.startswith(f"{prefix}/") or path == sis.faults.text("token_path")


def _plain(answer: Answer) -> Response:
    return Response(answer.content(), answer.status, answer.headers, answer.media_type)


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


# control


def _control(sis: Sis, call: Call, action: str) -> Answer:
    """Answer one control request: 403 for callers from other machines, 400 with the reason for a wrong request."""
    if call.client not in CONTROL_FROM:
        return Answer(403, {"error": "the control endpoints answer loopback callers only"})
    try:
        body: Any = orjson.loads(call.body) if call.body else {}
        return Answer(200, _act(sis, call.method, action, body))
    except (LookupError, ValueError, TypeError) as error:
        return Answer(400, {"error": str(error)})


def _act(sis: Sis, method: str, action: str, body: Any) -> Any:
    match (method, action):
        case ("GET", "faults"):
            return {"on": sis.faults.active(), "known": {fault.name: fault.does for fault in FAULTS.values()}}
        case ("POST", "faults"):
            return _set_faults(sis, body)
        case ("POST", "day"):
            return pass_day(sis.district, **body)._asdict()
        case ("POST", "edit"):
            return _edit(sis, body)
        case ("GET", "requests"):
            return sis.log.summary()
        case ("POST", "requests"):
            sis.log.clear()
            return {}
        case ("POST", "reset"):
            sis.reset()
            return {}
        case ("GET", "district"):
            schools = [org._asdict() for org in sis.district.schools]
            return {"day": sis.district.day, "records": len(sis.district), "schools": schools}
        case _:
            raise ValueError("the control endpoints are faults, day, edit, requests, reset and district")


def _set_faults(sis: Sis, body: Any) -> Any:
    """`["page_cap=100"]`, or `{"page_cap": 100, "link": false}`; `"clear": true` switches all others off first."""
    if isinstance(body, list):
        sis.faults.set(*body)
    else:
        if body.pop("clear", False):
            sis.faults.clear()
        sis.faults.set(**body)
    return {"on": sis.faults.active()}


def _edit(sis: Sis, body: dict[str, Any]) -> Any:
    """`{"verb": "move", "sourced_id": "u-1003", "to": "sch-2"}`: a verb of the district and its arguments."""
    verb = body.pop("verb", "edit")
    if verb not in VERBS:
        raise ValueError(f"the verbs are {', '.join(VERBS)}")
    if "roles" in body:
        body["roles"] = tuple(Role(**entry) for entry in body["roles"])
    for name in ("agents", "agent_ids", "grades"):
        if name in body:
            body[name] = tuple(body[name])
    person = getattr(sis.district, verb)(**body)
    if not isinstance(person, Person):
        return {}
    return person._asdict() | {"roles": [entry._asdict() for entry in person.roles]}


class _NotAborted(logging.Filter):
    """Keeps requests that a fault, the client or the end of the server cuts off out of the server's error log."""

    def filter(self, record: logging.LogRecord) -> bool:
        cut = (ConnectionAbortedError, ClientDisconnect, asyncio.CancelledError)
        return record.exc_info is None or not isinstance(record.exc_info[1], cut)


NOT_ABORTED = _NotAborted()


def _config(app: Starlette, **options: object) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(NOT_ABORTED)
    return uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=1,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def bound(host: str, port: int) -> socket.socket:
    """A bound socket. It names its protocol, or asyncio leaves Nagle's delay on, which costs 40 ms an answer."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


class PromptServer(uvicorn.Server):
    """A server that ends as soon as another thread says so; uvicorn's own looks ten times a second, then waits."""

    _loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """End; may be called from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Wait for the end, and renew the date that answers carry each second."""
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything at once; only a request that is being answered is waited for, as uvicorn does."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        else:
            await self.lifespan.shutdown()


class SimulatorThread:
    """A server in a thread. base_url: its address without a trailing slash. End it with `stop()`."""

    def __init__(self, app: Starlette, port: int = 0, tls: Mapping[str, str] | None = None) -> None:
        self._socket = bound(LOOPBACK, port)
        self.app = app
        self.base_url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self._socket.getsockname()[1]}"
        self._server = PromptServer(_config(app, **(tls or {})))
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> "SimulatorThread":
        """Listen. Requests that arrive before the server is up wait in the queue of the socket."""
        self._socket.listen(BACKLOG)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.end()
        self._thread.join(STOP_PATIENCE)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


@contextlib.contextmanager
def running(app: Starlette, **tls: str) -> Iterator[str]:
    """Serve on a free loopback port during a `with` block; yields the base URL. tls: `ssl_certfile`, `ssl_keyfile`."""
    thread = SimulatorThread(app, tls=tls).start()
    try:
        yield thread.base_url
    finally:
        thread.stop()


def serve(app: Starlette, *, host: str = LOOPBACK, port: int = 8600) -> None:
    """Serve until interrupted. Prints `simulator ready at URL ...` when the port answers. port: 0 for a free one."""
    with contextlib.closing(bound(host, port)) as listening, contextlib.suppress(KeyboardInterrupt):
        listening.listen(BACKLOG)
        base = f"http://{host}:{listening.getsockname()[1]}"
        urls = " ".join(f"{base}{prefix}" for prefix in app.state.prefixes)
        print(f"simulator ready at {urls}", flush=True)  # noqa: T201 - the line that a parent process waits for
        asyncio.run(uvicorn.Server(_config(app)).serve(sockets=[listening]))
