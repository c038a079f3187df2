"""A school run by Dagster's own command line, on the instance that `dagster.yaml` describes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from roster_pipeline.assets.shell import IN_DAGSTER, RETRY_TAG, WHO_TAG, started_by
from roster_pipeline.directory import audit, tenants
from roster_pipeline_tests.scenarios.conftest import Town

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "roster_pipeline.cli", "dagster"]
MATERIALIZE = ["asset", "materialize", "-m", "roster_pipeline.definitions", "--select", "*", "--partition"]


@pytest.mark.timeout(300)
def test_dagsters_own_command_runs_a_school_and_the_ledger_says_who_asked(
    town: Town, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    town.add_school("lincoln")
    given = {
        "DAGSTER_HOME": str(ROOT),
        "ROSTER_HOME": str(tmp_path),
        "ROSTER_DATABASE_URL": town.url,
        "ROSTER_DAGSTER_DATABASE_URL": dagster_url,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("schools", ["lincoln"])
    ran = subprocess.run([*COMMAND, *MATERIALIZE, "lincoln"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert town.count("sync", "who = 'Dagster UI' and outcome = 'applied'") == 1
    assert town.active() > 0
    wrong = subprocess.run([*COMMAND, *MATERIALIZE, "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert town.count("sync") == 1


RETRIED = {WHO_TAG: "schedule", RETRY_TAG: "1"}


@pytest.mark.parametrize(
    ("run", "who"),
    [
        (dg.DagsterRun("rostering", tags={WHO_TAG: "schedule"}), "schedule"),
        (dg.DagsterRun("rostering"), IN_DAGSTER),
        (dg.DagsterRun("rostering", run_id="asked"), "Ada"),
        (dg.DagsterRun("rostering", root_run_id="asked", parent_run_id="asked", tags={RETRY_TAG: "1"}), "Ada"),
        (dg.DagsterRun("rostering", root_run_id="old", parent_run_id="old", tags=RETRIED), "schedule"),
        (dg.DagsterRun("rostering", root_run_id="old", parent_run_id="old", tags={WHO_TAG: "schedule"}), IN_DAGSTER),
        (dg.DagsterRun("rostering", root_run_id="asked", parent_run_id="asked"), IN_DAGSTER),
    ],
)
def test_the_ledger_names_who_started_a_run_and_not_who_started_the_one_it_repeats(
    town: Town, run: dg.DagsterRun, who: str
) -> None:
    town.add_school("lincoln")
    with town.database.begin() as conn:
        school = tenants.get_school(conn, "lincoln")
        audit.record_run(conn, "asked", "sync", school.id, school.district_id, who="Ada")
    assert started_by(run, town.database, "lincoln") == who
    assert started_by(run, town.database, "elsewhere") != "Ada"
