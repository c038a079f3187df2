"""A simulated SIS with a school of ours, and a reader of event streams."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roster_pipeline.directory import tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.simulator import District, Sis, create_site, generate_district, running

if TYPE_CHECKING:
    from roster_pipeline_tests.console.conftest import Browser

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


def live_of(html: str) -> str:
    """The address of a page's event stream."""
    (path,) = re.findall(r'data-live="([^"]+)"', html)
    return str(path)


def streamed(browser: Browser, path: str) -> str:
    """The data of every event of a stream."""
    return "\n".join(data for _, _, data in events_of(browser, path))


def events_of(browser: Browser, path: str, last_id: str | None = None) -> list[tuple[str, str, str]]:
    """Every event of a stream until it says that it ends: id, kind and data."""
    found: list[tuple[str, str, str]] = []
    event: dict[str, list[str]] = {}
    headers = {"accept": "text/event-stream"} | ({"last-event-id": last_id} if last_id else {})
    with browser.stream("GET", path, headers=headers, timeout=120) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event.setdefault(name, []).append(value)
            elif event:
                if "event" in event:
                    found.append((event.get("id", [""])[0], event["event"][0], "\n".join(event.get("data", []))))
                event = {}
    return found
