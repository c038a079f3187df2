"""The SQL of a rollback: the changes of one sync row by row, compared with the current rows, and the way back.

The way back of a row leads from the last `after` that the log has of that sync to its first `before`. A row that the
sync made is removed. A row that it changed is set back. A row that it removed is made again. A row that has moved since
is left alone.
"""

# ruff: noqa: S608 - what is put together here are our own table and column names

from roster_pipeline.vocabulary import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS

CASTS = {
    "enabled": "boolean", "number_connection_id": "bigint", "excluded": "boolean", "locked_fields": "text[]",
    "is_primary": "boolean", "confirmed": "boolean", "primary_by_hand": "boolean", "archived_at": "timestamptz",
    "managed": "boolean", "absent_syncs": "integer", "place": "smallint",
}  # fmt: skip
"""The log keeps all values as texts."""
KEPT = {
    "person": (*PERSON_FIELDS, "number_kind", "number_connection_id", "excluded", "locked_fields"),
    "link": ("is_primary", "version", "confirmed", "primary_by_hand", "master_identifier"),
    "membership": (*MEMBERSHIP_FIELDS, "status", "archived_by", "archived_at", "managed", "absent_syncs"),
    "contact": ("place", *(name.removeprefix("contact_") for name in CONTACT_FIELDS)),
}
ONCE_NOT_LOGGED = {"confirmed": "false", "primary_by_hand": "false", "place": "1"}
"""Columns that older lines of the log leave out, and the values that they had then."""
KEYS = {
    "person": "x.id = u.person_id and x.district_id = :district",
    "link": "x.connection_id = u.connection_id and x.sourced_id = u.sourced_id and x.district_id = :district",
    "membership": "x.district_id = :district and x.school_id = u.school_id and x.person_id = u.person_id",
    "contact": "x.district_id = :district and x.school_id = u.school_id and x.person_id = u.person_id "
    "and x.place = u.place",
}
REVISED = ("person", "membership")

STAGE = """
create temporary table rollback_row on commit drop as
with net as (
    select entity, person_id, school_id,
           case entity when 'link' then coalesce(after, before) ->> 'connection_id' end::bigint as connection_id,
           case entity when 'link' then coalesce(after, before) ->> 'sourced_id' end as sourced_id,
           case entity when 'contact' then coalesce(coalesce(after, before) ->> 'place', '1') end::smallint as place,
           (array_agg(before order by position))[1] as before,
           (array_agg(after order by position desc))[1] as after
    from change_log where sync_id = :sync and district_id = :district
    group by 1, 2, 3, 4, 5, 6
)
select *, case when before is null then 'remove' when after is null then 'remake' else 'set back' end as way,
       false as moved
from net
where (before is not null or after is not null) and before is distinct from after
  and (not :only_archived or (entity = 'membership' and before ->> 'status' = 'active'
                              and after ->> 'status' = 'archived'))
"""

_MINDLESS = ("absent_syncs", "version")
"""Columns that a later sync may write although it does not change the row."""


def _value(name: str, side: str = "before") -> str:
    cast = f"::{CASTS[name]}" if name in CASTS else ""
    logged = f"u.{side} ->> '{name}'"
    return f"(coalesce({logged}, '{ONCE_NOT_LOGGED[name]}')){cast}" if name in ONCE_NOT_LOGGED else f"({logged}){cast}"


def _as_left(entity: str) -> str:
    """The row is as the sync left it, but for its revision, which the undo of a later sync raises."""
    names = [name for name in KEPT[entity] if name not in _MINDLESS]
    return " and ".join(f"x.{name} is not distinct from {_value(name, 'after')}" for name in names)


def nobody_may_call(contact: str, sourced_id: str) -> str:
    """A condition: the school's newest snapshot excludes this contact. contact: the row, with school_id and
    person_id."""
    return f"""exists (
    select from excluded_contact e
    where e.snapshot_id = (select max(id) from snapshot s where s.school_id = {contact}.school_id)
      and e.sourced_id = {sourced_id} and (e.student_id is null or exists (
          select from link l join snapshot s on s.id = e.snapshot_id and s.connection_id = l.connection_id
          where l.sourced_id = e.student_id and l.person_id = {contact}.person_id)))"""


_SAME = {entity: _as_left(entity) for entity in KEPT}
_SAME["link"] += " and x.person_id = u.person_id"
MARK_MOVED = (
    *(
        f"update rollback_row u set moved = true where u.entity = '{entity}' and "
        f"case when u.way = 'remake' then exists (select from {entity} x where {KEYS[entity]}) "
        f"else not exists (select from {entity} x where {KEYS[entity]} and {same}) end"
        for entity, same in _SAME.items()
    ),
    """
update rollback_row u set moved = true
where u.entity = 'link' and u.way = 'remake' and not u.moved and exists (
    select from link_exclusion a
    where a.connection_id = u.connection_id and a.sourced_id = u.sourced_id and a.person_id = u.person_id)
""",
    f"""
update rollback_row u set moved = true
where u.entity = 'contact' and u.way <> 'remove' and not u.moved and {nobody_may_call("u", "u.before ->> 'sourced_id'")}
""",
    """
update rollback_row u set moved = true
where u.way = 'remove' and not u.moved and exists (
    select from person_merge g where g.kept_id = u.person_id and g.district_id = :district and g.undone_at is null
      and g.at > (select at from sync where id = :sync))
""",
)
"""These rows are marked as moved: rows that changed after the sync; links that somebody has unlinked since; contacts
that the SIS excluded last; and everything that the sync made of a person into whom another person was merged since."""
_PRIMARY_MOVES = "coalesce({0}.before ->> 'is_primary', 'false') <> coalesce({0}.after ->> 'is_primary', 'false')"
_STAYS = "not exists (select from rollback_row o where o.entity = '{}' and o.way = 'remove' and not o.moved and {})"
_COMES = "exists (select from rollback_row o where o.entity = '{}' and o.way = 'remake' and not o.moved and {})"
MARK_ROOTED = (
    f"""
update rollback_row u set moved = true
from rollback_row o
where u.entity = 'link' and o.entity = 'link' and o.person_id = u.person_id and o.moved and not u.moved
  and {_PRIMARY_MOVES.format("u")} and {_PRIMARY_MOVES.format("o")}
""",
    f"""
update rollback_row u set moved = true
where u.entity = 'membership' and u.way = 'remove' and not u.moved and exists (
    select from contact c where c.district_id = :district and c.school_id = u.school_id and c.person_id = u.person_id
      and {_STAYS.format("contact", "o.person_id = c.person_id and o.school_id = c.school_id and o.place = c.place")})
""",
    f"""
update rollback_row u set moved = true
where u.entity = 'person' and u.way = 'remove' and not u.moved and (
    exists (
        select from membership m where m.person_id = u.person_id
          and {_STAYS.format("membership", "o.person_id = m.person_id and o.school_id = m.school_id")})
    or exists (
        select from link l where l.person_id = u.person_id
          and {_STAYS.format("link", "o.connection_id = l.connection_id and o.sourced_id = l.sourced_id")})
    or exists (select from link_exclusion a where a.person_id = u.person_id))
""",
    """
update rollback_row u set moved = true
from rollback_row p
where p.entity = 'person' and p.way = 'remove' and p.moved and p.person_id = u.person_id
  and u.entity = 'link' and u.way = 'remove'
""",
    """
update rollback_row u set moved = true
from rollback_row o
where u.entity = 'person' and u.way = 'remake' and not u.moved
  and o.entity = 'link' and o.way = 'remake' and o.moved and o.person_id = u.person_id
""",
    f"""
update rollback_row u set moved = true
where u.entity in ('link', 'membership') and u.way = 'remake' and not u.moved
  and not exists (select from person p where p.id = u.person_id and p.district_id = :district)
  and not {_COMES.format("person", "o.person_id = u.person_id")}
""",
    f"""
update rollback_row u set moved = true
where u.entity = 'contact' and u.way = 'remake' and not u.moved
  and not exists (
      select from membership m
      where m.district_id = :district and m.school_id = u.school_id and m.person_id = u.person_id)
  and not {_COMES.format("membership", "o.person_id = u.person_id and o.school_id = u.school_id")}
""",
)
"""Rows that belong together go back together, or stay together. The statements run in this order. A person has one
primary link. If the sync moved it from one link to another and one of these has changed since, all of them stay. A
membership that the sync made stays if it has a contact that changed since. A person that the sync made stays if they
got a membership or a link since, or if somebody unlinked a record from them. Then their links stay too. A person is
not made again whose record is somebody else's now. A row also stays if its parent row is gone."""


def _set_back(entity: str) -> str:
    pairs = [f"{name} = {_value(name)}" for name in KEPT[entity]]
    if entity in REVISED:
        pairs.append("revision = x.revision + 1")
    if entity != "link":
        pairs.append("updated_at = now()")
    return (
        f"update {entity} x set {', '.join(pairs)} from rollback_row u "
        f"where u.entity = '{entity}' and u.way = 'set back' and not u.moved and {KEYS[entity]}"
    )


def _remake(entity: str, keys: str, values: str) -> str:
    names, contents = ", ".join(KEPT[entity]), ", ".join(_value(name) for name in KEPT[entity])
    if entity in REVISED:
        names, contents = f"{names}, revision", f"{contents}, (u.before ->> 'revision')::integer + 1"
    return (
        f"insert into {entity} ({keys}, {names}) select {values}, {contents} from rollback_row u "
        f"where u.entity = '{entity}' and u.way = 'remake' and not u.moved"
    )


def _remove(entity: str) -> str:
    return (
        f"delete from {entity} x using rollback_row u "
        f"where u.entity = '{entity}' and u.way = 'remove' and not u.moved and {KEYS[entity]}"
    )


_TOUCH = """
update person x set revision = x.revision + 1
where x.district_id = :district
  and exists (select from rollback_row u where u.entity = 'link' and not u.moved and u.person_id = x.id)
  and not exists (select from rollback_row u where u.entity = 'person' and not u.moved and u.person_id = x.id)
"""
"""A plan that found somebody by a removed link is out of date, whatever else they have."""
_OF_SCHOOL = ("district_id, school_id, person_id", ":district, u.school_id, u.person_id")
CHANGES = (
    _remake("person", "id, district_id", "u.person_id, :district"),
    _set_back("person"),
    _remake(
        "link",
        "district_id, connection_id, sourced_id, person_id",
        ":district, u.connection_id, u.sourced_id, u.person_id",
    ),
    _set_back("link"),
    _remake("membership", *_OF_SCHOOL),
    _set_back("membership"),
    _remake("contact", *_OF_SCHOOL),
    _set_back("contact"),
    _remove("contact"),
    _remove("membership"),
    _remove("link"),
    _TOUCH,
    _remove("person"),
)
"""Rows to which other rows point are made first and removed last."""

SHOW = """
select u.person_id, u.entity, s.key as school, u.way, u.moved,
       case when u.way = 'set back' then array(
           select b.key from jsonb_each(u.before) b
           where b.value is distinct from u.after -> b.key and b.key not in ('revision') order by b.key) end as fields
from rollback_row u left join school s on s.id = u.school_id
order by u.person_id, u.entity, s.key, u.sourced_id, u.place
"""
COUNT = """
with part as (
    select u.person_id, bool_or(u.moved) as moved,
           max(coalesce(u.after ->> 'role', u.before ->> 'role')) filter (where u.entity = 'membership') as role,
           max(case when u.way = 'remove' then 'create'
                    when u.before ->> 'status' = 'active' and u.after ->> 'status' = 'archived' then 'archive'
                    when u.before ->> 'status' = 'archived' and u.after ->> 'status' = 'active' then 'restore'
                    when u.way = 'remake' then 'remove'
                    else 'update' end) filter (where u.entity = 'membership') as what
    from rollback_row u group by u.person_id
)
select coalesce(p.role, m.role, 'student'), case when p.moved then 'moved' else coalesce(p.what, 'update') end, count(*)
from part p
left join membership m on m.district_id = :district and m.school_id = :school and m.person_id = p.person_id
group by 1, 2
"""
"""The number of people by what was undone. A person who has changed since in any way counts as moved."""

OUTLINE = "select entity, way, moved, count(*) as rows from rollback_row group by 1, 2, 3 order by 1, 2, 3"
MOVED = """
select u.person_id, max(nullif(concat_ws(' ', p.given_name, p.family_name), '')) as name,
       array_agg(distinct u.entity order by u.entity) filter (where u.moved) as entities,
       max(coalesce(u.after ->> 'role', u.before ->> 'role')) filter (where u.entity = 'membership') as role
from rollback_row u left join person p on p.id = u.person_id and p.district_id = :district
group by u.person_id having bool_or(u.moved) order by u.person_id limit :limit
"""
"""The people that a rollback would leave alone, wholly or in part, with the later changes."""
