"""Checks the settings of the console before it listens, and serves it with uvicorn. There is no access log, because
addresses of pages can contain searches for people."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from roster_pipeline.oneroster.http.addresses import is_loopback
from roster_pipeline.settings.installation import ConsoleVariables, InstallationError, Places, home

URL = "ROSTER_CONSOLE_URL"
ADDRESS = "console.address"
"""In the home folder: the address of the console. `roster access link` may run in a shell that does not know it."""
LOOPBACK = "127.0.0.1"
PORT = 8080
ENDING_SECONDS = 5
"""Seconds for unfinished answers, so that a slow download cannot keep the console from ending."""
HEADER_SECONDS = 30
"""Seconds for the headers of a request. uvicorn has no such limit: a client that sends a letter now and then would keep
its connection for ever, and many of them would leave none for others."""


@dataclass(frozen=True)
class Oidc:
    """An identity provider. `trust_email`: its addresses count although it does not say that it verified them."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    trust_email: bool = False


@dataclass(frozen=True)
class Config:
    """Everything that the console needs to know. url: as browsers see it, without a slash at the end."""

    database_url: str = field(repr=False)
    url: str = f"http://{LOOPBACK}:{PORT}"
    proxies: str = ""
    idle: timedelta = timedelta(hours=2)
    lifetime: timedelta = timedelta(hours=12)
    oidc: Oidc | None = None
    mail_links: bool = True
    runs: int = 2
    """How many syncs and dry runs of people may go on at once on this machine."""
    run_minutes: int = 60
    """How long one of them may take."""

    @property
    def secure(self) -> bool:
        """Whether browsers use https."""
        return self.url.startswith("https://")

    @property
    def session_cookie(self) -> str:
        """With the prefix in this name, browsers accept the cookie only over https and only from this host."""
        return "__Host-roster" if self.secure else "roster"

    @property
    def visit_cookie(self) -> str:
        """The same for a browser that has not signed in yet."""
        return f"{self.session_cookie}-visit"


def config_from(given: ConsoleVariables, database_url: str, host: str = LOOPBACK, port: int = PORT) -> Config:
    """The settings of a console that listens on host and port. Raises InstallationError."""
    address = given.console_url.rstrip("/")
    if not address and not is_loopback(host):
        raise InstallationError(
            f"The console listens on {host}, so it needs its public address.",
            f"Set {URL} to the https address that browsers use, for example https://console.example.org.",
        )
    url = address or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
        raise InstallationError(f"{URL} is not the address of a site.", "Write it like https://console.example.org.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InstallationError(
            f"{URL} is without encryption, so sessions could be stolen on the way.",
            "Give it an https address, with a proxy in front of the console (deploy/nginx.conf).",
        )
    oidc = _oidc(given)
    return Config(
        database_url=database_url,
        url=url,
        proxies=_proxies(given.console_proxies),
        idle=timedelta(minutes=given.console_idle_minutes),
        lifetime=timedelta(hours=given.console_session_hours),
        oidc=oidc,
        mail_links=oidc is None if given.console_mail_links is None else given.console_mail_links,
        runs=given.console_runs,
        run_minutes=given.console_run_minutes,
    )


def config_of_installation() -> Config:
    """The settings of the console on this machine: from the environment, else its address as it last began. Raises
    InstallationError."""
    given = ConsoleVariables.read()
    with suppress(OSError):
        given = given.model_copy(update={"console_url": given.console_url or (home() / ADDRESS).read_text("utf-8")})
    return config_from(given, Places.read().database_url)


def keep_address(config: Config) -> None:
    """Write the address down for `config_of_installation`, unless the folder is read-only."""
    with suppress(OSError):
        (home() / ADDRESS).write_text(config.url, "utf-8")


def _proxies(written: str) -> str:
    """Addresses and networks. The server would trust everybody for `*`, and nobody for a host name."""
    for one in filter(None, map(str.strip, written.split(","))):
        with suppress(ValueError):
            if ip_network(one).prefixlen:
                continue
        raise InstallationError(
            "ROSTER_CONSOLE_PROXIES is not a list of addresses.",
            "Write the IP addresses or networks of your proxies with commas, for example 127.0.0.1,10.0.0.0/24.",
        )
    return written


def _oidc(given: ConsoleVariables) -> Oidc | None:
    if not given.oidc_issuer:
        return None
    parts = urlsplit(given.oidc_issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise InstallationError("ROSTER_OIDC_ISSUER is not an https address.", "Write it as the provider states it.")
    if not given.oidc_client_id or not given.oidc_client_secret:
        raise InstallationError(
            "ROSTER_OIDC_ISSUER is set, but ROSTER_OIDC_CLIENT_ID or ROSTER_OIDC_CLIENT_SECRET is not.",
            "Register the console at the provider, and set both to the values that it shows.",
        )
    return Oidc(given.oidc_issuer, given.oidc_client_id, given.oidc_client_secret, given.oidc_trust_email)


def server_of(app: Starlette, config: Config) -> uvicorn.Server:
    """A server that does not listen yet. It trusts forwarded addresses only from the proxies in the settings."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=bool(config.proxies),
            forwarded_allow_ips=config.proxies or None,
            timeout_graceful_shutdown=ENDING_SECONDS,
            ws="none",
            http=PromptHeaders,
        )
    )


class PromptHeaders(H11Protocol):
    """HTTP of uvicorn, but a connection ends if the headers of a request do not arrive within `HEADER_SECONDS`."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait on, until the headers are complete. The limit counts from their first byte."""
        super().data_received(data)
        upgraded = self.transport.get_protocol() is not self
        if not upgraded and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._limit = self._limit or self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


def bound(host: str, port: int) -> socket.socket:
    """A socket on the address. Raises OSError if the address is taken."""
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
    """Serve until a signal ends it. Then this process and an embedded database end in order."""
    exit_on_signals()
    server_of(app, config).run(sockets=[listening])


def exit_on_signals() -> None:
    """End in order at SIGINT and SIGTERM, as the embedded database needs it; uvicorn passes them on to this."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
