"""One tick of the nightly schedule when many schools are due at once: `python benchmarks/schedule.py [SCHOOLS]`.

Real PostgreSQL for ours and for Dagster's storage. It times the evaluation of the tick: everything between the daemon's
question and the list of run requests. It also times the next tick, when no school is due.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from common import database_server, fresh_database, last_line, load
from sqlalchemy import text

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.jobs import nightly
from roster_pipeline.defs.resources import RESOURCES, DirectoryResource, close_databases
from roster_pipeline.directory import schema, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

SCHOOLS = 5_000
TONIGHT = datetime(2026, 11, 3, 20, 15, tzinfo=UTC)
STORAGE = "storage:\n  postgres:\n    postgres_url: {url}\ntelemetry:\n  enabled: false\n"

MORE = """
insert into school (district_id, connection_id, key, name, settings)
select s.district_id, s.connection_id, 'school-' || n, 'School ' || n,
    jsonb_set(s.settings, '{time_zone}', to_jsonb((array['UTC', 'Europe/London', 'Africa/Abidjan'])[1 + n % 3]))
from school s, generate_series(1, :more) n
"""
YESTERDAY = """
insert into sync (district_id, school_id, kind, outcome, who, at)
select district_id, id, 'sync', 'applied', 'schedule', :at from school, generate_series(1, 5)
"""


def main(schools: int) -> None:
    """Print the seconds of both ticks."""
    with (
        database_server() as server,
        fresh_database(server, "bench_schedule") as ours,
        fresh_database(server, "bench_schedule_dagster") as theirs,
        tempfile.TemporaryDirectory() as home,
    ):
        url = ours.render_as_string(hide_password=False)
        database = Database(url)
        _fill(database, schools)
        storage = theirs.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
        (Path(home) / "dagster.yaml").write_text(STORAGE.format(url=storage))
        os.environ["DAGSTER_HOME"] = home
        with dg.DagsterInstance.get() as instance:
            with database.begin() as conn:
                keys = [school.key for school in tenants.list_schools(conn)]
            instance.add_dynamic_partitions("schools", keys)
            busy, asked = _tick(instance, url, TONIGHT)
            idle, left = _tick(instance, url, TONIGHT + timedelta(minutes=15))
        database.close()
        close_databases()
    print(f"{asked} of {schools} schools due: {busy:.2f} s; the next tick, {left} due: {idle:.2f} s")
    last_line("schedule", schools=schools, due=asked, seconds=busy, seconds_idle=idle, load=load())


def _fill(database: Database, schools: int) -> None:
    schema.upgrade(database)
    with database.begin() as conn:
        tenant_changes.add_district(conn, "district", "District")
        tenant_changes.add_connection(conn, "district", "sis", ConnectionSettings(url="https://sis.example.org"), None)
        settings = SchoolSettings(school_id="1", automatic=True)
        tenant_changes.add_school(conn, "sis", "school-0", "School 0", settings)
        conn.execute(text(MORE), {"more": schools - 1})
        conn.execute(text(YESTERDAY), {"at": TONIGHT - timedelta(days=1)})
        conn.execute(text("analyze school; analyze sync"))


def _tick(instance: dg.DagsterInstance, url: str, at: datetime) -> tuple[float, int]:
    directory = DirectoryResource(url=url)
    defs = build_defs(resource_overrides={"directory": directory})
    began = time.perf_counter()
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=defs.get_repository_def(),
        resources={**RESOURCES, "directory": directory},
    )
    data = nightly.evaluate_tick(context)
    return time.perf_counter() - began, len(data.run_requests or [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schools", type=int, nargs="?", default=SCHOOLS)
    main(parser.parse_args().schools)
