"""Applying a plan against a bare COPY of the same rows.

One plan creates 100,000 people, updates 100,000 and archives 10,000: checks, links, memberships, ledger and all. The
yardstick copies the same 210,000 people into a table like `person` (its columns, key and indexes) and does nothing
else. Both run on the same server in turn, each three times on fresh data; the best of each counts.

    python benchmarks/apply.py [--people 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import time

import common
import pandas as pd
from sqlalchemy import text

from roster_pipeline.directory import migrate, plans, pulls, snapshots, tenants
from roster_pipeline.directory.apply import apply_plan
from roster_pipeline.directory.copying import driver
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings import ConnectionSettings, SchoolSettings

AIM = 4
Took = tuple[float, float]
"""Seconds by the clock, and CPU seconds of this process and PostgreSQL."""
ROLES = ("student", "teacher", "staff", "admin")
CHANGING = ("create", "update", "restore", "archive")
FIELDS = ("given_name", "family_name", "email", "phone", "username", "number", "role", "grade")


def person(number: int, mark: str) -> dict[str, str]:
    """The fields of one student, of about the length that real ones have."""
    return {
        "given_name": f"Given{number % 5000}{mark}",
        "family_name": f"Family{number % 20000}",
        "email": f"student{number}{mark}@students.example.org",
        "phone": f"+1555{number:07d}",
        "username": f"student{number}",
        "number": str(10_000_000 + number),
        "role": "student",
        "grade": f"{number % 12 + 1:02d}",
    }


def row(place: int, action: str, number: int, person_id: int | None, changes: dict[str, list[str | None]]) -> tuple:  # type: ignore[type-arg]
    """One plan row."""
    sourced_id = f"6f9619ff-8b86-d011-b42d-{number:012d}"
    links = [sourced_id] if person_id is None else []
    revision = None if person_id is None else 1
    return (place, action, "joined", "student", person_id, [sourced_id], links, changes, "student", revision, revision)


COLUMNS = [
    "row",
    "action",
    "reason",
    "role",
    "person_id",
    "sourced_ids",
    "new_links",
    "changes",
    "number_kind",
    "person_revision",
    "membership_revision",
]


def write_plan(database: Database, school: SchoolRow, rows: list[tuple]) -> int:  # type: ignore[type-arg]
    """Store rows as a plan whose verdict lets everything pass."""
    with database.begin() as conn:
        pull_id, _ = pulls.claim(conn, school.connection, f"batch {time.monotonic_ns()}")
        pulls.finish(conn, pull_id, {"complete": True, "mode": "full", "version": "1.2"})
        snapshot_id = snapshots.take(conn, school, "org", pull_id, contacts=False, run_id=None)
        verdict = [(role, action, "pass", 0, []) for role in ROLES for action in CHANGING]
        position = conn.scalar(text("select coalesce(max(position), 0) from change_log")) or 0
        return plans.write(
            conn,
            school,
            snapshot_id,
            pd.DataFrame(rows, columns=COLUMNS),
            pd.DataFrame(verdict, columns=["role", "action", "verdict", "rows", "findings"]),
            hash_="hash",
            counts={},
            first_sync=False,
            position=position,
            dry_run=False,
            run_id=None,
        )


def timed_apply(database: Database, people: int) -> Took:
    """What the plan takes, on a directory that already holds those who are updated and archived."""
    leavers = people // 10
    with database.begin() as conn:
        tenants.add_district(conn, "district", "District")
        settings = ConnectionSettings(url="https://sis.example.org")
        tenants.add_connection(conn, "district", "sis", settings, None)
        school = tenants.add_school(conn, "sis", "school", "School", SchoolSettings(school_id="org"))
    known = range(people + leavers)
    apply_plan(database, write_plan(database, school, [_create(n, n, "") for n in known]), who="benchmark")
    with database.begin() as conn:
        ids = dict(conn.execute(text("select number, id from person")).all())
        conn.execute(text("analyze"))
    rows = [_create(n, people + leavers + n, "") for n in range(people)]
    for n in range(people):
        before, after = person(n, ""), person(n, "x")
        changes = {name: [before[name], after[name]] for name in FIELDS if before[name] != after[name]}
        rows.append(row(people + n, "update", n, ids[before["number"]], changes))
    for n in range(people, people + leavers):
        rows.append(row(people + n, "archive", n, ids[person(n, "")["number"]], {}))
    plan_id = write_plan(database, school, rows)
    with database.session() as conn:
        conn.execute(text("vacuum analyze"))
        conn.execute(text("checkpoint"))
    started, work = time.perf_counter(), common.work(database.engine.url)
    result = apply_plan(database, plan_id, who="benchmark")
    took = time.perf_counter() - started, work.so_far()["all"]
    assert result.counts["student"] == {"create": people, "update": people, "archive": leavers}, result.counts
    return took


def _create(place: int, number: int, mark: str) -> tuple:  # type: ignore[type-arg]
    changes: dict[str, list[str | None]] = {name: [None, value] for name, value in person(number, mark).items()}
    return row(place, "create", number, None, changes)


def timed_copy(database: Database, people: int) -> Took:
    """What it takes to COPY the same people, whole rows, into a table like `person`, in one transaction."""
    with database.begin() as conn:
        conn.execute(text("create table bare (like person including all)"))
        with driver(conn).cursor().copy("copy person to stdout") as copy:
            data = b"".join(copy)
    with database.session() as conn:
        conn.execute(text("checkpoint"))
    started, work = time.perf_counter(), common.work(database.engine.url)
    with database.begin() as conn, driver(conn).cursor() as cursor, cursor.copy("copy bare from stdin") as copy:
        copy.write(data)
    took = time.perf_counter() - started, work.so_far()["all"]
    with database.begin() as conn:
        assert conn.scalar(text("select count(*) from bare")) == 2 * people + people // 10
    return took


def main() -> None:
    """Run both sides and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ours: list[Took] = []
    bare: list[Took] = []
    with common.database_server() as server:
        for number in range(given.rounds):
            with common.fresh_database(server, "benchmark_apply") as url:
                database = Database(url)
                migrate.upgrade(database)
                ours.append(timed_apply(database, given.people))
                bare.append(timed_copy(database, given.people))
                database.close()
            (seconds, cpu), (bare_seconds, bare_cpu) = ours[-1], bare[-1]
            print(
                f"round {number + 1}: apply {seconds:.2f} s (CPU {cpu:.2f} s), "
                f"bare copy {bare_seconds:.2f} s (CPU {bare_cpu:.2f} s); load {common.load()}",
                flush=True,
            )
    (seconds, cpu), (bare_seconds, bare_cpu) = _best(ours), _best(bare)
    print(f"ratio {seconds / bare_seconds:.2f} (aim {AIM} or less), of CPU seconds {cpu / bare_cpu:.2f}")
    common.last_line(
        "apply", people=given.people, apply_seconds=seconds, copy_seconds=bare_seconds, ratio=seconds / bare_seconds,
        ratio_cpu=cpu / bare_cpu, load=common.load(),
    )  # fmt: skip


def _best(took: list[Took]) -> Took:
    """The least of each figure."""
    return min(seconds for seconds, _ in took), min(cpu for _, cpu in took)


if __name__ == "__main__":
    main()
