"""Held plans for the console's tests: real rows in a real database."""

import re
from typing import Any

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.directory.builders import every, newcomer, one, person_of, row, sync_rows, write_plan

CREATES, ARCHIVES = ("student", "create"), ("student", "archive")
MANY: dict[str, Any] = {
    "guard": "creations",
    "message": "2 students would be created, with 1 in the directory.",
    "value": 2.0,
    "limit": 0.25,
    "overridable": True,
}
INCOMPLETE = {
    "guard": "incomplete_snapshot",
    "message": "The list from the SIS is not complete: page 7 never came. So nobody is archived.",
    "value": 1,
    "limit": 0,
    "overridable": False,
}
REKEYED = MANY | {"guard": "rekeyed", "message": "1 of 1 known student records came with a new id."}
SCRIPT = "<script>alert('Zyxpoison')</script>"


def held_creates(database: Database, school: SchoolRow, *names: str, night: bool = True, **more: Any) -> int:
    """A plan with held newcomers, and the sync of its night, which did not apply them. Returns the plan's number."""
    rows = [newcomer(name, changes={"email": f"{name}@zyxpoison.example"}) for name in names or ("u1", "u2")]
    plan_id = write_plan(database, school, rows, held={CREATES: [MANY]}, **more)
    if night:
        builders.apply_plan(database, plan_id, who="night")
    return plan_id


def held_archive(database: Database, school: SchoolRow, *findings: dict[str, Any]) -> int:
    """A plan that would archive the only student, who is synced first."""
    sync_rows(database, school, newcomer("old", "Grace"))
    leaving = row("archive", person_of(database, "old"), links=["old"], reason="left")
    plan_id = write_plan(database, school, [leaving], held={ARCHIVES: list(findings)})
    builders.apply_plan(database, plan_id, who="night")
    return plan_id


def clean_records(database: Database, plan_id: int, *records: dict[str, Any]) -> None:
    """As `builders.clean_records`, for the snapshot of a plan."""
    snapshot = one(database, "select snapshot_id from plan where id = :id", id=plan_id)
    database.call(builders.clean_records, snapshot, *records)


def hash_of(database: Database, plan_id: int) -> str:
    """The hash that approvals of the plan are bound to."""
    return str(one(database, "select hash from plan where id = :id", id=plan_id))


def audited(database: Database) -> list[tuple[str, str, str | None]]:
    """Who, what and why of every entry, the oldest first."""
    return [
        (str(who), str(what), why)
        for who, what, why in every(database, "select who, what, reason from audit order by id")
    ]


def words_of(html: str) -> str:
    """The text of a page as a reader sees it: no tags, single blanks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
