"""A night of sixty schools on Celery with two workers, while two SISs hang: the others are synced in time."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from cryptography.fernet import Fernet

from benchmarks.plant import plant, runs, submit, wait_for
from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.jobs import nightly
from roster_pipeline.defs.resources import RESOURCES, DirectoryResource, close_databases
from roster_pipeline.directory.database import Database
from roster_pipeline.simulator import SimulatorThread, Sis, create_site, generate_district
from roster_pipeline_tests.directory.builders import every, one
from roster_pipeline_tests.district import CLIENT, SECRET
from roster_pipeline_tests.scale.conftest import OVER_A_BROKER, add_schools, environment, production

SCHOOLS = {"hanging": 1, "recovering": 1, "good": 58}
"""Schools of each connection."""
FIRST_PULL_MINUTES = 1
PATIENCE = 700.0
"""Seconds for each part of the night, on a busy machine."""

pytestmark = [*OVER_A_BROKER, pytest.mark.sixty_schools, pytest.mark.timeout(1500)]


@pytest.fixture
def systems(
    database: Database, database_url: str, dagster_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dict[str, tuple[Sis, SimulatorThread]]]:
    """Sixty schools of three SISs, whose sync time was a minute ago; two SISs hang."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("ROSTER_FIRST_PULL_MINUTES", str(FIRST_PULL_MINUTES))
    for name, value in environment(tmp_path / "home", database_url, dagster_url).items():
        monkeypatch.setenv(name, value)
    at = (datetime.now(UTC) - timedelta(minutes=1)).time()
    made = {}
    for key, schools in SCHOOLS.items():
        sis = Sis(generate_district(5, schools=schools, students_per_school=10), credentials={CLIENT: SECRET})
        server = SimulatorThread(create_site([sis])).start()
        made[key] = (sis, server)
        add_schools(database, key, server.base_url, schools, automatic=True, sync_time=at)
    for key in ("hanging", "recovering"):
        made[key][0].faults.set("hangs=600")
    yield made
    close_databases()
    for _, server in made.values():
        server.stop()


def requested(instance: dg.DagsterInstance, url: str, now: datetime) -> list[dict[str, str]]:
    """The tags of the runs that the schedule requests at a tick, in the worst order: the hanging SISs first."""
    resources = {**RESOURCES, "directory": DirectoryResource(url=url)}
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=now,
        repository_def=build_defs(resource_overrides=resources).get_repository_def(),
        resources=resources,
    )
    tags = [dict(request.tags) for request in nightly.evaluate_tick(context).run_requests or []]
    return sorted(tags, key=lambda of_run: of_run["roster/connection"] == "good")


def test_two_hanging_systems_do_not_hold_up_the_night_of_the_others(
    systems: dict[str, tuple[Sis, SimulatorThread]], database: Database, database_url: str
) -> None:
    synced = "select count(*) from sync y join school s on s.id = y.school_id where s.key like :like"
    with plant(Path(os.environ["DAGSTER_HOME"]), production()) as (night, instance):
        night.start_worker("one")
        night.start_worker("two")
        tick = datetime.now(UTC)
        first = requested(instance, database_url, tick)
        assert len(first) == sum(SCHOOLS.values())
        instance.add_dynamic_partitions("schools", [tags["dagster/partition"] for tags in first])
        submit(instance, first)
        night.start_daemon()
        wait_for(instance, "SUCCESS", SCHOOLS["good"], PATIENCE)
        wait_for(instance, "FAILURE", 2, PATIENCE)
        assert one(database, synced, like="good-%") == SCHOOLS["good"]
        failures = every(database, "select s.key, f.message from failure f join school s on s.id = f.school_id")
        assert sorted(key for key, _ in failures) == ["hanging-1", "recovering-1"]
        assert all("the SIS is slow tonight" in str(message) for _, message in failures)
        assert one(database, "select count(*) from alert") == 0

        systems["recovering"][0].faults.clear()
        systems["hanging"][1].stop()  # a stopped server fails at once, so that the test does not wait for hours
        second = requested(instance, database_url, tick + timedelta(minutes=15))
        assert [tags["roster/slow"] for tags in second] == [tags["roster/connection"] for tags in second]
        submit(instance, second)
        wait_for(instance, "SUCCESS", SCHOOLS["good"] + 1, PATIENCE)
        wait_for(instance, "FAILURE", 3, PATIENCE)
        assert runs(instance) == {"SUCCESS": SCHOOLS["good"] + 1, "FAILURE": 3}
    assert one(database, synced, like="recovering-%") == 1
    assert one(database, "select count(*) from alert where cause = 'connection'") == 1
