"""Runs that share a SIS: while one run fetches from it, the others wait without blocking a worker.

The runs are queued without the tag of a connection, as the UI and backfills queue them.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from cryptography.fernet import Fernet
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id
from sqlalchemy import text

from benchmarks.plant import ROOT, Plant, plant, submit, wait_for
from roster_pipeline.definitions import defs
from roster_pipeline.defs.asset_helpers import CONNECTION_TAG, NIGHT_TAG, PARTITION_TAG, partition_of
from roster_pipeline.directory.database import Database
from roster_pipeline.simulator import Sis, create_site, generate_district, running
from roster_pipeline_tests.district import CLIENT, SECRET
from roster_pipeline_tests.scale.conftest import add_schools, environment, over_a_broker, production

SLOW_SCHOOLS, FAST_SCHOOLS, BACKFILLED = 8, 2, 3
PEOPLE_A_PAGE, BYTES_A_SECOND = 20, 1500
"""Some ten pages of ten seconds each: longer than the runs of the other SIS take."""
PATIENCE = 240.0
NIGHT = "2026-09-01"
UNDER_WAY = {"STARTING", "STARTED"}
PULLS = """
select count(*) filter (where finished_at is not null) as done, count(*) as all_of_them
from pull join connection on connection.id = connection_id where connection.key = :key
"""

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class TwoSystems:
    """A slow SIS and a fast one, and the directory's notes about both."""

    database: Database
    slow: Sis

    def pulls(self, connection: str) -> tuple[int, int]:
        """Finished pulls of a connection, and all."""
        with self.database.begin() as conn:
            found = conn.execute(text(PULLS), {"key": connection}).one()
        return found.done, found.all_of_them

    def synced(self, connection: str) -> list[int]:
        """Syncs of each school of a connection."""
        counted = """select count(sync.id) from school join connection on connection.id = connection_id
            left join sync on sync.school_id = school.id where connection.key = :key group by school.id"""
        with self.database.begin() as conn:
            return list(conn.scalars(text(counted), {"key": connection}))


@pytest.fixture
def systems(
    database: Database, database_url: str, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[TwoSystems]:
    """Eight schools of a slow SIS and two of a fast one, each SIS in a district of its own."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    for name, value in environment(tmp_path / "home", database_url, dagster_url).items():
        monkeypatch.setenv(name, value)
    sises = {}
    with ExitStack() as stack:
        for key, schools in (("slow", SLOW_SCHOOLS), ("fast", FAST_SCHOOLS)):
            people = generate_district(5, schools=schools, students_per_school=20)
            sises[key] = Sis(people, credentials={CLIENT: SECRET})
            base_url = stack.enter_context(running(create_site([sises[key]])))
            add_schools(database, key, base_url, schools, {"page_size": PEOPLE_A_PAGE})
        sises["slow"].faults.set(f"slow_bytes={BYTES_A_SECOND}")
        yield TwoSystems(database, sises["slow"])


def queue_all(instance: dg.DagsterInstance) -> None:
    """Queue all runs of the slow SIS, and after them those of the other one."""
    keys = [f"slow-{number}" for number in range(1, SLOW_SCHOOLS + 1)]
    keys += [f"fast-{number}" for number in range(1, FAST_SCHOOLS + 1)]
    instance.add_dynamic_partitions("schools", keys)
    submit(instance, [{NIGHT_TAG: NIGHT, PARTITION_TAG: key} for key in keys])
    for run in instance.get_runs():
        assert run.tags[CONNECTION_TAG] == (partition_of(run.tags) or "").partition("-")[0]


def status_of(instance: dg.DagsterInstance, connection: str) -> list[str]:
    """The statuses of a connection's runs."""
    return [run.status.value for run in instance.get_runs(dg.RunsFilter(tags={CONNECTION_TAG: connection}))]


def wait_for_the_others(instance: dg.DagsterInstance, systems: TwoSystems) -> list[int]:
    """Wait until the fast SIS's schools are synced; returns how many runs of the slow one were running at each
    check."""
    seen, until = [], time.monotonic() + PATIENCE
    while status_of(instance, "fast") != ["SUCCESS"] * FAST_SCHOOLS:
        assert time.monotonic() < until, (status_of(instance, "slow"), status_of(instance, "fast"))
        seen.append(sum(status in UNDER_WAY for status in status_of(instance, "slow")))
        time.sleep(0.5)
    assert systems.pulls("slow") == (0, 1), "the slow SIS is still being read, by one run"
    assert systems.synced("fast") == [1] * FAST_SCHOOLS
    return seen


@pytest.fixture
def on_celery(systems: TwoSystems) -> Iterator[tuple[Plant, dg.DagsterInstance]]:
    """Two workers with one process each, with the shipped configuration."""
    with plant(Path(os.environ["DAGSTER_HOME"]), production()) as (night, instance):
        night.start_worker("one")
        night.start_worker("two")
        yield night, instance


@over_a_broker
def test_eight_runs_of_a_slow_sis_keep_one_of_two_workers_and_share_its_pull(
    systems: TwoSystems, on_celery: tuple[Plant, dg.DagsterInstance]
) -> None:
    night, instance = on_celery
    queue_all(instance)
    night.start_daemon()
    wait_for_the_others(instance, systems)
    assert status_of(instance, "slow").count("STARTED") == 1, "the others wait at the broker"
    systems.slow.faults.clear()
    wait_for(instance, "SUCCESS", SLOW_SCHOOLS + FAST_SCHOOLS, PATIENCE)
    assert systems.pulls("slow") == (1, 1)
    assert systems.synced("slow") == [1] * SLOW_SCHOOLS


def test_eight_runs_of_a_slow_sis_leave_processes_of_the_default_launcher_to_others(systems: TwoSystems) -> None:
    with plant(Path(os.environ["DAGSTER_HOME"]), (ROOT / "dagster.yaml").read_text()) as (night, instance):
        queue_all(instance)
        night.start_daemon()
        under_way = wait_for_the_others(instance, systems)
        assert max(under_way) == 2, "the limit of one connection, of four processes"
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
            instance.run_coordinator.cancel_run(run.run_id)
        systems.slow.faults.clear()
        wait_for(instance, "SUCCESS", FAST_SCHOOLS + 2, PATIENCE)
    assert systems.pulls("slow") == (1, 1)


@over_a_broker
@pytest.mark.filterwarnings("ignore:Function .AssetSelection.sources. is deprecated")  # Dagster asks itself
def test_a_backfill_in_the_ui_fetches_a_sis_once_for_all_its_schools(
    systems: TwoSystems, on_celery: tuple[Plant, dg.DagsterInstance]
) -> None:
    night, instance = on_celery
    systems.slow.faults.clear()
    keys = [f"slow-{number}" for number in range(1, BACKFILLED + 1)]
    instance.add_dynamic_partitions("schools", keys)
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=defs.get_repository_def().asset_graph,
        partition_names=keys,
        asset_selection=[asset.key for asset in defs.resolve_all_asset_specs() if asset.partitions_def],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    night.start_daemon()
    wait_for(instance, "SUCCESS", BACKFILLED, PATIENCE)
    assert {run.tags[CONNECTION_TAG] for run in instance.get_runs()} == {"slow"}
    assert systems.pulls("slow") == (1, 1)
    assert sorted(systems.synced("slow")) == [0] * (SLOW_SCHOOLS - BACKFILLED) + [1] * BACKFILLED
