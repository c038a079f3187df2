"""A district in a real database: its connections and schools, whole syncs of a school, and their results.

`simulated_district` makes one with its SIS. `invariants.sync_district.Place` is one of several in a database,
`sources.conftest.School` is a school on a small SIS, and `scenarios.conftest.DagsterDistrict` runs syncs as Dagster.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.engine import make_url

from roster_pipeline import simulator, sync
from roster_pipeline.demo import latest_counts
from roster_pipeline.directory import tenant_changes, tenants
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.oneroster import Endpoint, Limits
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline.sync import explain, fetch_strategy
from roster_pipeline.sync.alerts import record_failure
from roster_pipeline_tests.postgres import as_text, copy_of

CLIENT, SECRET = "client", "s3cret"
ROOTS = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}
EVERYTHING = {"rostered": True, "auto_update": True, "archive": True}
ROLES = ("students", "teachers", "staff", "admins")
STEPS = ("fetch", "clean", "plan", "apply")
IMPATIENT = Limits(pages=200, first_wait=0.01, longest_wait=0.05)
"""Shorter limits, so that a test can wait for them."""
_numbers = count(1)


def simulated(base_url: str, version: str = "1.2", **settings: Any) -> ConnectionSettings:
    """The connection to a SIS of the simulator, which knows CLIENT with SECRET. base_url: with the SIS's prefix."""
    known: dict[str, Any] = {"url": f"{base_url}{ROOTS[version]}", "token_url": f"{base_url}/oauth/token"}
    return ConnectionSettings(**known | {"client_id": CLIENT, "allow_private_addresses": True} | settings)


def everybody(school_id: str = "sch-1", **settings: Any) -> SchoolSettings:
    """By default, a school that rosters everybody, changes everything and needs no approval of its first sync."""
    chosen: dict[str, Any] = dict.fromkeys(ROLES, EVERYTHING) | {"first_sync": "apply"} | settings
    return SchoolSettings(school_id=school_id, **chosen)


def change_school(database: Database, key: str, **settings: Any) -> SchoolRow:
    """Change some settings of a school."""
    with database.begin() as conn:
        now = tenants.get_school(conn, key).settings
        tenant_changes.set_school(conn, key, SchoolSettings.model_validate(now.model_dump() | settings))
        return tenants.get_school(conn, key)


def run_sync(database: Database, key: str, batch: str | None = None, run_id: str | None = None) -> SyncResult:
    """One school's sync without Dagster. batch: runs with the same batch share a fetch; None: a fetch of its own."""
    sync.fetch(database, key, batch=batch or f"night {next(_numbers)}", run_id=run_id)
    sync.clean_latest(database, key, run_id=run_id)
    sync.plan_latest(database, key, run_id=run_id)
    return sync.apply_latest(database, key, run_id=run_id, who="test")


class District:
    """One district with one connection, or more, in a database that it may share with others.

    sis, people: its SIS and the people in it; only if `simulated_district` made it.
    """

    sis: Sis
    people: simulator.District
    base_url: str

    def __init__(
        self,
        database: Database,
        settings: ConnectionSettings,
        *,
        key: str = "springfield",
        connection: str = "sis",
        secret: str = SECRET,
    ) -> None:
        self.database, self.key, self.connection = database, key, connection
        self.problems: list[str] = []
        self.district_id = database.call(tenant_changes.add_district, key, key.title()).id
        self.connection_id = self.add_connection(connection, settings, secret)

    def add_connection(self, key: str, settings: ConnectionSettings, secret: str = SECRET) -> int:
        """Add a connection; returns its number."""
        return self.database.call(tenant_changes.add_connection, self.key, key, settings, seal(secret)).id

    def add_school(
        self, key: str = "lincoln", school_id: str = "sch-1", *, connection: str = "", **settings: Any
    ) -> str:
        """Add a school, which rosters everybody by default; returns its key."""
        with self.database.begin() as conn:
            chosen = everybody(school_id, **settings)
            tenant_changes.add_school(conn, connection or self.connection, key, key.replace("-", " ").title(), chosen)
        return key

    def set_school(self, key: str = "lincoln", **settings: Any) -> None:
        """Change some settings of a school."""
        change_school(self.database, key, **settings)

    def set_connection(self, key: str = "", *, secret: str | None = None, **settings: Any) -> None:
        """Change some settings of a connection, or its secret."""
        key = key or self.connection
        with self.database.begin() as conn:
            now = tenants.get_connection(conn, key).settings
            changed = ConnectionSettings.model_validate(now.model_dump() | settings)
            tenant_changes.set_connection(conn, key, changed, seal(secret) if secret else None)

    def sync_school(self, key: str = "lincoln", batch: str | None = None) -> SyncResult:
        """One school's sync without Dagster; raises its errors."""
        return run_sync(self.database, key, batch)

    def run_sync(self, key: str = "lincoln", night: str | None = None, steps: Sequence[str] = STEPS) -> dict[str, int]:
        """One school's sync; returns its numbers. A failure is stored, as for a run, and is in `problems`."""
        run, self.problems = str(uuid4()), []
        does: dict[str, Callable[[], object]] = {
            "fetch": lambda: sync.fetch(self.database, key, batch=night or run, run_id=run),
            "clean": lambda: sync.clean_latest(self.database, key, run_id=run),
            "plan": lambda: sync.plan_latest(self.database, key, run_id=run),
            "apply": lambda: sync.apply_latest(self.database, key, run_id=run, who="test"),
        }
        for step in steps:
            try:
                does[step]()
            except Exception as caught:
                problem = explain(key, caught)
                record_failure(self.database, key, step, problem, run, night)
                self.problems = [str(problem)]
                return {}
        return latest_counts(self.database, key)

    def rows(self, query: str, **given: Any) -> list[dict[str, Any]]:
        """The rows of a query; `:district` is this district."""
        with self.database.begin() as conn:
            return [dict(row) for row in conn.execute(text(query), {"district": self.district_id} | given).mappings()]

    def value(self, query: str, **given: Any) -> Any:
        """The first value of a query."""
        with self.database.begin() as conn:
            return conn.scalar(text(query), given)

    def execute(self, statement: str, **given: Any) -> None:
        """Change rows directly, without the product."""
        with self.database.begin() as conn:
            conn.execute(text(statement), given)

    def count(self, table: str, where: str = "true") -> int:
        """The number of rows of a table, of all districts."""
        return int(self.value(f"select count(*) from {table} where {where}") or 0)

    @property
    def url(self) -> str:
        """The URL of the database, with its password."""
        return self.database.engine.url.render_as_string(hide_password=False)

    def active(self, role: str = "student") -> int:
        """Active memberships of a role."""
        return self.count("membership", f"status = 'active' and role = '{role}'")

    @classmethod
    def on(cls, database: Database, sis: Sis, base_url: str) -> Self:
        """A district that knows this SIS."""
        made = cls(database, simulated(base_url, sis.versions[0], page_size=50))
        made.sis, made.people, made.base_url = sis, sis.district, base_url
        return made


AnyDistrict = TypeVar("AnyDistrict", bound=District)


class Begun(Generic[AnyDistrict]):
    """A district with a past that tests have in common. It lives through it once, and each test gets a copy of it."""

    def __init__(self, district: AnyDistrict, *sources: object) -> None:
        """sources: what its SISes serve. A test may change their attributes, but no value in them."""
        self._district, self._url = district, make_url(district.url)
        self._past = [(source, _copied(vars(source))) for source in sources]
        district.database.close()  # PostgreSQL copies a database only if nobody is connected

    @contextmanager
    def copied(self) -> Iterator[AnyDistrict]:
        """The district as it was then, in a database of its own."""
        for source, past in self._past:
            vars(source).update(_copied(past))
            if isinstance(source, simulator.District):
                source.revision += 1  # what it served before is served no longer
        with copy_of(self._url) as url:
            made = copy(self._district)
            made.database, made.problems = Database(as_text(url)), []
            yield made
            made.database.close()


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    """Attributes, without the number of changes, which only grows."""
    kept = {name: value for name, value in values.items() if name != "revision"}
    return {name: value.copy() if isinstance(value, dict | list | set) else value for name, value in kept.items()}


@contextmanager
def simulated_district(
    kind: type[AnyDistrict], database: Database, monkeypatch: pytest.MonkeyPatch, home: Path, version: str = "1.2"
) -> Iterator[AnyDistrict]:
    """A SIS of two schools with 40 students each, and a district that knows it."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(home))
    monkeypatch.setattr(fetch_strategy, "Endpoint", partial(Endpoint, limits=IMPATIENT))
    people = generate_district(5, schools=2, students_per_school=40)
    sis = Sis(people, credentials={CLIENT: SECRET}, versions=(version,))
    with running(create_site([sis])) as base_url:
        yield kind.on(database, sis, base_url)
