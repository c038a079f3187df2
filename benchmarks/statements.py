"""The SQL statements of one school's sync, by step: how many, and which.

    python benchmarks/statements.py [--people 200] [--list]

Counted by SQLAlchemy's own events, on the second night, in which 4 % of the people changed. COPY statements come on
top: one for each frame that a step reads or writes.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import common
from sqlalchemy import event

from roster_pipeline import sync
from roster_pipeline.directory.database import Database

PEOPLE = 200
SHOWN = 150
"""Letters of a statement in the list."""


def night(database: Database, name: str) -> Iterator[str]:
    """Carry out one night; yields the name of each step before it."""
    yield "fetch"
    sync.fetch(database, common.SCHOOL, batch=name, run_id=name)
    yield "clean"
    sync.clean_latest(database, common.SCHOOL, run_id=name)
    yield "plan"
    sync.plan_latest(database, common.SCHOOL, run_id=name)
    yield "apply"
    sync.apply_latest(database, common.SCHOOL, run_id=name, who="benchmark")


def statements(database: Database) -> dict[str, list[str]]:
    """The statements of one night by step."""
    found: dict[str, list[str]] = defaultdict(list)
    step = ""

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found[step].append(" ".join(statement.split()))

    event.listen(database.engine, "before_cursor_execute", note)
    for step in night(database, "second"):  # noqa: B007 - `note` reads it
        pass
    event.remove(database.engine, "before_cursor_execute", note)
    return found


def main() -> None:
    """Count and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--list", action="store_true", help="print the statements too")
    given = parser.parse_args()
    os.environ["ROSTER_SECRET_KEY"] = common.new_key()
    with (
        common.database_server() as server,
        common.fresh_database(server, "statements") as url,
        common.simulator(False, district=(1, common.students_for(given.people))) as sites,
    ):
        database = Database(url)
        common.prepare(database, sites["district"] + common.ROOT)
        list(night(database, "first"))
        share = max(1, given.people // 100)
        common.control(sites["district"], "day", {"joiners": share, "leavers": share, "renames": 2 * share})
        found = statements(database)
        database.close()
    for name, listed in found.items():
        print(f"{name}: {len(listed)}")
        for statement in listed if given.list else ():
            print(f"    {statement[:SHOWN]}")
    counts = {name: len(listed) for name, listed in found.items()}
    common.last_line("statements", **counts, all=sum(counts.values()))


if __name__ == "__main__":
    main()
