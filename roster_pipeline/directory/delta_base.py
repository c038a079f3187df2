"""The earlier pull on which a new pull depends, how the two differ, and which way to fetch was cheaper before."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, cast, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.record_sets import NAMED, RECORDS, RecordSet, name_in_pull, of_pull, of_pulls, read_ids
from roster_pipeline.directory.sis_records import keep_records
from roster_pipeline.directory.tables import connection as connection_table
from roster_pipeline.directory.tables import pull, school, snapshot
from roster_pipeline.directory.tenant_changes import keep_tests
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.errors import LOST_COLUMNS, ORGS_ARE_DELTA

_CHANGED = "payload ->> 'dateLastModified'"
CHANGED_AT = f"""case when substr({_CHANGED}, 5, 1) = '-' then (
    substr({_CHANGED}, 1, 19) || coalesce(rpad(substring({_CHANGED} from '[.]([0-9]+)'), 6, '0'), '000000')
    || regexp_replace(substr({_CHANGED}, 20), '[.][0-9]+', '')) collate "C" end"""
"""The date of change of a record, with six digits behind the second, because some servers leave out zeros there. One
server writes all its times in the same format otherwise, so they can be compared as text if the year comes first."""
SUPERSEDED = f"""
select case when bool_and(coalesce(length(r.at) = length(b.at) and r.at < b.at, false)) over (partition by r.id)
    then r.id else b.id end as id
from (
    select id, connection_id, kind, sourced_id, {CHANGED_AT} as at
    from pull_record p {RECORDS.format(set="p")} r where p.pull_id = :pull
) r cross join lateral (
    select id, {CHANGED_AT} as at from sis_record
    where connection_id = r.connection_id and kind = r.kind and sourced_id = r.sourced_id and id <> r.id offset 0
) b cross join lateral (select from pull_record where pull_id = :base and {NAMED.format(id="b.id")} offset 0) q
"""  # noqa: S608
"""Records of a delta and of its base that are about the same people and orgs: the ones that do not count. These are the
ones of the base, or the one of the delta if it was changed before all of them."""
REQUIRED_CELLS = {"users": ["username", "givenName", "familyName", "enabledUser"], "orgs": ["name", "type"]}
"""Members of which a CSV file needs a value in every row. A row of changes without one that was there is a part."""
ORGS_OF_BASE = f"""
select r.id from sis_record r
cross join lateral (select from pull_record where pull_id = :base and {NAMED.format(id="r.id")} offset 0) b
where r.connection_id = :connection and r.kind = 'org' and not exists (
    select from sis_record o
    cross join lateral (select from pull_record where pull_id = :pull and {NAMED.format(id="o.id")} offset 0) q
    where o.connection_id = r.connection_id and o.kind = 'org' and o.sourced_id = r.sourced_id)
"""  # noqa: S608
_HAS_PARENTS = f"""exists (
    select from sis_record r
    cross join lateral (select from pull_record where pull_id = {{of}} and {NAMED.format(id="r.id")} offset 0) q
    where r.connection_id = :connection and r.kind = 'org' and r.payload ->> 'parent' is not null)"""  # noqa: S608
LOST_PARENTS = f"select {_HAS_PARENTS.format(of=':base')} and not {_HAS_PARENTS.format(of=':pull')}"
"""Whether orgs of the base have parents, and none of the pull has."""
NOTHING = """(array['null', '[]', '{}', '""'])::jsonb[]"""
KEPT = f"""
with changed as materialized (
    select u.id, u.connection_id, u.kind, u.sourced_id, u.student, u.orgs,
        case when members ? 'agents' then b.agents else u.agents end as agents,
        w.merged::text as payload, case when w.merged = theirs then b.id end as same
    from pull_record p {RECORDS.format(set="p")} u
    cross join lateral (
        select r.id, r.agents, r.payload::jsonb as theirs from sis_record r
        cross join lateral (select from pull_record where pull_id = :base and {NAMED.format(id="r.id")} offset 0) q
        where r.connection_id = u.connection_id and r.kind = u.kind and r.sourced_id = u.sourced_id
        order by r.id desc limit 1
    ) b
    cross join lateral (select u.payload::jsonb as mine offset 0) m
    cross join lateral (
        select coalesce(lower(mine ->> 'givenName') <> lower(theirs ->> 'givenName')
            and lower(mine ->> 'familyName') <> lower(theirs ->> 'familyName'), false) as other
    ) o
    cross join lateral (
        select coalesce(jsonb_object_agg(name, value) filter (where not unknown and name = member), '{{}}')
            || case when bool_or(unknown) then jsonb_build_object('unreadable', coalesce(mine -> 'unreadable', '[]')
                || jsonb_agg(distinct member) filter (where unknown)) else '{{}}' end as members
        from unnest(cast(:columns as text[])) name
        cross join lateral (select split_part(name, ':', 1) as member, substr(name, 10) as key) parts
        cross join lateral (select
            case when name = member then theirs -> name else theirs -> member -> key end as value,
            case when name = member then mine -> name else mine -> member -> key end as given
        ) v
        cross join lateral (select coalesce(theirs -> 'unreadable' ? member, false) as unknown_before) was
        cross join lateral (select other or unknown_before as unknown) is_now
        where (unknown_before or value <> all (:nothing)) and coalesce(given, 'null') = any (:nothing)
          and (name = any (:unsaid) or :delta and exists (
              select from unnest(cast(:required as text[])) cell
              where cell <> all (cast(:unsaid as text[])) and theirs -> cell <> all (:nothing)
                and coalesce(mine -> cell, 'null') = any (:nothing)))
    ) k
    cross join lateral (
        select jsonb_object_agg(key, theirs -> 'metadata' -> key) as numbers
        from unnest(cast(:unsaid as text[])) name cross join lateral (select substr(name, 10) as key) n
        where name like 'metadata:%' and theirs -> 'metadata' ? key and not other
    ) n
    cross join lateral (
        select mine || members || case when numbers is null then '{{}}' else jsonb_build_object(
            'metadata', numbers || coalesce(mine -> 'metadata', '{{}}')) end as merged
    ) w
    where p.pull_id = :pull and u.kind = :kind and (members <> '{{}}' or numbers is not null)
), made as (
    insert into sis_record (connection_id, kind, sourced_id, content_hash, student, orgs, agents, payload)
    select connection_id, kind, sourced_id, md5(payload)::uuid, student, orgs, agents, payload::json from changed
    where same is null returning id
)
select array_agg(id) as replaced, (select array_agg(id) from made) as made,
    array_agg(same) filter (where same is not null) as same
from changed
""".replace(":nothing", NOTHING)  # noqa: S608
"""Records of a pull with members that they do not say and that their record in the base does: new ones, or that of the
base if nothing else differs. If both names are new, the id may have gone to somebody else: the members are unknown,
because earlier values would be evidence that it is one person. They stay unknown until the SIS says them."""
PLACE_LETTERS = 16
PARENT = "parent"
SPLIT = """
select exists (select from sis_record where id = any(:ids) and kind = 'user' group by sourced_id having count(*) > 1)
"""
SPLIT_RECORDS = "split_records"
"""A key in a delta's proof: whether somebody who changed had several records in its base. Then the SIS may have one for
each school, and one that changed does not say that the person left the others."""
OLDER_RECORDS = "older_records"
"""A key in a delta's proof: how many of its records were changed before those of its base."""


@dataclass(frozen=True)
class DeltaBase:
    """An earlier complete pull. full_at: when the full pull on which it builds was finished. server_time: its time on
    the SIS's clock. started_at: its start on our clock. unchanged_since: since when the source says the same as in this
    pull. proof: its proof of completeness."""

    id: int
    finished_at: datetime
    full_at: datetime
    server_time: datetime | None
    records: int
    started_at: datetime | None = None
    unchanged_since: datetime | None = None
    proof: Mapping[str, Any] = field(default_factory=dict)


def place_of(url: str) -> str:
    """The place that a connection reads. Pulls from an earlier address do not count for the present one."""
    return hashlib.sha256(url.encode()).hexdigest()[:PLACE_LETTERS]


def delta_base_of(
    conn: Connection, connection: ConnectionRow, scope: str, before: int | None = None, *, complete: bool = True
) -> DeltaBase | None:
    """The newest complete pull; with `complete=False`, also one that has every record in full."""
    good = pull.c.complete if complete else or_(pull.c.complete, pull.c.proof.has_key("full_at"))
    query = _finished(connection, scope).where(good).limit(1)
    if before is not None:
        query = query.where(pull.c.id < before)
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    proof: dict[str, Any] = row.proof
    return DeltaBase(
        id=row.id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        full_at=_moment(proof.get("full_at")) or row.finished_at,
        server_time=_moment(proof.get("server_time")),
        records=int(proof.get("whole_records") or proof.get("records") or 0),
        unchanged_since=row.unchanged_since,
        proof=proof,
    )


def newest_proof(conn: Connection, connection: ConnectionRow, scope: str) -> Mapping[str, Any] | None:
    """The proof of the newest finished pull of a connection and scope, complete or not."""
    row = conn.execute(_finished(connection, scope).limit(1)).one_or_none()
    return None if row is None else dict(row.proof)


def _finished(connection: ConnectionRow, scope: str | None = None) -> Select[Any]:
    """The finished pulls of one scope, or of all, from the place that is read now, newest first. Older pulls did not
    note their place."""
    place = func.coalesce(pull.c.proof["place"].astext, place_of(connection.settings.url))
    return (
        select(pull)
        .where(
            pull.c.connection_id == connection.id,
            true() if scope is None else pull.c.scope == scope,
            pull.c.finished_at.is_not(None),
            place == place_of(connection.settings.url),
        )
        .order_by(pull.c.id.desc())
    )


def switch_delta_off(conn: Connection, of: ConnectionRow) -> bool:
    """Fetch everything from a connection from now on. Returns False if that is so already. Tests still count."""
    off = connection_table.c.settings.op("||")(cast({"delta": False}, JSONB))
    done = (
        update(connection_table)
        .where(connection_table.c.id == of.id, connection_table.c.settings["delta"].as_boolean())
        .values(settings=off, revision=connection_table.c.revision + 1, updated_at=func.now())
        .returning(connection_table.c.revision)
    )
    revision = conn.scalar(done)
    if revision is None:
        return False
    keep_tests(conn, of.id, revision - 1, revision)
    return True


def rostered_records(conn: Connection, connection_id: int) -> tuple[int | None, int]:
    """The number of records of all configured schools of a connection together, and the number of these schools. A
    school without a snapshot counts as many records as the others have on average; None if no school has one yet."""
    newest = (
        select(snapshot.c.counts["raw_users"].as_integer())
        .where(snapshot.c.school_id == school.c.id)
        .order_by(snapshot.c.id.desc())
        .limit(1)
        .correlate(school)
        .scalar_subquery()
    )
    counted = select(func.avg(newest), func.count()).where(school.c.connection_id == connection_id)
    usual, schools = conn.execute(counted).one()
    return (None if usual is None else round(usual * schools)), schools


def requests_of_lists(conn: Connection, connection: ConnectionRow) -> float | None:
    """How many requests the lists of one school cost on average, in the pulls that are kept; None if there is no
    pull."""
    lists = _finished(connection).where(pull.c.scope != "").subquery()
    usual = conn.scalar(select(func.avg(lists.c.proof["requests"].as_integer())))
    return None if usual is None else float(usual)


def _moment(written: object) -> datetime | None:
    return datetime.fromisoformat(written) if isinstance(written, str) else None


def merge(
    conn: Connection,
    connection_id: int,
    pull_id: int,
    base: DeltaBase,
    proof: Mapping[str, Any],
    unsaid: Mapping[str, Collection[str]],
) -> dict[str, Any]:
    """Merge a pull that has only a part of the records with its base. Returns what to add to its proof.

    unsaid: for each collection, members that the source does not say at all, such as those of a column that a file has
    no longer, or `notEnrolled` if nobody could read who is enrolled. The records keep what the base says. The orgs
    keep it too, if none has a parent any more: otherwise the people of a campus would be in another school.

    A person who is missing in a delta is unchanged, not gone. A record that was changed before that of the base is of a
    delta that came again, so it does not count. The mode of the pull stays `delta`.
    """
    keep_records(conn, connection_id)
    delta, lost = proof.get("mode") == "delta", dict(proof[LOST_COLUMNS])
    both = {"pull": pull_id, "base": base.id}
    of_orgs = both | {"connection": connection_id}
    if conn.scalar(text(LOST_PARENTS), of_orgs):
        unsaid = {**unsaid, "orgs": {*unsaid.get("orgs", ()), PARENT}}
        lost["orgs"] = sorted({*lost.get("orgs", ()), PARENT})
    for file, required in REQUIRED_CELLS.items():
        whole = {name for name in proof["columns"].get(file, ()) if ":" not in name} if delta else set()
        if whole or unsaid.get(file):
            _keep_members(conn, pull_id, base, unsaid.get(file, ()), whole, {"kind": file[:-1], "required": required})
    if ORGS_ARE_DELTA in proof.get("notes", ()) and not delta:
        name_in_pull(conn, pull_id, of_pull(conn, pull_id) | read_ids(conn, ORGS_OF_BASE, of_orgs))
    if not delta:
        return {LOST_COLUMNS: lost}
    pulls = of_pulls(conn, pull_id, base.id)
    superseded = read_ids(conn, SUPERSEDED, both)
    older = superseded - pulls[base.id]
    name_in_pull(conn, pull_id, (pulls[pull_id] - older) | (pulls[base.id] - superseded))
    facts = {"full_at": base.full_at.isoformat(), "whole_records": base.records, OLDER_RECORDS: len(older)}
    replaced = (superseded & pulls[base.id]).ids.tolist()
    split = bool(base.proof.get(SPLIT_RECORDS)) or conn.scalar(text(SPLIT), {"ids": replaced})
    return facts | {LOST_COLUMNS: lost, SPLIT_RECORDS: split}


def _keep_members(
    conn: Connection,
    pull_id: int,
    base: DeltaBase,
    unsaid: Collection[str],
    whole: Collection[str],
    of_file: Mapping[str, Any],
) -> None:
    """Give records of a pull members that they do not say, from their record in the base. whole: members that a row
    says only if its required cells are filled."""
    given = {"unsaid": list(unsaid), "columns": list({*unsaid, *whole}), "delta": bool(whole)}
    found = conn.execute(text(KEPT), {**given, **of_file, "pull": pull_id, "base": base.id}).one()
    if found.replaced:
        kept = of_pull(conn, pull_id) - RecordSet.of(found.replaced)
        name_in_pull(conn, pull_id, kept | RecordSet.of([*(found.made or ()), *(found.same or ())]))
