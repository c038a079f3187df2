"""A school run by Dagster's own command line, on the instance that `dagster.yaml` describes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from roster_pipeline.defs.assets.asset_helpers import (
    BACKFILL_TAG,
    IN_DAGSTER,
    NIGHT_TAG,
    RETRIED_AS_TAG,
    WHO_TAG,
    batch_of,
    started_by,
)
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


@pytest.mark.parametrize(
    ("tags", "parent", "batch"),
    [
        ({}, None, "by-hand"),
        ({NIGHT_TAG: "2026-11-24"}, None, "2026-11-24"),
        ({BACKFILL_TAG: "abcdefgh"}, None, "backfill abcdefgh"),
        ({BACKFILL_TAG: "abcdefgh", NIGHT_TAG: "2026-11-24"}, None, "2026-11-24"),
        ({BACKFILL_TAG: "abcdefgh"}, "before", "by-hand"),
    ],
)
def test_runs_of_a_night_or_of_a_backfill_share_a_pull_and_a_run_by_hand_shares_none(
    tags: dict[str, str], parent: str | None, batch: str
) -> None:
    run = dg.DagsterRun("rostering", run_id="by-hand", tags=tags, parent_run_id=parent, root_run_id=parent)
    with dg.DagsterInstance.ephemeral() as instance:
        assert batch_of(run, instance) == batch


OF_THE_SCHEDULE = {WHO_TAG: "schedule"}
LOST = OF_THE_SCHEDULE | {RETRIED_AS_TAG: "retry"}
COPIED = OF_THE_SCHEDULE | {"dagster/retry_number": "1"}
"""What a re-execution by hand copies from a run that the daemon had retried."""


@pytest.mark.parametrize(
    ("runs", "who"),
    [
        ([("run", None, OF_THE_SCHEDULE)], "schedule"),
        ([("run", None, {})], IN_DAGSTER),
        ([("asked", None, {})], "Ada"),
        ([("asked", None, {RETRIED_AS_TAG: "retry"}), ("retry", "asked", {})], "Ada"),
        ([("lost", None, LOST), ("retry", "lost", COPIED)], "schedule"),
        ([("lost", None, LOST), ("retry", "lost", COPIED), ("again", "retry", COPIED)], IN_DAGSTER),
        ([("old", None, OF_THE_SCHEDULE), ("again", "old", OF_THE_SCHEDULE)], IN_DAGSTER),
        ([("asked", None, {}), ("again", "asked", {})], IN_DAGSTER),
        ([("asked", None, {}), ("again", "asked", {RETRIED_AS_TAG: "retry"}), ("retry", "again", {})], IN_DAGSTER),
    ],
)
def test_the_ledger_names_who_started_a_run_and_not_who_started_the_one_it_repeats(
    town: Town, runs: list[tuple[str, str | None, dict[str, str]]], who: str
) -> None:
    town.add_school("lincoln")
    with town.database.begin() as conn:
        school = tenants.get_school(conn, "lincoln")
        audit.record_run(conn, "asked", "sync", school.id, school.district_id, who="Ada")
    for run_id, parent, tags in runs:
        run = dg.DagsterRun("rostering", run_id, tags=tags, parent_run_id=parent, root_run_id=parent and runs[0][0])
        town.instance.run_storage.add_run(run)
    assert started_by(run, town.instance, town.database, "lincoln") == who
    assert started_by(run, town.instance, town.database, "elsewhere") != "Ada"
