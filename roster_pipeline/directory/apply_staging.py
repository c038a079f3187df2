"""Which rows of a plan are applied: those that its stored verdict allows, or an approval. Also the SQL that stages
these rows in temporary tables, and the checks that they have not changed since.

All statements from `STAGE` on have the parameters district, school, connection, plan and snapshot. If a statement has
more, its comment names them.
"""

# ruff: noqa: S608 - what is put together here are our own column names

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from roster_pipeline import vocabulary
from roster_pipeline.directory import approvals, plans
from roster_pipeline.directory.database import DirectoryError

JUDGED = f"""
select v.role, v.action, v.guard, v.verdict, v.rows, v.findings, v.sync_id,
       s.connection_id, s.taken_at, s.proof ->> 'version' as version,
       coalesce(s.counts ->> 'masters', '0') <> '0' as masters,
       a.approval_id, a.by_manager, a.parts,
       exists (
           select from sync y join snapshot n on n.id = y.snapshot_id
           where y.school_id = p.school_id and y.kind = 'sync'
               and coalesce((n.pull_id, n.id) > (s.pull_id, s.id), n.id > s.id)) as overtaken,
       exists (select from plan_row r where r.plan_id = :plan and r.action = any(:changing) and not exists (
           select from verdict w
           where w.plan_id = r.plan_id and w.role = r.role and w.action = r.action and w.guard = r.guard)) as missing
from verdict v
join plan p on p.id = v.plan_id
join snapshot s on s.id = p.snapshot_id
left join lateral ({approvals.COVERING}) a on true
where v.plan_id = :plan
"""
"""The verdict of a plan, line by line. Each line also has: whether some rows have no verdict, the approval that covers
the plan, whether newer data were applied, and the source of the snapshot."""
Judged = tuple[str, str, str]
"""The key of one line of the verdict: a role, an action, and the guard that judges these rows alone (or none)."""


class VerdictMissing(DirectoryError):
    """The plan has rows that nobody judged. Such rows are held."""


class NotApproved(DirectoryError):
    """Somebody tried to apply held rows without an approval that covers them."""


def judged_rows(conn: Connection, plan: plans.PlanRow, now: datetime) -> list[RowMapping]:
    """`JUDGED` of a plan in which every row has a verdict. Raises VerdictMissing."""
    given = {
        "plan": plan.id,
        "changing": list(vocabulary.CHANGING),
        "school": plan.school_id,
        "hash": plan.hash,
        "now": now,
    }
    judged = list(conn.execute(text(JUDGED), given).mappings())
    if not judged or judged[0]["missing"]:
        raise VerdictMissing(f"Plan {plan.id} has rows without a verdict, so they are held.", "Plan again.")
    return judged


def allowed(judged: list[RowMapping], plan: plans.PlanRow, kind: str) -> tuple[list[Judged], int | None]:
    """The kinds of rows that may be applied, and the approval that let some of them through."""
    approved = approvals.approved_of(judged[0])
    if kind == "approval" and approved is None:
        raise NotApproved(f"Nobody approved plan {plan.id}, or the approval lapsed.", "Approve it: roster hold approve")
    open_ = [row for row in judged if row["sync_id"] is None]
    passed = [row for row in open_ if row["verdict"] == "pass"]
    overridden = [
        row
        for row in open_
        if approved is not None
        and row["verdict"] == "hold"
        and vocabulary.approvable(row["findings"])
        and (approved.by_manager or not vocabulary.needs_manager(row["findings"]))
        and approved.covers(row["role"], row["action"])
    ]
    kinds = [(row["role"], row["action"], row["guard"]) for row in (*passed, *overridden)]
    return kinds, approved.id if approved is not None and any(row["rows"] for row in overridden) else None


def columns_of(passed: list[Judged]) -> dict[str, list[str]]:
    """The kinds of rows that passed, as parallel arrays for `unnest`."""
    return {name: [kind[place] for kind in passed] for place, name in enumerate(("roles", "actions", "guards"))}


def _any_of(fields: tuple[str, ...]) -> str:
    return "r.changes ?| array[" + ", ".join(f"'{field}'" for field in fields) + "]"


STAGE = f"""
select r.row, r.action, r.role, r.person_id is null as fresh, r.sourced_ids, r.new_links, r.changes, r.number_kind,
       coalesce(r.person_id, nextval('person_id_seq')) as person_id,
       r.person_revision, r.membership_revision,
       r.person_id is not null and {_any_of(vocabulary.PERSON_FIELDS)} as of_person,
       {_any_of(vocabulary.MEMBERSHIP_FIELDS)} as of_membership,
       r.role <> '{vocabulary.CONTACT}' and {_any_of(vocabulary.CONTACT_FIELDS)} as of_contact,
       r.role <> '{vocabulary.CONTACT}' and r.changes ? '{vocabulary.MORE_CONTACTS}' as of_more
from plan_row r
where r.plan_id = :plan and not r.exempted
  and (r.role, r.action, r.guard) in (
      select * from unnest(cast(:roles as text[]), cast(:actions as text[]), cast(:guards as text[])))
  and (r.action <> 'archive' or (r.person_id is not null and r.witness is distinct from 'here' and not exists (
      select from witness w
      where w.snapshot_id = :snapshot and w.answer = 'here' and w.sourced_id = any(r.sourced_ids))))
"""
"""Rows that may be applied. roles, actions, guards: parallel arrays of what passed. New people get their ids."""

STAGE_LINKS = """
select a.person_id, a.fresh, l.sourced_id, a.fresh and l.place = 1 as is_primary
from applying a
cross join lateral unnest(case when a.fresh then a.sourced_ids else a.new_links end)
    with ordinality l(sourced_id, place)
where a.action <> 'archive'
union all
select r.person_id, false, l.sourced_id, false
from plan_row r cross join lateral unnest(r.new_links) l(sourced_id)
where r.plan_id = :plan and r.action in ('unchanged', 'skip') and r.person_id is not null and r.new_links <> '{}'
  and (r.role, r.guard) in (select * from unnest(cast(:linking_roles as text[]), cast(:linking_guards as text[])))
"""
"""The links of applied rows, and of people who only got a new sourcedId (the verdict on updates decides)."""

STAGE_PRIMARY = """
select a.person_id, a.changes -> 'primary_record' ->> 1 as first from applying a
where a.action in ('create', 'update', 'restore') and not a.fresh and a.changes ? 'primary_record' and not exists (
    select from link h
    where h.person_id = a.person_id and h.is_primary
      and h.sourced_id is distinct from a.changes -> 'primary_record' ->> 0
)
"""
"""People whose primary record the plan changes, unless they have another than the one it replaces."""

STAGE_REST = """
select m.person_id,
       case when r.absent_syncs = 0 or r.role = any(:archiving_roles) then r.absent_syncs end as absent_syncs,
       not m.managed and m.status = 'active' and r.action = 'update' and not r.exempted
           and (r.role, r.guard) in (
               select * from unnest(cast(:linking_roles as text[]), cast(:linking_guards as text[]))) as joins
from plan_row r
cross join lateral (
    select * from membership
    where district_id = :district and school_id = :school and person_id = r.person_id
    offset 0
) m
where r.plan_id = :plan and r.role <> 'contact' and (r.absent_syncs <> m.absent_syncs or not m.managed)
"""
"""Members whose count of absences changes, and members who were entered by hand and are in the SIS now. The lateral
look-up keeps plan_row on the outer side. PostgreSQL has no statistics of a plan that is this new, and the other join
order has quadratic cost."""

STALE_PEOPLE = """
select exists (
    select from applying a left join person p on p.id = a.person_id and p.district_id = :district
    where not a.fresh and a.role <> 'contact' and (p.id is null or p.revision <> a.person_revision)
) or exists (
    select from applying a
    left join membership m
        on m.district_id = :district and m.school_id = :school and m.person_id = a.person_id
    where not a.fresh and a.role <> 'contact' and case a.action
        when 'create' then m.person_id is not null
        else m.person_id is null or m.revision <> a.membership_revision
             or (m.status = 'active') <> (a.action in ('update', 'archive'))
    end
)
"""
"""Rows that remove a contact are not checked: nobody may call that contact."""
STALE_LINKS = """
select exists (
    select from linking n
    cross join lateral (
        select person_id from link where connection_id = :connection and sourced_id = n.sourced_id offset 0
    ) l
    where n.fresh or l.person_id <> n.person_id
) or exists (
    select from linking n
    cross join lateral (
        select from link_exclusion
        where connection_id = :connection and sourced_id = n.sourced_id and person_id = n.person_id offset 0
    ) a
)
"""
"""A record that was linked to somebody, or unlinked from this person, since the plan was made. The query looks up each
record by its key: a join on a young table, without statistics, would compare all with all."""
STALE_KEYS = """
with moved as materialized (
    select distinct person_id from change_log
    where district_id = :district and entity = 'person' and position > :position
)
select exists (
    select from moved m
    cross join lateral (
        select number_connection_id, number_kind, bare_number(number) as number, lower(email) as email from person
        where id = m.person_id and district_id = :district offset 0
    ) p
    where (p.number_connection_id = :connection and (p.number_kind, p.number) in (
            select a.number_kind, bare_number(a.changes -> 'number' ->> 1) from applying a
            where a.fresh and a.changes ? 'number'))
       or p.email in (select lower(a.changes -> 'email' ->> 1) from applying a where a.fresh and a.changes ? 'email')
)
"""
"""A new person whose number or e-mail somebody got after the plan was made: the two may be the same human being."""

STAGED = {"applying": STAGE, "linking": STAGE_LINKS, "moving": STAGE_PRIMARY, "counting": STAGE_REST}
"""The temporary tables, and the query that fills each. The later tables read the first."""


def staging(table: str) -> str:
    """The statement that makes and fills a temporary table."""
    return f"create temporary table {table} on commit drop as {STAGED[table]}"


WAITING = f"select {', '.join(f'exists ({STAGED[table]}) as {table}' for table in STAGED if table != 'applying')}"
"""Which other tables have rows: on most nights none, and making a table costs more than filling it."""


def stale(staged: Collection[str]) -> str:
    """One statement that says whether anything has changed since the plan was made. staged: the made tables."""
    checks = [STALE_PEOPLE, STALE_KEYS, *([STALE_LINKS] if "linking" in staged else [])]
    return f"select {' or '.join(f'({check})' for check in checks)}"
