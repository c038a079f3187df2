"""The SQL that changes the directory: one statement per kind of change, on the rows that `apply_staging` has staged.

All statements have the parameters district, school, connection, plan and snapshot. If a statement has more, its comment
names them. The values come from `changes`, a JSON object {field: [from, to]}, so Python never takes a plan row apart.
"""

# ruff: noqa: S608 - what is put together here are our own column names

from collections.abc import Collection

from roster_pipeline.directory.link_records import ANY, LEAVE_OTHERS, NEW
from roster_pipeline.directory.roster_rows import OF_SNAPSHOT
from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, MORE_CONTACTS, PERSON_FIELDS

_BOOLEANS = ("enabled",)


def _to(field: str) -> str:
    value = f"(a.changes -> '{field}' ->> 1)"
    return f"{value}::boolean" if field in _BOOLEANS else value


def _changed(field: str, current: str) -> str:
    return f"case when a.changes ? '{field}' then {_to(field)} else {current} end"


def _listed(fields: tuple[str, ...]) -> str:
    return ", ".join(fields)


def _same(fields: tuple[str, ...], alias: str) -> str:
    return ", ".join(f"{field} = {_changed(field, f'{alias}.{field}')}" for field in fields)


INSERT_PEOPLE = f"""
insert into person (id, district_id, {_listed(PERSON_FIELDS)}, number_kind, number_connection_id)
select a.person_id, :district, {", ".join(_to(field) for field in PERSON_FIELDS)},
       case when a.changes -> 'number' ->> 1 is not null then a.number_kind end,
       case when a.changes -> 'number' ->> 1 is not null then :connection end
from applying a where a.fresh
"""
UPDATE_PEOPLE = f"""
update person p set {_same(PERSON_FIELDS, "p")},
    number_kind = case when not a.changes ? 'number' then p.number_kind
                       when a.changes -> 'number' ->> 1 is not null then a.number_kind end,
    number_connection_id = case when not a.changes ? 'number' then p.number_connection_id
                                when a.changes -> 'number' ->> 1 is not null then :connection end,
    revision = p.revision + 1, updated_at = now()
from applying a
where a.of_person and a.action <> 'archive' and p.id = a.person_id and p.district_id = :district
"""
INSERT_LINKS = f"""
insert into link (district_id, connection_id, sourced_id, person_id, is_primary, version, master_identifier)
select :district, :connection, n.sourced_id, n.person_id, n.is_primary, :version,
       case when :masters then (select master_identifier from {OF_SNAPSHOT.format(snapshot=":snapshot")}
                                and sourced_id = n.sourced_id) end
from linking n
where n.fresh or not exists (
    select from link l where l.connection_id = :connection and l.sourced_id = n.sourced_id
)
"""
MOVE_PRIMARY = """
update link l set is_primary = (l.connection_id = :connection and l.sourced_id = m.first),
    primary_by_hand = l.connection_id = :connection and l.sourced_id = m.first and exists (
        select from link h where h.person_id = m.person_id and h.connection_id = :connection and h.primary_by_hand)
from moving m
where l.person_id = m.person_id and l.district_id = :district
  and l.is_primary <> (l.connection_id = :connection and l.sourced_id = m.first)
  and exists (
      select from link f
      where f.connection_id = :connection and f.sourced_id = m.first and f.person_id = m.person_id
  )
"""

INSERT_MEMBERSHIPS = f"""
insert into membership (district_id, school_id, person_id, {_listed(MEMBERSHIP_FIELDS)}, status, managed)
select :district, :school, a.person_id, coalesce({_to("role")}, a.role),
       {", ".join(_to(field) for field in MEMBERSHIP_FIELDS if field != "role")}, 'active', true
from applying a where a.action = 'create'
"""
UPDATE_MEMBERSHIPS = f"""
update membership m set {_same(MEMBERSHIP_FIELDS, "m")}, status = 'active', archived_by = null, archived_at = null,
    managed = true, absent_syncs = 0, revision = m.revision + 1, updated_at = now()
from applying a
where (a.action = 'restore' or (a.action = 'update' and a.of_membership))
  and m.district_id = :district and m.school_id = :school and m.person_id = a.person_id
"""
ARCHIVE_MEMBERSHIPS = """
update membership m set status = 'archived', archived_by = 'sync', archived_at = now(),
    revision = m.revision + 1, updated_at = now()
where m.district_id = :district and m.school_id = :school and m.managed
  and m.person_id = any(array(select person_id from applying where action = 'archive'))
"""
"""The array is looked up by key. A join reads all staged rows for each member of a school without statistics."""
MANAGE_MEMBERSHIPS = """
update membership m set managed = true, revision = m.revision + 1, updated_at = now()
from counting c
where c.joins and not m.managed
  and m.district_id = :district and m.school_id = :school and m.person_id = c.person_id
"""
COUNT_ABSENCES = """
update membership m set absent_syncs = c.absent_syncs
from counting c
where c.absent_syncs <> m.absent_syncs
  and m.district_id = :district and m.school_id = :school and m.person_id = c.person_id
"""

_OWN = {field: field.removeprefix("contact_") for field in CONTACT_FIELDS}
_CONTACT = f"""
with wanted as (
    select a.person_id, {", ".join(f"{_changed(field, f'c.{own}')} as {own}" for field, own in _OWN.items())}
    from applying a
    left join contact c
        on c.district_id = :district and c.school_id = :school and c.person_id = a.person_id and c.place = 1
    where a.of_contact and a.action <> 'archive'
)
"""
_NO_CONTACT = f"num_nonnulls({', '.join(f'w.{own}' for own in _OWN.values())}) = 0"
WRITE_CONTACTS = f"""{_CONTACT}
insert into contact (district_id, school_id, person_id, {", ".join(_OWN.values())})
select :district, :school, w.person_id, {", ".join(f"w.{own}" for own in _OWN.values())} from wanted w
where not {_NO_CONTACT}
on conflict (district_id, school_id, person_id, place) do update
set {", ".join(f"{own} = excluded.{own}" for own in _OWN.values())}, updated_at = now()
"""
DELETE_CONTACTS = f"""{_CONTACT}
delete from contact c using wanted w
where {_NO_CONTACT} and c.district_id = :district and c.school_id = :school and c.person_id = w.person_id
  and c.place = 1
"""
DELETE_MORE_CONTACTS = """
delete from contact c using applying a
where a.of_more and a.action <> 'archive'
  and c.district_id = :district and c.school_id = :school and c.person_id = a.person_id and c.place > 1
"""
INSERT_MORE_CONTACTS = f"""
insert into contact (district_id, school_id, person_id, place, {", ".join(_OWN.values())})
select :district, :school, a.person_id, e.place + 1, {", ".join(f"e.value ->> {at}" for at in range(len(_OWN)))}
from applying a
cross join lateral jsonb_array_elements((a.changes -> '{MORE_CONTACTS}' ->> 1)::jsonb) with ordinality e(value, place)
where a.of_more and a.action <> 'archive'
"""
REMOVE_EXCLUDED_CONTACTS = """
delete from contact c using applying a
where a.role = 'contact' and c.district_id = :district and c.school_id = :school and c.person_id = a.person_id
  and c.sourced_id = any(a.sourced_ids)
"""
"""Before all other changes of contacts: a row with another contact was planned as if these were gone."""

CHANGES = (
    (LEAVE_OTHERS, "moving", "true"),
    (INSERT_PEOPLE, "applying", "fresh"),
    (UPDATE_PEOPLE, "applying", "of_person and action <> 'archive'"),
    (INSERT_LINKS, "linking", "true"),
    (MOVE_PRIMARY, "moving", "true"),
    (INSERT_MEMBERSHIPS, "applying", "action = 'create'"),
    (UPDATE_MEMBERSHIPS, "applying", "action = 'restore' or (action = 'update' and of_membership)"),
    (ARCHIVE_MEMBERSHIPS, "applying", "action = 'archive'"),
    (MANAGE_MEMBERSHIPS, "counting", "joins"),
    (COUNT_ABSENCES, "counting", "absent_syncs is not null"),
    (REMOVE_EXCLUDED_CONTACTS, "applying", "role = 'contact'"),
    (DELETE_CONTACTS, "applying", "of_contact"),
    (WRITE_CONTACTS, "applying", "of_contact"),
    (DELETE_MORE_CONTACTS, "applying", "of_more"),
    (INSERT_MORE_CONTACTS, "applying", "of_more"),
)
"""Each statement with its staged rows: table and condition. People come before what points to them."""

UNKNOWN = """
select relname from pg_class
where relname in ('contact', 'link', 'membership', 'person') and relnamespace = 'public'::regnamespace and reltuples < 1
order by relname
"""
"""Tables of the directory whose size and contents the planner does not know yet. The order is always the same;
otherwise two first applies at once could wait for each other forever."""


def needed(staged: Collection[str]) -> str:
    """One statement that says, for each of `CHANGES` in its order, whether it has work, and whether there are records
    to remember. Each table is read once."""
    columns, tables = [], []
    for table in staged:
        own = [(f"c{place}", condition) for place, (_, of, condition) in enumerate(CHANGES) if of == table]
        listed = ", ".join(f"coalesce(bool_or({condition}), false) as {name}" for name, condition in own)
        tables.append(f"(select {listed} from {table}) as of_{table}")
    for place, (_, of, _) in enumerate(CHANGES):
        columns.append(f"c{place}" if of in staged else f"false as c{place}")
    others = f"{ANY} or {NEW}" if "linking" in staged else ANY
    return f"select {', '.join(columns)}, {others} from {' cross join '.join(tables)}"
