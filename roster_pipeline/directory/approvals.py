"""Approvals: a person allows, with a reason, that the held rows of one plan are applied.

An approval is bound to the plan's hash. It also covers a later plan of the school with the same hash (a re-run of the
same night). One sync can use it. It ends after 72 hours.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, null, text, update

from roster_pipeline.directory import audit, plans
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.tables import approval, plan
from roster_pipeline.vocabulary import approvable, held_place, needs_manager

LAPSES_AFTER = timedelta(hours=72)
"""This is longer than a weekend. After that time, somebody should look again."""

HELD = f"""
select p.id as plan_id, p.school_id, s.key as school, s.name as school_name, p.made_at, p.hash, p.first_sync,
       v.role, v.action, v.rows, v.findings
from plan p
join school s on s.id = p.school_id
join verdict v on v.plan_id = p.id
where p.state = 'planned' and not p.dry_run and {plans.WAITS}
  and p.school_id = coalesce(cast(:school as bigint), p.school_id)
  and p.id = coalesce(cast(:plan as bigint), p.id)
"""  # noqa: S608

COVERING = """
select a.id as approval_id, a.by_manager, a.parts from approval a join plan p on p.id = a.plan_id
where p.school_id = :school and a.plan_hash = :hash and a.decision = 'approve' and a.used_by is null
  and a.lapses_at > :now and a.at <= :now
order by a.by_manager desc, a.id desc limit 1
"""


class NothingHeld(DirectoryError):
    """No row of the plan waits for a decision."""

    def __init__(self, plan_id: int) -> None:
        super().__init__(f"Nothing of plan {plan_id} is held.", "See what is held: roster hold list")


class PlanChanged(DirectoryError):
    """The plan that the person looked at is not the school's plan any more."""

    def __init__(self, plan_id: int) -> None:
        super().__init__(
            f"Plan {plan_id} was replaced by a newer one, or discarded.", "Look at the new plan: roster hold list"
        )


class NotOverridable(DirectoryError):
    """Nobody can decide about these held rows: an incomplete snapshot does not prove that anybody is absent."""

    def __init__(self, plan_id: int, school_key: str) -> None:
        super().__init__(
            f"Nobody can approve or discard the held changes of plan {plan_id}: what the SIS sent does not prove that "
            "these people have left.",
            f"Sync again; only that can clear the hold: roster sync {school_key}",
        )


class ManagerDecides(DirectoryError):
    """Held changes concern people of another connection, and the person who asks manages only this school."""

    def __init__(self, plan_id: int) -> None:
        super().__init__(
            f"Only the district's manager can decide about the held changes of plan {plan_id}, because they concern "
            "people of another connection.",
            "Ask the manager, or somebody who owns every school that has them now.",
        )


Part = tuple[str, str]
"""Role and action: a person can approve each such pair alone."""


@dataclass(frozen=True)
class Approved:
    """An approval that covers a plan. parts: only these; None: all that can be approved."""

    id: int
    by_manager: bool
    parts: frozenset[Part] | None

    def covers(self, role: str, action: str) -> bool:
        """Whether the approval covers this kind of action of this role."""
        return self.parts is None or (role, action) in self.parts


@dataclass(frozen=True)
class Hold:
    """One kind of action of one role that waits for a decision. `overridable`: a person may approve it."""

    plan_id: int
    school_id: int
    school: str
    school_name: str
    made_at: datetime
    hash: str
    first_sync: bool
    role: str
    action: str
    rows: int
    findings: list[dict[str, Any]]

    @property
    def part(self) -> Part:
        """The part that a person can approve alone."""
        return self.role, self.action

    @property
    def overridable(self) -> bool:
        """Whether a person can approve it: every finding must allow that."""
        return approvable(self.findings)

    @property
    def needs_manager(self) -> bool:
        """Whether only the manager of the district may approve it. One finding that needs the manager is enough."""
        return needs_manager(self.findings)


def held(conn: Connection, *, school_id: int | None = None, plan_id: int | None = None) -> list[Hold]:
    """The changes that wait for a person now, by school. Within a school, archivals come first."""
    rows = conn.execute(text(HELD), {"school": school_id, "plan": plan_id})
    found = [Hold(**row) for row in rows.mappings()]
    return sorted(found, key=lambda hold: (hold.school, *held_place(hold.role, hold.action)))


def approve(
    conn: Connection,
    plan_id: int,
    who: str,
    reason: str,
    now: datetime,
    *,
    plan_hash: str | None = None,
    manager: bool = False,
    parts: Collection[Part] | None = None,
) -> int:
    """Approve what is held and overridable; returns the approval's id. Then `apply_plan(..., kind="approval")` applies
    it. manager: whether they may decide what only the district's manager may; if not, those rows stay held. parts:
    None: everything. Raises PlanChanged, NothingHeld (also of these parts), NotOverridable, ManagerDecides,
    UnknownPlan."""
    waiting = [hold for hold in waiting_of(conn, plan_id, plan_hash) if parts is None or hold.part in parts]
    if not waiting:
        raise NothingHeld(plan_id)
    overridable = [hold for hold in waiting if hold.overridable]
    if not overridable:
        raise NotOverridable(plan_id, waiting[0].school)
    approved = [hold for hold in overridable if manager or not hold.needs_manager]
    if not approved:
        raise ManagerDecides(plan_id)
    guards = sorted({str(finding["guard"]) for hold in approved for finding in hold.findings})
    return _decide(conn, plan_id, "approve", who, reason, now, by_manager=manager, guards=guards, parts=parts)


def discard(
    conn: Connection, plan_id: int, who: str, reason: str, now: datetime, *, plan_hash: str | None = None
) -> None:
    """Take a held plan off the list for good. Raises PlanChanged, NothingHeld, UnknownPlan, NotOverridable."""
    waiting = waiting_of(conn, plan_id, plan_hash)
    if not any(hold.overridable for hold in waiting):
        raise NotOverridable(plan_id, waiting[0].school)
    _decide(conn, plan_id, "discard", who, reason, now)
    conn.execute(update(plan).where(plan.c.id == plan_id).values(state="discarded"))


def is_approved(conn: Connection, plan: plans.PlanRow, now: datetime) -> bool:
    """Whether an approval covers a plan now."""
    given = {"school": plan.school_id, "hash": plan.hash, "now": now}
    return conn.execute(text(COVERING), given).first() is not None


def approved_of(row: Mapping[Any, Any]) -> Approved | None:
    """The approval in the columns `approval_id`, `by_manager` and `parts` of a row; None if there is none."""
    if row["approval_id"] is None:
        return None
    parts = None if row["parts"] is None else frozenset((role, action) for role, action in row["parts"])
    return Approved(row["approval_id"], row["by_manager"], parts)


def waiting_of(conn: Connection, plan_id: int, plan_hash: str | None) -> list[Hold]:
    """Lock the district, and return what waits in a plan. Raises PlanChanged, NothingHeld, UnknownPlan."""
    found = plans.get(conn, plan_id)
    lock_district(conn, found.district_id)
    found = plans.get(conn, plan_id)
    if found.state != "planned" or found.dry_run or plan_hash not in (None, found.hash):
        raise PlanChanged(plan_id)
    waiting = held(conn, plan_id=plan_id)
    if not waiting:
        raise NothingHeld(plan_id)
    return waiting


def _decide(
    conn: Connection,
    plan_id: int,
    decision: str,
    who: str,
    reason: str,
    now: datetime,
    *,
    by_manager: bool = False,
    guards: Sequence[str] = (),
    parts: Collection[Part] | None = None,
) -> int:
    plan = plans.get(conn, plan_id)
    chosen = None if parts is None else sorted(map(list, parts))
    row = insert(approval).values(
        plan_id=plan_id, plan_hash=plan.hash, decision=decision, by_manager=by_manager,
        parts=null() if chosen is None else chosen, who=who, reason=reason, at=now, lapses_at=now + LAPSES_AFTER,
    )  # fmt: skip
    approval_id = int(conn.execute(row.returning(approval.c.id)).scalar_one())
    audit.record(
        conn,
        who,
        "hold approved" if decision == "approve" else "hold discarded",
        district_id=plan.district_id,
        school_id=plan.school_id,
        reason=reason,
        details={"plan": plan_id, "hash": plan.hash}
        | ({"guards": list(guards)} if guards else {})
        | ({"parts": [" ".join(part) for part in chosen]} if chosen else {}),
    )
    return approval_id
