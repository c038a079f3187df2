"""A night on Celery: daemon, broker and two workers as in production, one of which dies in the middle."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, text
from typer.testing import CliRunner

from benchmarks.plant import plant, runs, submit, wait_for
from roster_pipeline.cli import app
from roster_pipeline.defs.asset_helpers import CONNECTION_TAG, NIGHT_TAG, PARTITION_TAG, WHO_TAG
from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.simulator import District, generate_district
from roster_pipeline_tests.scale.conftest import (
    OVER_A_BROKER,
    enrolled,
    environment,
    production,
    schools_of,
    stored_students,
    syncs,
)
from roster_pipeline_tests.waiting import until

SCHOOLS = 20
PUPILS = 20
PUPILS_ENROLLED = SCHOOLS * (PUPILS + 1)
"""Pupils times schools: in every simulated school, the sixth pupil also belongs to the next school."""
BEFORE_THE_KILL = 5
PATIENCE = 240.0
CANCELED_WITHIN = 60.0
"""Seconds; Dagster itself gives up on a run after 180."""
START = dg.DagsterEventType.PIPELINE_START.value
WAITING = """
select count(*) from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and not l.granted and d.datname = current_database()
"""

pytestmark = [*OVER_A_BROKER, pytest.mark.timeout(600)]


@pytest.fixture
def district() -> District:
    """The people of the SIS."""
    return generate_district(5, schools=SCHOOLS, students_per_school=PUPILS)


@pytest.fixture
def schools(district: District, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Twenty schools of one connection, and the key that opens its secret."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    with schools_of(district, database, SCHOOLS) as keys:
        yield keys


@pytest.fixture
def home(database_url: str, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of daemon and workers, set in the environment."""
    folder = tmp_path / "home"
    for name, value in environment(folder, database_url, dagster_url).items():
        monkeypatch.setenv(name, value)
    return folder


def test_every_school_is_synced_exactly_once_though_a_worker_is_killed(
    schools: list[str], district: District, database: Database, home: Path
) -> None:
    with plant(home, production(loses_a_worker=True)) as (night, instance):
        night.start_worker("one")
        night.start_worker("two")
        instance.add_dynamic_partitions("schools", schools)
        common = {NIGHT_TAG: "2026-09-01", CONNECTION_TAG: "school", WHO_TAG: "schedule"}
        submit(instance, [common | {PARTITION_TAG: key} for key in schools])
        night.start_daemon()
        wait_for(instance, "SUCCESS", BEFORE_THE_KILL, PATIENCE)
        with database.begin() as conn:
            lock_district(conn, tenants.get_district(conn, "school").id)
            wait_for(instance, "STARTED", 2, PATIENCE)
            wait_until_waiting(conn, 2)
            night.kill("one")
        wait_for(instance, "SUCCESS", SCHOOLS, PATIENCE)
        ended = runs(instance)
        lost = [run for run in instance.get_runs() if run.status.value == "FAILURE"]
    assert ended == {"SUCCESS": SCHOOLS, "FAILURE": 1}
    assert [run.tags["dagster/will_retry"] for run in lost] == ["true"]
    assert syncs(database) == dict.fromkeys(schools, 1)
    found = stored_students(database)
    assert len(found) == PUPILS_ENROLLED
    assert set(found) == enrolled(district)


def test_a_run_of_a_worker_is_canceled_within_seconds_and_never_started_again(
    schools: list[str], database: Database, home: Path
) -> None:
    canceled, waiting, other = schools[:3]
    with plant(home, production()) as (night, instance):
        night.start_worker("one")
        instance.add_dynamic_partitions("schools", schools)
        night.start_daemon()
        with database.begin() as conn:
            lock_district(conn, tenants.get_district(conn, "school").id)
            submit(instance, [{PARTITION_TAG: canceled}])
            wait_for(instance, "STARTED", 1, PATIENCE)
            wait_until_waiting(conn, 1)
            submit(instance, [{PARTITION_TAG: waiting}])
            wait_for(instance, "STARTING", 1, PATIENCE)
            (started,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            instance.run_coordinator.cancel_run(started.run_id)
            instance.report_dagster_event(dg.DagsterEvent(START, started.job_name), started.run_id)  # hides the cancel
            done = CliRunner().invoke(app, ["run", "cancel", waiting, "--who", "Ada"])
            assert done.exit_code == 0, done.output
            wait_for(instance, "CANCELED", 2, CANCELED_WITHIN)
        submit(instance, [{PARTITION_TAG: other}])
        wait_for(instance, "SUCCESS", 1, PATIENCE)
        assert runs(instance) == {"CANCELED": 2, "SUCCESS": 1}
    assert syncs(database) == {other: 1}


def wait_until_waiting(conn: Connection, count: int) -> None:
    """Until so many runs wait for the district: one that was past its lock might end before it is hit."""
    until(lambda: conn.scalar(text(WAITING)) == count, PATIENCE, lambda: f"{count} runs never waited for the district")
