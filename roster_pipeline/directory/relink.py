"""Records with new ids: bulk re-keys, the conflicts of single records, and ids that a SIS has given to somebody else.

When most ids of a role are new while numbers or e-mails still match, the whole sync is held. If the new ids are right,
a relink gives them to the matched people, and changes nothing else. The next plan then finds everybody by link, and
judges the other changes again.

Some SISs assign all ids again every year. `unlink_leavers` takes all reassigned ids away from the people who left, at
once. People who are active somewhere, or who have several records tonight, stay in conflict. Somebody has to decide
about each.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, text

from roster_pipeline.directory import apply_sql, apply_staging, audit, ledger, plans
from roster_pipeline.directory.apply import PlanStale, SyncResult
from roster_pipeline.directory.approvals import NothingHeld, PlanChanged
from roster_pipeline.directory.locks import lock_district
from roster_pipeline.directory.members import choose_primary
from roster_pipeline.directory.tables import snapshot, sync
from roster_pipeline.directory.tenants import ConnectionRow, SchoolRow

STAGE = f"""
create temporary table linking on commit drop as
select r.person_id, false as fresh, l.sourced_id, false as is_primary
from plan_row r cross join lateral unnest(r.new_links) l(sourced_id)
left join verdict v on {plans.OF_ROW}
where r.plan_id = :plan and not r.exempted and r.person_id is not null
  and r.action in ('create', 'update', 'restore', 'unchanged', 'skip')
  and not coalesce(v.findings @> '[{{"approver": "manager"}}]', false)
"""  # noqa: S608
"""People of another connection are left out: only the district's manager may link them."""
STAGE_PRIMARY = """
create temporary table moving on commit drop as
select distinct on (r.person_id) r.person_id, n.sourced_id as first
from plan_row r join linking n on n.person_id = r.person_id and n.sourced_id = r.changes -> 'primary_record' ->> 1
where r.plan_id = :plan and not exists (
    select from link h where h.person_id = r.person_id and h.is_primary and h.connection_id <> :connection
)
"""
STALE = """
select exists (
    select from plan_row r join linking n on n.person_id = r.person_id
    left join person p on p.id = r.person_id and p.district_id = :district
    where r.plan_id = :plan and (p.id is null or p.excluded or p.revision <> r.person_revision)
)
"""


COUNT = """
select r.role, count(distinct r.person_id) from plan_row r join linking n on n.person_id = r.person_id
where r.plan_id = :plan group by r.role order by r.role
"""
_CANDIDATES = """
with record as (select * from cleaned_roster where snapshot_id = :snapshot and sourced_id = any(:ids))
select l.person_id from link l where l.connection_id = :connection and l.sourced_id = any(:ids)
union
select p.id from record c join person p on p.district_id = :district and lower(p.email) = lower(c.email)
union
select p.id from record c join person p on p.district_id = :district and p.number_connection_id = :connection
    and p.number_kind = c.number_kind and bare_number(p.number) = bare_number(c.number)
order by 1 limit :most
"""
_DECIDED = """
select sourced_id, person_id, 'same' as said from link
where connection_id = :connection and sourced_id = any(:ids) and confirmed
union all
select sourced_id, person_id, 'two' from link_exclusion where connection_id = :connection and sourced_id = any(:ids)
"""
LEAVERS = """
select r.person_id, l.sourced_id from plan_row r
join link l on l.connection_id = :connection and l.sourced_id = r.sourced_ids[1] and l.person_id = r.person_id
join person p on p.id = r.person_id and p.district_id = :district and p.revision = r.person_revision
where r.plan_id = :plan and r.reason = 'id_reassigned' and cardinality(r.sourced_ids) = 1
  and not exists (select from membership m where m.person_id = r.person_id and m.status = 'active')
order by r.person_id
"""
_GONE = "unnest(cast(:persons as bigint[]), cast(:records as text[])) gone (person_id, sourced_id)"
UNLINK = (
    "insert into link_exclusion (district_id, connection_id, sourced_id, person_id) "  # noqa: S608
    f"select :district, :connection, sourced_id, person_id from {_GONE} on conflict do nothing",
    f"delete from link l using {_GONE} where l.connection_id = :connection and l.sourced_id = gone.sourced_id "  # noqa: S608
    "and l.person_id = gone.person_id and l.district_id = :district",
    f"update person p set revision = revision + 1 from {_GONE} "  # noqa: S608
    "where p.id = gone.person_id and p.district_id = :district",
    "insert into audit (who, what, district_id, person_id, reason, details) "  # noqa: S608
    "select :who, 'record unlinked', :district, person_id, :reason, "
    f"jsonb_build_object('connection', cast(:key as text)) from {_GONE} order by person_id",
)
"""Removes the link, makes earlier plans out of date, and adds to the audit."""


def relink(conn: Connection, plan_id: int, *, who: str, reason: str, plan_hash: str | None = None) -> SyncResult:
    """Give the people of a held plan their new links, as a sync of its own; then plan again. counts: role to "link" to
    people. Raises PlanChanged, NothingHeld, PlanStale."""
    lock_district(conn, plans.get(conn, plan_id).district_id)
    plan = plans.get(conn, plan_id)
    if plan.state != "planned" or plan.dry_run or plan_hash not in (None, plan.hash):
        raise PlanChanged(plan_id)
    if plans.of_other_settings(conn, plan):
        raise PlanStale(f"Settings were changed since plan {plan_id} was made.", "Plan again.")
    source = conn.execute(select(snapshot).where(snapshot.c.id == plan.snapshot_id)).mappings().one()
    given = {"plan": plan_id, "district": plan.district_id, "connection": source["connection_id"]}
    given |= {"snapshot": source["id"], "version": source["proof"].get("version")}
    given["masters"] = bool(source["counts"].get("masters"))
    if not conn.execute(text(STAGE), given).rowcount:
        raise NothingHeld(plan_id)
    conn.execute(text(STAGE_PRIMARY), given)
    conn.execute(text("analyze linking; analyze moving"))
    if conn.scalar(text(STALE), given) or conn.scalar(text(apply_staging.STALE_LINKS), given):
        raise PlanStale(f"The directory changed since plan {plan_id} was made.", "Plan again.")
    sync_id = ledger.new_sync(conn)
    links = conn.execute(text(apply_sql.INSERT_LINKS), given).rowcount
    conn.execute(text(apply_sql.MOVE_PRIMARY), given)
    plans.replace(conn, plan_id)
    counts = {role: {"link": people} for role, people in conn.execute(text(COUNT), given)}
    owner: dict[str, Any] = {"district_id": plan.district_id, "school_id": plan.school_id}
    values = {"kind": "relink", "outcome": "applied", "counts": counts, "who": who}
    of = {"plan_id": plan_id, "snapshot_id": plan.snapshot_id}
    conn.execute(insert(sync).values(id=sync_id, **values, **of, **owner))
    details = {"plan": plan_id, "sync": sync_id, "links": links}
    audit.record(conn, who, "ids relinked", reason=reason, details=details, **owner)
    return SyncResult(sync_id, "applied", counts)


def conflicting_records(
    conn: Connection, snapshot_id: int, ids: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """The records in conflict, by sourced_id: sourced_id and these columns of `cleaned_roster`."""
    query = (
        f"select sourced_id, {', '.join(fields)} from cleaned_roster "  # noqa: S608 - our own column names
        "where snapshot_id = :snapshot and sourced_id = any(:ids) order by sourced_id"
    )
    return [dict(row) for row in conn.execute(text(query), {"snapshot": snapshot_id, "ids": list(ids)}).mappings()]


def candidates(conn: Connection, school: SchoolRow, snapshot_id: int, ids: Sequence[str], *, limit: int) -> list[int]:
    """For records that fit several people: these people, found by a link, the e-mail or the number."""
    given = school.ids | {"ids": list(ids), "snapshot": snapshot_id, "most": limit}
    return list(conn.scalars(text(_CANDIDATES), given))


def decided_pairs(conn: Connection, school: SchoolRow, ids: Sequence[str]) -> dict[tuple[str, int], str]:
    """The pairs (sourcedId, person) about which somebody decided, each with `same` or `two`."""
    found = conn.execute(text(_DECIDED), school.ids | {"ids": list(ids)})
    return {(row.sourced_id, row.person_id): row.said for row in found}


def unlink_leavers(conn: Connection, school: SchoolRow, plan: plans.PlanRow, *, who: str, reason: str) -> list[int]:
    """Unlink the record of every leaver of a plan whose id now belongs to somebody else. Returns their numbers."""
    lock_district(conn, school.district_id)
    given = school.ids | {"plan": plan.id}
    found = [(row.person_id, row.sourced_id) for row in conn.execute(text(LEAVERS), given)]
    unlink_pairs(conn, school.connection, found, who=who, reason=reason)
    return [person for person, _ in found]


def unlink_pairs(
    conn: Connection, connection: ConnectionRow, pairs: Sequence[tuple[int, str]], *, who: str, reason: str
) -> None:
    """Take away several existing links (person, sourcedId). Another link becomes the primary one. The caller holds the
    district's lock."""
    given = {"district": connection.district_id, "connection": connection.id, "key": connection.key}
    given |= {"persons": [person for person, _ in pairs], "records": [record for _, record in pairs]}
    given |= {"who": who, "reason": reason}
    for statement in UNLINK:
        conn.execute(text(statement), given)
    choose_primary(conn, connection.district_id, {person for person, _ in pairs})
