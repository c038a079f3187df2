"""Cleaned rosters, what was rejected, and the quality of both; each belongs to one snapshot and is written whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from sqlalchemy import Connection, cast, delete, select, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.copying import Kind, copy_frame, read_frame
from roster_pipeline.directory.tables import (
    cleaned_roster,
    quality_failure,
    quality_result,
    rejected_record,
    snapshot,
)

_ROSTER: dict[str, Kind] = {
    column.name: {"INTEGER": "int", "BOOLEAN": "bool"}.get(str(column.type), "text")  # type: ignore[misc]
    for column in cleaned_roster.columns
    if column.name != "snapshot_id"
}
_REJECTED: dict[str, Kind] = dict.fromkeys(("collection", "sourced_id", "field", "rule", "severity", "role"), "text")


def write(conn: Connection, snapshot_id: int, roster: pd.DataFrame, rejected: pd.DataFrame) -> None:
    """Write a snapshot's roster and rejections, in the place of what an earlier run wrote.

    roster: the columns of `cleaned_roster`, one row per record. rejected: collection, sourced_id, field, rule,
    severity, role.
    """
    for table, frame in ((cleaned_roster, roster), (rejected_record, rejected)):
        conn.execute(delete(table).where(table.c.snapshot_id == snapshot_id))
        copy_frame(conn, table, frame, {"snapshot_id": snapshot_id})


def load(conn: Connection, snapshot_id: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Roster and rejections as `write` took them, by sourced_id. Text is `str`, `human` Int64, `enabled` boolean."""
    roster = read_frame(conn, _query("cleaned_roster", _ROSTER, "sourced_id"), _ROSTER, snapshot=snapshot_id)
    order = "collection, sourced_id, field, rule"
    rejected = read_frame(conn, _query("rejected_record", _REJECTED, order), _REJECTED, snapshot=snapshot_id)
    return roster, rejected


def write_quality(
    conn: Connection, snapshot_id: int, results: pd.DataFrame, failing: pd.DataFrame | None = None
) -> None:
    """Write a snapshot's quality results, one row per rule, and the failing records (rule, sourced_id)."""
    for table, frame in ((quality_result, results), (quality_failure, failing)):
        conn.execute(delete(table).where(table.c.snapshot_id == snapshot_id))
        if frame is not None:
            copy_frame(conn, table, frame, {"snapshot_id": snapshot_id})


def load_quality(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """rule, check_name, severity, passed, tested, failed; by check and rule."""
    query = (
        select(*(column for column in quality_result.columns if column.name != "snapshot_id"))
        .where(quality_result.c.snapshot_id == snapshot_id)
        .order_by(quality_result.c.check_name, quality_result.c.rule)
    )
    found = conn.execute(query)
    return pd.DataFrame(found.all(), columns=list(found.keys()))


def load_failing(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """rule, sourced_id of the records that failed a rule."""
    columns: dict[str, Kind] = {"rule": "text", "sourced_id": "text"}
    return read_frame(conn, _query("quality_failure", columns, "rule, sourced_id"), columns, snapshot=snapshot_id)


def set_counts(conn: Connection, snapshot_id: int, counts: Mapping[str, Any]) -> None:
    """Add to what is counted of a snapshot; `roles` (role to people) is what later nights are compared with."""
    merged = snapshot.c.counts.op("||")(cast(dict(counts), JSONB))
    conn.execute(update(snapshot).where(snapshot.c.id == snapshot_id).values(counts=merged))


def _query(table: str, columns: Mapping[str, Kind], order: str) -> str:
    return f"select {', '.join(columns)} from {table} where snapshot_id = {{snapshot}} order by {order}"  # noqa: S608
