-- What applications read: docs/directory.md describes every column. And the raw assets of a snapshot.

create schema roster_public;
create schema roster_application;

create view roster_public.directory_person as
select p.id as person_id, d.key as district, p.given_name, p.family_name, p.middle_name, p.preferred_given_name,
       p.preferred_family_name, p.email, p.phone, p.username, p.number, p.number_kind, p.enabled,
       (exists ( select
        from membership m
      where m.person_id = p.id and m.status = 'active'::text)) as active,
       p.created_at, p.updated_at
from person p
  join district d on d.id = p.district_id;

create view roster_public.directory_membership as
select m.person_id, d.key as district, s.key as school, s.name as school_name, m.role, m.grade, m.source_role,
       m.source_grade, m.status, m.archived_at, m.created_at, m.updated_at
from membership m
  join district d on d.id = m.district_id
  join school s on s.id = m.school_id;

create view roster_public.directory_contact as
select c.person_id, d.key as district, s.key as school, c.given_name, c.family_name, c.relationship, c.email, c.phone,
       m.status, c.updated_at, c.sourced_id as contact_id, c.flags::jsonb as flags
from contact c
  join membership m using (district_id, school_id, person_id)
  join district d on d.id = c.district_id
  join school s on s.id = c.school_id
where c.place = 1;

create view roster_public.directory_change as
select l.xid as transaction, l."position", l.at, d.key as district, s.key as school, l.person_id, l.entity, l.operation,
    case
        when l.operation = 'update'::text then array( select a.key
            from jsonb_each(l.after) a(key, value)
          where a.value is distinct from (l.before -> a.key) and (a.key <> all (array['revision'::text, 'absent_syncs'::text]))
          order by a.key)
        else null::text[]
    end as changed,
       l.sync_id
from change_log l
  join district d on d.id = l.district_id
  left join school s on s.id = l.school_id
where l.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

create view roster_application.directory_person with (security_barrier) as
select p.id as person_id, d.key as district,
    case
        when a.fields is null or ('given_name'::text = any (a.fields)) then p.given_name
        else null::text
    end as given_name,
    case
        when a.fields is null or ('family_name'::text = any (a.fields)) then p.family_name
        else null::text
    end as family_name,
    case
        when a.fields is null or ('middle_name'::text = any (a.fields)) then p.middle_name
        else null::text
    end as middle_name,
    case
        when a.fields is null or ('preferred_given_name'::text = any (a.fields)) then p.preferred_given_name
        else null::text
    end as preferred_given_name,
    case
        when a.fields is null or ('preferred_family_name'::text = any (a.fields)) then p.preferred_family_name
        else null::text
    end as preferred_family_name,
    case
        when a.fields is null or ('email'::text = any (a.fields)) then p.email
        else null::text
    end as email,
    case
        when a.fields is null or ('phone'::text = any (a.fields)) then p.phone
        else null::text
    end as phone,
    case
        when a.fields is null or ('username'::text = any (a.fields)) then p.username
        else null::text
    end as username,
    case
        when a.fields is null or ('number'::text = any (a.fields)) then p.number
        else null::text
    end as number,
    case
        when a.fields is null or ('number_kind'::text = any (a.fields)) then p.number_kind
        else null::text
    end as number_kind,
    case
        when a.fields is null or ('enabled'::text = any (a.fields)) then p.enabled
        else null::boolean
    end as enabled,
       (exists ( select
        from membership m
      where m.district_id = p.district_id and m.person_id = p.id and m.status = 'active'::text and (a.schools is null or (m.school_id = any (a.schools))) and (a.roles is null or (m.role = any (a.roles))))) as active,
       p.created_at, p.updated_at
from application a
  join district d on d.id = a.district_id
  join person p on p.district_id = a.district_id
where a.login = SESSION_USER and (exists ( select
        from membership m
      where m.district_id = p.district_id and m.person_id = p.id and (a.schools is null or (m.school_id = any (a.schools))) and (a.roles is null or (m.role = any (a.roles)))));

create view roster_application.directory_membership with (security_barrier) as
select m.person_id, d.key as district, s.key as school, s.name as school_name, m.role, m.grade, m.source_role,
       m.source_grade, m.status, m.archived_at, m.created_at, m.updated_at
from application a
  join district d on d.id = a.district_id
  join membership m on m.district_id = a.district_id
  join school s on s.id = m.school_id
where a.login = SESSION_USER and (a.schools is null or (m.school_id = any (a.schools))) and (a.roles is null or (m.role = any (a.roles)));

create view roster_application.directory_contact with (security_barrier) as
select c.person_id, d.key as district, s.key as school,
    case
        when a.fields is null or ('given_name'::text = any (a.fields)) then c.given_name
        else null::text
    end as given_name,
    case
        when a.fields is null or ('family_name'::text = any (a.fields)) then c.family_name
        else null::text
    end as family_name,
    case
        when a.fields is null or ('relationship'::text = any (a.fields)) then c.relationship
        else null::text
    end as relationship,
    case
        when a.fields is null or ('email'::text = any (a.fields)) then c.email
        else null::text
    end as email,
    case
        when a.fields is null or ('phone'::text = any (a.fields)) then c.phone
        else null::text
    end as phone,
       m.status, c.updated_at, c.sourced_id as contact_id,
    case
        when a.fields is null or ('flags'::text = any (a.fields)) then c.flags::jsonb
        else null::jsonb
    end as flags
from application a
  join district d on d.id = a.district_id
  join membership m on m.district_id = a.district_id
  join contact c on c.district_id = m.district_id and c.school_id = m.school_id and c.person_id = m.person_id
  join school s on s.id = m.school_id
where a.login = SESSION_USER and c.place = 1 and (a.schools is null or (m.school_id = any (a.schools))) and (a.roles is null or (m.role = any (a.roles)));

create view roster_application.directory_change with (security_barrier) as
select c.transaction, c."position", c.at, c.district, c.school, c.person_id, c.entity, c.operation, c.changed,
       c.sync_id
from roster_public.directory_change c
  join district d on d.key = c.district
  join application a on a.district_id = d.id
  left join school s on s.key = c.school
where a.login = SESSION_USER and (c.school is null or a.schools is null or (s.id = any (a.schools))) and (c.operation = 'delete'::text or (exists ( select
        from membership m
      where m.district_id = a.district_id and m.person_id = c.person_id and (s.id is null or m.school_id = s.id) and (a.schools is null or (m.school_id = any (a.schools))) and (a.roles is null or (m.role = any (a.roles))))));

create view roster_public.directory_student_contact as
select c.person_id, d.key as district, s.key as school, c.place, c.sourced_id as contact_id, c.given_name,
       c.family_name, c.relationship, c.email, c.phone, c.flags::jsonb as flags, m.status, c.updated_at
from contact c
  join membership m using (district_id, school_id, person_id)
  join district d on d.id = c.district_id
  join school s on s.id = c.school_id;

create view roster_application.directory_student_contact with (security_barrier) as
select c.person_id, d.key as district, s.key as school, c.place, c.sourced_id as contact_id,
    case
        when a.fields is null or ('given_name'::text = any (a.fields)) then c.given_name
        else null::text
    end as given_name,
    case
        when a.fields is null or ('family_name'::text = any (a.fields)) then c.family_name
        else null::text
    end as family_name,
    case
        when a.fields is null or ('relationship'::text = any (a.fields)) then c.relationship
        else null::text
    end as relationship,
    case
        when a.fields is null or ('email'::text = any (a.fields)) then c.email
        else null::text
    end as email,
    case
        when a.fields is null or ('phone'::text = any (a.fields)) then c.phone
        else null::text
    end as phone,
    case
        when a.fields is null or ('flags'::text = any (a.fields)) then c.flags::jsonb
        else null::jsonb
    end as flags,
       m.status, c.updated_at
from application a
  join district d on d.id = a.district_id
  join membership m on m.district_id = a.district_id
  join contact c on c.district_id = m.district_id and c.school_id = m.school_id and c.person_id = m.person_id
  join school s on s.id = m.school_id
where a.login = SESSION_USER and (a.schools is null or (m.school_id = any (a.schools))) and (a.roles is null or (m.role = any (a.roles)));

create view raw_org as
select s.snapshot_id, r.sourced_id, r.payload from snapshot_record s
join sis_record r on r.id >= s.block << 9 and r.id <= (s.block << 9) + 511 and get_bit(s.bits, r.id & 511) = 1
where s.part = 'org';

create view raw_user as
select s.snapshot_id, r.sourced_id, r.payload from snapshot_record s
join sis_record r on r.id >= s.block << 9 and r.id <= (s.block << 9) + 511 and get_bit(s.bits, r.id & 511) = 1
where s.part = 'user';

create view raw_contact as
select s.snapshot_id, r.sourced_id, r.payload from snapshot_record s
join sis_record r on r.id >= s.block << 9 and r.id <= (s.block << 9) + 511 and get_bit(s.bits, r.id & 511) = 1
where s.part = 'contact';

create view cleaned_roster as
select s.id as snapshot_id, r.sourced_id, r.record_status, r.identity, r.conflict, r.number_kind, r.master_identifier,
    r.given_name, r.family_name, r.middle_name, r.preferred_given_name, r.preferred_family_name, r.email, r.phone,
    r.username, r.number, r.enabled, r.role, r.grade, r.source_role, r.source_grade, r.contact_sourced_id,
    r.contact_given_name, r.contact_family_name, r.contact_relationship, r.contact_email, r.contact_phone,
    r.contact_flags, r.more_contacts, r.unreadable_fields
from snapshot s
join roster_row r on r.roster_id = s.roster_id and s.roster_version between r.first_version and r.last_version;

create view plan_line as
select plan_id, "row", action, reason, role, person_id, sourced_ids, new_links, matched_by, notes, changes, guard,
    witness, exempted
from plan_row
union all
select u.plan_id, u.first_row + cast(one.place as integer) - 1, 'unchanged'::text, 'equal'::text, u.role, one.person_id,
    array(
        select l.sourced_id from link l join cleaned_roster c on c.sourced_id = l.sourced_id
        where l.person_id = one.person_id and l.connection_id = s.connection_id and c.snapshot_id = s.id
        order by l.is_primary desc, l.sourced_id
    ),
    '{}'::text[], 'link'::text, null::text, '{}'::jsonb, ''::text, null::text, false
from plan_unchanged u join plan p on p.id = u.plan_id join snapshot s on s.id = p.snapshot_id
cross join lateral unnest(u.people) with ordinality one(person_id, place)
where one.person_id is not null;
