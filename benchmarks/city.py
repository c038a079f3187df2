"""Does a school cost more in a city than in a village? Schools of one size on one connection, at two sizes of district.

    python benchmarks/city.py [--schools 120] [--village 20] [--pupils 500] [--staff 35] [--nights 2] [--broker URL]

Both districts run the same plain loop over the functions that the assets call, each in a process and on databases of
its own. The first night creates everybody; in each later one 1 % of the people change. It prints for each night:

- CPU seconds a school, of this process and of the database's server, by step. Only the last schools count, as many as
the village has. This shows what grows with the district.
- requests to the SIS, beside those of one plain pull, and the memory of the process.

With `--broker`, the city's first night goes through Dagster and two Celery workers as well: CPU seconds a school,
memory of a worker, rows and bytes in Dagster's tables.

--staff: staff of one school, as close as the simulator can get. The default takes minutes. The city that we aim for is
`--schools 1870 --pupils 535`. It takes hours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import common
import httpx
import night

from roster_pipeline import sync
from roster_pipeline.directory.database import Database
from roster_pipeline.simulator.person import Layout

SCHOOLS, VILLAGE, PUPILS, NIGHTS = 120, 20, 500, 2
CHANGED = 0.01
STEPS = ("fetch", "clean", "plan", "apply")
AIM = 1.1


def pupils_for(pupils: int, staff: int | None) -> int:
    """Pupils of a simulated school. The simulator derives staff from pupils, so more staff needs more pupils."""
    while staff is not None and _staff(pupils) < staff:
        pupils += 10
    return pupils


def _staff(pupils: int) -> int:
    counts = Layout(1, pupils).counts
    return sum(count for kind, count in counts.items() if kind not in ("student", "contact"))


def loop(schools: int, counted: int, pupils: int, nights: int) -> dict[str, Any]:
    """The plain loop: for each night the seconds of each step, a school, over the last `counted` schools."""
    found: dict[str, Any] = {"nights": []}
    with (
        common.database_server() as server,
        common.fresh_database(server, "city") as url,
        common.simulator(True, district=(schools, pupils)) as sites,
    ):
        database, site = Database(url), sites["district"]
        keys = night.town(database, site, schools)
        common.warm(site)
        for number in range(1, nights + 1):
            if number > 1:
                share = int(schools * pupils * CHANGED / 4)
                common.control(site, "day", {"joiners": share, "leavers": share, "renames": 2 * share})
            before = _requests(site)
            found["nights"].append(one_night(database, keys, counted, f"2026-09-{number:02}"))
            found["nights"][-1]["requests"] = _requests(site) - before
        before = _requests(site)
        common.warm(site)
        found["requests_of_one_pull"] = _requests(site) - before
        database.close()
    found["megabytes"] = common.peak_megabytes()
    return found


def _requests(site: str) -> int:
    answer = httpx.get(f"{site}/simulator/requests", timeout=common.PATIENCE, trust_env=False)
    return int(answer.raise_for_status().json()["total"])


def one_night(database: Database, keys: list[str], counted: int, batch: str) -> dict[str, float]:
    """CPU seconds a school by step: `own` of this process, `server` of the database. The pull is separate."""
    own: Counter[str] = Counter()
    server: Counter[str] = Counter()
    pull = 0.0
    for place, key in enumerate(keys):
        run = f"{key} {batch}"
        steps = {
            "fetch": lambda key=key, run=run: sync.fetch(database, key, batch=batch, run_id=run),
            "clean": lambda key=key, run=run: sync.clean_latest(database, key, run_id=run),
            "plan": lambda key=key, run=run: sync.plan_latest(database, key, run_id=run),
            "apply": lambda key=key, run=run: sync.apply_latest(database, key, run_id=run, who="benchmark"),
        }
        for name, step in steps.items():
            work = common.work(database.engine.url)
            step()
            took = work.so_far()
            if place == 0 and name == "fetch":
                pull = took["all"]
            if place >= len(keys) - counted:
                own[name] += took["own"]
                server[name] += took["server"]
    figures = {f"own_{name}": own[name] / counted for name in STEPS}
    figures |= {f"server_{name}": server[name] / counted for name in STEPS}
    return figures | {"pull": pull, "cpu": sum(figures.values())}


def through_celery(schools: int, pupils: int, broker: str) -> dict[str, float]:
    """The first night of the city through Dagster and two workers."""
    people = pupils + _staff(pupils)
    with common.database_server() as server:
        return night.side(server, "celery", schools, people, broker)


def main() -> None:
    """Run both sizes and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schools", type=int, default=SCHOOLS, help="of the city")
    parser.add_argument("--village", type=int, default=VILLAGE, help="schools of the small district")
    parser.add_argument("--pupils", type=int, default=PUPILS, help="of one school")
    parser.add_argument("--staff", type=int, help="of one school, at least")
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--broker", help="also through Celery's workers, with this broker")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not 1 < given.village <= given.schools:
        raise SystemExit("The village needs two schools or more, and the city at least as many as the village.")
    pupils = pupils_for(given.pupils, given.staff)
    if given.side:
        print(json.dumps(loop(given.side, given.village - 1, pupils, given.nights)))
        return
    if given.broker:
        night.require_broker(given.broker)
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    options = ["--village", str(given.village), "--schools", str(given.schools), "--pupils", str(pupils)]
    options += ["--nights", str(given.nights)]
    sides: dict[str, dict[str, Any]] = {}
    for name, schools in (("village", given.village), ("city", given.schools)):
        sides[name] = common.side(Path(__file__).name, "--side", str(schools), *options)
        print_side(name, schools, sides[name])
    last = {name: side["nights"][-1] for name, side in sides.items()}
    figures: dict[str, Any] = {
        "schools": given.schools,
        "village": given.village,
        "pupils": pupils,
        "staff": _staff(pupils),
        "ratio": last["city"]["cpu"] / last["village"]["cpu"],
        "ratio_first_night": sides["city"]["nights"][0]["cpu"] / sides["village"]["nights"][0]["cpu"],
        "aim": AIM,
        "cpu_seconds_a_school": last["city"]["cpu"],
        "requests": last["city"]["requests"],
        "requests_of_one_pull": sides["city"]["requests_of_one_pull"],
        "megabytes": sides["city"]["megabytes"],
    }
    if given.broker:
        celery = through_celery(given.schools, pupils, given.broker)
        figures |= {
            "celery_cpu_seconds_a_school": celery["cpu_seconds"] / given.schools,
            "celery_requests": celery["requests"],
            "worker_megabytes": celery["worker_megabytes"],
            "dagster_rows_a_school": celery["rows"],
            "dagster_bytes_a_school": celery["bytes"],
        }
        print(
            f"city through Celery: {figures['celery_cpu_seconds_a_school']:.2f} CPU s a school, "
            f"a worker {celery['worker_megabytes']:.0f} MB, "
            f"{celery['rows']:.0f} rows and {celery['bytes'] / 1000:.0f} KB a school in Dagster's tables"
        )
    common.last_line("city", **figures, load=common.load())


def print_side(name: str, schools: int, side: dict[str, Any]) -> None:
    """The nights of one size of district."""
    for number, figures in enumerate(side["nights"], start=1):
        steps = ", ".join(
            f"{step} {1000 * figures[f'own_{step}']:.0f}+{1000 * figures[f'server_{step}']:.0f}" for step in STEPS
        )
        print(
            f"{name}, {schools} schools, night {number}: {1000 * figures['cpu']:.0f} CPU ms a school "
            f"({steps}; own+server), {figures['requests']} requests to the SIS, where one plain pull needs "
            f"{side['requests_of_one_pull']}; the pull {figures['pull']:.1f} s; {side['megabytes']:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
