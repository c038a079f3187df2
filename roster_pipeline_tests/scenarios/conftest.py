"""A district for whole nights: a simulated SIS over HTTP, a real database, Dagster's own instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cryptography.fernet import Fernet

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.asset_helpers import DRY_RUN_TAG, NIGHT_TAG, WHO_TAG
from roster_pipeline.defs.resources import DirectoryResource, close_databases
from roster_pipeline.demo import latest_counts
from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.secrets import seal
from roster_pipeline.oneroster import Endpoint, Limits
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.simulator import District as SimulatedDistrict
from roster_pipeline.simulator import SimulatorThread, Sis, create_site, generate_district
from roster_pipeline.sync import fetch_strategy

CLIENT = "client"
SECRET = "s3cret"
ROLES = ("students", "teachers", "staff", "admins")
EVERYTHING = {"rostered": True, "auto_update": True, "archive": True}
ROOTS = {"1.1": "/ims/oneroster/v1p1", "1.2": "/ims/oneroster/rostering/v1p2"}


IMPATIENT = Limits(pages=200, first_wait=0.01, longest_wait=0.05)
"""Bounds that a test can wait for; what they bound is the same."""


@dataclass
class District:
    """One district with one connection and its schools; `run_sync` runs a school's night through Dagster."""

    database: Database
    url: str
    instance: dg.DagsterInstance
    people: SimulatedDistrict
    sis: Sis
    base_url: str
    problems: list[str] = field(default_factory=list)

    def add_school(self, key: str = "lincoln", school_id: str = "sch-1", **settings: Any) -> str:
        """A school that rosters everything, unless told otherwise."""
        chosen: dict[str, Any] = dict.fromkeys(ROLES, EVERYTHING) | {"first_sync": "apply"} | settings
        with self.database.begin() as conn:
            tenants.add_school(conn, "sis", key, key.title(), SchoolSettings(school_id=school_id, **chosen))
        return key

    def set_school(self, key: str, **settings: Any) -> None:
        """Change some settings of a school."""
        with self.database.begin() as conn:
            now = tenants.get_school(conn, key).settings
            tenants.set_school(conn, key, SchoolSettings.model_validate(now.model_dump() | settings))

    def set_connection(self, **settings: Any) -> None:
        """Change some settings of the connection; `secret` too."""
        secret = settings.pop("secret", None)
        with self.database.begin() as conn:
            now = tenants.get_connection(conn, "sis").settings
            changed = ConnectionSettings.model_validate(now.model_dump() | settings)
            tenants.set_connection(conn, "sis", changed, seal(secret) if secret else None)

    def run_sync(
        self,
        key: str = "lincoln",
        night: str | None = None,
        only: list[str] | None = None,
        dry_run: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """One run of the job `rostering`; gives the sync's numbers. What failed is in `problems`."""
        self.problems = []
        defs = build_defs(resource_overrides={"directory": DirectoryResource(url=self.url)})
        self.instance.add_dynamic_partitions("schools", [key])
        result = defs.resolve_job_def("rostering").execute_in_process(
            partition_key=key,
            instance=self.instance,
            tags={WHO_TAG: "test"}
            | ({NIGHT_TAG: night} if night else {})
            | ({DRY_RUN_TAG: "true"} if dry_run else {})
            | dict(tags or {}),
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            raise_on_error=False,
        )
        for event in result.all_events:
            if event.is_step_failure and event.step_failure_data.user_failure_data:
                self.problems.append(event.step_failure_data.user_failure_data.description or "")
        return latest_counts(self.database, key) if result.success else {}

    def count(self, table: str, where: str = "true") -> int:
        """Rows of one of our tables."""
        from sqlalchemy import text

        with self.database.begin() as conn:
            return int(conn.scalar(text(f"select count(*) from {table} where {where}")) or 0)

    def active(self, role: str = "student") -> int:
        """Active memberships of a role."""
        return self.count("membership", f"status = 'active' and role = '{role}'")


@pytest.fixture
def district(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[District]:
    """A 1.2 SIS with two schools of 40 students and a district that knows it."""
    yield from make_district(database, database_url, monkeypatch, tmp_path, "1.2")


def make_district(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> Iterator[District]:
    """See `district`."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.setattr(fetch_strategy, "Endpoint", partial(Endpoint, limits=IMPATIENT))
    people = generate_district(5, schools=2, students_per_school=40)
    sis = Sis(people, credentials={CLIENT: SECRET}, versions=(version,))
    server = SimulatorThread(create_site([sis])).start()
    settings = ConnectionSettings(
        url=f"{server.base_url}{ROOTS[version]}",
        client_id=CLIENT,
        token_url=f"{server.base_url}/oauth/token",
        allow_private_addresses=True,
        page_size=50,
    )
    with database.begin() as conn:
        tenants.add_district(conn, "springfield", "Springfield")
        tenants.add_connection(conn, "springfield", "sis", settings, seal(SECRET))
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            yield District(database, database_url, instance, people, sis, server.base_url)
    finally:
        close_databases()
        server.stop()
