"""Shared by the nights on Celery: schools of one connection, and the shipped configuration."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from benchmarks.plant import ROOT
from roster_pipeline import simulator
from roster_pipeline.directory.database import Database
from roster_pipeline.simulator import Sis, create_site, running
from roster_pipeline_tests.district import CLIENT, EVERYTHING, ROLES, SECRET, District, simulated

BROKER = "ROSTER_TEST_BROKER_URL"
OVER_A_BROKER = [
    pytest.mark.broker,
    pytest.mark.skipif(not os.environ.get(BROKER), reason=f"no broker: set {BROKER} to RabbitMQ's or Redis's address"),
    pytest.mark.skipif(
        find_spec("dagster_celery") is None, reason="dagster-celery is missing: install the extra celery"
    ),
]
"""The marks of tests with Celery's workers."""
REDIS_REDELIVERS_AFTER = 60
"""Seconds; an hour in production, too long for a test. RabbitMQ notices a lost worker at once."""
MONITORED_EVERY = 5
STUDENTS_ONLY: dict[str, Any] = {name: {} for name in ROLES if name != "students"}
STUDENTS = """
select link.sourced_id, school.settings ->> 'school_id'
from membership join school on school.id = school_id join link using (person_id)
where membership.role = 'student' and membership.status = 'active'
"""


def over_a_broker(test: Any) -> Any:
    """The same marks for one test of a module."""
    for mark in OVER_A_BROKER:
        test = mark(test)
    return test


@contextmanager
def schools_of(district: simulator.District, database: Database, count: int) -> Iterator[list[str]]:
    """This many schools of one connection, whose SIS answers within the block."""
    with running(create_site([Sis(district, credentials={CLIENT: SECRET})])) as base_url:
        yield add_schools(database, "school", base_url, count, teachers=EVERYTHING)


def add_schools(
    database: Database, name: str, base_url: str, count: int, reached: dict[str, Any] | None = None, **chosen: Any
) -> list[str]:
    """Add a district and a connection of this name, and its schools `NAME-1`, `NAME-2` and so on; returns their keys.

    reached: settings of the connection. chosen: settings of the schools; by default they roster only students.
    """
    made = District(database, simulated(base_url, **reached or {}), key=name, connection=name)
    keys = [f"{name}-{number}" for number in range(1, count + 1)]
    for number, key in enumerate(keys, start=1):
        made.add_school(key, f"sch-{number}", **{**STUDENTS_ONLY, "report_to": [f"{key}@example.org"], **chosen})
    return keys


def environment(home: Path, database_url: str, dagster_url: str) -> dict[str, str]:
    """The environment of daemon and workers of a set-up in this folder."""
    return {
        "DAGSTER_HOME": str(home),
        "ROSTER_HOME": str(home),
        "ROSTER_DATABASE_URL": database_url,
        "ROSTER_DAGSTER_DATABASE_URL": dagster_url,
        "ROSTER_BROKER_URL": os.environ.get(BROKER, ""),
        "ROSTER_RESULTS_URL": f"db+{dagster_url}",
        "ROSTER_QUEUE": f"roster-test-{os.getpid()}",
    }


def production(*, loses_a_worker: bool = False) -> str:
    """The shipped configuration with shorter waits.

    loses_a_worker: Redis soon gives the worker's run to another one. It would do so with every run that takes longer.
    """
    settings = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    settings["run_monitoring"]["poll_interval_seconds"] = MONITORED_EVERY
    transport = settings["run_launcher"]["config"]["config_source"]["broker_transport_options"]
    if loses_a_worker and os.environ[BROKER].startswith("redis"):
        transport["visibility_timeout"] = REDIS_REDELIVERS_AFTER
    return str(yaml.safe_dump(settings))


def syncs(database: Database) -> dict[str, int]:
    """How often each school was synced."""
    with database.begin() as conn:
        counted = conn.execute(
            text("select school.key, count(*) from sync join school on school.id = school_id group by 1")
        )
        return {row[0]: row[1] for row in counted}


def stored_students(database: Database) -> list[tuple[str, str]]:
    """sourcedId and School ID of every active student, once for each school."""
    with database.begin() as conn:
        return [(row[0], row[1]) for row in conn.execute(text(STUDENTS))]


def enrolled(district: simulator.District) -> set[tuple[str, str]]:
    """The same, as the SIS has it."""
    return {
        (person.sourced_id, role.org) for person in district.people() for role in person.roles if role.role == "student"
    }
