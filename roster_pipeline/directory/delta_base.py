"""Pulls that stand on earlier ones: deltas laid over their base, and per-school lists compared with the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select, text, true

from roster_pipeline.directory.tables import pull, school, snapshot
from roster_pipeline.directory.tenants import ConnectionRow

PLACE_LETTERS = 16

APPLY_DELTA = """
insert into {table} select :pull, {columns} from {table} b
where b.pull_id = :base and not exists (select from {table} c where c.pull_id = :pull and c.sourced_id = b.sourced_id)
"""
TABLES = {"pulled_org": "sourced_id, payload", "pulled_user": "sourced_id, orgs, agents, payload"}

KEEP_NOT_ENROLLED = """
update pulled_user u set payload = u.payload || jsonb_build_object('notEnrolled', b.payload -> 'notEnrolled')
from pulled_user b
where u.pull_id = :pull and b.pull_id = :base and b.sourced_id = u.sourced_id
  and b.payload ? 'notEnrolled' and not u.payload ? 'notEnrolled'
"""

LEFT_OUT = """
select count(*) from pulled_user w
where w.pull_id = :whole and w.orgs @> array[:org]
  and coalesce(w.payload ->> 'status', 'active') in ('', 'active')
  and w.payload -> 'roles' @> any (array[
      jsonb_build_array(jsonb_build_object('org', cast(:org as text), 'role', 'student')),
      jsonb_build_array(jsonb_build_object('org', cast(:org as text), 'role', 'teacher'))])
  and not exists (select from pulled_user p where p.pull_id = :part and p.sourced_id = w.sourced_id)
"""


COMPARED = """
with one as (select sourced_id, payload from pulled_user where pull_id = :pull),
other as (select sourced_id, payload from pulled_user where pull_id = :base),
differing as (
    select one.payload - 'dateLastModified' is distinct from other.payload - 'dateLastModified' as changed,
        one.payload ->> 'dateLastModified' collate "C" as at, other.payload ->> 'dateLastModified' collate "C" as before
    from one full join other using (sourced_id) where one.payload is distinct from other.payload
)
select
    count(*) filter (where changed) as changed,
    count(*) filter (where length(at) = length(before) and at < before) as back,
    count(*) filter (where length(at) = length(before) and at > before) as forward
from differing
"""
"""Times of one server are written alike, so that they compare as text."""


@dataclass(frozen=True)
class DeltaBase:
    """An earlier complete pull. full_at: when the full pull below it was finished. server_time: on the SIS's clock.

    started_at: on our clock. unchanged_since: since when the source said the same as in this pull. proof: what was
    noted of it.
    """

    id: int
    finished_at: datetime
    full_at: datetime
    server_time: datetime | None
    records: int
    started_at: datetime | None = None
    unchanged_since: datetime | None = None
    proof: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """Two pulls of one source. changed: people who are new, gone or different; a date of change alone is no difference.

    back, forward: people whose date of change is earlier, or later, than in the pull before.
    """

    changed: int
    back: int
    forward: int


def place_of(url: str) -> str:
    """What tells the pulls of one server or folder from those of another, once a connection's address was changed."""
    return hashlib.sha256(url.encode()).hexdigest()[:PLACE_LETTERS]


def delta_base_of(
    conn: Connection,
    connection: ConnectionRow,
    scope: str,
    before: int | None = None,
    *,
    complete: bool = True,
) -> DeltaBase | None:
    """The newest complete pull of a connection and scope; or, complete or not, one that has every record in full."""
    good = pull.c.complete if complete else or_(pull.c.complete, pull.c.proof.has_key("full_at"))
    query = _finished(connection, scope).where(good).limit(1)
    if before is not None:
        query = query.where(pull.c.id < before)
    found = conn.execute(query).one_or_none()
    if found is None:
        return None
    proof: dict[str, Any] = found.proof
    return DeltaBase(
        id=found.id,
        started_at=found.started_at,
        finished_at=found.finished_at,
        full_at=_moment(proof.get("full_at")) or found.finished_at,
        server_time=_moment(proof.get("server_time")),
        records=int(proof.get("whole_records") or proof.get("records") or 0),
        unchanged_since=found.unchanged_since,
        proof=proof,
    )


def newest_proof(conn: Connection, connection: ConnectionRow, scope: str) -> Mapping[str, Any] | None:
    """What was noted of the newest finished pull of a connection and scope, complete or not."""
    found = conn.execute(_finished(connection, scope).limit(1)).one_or_none()
    return None if found is None else dict(found.proof)


def _finished(connection: ConnectionRow, scope: str | None = None) -> Select[Any]:
    """The finished pulls of one scope, or of all, from where the connection leads now, the newest first.

    Older ones did not note their place.
    """
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


def compare(conn: Connection, pull_id: int, base_id: int) -> Compared:
    """How the people of a pull differ from those of an earlier one."""
    found = conn.execute(text(COMPARED), {"pull": pull_id, "base": base_id}).one()
    return Compared(found.changed, found.back, found.forward)


def apply_delta(conn: Connection, pull_id: int, base: DeltaBase) -> dict[str, Any]:
    """Fill a delta with what its base had and it does not name, so that every record is there in full.

    Who is missing in a delta is unchanged, not gone: the pull's mode stays `delta`. Returns what belongs into its
    proof.
    """
    for table, columns in TABLES.items():
        statement = APPLY_DELTA.format(table=table, columns=columns)
        conn.execute(text(statement), {"pull": pull_id, "base": base.id})
    return {"full_at": base.full_at.isoformat(), "whole_records": base.records}


def keep_not_enrolled(conn: Connection, pull_id: int, base: DeltaBase) -> None:
    """Give users of a pull the `notEnrolled` of their record in the base.

    For a pull that could not read who is enrolled: its records say nothing about enrollments, which must not look as if
    a student who left were enrolled again.
    """
    conn.execute(text(KEEP_NOT_ENROLLED), {"pull": pull_id, "base": base.id})


def left_out(conn: Connection, whole_id: int, part_id: int, org: str) -> int:
    """Students and teachers of a school whom the whole collection has and the school's own lists did not name."""
    return int(conn.scalar(text(LEFT_OUT), {"whole": whole_id, "part": part_id, "org": org}) or 0)


def rostered_records(conn: Connection, connection_id: int) -> tuple[int | None, int]:
    """Records of all configured schools of a connection together, and how many schools those are.

    A school without a snapshot counts as much as the others do on average; None where no school has one yet.
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
    """Requests that one school's lists cost on average, by the pulls that are kept; None where there is none."""
    lists = _finished(connection).where(pull.c.scope != "").subquery()
    usual = conn.scalar(select(func.avg(lists.c.proof["requests"].as_integer())))
    return None if usual is None else float(usual)


def _moment(written: object) -> datetime | None:
    return datetime.fromisoformat(written) if isinstance(written, str) else None
