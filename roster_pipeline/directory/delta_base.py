"""The earlier pull on which a new pull depends, how the two differ, and which way to fetch was cheaper in earlier
pulls."""

from __future__ import annotations

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

CHANGED_AT = """case when substr(payload ->> 'dateLastModified', 5, 1) = '-'
    then payload ->> 'dateLastModified' collate "C" end"""
"""The date of change of a record. One server writes all its times in the same format, so they can be compared as text
if the year comes first."""
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
"""Of the records of a delta and of its base that are about the same people and orgs, those that do not count: those of
the base, or the one of the delta if it was changed before all of those."""
WITH_NOT_ENROLLED = f"""
with changed as materialized (
    select u.id, u.connection_id, u.kind, u.sourced_id, u.student, u.orgs, u.agents,
        (u.payload::jsonb || jsonb_build_object('notEnrolled', b.payload -> 'notEnrolled'))::text as payload
    from pull_record p {RECORDS.format(set="p")} u
    cross join lateral (
        select id, payload from sis_record
        where connection_id = u.connection_id and kind = 'user' and sourced_id = u.sourced_id offset 0
    ) b
    cross join lateral (select from pull_record where pull_id = :base and {NAMED.format(id="b.id")} offset 0) q
    where p.pull_id = :pull and u.kind = 'user'
      and b.payload -> 'notEnrolled' is not null and u.payload -> 'notEnrolled' is null
), made as (
    insert into sis_record (connection_id, kind, sourced_id, content_hash, student, orgs, agents, payload)
    select connection_id, kind, sourced_id, md5(payload)::uuid, student, orgs, agents, payload::json from changed
    returning id
)
select (select array_agg(id) from changed) as replaced, (select array_agg(id) from made) as made
"""  # noqa: S608
LEFT_OUT = f"""
select count(*) from sis_record w
cross join lateral (select from pull_record where pull_id = :whole and {NAMED.format(id="w.id")} offset 0) p
where w.kind = 'user' and w.orgs @> array[:org]
  and coalesce(w.payload ->> 'status', 'active') in ('', 'active')
  and (w.payload -> 'roles')::jsonb @> any (array[
      jsonb_build_array(jsonb_build_object('org', cast(:org as text), 'role', 'student')),
      jsonb_build_array(jsonb_build_object('org', cast(:org as text), 'role', 'teacher'))])
  and not exists (
      select from sis_record o
      cross join lateral (select from pull_record where pull_id = :part and {NAMED.format(id="o.id")} offset 0) q
      where o.connection_id = w.connection_id and o.kind = 'user' and o.sourced_id = w.sourced_id)
"""  # noqa: S608
OF_ONE = f"""(
    select r.sourced_id, r.payload::jsonb as payload, {CHANGED_AT} as at from unnest(cast(:{{ids}} as bigint[])) p (id)
    cross join lateral (select * from sis_record where id = p.id and kind = 'user' offset 0) r
)"""  # noqa: S608
DIFFERING = f"one as {OF_ONE.format(ids='only_here')}, other as {OF_ONE.format(ids='only_there')}"
"""Users of two pulls, without the records that both pulls name. The same content may still be stored twice."""
COMPARED = f"""
with {DIFFERING}, differing as (
    select one.payload - 'dateLastModified' is distinct from other.payload - 'dateLastModified' as changed,
        one.at, other.at as before
    from one full join other using (sourced_id) where one.payload is distinct from other.payload
)
select
    count(*) filter (where changed) as changed,
    count(*) filter (where length(at) = length(before) and at < before) as back,
    count(*) filter (where length(at) = length(before) and at > before) as forward
from differing
"""  # noqa: S608
MISSED = f"""
with {DIFFERING}, differing as (
    select one.sourced_id,
        one.payload -> 'roles' is distinct from other.payload -> 'roles' as membership,
        one.payload ->> 'email' is distinct from other.payload ->> 'email' as email,
        other.sourced_id is null as newcomer
    from one left join other using (sourced_id)
    where one.payload - 'dateLastModified' is distinct from other.payload - 'dateLastModified'
)
select
    count(*) filter (where n.id is null) as missed,
    count(*) filter (where n.id is not null and d.membership and not d.newcomer) as membership,
    count(*) filter (where n.id is not null and d.email and not d.newcomer) as email
from differing d left join unnest(cast(:named as text[])) n (id) on n.id = d.sourced_id
"""  # noqa: S608
PLACE_LETTERS = 16
OLDER_RECORDS = "older_records"
"""A key in a delta's proof: how many of its records were changed before those of its base."""


@dataclass(frozen=True)
class DeltaBase:
    """An earlier complete pull. full_at: when the full pull on which it builds was finished. server_time: its time on
    the SIS's clock.

    started_at: its start on our clock. unchanged_since: since when the source says the same as in this pull. proof: its
    proof of completeness.
    """

    id: int
    finished_at: datetime
    full_at: datetime
    server_time: datetime | None
    records: int
    started_at: datetime | None = None
    unchanged_since: datetime | None = None
    proof: Mapping[str, Any] = field(default_factory=dict)


def place_of(url: str) -> str:
    """The place that a connection reads. Pulls of an earlier address do not count for the one of today."""
    return hashlib.sha256(url.encode()).hexdigest()[:PLACE_LETTERS]


def delta_base_of(
    conn: Connection,
    connection: ConnectionRow,
    scope: str,
    before: int | None = None,
    *,
    complete: bool = True,
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
    """The number of records of all configured schools of a connection together, and the number of these schools.

    A school without a snapshot counts as many records as the others have on average; None if no school has one yet.
    """
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


@dataclass(frozen=True)
class Compared:
    """Two pulls of one source. changed: people who are new, gone or different. A different date of change alone does
    not count. back, forward: people whose date of change is earlier, or later, than in the pull before."""

    changed: int
    back: int
    forward: int


@dataclass(frozen=True)
class Named:
    """People who differ from an earlier pull. missed: the SIS did not name them as changed.

    The others were named: people with another school or role, and people with another e-mail.
    """

    missed: int
    membership: int
    email: int


def compare(conn: Connection, pull_id: int, base_id: int) -> Compared:
    """How the people of a pull differ from those of an earlier one."""
    row = conn.execute(text(COMPARED), _differing(conn, pull_id, base_id)).one()
    return Compared(row.changed, row.back, row.forward)


def compare_named(conn: Connection, pull_id: int, base_id: int, named: Collection[str]) -> Named:
    """Compare all records with an earlier pull, and with the people that the SIS names as changed since then."""
    row = conn.execute(text(MISSED), _differing(conn, pull_id, base_id) | {"named": list(named)}).one()
    return Named(row.missed, row.membership, row.email)


def _differing(conn: Connection, pull_id: int, base_id: int) -> dict[str, Any]:
    """The ids of the records that only one of two pulls names."""
    pulls = of_pulls(conn, pull_id, base_id)
    here, there = pulls[pull_id], pulls[base_id]
    return {"only_here": (here - there).ids.tolist(), "only_there": (there - here).ids.tolist()}


def apply_delta(conn: Connection, connection_id: int, pull_id: int, base: DeltaBase) -> dict[str, Any]:
    """Add to a delta the records of its base that it does not name, so that every record is there in full.

    A person who is missing in a delta is unchanged, not gone. A record that was changed before that of the base is of a
    delta that came again, so it does not count. The mode of the pull stays `delta`. Returns what to add to its proof.
    """
    keep_records(conn, connection_id)
    pulls = of_pulls(conn, pull_id, base.id)
    superseded = read_ids(conn, SUPERSEDED, {"pull": pull_id, "base": base.id})
    older = superseded - pulls[base.id]
    name_in_pull(conn, pull_id, (pulls[pull_id] - older) | (pulls[base.id] - superseded))
    return {"full_at": base.full_at.isoformat(), "whole_records": base.records, OLDER_RECORDS: len(older)}


def keep_not_enrolled(conn: Connection, pull_id: int, base: DeltaBase) -> None:
    """Give users of a pull the `notEnrolled` of their record in the base.

    This is for a pull that could not read who is enrolled. Its records have no enrollments, and a student who left must
    not look enrolled again.
    """
    found = conn.execute(text(WITH_NOT_ENROLLED), {"pull": pull_id, "base": base.id}).one()
    if found.replaced:
        kept = of_pull(conn, pull_id) - RecordSet.of(found.replaced)
        name_in_pull(conn, pull_id, kept | RecordSet.of(found.made))


def left_out(conn: Connection, whole_id: int, part_id: int, org: str) -> int:
    """Students and teachers of a school who are in the whole collection, but not in the school's own lists."""
    return int(conn.scalar(text(LEFT_OUT), {"whole": whole_id, "part": part_id, "org": org}) or 0)
