-- Triggers fill the change log, whoever writes to the directory, and keep log and audit from being changed. Erasing
-- somebody and numbering a restored log anew run as the owner of the tables, so no login needs a right to do that.
--
-- before and after are JSON objects of texts, which is three times as fast as to_jsonb. Statements are run with execute,
-- so that each is planned for the number of rows at hand.

create function log_person() returns trigger
language plpgsql
as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''person'', ''insert'', n.id, null::bigint,
                     jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[],
                     array[n.given_name, n.family_name, n.middle_name, n.preferred_given_name, n.preferred_family_name, n.email, n.phone, n.username, n.number, n.enabled::text, n.number_kind, n.number_connection_id::text, n.excluded::text, n.locked_fields::text, n.revision::text])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''person'', ''delete'', o.id, null::bigint,
                     jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[],
                     array[o.given_name, o.family_name, o.middle_name, o.preferred_given_name, o.preferred_family_name, o.email, o.phone, o.username, o.number, o.enabled::text, o.number_kind, o.number_connection_id::text, o.excluded::text, o.locked_fields::text, o.revision::text])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''person'', ''update'', n.id, null::bigint,
                     jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[],
                     array[o.given_name, o.family_name, o.middle_name, o.preferred_given_name, o.preferred_family_name, o.email, o.phone, o.username, o.number, o.enabled::text, o.number_kind, o.number_connection_id::text, o.excluded::text, o.locked_fields::text, o.revision::text]),
                     jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[],
                     array[n.given_name, n.family_name, n.middle_name, n.preferred_given_name, n.preferred_family_name, n.email, n.phone, n.username, n.number, n.enabled::text, n.number_kind, n.number_connection_id::text, n.excluded::text, n.locked_fields::text, n.revision::text])
                 from old_rows o join new_rows n using (id, district_id)' using sync, own;
    end if;
    return null;
end $$;

create function log_link() returns trigger
language plpgsql
as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, after)
                 select $2, $1, n.district_id, ''link'', ''insert'', n.person_id,
                     jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[],
                     array[n.connection_id::text, n.sourced_id, n.is_primary::text, n.version, n.confirmed::text, n.primary_by_hand::text, n.master_identifier])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, before)
                 select $2, $1, o.district_id, ''link'', ''delete'', o.person_id,
                     jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[],
                     array[o.connection_id::text, o.sourced_id, o.is_primary::text, o.version, o.confirmed::text, o.primary_by_hand::text, o.master_identifier])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, before, after)
                 select $2, $1, n.district_id, ''link'', ''update'', n.person_id,
                     jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[],
                     array[o.connection_id::text, o.sourced_id, o.is_primary::text, o.version, o.confirmed::text, o.primary_by_hand::text, o.master_identifier]),
                     jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[],
                     array[n.connection_id::text, n.sourced_id, n.is_primary::text, n.version, n.confirmed::text, n.primary_by_hand::text, n.master_identifier])
                 from old_rows o join new_rows n using (connection_id, sourced_id)' using sync, own;
    end if;
    return null;
end $$;

create function log_membership() returns trigger
language plpgsql
as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''membership'', ''insert'', n.person_id, n.school_id,
                     jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[],
                     array[n.role, n.grade, n.source_role, n.source_grade, n.status, n.archived_by, n.archived_at::text, n.managed::text, n.absent_syncs::text, n.revision::text])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''membership'', ''delete'', o.person_id, o.school_id,
                     jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[],
                     array[o.role, o.grade, o.source_role, o.source_grade, o.status, o.archived_by, o.archived_at::text, o.managed::text, o.absent_syncs::text, o.revision::text])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''membership'', ''update'', n.person_id, n.school_id,
                     jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[],
                     array[o.role, o.grade, o.source_role, o.source_grade, o.status, o.archived_by, o.archived_at::text, o.managed::text, o.absent_syncs::text, o.revision::text]),
                     jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[],
                     array[n.role, n.grade, n.source_role, n.source_grade, n.status, n.archived_by, n.archived_at::text, n.managed::text, n.absent_syncs::text, n.revision::text])
                 from old_rows o join new_rows n using (district_id, school_id, person_id)' using sync, own;
    end if;
    return null;
end $$;

create function log_contact() returns trigger
language plpgsql
as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''contact'', ''insert'', n.person_id, n.school_id,
                     jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[],
                     array[n.place::text, n.sourced_id, n.given_name, n.family_name, n.relationship, n.email, n.phone, n.flags])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''contact'', ''delete'', o.person_id, o.school_id,
                     jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[],
                     array[o.place::text, o.sourced_id, o.given_name, o.family_name, o.relationship, o.email, o.phone, o.flags])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''contact'', ''update'', n.person_id, n.school_id,
                     jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[],
                     array[o.place::text, o.sourced_id, o.given_name, o.family_name, o.relationship, o.email, o.phone, o.flags]),
                     jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[],
                     array[n.place::text, n.sourced_id, n.given_name, n.family_name, n.relationship, n.email, n.phone, n.flags])
                 from old_rows o join new_rows n using (district_id, school_id, person_id, place)' using sync, own;
    end if;
    return null;
end $$;

create function refuse_change() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'UPDATE' and tg_table_name = 'change_log'
       and current_setting('roster.changes_log', true) = pg_current_xact_id()::text then
        return null;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation', table = tg_table_name;
end $$;

create function erase_from_log(of_district bigint, of_person bigint) returns void
language plpgsql
 security definer
set search_path to pg_catalog, public, pg_temp
as $$
begin
    perform set_config('roster.changes_log', pg_current_xact_id()::text, true);
    update public.change_log set before = null, after = null
    where district_id = of_district and person_id = of_person;
    perform set_config('roster.changes_log', '', true);
end $$;

create function restart_log() returns void
language plpgsql
 security definer
set search_path to pg_catalog, public, pg_temp
as $$
begin
    perform set_config('roster.changes_log', pg_current_xact_id()::text, true);
    update public.change_log set xid = 0;
    perform set_config('roster.changes_log', '', true);
end $$;

create function clean_pending_lists() returns void
language sql
 security definer
set search_path to pg_catalog, public, pg_temp
as $$
    select gin_clean_pending_list('public.ix_sis_record_orgs'), gin_clean_pending_list('public.ix_sis_record_agents');
$$;

create trigger append_only before delete or update or truncate on audit
    for each statement execute function refuse_change();
create trigger append_only before delete or update or truncate on change_log
    for each statement execute function refuse_change();
create trigger log_delete after delete on contact
    referencing old table as old_rows for each statement execute function log_contact();
create trigger log_insert after insert on contact
    referencing new table as new_rows for each statement execute function log_contact();
create trigger log_update after update on contact
    referencing old table as old_rows new table as new_rows for each statement execute function log_contact();
create trigger log_delete after delete on link
    referencing old table as old_rows for each statement execute function log_link();
create trigger log_insert after insert on link
    referencing new table as new_rows for each statement execute function log_link();
create trigger log_update after update on link
    referencing old table as old_rows new table as new_rows for each statement execute function log_link();
create trigger log_delete after delete on membership
    referencing old table as old_rows for each statement execute function log_membership();
create trigger log_insert after insert on membership
    referencing new table as new_rows for each statement execute function log_membership();
create trigger log_update after update on membership
    referencing old table as old_rows new table as new_rows for each statement execute function log_membership();
create trigger log_delete after delete on person
    referencing old table as old_rows for each statement execute function log_person();
create trigger log_insert after insert on person
    referencing new table as new_rows for each statement execute function log_person();
create trigger log_update after update on person
    referencing old table as old_rows new table as new_rows for each statement execute function log_person();

revoke execute on function clean_pending_lists() from public;
revoke execute on function erase_from_log(bigint,bigint) from public;
revoke execute on function restart_log() from public;
