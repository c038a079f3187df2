"""Snapshots: one school's part of a connection's pull, selected in the database."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
from sqlalchemy import Connection, insert, select, text

from roster_pipeline.directory import roster_rows
from roster_pipeline.directory.locks import block_erasure
from roster_pipeline.directory.pg_copy import read_documents, read_frame
from roster_pipeline.directory.pulls import IN_PULL, PullGone
from roster_pipeline.directory.record_sets import NAMED, RECORDS, Ids, RecordSet
from roster_pipeline.directory.roster_rows import KEY
from roster_pipeline.directory.school_records import CHOSEN, Chooser, choose
from roster_pipeline.directory.sis_records import keep_records
from roster_pipeline.directory.tables import pull, snapshot
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.org_tree import is_gone, orgs_below, orgs_meant

KEPT_SNAPSHOTS = 14
"""How many good syncs of a school keep their raw records, rosters and plan rows."""

AGE_KEPT = ("written", "hours_ahead", "newest")
"""The notes of the pull on the age of its source that a snapshot takes over. The marks of all bundles at the source
stay only with the pull."""

ITS_CONNECTION = "(select connection_id from pull where id = :pull)"

ORGS = f"select * from sis_record where connection_id = {ITS_CONNECTION} and kind = 'org'"  # noqa: S608
ORG_LIST = f"""
with recursive below (sourced_id) as (
    select r.sourced_id from ({ORGS} and payload ->> 'parent' = :org) r {IN_PULL}
    union
    select r.sourced_id from below b
    cross join lateral ({ORGS} and payload ->> 'parent' = b.sourced_id offset 0) r {IN_PULL}
)
select r.sourced_id as "sourcedId", r.payload ->> 'type' as type, r.payload ->> 'parent' as parent,
    r.payload ->> 'status' as status
from (select sourced_id from below union select unnest(cast(:named as text[]))) n
cross join lateral ({ORGS} and sourced_id = n.sourced_id offset 0) r {IN_PULL}
order by 1
"""  # noqa: S608
ORG_DOCUMENTS = f"select r.payload from ({ORGS}) r {IN_PULL}"  # noqa: S608

BELOW = f"""
select count(distinct r.sourced_id) from sis_record r {IN_PULL}
where r.connection_id + 0 = :connection and r.kind = 'user'
  and r.orgs && cast(:below as text[]) and not r.orgs && cast(:here as text[])
  and coalesce(r.payload ->> 'status', 'active') not in ('tobedeleted', 'inactive')
"""  # noqa: S608
"""People in orgs below the school who do not name the school itself. `+ 0` is explained in `school_records`."""

REJECTS = f"""
insert into raw_reject select :snapshot, r.sourced_id, r.collection, r.field, r.rule, r.severity
from pulled_reject r where r.pull_id = :pull and (
    exists (
        select from sis_record u
        cross join lateral (
            select from snapshot_record where snapshot_id = :snapshot and {NAMED.format(id="u.id")} offset 0
        ) s
        where u.connection_id = :connection and u.sourced_id = r.sourced_id and u.kind in ('org', 'user')
    )
    or exists (
        select from link l join membership m on m.person_id = l.person_id
        where l.connection_id = :connection and l.sourced_id = r.sourced_id and m.school_id = :school
    )
    or (r.severity = 'error' and r.collection = 'users' and not exists (
        select from link l where l.connection_id = :connection and l.sourced_id = r.sourced_id
    ))
)
"""  # noqa: S608
"""Rejects of this school's records, and of records with an unknown school, which may be this one."""

FIND_SCHOOL = f"""
select r.payload from (
    {ORGS} and sourced_id = :given union all {ORGS} and payload ->> 'identifier' = :given and sourced_id <> :given
) r {IN_PULL} order by r.sourced_id
"""  # noqa: S608

DOCUMENTS = f"""
select r.id, r.payload from snapshot_record s {RECORDS.format(set="s")} r
where s.snapshot_id = {{snapshot}} and s.part = {{part}}
"""  # noqa: S608
DOCUMENTS_OF = """
select n.id, r.payload from unnest(cast({ids} as bigint[])) n (id)
cross join lateral (select payload from sis_record where id = n.id offset 0) r
"""
CONTACT_DOCUMENTS = f"""{DOCUMENTS} and not exists (
    select from snapshot_record
    where snapshot_id = {{snapshot}} and part = 'user' and {NAMED.format(id="r.id")} offset 0
)"""
"""Most guardians name the school themselves. Such contacts are left out, because their records are among the users."""

COUNTED = {"org": "raw_orgs", "user": "raw_users", "contact": "raw_contacts"}
"""The counts of a snapshot by part."""
OF_ITS_OWN = ("id", "taken_at", "run_id", "pruned_at", "roster_id", "roster_version")
"""Values that a derived snapshot does not take over from its base."""
PRUNED = ("snapshot_record", "raw_reject", "stored_frame", "witness", "excluded_contact")
OLD = """
with good as (
    select snapshot_id from sync where school_id = :school and kind = 'sync' and snapshot_id is not null
    order by snapshot_id desc limit :keep
)
select id, district_id from snapshot where school_id = :school and pruned_at is null
  and id < (select min(snapshot_id) from good having count(*) >= :keep)
"""


@dataclass(frozen=True)
class Raw:
    """One snapshot's normalised records, as JSON, one on each line; and the records that the client refused."""

    users: bytes
    contacts: bytes
    rejected: pd.DataFrame


def find_schools(conn: Connection, pull_id: int, school_id: str) -> list[dict[str, Any]]:
    """The orgs of a pull that a School ID may mean."""
    return orgs_meant(conn.scalars(text(FIND_SCHOOL), {"pull": pull_id, "given": school_id.strip()}), school_id)


def any_org(conn: Connection, pull_id: int) -> bool:
    return bool(conn.scalar(text(f"select exists ({ORG_DOCUMENTS})"), {"pull": pull_id}))


def list_orgs(
    conn: Connection, pull_id: int | None, school_sourced_id: str, named: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """The orgs of a pull that are below a school, or that its users name: sourcedId, type, parent, status. A city has
    thousands of schools, but the records of one school name only a few of them. Empty if the pull is gone."""
    given = {"pull": pull_id, "org": school_sourced_id, "named": [school_sourced_id, *named]}
    return [dict(row) for row in conn.execute(text(ORG_LIST), given).mappings()]


def org_documents(conn: Connection, pull_id: int | None) -> list[dict[str, Any]]:
    """The orgs of a pull as normalised records. Empty if the pull is gone."""
    return list(conn.scalars(text(ORG_DOCUMENTS), {"pull": pull_id}))


def take(
    conn: Connection,
    school: SchoolRow,
    school_sourced_id: str,
    pull_id: int,
    *,
    contacts: bool,
    run_id: str | None,
    problems: Callable[[datetime | None], list[str]] = lambda written_at: [],
    from_base: bool = True,
) -> int:
    """Make one school's snapshot from a finished pull and return its id. problems: further problems that this school
    finds in the pull, because of the time when its bundle was written. from_base: as in `school_records.choose`. Writes
    snapshot, snapshot_record (contacts only if they are wanted) and raw_reject in the caller's transaction. During this
    transaction, nobody can drop the pull. Raises PullGone."""
    keep_records(conn, school.connection.id)
    of_pull = select(pull).where(pull.c.id == pull_id, pull.c.finished_at.is_not(None))
    source = conn.execute(of_pull.with_for_update(read=True, key_share=True)).first()
    if source is None:
        raise PullGone(pull_id)
    own = problems(source.written_at)
    proof = dict(source.proof) | {"problems": [*source.proof.get("problems", ()), *own]}
    proof["complete"] = source.complete and not own
    proof["age"] = {name: value for name, value in (proof.get("age") or {}).items() if name in AGE_KEPT}
    row = insert(snapshot).values(
        district_id=school.district_id, school_id=school.id, connection_id=school.connection.id, pull_id=pull_id,
        school_sourced_id=school_sourced_id, complete=proof["complete"], mode=source.mode, proof=proof, run_id=run_id,
        written_at=source.written_at, unchanged_since=source.unchanged_since,
    )  # fmt: skip
    snapshot_id = int(conn.execute(row.returning(snapshot.c.id)).scalar_one())
    orgs = list_orgs(conn, pull_id, school_sourced_id)
    below = sorted(orgs_below(orgs, school_sourced_id))
    chooser = Chooser(
        connection=school.connection.id,
        district=school.district_id,
        school=school.id,
        org=school_sourced_id,
        here=(school_sourced_id, *(below if school.settings.include_orgs_below else ())),
        contacts=contacts,
        stored=bool(school.connection.settings.contact_rules),
    )
    given = school.ids | {"snapshot": snapshot_id, "pull": pull_id, "here": list(chooser.here), "below": below}
    chosen = choose(conn, chooser, snapshot_id, pull_id, from_base=from_base)
    counts: dict[str, Any] = {CHOSEN: chooser.key} | {COUNTED[part]: count for part, count in chosen.items()}
    if below and not school.settings.include_orgs_below:
        counts["org_below"] = int(conn.scalar(text(BELOW), given) or 0)
    if any(is_gone(org) for org in orgs if org["sourcedId"] == school_sourced_id):
        counts["school_deleted"] = 1
    counts["rejects"] = conn.execute(text(REJECTS), given).rowcount
    conn.execute(snapshot.update().where(snapshot.c.id == snapshot_id).values(counts=counts))
    return snapshot_id


def derive(conn: Connection, base: Mapping[str, Any], *, mode: str, **more: Any) -> int:
    """Make a snapshot with the facts of another one and with records of its own, and return its id. base: as `facts`
    has it. more: values that its proof has in addition to the proof of the base, or instead of it."""
    kept = {name: value for name, value in base.items() if name not in OF_ITS_OWN}
    kept["counts"] = {name: value for name, value in base["counts"].items() if name not in (KEY, CHOSEN)}
    there = select(pull.c.id).where(pull.c.id == base["pull_id"]).with_for_update(read=True, key_share=True)
    kept["pull_id"] = there.scalar_subquery()  # a newer pull may have dropped it since the base was read
    row = kept | {"mode": mode, "proof": base["proof"] | {"mode": mode} | more}
    return int(conn.execute(insert(snapshot).values(row).returning(snapshot.c.id)).scalar_one())


def load(conn: Connection, snapshot_id: int) -> Raw:
    """A snapshot's records. A contact who is also among the users is only there. Empty if the records do not exist (any
    more)."""
    (_, users), (_, contacts) = (documents(conn, snapshot_id, part) for part in ("user", "contact"))
    return Raw(users, contacts, load_rejected(conn, snapshot_id))


def documents(conn: Connection, snapshot_id: int, part: str) -> tuple[Ids, bytes]:
    """The ids and documents of one part of a snapshot, as `load` has them."""
    return read_documents(conn, DOCUMENTS if part == "user" else CONTACT_DOCUMENTS, snapshot=snapshot_id, part=part)


def documents_of(conn: Connection, records: RecordSet) -> tuple[Ids, bytes]:
    """The ids and documents of these records."""
    return read_documents(conn, DOCUMENTS_OF, ids=records.literal)


def load_rejected(conn: Connection, snapshot_id: int) -> pd.DataFrame:
    """The records of a snapshot that the client refused."""
    columns = {"collection": "text", "sourced_id": "text", "field": "text", "rule": "text", "severity": "text"}
    query = f"select {', '.join(columns)}, null from raw_reject where snapshot_id = {{snapshot}} order by 1, 2, 3, 4"  # noqa: S608
    return read_frame(conn, query, {**columns, "role": "text"}, snapshot=snapshot_id)  # type: ignore[dict-item]


def facts(conn: Connection, snapshot_id: int) -> dict[str, Any]:
    """The facts of a snapshot: its row (complete, mode, proof, counts, school_sourced_id, ...)."""
    return dict(conn.execute(select(snapshot).where(snapshot.c.id == snapshot_id)).mappings().one())


def erased_since(conn: Connection, facts: Mapping[str, Any]) -> bool:
    """Whether somebody of the district was erased since the facts of a snapshot were read. It waits for a running
    erasure, and lets later ones wait until the transaction ends, so nobody erased is written again."""
    block_erasure(conn, facts["district_id"])
    now = conn.scalar(select(snapshot.c.counts.has_key(CHOSEN)).where(snapshot.c.id == facts["id"]))
    return CHOSEN in facts["counts"] and not now


def taken_by(conn: Connection, run_id: str | None) -> bool:
    """Whether a run has taken a snapshot."""
    return bool(conn.scalar(select(select(snapshot.c.id).where(snapshot.c.run_id == run_id).exists())))


def users_of(facts: Mapping[str, Any]) -> int:
    """How many user records a snapshot has, by its facts."""
    return int(facts["counts"].get(COUNTED["user"], 0))


def prove(conn: Connection, snapshot_id: int, **more: Any) -> None:
    """Add values to the facts of a snapshot."""
    query = "update snapshot set proof = proof || cast(:said as jsonb) where id = :snapshot"
    conn.execute(text(query), {"snapshot": snapshot_id, "said": orjson.dumps(more).decode()})


def prune(conn: Connection, school_id: int, keep: int = KEPT_SNAPSHOTS) -> int:
    """Drop the records of snapshots older than the last `keep` synced ones; facts, counts and ledger stay."""
    rows = conn.execute(text(OLD), {"school": school_id, "keep": keep}).all()
    old = [row.id for row in rows]
    if old:
        block_erasure(conn, rows[0].district_id)
        for table in PRUNED:
            conn.execute(text(f"delete from {table} where snapshot_id = any(:old)"), {"old": old})  # noqa: S608
        for table in ("plan_row", "plan_unchanged"):
            of_them = "using plan p where p.id = r.plan_id and p.snapshot_id = any(:old)"
            conn.execute(text(f"delete from {table} r {of_them}"), {"old": old})  # noqa: S608
        roster_rows.release(conn, old)
        conn.execute(text("update snapshot set pruned_at = now() where id = any(:old)"), {"old": old})
    return len(old)
