"""The ledger: all syncs, and what each of them changed in which person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.members import numbers_of
from roster_pipeline.directory.tables import change_log, school, sync

HAS_SYNCED = """exists (
    select from sync where school_id = :school and kind not in ('rollback', 'upload') and (outcome = 'applied'
        or (outcome = 'held' and exists (select from change_log l where l.sync_id = sync.id))))"""


class UnknownSync(DirectoryError):
    """There is no sync with this number."""

    def __init__(self, sync_id: int) -> None:
        super().__init__(f"There is no sync {sync_id}.", "See which there were: roster history")


@dataclass(frozen=True)
class SyncRow:
    """One line of the ledger. kind: sync, approval, relink, rollback, person or upload.

    counts and held: role to action to rows.

    report: the report that was stored with the sync; {} if there is none.
    """

    id: int
    district_id: int
    school_id: int
    school: str
    kind: str
    plan_id: int | None
    snapshot_id: int | None
    undoes: int | None
    outcome: str
    counts: dict[str, dict[str, int]]
    held: dict[str, dict[str, int]]
    who: str
    at: datetime
    run_id: str | None
    undone_by: int | None
    report: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One row of the change log; `before` and `after` are whole rows, so they hold a person's data."""

    position: int
    at: datetime
    sync_id: int | None
    entity: str
    operation: str
    person_id: int
    school: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def history(
    conn: Connection, *, school_id: int | None = None, district_id: int | None = None, limit: int = 50
) -> list[SyncRow]:
    """Syncs, newest first."""
    query = _syncs().order_by(sync.c.id.desc()).limit(limit)
    if school_id is not None:
        query = query.where(sync.c.school_id == school_id)
    if district_id is not None:
        query = query.where(sync.c.district_id == district_id)
    return [SyncRow(**row) for row in conn.execute(query).mappings()]


def get_sync(conn: Connection, sync_id: int) -> SyncRow:
    """One sync. Raises UnknownSync."""
    found = conn.execute(_syncs().where(sync.c.id == sync_id)).mappings().first()
    if found is None:
        raise UnknownSync(sync_id)
    return SyncRow(**found)


def syncs(conn: Connection, sync_ids: Iterable[int]) -> dict[int, SyncRow]:
    """The syncs with these numbers, by number. A number without a sync is left out."""
    query = _syncs().where(sync.c.id.in_(sorted(set(sync_ids))))
    return {row["id"]: SyncRow(**row) for row in conn.execute(query).mappings()}


def sync_of_plan(conn: Connection, plan_id: int) -> SyncRow | None:
    """The newest sync that applied a plan, or a part of it; also one that left everything to a decision."""
    query = _syncs().where(sync.c.plan_id == plan_id, sync.c.kind.in_(("sync", "approval")))
    found = conn.execute(query.order_by(sync.c.id.desc()).limit(1)).mappings().first()
    return None if found is None else SyncRow(**found)


def changes_of_person(conn: Connection, district_id: int, person_id: int) -> list[Change]:
    """All changes of one person, and of those who were merged into them: by syncs and by hand, in order."""
    people = numbers_of(conn, person_id)
    query = _changes().where(change_log.c.district_id == district_id, change_log.c.person_id.in_(people))
    return [Change(**row) for row in conn.execute(query.order_by(change_log.c.position)).mappings()]


def has_synced(conn: Connection, school_id: int) -> bool:
    """Whether a sync ever changed anybody of this school.

    A sync that waits for approval has changed nobody, and a sync that brought no people has not either. So the next
    sync that would change somebody is still the first sync.
    """
    return bool(conn.scalar(text(f"select {HAS_SYNCED}"), {"school": school_id}))


def has_run(conn: Connection, run_id: str) -> bool:
    """Whether a Dagster run has committed a sync."""
    return conn.scalar(select(sync.c.id).where(sync.c.run_id == run_id).limit(1)) is not None


def _syncs() -> Select[Any]:
    later = sync.alias("later")
    undone = select(func.max(later.c.id)).where(later.c.undoes == sync.c.id).scalar_subquery()
    return select(sync, school.c.key.label("school"), undone.label("undone_by")).join(
        school, school.c.id == sync.c.school_id
    )


def _changes() -> Select[Any]:
    shown = ("position", "at", "sync_id", "entity", "operation", "person_id", "before", "after")
    return select(*(change_log.c[name] for name in shown), school.c.key.label("school")).outerjoin(
        school, school.c.id == change_log.c.school_id
    )
