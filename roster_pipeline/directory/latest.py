"""Which snapshot and which plan a step works on: its own run's, else the school's newest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case, select, true

from roster_pipeline.directory import tenants
from roster_pipeline.directory.tables import plan, school, snapshot
from roster_pipeline.directory.tenants import SchoolRow

ONE_PERSON = "one_person"
"""In the proof of a snapshot: the roster of the snapshot before it, in which one person's records are newer."""


def latest_snapshot(
    connection: Connection, school_key: str, run_id: str | None = None
) -> tuple[SchoolRow, dict[str, Any] | None]:
    """A school, and its newest snapshot as `snapshots.facts` has it; one that this run took goes first.

    One of a single person does not count. Raises UnknownKey.
    """
    own = case((snapshot.c.run_id == run_id, 0), else_=1)
    whole = snapshot.c.proof[ONE_PERSON].is_(None)
    newest = select(snapshot).where(snapshot.c.school_id == school.c.id, whole)
    last = newest.order_by(own, snapshot.c.id.desc()).limit(1).lateral("last")
    columns = {name: last.c[name].label(f"last_{name}") for name in snapshot.c.keys()}  # noqa: SIM118 - no mapping
    query = tenants.schools_query().add_columns(*columns.values()).outerjoin(last, true())
    row = connection.execute(query.where(school.c.key == school_key)).mappings().first()
    if row is None:
        raise tenants.UnknownKey("school", school_key)
    facts = {name: row[f"last_{name}"] for name in columns} if row["last_id"] is not None else None
    return tenants.school_of(row), facts


def latest_plan(connection: Connection, school_key: str, run_id: str | None = None) -> int | None:
    """The newest plan of a school that may be applied; one that this run made goes first. Dry runs are left out."""
    own = case((plan.c.run_id == run_id, 0), else_=1)
    found = (
        select(plan.c.id)
        .join(school, school.c.id == plan.c.school_id)
        .where(school.c.key == school_key, plan.c.state == "planned", plan.c.dry_run.is_(False))
        .where(plan.c.person_id.is_(None))
        .order_by(own, plan.c.id.desc())
        .limit(1)
    )
    return connection.scalar(found)
