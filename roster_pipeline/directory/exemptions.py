"""Exemptions: single changes that somebody took out of a held plan, and that no later sync makes either.

An exemption names the kind of change, and a person, or the records of somebody who is not in the directory yet. It ends
by itself once the SIS no longer asks for that change (`planning/plan.py`), or if somebody takes it back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.approvals import waiting_of
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.pg_copy import Kind, read_frame
from roster_pipeline.vocabulary import CHANGING

COLUMNS: dict[str, Kind] = {
    "id": "int",
    "action": "text",
    "person_id": "int",
    "sourced_ids": "json",
    "changes": "json",
}
EXEMPT = """
with chosen as (
    update plan_row r set exempted = true from verdict v
    where r.plan_id = :plan and r.row = any(cast(:rows as int[])) and not r.exempted
      and r.action = any(cast(:changing as text[]))
      and v.plan_id = r.plan_id and v.role = r.role and v.action = r.action and v.guard = r.guard
      and v.verdict = 'hold' and v.sync_id is null
    returning r.role, r.action, r.guard, r.person_id, r.sourced_ids, r.changes
), fewer as (
    update verdict v set rows = v.rows - c.rows
    from (select role, action, guard, count(*)::int as rows from chosen group by role, action, guard) c
    where v.plan_id = :plan and v.role = c.role and v.action = c.action and v.guard = c.guard
)
insert into exemption (
    district_id, school_id, connection_id, action, role, person_id, sourced_ids, changes, who, reason
)
select p.district_id, p.school_id, s.connection_id, c.action, c.role, c.person_id, c.sourced_ids,
       case when c.action = 'update' then c.changes end, :who, :reason
from chosen c join plan p on p.id = :plan join snapshot s on s.id = p.snapshot_id
returning id
"""
OF_SCHOOL = """
select e.id, e.action, e.role, e.person_id, nullif(concat_ws(' ', p.given_name, p.family_name), '') as name,
       e.sourced_ids, e.who, e.reason, e.at, count(*) over () as total
from exemption e left join person p on p.id = e.person_id and p.district_id = e.district_id
where e.school_id = :school order by e.id desc limit :limit
"""
OF_PERSON = """
select s.key as school, e.action, coalesce(array(select jsonb_object_keys(e.changes) order by 1), '{}') as fields,
       e.who, e.reason, e.at
from exemption e join school s on s.id = e.school_id
where e.district_id = :district and (e.person_id = :person or (e.person_id is null and exists (
    select from link l
    where l.person_id = :person and l.connection_id = e.connection_id and l.sourced_id = any(e.sourced_ids)
)))
order by e.id
"""
TAKE_BACK = """
delete from exemption where school_id = :school and (:every or id = any(cast(:ids as bigint[]))) returning id
"""


class NothingExempted(DirectoryError):
    """None of the rows waits for a decision."""

    def __init__(self, plan_id: int) -> None:
        super().__init__(f"None of these rows of plan {plan_id} is held.", "Choose among the rows that are held.")


@dataclass(frozen=True)
class Exemption:
    """A change that is not made. name: the name of the person, if the directory knows them. total: the number of
    exemptions of the school, over all pages."""

    id: int
    action: str
    role: str
    person_id: int | None
    name: str | None
    sourced_ids: list[str]
    who: str
    reason: str
    at: datetime
    total: int


@dataclass(frozen=True)
class ExemptedChange:
    """A change of one person that is not made. school: its key. fields: those of an update."""

    school: str
    action: str
    fields: list[str]
    who: str
    reason: str
    at: datetime


def exempt(
    conn: Connection, plan_id: int, rows: Collection[int], who: str, reason: str, *, plan_hash: str | None = None
) -> int:
    """Take held rows, given by their numbers, out of a plan and out of all later plans. Returns how many.

    Raises PlanChanged, NothingHeld, NothingExempted, UnknownPlan.
    """
    waiting = waiting_of(conn, plan_id, plan_hash)
    given = {"plan": plan_id, "rows": sorted(rows), "changing": list(CHANGING), "who": who, "reason": reason}
    done = conn.execute(text(EXEMPT), given).all()
    if not done:
        raise NothingExempted(plan_id)
    head = conn.execute(text("select district_id, school_id from plan where id = :plan"), given).one()
    audit.record(
        conn,
        who=who,
        what="rows exempted",
        district_id=head.district_id,
        school_id=head.school_id,
        reason=reason,
        details={"plan": plan_id, "hash": waiting[0].hash, "rows": len(done)},
    )
    return len(done)


def of_school(conn: Connection, school_id: int, *, limit: int = 50) -> list[Exemption]:
    """The changes that no sync of a school makes, because somebody exempted them; newest first."""
    rows = conn.execute(text(OF_SCHOOL), {"school": school_id, "limit": limit}).mappings()
    return [Exemption(**row) for row in rows]


def of_person(conn: Connection, district_id: int, person_id: int) -> list[ExemptedChange]:
    """The changes of a person that somebody exempted, oldest first."""
    rows = conn.execute(text(OF_PERSON), {"district": district_id, "person": person_id}).mappings()
    return [ExemptedChange(**row) for row in rows]


def take_back(
    conn: Connection, district_id: int, school_id: int, ids: Collection[int] | None, who: str, reason: str
) -> int:
    """End exemptions of a school, all or those with these numbers; the next sync plans these changes again.

    Returns how many.
    """
    given: dict[str, Any] = {"school": school_id, "every": ids is None, "ids": sorted(ids or ())}
    done = len(conn.execute(text(TAKE_BACK), given).all())
    if done:
        details = {"rows": done}
        owner = {"district_id": district_id, "school_id": school_id}
        audit.record(conn, who=who, what="exemptions taken back", reason=reason, details=details, **owner)
    return done


def load(conn: Connection, school_id: int) -> pd.DataFrame:
    """The exemptions of a school, for planning: the columns of `COLUMNS`, one row per exemption."""
    query = (
        "select id, action, person_id, array_to_json(sourced_ids), changes from exemption "
        "where school_id = {school} order by id"
    )
    return read_frame(conn, query, COLUMNS, school=school_id)


def end(conn: Connection, ids: Collection[int]) -> None:
    """Forget exemptions of changes that the SIS no longer asks for."""
    if ids:
        conn.execute(text("delete from exemption where id = any(cast(:ids as bigint[]))"), {"ids": sorted(ids)})
