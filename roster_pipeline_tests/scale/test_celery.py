"""A night on Celery: daemon, broker and two workers as in production, one of which dies in the middle."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet
from sqlalchemy import Connection, text

from benchmarks.plant import ROOT, plant, runs, submit, wait_for
from roster_pipeline.defs.assets.asset_helpers import CONNECTION_TAG, NIGHT_TAG, WHO_TAG
from roster_pipeline.defs.schedules import PARTITION_TAG
from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.secrets import seal
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.simulator import District, SimulatorThread, Sis, create_site, generate_district

BROKER = "ROSTER_TEST_BROKER_URL"
SCHOOLS = 20
PUPILS = 20
PUPILS_ENROLLED = SCHOOLS * (PUPILS + 1)
"""Pupils times schools: in every simulated school one pupil, the sixth, belongs to the next school as well."""
BEFORE_THE_KILL = 5
REDIS_REDELIVERS_AFTER = 20
"""Seconds; in production an hour, which no test waits for. RabbitMQ notices a lost worker at once."""
MONITORED_EVERY = 5
PATIENCE = 240.0
CLIENT, SECRET = "client", "s3cret"
ROOT_1P2 = "/ims/oneroster/rostering/v1p2"
STUDENTS = """
select link.sourced_id, school.settings ->> 'school_id'
from membership join school on school.id = school_id join link using (person_id)
where membership.role = 'student' and membership.status = 'active'
"""
WAITING = """
select count(*) from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and not l.granted and d.datname = current_database()
"""
EVERYTHING = {"rostered": True, "auto_update": True, "archive": True}

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not os.environ.get(BROKER), reason=f"no broker: set {BROKER} to RabbitMQ's or Redis's address"),
    pytest.mark.skipif(
        find_spec("dagster_celery") is None, reason="dagster-celery is missing: install the extra celery"
    ),
]


@pytest.fixture
def district() -> District:
    """What the SIS knows."""
    return generate_district(5, schools=SCHOOLS, students_per_school=PUPILS)


@pytest.fixture
def schools(district: District, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Twenty schools of one connection, and the key that opens its secret."""
    monkeypatch.setenv("ROSTER_SECRET_KEY", Fernet.generate_key().decode())
    sis = Sis(district, credentials={CLIENT: SECRET})
    server = SimulatorThread(create_site([sis])).start()
    settings = ConnectionSettings(
        url=f"{server.base_url}{ROOT_1P2}",
        client_id=CLIENT,
        token_url=f"{server.base_url}/oauth/token",
        allow_private_addresses=True,
    )
    keys = [f"school-{number}" for number in range(1, SCHOOLS + 1)]
    with database.begin() as conn:
        tenants.add_district(conn, "springfield", "Springfield")
        tenants.add_connection(conn, "springfield", "sis", settings, seal(SECRET))
        for number, key in enumerate(keys, start=1):
            chosen = SchoolSettings(
                school_id=f"sch-{number}", first_sync="apply", students=EVERYTHING, teachers=EVERYTHING
            )
            tenants.add_school(conn, "sis", key, key, chosen)
    yield keys
    server.stop()


def production(broker: str) -> str:
    """The shipped configuration; only what would have to be waited for is shorter."""
    settings = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    settings["run_monitoring"]["poll_interval_seconds"] = MONITORED_EVERY
    transport = settings["run_launcher"]["config"]["config_source"]["broker_transport_options"]
    if broker.startswith("redis"):
        transport["visibility_timeout"] = REDIS_REDELIVERS_AFTER
    return str(yaml.safe_dump(settings))


def test_every_school_is_synced_exactly_once_though_a_worker_is_killed(
    schools: list[str],
    district: District,
    database: Database,
    database_url: str,
    dagster_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    broker = os.environ[BROKER]
    home = tmp_path / "home"
    environment = {
        "DAGSTER_HOME": str(home),
        "ROSTER_HOME": str(home),
        "ROSTER_DATABASE_URL": database_url,
        "ROSTER_DAGSTER_DATABASE_URL": dagster_url,
        "ROSTER_BROKER_URL": broker,
        "ROSTER_RESULTS_URL": f"db+{dagster_url}",
        "ROSTER_QUEUE": f"roster-test-{os.getpid()}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with plant(home, production(broker)) as (night, instance):
        night.start_worker("one")
        night.start_worker("two")
        instance.add_dynamic_partitions("schools", schools)
        common = {NIGHT_TAG: "2026-09-01", CONNECTION_TAG: "sis", WHO_TAG: "schedule"}
        submit(instance, [common | {PARTITION_TAG: key} for key in schools])
        night.start_daemon()
        wait_for(instance, "SUCCESS", BEFORE_THE_KILL, PATIENCE)
        with database.begin() as conn:
            lock_district(conn, tenants.get_district(conn, "springfield").id)
            wait_for(instance, "STARTED", 2, PATIENCE)
            wait_until_both_wait(conn)
            night.kill("one")
        wait_for(instance, "SUCCESS", SCHOOLS, PATIENCE)
        ended = runs(instance)
        lost = [run for run in instance.get_runs() if run.status.value == "FAILURE"]
    assert ended == {"SUCCESS": SCHOOLS, "FAILURE": 1}
    assert [run.tags["dagster/will_retry"] for run in lost] == ["true"]
    with database.begin() as conn:
        counted = conn.execute(
            text("select school.key, count(*) from sync join school on school.id = school_id group by 1")
        )
        assert dict(counted.all()) == dict.fromkeys(schools, 1)
        found = [tuple(row) for row in conn.execute(text(STUDENTS))]
    assert len(found) == PUPILS_ENROLLED
    assert set(found) == enrolled(district)


def wait_until_both_wait(conn: Connection) -> None:
    """Until the runs of both workers wait for the district: one that was past its lock might end before the kill."""
    until = time.monotonic() + PATIENCE
    while conn.scalar(text(WAITING)) != 2:
        assert time.monotonic() < until, "two runs never waited for the district"
        time.sleep(0.1)


def enrolled(district: District) -> set[tuple[str, str]]:
    """sourcedId and school of every pupil, once for each school."""
    return {
        (person.sourced_id, role.org) for person in district.people() for role in person.roles if role.role == "student"
    }
