"""Decisions of people that last beyond one plan: announced leavers, and exemptions.

An announcement names people of a school and a day. It archives nobody. It says that we expect the person to be absent
(`planning/plan.py`), so guards do not count these people once they are gone.

An exemption is a change that somebody took out of a held plan, and that no later sync makes either. It names the kind
of change, and a person, or the records of somebody who is not in the directory yet. It ends by itself once the SIS no
longer asks for that change (`planning/plan.py`), or if somebody takes it back.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Row, text

from roster_pipeline.directory import audit
from roster_pipeline.directory.approvals import waiting_of
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.pg_copy import Kind, read_frame
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.vocabulary import CHANGING

SYNC = "the sync"
NO_LONGER_ASKED = "the SIS no longer asks for this change"
"""Who ends an exemption that nobody took back, and why."""
STAYS = timedelta(days=30)
"""How long after its day an announcement counts: a school that syncs nightly has new usual sizes after two weeks."""
MOST_SHOWN = 50
"""How many exemptions a page lists."""
ANNOUNCE = """
insert into announced_leaver (district_id, school_id, person_id, day, who, reason)
select :district, :school, person, :day, :who, :reason from unnest(cast(:people as bigint[])) person
on conflict (district_id, school_id, person_id)
do update set day = excluded.day, who = excluded.who, reason = excluded.reason, at = now()
"""
LEAVERS_OF_SCHOOL = """
select a.person_id, nullif(concat_ws(' ', p.given_name, p.family_name), '') as name, m.role, m.status, a.day, a.who,
       a.reason, a.at, count(*) over () as total
from announced_leaver a
join membership m using (district_id, school_id, person_id)
join person p on p.id = a.person_id and p.district_id = a.district_id
where a.school_id = :school order by a.day, lower(p.family_name), p.id limit :limit offset :offset
"""
LEAVER_OF_PERSON = """
select s.key as school, a.day, a.who, a.reason, a.at from announced_leaver a join school s on s.id = a.school_id
where a.district_id = :district and a.person_id = :person order by a.at, s.key
"""
IN_FORCE = """
select person_id from announced_leaver where school_id = :school and :today between day and day + :stays
"""
EXEMPTION_COLUMNS: dict[str, Kind] = {
    "id": "int", "action": "text", "person_id": "int", "sourced_ids": "json", "changes": "json"
}  # fmt: skip
EXEMPT = """
with chosen as (
    update plan_row r set exempted = true from verdict v
    where r.plan_id = :plan and r.row = any(cast(:rows as bigint[])) and not r.exempted
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
returning action, person_id
"""
EXEMPTIONS_OF_SCHOOL = """
select e.id, e.action, e.role, e.person_id, nullif(concat_ws(' ', p.given_name, p.family_name), '') as name,
       e.sourced_ids, e.who, e.reason, e.at, count(*) over () as total
from exemption e left join person p on p.id = e.person_id and p.district_id = e.district_id
where e.school_id = :school order by e.id desc limit :limit
"""
EXEMPTIONS_OF_PERSON = """
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
delete from exemption where school_id = :school and (:every or id = any(cast(:ids as bigint[])))
returning action, person_id
"""


def announcement_has_ended(day: date, today: date) -> bool:
    return today > day + STAYS


def announce_leavers(
    conn: Connection, school: SchoolRow, people: Collection[int], day: date, who: str, reason: str
) -> int:
    """Note that active people of a school leave on a day; a newer announcement replaces an older one."""
    conn.execute(text(ANNOUNCE), school.ids | {"people": sorted(people), "day": day, "who": who, "reason": reason})
    details = {"people": len(people), "day": day.isoformat(), "persons": {"leave": sorted(people)}}
    audit.record(conn, who, "leavers announced", school=school, reason=reason, details=details)
    return len(people)


def withdraw_leavers(conn: Connection, school: SchoolRow, people: Collection[int] | None, who: str) -> int:
    """Take announcements back, those of some people or all of a school. Returns how many."""
    query = (
        "delete from announced_leaver where school_id = :school "
        "and (:every or person_id = any(cast(:people as bigint[]))) returning person_id"
    )
    given = {"school": school.id, "every": people is None, "people": sorted(people or ())}
    done = sorted(conn.scalars(text(query), given))
    if done:
        details = {"people": len(done), "persons": {"leave": done}}
        audit.record(conn, who, "leavers withdrawn", school=school, details=details)
    return len(done)


def leavers_of_school(conn: Connection, school_id: int, *, limit: int = 50, offset: int = 0) -> Sequence[Row[Any]]:
    """The announced leavers of a school, by day and name. status: of the membership. total: of the school."""
    given = {"school": school_id, "limit": limit, "offset": offset}
    return conn.execute(text(LEAVERS_OF_SCHOOL), given).all()


def announcements_of_person(conn: Connection, district_id: int, person_id: int) -> Sequence[Row[Any]]:
    """The announcements of one person, of each school (its key) at most one, also those that have ended."""
    given = {"district": district_id, "person": person_id}
    return conn.execute(text(LEAVER_OF_PERSON), given).all()


def leavers_in_force(conn: Connection, school_id: int, today: date) -> frozenset[int]:
    """People whose announcement counts today: it counts from its day on, for `STAYS`."""
    given = {"school": school_id, "today": today, "stays": STAYS.days}
    return frozenset(conn.scalars(text(IN_FORCE), given))


class NothingExempted(DirectoryError):
    """None of the rows waits for a decision."""

    def __init__(self, plan_id: int) -> None:
        super().__init__(f"None of these rows of plan {plan_id} is held.", "Choose among the rows that are held.")


def exempt(
    conn: Connection, plan_id: int, rows: Collection[int], who: str, reason: str, *, plan_hash: str | None = None
) -> int:
    """Take held rows (numbers) out of this and all later plans. Returns how many. Raises PlanChanged, NothingHeld,
    NothingExempted, UnknownPlan."""
    waiting = waiting_of(conn, plan_id, plan_hash)
    given = {"plan": plan_id, "rows": sorted(rows), "changing": list(CHANGING), "who": who, "reason": reason}
    done = conn.execute(text(EXEMPT), given).all()
    if not done:
        raise NothingExempted(plan_id)
    head = conn.execute(text("select district_id, school_id from plan where id = :plan"), given).one()
    details = {"plan": plan_id, "hash": waiting[0].hash, "rows": len(done), "persons": _persons(done)}
    audit.record(conn, who, "rows exempted", reason=reason, details=details, **head._asdict())
    return len(done)


def exemptions_of_school(conn: Connection, school_id: int) -> Sequence[Row[Any]]:
    """The newest changes that no sync of a school makes, because somebody exempted them. total: of the school."""
    return conn.execute(text(EXEMPTIONS_OF_SCHOOL), {"school": school_id, "limit": MOST_SHOWN}).all()


def exemptions_of_person(conn: Connection, district_id: int, person_id: int) -> Sequence[Row[Any]]:
    """The changes of a person that somebody exempted, oldest first. fields: those of an update."""
    return conn.execute(text(EXEMPTIONS_OF_PERSON), {"district": district_id, "person": person_id}).all()


def take_back_exemptions(
    conn: Connection, school: SchoolRow, ids: Collection[int] | None, who: str, reason: str
) -> int:
    """End exemptions of a school, all or these; the next sync plans them again. Returns how many."""
    given: dict[str, Any] = {"school": school.id, "every": ids is None, "ids": sorted(ids or ())}
    done = conn.execute(text(TAKE_BACK), given).all()
    if done:
        details = {"rows": len(done), "persons": _persons(done)}
        audit.record(conn, who, "exemptions taken back", school=school, reason=reason, details=details)
    return len(done)


def _persons(rows: Iterable[Row[Any]]) -> dict[str, list[int]]:
    """The numbers of the people of these exemptions, by kind of change. Records without a person are left out."""
    persons: dict[str, list[int]] = {}
    for row in rows:
        if row.person_id is not None:
            persons.setdefault(row.action, []).append(row.person_id)
    return {action: sorted(people) for action, people in persons.items()}


def load_exemptions(conn: Connection, school_id: int) -> pd.DataFrame:
    """The exemptions of a school, for planning: the columns of `EXEMPTION_COLUMNS`, one row per exemption."""
    query = (
        "select id, action, person_id, array_to_json(sourced_ids), changes from exemption "
        "where school_id = {school} order by id"
    )
    return read_frame(conn, query, EXEMPTION_COLUMNS, school=school_id)


def end_exemptions(conn: Connection, school: SchoolRow, ids: Collection[int]) -> None:
    """Forget exemptions of changes that the SIS no longer asks for."""
    if ids:
        done = conn.execute(text(TAKE_BACK), {"school": school.id, "every": False, "ids": sorted(ids)}).all()
        details = {"rows": len(done), "persons": _persons(done)}
        audit.record(conn, SYNC, "exemptions ended", school=school, reason=NO_LONGER_ASKED, details=details)
