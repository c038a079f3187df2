"""Serving the simulator: until it is interrupted, or in a thread for tests; and certificates for HTTPS on loopback."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping

import uvicorn
from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
BACKLOG = 128
STOP_PATIENCE = 10.0
"""Seconds to wait for the server thread to end."""


class _NotAborted(logging.Filter):
    """Keeps connections that a fault cuts out of the server's error log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the report of an aborted connection."""
        return record.exc_info is None or not isinstance(record.exc_info[1], ConnectionAbortedError)


NOT_ABORTED = _NotAborted()


def _config(app: Starlette, **options: object) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(NOT_ABORTED)
    return uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=1,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening.

    It names its protocol, because only then asyncio turns Nagle's delay off, which costs 40 ms an answer.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


class SimulatorThread:
    """A server in a thread. base_url: its address without a trailing slash. End it with `stop()`."""

    def __init__(
        self, app: Starlette, host: str = LOOPBACK, port: int = 0, tls: Mapping[str, str] | None = None
    ) -> None:
        self._socket = _bound(host, port)
        self.app = app
        self.base_url = f"{'https' if tls else 'http'}://{host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(_config(app, **(tls or {})))
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> "SimulatorThread":
        """Listen. Requests that arrive before the server is up wait in the queue of the socket."""
        self._socket.listen(BACKLOG)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the server and its thread, and close its connections."""
        self._server.should_exit = True
        self._thread.join(STOP_PATIENCE)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


@contextlib.contextmanager
def running(app: Starlette, **tls: str) -> Iterator[str]:
    """Serve `app` on a free loopback port during a `with` block. Yields the base URL, without a trailing slash.

    tls: `ssl_certfile` and `ssl_keyfile` for HTTPS.
    """
    thread = SimulatorThread(app, tls=tls).start()
    try:
        yield thread.base_url
    finally:
        thread.stop()


def serve(app: Starlette, *, host: str = LOOPBACK, port: int = 8600) -> None:
    """Serve until it is interrupted. Prints `simulator ready at URL ...` with one URL per SIS when the port answers.

    port: 0 for a free one.
    """
    with contextlib.closing(_bound(host, port)) as bound, contextlib.suppress(KeyboardInterrupt):
        bound.listen(BACKLOG)
        base = f"http://{host}:{bound.getsockname()[1]}"
        urls = " ".join(f"{base}{prefix}" for prefix in app.state.prefixes)
        print(f"simulator ready at {urls}", flush=True)  # noqa: T201 - the line that a parent process waits for
        asyncio.run(uvicorn.Server(_config(app)).serve(sockets=[bound]))
