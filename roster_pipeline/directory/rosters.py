"""Cleaned rosters, what was rejected, and the quality of both; each belongs to one snapshot and is written whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Connection, cast, delete, text, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.pg_copy import Kind, copy_frame, read_frame
from roster_pipeline.directory.tables import (
    cleaned_roster,
    excluded_contact,
    quality_result,
    rejected_record,
    snapshot,
)

_ROSTER: dict[str, Kind] = {
    column.name: {"INTEGER": "int", "BOOLEAN": "bool"}.get(str(column.type), "text")  # type: ignore[misc]
    for column in cleaned_roster.columns
    if column.name != "snapshot_id"
}
_QUALITY: dict[str, Kind] = {
    "rule": "text",
    "role": "text",
    "check_name": "text",
    "severity": "text",
    "passed": "bool",
    "tested": "int",
    "failed": "int",
}
_EXCLUDED: dict[str, Kind] = {"sourced_id": "text", "student_id": "text"}
_REJECTED: dict[str, Kind] = dict.fromkeys(("collection", "sourced_id", "field", "rule", "severity", "role"), "text")


def write(
    conn: Connection,
    snapshot_id: int,
    roster: pd.DataFrame,
    rejected: pd.DataFrame,
    excluded: pd.DataFrame | None = None,
    *,
    quality: pd.DataFrame | None = None,
    counts: Mapping[str, Any] | None = None,
) -> None:
    """Write a snapshot's roster, rejections and quality results, in the place of what an earlier run wrote.

    roster: the columns of `cleaned_roster`, one row per record. rejected: collection, sourced_id, field, rule,
    severity, role. excluded: sourced_id and student_id of contacts that nobody may call. quality: rule, role,
    check_name, severity, passed, tested, failed. counts: what is added to the counts of the snapshot; `roles` (role to
    people) is what later nights are compared with.
    """
    added = snapshot.c.counts.op("||")(cast(dict(counts or {}), JSONB))
    replaced = update(snapshot).where(snapshot.c.id == snapshot_id).values(counts=added)
    written = (
        (cleaned_roster, roster), (rejected_record, rejected), (excluded_contact, excluded), (quality_result, quality)
    )  # fmt: skip
    earlier = [delete(table).where(table.c.snapshot_id == snapshot_id).cte(f"no_{table.name}") for table, _ in written]
    conn.execute(replaced.add_cte(*earlier))
    for table, frame in written:
        if frame is not None and len(frame):
            copy_frame(conn, table, frame, {"snapshot_id": snapshot_id})


def has_record(conn: Connection, school_ids: Sequence[int], sourced_id: str) -> bool:
    """Whether the newest snapshot of one of these schools has this record as one of the school's own."""
    query = (
        "select exists (select from unnest(cast(:schools as bigint[])) s (id) cross join lateral "
        "(select id from snapshot where school_id = s.id order by id desc limit 1) newest "
        "join cleaned_roster c on c.snapshot_id = newest.id and c.sourced_id = :record "
        "and c.record_status <> 'elsewhere')"
    )
    return bool(conn.scalar(text(query), {"schools": list(school_ids), "record": sourced_id}))


def newest_record(
    conn: Connection, connection_id: int, school_ids: Sequence[int], sourced_id: str
) -> dict[str, Any] | None:
    """What the newest snapshot of these schools that has the record says of it, and `taken_at`; None where none has."""
    query = (
        "select s.taken_at, c.* from snapshot s "
        "join cleaned_roster c on c.snapshot_id = s.id and c.sourced_id = :record "
        "where s.connection_id = :connection and s.school_id = any(:schools) order by s.id desc limit 1"
    )
    given = {"connection": connection_id, "schools": list(school_ids), "record": sourced_id}
    row = conn.execute(text(query), given).mappings().first()
    return dict(row) if row else None


def load_excluded(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """sourced_id of the contacts that nobody may call; student_id where that goes for one student alone."""
    return read_frame(
        conn, _query("excluded_contact", _EXCLUDED, "sourced_id, student_id"), _EXCLUDED, snapshot=snapshot_id
    )


def load(conn: Connection, snapshot_id: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Roster and rejections as `write` took them, by sourced_id. Text is `str`, `identity` Int64, `enabled` boolean."""
    roster = read_frame(conn, _query("cleaned_roster", _ROSTER, "sourced_id"), _ROSTER, snapshot=snapshot_id)
    order = "collection, sourced_id, field, rule"
    rejected = read_frame(conn, _query("rejected_record", _REJECTED, order), _REJECTED, snapshot=snapshot_id)
    return roster, rejected


def load_quality(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """The results as `write` took them, by rule and role, and the snapshot_id they belong to."""
    found = read_frame(conn, _query("quality_result", _QUALITY, "rule, role"), _QUALITY, snapshot=snapshot_id)
    return found.assign(snapshot_id=snapshot_id)


def quality_digest(results: pd.DataFrame) -> str | None:
    """A digest of loaded quality results, by which a plan names those that its verdict read; None of no results."""
    return None if results.empty else hashlib.sha256(results.to_csv(index=False).encode()).hexdigest()


def _query(table: str, columns: Mapping[str, Kind], order: str) -> str:
    return f"select {', '.join(columns)} from {table} where snapshot_id = {{snapshot}} order by {order}"  # noqa: S608
