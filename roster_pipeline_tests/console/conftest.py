"""The console under test: a live server on loopback, with a database for one test, over real HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from cryptography.fernet import Fernet

from roster_pipeline.console import launchers
from roster_pipeline.console.app import create_app
from roster_pipeline.console.config import Config, bound, server_of
from roster_pipeline.console.middleware import FIELD, token_for
from roster_pipeline.directory import accounts, sessions
from roster_pipeline.directory.accounts import Place
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.runtime.embedded import DAGSTER_URL, DATABASE_URL, HOME, SECRET_KEY
from roster_pipeline.simulator.app import PromptServer
from roster_pipeline_tests.console import impatient
from roster_pipeline_tests.console.served_sis import Served, served_sis
from roster_pipeline_tests.directory.builders import add_school

ENDING_SECONDS = 20
OPERATOR, MANAGER, OWNER, STRANGER = (
    f"{name}@example.org" for name in ("operator", "manager", "lincoln-owner", "foreign-owner")
)


class Browser(httpx.Client):
    """A client that keeps cookies, follows no redirects, and fills in the token of a form."""

    def __init__(self, console: Console, **more: Any) -> None:
        # The console has no TLS here, and loading certificates takes longer than most pages.
        super().__init__(base_url=console.url, timeout=60, verify=False, **more)
        self.console = console

    def send_form(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        """POST a form as a page of ours would, with its token."""
        if self.csrf is None:
            self.get("/sign-in")
        return self.post(path, data={FIELD: self.csrf, **(fields or {})}, **more)

    @property
    def csrf(self) -> str | None:
        """The token of this browser's forms."""
        config = self.console.config
        cookie = self.cookies.get(config.session_cookie) or self.cookies.get(config.visit_cookie)
        return token_for(cookie) if cookie else None


SignedIn = Callable[[str], Browser]
"""The fixture `signed_in`."""


@dataclass
class Console:
    """A running console."""

    url: str
    config: Config
    database: Database

    def browser(self, **more: Any) -> Browser:
        """A browser that has not signed in. Close it, or use it as a context manager."""
        return Browser(self, **more)

    def signed_in(self, email: str) -> Browser:
        """A browser with a session of this account."""
        with self.database.begin() as opened:
            account = accounts.find(opened, email)
            assert account is not None, f"{email} may not sign in"
            token = sessions.begin(opened, account.id, self.config.lifetime)
        browser = self.browser()
        browser.cookies.set(self.config.session_cookie, token, domain="127.0.0.1")
        return browser


class Running:
    """A console in a thread of its own."""

    def __init__(self, database: Database, config: Config) -> None:
        self.socket = bound("127.0.0.1", 0)
        self.socket.listen(64)
        url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        if not config.secure:
            config = replace(config, url=url)
        self.server = PromptServer(server_of(create_app(config), config).config)
        self.console = Console(url, config, database)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self.server.serve(sockets=[self.socket]))

    def __enter__(self) -> Console:
        self.thread.start()
        return self.console

    def __exit__(self, *_: object) -> None:
        self.server.end()
        self.thread.join(ENDING_SECONDS)
        self.socket.close()


@pytest.fixture(scope="session")
def running_sis() -> Iterator[Served]:
    """A simulated SIS with two schools."""
    with served_sis() as served:
        yield served


@pytest.fixture
def sis(running_sis: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The same, reset to its first day, without faults and tokens. Tests of the connection retry quickly."""
    running_sis.sis.reset()
    monkeypatch.setattr(launchers, "TEST_MODULE", impatient.__name__)
    return running_sis


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> Iterator[Path]:
    """The environment of a console; mails are in `outbox` of the returned folder."""
    given = {DATABASE_URL: database_url, HOME: str(tmp_path), SECRET_KEY: Fernet.generate_key().decode()}
    with mock.patch.dict(os.environ, given):
        os.environ.pop("ROSTER_SMTP_URL", None)
        os.environ.pop("ROSTER_MAIL_FROM", None)
        yield tmp_path


@pytest.fixture
def dagster(environment: Path, dagster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's own tables, for the runs' processes."""
    monkeypatch.setenv(DAGSTER_URL, dagster_url)
    monkeypatch.setenv("DAGSTER_HOME", str(Path(__file__).parents[2]))


@pytest.fixture
def console_config(database_url: str) -> Config:
    """Override it in a module to serve a console with other settings."""
    return Config(database_url)


@pytest.fixture
def console(database: Database, environment: Path, console_config: Config) -> Iterator[Console]:
    """A console on loopback, over the test's database."""
    with Running(database, console_config) as running:
        yield running


@pytest.fixture
def lincoln(database: Database) -> SchoolRow:
    """A school of the district springfield."""
    return database.call(add_school, "lincoln")


@pytest.fixture
def foreign(database: Database) -> SchoolRow:
    """A school of another district."""
    return database.call(add_school, "foreign", connection="foreign-sis", district="shelbyville")


@pytest.fixture
def people_let_in(database: Database, lincoln: SchoolRow, foreign: SchoolRow) -> None:
    """OPERATOR, MANAGER of springfield, OWNER of lincoln, STRANGER: the owner of foreign."""
    with database.begin() as opened:
        accounts.grant(opened, OPERATOR, Place(), by="test")
        accounts.grant(opened, MANAGER, Place(district_id=lincoln.district_id), by="test")
        accounts.grant(opened, OWNER, Place(school_id=lincoln.id), by="test")
        accounts.grant(opened, STRANGER, Place(school_id=foreign.id), by="test")


@pytest.fixture
def signed_in(console: Console, people_let_in: None) -> Iterator[SignedIn]:
    """`signed_in(OWNER)`: a browser with a session; closed at the end."""
    opened: list[Browser] = []

    def browser(email: str) -> Browser:
        opened.append(console.signed_in(email))
        return opened[-1]

    yield browser
    for one in opened:
        one.close()


def _browser_of(email: str) -> Any:
    """A fixture: a browser of this account."""

    @pytest.fixture
    def browser(signed_in: SignedIn) -> Browser:
        return signed_in(email)

    return browser


operator, manager, owner, stranger = map(_browser_of, (OPERATOR, MANAGER, OWNER, STRANGER))


@pytest.fixture
def visitor(console: Console) -> Iterator[Browser]:
    """A browser that has not signed in."""
    with console.browser() as browser:
        yield browser


def link_in(text: str) -> str:
    """The first sign-in link of a text, as a path with its query."""
    found = re.search(r"/sign-in/link\?token=[\w-]+(?:&next=[\w%]+)?", text)
    assert found, text
    return found[0]
