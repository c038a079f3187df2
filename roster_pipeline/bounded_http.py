"""One HTTP exchange with bounds on its whole time and size. A time-out of httpx is for one read, so a server that sends
a byte now and then would keep a process for hours. The client of a SIS has bounds of its own (`oneroster.http`)."""

import socket
from contextlib import suppress
from threading import Lock, Timer
from typing import Any

import httpx

OPENED = ("connect_tcp.complete", "start_tls.complete")
"""The events of httpcore that come with a connection. With TLS, the second one replaces the first."""


def exchange(method: str, url: str, *, seconds: float, most_bytes: int, **request: Any) -> httpx.Response:
    """The response to one request, without redirects. seconds: for each address that is tried, and then for the rest.
    request: as for `httpx.request`. Raises httpx.HTTPError and httpx.InvalidURL."""
    verify = request.pop("verify", True)
    cut = _Cut(seconds)
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False, verify=verify) as client,
            client.stream(method, url, extensions={"trace": cut.note}, **request) as answer,
        ):
            content = bytearray()
            for part in answer.iter_bytes():
                content += part
                if len(content) > most_bytes:
                    raise httpx.ReadError("too long")
    except httpx.HTTPError:
        if cut.over:
            raise httpx.ReadTimeout("not complete in time") from None
        raise
    finally:
        cut.timer.cancel()
    return httpx.Response(answer.status_code, content=bytes(content))


class _Cut:
    """Ends the connection of an exchange after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._lock = Lock()
        self._open: socket.socket | None = None
        self.timer = Timer(seconds, self._end)
        self.timer.daemon = True
        self.timer.start()

    def note(self, event: str, facts: dict[str, Any]) -> None:
        """Remember the connection. For httpcore, which reports each of its steps."""
        if event.endswith(OPENED):
            with self._lock:
                self._open = facts["return_value"].get_extra_info("socket")
            if self.over:
                self._end()

    def _end(self) -> None:
        self.over = True
        with self._lock, suppress(OSError):
            if self._open is not None:
                self._open.shutdown(socket.SHUT_RDWR)
