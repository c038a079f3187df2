"""The summary of one sync, a school's newest snapshot and plan, and the good snapshots with which tonight's snapshot is
compared.

A summary has counts and ids of rules, never a value of a person. A step uses the snapshot and the plan of its own run.
If there is none, it uses the newest of the school.

A snapshot is good if its sync held nothing and was not rolled back, and if no guard found it unusual. The last
condition is needed because a wrong snapshot that changes nobody holds nothing either, and after some nights its size
would be the usual size.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, bindparam, case, func, select, text, true

from roster_pipeline.directory import tenants
from roster_pipeline.directory.held_plans import claimed_of_school
from roster_pipeline.directory.ledger import HAS_SYNCED
from roster_pipeline.directory.plans import WAITS, of_data_after
from roster_pipeline.directory.tables import outbox, plan, school, snapshot, sync
from roster_pipeline.settings.school import SchoolSettings

ONE_PERSON = "one_person"
"""A value in the proof of a snapshot that has the records of the snapshot before, with newer records of one person."""
HISTORY = 7
"""The usual size of a role is the median of this many good snapshots."""
_GOOD = """
select {} as one, s.id from snapshot s
where s.school_id = :school and s.complete and s.mode <> 'delta' and s.counts ? 'roles'
  and exists (
    select from sync y
    where y.school_id = s.school_id and y.snapshot_id = s.id and y.outcome <> 'held'
      and not exists (select from sync u where u.school_id = y.school_id and u.undoes = y.id) and not exists (
        select from verdict v
        cross join lateral jsonb_array_elements(v.findings) f
        where v.plan_id = y.plan_id and v.sync_id is null
          and (v.action = 'create' and f ->> 'guard' = any(:unusual) or f ->> 'guard' = {})))
order by s.id desc limit {}
"""
UNUSUAL = ("people_missing", "strangers", "empty_role", "no_orgs", "shrunk_role", "rejected")
"""Guards that look at the received data, not at the changes. They hold everything, also creations. An approval settles
their findings, and then the snapshot is good."""
LOSSES = ("archivals", "archive_most", "slow_loss", "shrunk_role")
"""Guards that hold archivals for how many they are. An approval of them settles the size of the roles too."""
UNLIKE_BEFORE = "unlike_before"
"""If this guard found something in a night, later nights are not compared with that night until somebody approves
it."""


_NEWEST_FIRST = "coalesce((select jsonb_agg(g.one order by g.id desc) from ({}) g), '[]'::jsonb)"
_ROLES = f"""jsonb_build_object('id', s.id, 'roles', s.counts -> 'roles', 'approved', exists (
    select from sync y join verdict v on v.plan_id = y.plan_id cross join lateral jsonb_array_elements(v.findings) f
    where y.school_id = s.school_id and y.snapshot_id = s.id and v.sync_id is not null
      and (v.action = 'create' and f ->> 'guard' = any(:unusual)
           or v.action = 'archive' and f ->> 'guard' = any(:losses)) and not exists (
        select from verdict v where v.plan_id = y.plan_id and {WAITS})))"""  # noqa: S608
"""approved: the data looked unusual or many went, and somebody approved all that was held. Earlier sizes do not count
then."""
BEFORE = f"""
select t.*, {_NEWEST_FIRST.format(_GOOD.format(_ROLES, ":nothing", ":n"))} as roles,
    {_NEWEST_FIRST.format(_GOOD.format("s.proof", ":besides", ":proofs"))} as proofs,
    {HAS_SYNCED} as synced, exists (
        select from snapshot e where e.school_id = t.school_id and e.id < t.id
        and (e.roster_id, e.roster_version) = (t.roster_id, t.roster_version)
    ) as roster_again,
    (select coalesce(jsonb_object_agg(w.sourced_id, w.answer), '{{}}'::jsonb) from witness w
     where w.snapshot_id = t.id) as answers
from snapshot t where t.id = :snapshot
"""  # noqa: S608 - put together here are our own queries


_SAME = ("plan_id", "kind", "at", "run_id", "school_id", "actions", "notes", "verdict", "quality", "rejected")
"""The columns of this query that a summary has as they are."""


@dataclass(frozen=True)
class SyncSummary:
    """One sync as a report shows it.

    actions: (role, action, guard, reason, rows, rows applied by this sync). notes: (role, note, rows). verdict: role,
    action, guard, verdict, rows, findings. quality: the columns of `quality_result`. rejected: collection, field, rule,
    severity, rows. contact_flags: the counts of the snapshot's contacts. previous: the people by role in the snapshot
    of the sync before, and its time; None for a first sync and for a rollback. claimed: how many people of this school
    also came from another connection when the report was first written. undone: for a rollback, role to what was undone
    (or `moved`) to the number of people. linked: for a relink, how many people it linked. The summary of a relink has
    nothing else, because the school is planned again. snapshot: its row; None for a sync without a snapshot. repeats:
    the sync before was of the same pull and held the same, and this one changed nothing.
    """

    sync_id: int
    plan_id: int | None
    kind: str
    at: datetime
    run_id: str | None
    first_sync: bool
    school_id: int
    school_key: str
    school_name: str
    settings: SchoolSettings
    actions: list[dict[str, Any]]
    notes: list[dict[str, Any]]
    verdict: list[dict[str, Any]]
    quality: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    snapshot: dict[str, Any] | None
    roles: dict[str, int]
    contact_flags: dict[str, int]
    previous: tuple[datetime, dict[str, int]] | None
    undone: dict[str, dict[str, int]]
    linked: int
    claimed: int = 0
    repeats: bool = False


def unreported(conn: Connection) -> list[int]:
    """Syncs without a mail in the outbox, oldest first."""
    found = (
        select(sync.c.id)
        .outerjoin(outbox, outbox.c.sync_id == sync.c.id)
        .where(
            outbox.c.id.is_(None), sync.c.report == func.jsonb_build_object(), sync.c.kind.not_in(("person", "upload"))
        )
        .order_by(sync.c.id)
    )
    return list(conn.scalars(found))


def latest_sync(conn: Connection, school_key: str) -> int | None:
    """The newest sync of a school; syncs of one person are not reported, so they are left out."""
    found = select(func.max(sync.c.id)).join(school, school.c.id == sync.c.school_id)
    found = found.where(school.c.key == school_key, sync.c.kind.not_in(("person", "upload")))
    newest: int | None = conn.scalar(found)
    return newest


def mark_reported(conn: Connection, sync_id: int, report: dict[str, Any]) -> None:
    """Store the report as data with its sync. A sync with a report is not reported again."""
    conn.execute(sync.update().where(sync.c.id == sync_id).values(report=report))


def sync_summary(conn: Connection, sync_id: int) -> SyncSummary:
    """The content of a report on this sync, in one statement, because every sync of every school needs it."""
    head = conn.execute(text(SUMMARY), {"sync": sync_id}).mappings().one()
    relink = head["kind"] == "relink"
    shot = {name: head[f"snapshot_{name}"] for name in _SNAPSHOT} if head["snapshot_id"] is not None else None
    claimed = 0
    if head["kind"] == "sync":
        claimed = head["report"].get("claimed", 0) if head["report"] else claimed_of_school(conn, head["school_id"])
    return SyncSummary(
        sync_id=sync_id,
        **{name: head[name] for name in _SAME},
        first_sync=bool(head["first_sync"]),
        school_key=head["key"],
        school_name=head["name"],
        settings=SchoolSettings.model_validate(head["settings"]),
        snapshot=shot,
        roles=dict(shot["counts"].get("roles", {})) if shot else {},
        contact_flags=dict(shot["counts"].get("flags", {})) if shot else {},
        previous=(head["previous_at"], dict(head["previous_roles"] or {})) if head["previous_at"] and shot else None,
        undone=dict(head["counts"]) if head["kind"] == "rollback" else {},
        linked=sum(of.get("link", 0) for of in head["counts"].values()) if relink else 0,
        claimed=claimed,
        repeats=bool(head["same_data"]) and not any(one["applied"] for one in head["actions"]),
    )


def _list(query: str) -> str:
    """The rows of a query as one list value; [] if it has no rows."""
    return f"(select coalesce(jsonb_agg(to_jsonb(one)), '[]'::jsonb) from ({query}) one)"  # noqa: S608 - our own


_ACTIONS = """
select role, action, guard, reason, sum(rows) as rows, sum(applied) as applied, sum(applied_ever) as applied_ever
from (
    select r.role, case when r.exempted then 'skip' else r.action end as action, r.guard,
        case when r.exempted then 'exempted' else r.reason end as reason, count(*) as rows,
        count(*) filter (where v.sync_id = y.id and r.witness is distinct from 'here') as applied,
        count(*) filter (where v.sync_id is not null and r.witness is distinct from 'here') as applied_ever
    from plan_row r left join verdict v using (plan_id, role, action, guard)
    where r.plan_id = p.id group by 1, 2, 3, 4
    union all
    select role, 'unchanged', '', 'equal', cardinality(array_remove(people, null)), 0, 0 from plan_unchanged
    where plan_id = p.id
) kinds
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
_NOTES = """
select r.role, note, count(*) as rows from plan_row r cross join string_to_table(r.notes, ' ') note
where r.plan_id = p.id and r.notes is not null group by 1, 2 order by 1, 2
"""
"""For the rows of the plan: whether they were applied or wait."""
_VERDICT = "select v.role, v.action, v.guard, v.verdict, v.rows, v.findings from verdict v where v.plan_id = p.id"
_QUALITY = """
select q.rule, q.role, q.check_name, q.severity, q.passed, q.tested, q.failed from quality_result q
where q.snapshot_id = t.id
"""
_REJECTED = """
select j.collection, j.field, j.rule, j.severity, count(*) as rows from rejected_record j
where j.snapshot_id = t.id group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
_SNAPSHOT = tuple(column.name for column in snapshot.c)
SUMMARY = f"""
select y.plan_id, y.kind, y.at, y.run_id, y.counts, y.report, y.school_id, s.key, s.name, s.settings, p.first_sync,
    b.at as previous_at, b.roles as previous_roles, {", ".join(f"t.{name} as snapshot_{name}" for name in _SNAPSHOT)},
    y.kind = 'sync' and (b.pull_id, b.held) = (t.pull_id, y.held) as same_data,
    {_list(_ACTIONS)} as actions, {_list(_NOTES)} as notes, {_list(_VERDICT)} as verdict,
    {_list(_QUALITY)} as quality, {_list(_REJECTED)} as rejected
from sync y
join school s on s.id = y.school_id
left join plan p on p.id = y.plan_id and y.kind <> 'relink'
left join snapshot t on t.id = y.snapshot_id and y.kind <> 'relink'
left join lateral (
    select e.at, e.held, c.pull_id, c.counts -> 'roles' as roles from sync e join snapshot c on c.id = e.snapshot_id
    where e.school_id = y.school_id and e.id < y.id and e.kind = 'sync' order by e.id desc limit 1
) b on true
where y.id = :sync
"""  # noqa: S608 - put together here are our own queries


def latest_snapshot(
    conn: Connection, school_key: str, run_id: str | None = None
) -> tuple[tenants.SchoolRow, dict[str, Any] | None]:
    """A school, and its newest snapshot as `snapshots.facts` has it. A snapshot that this run took comes first, unless
    a sync has used newer data meanwhile. A snapshot of a single person does not count. Raises UnknownKey."""
    row = conn.execute(_schools_newest(), {"school_key": school_key, "run_id": run_id}).mappings().first()
    if row is None:
        raise tenants.UnknownKey("school", school_key)
    facts = {name: row[f"last_{name}"] for name in snapshot.c.keys()} if row["last_id"] is not None else None  # noqa: SIM118
    return tenants.school_of(row), facts


@cache
def _schools_newest() -> Select[Any]:
    """The query of `latest_snapshot`. Cached: each sync runs it twice, and building it takes longer than running it."""
    own_run = snapshot.c.run_id.is_not_distinct_from(bindparam("run_id", type_=snapshot.c.run_id.type))
    own = case((own_run & ~of_data_after(snapshot.c.id).exists(), 0), else_=1)
    whole = snapshot.c.proof[ONE_PERSON].is_(None)
    newest = select(snapshot).where(snapshot.c.school_id == school.c.id, whole)
    order = (own, snapshot.c.pull_id.desc().nulls_last(), snapshot.c.id.desc())
    last = newest.order_by(*order).limit(1).lateral("last")
    query = tenants.schools_query().add_columns(*(column.label(f"last_{column.name}") for column in last.c))
    return query.outerjoin(last, true()).where(school.c.key == bindparam("school_key"))


def latest_plan(conn: Connection, school_key: str, run_id: str | None = None) -> int | None:
    """The newest plan of a school that may be applied. A plan that this run made comes first. Dry runs are left out."""
    own = case((plan.c.run_id == run_id, 0), else_=1)
    found = (
        select(plan.c.id)
        .join(school, school.c.id == plan.c.school_id)
        .where(school.c.key == school_key, plan.c.state == "planned", plan.c.dry_run.is_(False))
        .where(plan.c.person_id.is_(None))
        .order_by(own, plan.c.id.desc())
        .limit(1)
    )
    return conn.scalar(found)


@dataclass(frozen=True)
class History:
    """facts: the snapshot to plan. roles: for each id of a good snapshot, its people per role; the newest comes last.
    proofs: the proofs of completeness of the last good snapshots, newest first. first_sync: no sync ever changed
    anybody. roster_again: an earlier snapshot has the same roster. answers: the answers of the SIS about single people
    of this snapshot, by sourcedId."""

    facts: dict[str, Any]
    roles: pd.DataFrame
    proofs: list[dict[str, Any]]
    first_sync: bool
    roster_again: bool
    answers: dict[str, str]


def history_of(conn: Connection, school_id: int, snapshot_id: int, *, proofs: int = 0) -> History:
    """The facts of earlier nights that planning needs, read with one statement. proofs: how many good snapshots give
    their proof."""
    given = {"school": school_id, "snapshot": snapshot_id, "n": HISTORY, "proofs": proofs}
    given_too = {"unusual": list(UNUSUAL), "losses": list(LOSSES), "besides": UNLIKE_BEFORE, "nothing": ""}
    row = conn.execute(text(BEFORE), given | given_too).mappings().one()
    approved = next((place for place, one in enumerate(row["roles"]) if one["approved"]), HISTORY)
    good = row["roles"][: approved + 1][::-1]
    return History(
        facts={name: row[name] for name in snapshot.c.keys()},  # noqa: SIM118 - no mapping
        roles=pd.DataFrame([one["roles"] for one in good], index=[one["id"] for one in good]).fillna(0),
        proofs=row["proofs"],
        first_sync=not row["synced"],
        roster_again=row["roster_again"],
        answers=row["answers"],
    )
