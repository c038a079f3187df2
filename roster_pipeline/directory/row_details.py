"""The rows of one sync's plan for an attachment: what each was to do, what became of it, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

ROWS = """
select r.row, r.action, r.role, r.person_id, r.sourced_ids, r.matched_by, r.reason, r.notes,
       array(select key from jsonb_object_keys(r.changes) key order by key) as fields,
       coalesce(r.changes -> 'given_name' ->> 1, p.given_name) as given_name,
       coalesce(r.changes -> 'family_name' ->> 1, p.family_name) as family_name,
       array_remove(array[p.email, p.username, p.number,
           r.changes -> 'email' ->> 0, r.changes -> 'username' ->> 0, r.changes -> 'number' ->> 0,
           r.changes -> 'email' ->> 1, r.changes -> 'username' ->> 1, r.changes -> 'number' ->> 1], null) as secrets,
       case when v.plan_id is null or r.witness = 'here' or r.exempted then 'left alone'
            when v.sync_id = :sync then 'done' else 'held' end as result
from plan_row r
join plan o on o.id = r.plan_id
left join person p on p.id = r.person_id and p.district_id = o.district_id and r.reason <> 'other_connection'
left join verdict v on v.plan_id = r.plan_id and v.role = r.role and v.action = r.action and v.guard = r.guard
where r.plan_id = :plan and r.action <> 'unchanged' and (v.sync_id is null or v.sync_id = :sync)
order by r.row limit :most
"""
"""Rows that an earlier sync of the same plan applied were in that one's mail."""
COUNT = """
select count(*) from plan_row r
left join verdict v on v.plan_id = r.plan_id and v.role = r.role and v.action = r.action and v.guard = r.guard
where r.plan_id = :plan and r.action <> 'unchanged' and (v.sync_id is null or v.sync_id = :sync)
"""


@dataclass(frozen=True)
class RowDetail:
    """One row. result: done, held or left alone. fields: the names of those that change, without their values.

    Names and `secrets` (e-mail, user name, number; old and new) are there to be masked: they go no further than that.
    """

    row: int
    action: str
    role: str
    person_id: int | None
    sourced_ids: list[str]
    matched_by: str | None
    reason: str
    notes: str | None
    fields: list[str]
    given_name: str | None
    family_name: str | None
    secrets: list[str]
    result: str


def count_rows(conn: Connection, plan_id: int, sync_id: int) -> int:
    """How many rows a sync's attachment would have."""
    return int(conn.scalar(text(COUNT), {"plan": plan_id, "sync": sync_id}) or 0)


def rows_of(conn: Connection, plan_id: int, sync_id: int, most: int) -> Iterator[RowDetail]:
    """Those rows in the plan's order, at most so many."""
    for row in conn.execute(text(ROWS), {"plan": plan_id, "sync": sync_id, "most": most}).mappings():
        yield RowDetail(**row)
