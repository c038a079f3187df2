"""What records said when a sync applied them last, for records that no field of a person follows.

A person's fields are those of the primary record. So only the table `link_record` knows what another record of theirs
said, perhaps in another SIS with other numbers. If that record comes as somebody else, it contradicts itself.

A sync remembers a record that is a member's and in no conflict, if it applied the row of the person, or lets updates of
the role pass. What the record does not say any more stays. A record that was remembered once is remembered from then
on, also as the primary record. The rows belong to links, and go with them.
"""

# ruff: noqa: S608 - what is put together here are our own column names

from roster_pipeline.directory.pg_copy import Kind
from roster_pipeline.directory.roster_rows import OF_SNAPSHOT
from roster_pipeline.vocabulary import PERSON_FIELDS

_NUMBER = ("number_kind", "number")
_NAMES = tuple(name for name in PERSON_FIELDS if name not in ("phone", "number", "enabled"))
SAID = (*_NUMBER, *_NAMES)
"""The values that say who somebody is."""
_COLUMNS = ", ".join(SAID)
KINDS: dict[str, Kind] = {"sourced_id": "text", "person_id": "int", **dict.fromkeys(SAID, "text")}
OF_CANDIDATES = (
    f"select l.sourced_id, l.person_id, {', '.join(f'r.{name}' for name in SAID)} from link_record r "
    "join link l using (connection_id, sourced_id) join candidate c on c.person_id = l.person_id "
    "where r.connection_id = {connection} order by l.sourced_id"
)
"""What the records of a connection said, for the people of a plan (`planning_input`)."""

ANY = (
    "exists (select from link where connection_id = :connection and not is_primary) "
    "or exists (select from link_record where connection_id = :connection)"
)
"""Whether a connection has records to remember."""
NEW = "exists (select from linking where not is_primary)"
"""Whether an apply makes links to some (`apply_staging`)."""
_WITH_NUMBER = "case when excluded.number is null then r.{0} else excluded.{0} end"
_NOW = ", ".join([*map(_WITH_NUMBER.format, _NUMBER), *(f"coalesce(excluded.{name}, r.{name})" for name in _NAMES)])
REMEMBER = f"""
with believed as materialized (
    select person_id from applying where action <> 'archive' and role <> 'contact'
    union all
    select person_id from plan_row
    where plan_id = :plan and action in ('unchanged', 'skip') and matched_by is not null and not exempted
      and (role, guard) in (select * from unnest(cast(:linking_roles as text[]), cast(:linking_guards as text[])))
    union all
    select unnest(people) from plan_unchanged where plan_id = :plan and role = any(:linking_roles)
), other as materialized (
    select distinct l.sourced_id, l.person_id from believed b cross join lateral (
        select sourced_id, person_id from link
        where person_id = b.person_id and connection_id + 0 = :connection and (not is_primary or exists (
            select from link_record r where r.connection_id = link.connection_id and r.sourced_id = link.sourced_id
        )) offset 0
    ) l
), said as materialized (
    select * from {OF_SNAPSHOT.format(snapshot=":snapshot")}
      and record_status = 'member' and (sourced_id in (select sourced_id from other)) is true
)
insert into link_record as r (connection_id, sourced_id, sync_id, {_COLUMNS})
select :connection, sourced_id, :sync, {_COLUMNS} from said join other using (sourced_id)
on conflict (connection_id, sourced_id) do update set sync_id = excluded.sync_id, ({_COLUMNS}) = row({_NOW})
where ({", ".join(f"r.{name}" for name in SAID)}) is distinct from ({_NOW})
"""
"""Runs at the end of an apply, with the rows that it has staged (`apply_staging`). PostgreSQL has no statistics of rows
this young. `is true` makes it look up in a hash table, where a join would compare all with all; `+ 0` and `offset 0`
make it look up each person by an index, because other schools of the connection may have a million links."""

_LEAVE = f"""
insert into link_record (connection_id, sourced_id, sync_id, {_COLUMNS})
select h.connection_id, h.sourced_id, {{sync}},
    {", ".join(f"case when p.number_connection_id = h.connection_id then p.{name} end" for name in _NUMBER)},
    {", ".join(f"p.{name}" for name in _NAMES)}
from link h join person p on p.id = h.person_id and p.district_id = h.district_id
where h.is_primary and h.district_id = :district and h.connection_id <> :connection and h.person_id {{of}}
on conflict do nothing
"""
LEAVE_OTHERS = _LEAVE.format(sync=":sync", of="in (select person_id from moving)")
"""Before an apply changes the fields of people whose primary record moves here from another connection: the fields are
what the other record said last."""
LEAVE_BY_HAND = _LEAVE.format(sync="null", of="= :person")
"""Before somebody chooses a record of another connection."""

FORGET_SYNC = "delete from link_record where sync_id = :sync"
"""With the rollback of a sync. A record about which nothing is known contradicts nothing."""
FORGET_NUMBERS = "update link_record set number = null where connection_id = :connection and number_kind = any(:kinds)"
"""If a connection takes its numbers from another place."""
