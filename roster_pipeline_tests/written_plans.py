"""Compares a stored plan with the rows that were planned."""

import json
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory import plans
from roster_pipeline.directory.tenants import SchoolRow

PLAIN = ("action", "reason", "role", "person_id", "matched_by", "notes", "guard", "witness")
STORED = f"select row, {', '.join(PLAIN)}, sourced_ids, new_links, changes from plan_line where plan_id = :plan"
_write = plans.write


def write_and_compare(
    conn: Connection, school: SchoolRow, snapshot_id: int, rows: pd.DataFrame, *more: Any, **also: Any
) -> int:
    """`plans.write`; then `plan_line` has every planned row once, with and without a row of its own."""
    plan_id = _write(conn, school, snapshot_id, rows, *more, **also)
    if also.get("lists_of") is not None:
        query = "select coalesce(sum(cardinality(people)), 0) from plan_unchanged where plan_id = :plan"
        listed = int(conn.scalar(text(query), {"plan": also["lists_of"]}) or 0)
        return _compared(conn, plan_id, rows, len(rows) + listed)
    unchanged = also.get("unchanged")
    if unchanged is not None:  # some of these people have no row here
        own = rows[~also["listed"]]
        return _compared(conn, plan_id, own, len(own) + len(unchanged))
    return _compared(conn, plan_id, rows, len(rows))


def _compared(conn: Connection, plan_id: int, rows: pd.DataFrame, count: int) -> int:
    stored = [dict(one) for one in conn.execute(text(STORED), {"plan": plan_id}).mappings()]
    assert sorted(one.pop("row") for one in stored) == list(range(count))
    planned = [_plain(one) for one in rows.to_dict("records")]
    told = sorted(map(_told, stored))
    assert told == sorted(map(_told, planned)) if len(rows) == count else set(map(_told, planned)) <= set(told)
    return plan_id


def _told(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str)


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    values = {name: None if pd.isna(row[name]) else row[name] for name in PLAIN}
    return values | {name: row[name] for name in ("sourced_ids", "new_links", "changes")}
