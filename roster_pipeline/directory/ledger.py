"""The ledger: all syncs, what each of them changed in which person, and decisions of people that Dagster's history does
not show yet.

A run shows what it changed. An approval, a relink, a rollback or a change of one membership has no run, so the sensor
`report_decisions` reports it. Its row is written with the decision, and dropped once it is reported. The decision
neither waits for Dagster's database nor fails with it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, delete, func, insert, select, text

from roster_pipeline.directory import accounts
from roster_pipeline.directory.accounts import MANAGER, OPERATOR, OWNER
from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.members import numbers_of
from roster_pipeline.directory.tables import change_log, plan, school, sync, unreported_decision, verdict
from roster_pipeline.vocabulary import CHANGING

HAS_SYNCED = """exists (
    select from sync where school_id = :school and kind not in ('rollback', 'upload') and (outcome = 'applied'
        or (outcome = 'held' and exists (select from change_log l where l.sync_id = sync.id))))"""
DecisionKind = Literal[
    "approval", "discard", "relink", "rollback", "one person", "upload", "archival", "restore", "addition"
]
COMMAND_LINE = "command line"
COUNTED = (*CHANGING, "link", "moved")
"""The keys of a sync's counts that are about changes. The other keys count rows that stay as they are."""
IN_PLACE_OF_A_SYNC: Mapping[str, str] = {"archival": "archive", "restore": "restore", "addition": "create"}
"""For decisions about one membership, which are not syncs: their effect on the membership."""


class UnknownSync(DirectoryError):
    """There is no sync with this number."""

    def __init__(self, sync_id: int) -> None:
        super().__init__(f"There is no sync {sync_id}.", "See which there were: roster history")


@dataclass(frozen=True)
class SyncRow:
    """One line of the ledger. counts, held: role to action to rows. report: stored with the sync; {} for none."""

    id: int
    district_id: int
    school_id: int
    school: str
    kind: str
    plan_id: int | None
    snapshot_id: int | None
    undoes: int | None
    outcome: str
    counts: dict[str, dict[str, int]]
    held: dict[str, dict[str, int]]
    who: str
    at: datetime
    run_id: str | None
    undone_by: int | None
    report: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One row of the change log; `before` and `after` are whole rows, so they hold a person's data."""

    position: int
    at: datetime
    sync_id: int | None
    entity: str
    operation: str
    person_id: int
    school: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def history(conn: Connection, *, school_id: int | None = None, limit: int = 50) -> list[SyncRow]:
    """Syncs, newest first."""
    query = _syncs().order_by(sync.c.id.desc()).limit(limit)
    if school_id is not None:
        query = query.where(sync.c.school_id == school_id)
    return [SyncRow(**row) for row in conn.execute(query).mappings()]


def get_sync(conn: Connection, sync_id: int) -> SyncRow:
    """One sync. Raises UnknownSync."""
    row = conn.execute(_syncs().where(sync.c.id == sync_id)).mappings().first()
    if row is None:
        raise UnknownSync(sync_id)
    return SyncRow(**row)


def syncs(conn: Connection, sync_ids: Iterable[int]) -> dict[int, SyncRow]:
    """The syncs with these numbers, by number. A number without a sync is left out."""
    query = _syncs().where(sync.c.id.in_(sorted(set(sync_ids))))
    return {row["id"]: SyncRow(**row) for row in conn.execute(query).mappings()}


def new_sync(conn: Connection) -> int:
    """The number of a sync that begins in this transaction. The change log notes it with every change from now on."""
    number = "select set_config('roster.sync_id', nextval('sync_id_seq')::text, true)"
    return int(conn.execute(text(number)).scalar_one())


def sync_of_plan(conn: Connection, plan_id: int) -> SyncRow | None:
    """The newest sync that applied a plan, or a part of it; also one that left everything to a decision."""
    query = _syncs().where(sync.c.plan_id == plan_id, sync.c.kind.in_(("sync", "approval")))
    row = conn.execute(query.order_by(sync.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else SyncRow(**row)


def changes_of_person(conn: Connection, district_id: int, person_id: int) -> list[Change]:
    """All changes of one person, and of those who were merged into them: by syncs and by hand, in order."""
    people = numbers_of(conn, person_id)
    query = _changes().where(change_log.c.district_id == district_id, change_log.c.person_id.in_(people))
    return [Change(**row) for row in conn.execute(query.order_by(change_log.c.position)).mappings()]


def has_synced(conn: Connection, school_id: int) -> bool:
    """Whether a sync ever changed anybody of this school; if not, the next one is the first sync."""
    return bool(conn.scalar(text(f"select {HAS_SYNCED}"), {"school": school_id}))


def has_run(conn: Connection, run_id: str) -> bool:
    """Whether a Dagster run has committed a sync."""
    return conn.scalar(select(sync.c.id).where(sync.c.run_id == run_id).limit(1)) is not None


def _syncs() -> Select[Any]:
    later = sync.alias("later")
    undone = select(func.max(later.c.id)).where(later.c.undoes == sync.c.id).scalar_subquery()
    return select(sync, school.c.key.label("school"), undone.label("undone_by")).join(
        school, school.c.id == sync.c.school_id
    )


def _changes() -> Select[Any]:
    shown = ("position", "at", "sync_id", "entity", "operation", "person_id", "before", "after")
    return select(*(change_log.c[name] for name in shown), school.c.key.label("school")).outerjoin(
        school, school.c.id == change_log.c.school_id
    )


@dataclass(frozen=True)
class Decision:
    """One decision, without names. by: operator, manager, owner, or the command line. counts: action to changed rows.
    verdict: its open lines; None without a plan, or if a newer one has replaced it."""

    id: int
    school: str
    kind: str
    by: str
    at: datetime
    sync_id: int | None
    plan_id: int | None
    counts: Mapping[str, int]
    verdict: list[dict[str, Any]] | None


def note_decision(
    conn: Connection,
    school_id: int,
    kind: DecisionKind,
    who: str,
    *,
    sync_id: int | None = None,
    plan_id: int | None = None,
) -> None:
    """Note a decision, in its transaction, with the role of `who` only: every user of Dagster can read it."""
    row = insert(unreported_decision).values(school_id=school_id, kind=kind, decided_by=_role(conn, school_id, who))
    conn.execute(row.values(sync_id=sync_id, plan_id=plan_id))


def unreported_decisions(conn: Connection, limit: int) -> list[Decision]:
    """Decisions that were not reported yet, oldest first."""
    query = (
        select(unreported_decision, school.c.key, sync.c.counts)
        .join(school, school.c.id == unreported_decision.c.school_id)
        .outerjoin(sync, sync.c.id == unreported_decision.c.sync_id)
        .order_by(unreported_decision.c.id)
        .limit(limit)
    )
    return [
        Decision(
            row.id,
            row.key,
            row.kind,
            row.decided_by,
            row.at,
            row.sync_id,
            row.plan_id,
            {IN_PLACE_OF_A_SYNC[row.kind]: 1} if row.kind in IN_PLACE_OF_A_SYNC else _summed(row.counts or {}),
            _what_waits(conn, row.school_id, row.plan_id),
        )
        for row in conn.execute(query)
    ]


def note_reported(conn: Connection, ids: Collection[int]) -> None:
    """Forget decisions that were reported."""
    conn.execute(delete(unreported_decision).where(unreported_decision.c.id.in_(ids)))


def _role(conn: Connection, school_id: int, who: str) -> str:
    """The highest role that lets this account decide about the school."""
    found = accounts.find(conn, who)
    if found is None:
        return COMMAND_LINE
    district_id = conn.scalar(select(school.c.district_id).where(school.c.id == school_id))
    return OPERATOR if found.operator else MANAGER if district_id in found.districts else OWNER


def _summed(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    sums = {name: sum(of_role.get(name, 0) for of_role in counts.values()) for name in COUNTED}
    return {name: number for name, number in sums.items() if number}


def _what_waits(conn: Connection, school_id: int, plan_id: int | None) -> list[dict[str, Any]] | None:
    """Unsettled lines of the plan's verdict; None if it is not the last plan that a run made."""
    if plan_id is None:
        return None
    newest = select(plan.c.id, plan.c.state).where(plan.c.school_id == school_id, plan.c.person_id.is_(None))
    last = conn.execute(newest.order_by(plan.c.id.desc()).limit(1)).first()
    if last is None or last.id != plan_id:
        return None
    if last.state != "planned":
        return []
    open_ = select(verdict).where(verdict.c.plan_id == plan_id, verdict.c.sync_id.is_(None))
    return [dict(row) for row in conn.execute(open_.order_by(verdict.c.role, verdict.c.action)).mappings()]
