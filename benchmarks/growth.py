"""How the time of a night grows with the people of a school: cleaning, planning and applying, 5,000 to 500,000 people.

    python benchmarks/growth.py [PEOPLE ...]

The records are made here and stored as a pull, so the speed of a server does not change the figures. The first night
creates everybody; before the second, 1 % have another name and 1 % are new. Nobody leaves, because asking the SIS about
each would be measured as well. Every size has a fresh database and a fresh process. The exponent is the slope of
seconds over people, both as logarithms: 1 is linear. The fixed cost of a run lowers it, so the exponent of the three
largest sizes is printed too. The statistics of the database are the automatic ones: nothing is analysed by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import common
import numpy as np

from roster_pipeline import sync
from roster_pipeline.directory import pulls, snapshots, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.frames import infrequent_collection
from roster_pipeline.oneroster.collections.wanted import Batch

SIZES = (5_000, 20_000, 50_000, 150_000, 500_000)
AIM = 1.05
RENAMED = 100
"""Every hundredth has another name in the second night, and every hundredth is new."""
STEPS = ("store", "clean", "plan", "apply")
MEASURED = ("clean", "plan", "apply")
GIVEN = ("Ana", "Ben", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Günther", "Hana", "Ivo", "Jón", "Keisha", "Łukasz")
FAMILY = ("Adeyemi", "Brown", "Castillo", "Dvořák", "Evans", "Fischer", "García", "Huang", "Ivanova", "O'Brien")


def user(number: int, mark: str) -> dict[str, Any]:
    """A normalised record: nine in ten are students, a third have a phone of their own."""
    student = number % 10 != 0
    role = {"role": "student" if student else "teacher", "roleType": "primary", "org": common.FIRST_SCHOOL}
    return {
        "sourcedId": f"u-{number:08d}",
        "status": "active",
        "dateLastModified": "2026-01-01T00:00:00Z",
        "username": f"user{number}",
        "identifier": f"{number:07d}",
        "givenName": GIVEN[number % len(GIVEN)],
        "familyName": f"{FAMILY[number % len(FAMILY)]}-{number % 9973}{mark}",
        "email": f"user{number}@pupils.example.org",
        "phone": f"+1 202 555 {number % 10_000:04d}" if number % 3 == 0 else None,
        "enabledUser": True,
        "roles": [role | {"beginDate": None, "endDate": None}],
        "grades": [f"{number % 12 + 1:02d}"] if student else [],
        "agents": [],
        "userIds": [],
        "metadata": {},
    }


def batches(count: int, night: int) -> Iterator[Batch]:
    """The pages of one night."""
    org = {"sourcedId": common.FIRST_SCHOOL, "name": "School", "type": "school", "identifier": None, "parent": None}
    yield Batch("org", [org | {"status": "active"}], [])
    most = count + (count // RENAMED if night else 0)
    for first in range(0, most, common.PAGE):
        numbers = range(first, min(first + common.PAGE, most))
        yield Batch("user", [user(n, "x" if night and n % RENAMED == 1 else "") for n in numbers], [])


@infrequent_collection()
def store(database: Database, count: int, night: int) -> None:
    """The part of fetching after the SIS: store the pull, and take the school's snapshot from it."""
    batch = f"night {night}"
    with database.begin() as conn:
        school = tenants.get_school(conn, common.SCHOOL)
        pull_id, _ = pulls.claim(conn, school.connection, batch)
    pulls.store(database, pull_id, batches(count, night))
    with database.begin() as conn:
        pulls.finish(conn, pull_id, {"complete": True, "mode": "full", "version": "1.2"})
        snapshots.take(conn, school, common.FIRST_SCHOOL, pull_id, contacts=False, run_id=batch)


def night(database: Database, count: int, number: int) -> dict[str, float]:
    """One night: seconds of each step."""
    batch = f"night {number}"
    steps: dict[str, Callable[[], Any]] = {
        "store": lambda: store(database, count, number),
        "clean": lambda: sync.clean_latest(database, common.SCHOOL, run_id=batch),
        "plan": lambda: sync.plan_latest(database, common.SCHOOL, run_id=batch),
        "apply": lambda: sync.apply_latest(database, common.SCHOOL, run_id=batch, who="benchmark"),
    }
    took: dict[str, float] = {}
    for name, step in steps.items():
        started, work = time.perf_counter(), common.work(database.engine.url)
        result = step()
        took[name] = time.perf_counter() - started
        took[f"{name} cpu"] = work.so_far()["all"]
    assert result.changed == (2 * (count // RENAMED) if number else count), result
    return took


def one_size(url: str, count: int) -> dict[str, Any]:
    """Two nights of one size."""
    import great_expectations  # noqa: F401 - loaded once a process, whatever the size

    database = Database(url)
    common.prepare(database, "https://sis.example.org", primary_contacts=False)
    nights = [night(database, count, number) for number in range(2)]
    database.close()
    return {"nights": nights, "peak": common.peak_megabytes()}


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of time over size, both as logarithms."""
    return round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 3)


def main() -> None:
    """Measure every size, or be one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("people", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.database:
        print(json.dumps(one_size(given.database, given.people[0])))
        return
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    sizes, found = sorted(given.people), []
    heads = [f"{step} {number}" for number in (1, 2) for step in STEPS]
    print(f"{'people':>9} " + " ".join(f"{head:>8}" for head in heads) + f" {'total':>8} {'peak MB':>8}")
    with common.database_server() as server:
        for count in sizes:
            with common.fresh_database(server, "benchmark_growth") as url:
                address = url.render_as_string(hide_password=False)
                found.append(common.side("growth.py", str(count), "--database", address))
            nights = found[-1]["nights"]
            worked = total(found[-1], " cpu")
            cells = " ".join(f"{one[step]:>8.2f}" for one in nights for step in STEPS)
            whole = f"{total(found[-1]):>8.2f} {found[-1]['peak']:>8.0f}"
            print(f"{count:>9,} {cells} {whole}  CPU {worked:.2f} s, load {common.load()}", flush=True)
    report(sizes, found)


def total(one: dict[str, Any], of: str = "") -> float:
    """Cleaning, planning and applying of both nights: seconds, or with " cpu" those of our process and PostgreSQL."""
    return sum(night[step + of] for night in one["nights"] for step in MEASURED)


def report(sizes: list[int], found: list[dict[str, Any]]) -> None:
    """Print the exponents and the last line."""
    totals = [total(one) for one in found]
    whole, upper = exponent(sizes, totals), exponent(sizes[-3:], totals[-3:])
    worked = [total(one, " cpu") for one in found]
    whole_cpu, upper_cpu = exponent(sizes, worked), exponent(sizes[-3:], worked[-3:])
    for number in range(2):
        slopes = {step: exponent(sizes, [one["nights"][number][step] for one in found]) for step in STEPS}
        print(f"exponents, night {number + 1}: " + ", ".join(f"{step} {slope}" for step, slope in slopes.items()))
    print(f"exponent of clean, plan and apply {whole} (aim {AIM} or less), of the three largest sizes {upper}")
    print(f"the same of CPU seconds, which other work on the machine hardly changes: {whole_cpu} and {upper_cpu}")
    common.last_line(
        "growth", people=sizes, seconds=[round(one, 2) for one in totals], exponent=whole, exponent_upper=upper,
        exponent_cpu=whole_cpu, exponent_cpu_upper=upper_cpu, cpu_seconds=[round(one, 2) for one in worked],
        peak_mb=[round(one["peak"]) for one in found], load=common.load(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
