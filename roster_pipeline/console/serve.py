"""Serving the console with uvicorn. No access log: addresses of pages can hold what somebody searched for."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn
from starlette.applications import Starlette

from roster_pipeline.console.config import Config

ENDING_SECONDS = 5
"""For answers under way; a page that follows a run would otherwise keep the console from ending."""


def server_of(app: Starlette, config: Config, host: str = "", port: int = 0) -> uvicorn.Server:
    """A server that is not listening yet. Forwarded addresses are believed from the proxies of the settings alone."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=bool(config.proxies),
            forwarded_allow_ips=config.proxies or None,
            timeout_graceful_shutdown=ENDING_SECONDS,
            ws="none",
        )
    )


def bound(host: str, port: int) -> socket.socket:
    """A socket on the address. Raises OSError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def serve(app: Starlette, config: Config, listening: socket.socket) -> None:
    """Serve until a signal ends it; then this process ends in order, and an embedded database with it."""
    exit_on_signals()
    server_of(app, config).run(sockets=[listening])


def exit_on_signals() -> None:
    """Make SIGINT and SIGTERM end this process in order, as the end of the embedded database needs it.

    uvicorn gives a signal on to the handler that was there before, and the default one would end us at once.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
