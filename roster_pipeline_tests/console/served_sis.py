"""A simulated SIS with a school of ours, and a reader of pages that follow something."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from roster_pipeline.directory import tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.simulator import District, Sis, create_site, generate_district, running

CLIENT, SECRET = "client", "p0ison-of-the-sis"
STUDENTS = 20


@dataclass(frozen=True)
class Served:
    """A SIS that answers, and its people."""

    url: str
    sis: Sis
    people: District


@contextmanager
def served_sis() -> Iterator[Served]:
    """Two schools of 20 students, OneRoster 1.2."""
    people = generate_district(5, schools=2, students_per_school=STUDENTS)
    sis = Sis(people, credentials={CLIENT: SECRET}, versions=("1.2",))
    with running(create_site([sis])) as base_url:
        yield Served(f"{base_url}/ims/oneroster/rostering/v1p2", sis, people)


def school_in(
    database: Database, served: Served, key: str = "lincoln", secret: str | None = SECRET, **chosen: Any
) -> SchoolRow:
    """The district springfield, its connection `sis` to the simulated one, and a school of it that rosters students."""
    settings = ConnectionSettings(url=served.url, client_id=CLIENT, allow_private_addresses=True)
    with database.begin() as conn:
        tenant_changes.add_district(conn, "springfield", "Springfield")
        tenant_changes.add_connection(conn, "springfield", "sis", settings, seal(secret) if secret else None)
        given: dict[str, Any] = {"students": {"rostered": True}} | chosen
        return tenant_changes.add_school(conn, "sis", key, key.title(), SchoolSettings(school_id="sch-1", **given))


ASKS = re.compile(r'hx-get="([^"]+)" hx-trigger="every 1s"')
PATIENCE = 120.0


def followed(browser: httpx.Client, page: str) -> list[str]:
    """A page or a piece of one, and all news that a browser gets that asks as it says, until nothing more can come."""
    news, until = [page], time.monotonic() + PATIENCE
    while asks := ASKS.search(news[-1]):
        answer = browser.get(html.unescape(asks[1]), headers={"hx-request": "true"})
        if answer.status_code == 204:
            assert time.monotonic() < until, "nothing more comes"
            time.sleep(0.1)
            continue
        assert answer.status_code in (200, 286)
        if "hx-refresh" in answer.headers:
            break
        news.append(answer.text)
    return news


def streamed(browser: httpx.Client, page: str) -> str:
    """The same as one text."""
    return "\n".join(followed(browser, page))
