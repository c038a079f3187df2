"""A district with its SIS, and the same with each sync as a run of Dagster."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.asset_helpers import DRY_RUN_TAG, NIGHT_TAG, WHO_TAG
from roster_pipeline.defs.resources import DirectoryResource, close_databases
from roster_pipeline.demo import latest_counts
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.district import District, simulated_district
from roster_pipeline_tests.scenarios.mailbox import Mailbox, mail_server

ASSETS = {
    "fetch": ("raw_orgs", "raw_users", "raw_contacts"),
    "clean": ("cleaned_roster",),
    "plan": ("roster_diff",),
    "apply": ("applied_changes",),
}
"""The assets of each step of a sync."""


class DagsterDistrict(District):
    """A district whose syncs are runs of the job `rostering`. They take twice the time of a sync without Dagster."""

    instance: dg.DagsterInstance

    def run_sync(
        self,
        key: str = "lincoln",
        night: str | None = None,
        steps: Sequence[str] = (),
        dry_run: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """One run; returns the sync's numbers. Failures are in `problems`."""
        self.instance.add_dynamic_partitions("schools", [key])
        known = {WHO_TAG: "test", NIGHT_TAG: night or "", DRY_RUN_TAG: "true" if dry_run else ""}
        given = {tag: value for tag, value in known.items() if value} | dict(tags or {})
        only = [dg.AssetKey(asset) for step in steps for asset in ASSETS[step]]
        result = self.run_job("rostering", partition_key=key, tags=given, asset_selection=only or None)
        failures = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
        self.problems = [failure.description or "" for failure in failures if failure]
        return latest_counts(self.database, key) if result.success else {}

    def run_job(self, job: str, resources: Mapping[str, Any] | None = None, **given: Any) -> dg.ExecuteInProcessResult:
        """One run of a job in this process. resources: override the usual ones."""
        defs = build_defs(resource_overrides={"directory": DirectoryResource(url=self.url), **(resources or {})})
        return defs.resolve_job_def(job).execute_in_process(instance=self.instance, raise_on_error=False, **given)


@pytest.fixture
def district(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[District]:
    """A 1.2 SIS with two schools of 40 students and a district that knows it."""
    with simulated_district(District, database, monkeypatch, tmp_path) as made:
        yield made


@pytest.fixture
def dagster_district(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DagsterDistrict]:
    """The same, with Dagster around each sync."""
    with (
        simulated_district(DagsterDistrict, database, monkeypatch, tmp_path) as made,
        dg.DagsterInstance.ephemeral() as made.instance,
    ):
        yield made
    close_databases()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    """A real SMTP server that gets all mail."""
    with mail_server(monkeypatch) as handler:
        yield handler


def two_schools(district: District, *, automatic: bool = True) -> None:
    """The schools of the SIS, each with its own owner."""
    district.add_school("lincoln", automatic=automatic, report_to=["lincoln@example.org"])
    district.add_school("roosevelt", "sch-2", automatic=automatic, report_to=["roosevelt@example.org"])


def alert_mails(district: District) -> list[tuple[str, list[str]]]:
    """Subject and recipients of every alert, in order."""
    found = district.rows("select subject, recipients from outbox where kind = 'alert' order by id")
    return [(row["subject"], row["recipients"]) for row in found]
