"""What a report says about one sync, read from the ledger: counts and ids of rules, never a value of a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select, text

from roster_pipeline.directory.claims import claimed_people
from roster_pipeline.directory.tables import (
    outbox,
    plan,
    plan_row,
    quality_result,
    rejected_record,
    school,
    snapshot,
    sync,
    verdict,
)
from roster_pipeline.settings.school import SchoolSettings


@dataclass(frozen=True)
class SyncSummary:
    """One sync for a reader.

    actions: (role, action, guard, reason, rows, rows applied by this sync). notes: (role, note, rows). verdict: role,
    action, guard, verdict, rows, findings. quality: the columns of `quality_result`. rejected: collection, field, rule,
    severity, rows. contact_flags: what was counted of the snapshot's contacts.
    previous: the snapshot's people by role of the sync before, and its time; None on a first one, and on a rollback.
    claimed: people of this school whom another connection also delivers, when the report was written first.
    undone: of a rollback, role to what was undone (or `moved`) to people. linked: of a relink, the people it linked;
    nothing else is told of one, for its plan is made anew. snapshot: its row, None for a sync without one.
    """

    sync_id: int
    plan_id: int | None
    kind: str
    at: datetime
    run_id: str | None
    first_sync: bool
    school_id: int
    school_key: str
    school_name: str
    settings: SchoolSettings
    actions: list[dict[str, Any]]
    notes: list[dict[str, Any]]
    verdict: list[dict[str, Any]]
    quality: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    snapshot: dict[str, Any] | None
    roles: dict[str, int]
    contact_flags: dict[str, int]
    previous: tuple[datetime, dict[str, int]] | None
    undone: dict[str, dict[str, int]]
    linked: int
    claimed: int = 0


def unreported(connection: Connection, school_key: str | None = None) -> list[int]:
    """Syncs without a mail in the outbox, oldest first."""
    found = (
        select(sync.c.id)
        .join(school, school.c.id == sync.c.school_id)
        .outerjoin(outbox, outbox.c.sync_id == sync.c.id)
        .where(outbox.c.id.is_(None), sync.c.report == func.jsonb_build_object(), sync.c.kind != "person")
        .order_by(sync.c.id)
    )
    if school_key is not None:
        found = found.where(school.c.key == school_key)
    return list(connection.scalars(found))


def latest_sync(connection: Connection, school_key: str) -> int | None:
    """The newest sync of a school; those of one person are not reported."""
    found = select(func.max(sync.c.id)).join(school, school.c.id == sync.c.school_id)
    found = found.where(school.c.key == school_key, sync.c.kind != "person")
    newest: int | None = connection.scalar(found)
    return newest


def mark_reported(connection: Connection, sync_id: int, report: dict[str, Any]) -> None:
    """Keep the report as data beside its sync; a sync that has one is not reported again."""
    connection.execute(sync.update().where(sync.c.id == sync_id).values(report=report))


def sync_summary(connection: Connection, sync_id: int) -> SyncSummary:
    """Everything a report on this sync says."""
    head = connection.execute(
        select(sync, school.c.key, school.c.name, school.c.settings)
        .join(school, school.c.id == sync.c.school_id)
        .where(sync.c.id == sync_id)
    ).one()
    relink = head.kind == "relink"
    plan_id, snapshot_id = (None, None) if relink else (head.plan_id, head.snapshot_id)
    shot = connection.execute(select(snapshot).where(snapshot.c.id == snapshot_id)).mappings().one_or_none()
    before = connection.execute(
        select(sync.c.at, snapshot.c.counts)
        .join(snapshot, snapshot.c.id == sync.c.snapshot_id)
        .where(sync.c.school_id == head.school_id, sync.c.id < sync_id, sync.c.kind == "sync")
        .order_by(sync.c.id.desc())
        .limit(1)
    ).one_or_none()
    first = connection.scalar(select(plan.c.first_sync).where(plan.c.id == plan_id))
    return SyncSummary(
        sync_id=sync_id,
        plan_id=head.plan_id,
        kind=head.kind,
        at=head.at,
        run_id=head.run_id,
        first_sync=bool(first),
        school_id=head.school_id,
        school_key=head.key,
        school_name=head.name,
        settings=SchoolSettings.model_validate(head.settings),
        actions=_actions(connection, plan_id, sync_id),
        notes=_notes(connection, plan_id),
        verdict=_rows(connection, select(verdict).where(verdict.c.plan_id == plan_id)),
        quality=_rows(connection, select(quality_result).where(quality_result.c.snapshot_id == snapshot_id)),
        rejected=_rejected(connection, snapshot_id),
        snapshot=dict(shot) if shot else None,
        roles=dict(shot["counts"].get("roles", {})) if shot else {},
        contact_flags=dict(shot["counts"].get("flags", {})) if shot else {},
        previous=(before.at, dict(before.counts.get("roles", {}))) if before and shot else None,
        undone=dict(head.counts) if head.kind == "rollback" else {},
        linked=sum(of.get("link", 0) for of in head.counts.values()) if relink else 0,
        claimed=_claimed(connection, head) if head.kind == "sync" else 0,
    )


def _claimed(connection: Connection, head: Any) -> int:
    told = head.report or {"claimed": claimed_people(connection, head.school_id).get(head.school_id, 0)}
    return int(told.get("claimed", 0))


def _rows(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _actions(connection: Connection, plan_id: int | None, sync_id: int) -> list[dict[str, Any]]:
    stood = plan_row.c.witness.is_distinct_from("here")
    return _rows(
        connection,
        select(
            plan_row.c.role,
            plan_row.c.action,
            plan_row.c.guard,
            plan_row.c.reason,
            func.count().label("rows"),
            func.count().filter(verdict.c.sync_id == sync_id, stood).label("applied"),
            func.count().filter(verdict.c.sync_id.is_not(None), stood).label("applied_ever"),
        )
        .outerjoin(
            verdict, and_(*(verdict.c[name] == plan_row.c[name] for name in ("plan_id", "role", "action", "guard")))
        )
        .where(plan_row.c.plan_id == plan_id)
        .group_by(plan_row.c.role, plan_row.c.action, plan_row.c.guard, plan_row.c.reason)
        .order_by(plan_row.c.role, plan_row.c.action, plan_row.c.guard, plan_row.c.reason),
    )


def _notes(connection: Connection, plan_id: int | None) -> list[dict[str, Any]]:
    """Of the rows of the plan, whether they were applied or wait."""
    query = (
        "select r.role, note, count(*) as rows from plan_row r cross join string_to_table(r.notes, ' ') note "
        "where r.plan_id = :plan and r.notes is not null group by r.role, note order by r.role, note"
    )
    return [dict(row) for row in connection.execute(text(query), {"plan": plan_id}).mappings()]


def _rejected(connection: Connection, snapshot_id: int | None) -> list[dict[str, Any]]:
    columns = (
        rejected_record.c.collection,
        rejected_record.c.field,
        rejected_record.c.rule,
        rejected_record.c.severity,
    )
    return _rows(
        connection,
        select(*columns, func.count().label("rows"))
        .where(rejected_record.c.snapshot_id == snapshot_id)
        .group_by(*columns)
        .order_by(*columns),
    )
