"""How two pulls of one source differ."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.delta_base import CHANGED_AT
from roster_pipeline.directory.record_sets import NAMED, of_pulls

OF_ONE = f"""(
    select r.sourced_id, r.payload::jsonb as payload, {CHANGED_AT} as at from unnest(cast(:{{ids}} as bigint[])) p (id)
    cross join lateral (select * from sis_record where id = p.id and kind = 'user' offset 0) r
)"""  # noqa: S608
DIFFERING = f"one as {OF_ONE.format(ids='only_here')}, other as {OF_ONE.format(ids='only_there')}"
"""Users of two pulls, without the records that both pulls name. The same content may still be stored twice."""
COMPARED = f"""
with {DIFFERING}, differing as (
    select one.payload - 'dateLastModified' is distinct from other.payload - 'dateLastModified' as changed,
        one.at, other.at as before, other.payload is null as is_new,
        coalesce(one.payload -> 'roles', '[]') = '[]'
            and coalesce(one.payload ->> 'status', 'active') = 'active' as roleless
    from one full join other using (sourced_id) where one.payload is distinct from other.payload
)
select
    count(*) filter (where changed) as changed,
    count(*) filter (where length(at) = length(before) and at < before) as back,
    count(*) filter (where length(at) = length(before) and at > before) as forward,
    count(*) filter (where is_new) as new,
    count(*) filter (where is_new and roleless) as new_roleless
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


@dataclass(frozen=True)
class Compared:
    """Two pulls of one source. changed: people who are new, gone or different. A different date of change alone does
    not count. back, forward: people whose date of change is earlier, or later, than in the pull before.
    new, new_roleless: people who are new, and those of them without a role."""

    changed: int
    back: int
    forward: int
    new: int
    new_roleless: int


def compare(conn: Connection, pull_id: int, base_id: int) -> Compared:
    """How the people of a pull differ from those of an earlier one."""
    row = conn.execute(text(COMPARED), _differing(conn, pull_id, base_id)).one()
    return Compared(**row._mapping)


def compare_named(conn: Connection, pull_id: int, base_id: int, named: Collection[str]) -> Row[Any]:
    """How many people differ from an earlier pull, although the SIS did not name them as changed since then (missed);
    and, of those it named, how many have another school or role (membership), or another e-mail."""
    return conn.execute(text(MISSED), _differing(conn, pull_id, base_id) | {"named": list(named)}).one()


def _differing(conn: Connection, pull_id: int, base_id: int) -> dict[str, Any]:
    """The ids of the records that only one of two pulls names."""
    pulls = of_pulls(conn, pull_id, base_id)
    here, there = pulls[pull_id], pulls[base_id]
    return {"only_here": (here - there).ids.tolist(), "only_there": (there - here).ids.tolist()}


def left_out(conn: Connection, whole_id: int, part_id: int, org: str) -> int:
    """Students and teachers of a school who are in the whole collection, but not in the school's own lists."""
    return int(conn.scalar(text(LEFT_OUT), {"whole": whole_id, "part": part_id, "org": org}) or 0)
