"""What applications read: the schema `roster_public` and the role that may read nothing else.

The views are the promise; the tables behind them may change. Every column is described in docs/directory.md.

A reader follows the change feed by the pair (transaction, position): a transaction is shown only when no older one is
still open, so nothing can appear behind a pair that was already read.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

VIEWS = """
create schema roster_public;

create view roster_public.directory_person as
select p.id as person_id, d.key as district, p.given_name, p.family_name, p.middle_name, p.preferred_given_name,
       p.preferred_family_name, p.email, p.phone, p.username, p.number, p.number_kind, p.enabled,
       exists (select from public.membership m where m.person_id = p.id and m.status = 'active') as active,
       p.created_at, p.updated_at
from public.person p join public.district d on d.id = p.district_id;

create view roster_public.directory_membership as
select m.person_id, d.key as district, s.key as school, s.name as school_name, m.role, m.grade, m.source_role,
       m.source_grade, m.status, m.archived_at, m.created_at, m.updated_at
from public.membership m
join public.district d on d.id = m.district_id
join public.school s on s.id = m.school_id;

create view roster_public.directory_contact as
select c.person_id, d.key as district, s.key as school, c.given_name, c.family_name, c.relationship, c.email, c.phone,
       m.status, c.updated_at
from public.contact c
join public.membership m using (district_id, school_id, person_id)
join public.district d on d.id = c.district_id
join public.school s on s.id = c.school_id;

create view roster_public.directory_change as
select l.xid as transaction, l.position, l.at, d.key as district, s.key as school, l.person_id, l.entity, l.operation,
       case when l.operation = 'update' then array(
           select a.key from jsonb_each(l.after) a
           where a.value is distinct from l.before -> a.key and a.key not in ('revision', 'absent_syncs')
           order by a.key
       ) end as changed,
       l.sync_id
from public.change_log l
join public.district d on d.id = l.district_id
left join public.school s on s.id = l.school_id
where l.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
"""

READER = """
do $$
begin
    create role roster_reader nologin;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then raise notice 'roster_reader was not made: this login may not create roles';
end $$;
do $$
begin
    if exists (select from pg_roles where rolname = 'roster_reader') then
        grant usage on schema roster_public to roster_reader;
        grant select on all tables in schema roster_public to roster_reader;
    end if;
end $$;
"""


def upgrade() -> None:
    """Make the views, and the role where rights allow."""
    run(VIEWS)
    run(READER)
