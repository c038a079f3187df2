"""Who was in the earlier lists of a school: people whom a list of the day before may lack, and people whom only another
source had."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import Connection, text

_MEMBERS = """
select place, role, array_agg(person_id) as people from (
    select s.place, l.person_id,
           (array_agg(c.role order by array_position(array['admin', 'teacher', 'staff', 'student'], c.role)))[1] as role
    from unnest(cast(:snapshots as bigint[])) with ordinality s(id, place)
    join link l on l.connection_id = :connection and l.person_id = any(cast(:people as bigint[]))
    join cleaned_roster c on c.snapshot_id = s.id and c.sourced_id = l.sourced_id and c.record_status = 'member'
    group by s.place, l.person_id
) known group by place, role
"""
_LISTS = """
with listed as (
    select s.id, s.taken_at < now.taken_at - cast(:within as interval) as earlier
    from snapshot now join snapshot s on (s.school_id, s.connection_id) = (now.school_id, now.connection_id)
    where now.id = :snapshot and s.id < now.id and s.complete and s.roster_id is not null
)
select id from listed where id >= (select max(id) from listed where earlier) order by id
"""
"""The complete snapshots of a school that are younger than this, after the newest one that is older."""
LATELY = timedelta(hours=36)
"""A copy of the day before lacks people who came in this time."""
_SAME_SOURCE = """
with earlier as (
    select s.id, s.roster_id, s.school_sourced_id = now.school_sourced_id
        and coalesce(s.proof ->> 'system' = now.proof ->> 'system', s.proof ->> 'place' = now.proof ->> 'place', true)
        as same
    from snapshot now join snapshot s on (s.school_id, s.connection_id) = (now.school_id, now.connection_id)
    where now.id = :snapshot and s.id < now.id
)
select array_agg(id order by id) filter (where same and roster_id is not null) as lists
from earlier having not bool_and(same)
"""
"""The earlier snapshots of a school from the present system and org; no row if there is no snapshot of another one. The
place is the address as it was written. Older snapshots noted it alone, or nothing."""


def in_earlier_snapshots(
    conn: Connection, connection_id: int, snapshots: list[int], people: Collection[int]
) -> list[dict[str, list[int]]]:
    """For each snapshot and role, the people who were members in the snapshot."""
    found: list[dict[str, list[int]]] = [{} for _ in snapshots]
    if people and snapshots:
        given = {"connection": connection_id, "snapshots": snapshots, "people": sorted(people)}
        for row in conn.execute(text(_MEMBERS), given):
            found[row.place - 1][row.role] = list(row.people)
    return found


def newcomers(conn: Connection, connection_id: int, snapshot_id: int, people: Collection[int]) -> set[int]:
    """Those of these people who were members in a complete snapshot of late, but not in the newest one before."""
    lists = list(conn.scalars(text(_LISTS), {"snapshot": snapshot_id, "within": LATELY}))
    of_list = [
        {person for members in roles.values() for person in members}
        for roles in in_earlier_snapshots(conn, connection_id, lists, people)
    ]
    return set().union(*of_list[1:]) - of_list[0] if of_list else set()


def never_listed(conn: Connection, connection_id: int, snapshot_id: int, people: Collection[int]) -> set[int]:
    """Those of these people who were members only in lists of an earlier address of the connection, or of an earlier
    org. A list that was pruned does not count."""
    found = conn.execute(text(_SAME_SOURCE), {"snapshot": snapshot_id}).first()
    if found is None:
        return set()
    lists = in_earlier_snapshots(conn, connection_id, found.lists or [], people)
    return set(people).difference(*(members for roles in lists for members in roles.values()))
