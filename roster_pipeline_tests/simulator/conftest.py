"""A small district behind a real socket, and a caller that signs in and asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from roster_pipeline.simulator import District, Sis, create_site, generate_district, running

START = date(2026, 9, 1)
NOW = datetime(2026, 9, 15, 20, 0, tzinfo=UTC)
SCOPES = "https://purl.imsglobal.org/spec/or/v1p2/scope/"
ALL_SCOPES = " ".join(
    SCOPES + name for name in ("roster-core.readonly", "roster.readonly", "roster-demographics.readonly")
)
ROOTS = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}


@dataclass
class Api:
    """Asks a running simulator."""

    http: httpx.Client
    sis: Sis
    version: str = "1.2"
    token: str = ""

    def sign_in(self, scope: str = ALL_SCOPES, **form: str) -> httpx.Response:
        """Fetch a token by Basic header and keep it."""
        answer = self.http.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", "scope": scope, **form},
            auth=("demo-client", "demo-secret"),
        )
        if answer.status_code == 200:
            self.token = answer.json()["access_token"]
        return answer

    def get(self, path: str, version: str = "", **parameters: object) -> httpx.Response:
        """One GET below the root of the version; parameters are percent-encoded."""
        query = urlencode({key: str(value) for key, value in parameters.items()}, quote_via=quote, safe="")
        url = f"{ROOTS[version or self.version]}{path}" + (f"?{query}" if query else "")
        return self.http.get(url, headers={"Authorization": f"Bearer {self.token}"})

    def users(self, path: str = "/users", version: str = "", **parameters: object) -> list[dict[str, Any]]:
        """The users of one large page."""
        answer = self.get(path, version, **{"limit": 5000, **parameters})
        assert answer.status_code == 200, answer.text
        return answer.json()["users"]

    def walk(self, path: str = "/users", version: str = "", limit: int = 100) -> list[str]:
        """The sourcedIds of a whole collection, page by page until an empty one."""
        found: list[str] = []
        while records := self.users(path, version, limit=limit, offset=len(found)):
            found += [record["sourcedId"] for record in records]
        return found


@pytest.fixture
def district() -> District:
    return generate_district(7, schools=3, students_per_school=60, start=START, clock=lambda: NOW)


@pytest.fixture
def sis(district: District) -> Sis:
    return Sis(district)


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[[Sis], Api]]:
    """One server for a module; the SIS behind it is exchanged for each test."""
    app = create_site([Sis(generate_district(1, 1, 4))])
    with running(app) as base, httpx.Client(base_url=base, timeout=20, verify=False) as http:

        def use(sis: Sis) -> Api:
            app.state.sises[""] = sis
            return Api(http, sis)

        yield use


@pytest.fixture
def api(served: Callable[[Sis], Api], sis: Sis) -> Api:
    asked = served(sis)
    asked.sign_in()
    return asked
