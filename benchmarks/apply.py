"""Applying a plan against a bare COPY of the same rows.

One plan creates 100,000 people, updates 100,000 and archives 10,000: checks, links, memberships, ledger and all. The
yardstick copies the same 210,000 people into a table like `person` (its columns, key and indexes) and does nothing
else. A second yardstick copies every row that the apply wrote: people, links, memberships and the change log, which is
which separates the cost of deciding and checking from the cost of the rows themselves. All run on the same server in
turn, each three times on fresh data; the best of each counts.

    python benchmarks/apply.py [--people 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import time

import common
import pandas as pd
from sqlalchemy import text

from roster_pipeline.directory import plans, pulls, schema, snapshots, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.pg_copy import driver
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline_tests.directory import builders

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
    """The cost of the plan, on a directory that already has the people who are updated and archived."""
    leavers = people // 10
    with database.begin() as conn:
        tenant_changes.add_district(conn, "district", "District")
        settings = ConnectionSettings(url="https://sis.example.org")
        tenant_changes.add_connection(conn, "district", "sis", settings, None)
        school = tenant_changes.add_school(conn, "sis", "school", "School", SchoolSettings(school_id="org"))
    known = range(people + leavers)
    builders.apply_plan(database, write_plan(database, school, [_create(n, n, "") for n in known]), who="benchmark")
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
    result = builders.apply_plan(database, plan_id, who="benchmark")
    took = time.perf_counter() - started, work.so_far()["all"]
    assert result.counts["student"] == {"create": people, "update": people, "archive": leavers}, result.counts
    return took


def _create(place: int, number: int, mark: str) -> tuple:  # type: ignore[type-arg]
    changes: dict[str, list[str | None]] = {name: [None, value] for name, value in person(number, mark).items()}
    return row(place, "create", number, None, changes)


def timed_copy(database: Database, queries: dict[str, str]) -> Took:
    """The cost of a COPY of the rows of these queries, by table, into tables like theirs, in one transaction."""
    data: dict[str, bytes] = {}
    with database.begin() as conn:
        for table, query in queries.items():
            conn.execute(text(f"drop table if exists bare_{table}"))
            conn.execute(text(f"create table bare_{table} (like {table} including all)"))
            with driver(conn).cursor().copy(f"copy ({query}) to stdout") as copy:  # type: ignore[arg-type]
                data[table] = b"".join(copy)
    with database.session() as conn:
        conn.execute(text("checkpoint"))
    started, work = time.perf_counter(), common.work(database.engine.url)
    with database.begin() as conn, driver(conn).cursor() as cursor:
        for table, lines in data.items():
            with cursor.copy(f"copy bare_{table} from stdin") as copy:  # type: ignore[arg-type]
                copy.write(lines)
    return time.perf_counter() - started, work.so_far()["all"]


PEOPLE = {"person": "select * from person"}
WRITTEN = {
    "person": "select * from person where updated_at >= (select at from sync order by id desc limit 1)",
    "link": "select * from link where created_at >= (select at from sync order by id desc limit 1)",
    "membership": "select * from membership where updated_at >= (select at from sync order by id desc limit 1)",
    "change_log": "select * from change_log where sync_id = (select max(id) from sync)",
}
"""The rows of the last sync; in one transaction every `now()` is the same."""


def main() -> None:
    """Run both sides and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ours: list[Took] = []
    bare: list[Took] = []
    written: list[Took] = []
    with common.database_server() as server:
        for number in range(given.rounds):
            with common.fresh_database(server, "benchmark_apply") as url:
                database = Database(url)
                schema.upgrade(database)
                ours.append(timed_apply(database, given.people))
                bare.append(timed_copy(database, PEOPLE))
                written.append(timed_copy(database, WRITTEN))
                database.close()
            sides = {"apply": ours, "bare copy of people": bare, "of all rows": written}
            told = ", ".join(f"{name} {took[-1][0]:.2f} s (CPU {took[-1][1]:.2f} s)" for name, took in sides.items())
            print(f"round {number + 1}: {told}; load {common.load()}", flush=True)
    (seconds, cpu), (bare_seconds, bare_cpu), (all_seconds, all_cpu) = _best(ours), _best(bare), _best(written)
    print(f"ratio {seconds / bare_seconds:.2f} (aim {AIM} or less), of CPU seconds {cpu / bare_cpu:.2f}")
    print(f"to every row that it wrote: {seconds / all_seconds:.2f}, of CPU seconds {cpu / all_cpu:.2f}")
    common.last_line(
        "apply", people=given.people, apply_seconds=seconds, copy_seconds=bare_seconds, ratio=seconds / bare_seconds,
        ratio_cpu=cpu / bare_cpu, ratio_all_rows=seconds / all_seconds, ratio_all_rows_cpu=cpu / all_cpu,
        load=common.load(),
    )  # fmt: skip


def _best(took: list[Took]) -> Took:
    """The smallest value of each figure."""
    return min(seconds for seconds, _ in took), min(cpu for _, cpu in took)


if __name__ == "__main__":
    main()
