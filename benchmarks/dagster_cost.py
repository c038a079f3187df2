"""The cost of Dagster itself: seconds to load the code location, and the rows and bytes that a run of a school leaves.

    python benchmarks/dagster_cost.py [--nights 10] [--people 500]

Loading is timed in fresh processes, because daemon, webserver and workers all begin with it. It also prints the heavy
modules that were loaded. The runs are nights of one school on PostgreSQL, in this process. `night.py` measures what a
queue and a broker add to a run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import dagster as dg
from night import sizes
from sqlalchemy.engine import URL

from roster_pipeline.definitions import defs
from roster_pipeline.defs.resources import close_databases
from roster_pipeline.directory.database import Database
from roster_pipeline.runtime.embedded import DAGSTER_DRIVER

AIM = 3.0
LOADS = 5
HEAVY = ("asyncssh", "great_expectations", "pandas", "pyarrow")
LOADING = f"""
import json, sys, time
began = time.perf_counter()
from roster_pipeline.definitions import defs
defs.get_repository_def().get_all_jobs()
seconds = time.perf_counter() - began
heavy = sorted(set({HEAVY}) & set(sys.modules))
print(json.dumps(dict(seconds=seconds, cpu_seconds=time.process_time(), heavy=heavy)))
"""
STORAGE = """
storage: {{postgres: {{postgres_url: "{url}"}}}}
telemetry: {{enabled: false}}
python_logs: {{python_log_level: WARNING}}
"""


def loaded() -> dict[str, Any]:
    """The code location in a process of its own: seconds, processor's seconds with the interpreter's, modules."""
    found: dict[str, Any] = json.loads(subprocess.check_output([sys.executable, "-c", LOADING], text=True))
    return found


def nights(server: URL, count: int, people: int) -> dict[str, tuple[float, float]]:
    """Rows and bytes per run for each of Dagster's tables that grew; the first run makes the tables and is left out."""
    with (
        common.fresh_database(server, "cost") as url,
        common.fresh_database(server, "cost_dagster") as dagster_url,
        common.simulator(False, district=(1, common.students_for(people))) as sites,
        tempfile.TemporaryDirectory(prefix="roster-cost-") as home,
    ):
        storage = dagster_url.set(drivername=DAGSTER_DRIVER).render_as_string(hide_password=False)
        os.environ["ROSTER_DATABASE_URL"] = url.render_as_string(hide_password=False)
        (Path(home) / "dagster.yaml").write_text(STORAGE.format(url=storage))
        database = Database(url)
        common.prepare(database, sites["district"] + common.ROOT)
        database.close()
        with dg.DagsterInstance.from_config(home) as instance:
            instance.add_dynamic_partitions("schools", [common.SCHOOL])
            job = defs.resolve_job_def("rostering")
            job.execute_in_process(instance=instance, partition_key=common.SCHOOL)
            before = sizes(storage)
            for _ in range(count):
                job.execute_in_process(instance=instance, partition_key=common.SCHOOL)
            after = sizes(storage)
        close_databases()
    grown = {name: (after[name][0] - rows, after[name][1] - used) for name, (rows, used) in before.items()}
    return {name: (rows / count, used / count) for name, (rows, used) in grown.items() if rows or used}


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--people", type=int, default=500)
    given = parser.parse_args()
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    loads = [loaded() for _ in range(LOADS)]
    heavy = ", ".join(loads[0]["heavy"]) or "none of " + ", ".join(HEAVY)
    print(f"code location: {common.median(loads, 'seconds'):.2f} s (aim {AIM:.0f}), heavy modules: {heavy}", flush=True)
    with common.database_server() as server:
        grown = nights(server, given.nights, given.people)
    for name, (rows, used) in sorted(grown.items(), key=lambda one: -one[1][1]):
        print(f"{name}: {rows:.1f} rows, {used:.0f} bytes a run")
    common.last_line(
        "dagster_cost",
        nights=given.nights,
        load_seconds=common.median(loads, "seconds"),
        load_cpu_seconds=common.median(loads, "cpu_seconds"),
        aim=AIM,
        heavy_modules=loads[0]["heavy"],
        rows_per_run=sum(rows for rows, _ in grown.values()),
        bytes_per_run=int(sum(used for _, used in grown.values())),
        load=common.load(),
    )


if __name__ == "__main__":
    main()
