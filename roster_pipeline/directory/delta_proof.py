"""Full pulls held against whom the SIS names as changed, and the switch for fetching changes only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, cast, func, text, update
from sqlalchemy.dialects.postgresql import JSONB

from roster_pipeline.directory.delta_base import DIFFERING
from roster_pipeline.directory.tables import connection
from roster_pipeline.directory.tenants import ConnectionRow, keep_tests

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


@dataclass(frozen=True)
class Named:
    """People who differ from an earlier pull: missed, whom the SIS did not name as changed; of the named, those with
    another school or role, and those with another e-mail."""

    missed: int
    membership: int
    email: int


def compare_named(conn: Connection, pull_id: int, base_id: int, named: Collection[str]) -> Named:
    """Hold everybody's records against an earlier pull and against whom the SIS names as changed since."""
    found = conn.execute(text(MISSED), {"pull": pull_id, "base": base_id, "named": list(named)}).one()
    return Named(found.missed, found.membership, found.email)


def switch_delta_off(conn: Connection, of: ConnectionRow) -> bool:
    """Fetch everything from a connection from now on; False if that is so already. What was tested stays tested."""
    off = connection.c.settings.op("||")(cast({"delta": False}, JSONB))
    done = (
        update(connection)
        .where(connection.c.id == of.id, connection.c.settings["delta"].as_boolean())
        .values(settings=off, revision=connection.c.revision + 1, updated_at=func.now())
        .returning(connection.c.revision)
    )
    revision = conn.scalar(done)
    if revision is None:
        return False
    keep_tests(conn, of.id, revision - 1, revision)
    return True
