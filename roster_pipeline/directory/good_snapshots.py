"""The good snapshots of a school, by which tonight's is measured: how large its roles are, how its SIS answers.

A snapshot is good once a sync that held nothing back was made from it, and it was not found to be unusual itself. One
that nobody would be changed by holds nothing back; night after night it would become the usual size all the same.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

HISTORY = 7
"""Good snapshots whose median says how large a role usually is."""
GOOD = """
select {} from snapshot s
where s.school_id = :school and s.complete and s.mode <> 'delta' and s.counts ? 'roles'
  and exists (
    select from sync y
    where y.school_id = s.school_id and y.snapshot_id = s.id and y.outcome <> 'held' and not exists (
        select from verdict v
        cross join lateral jsonb_array_elements(v.findings) f
        where v.plan_id = y.plan_id and v.sync_id is null
          and (v.action = 'create' and f ->> 'guard' = any(:unusual) or f ->> 'guard' = :besides)))
order by s.id desc limit :n
"""
UNUSUAL = ("people_missing", "strangers", "empty_role", "no_orgs", "shrunk_role", "rejected")
"""The guards that look at what came, not at what it would change, where they hold everything, creations too. An
approval settles their findings, and the snapshot is good."""
UNLIKE_BEFORE = "unlike_before"
"""A night that this guard found is no measure of the connection, until somebody approves it."""


def role_history(conn: Connection, school_id: int, n: int = HISTORY) -> pd.DataFrame:
    """People per role of the last good snapshots, newest last: one row each, one column per role."""
    return pd.DataFrame(_of_good(conn, "s.counts -> 'roles'", school_id, n, "")[::-1]).fillna(0)


def good_proofs(conn: Connection, school_id: int, n: int) -> list[dict[str, Any]]:
    """The proofs of completeness of the last good snapshots, newest first."""
    return _of_good(conn, "s.proof", school_id, n, UNLIKE_BEFORE)


def _of_good(conn: Connection, column: str, school_id: int, n: int, besides: str) -> list[Any]:
    given = {"school": school_id, "n": n, "unusual": list(UNUSUAL), "besides": besides}
    return list(conn.scalars(text(GOOD.format(column)), given))
