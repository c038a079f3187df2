"""A district for whole nights: a simulated SIS over HTTP, a real database, Dagster's own instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from cryptography.fernet import Fernet

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.asset_helpers import DRY_RUN_TAG, NIGHT_TAG, WHO_TAG
from roster_pipeline.defs.resources import DirectoryResource, close_databases
from roster_pipeline.demo import latest_counts
from roster_pipeline.directory.database import Database
from roster_pipeline.oneroster import Endpoint, Limits
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline.sync import fetch_strategy
from roster_pipeline_tests.district import CLIENT, SECRET, StoredDistrict, simulated
from roster_pipeline_tests.scenarios.mailbox import Mailbox, mail_server

IMPATIENT = Limits(pages=200, first_wait=0.01, longest_wait=0.05)
"""Bounds that a test can wait for; what they bound is the same."""


class District(StoredDistrict):
    """A district with its simulated SIS; `run_sync` runs a school's sync through Dagster. people: the SIS's."""

    def __init__(self, database: Database, url: str, instance: dg.DagsterInstance, sis: Sis, base_url: str) -> None:
        super().__init__(database, simulated(base_url, sis.versions[0], page_size=50))
        self.url, self.instance, self.sis, self.base_url = url, instance, sis, base_url
        self.people = sis.district
        self.problems: list[str] = []

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

    def active(self, role: str = "student") -> int:
        """Active memberships of a role."""
        return self.count("membership", f"status = 'active' and role = '{role}'")


@pytest.fixture
def district(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[District]:
    """A 1.2 SIS with two schools of 40 students and a district that knows it."""
    with make_district(database, database_url, monkeypatch, tmp_path) as made:
        yield made


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A real SMTP server, which all mail goes to."""
    with mail_server(monkeypatch) as handler:
        yield handler


@contextmanager
def make_district(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str = "1.2"
) -> Iterator[District]:
    """See `district`."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.setattr(fetch_strategy, "Endpoint", partial(Endpoint, limits=IMPATIENT))
    people = generate_district(5, schools=2, students_per_school=40)
    sis = Sis(people, credentials={CLIENT: SECRET}, versions=(version,))
    try:
        with running(create_site([sis])) as base_url, dg.DagsterInstance.ephemeral() as instance:
            yield District(database, url, instance, sis, base_url)
    finally:
        close_databases()
