"""Who may do what in the database itself: the ledger is append-only, and applications see what they were given.

Erasing somebody, and numbering a restored ledger anew, are the only changes of `change_log`. Each has a function that
runs as the owner of the tables, so the login of the pipeline needs no right to change a row of it. Keeping the indexes
of a pull quick needs the owner as well.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

APPEND_ONLY = """
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and tg_table_name = 'change_log'
       and current_setting('roster.changes_log', true) = pg_current_xact_id()::text then
        return null;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation', table = tg_table_name;
end $$;
create trigger append_only before update or delete or truncate on change_log
    for each statement execute function refuse_change();

create function erase_from_log(of_district bigint, of_person bigint) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    perform set_config('roster.changes_log', pg_current_xact_id()::text, true);
    update public.change_log set before = null, after = null
    where district_id = of_district and person_id = of_person;
    perform set_config('roster.changes_log', '', true);
end $$;

create function restart_log() returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    perform set_config('roster.changes_log', pg_current_xact_id()::text, true);
    update public.change_log set xid = 0;
    perform set_config('roster.changes_log', '', true);
end $$;

create function clean_pending_lists() returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    select gin_clean_pending_list('public.ix_pulled_user_orgs'), gin_clean_pending_list('public.ix_pulled_user_agents');
$$;

revoke execute on function erase_from_log(bigint, bigint) from public;
revoke execute on function clean_pending_lists() from public;
revoke execute on function restart_log() from public;
"""

GIVEN = """
create table application (
    login text not null,
    district_id bigint not null references district (id),
    schools bigint[],
    roles text[],
    fields text[],
    created_at timestamptz default now() not null,
    constraint pk_application primary key (login, district_id)
);
alter table application rename constraint application_district_id_fkey to fk_application_district_id;
"""

SEEN = """
(a.schools is null or m.school_id = any(a.schools)) and (a.roles is null or m.role = any(a.roles))
"""
PERSON_FIELDS = (
    "given_name family_name middle_name preferred_given_name preferred_family_name email phone username number "
    "number_kind enabled"
)
CONTACT_FIELDS = "given_name family_name relationship email phone"

VIEWS = """
create schema roster_application;

create view roster_application.directory_person with (security_barrier) as
select p.id as person_id, d.key as district, {person_fields},
       exists (select from public.membership m where m.district_id = p.district_id and m.person_id = p.id
               and m.status = 'active' and {seen}) as active,
       p.created_at, p.updated_at
from public.application a
join public.district d on d.id = a.district_id
join public.person p on p.district_id = a.district_id
where a.login = session_user and exists (
    select from public.membership m where m.district_id = p.district_id and m.person_id = p.id and {seen});

create view roster_application.directory_membership with (security_barrier) as
select m.person_id, d.key as district, s.key as school, s.name as school_name, m.role, m.grade, m.source_role,
       m.source_grade, m.status, m.archived_at, m.created_at, m.updated_at
from public.application a
join public.district d on d.id = a.district_id
join public.membership m on m.district_id = a.district_id
join public.school s on s.id = m.school_id
where a.login = session_user and {seen};

create view roster_application.directory_contact with (security_barrier) as
select c.person_id, d.key as district, s.key as school, {contact_fields}, m.status, c.updated_at
from public.application a
join public.district d on d.id = a.district_id
join public.membership m on m.district_id = a.district_id
join public.contact c on c.district_id = m.district_id and c.school_id = m.school_id and c.person_id = m.person_id
join public.school s on s.id = m.school_id
where a.login = session_user and {seen};

create view roster_application.directory_change with (security_barrier) as
select c.*
from roster_public.directory_change c
join public.district d on d.key = c.district
join public.application a on a.district_id = d.id
left join public.school s on s.key = c.school
where a.login = session_user
  and (c.school is null or a.schools is null or s.id = any(a.schools))
  and (c.operation = 'delete' or exists (
      select from public.membership m
      where m.district_id = a.district_id and m.person_id = c.person_id
        and (s.id is null or m.school_id = s.id) and {seen}));
"""


def upgrade() -> None:
    """Close the ledger, and make what applications see."""
    run(APPEND_ONLY)
    run(GIVEN)
    run(VIEWS.format(person_fields=_given("p", PERSON_FIELDS), contact_fields=_given("c", CONTACT_FIELDS), seen=SEEN))


def _given(alias: str, names: str) -> str:
    """Columns that are null unless the application was given the field."""
    return ", ".join(
        f"case when a.fields is null or '{name}' = any(a.fields) then {alias}.{name} end as {name}"
        for name in names.split()
    )
