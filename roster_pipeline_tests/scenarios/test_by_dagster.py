"""A school run by Dagster's own command line, on the instance that `dagster.yaml` describes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

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
    assert town.count("sync", "who = 'dagster' and outcome = 'applied'") == 1
    assert town.active() > 0
    wrong = subprocess.run([*COMMAND, *MATERIALIZE, "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert town.count("sync") == 1
