"""Plans as data: their rows, their verdict, and the answers of their second witnesses.

A plan and its verdict are written in one transaction, so there is never one without the other. A person who stays as
they are has no row of `plan_row`: their number is in a list of their role (`plan_unchanged`). The view `plan_line`
shows both.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, insert, select, text, tuple_, update

from roster_pipeline.directory.database import DirectoryError
from roster_pipeline.directory.pg_copy import Kind, copy_frame, read_frame
from roster_pipeline.directory.tables import plan, plan_row, plan_unchanged, snapshot, sync, verdict
from roster_pipeline.directory.tenants import SchoolRow, schools_by_id
from roster_pipeline.named_frames import part

WAITS = "v.verdict = 'hold' and v.rows > 0 and v.sync_id is null"
"""Condition on a verdict `v`: it holds rows, and no sync has applied them since."""
OF_ROW = "v.plan_id = r.plan_id and v.role = r.role and v.action = r.action and v.guard = r.guard"
"""Condition on a verdict `v`: it is about the row `r`."""
COPY_LISTS = """
insert into plan_unchanged (plan_id, role, first_row, people)
select :plan, role, first_row, people from plan_unchanged where plan_id = :earlier
"""


@dataclass(frozen=True)
class PlanRow:
    """One plan without its rows. settings: as `SchoolRow.planned_with`, if known. person_id: about them alone."""

    id: int
    district_id: int
    school_id: int
    snapshot_id: int
    made_at: datetime
    hash: str
    position: int
    first_sync: bool
    counts: dict[str, Any]
    quality: str | None
    settings: str | None
    state: str
    dry_run: bool
    run_id: str | None
    person_id: int | None = None


class UnknownPlan(DirectoryError):
    """There is no plan with this number."""

    def __init__(self, plan_id: int) -> None:
        super().__init__(f"There is no plan {plan_id}.", "See what is held: roster hold list")


def of_data_after(taken: ColumnElement[Any] | int) -> Select[Any]:
    """A school's syncs from newer data than this snapshot: a later pull, or later from it, or if a pull was dropped,
    a later snapshot."""
    this, newer = snapshot.alias(), snapshot.alias()
    later = tuple_(newer.c.pull_id, newer.c.id) > tuple_(this.c.pull_id, this.c.id)
    later = func.coalesce(later, newer.c.id > this.c.id)
    query = select(sync.c.id).select_from(sync).join(newer, newer.c.id == sync.c.snapshot_id)
    query = query.join(this, and_(this.c.school_id == newer.c.school_id, later))
    return query.where(sync.c.kind == "sync", this.c.id == taken)


class Overtaken(DirectoryError):
    """While this plan was made, a sync applied newer data of the school, or somebody was erased."""

    retryable = True


def write(
    conn: Connection,
    school: SchoolRow,
    snapshot_id: int,
    rows: pd.DataFrame,
    verdict_rows: pd.DataFrame,
    *,
    hash_: str,
    counts: Mapping[str, Any],
    first_sync: bool,
    position: int,
    dry_run: bool,
    run_id: str | None,
    quality: str | None = None,
    person_id: int | None = None,
    listed: npt.NDArray[np.bool_] | None = None,
    unchanged: pd.DataFrame | None = None,
    lists_of: int | None = None,
) -> int:
    """Write a plan with its verdict and return its id. It replaces the school's earlier plans, unless it is a dry run
    or about one person.

    rows: the columns of `plan_row` without plan_id. verdict_rows: role, action, guard, verdict, rows, findings.
    quality: a digest of the quality results that the verdict read. listed: rows of which only person and role are
    stored. unchanged: role and person_id of everybody who is stored in this way, if more than those rows. lists_of: an
    earlier plan with the same rows, which lists the same people.

    Raises Overtaken instead of replacing a plan of newer data that were applied: its held rows would be lost.
    """
    head = insert(plan).values(
        district_id=school.district_id, school_id=school.id, snapshot_id=snapshot_id, hash=hash_, position=position,
        first_sync=first_sync, counts=dict(counts), quality=quality, settings=school.planned_with, dry_run=dry_run,
        run_id=run_id, person_id=person_id,
    )  # fmt: skip
    whole = not dry_run and person_id is None
    head = head.returning(plan.c.id, of_data_after(snapshot_id).exists() if whole else false())
    if whole:
        earlier = (plan.c.school_id == school.id, plan.c.state == "planned", plan.c.dry_run.is_(False))
        head = head.add_cte(update(plan).where(*earlier).values(state="replaced").cte("earlier"))
    row = conn.execute(head).one()
    plan_id, newer = int(row[0]), row[1]
    if newer:
        raise Overtaken("Newer data of the school were applied meanwhile.", "Run it again.")
    if listed is not None and unchanged is None:
        unchanged = part(rows, ("role", "person_id"), listed)
    if listed is not None and unchanged is not None and len(unchanged):
        rows = rows[~listed].assign(row=np.arange(int((~listed).sum())))
        _list(conn, plan_id, unchanged, len(rows))
    if lists_of is not None:
        conn.execute(text(COPY_LISTS), {"plan": plan_id, "earlier": lists_of})
    copy_frame(conn, plan_row, rows, {"plan_id": plan_id})
    copy_frame(conn, verdict, verdict_rows, {"plan_id": plan_id})
    return plan_id


def _list(conn: Connection, plan_id: int, unchanged: pd.DataFrame, rows: int) -> None:
    """List people by role. Their numbers come after those of the `rows` that the plan has."""
    columns = {name: pa.array(unchanged[name].array) for name in ("role", "person_id")}
    by_role = pa.table(columns).group_by("role", use_threads=False).aggregate([("person_id", "list")]).sort_by("role")
    by_role = by_role.filter(by_role["role"].is_valid())
    people = by_role["person_id_list"].to_pylist()
    first = rows + np.cumsum([0, *map(len, people)])[:-1]
    lists = pd.DataFrame({"role": by_role["role"].to_pylist(), "first_row": first, "people": people})
    copy_frame(conn, plan_unchanged, lists, {"plan_id": plan_id})


def get(conn: Connection, plan_id: int) -> PlanRow:
    """One plan, without its rows. Raises UnknownPlan."""
    row = conn.execute(select(plan).where(plan.c.id == plan_id)).mappings().first()
    if row is None:
        raise UnknownPlan(plan_id)
    return PlanRow(**row)


NEWEST_OF_SCHOOLS = """school s cross join lateral (
    select id from plan where school_id = s.id and person_id is null order by id desc limit 1
) newest"""
"""Schools with their newest plan of the whole school, a dry run's too: in SQL, after `from`."""
IN_SCOPE = "s.district_id = :district and (cast(:schools as bigint[]) is null or s.id = any(:schools))"
"""The condition that a school `s` is one of the schools of a district that are asked for (`PeopleFilter.scope`)."""


def get_all(conn: Connection, plan_ids: Collection[int]) -> dict[int, PlanRow]:
    """These plans by number, without their rows; unknown numbers are left out. One query."""
    rows = conn.execute(select(plan).where(plan.c.id.in_(plan_ids))).mappings()
    return {row["id"]: PlanRow(**row) for row in rows}


def latest(conn: Connection, school_id: int, *, dry_run: bool = False) -> PlanRow | None:
    """The newest plan of the whole school; with `dry_run`, also one that is a dry run."""
    query = select(plan).where(plan.c.school_id == school_id, plan.c.person_id.is_(None))
    query = query.order_by(plan.c.id.desc()).limit(1)
    if not dry_run:
        query = query.where(plan.c.dry_run.is_(False))
    row = conn.execute(query).mappings().first()
    return None if row is None else PlanRow(**row)


def findings_of_syncs(conn: Connection, school_id: int, limit: int) -> list[tuple[PlanRow, dict[str, float]]]:
    """The newest plans of a school's syncs. For each plan and guard, it has the largest value that the guard found."""
    query = select(plan).where(plan.c.school_id == school_id, plan.c.person_id.is_(None), plan.c.dry_run.is_(False))
    rows = [PlanRow(**row) for row in conn.execute(query.order_by(plan.c.id.desc()).limit(limit)).mappings()]
    found: dict[int, dict[str, float]] = {row.id: {} for row in rows}
    lines = select(verdict.c.plan_id, verdict.c.findings).where(verdict.c.plan_id.in_(found))
    for plan_id, findings in conn.execute(lines):
        for finding in findings:
            of = found[plan_id]
            of[finding["guard"]] = max(of.get(finding["guard"], 0.0), float(finding["value"] or 0))
    return [(row, found[row.id]) for row in rows]


def replace(conn: Connection, plan_id: int) -> None:
    """Mark a plan as replaced, so that nobody can approve or apply it any more."""
    conn.execute(update(plan).where(plan.c.id == plan_id).values(state="replaced"))


def of_other_settings(conn: Connection, plan: PlanRow) -> bool:
    """Whether settings that decide whom a plan changes were changed since it was made."""
    return plan.settings not in (None, schools_by_id(conn, [plan.school_id])[plan.school_id].planned_with)


def load_verdict(conn: Connection, plan_id: int) -> pd.DataFrame:
    """role, action, guard, verdict, rows, findings, sync_id: one line for each kind of row that is judged."""
    columns: dict[str, Kind] = {
        **dict.fromkeys(("role", "action", "guard", "verdict"), "text"), "rows": "int", "findings": "json",
        "sync_id": "int",
    }  # fmt: skip
    query = f"select {', '.join(columns)} from verdict where plan_id = {{plan}} order by role, action, guard"  # noqa: S608
    return read_frame(conn, query, columns, plan=plan_id)


def write_witnesses(conn: Connection, snapshot_id: int, answers: Mapping[str, str]) -> None:
    """Store what the SIS answers about single people: sourcedId to `witness.answer`."""
    if not answers:
        return
    query = (
        "insert into witness (snapshot_id, sourced_id, answer) "
        "select :snapshot, * from unnest(cast(:ids as text[]), cast(:answers as text[])) "
        "on conflict (snapshot_id, sourced_id) do update set answer = excluded.answer"
    )
    given = {"snapshot": snapshot_id, "ids": list(answers.keys()), "answers": list(answers.values())}
    conn.execute(text(query), given)
