"""Which snapshot and which plan a step works on: its own run's, else the school's newest."""

from __future__ import annotations

from sqlalchemy import Connection, case, select

from roster_pipeline.directory.tables import plan, snapshot

ONE_PERSON = "one_person"
"""In the proof of a snapshot: the roster of the snapshot before it, in which one person's records are newer."""


def latest_snapshot(connection: Connection, school_id: int, run_id: str | None = None) -> int | None:
    """The newest snapshot of a school; one that this run took goes first. One of a single person does not count."""
    own = case((snapshot.c.run_id == run_id, 0), else_=1)
    whole = snapshot.c.proof[ONE_PERSON].is_(None)
    found = select(snapshot.c.id).where(snapshot.c.school_id == school_id, whole)
    return connection.scalar(found.order_by(own, snapshot.c.id.desc()).limit(1))


def latest_plan(connection: Connection, school_id: int, run_id: str | None = None) -> int | None:
    """The newest plan of a school that may be applied; one that this run made goes first. Dry runs are left out."""
    own = case((plan.c.run_id == run_id, 0), else_=1)
    found = (
        select(plan.c.id)
        .where(plan.c.school_id == school_id, plan.c.state == "planned", plan.c.dry_run.is_(False))
        .where(plan.c.person_id.is_(None))
        .order_by(own, plan.c.id.desc())
        .limit(1)
    )
    return connection.scalar(found)
