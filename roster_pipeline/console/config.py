"""The console's settings, from the environment. What is wrong with them is told before anything listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from roster_pipeline.errors import RosterError

URL = "ROSTER_CONSOLE_URL"
PROXIES = "ROSTER_CONSOLE_PROXIES"
IDLE = "ROSTER_CONSOLE_IDLE_MINUTES"
LIFETIME = "ROSTER_CONSOLE_SESSION_HOURS"
MAIL_LINKS = "ROSTER_CONSOLE_MAIL_LINKS"
RUNS = "ROSTER_CONSOLE_RUNS"
RUN_MINUTES = "ROSTER_CONSOLE_RUN_MINUTES"
ISSUER = "ROSTER_OIDC_ISSUER"
CLIENT_ID = "ROSTER_OIDC_CLIENT_ID"
CLIENT_SECRET = "ROSTER_OIDC_CLIENT_SECRET"  # noqa: S105 - the variable's name
TRUST_EMAIL = "ROSTER_OIDC_TRUST_EMAIL"
LOOPBACK = "127.0.0.1"
PORT = 8080
WORDS = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}


class ConsoleSettingsError(RosterError):
    """The environment does not describe a console."""


@dataclass(frozen=True)
class Oidc:
    """An identity provider. `trust_email`: its addresses count although it does not say that it verified them."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    trust_email: bool = False


@dataclass(frozen=True)
class Config:
    """Everything the console needs to know. `url` is its address as browsers see it, without a slash at the end."""

    database_url: str = field(repr=False)
    url: str = f"http://{LOOPBACK}:{PORT}"
    proxies: str = ""
    idle: timedelta = timedelta(hours=2)
    lifetime: timedelta = timedelta(hours=12)
    oidc: Oidc | None = None
    mail_links: bool = True
    runs: int = 2
    """Syncs and dry runs that people may have under way at once on this machine."""
    run_minutes: int = 60
    """The longest that one of them may take."""

    @property
    def secure(self) -> bool:
        """Whether browsers come by https."""
        return self.url.startswith("https://")

    @property
    def session_cookie(self) -> str:
        """With the prefix, browsers take the cookie only over https and only from this very host."""
        return "__Host-roster" if self.secure else "roster"

    @property
    def visit_cookie(self) -> str:
        """The same for a browser that has not signed in yet."""
        return f"{self.session_cookie}-visit"


def config_from(environment: Mapping[str, str], database_url: str, host: str = LOOPBACK, port: int = PORT) -> Config:
    """The settings of this environment, for a console that listens on host and port. Raises ConsoleSettingsError."""
    given = environment.get(URL, "").strip().rstrip("/")
    if not given and not is_loopback(host):
        raise ConsoleSettingsError(
            f"The console is to listen on {host}, but its address is not known.",
            f"Set {URL} to the https address that browsers use, for example https://console.example.org.",
        )
    url = given or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
        raise ConsoleSettingsError(f"{URL} is no address of a site.", "Write it like https://console.example.org.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConsoleSettingsError(
            f"{URL} is without encryption, so sessions could be stolen on the way.",
            "Give it an https address, with a proxy in front of the console (deploy/nginx.conf).",
        )
    oidc = _oidc(environment)
    return Config(
        database_url=database_url,
        url=url,
        proxies=environment.get(PROXIES, "").strip(),
        idle=timedelta(minutes=_number(environment, IDLE, 120)),
        lifetime=timedelta(hours=_number(environment, LIFETIME, 12)),
        oidc=oidc,
        mail_links=_switch(environment, MAIL_LINKS, default=oidc is None),
        runs=_number(environment, RUNS, 2),
        run_minutes=_number(environment, RUN_MINUTES, 60),
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _oidc(environment: Mapping[str, str]) -> Oidc | None:
    issuer = environment.get(ISSUER, "").strip()
    if not issuer:
        return None
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ConsoleSettingsError(f"{ISSUER} is not an https address.", "Write it as the provider states it.")
    client_id, secret = (environment.get(name, "").strip() for name in (CLIENT_ID, CLIENT_SECRET))
    if not client_id or not secret:
        raise ConsoleSettingsError(
            f"{ISSUER} is set, but {CLIENT_ID} or {CLIENT_SECRET} is not.", "Register the console at the provider."
        )
    return Oidc(issuer, client_id, secret, _switch(environment, TRUST_EMAIL, default=False))


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isdecimal() or not 0 < int(text) <= 100_000:
        raise ConsoleSettingsError(f"{name} is not a whole number above 0.", f"Leave it out for {default}.")
    return int(text)


def _switch(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if text and text not in WORDS:
        raise ConsoleSettingsError(f"{name} is neither on nor off.", f"Set {name} to on or off.")
    return WORDS[text] if text else default
