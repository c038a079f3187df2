"""Several contacts of a student in order, what the SIS says of each, and the contacts that nobody may call."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = """
alter table contact
    add column place smallint default 1 not null,
    add column flags text,
    drop constraint pk_contact,
    add constraint pk_contact primary key (district_id, school_id, person_id, place);
alter table cleaned_roster
    add column contact_flags text,
    add column more_contacts text;
create table excluded_contact (
    snapshot_id bigint not null,
    sourced_id text not null,
    student_id text,
    constraint fk_excluded_contact_snapshot_id foreign key(snapshot_id) references snapshot (id) on delete cascade
);
create index ix_excluded_contact_snapshot_id_sourced_id on excluded_contact (snapshot_id, sourced_id);
"""

LOG = """
create or replace function log_contact() returns trigger language plpgsql as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''contact'', ''insert'', n.person_id, n.school_id, {after}
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''contact'', ''delete'', o.person_id, o.school_id, {before}
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''contact'', ''update'', n.person_id, n.school_id, {before}, {after}
                 from old_rows o join new_rows n using (district_id, school_id, person_id, place)' using sync, own;
    end if;
    return null;
end $$;
"""
"""As in 0004, with two columns more."""
KEPT = (
    "jsonb_object(''{{place, sourced_id, given_name, family_name, relationship, email, phone, flags}}''::text[], "
    "array[{0}.place::text, {0}.sourced_id, {0}.given_name, {0}.family_name, {0}.relationship, {0}.email, {0}.phone, "
    "{0}.flags])"
)

VIEWS = """
create or replace view roster_public.directory_contact as
select c.person_id, d.key as district, s.key as school, c.given_name, c.family_name, c.relationship, c.email, c.phone,
       m.status, c.updated_at, c.sourced_id as contact_id, c.flags::jsonb as flags
from public.contact c
join public.membership m using (district_id, school_id, person_id)
join public.district d on d.id = c.district_id
join public.school s on s.id = c.school_id
where c.place = 1;

create view roster_public.directory_student_contact as
select c.person_id, d.key as district, s.key as school, c.place, c.sourced_id as contact_id, c.given_name,
       c.family_name, c.relationship, c.email, c.phone, c.flags::jsonb as flags, m.status, c.updated_at
from public.contact c
join public.membership m using (district_id, school_id, person_id)
join public.district d on d.id = c.district_id
join public.school s on s.id = c.school_id;

"""

APPLICATION_VIEWS = """
create or replace view roster_application.directory_contact with (security_barrier) as
select c.person_id, d.key as district, s.key as school, {given}, m.status, c.updated_at, c.sourced_id as contact_id,
       {flags}
from public.application a
join public.district d on d.id = a.district_id
join public.membership m on m.district_id = a.district_id
join public.contact c on c.district_id = m.district_id and c.school_id = m.school_id and c.person_id = m.person_id
join public.school s on s.id = m.school_id
where a.login = session_user and c.place = 1 and {seen};

create view roster_application.directory_student_contact with (security_barrier) as
select c.person_id, d.key as district, s.key as school, c.place, c.sourced_id as contact_id, {given}, {flags},
       m.status, c.updated_at
from public.application a
join public.district d on d.id = a.district_id
join public.membership m on m.district_id = a.district_id
join public.contact c on c.district_id = m.district_id and c.school_id = m.school_id and c.person_id = m.person_id
join public.school s on s.id = m.school_id
where a.login = session_user and {seen};

do $$
declare
    reader text;
begin
    if exists (select from pg_roles where rolname = 'roster_reader') then
        grant select on roster_public.directory_student_contact to roster_reader;
    end if;
    for reader in select distinct login from public.application join pg_roles on rolname = login loop
        execute format('grant select on roster_application.directory_student_contact to %I', reader);
    end loop;
end $$;
"""
"""As in 0014: what an application was not given is null."""
SEEN = """
(a.schools is null or m.school_id = any(a.schools)) and (a.roles is null or m.role = any(a.roles))
"""
GIVEN = ", ".join(
    f"case when a.fields is null or '{name}' = any(a.fields) then c.{name} end as {name}"
    for name in ("given_name", "family_name", "relationship", "email", "phone")
)
FLAGS = "case when a.fields is null or 'flags' = any(a.fields) then c.flags::jsonb end as flags"


def upgrade() -> None:
    """Add columns and table, log them, and show them to applications."""
    run(TABLES)
    run(LOG.format(before=KEPT.format("o"), after=KEPT.format("n")))
    run(VIEWS)
    run(APPLICATION_VIEWS.format(given=GIVEN, flags=FLAGS, seen=SEEN))
