"""Held plans for people who decide: which wait, over many schools at once, and what was decided about one.

Who may see what is the caller's to say: by districts and schools, or without either for everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from roster_pipeline.directory.plans import PlanRow

WAITING = """
select p.id as plan_id, p.district_id, p.school_id, s.key as school, s.name as school_name,
       s.settings ->> 'time_zone' as time_zone, p.made_at, p.hash, p.first_sync, sum(v.rows)::int as rows,
       jsonb_agg(jsonb_build_object('role', v.role, 'action', v.action, 'rows', v.rows, 'findings', v.findings)
                 order by v.role, v.action) as kinds,
       count(*) over () as plans, (sum(sum(v.rows)) over ())::int as all_rows
from plan p
join school s on s.id = p.school_id
join verdict v on v.plan_id = p.id
where p.state = 'planned' and not p.dry_run and v.verdict = 'hold' and v.rows > 0 and v.sync_id is null
  and (:everything or p.district_id = any(:districts) or p.school_id = any(:schools))
  and position(:words in lower(s.name || ' ' || s.key)) > 0
  and (cast(:district as bigint) is null or p.district_id = :district)
  and (:guard = '' or v.findings @> jsonb_build_array(jsonb_build_object('guard', cast(:guard as text))))
group by p.id, s.id
order by p.made_at desc, p.id desc limit :limit offset :offset
"""

TIMELINE = """
select a.at, a.decision as what, a.who, a.reason, a.used_by as sync_id, a.lapses_at
from approval a where a.plan_id = :plan
union all
select y.at, y.kind, y.who, null, y.id, null from sync y where y.plan_id = :plan
union all
(select n.made_at, 'newer', null, null, n.id, null from plan n
 where n.school_id = :school and n.id > :plan and not n.dry_run and n.person_id is null and :replaced
 order by n.id limit 1)
order by at, sync_id nulls first
"""


@dataclass(frozen=True)
class HeldPlan:
    """A plan of which something waits. kinds: role, action, rows, findings. plans and all_rows: over all pages."""

    plan_id: int
    district_id: int
    school_id: int
    school: str
    school_name: str
    time_zone: str | None
    made_at: datetime
    hash: str
    first_sync: bool
    rows: int
    kinds: list[dict[str, Any]]
    plans: int
    all_rows: int


@dataclass(frozen=True)
class Event:
    """What became of a plan. what: approve, discard, sync, approval, relink, or newer (then sync_id is a plan's)."""

    at: datetime
    what: str
    who: str | None
    reason: str | None
    sync_id: int | None
    lapses_at: datetime | None

    def lapsed(self, now: datetime) -> bool:
        """An approval that was not used in its time."""
        return self.what == "approve" and self.sync_id is None and self.lapses_at is not None and self.lapses_at <= now


def waiting(
    conn: Connection,
    *,
    districts: Collection[int] | None = None,
    schools: Collection[int] | None = None,
    words: str = "",
    guard: str = "",
    district: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[HeldPlan]:
    """Held plans, newest first. Without districts and schools: of everybody.

    words: part of a school's name or key. guard: only kinds of action that this guard holds. district: only of
    this one.
    """
    given = {
        "everything": districts is None and schools is None,
        "districts": list(districts or ()),
        "schools": list(schools or ()),
        "words": words.strip().lower(),
        "guard": guard,
        "district": district,
        "limit": limit,
        "offset": offset,
    }
    return [HeldPlan(**row) for row in conn.execute(text(WAITING), given).mappings()]


def timeline(conn: Connection, plan: PlanRow) -> list[Event]:
    """What people and syncs did with a plan, oldest first."""
    given = {"plan": plan.id, "school": plan.school_id, "replaced": plan.state == "replaced"}
    return [Event(**row) for row in conn.execute(text(TIMELINE), given).mappings()]


def sync_after(conn: Connection, plan_id: int) -> int | None:
    """The newest sync in which somebody let something of this plan through: an approval or a relink."""
    query = "select max(id) from sync where plan_id = :plan and kind in ('approval', 'relink')"
    return conn.scalar(text(query), {"plan": plan_id})  # type: ignore[no-any-return]
