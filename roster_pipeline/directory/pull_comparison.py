"""How two pulls of one source differ, and how records that changed since an earlier pull differ from the directory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from roster_pipeline.directory.delta_base import CHANGED_AT
from roster_pipeline.directory.record_sets import NAMED, of_pull, of_pulls
from roster_pipeline.directory.tenants import ConnectionRow
from roster_pipeline.vocabulary import UPDATE

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

DIGITS = "right(regexp_replace({}, '[^0-9]', '', 'g'), 8)"
PHONE = DIGITS.format("coalesce(r.payload ->> 'phone', r.payload ->> 'sms')")
MOVED = f"""
with one as materialized {OF_ONE.format(ids="only_here")}, concerned (school_id, role) as (
    select * from unnest(cast(:schools as bigint[]), cast(:roles as text[]))
), people as materialized (
    select p.*, r.payload from one r
    join link l on l.connection_id = :connection and l.sourced_id = r.sourced_id and l.is_primary
    join person p on p.district_id = l.district_id and p.id = l.person_id and not p.excluded
        and cardinality(p.locked_fields) = 0
    where coalesce(r.payload ->> 'status', 'active') not in ('tobedeleted', 'inactive')
        and not exists (select from exemption e where e.person_id = p.id and e.action = :update)
        and exists (
            select from membership m join concerned using (school_id, role)
            where m.district_id = :district and m.person_id = p.id and m.status = 'active')
), contacts as materialized (
    select distinct on (c.sourced_id) c.*, r.payload from one r join contact c using (sourced_id)
    where c.district_id = :district and c.school_id in (select school_id from concerned where role = 'student')
), changed as materialized (
    select 'p' || r.id as who, lower(r.family_name) as family, lower(r.payload ->> 'familyName') as new_family, v.*
    from people r cross join lateral (values
        ('number', case when r.number_kind = any(:numbered) then bare_number(r.number) end,
            bare_number(r.payload ->> 'identifier')),
        ('username', lower(r.username), lower(r.payload ->> 'username')),
        ('email', lower(r.email), lower(r.payload ->> 'email')),
        ('phone', {DIGITS.format("r.phone")}, {PHONE}),
        ('given name', lower(r.given_name), lower(r.payload ->> 'givenName')),
        ('family name', lower(r.family_name), lower(r.payload ->> 'familyName'))
    ) v (field, old, new) where v.old <> v.new and v.new <> ''
    union all
    select 'c' || r.sourced_id, lower(r.family_name), lower(r.payload ->> 'familyName'), v.*
    from contacts r cross join lateral (values
        ('contact email', lower(r.email), lower(r.payload ->> 'email')),
        ('contact phone', {DIGITS.format("r.phone")}, {PHONE}),
        ('contact given name', lower(r.given_name), lower(r.payload ->> 'givenName')),
        ('contact family name', lower(r.family_name), lower(r.payload ->> 'familyName'))
    ) v (field, old, new) where v.old <> v.new and v.new <> ''
    union all
    select 'p' || r.id, lower(r.family_name), lower(r.payload ->> 'familyName'), 'contact', c.sourced_id, a.id
    from people r join contact c on c.district_id = :district and c.person_id = r.id
    cross join lateral jsonb_array_elements_text(
        case when jsonb_typeof(r.payload -> 'agents') = 'array' then r.payload -> 'agents' end) a (id)
    where not r.payload -> 'agents' ? c.sourced_id
), copied as (
    select field, new, array_agg(who) as people from changed group by field, new having count(distinct old) > :few
)
select count(distinct who) from (
    select a.who from changed a join changed b on (b.field, b.old) = (a.field, a.new) and b.who <> a.who
    where a.field = any(:own) or a.new_family is distinct from b.family
    union all
    select unnest(c.people) from copied c where exists (
        select from person p where p.district_id = :district and c.new = case c.field
            when 'username' then lower(p.username) when 'email' then lower(p.email)
            when 'given name' then lower(p.given_name) when 'family name' then lower(p.family_name) end
    ) or exists (
        select from contact k where k.district_id = :district and c.new = case c.field
            when 'contact email' then lower(k.email) when 'contact phone' then {DIGITS.format("k.phone")}
            when 'contact given name' then lower(k.given_name)
            when 'contact family name' then lower(k.family_name) end)
) moved
"""  # noqa: S608
"""Records that changed and would give somebody what another person, who changes too, had until now; or many people one
value that somebody has, because a text that means nothing is nobody's. Families share phones, e-mails and contacts.
`right`: a phone is stored with the code of the country."""
OWN = ("number", "username", "given name", "family name", "contact given name", "contact family name")
"""The values that families do not exchange."""
FEW_VALUES = 3
"""Brothers and sisters, or twins with one mistake, may get one value."""


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


def values_moved(
    conn: Connection, pull_id: int, base_id: int | None, source: ConnectionRow, concerned: Sequence[tuple[int, str]]
) -> int:
    """How many people and contacts would get a value that somebody else of them has, or all the same one. concerned:
    the schools and roles that follow the SIS (auto update). base_id: the earlier pull since which a record must have
    changed; None: any record counts."""
    schools, roles = ([one[place] for one in concerned] for place in range(2))
    ids = of_pull(conn, pull_id).ids.tolist() if base_id is None else _differing(conn, pull_id, base_id)["only_here"]
    places = {"student": source.settings.student_number_from, "staff": source.settings.staff_number_from}
    given = {
        "schools": schools, "roles": roles, "own": list(OWN), "few": FEW_VALUES, "only_here": ids, "update": UPDATE,
        "numbered": [kind for kind, place in places.items() if place == "identifier"],
    }  # fmt: skip
    owner = {"connection": source.id, "district": source.district_id}
    return int(conn.scalar(text(MOVED), given | owner) or 0) if ids else 0


def left_out(conn: Connection, whole_id: int, part_id: int, org: str) -> int:
    """Students and teachers of a school who are in the whole collection, but not in the school's own lists."""
    return int(conn.scalar(text(LEFT_OUT), {"whole": whole_id, "part": part_id, "org": org}) or 0)
