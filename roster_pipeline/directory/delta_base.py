"""The earlier pull on which tonight's depends, and what earlier pulls say of the ways to fetch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, cast, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.tables.intake import pull, snapshot
from roster_pipeline.directory.tables.tenants import connection as connection_table
from roster_pipeline.directory.tables.tenants import school
from roster_pipeline.directory.tenants import ConnectionRow, keep_tests

PLACE_LETTERS = 16


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
    """The place that a connection reads: a server or a folder.

    Once the address of a connection was changed, it tells the pulls of one place from the pulls of another.
    """
    return hashlib.sha256(url.encode()).hexdigest()[:PLACE_LETTERS]


def delta_base_of(
    conn: Connection,
    connection: ConnectionRow,
    scope: str,
    before: int | None = None,
    *,
    complete: bool = True,
) -> DeltaBase | None:
    """The newest complete pull of a connection and scope.

    With `complete=False`, a pull that has every record in full counts too.
    """
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
    """The finished pulls of one scope, or of all, from the place that the connection reads now, newest first.

    Older pulls did not note their place.
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


def switch_delta_off(conn: Connection, of: ConnectionRow) -> bool:
    """Fetch everything from a connection from now on; Returns False if that is so already.

    A test of the connection still counts.
    """
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
