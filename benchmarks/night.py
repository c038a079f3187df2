"""A night of many schools from one connection: a plain loop, Celery's warm workers, and a process per run.

    pip install -e ".[celery]"
    python benchmarks/night.py --broker amqp://guest:guest@127.0.0.1:5672 [--schools 200] [--people 500] [--sample 10]

The same work three times, each on fresh databases, the first night of every school: a plain Python loop over the
functions that the assets call, in one process; a daemon with two warm Celery workers and `deploy/dagster.yaml`; and the
default launcher with the project's own `dagster.yaml`, for a sample of schools only, because it starts an interpreter
for each run. All runs are in the queue when the clock starts. It stops with the last run. The time to queue them is
printed separately, because the schedule does that in a real night. The daemon and its code server share the machine's
cores with the workers; the simulated SIS needs almost nothing, because the night is one pull. It also prints the CPU
seconds of workers, daemon and database together, because other work on the machine hardly changes them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
import plant
from sqlalchemy import text
from sqlalchemy.engine import URL

from roster_pipeline import sync
from roster_pipeline.directory import tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import DAGSTER_DRIVER
from roster_pipeline.settings.school import SchoolSettings

AIM = 0.6
SCHOOLS, PEOPLE, SAMPLE = 200, 500, 10
WORKERS = 2
NIGHT = "2026-09-01"
WARM_SECONDS = 15
"""Workers load their code before the clock starts: they are there all day."""
BROKER_SECONDS = 5
PER_SCHOOL = 120.0
"""Seconds after which a side is given up, for each school."""
TERMINATED = 128 + signal.SIGTERM


def require_broker(broker: str) -> None:
    """SystemExit with the remedy if Celery's workers could not start: without the extra, or without a broker."""
    try:
        import dagster_celery  # noqa: F401 - the extra
        from kombu import Connection
        from kombu.exceptions import OperationalError
    except ImportError as error:
        raise SystemExit(f'night.py needs the extra celery ({error}): pip install -e ".[celery]"') from None
    with Connection(broker, connect_timeout=BROKER_SECONDS) as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
        except OperationalError as error:
            address = connection.as_uri()
            raise SystemExit(
                f"No broker answers at {address} ({error}). Start one, or name it with --broker."
            ) from None


def town(database: Database, site: str, schools: int) -> list[str]:
    """Schools that roster everything; gives their keys."""
    common.prepare(database, site + common.ROOT, primary_contacts=False)
    keys = [common.SCHOOL]
    chosen: dict[str, Any] = dict.fromkeys(("students", "teachers", "staff", "admins"), common.ON)
    with database.begin() as conn:
        for number in range(2, schools + 1):
            settings = SchoolSettings(school_id=f"sch-{number}", first_sync="apply", **chosen)
            keys.append(f"school-{number}")
            tenant_changes.add_school(conn, common.CONNECTION, keys[-1], keys[-1], settings)
    return keys


def plain_loop(database: Database, keys: list[str]) -> dict[str, float]:
    """Seconds for every school, one after the other, without Dagster."""
    started, used = time.perf_counter(), common.cpu_seconds(database, [])
    for key in keys:
        sync.fetch(database, key, batch=NIGHT, run_id=key)
        sync.clean_latest(database, key, run_id=key)
        sync.plan_latest(database, key, run_id=key)
        sync.apply_latest(database, key, run_id=key, who="benchmark")
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": common.cpu_seconds(database, []) - used,
    }


def through_dagster(database: Database, keys: list[str], configuration: Path, workers: int) -> dict[str, float]:
    """Seconds from the daemon's start to the last run's end, and what the runs leave in Dagster's tables."""
    with plant.plant(Path(os.environ["DAGSTER_HOME"]), configuration.read_text()) as (night, instance):
        for number in range(workers):
            night.start_worker(f"worker{number}")
        instance.add_dynamic_partitions("schools", keys)
        before = dagsters_size()
        tags = {"roster/night": NIGHT, "roster/connection": common.CONNECTION, "roster/who": "schedule"}
        started = time.perf_counter()
        plant.submit(instance, [tags | {"dagster/partition": key} for key in keys])
        queued = time.perf_counter() - started
        time.sleep(WARM_SECONDS)
        night.require_running()
        started, used = time.perf_counter(), common.cpu_seconds(database, night.pids())
        night.start_daemon()
        plant.wait_for(instance, "SUCCESS", len(keys), PER_SCHOOL * len(keys), night)
        seconds = time.perf_counter() - started
        used = common.cpu_seconds(database, night.pids()) - used
        worker_megabytes = max((common.peak_megabytes(pid) for pid in night.worker_pids()), default=0.0)
        after = dagsters_size()
        records = instance.get_run_records()
        first = min(record.start_time for record in records if record.start_time)
        last = max(record.end_time or 0.0 for record in records)
    return {
        "seconds": seconds,
        "cpu_seconds": used,
        "running_seconds": last - first,
        "queueing_seconds": queued,
        "worker_megabytes": worker_megabytes,
        "rows": (after[0] - before[0]) / len(keys),
        "bytes": (after[1] - before[1]) / len(keys),
    }


def sizes(url: str) -> dict[str, tuple[int, int]]:
    """Rows and bytes of each table of a database, indexes included."""
    database = Database(url)
    with database.begin() as conn:
        tables = list(conn.scalars(text("select tablename from pg_tables where schemaname = 'public'")))
        found = {
            name: (
                int(conn.scalar(text(f'select count(*) from "{name}"')) or 0),
                int(conn.scalar(text(f"select pg_total_relation_size('\"{name}\"')")) or 0),
            )
            for name in tables
        }
    database.close()
    return found


def dagsters_size() -> tuple[int, int]:
    """Rows and bytes of all of Dagster's tables."""
    found = sizes(os.environ["ROSTER_DAGSTER_DATABASE_URL"]).values()
    return sum(rows for rows, _ in found), sum(used for _, used in found)


def side(server: URL, name: str, schools: int, people: int, broker: str) -> dict[str, float]:
    """One side on databases and a SIS of its own: `plain`, `celery` or `default`."""
    with (
        common.fresh_database(server, f"night_{name}") as url,
        common.fresh_database(server, f"night_{name}_dagster") as dagster_url,
        common.simulator(True, district=(schools, common.students_for(people))) as sites,
        tempfile.TemporaryDirectory(prefix="roster-night-") as folder,
    ):
        dagster = dagster_url.set(drivername=DAGSTER_DRIVER).render_as_string(hide_password=False)
        home = str(Path(folder) / "home")
        os.environ |= {
            "DAGSTER_HOME": home,
            "ROSTER_HOME": home,
            "ROSTER_DATABASE_URL": url.render_as_string(hide_password=False),
            "ROSTER_DAGSTER_DATABASE_URL": dagster,
            "ROSTER_BROKER_URL": broker,
            "ROSTER_RESULTS_URL": f"db+{dagster}",
            "ROSTER_QUEUE": f"roster-benchmark-{os.getpid()}",
        }
        database = Database(url)
        keys = town(database, sites["district"], schools)
        common.warm(sites["district"])
        if name == "plain":
            figures = plain_loop(database, keys)
        elif name == "celery":
            figures = through_dagster(database, keys, plant.ROOT / "deploy" / "dagster.yaml", WORKERS)
        else:
            figures = through_dagster(database, keys, plant.ROOT / "dagster.yaml", 0)
        with database.begin() as conn:
            figures["synced"] = float(conn.scalar(text("select count(*) from sync")) or 0)
            pulled = text("select sum((proof ->> 'requests')::int) from pull")
            figures["requests"] = float(conn.scalar(pulled) or 0)
        database.close()
        assert figures["synced"] == schools, figures
    return figures


def main() -> None:
    """Run the sides and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=os.environ.get("ROSTER_TEST_BROKER_URL", "amqp://guest:guest@127.0.0.1"))
    parser.add_argument("--schools", type=int, default=SCHOOLS)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--sample", type=int, default=SAMPLE, help="schools for the default launcher")
    given = parser.parse_args()
    require_broker(given.broker)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that every process of the night ends too
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    sides = {"plain": given.schools, "celery": given.schools, "default": min(given.sample, given.schools)}
    each: dict[str, float] = {}
    cpu: dict[str, float] = {}
    found: dict[str, dict[str, float]] = {}
    with common.database_server() as server:
        for name, schools in sides.items():
            found[name] = side(server, name, schools, given.people, given.broker)
            each[name] = found[name]["seconds"] / schools
            cpu[name] = found[name]["cpu_seconds"] / schools
            seconds = f"{each[name]:.2f} s each, {cpu[name]:.2f} s of processor"
            print(f"{name}: {schools} schools, {seconds}, load {common.load()}", flush=True)
    celery = found["celery"]
    print(f"the default launcher would take {each['default'] * given.schools:.0f} s for {given.schools} schools")
    common.last_line(
        "night",
        schools=given.schools,
        people=given.people,
        seconds_per_school=each["celery"],
        aim=AIM,
        running_seconds_per_school=celery["running_seconds"] / given.schools,
        queueing_seconds_per_school=celery["queueing_seconds"] / given.schools,
        plain_seconds_per_school=each["plain"],
        ratio_to_plain=each["celery"] / each["plain"],
        cpu_seconds_per_school=cpu["celery"],
        plain_cpu_seconds_per_school=cpu["plain"],
        default_cpu_seconds_per_school=cpu["default"],
        default_seconds_per_school=each["default"],
        default_sample=sides["default"],
        pull_requests=int(celery["requests"]),
        dagster_rows_per_school=celery["rows"],
        dagster_bytes_per_school=int(celery["bytes"]),
        load=common.load(),
    )


if __name__ == "__main__":
    main()
