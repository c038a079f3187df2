"""The good snapshots of a school, by which tonight's is measured: how large its roles are, how its SIS answers.

A snapshot is good once a sync that held nothing back was made from it, and it was not found to be unusual itself. One
that nobody would be changed by holds nothing back; night after night it would become the usual size all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory.ledger import HAS_SYNCED
from roster_pipeline.directory.tables import snapshot

HISTORY = 7
"""Good snapshots whose median says how large a role usually is."""
_GOOD = """
select {} as one, s.id from snapshot s
where s.school_id = :school and s.complete and s.mode <> 'delta' and s.counts ? 'roles'
  and exists (
    select from sync y
    where y.school_id = s.school_id and y.snapshot_id = s.id and y.outcome <> 'held' and not exists (
        select from verdict v
        cross join lateral jsonb_array_elements(v.findings) f
        where v.plan_id = y.plan_id and v.sync_id is null
          and (v.action = 'create' and f ->> 'guard' = any(:unusual) or f ->> 'guard' = {})))
order by s.id desc limit {}
"""
UNUSUAL = ("people_missing", "strangers", "empty_role", "no_orgs", "shrunk_role", "rejected")
"""The guards that look at what came, not at what it would change, where they hold everything, creations too. An
approval settles their findings, and the snapshot is good."""
UNLIKE_BEFORE = "unlike_before"
"""A night that this guard found is no measure of the connection, until somebody approves it."""


_NEWEST_FIRST = "coalesce((select jsonb_agg(g.one order by g.id desc) from ({}) g), '[]'::jsonb)"
_ROLES = "jsonb_build_object('id', s.id, 'roles', s.counts -> 'roles')"
BEFORE = f"""
select t.*, {_NEWEST_FIRST.format(_GOOD.format(_ROLES, ":nothing", ":n"))} as roles,
    {_NEWEST_FIRST.format(_GOOD.format("s.proof", ":besides", ":proofs"))} as proofs,
    {HAS_SYNCED} as synced,
    (select coalesce(jsonb_object_agg(w.sourced_id, w.answer), '{{}}'::jsonb) from witness w
     where w.snapshot_id = t.id) as answers
from snapshot t where t.id = :snapshot
"""  # noqa: S608 - put together here are our own queries


@dataclass(frozen=True)
class History:
    """facts: the snapshot that is planned. roles: people per role of the last good snapshots, newest last, by id.

    proofs: of completeness, of the last good snapshots, newest first. first_sync: no sync ever changed anybody.
    answers: what the SIS said of single people of this snapshot, by sourcedId.
    """

    facts: dict[str, Any]
    roles: pd.DataFrame
    proofs: list[dict[str, Any]]
    first_sync: bool
    answers: dict[str, str]


def history_of(conn: Connection, school_id: int, snapshot_id: int, *, proofs: int = 0) -> History:
    """What planning wants to know of earlier nights, in one statement. proofs: of how many good snapshots."""
    given = {"school": school_id, "snapshot": snapshot_id, "n": HISTORY, "proofs": proofs}
    given_too = {"unusual": list(UNUSUAL), "besides": UNLIKE_BEFORE, "nothing": ""}
    row = conn.execute(text(BEFORE), given | given_too).mappings().one()
    good = row["roles"][::-1]
    return History(
        facts={name: row[name] for name in snapshot.c.keys()},  # noqa: SIM118 - no mapping
        roles=pd.DataFrame([one["roles"] for one in good], index=[one["id"] for one in good]).fillna(0),
        proofs=row["proofs"],
        first_sync=not row["synced"],
        answers=row["answers"],
    )
