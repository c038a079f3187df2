-- A small directory that the migrations up to 0047 made, dumped by pg_dump --inserts.
set local check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', true);
CREATE SCHEMA roster_application;
CREATE SCHEMA roster_public;
CREATE FUNCTION public.bare_number(number text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ltrim(replace(lower(NORMALIZE(number, NFKC)), ' '::text, ''::text), '0'::text);
COMMENT ON FUNCTION public.bare_number(number text) IS 'a number without what is only spelling, as evidence.bare has it';
CREATE FUNCTION public.clean_pending_lists() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    select gin_clean_pending_list('public.ix_sis_record_orgs'), gin_clean_pending_list('public.ix_sis_record_agents');
$$;
CREATE FUNCTION public.erase_from_log(of_district bigint, of_person bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform set_config('roster.changes_log', pg_current_xact_id()::text, true);
    update public.change_log set before = null, after = null
    where district_id = of_district and person_id = of_person;
    perform set_config('roster.changes_log', '', true);
end $$;
CREATE FUNCTION public.log_contact() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''contact'', ''insert'', n.person_id, n.school_id, jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[], array[n.place::text, n.sourced_id, n.given_name, n.family_name, n.relationship, n.email, n.phone, n.flags])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''contact'', ''delete'', o.person_id, o.school_id, jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[], array[o.place::text, o.sourced_id, o.given_name, o.family_name, o.relationship, o.email, o.phone, o.flags])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''contact'', ''update'', n.person_id, n.school_id, jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[], array[o.place::text, o.sourced_id, o.given_name, o.family_name, o.relationship, o.email, o.phone, o.flags]), jsonb_object(''{place, sourced_id, given_name, family_name, relationship, email, phone, flags}''::text[], array[n.place::text, n.sourced_id, n.given_name, n.family_name, n.relationship, n.email, n.phone, n.flags])
                 from old_rows o join new_rows n using (district_id, school_id, person_id, place)' using sync, own;
    end if;
    return null;
end $_$;
CREATE FUNCTION public.log_link() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, after)
                 select $2, $1, n.district_id, ''link'', ''insert'', n.person_id, jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[], array[n.connection_id::text, n.sourced_id, n.is_primary::text, n.version, n.confirmed::text, n.primary_by_hand::text, n.master_identifier])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, before)
                 select $2, $1, o.district_id, ''link'', ''delete'', o.person_id, jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[], array[o.connection_id::text, o.sourced_id, o.is_primary::text, o.version, o.confirmed::text, o.primary_by_hand::text, o.master_identifier])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, before, after)
                 select $2, $1, n.district_id, ''link'', ''update'', n.person_id, jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[], array[o.connection_id::text, o.sourced_id, o.is_primary::text, o.version, o.confirmed::text, o.primary_by_hand::text, o.master_identifier]), jsonb_object(''{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, master_identifier}''::text[], array[n.connection_id::text, n.sourced_id, n.is_primary::text, n.version, n.confirmed::text, n.primary_by_hand::text, n.master_identifier])
                 from old_rows o join new_rows n using (connection_id, sourced_id)' using sync, own;
    end if;
    return null;
end $_$;
CREATE FUNCTION public.log_membership() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''membership'', ''insert'', n.person_id, n.school_id, jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[], array[n.role, n.grade, n.source_role, n.source_grade, n.status, n.archived_by, n.archived_at::text, n.managed::text, n.absent_syncs::text, n.revision::text])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''membership'', ''delete'', o.person_id, o.school_id, jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[], array[o.role, o.grade, o.source_role, o.source_grade, o.status, o.archived_by, o.archived_at::text, o.managed::text, o.absent_syncs::text, o.revision::text])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''membership'', ''update'', n.person_id, n.school_id, jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[], array[o.role, o.grade, o.source_role, o.source_grade, o.status, o.archived_by, o.archived_at::text, o.managed::text, o.absent_syncs::text, o.revision::text]), jsonb_object(''{role, grade, source_role, source_grade, status, archived_by, archived_at, managed, absent_syncs, revision}''::text[], array[n.role, n.grade, n.source_role, n.source_grade, n.status, n.archived_by, n.archived_at::text, n.managed::text, n.absent_syncs::text, n.revision::text])
                 from old_rows o join new_rows n using (district_id, school_id, person_id)' using sync, own;
    end if;
    return null;
end $_$;
CREATE FUNCTION public.log_person() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''person'', ''insert'', n.id, null::bigint, jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[], array[n.given_name, n.family_name, n.middle_name, n.preferred_given_name, n.preferred_family_name, n.email, n.phone, n.username, n.number, n.enabled::text, n.number_kind, n.number_connection_id::text, n.excluded::text, n.locked_fields::text, n.revision::text])
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''person'', ''delete'', o.id, null::bigint, jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[], array[o.given_name, o.family_name, o.middle_name, o.preferred_given_name, o.preferred_family_name, o.email, o.phone, o.username, o.number, o.enabled::text, o.number_kind, o.number_connection_id::text, o.excluded::text, o.locked_fields::text, o.revision::text])
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''person'', ''update'', n.id, null::bigint, jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[], array[o.given_name, o.family_name, o.middle_name, o.preferred_given_name, o.preferred_family_name, o.email, o.phone, o.username, o.number, o.enabled::text, o.number_kind, o.number_connection_id::text, o.excluded::text, o.locked_fields::text, o.revision::text]), jsonb_object(''{given_name, family_name, middle_name, preferred_given_name, preferred_family_name, email, phone, username, number, enabled, number_kind, number_connection_id, excluded, locked_fields, revision}''::text[], array[n.given_name, n.family_name, n.middle_name, n.preferred_given_name, n.preferred_family_name, n.email, n.phone, n.username, n.number, n.enabled::text, n.number_kind, n.number_connection_id::text, n.excluded::text, n.locked_fields::text, n.revision::text])
                 from old_rows o join new_rows n using (id, district_id)' using sync, own;
    end if;
    return null;
end $_$;
CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if tg_op = 'UPDATE' and tg_table_name = 'change_log'
       and current_setting('roster.changes_log', true) = pg_current_xact_id()::text then
        return null;
    end if;
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation', table = tg_table_name;
end $$;
CREATE FUNCTION public.restart_log() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
begin
    perform set_config('roster.changes_log', pg_current_xact_id()::text, true);
    update public.change_log set xid = 0;
    perform set_config('roster.changes_log', '', true);
end $$;
CREATE TABLE public.access_grant (
    id bigint NOT NULL,
    account_id bigint NOT NULL,
    role text NOT NULL,
    district_id bigint,
    school_id bigint,
    granted_by text NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_access_grant_role CHECK ((((role = 'operator'::text) AND (district_id IS NULL) AND (school_id IS NULL)) OR ((role = 'manager'::text) AND (district_id IS NOT NULL) AND (school_id IS NULL)) OR ((role = 'owner'::text) AND (district_id IS NULL) AND (school_id IS NOT NULL))))
);
ALTER TABLE public.access_grant ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.access_grant_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.account (
    id bigint NOT NULL,
    email text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    issuer text,
    subject text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    signed_in_at timestamp with time zone
);
ALTER TABLE public.account ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.alert (
    id bigint NOT NULL,
    subject text NOT NULL,
    cause text NOT NULL,
    school_id bigint,
    connection_id bigint,
    message text NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    notified_at timestamp with time zone DEFAULT now() CONSTRAINT alert_told_at_not_null NOT NULL,
    cleared_at timestamp with time zone
);
ALTER TABLE public.alert ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.alert_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.announced_leaver (
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    person_id bigint NOT NULL,
    day date NOT NULL,
    who text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.announced_leaver.day IS 'from this day on, for some weeks, nobody wonders that they are gone';
CREATE TABLE public.application (
    login text NOT NULL,
    district_id bigint NOT NULL,
    schools bigint[],
    roles text[],
    fields text[],
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.approval (
    id bigint NOT NULL,
    plan_id bigint NOT NULL,
    plan_hash text NOT NULL,
    decision text NOT NULL,
    who text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    lapses_at timestamp with time zone NOT NULL,
    used_by bigint,
    by_manager boolean DEFAULT false NOT NULL,
    parts jsonb,
    CONSTRAINT ck_approval_decision CHECK ((decision = ANY (ARRAY['approve'::text, 'discard'::text])))
);
COMMENT ON COLUMN public.approval.by_manager IS 'may decide what only a manager of the district may';
COMMENT ON COLUMN public.approval.parts IS '[[role, action]] that were approved; null: all that can be';
ALTER TABLE public.approval ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.approval_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    who text NOT NULL,
    what text NOT NULL,
    district_id bigint,
    school_id bigint,
    person_id bigint,
    reason text,
    details jsonb DEFAULT '{}'::jsonb NOT NULL
);
ALTER TABLE public.audit ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.change_log (
    "position" bigint NOT NULL,
    xid bigint NOT NULL,
    sync_id bigint,
    district_id bigint NOT NULL,
    entity text NOT NULL,
    operation text NOT NULL,
    person_id bigint NOT NULL,
    school_id bigint,
    before jsonb,
    after jsonb,
    at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.change_log ALTER COLUMN "position" ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.change_log_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.roster_row (
    roster_id bigint CONSTRAINT cleaned_roster_snapshot_id_not_null NOT NULL,
    sourced_id text CONSTRAINT cleaned_roster_sourced_id_not_null NOT NULL,
    record_status text CONSTRAINT cleaned_roster_standing_not_null NOT NULL,
    conflict text,
    number_kind text,
    given_name text,
    family_name text,
    middle_name text,
    preferred_given_name text,
    preferred_family_name text,
    email text,
    phone text,
    username text,
    number text,
    enabled boolean,
    role text,
    grade text,
    source_role text,
    source_grade text,
    contact_sourced_id text,
    contact_given_name text,
    contact_family_name text,
    contact_relationship text,
    contact_email text,
    contact_phone text,
    contact_flags text,
    more_contacts text,
    master_identifier text,
    unreadable_fields text,
    first_version integer DEFAULT 0 NOT NULL,
    last_version integer DEFAULT 2147483647 NOT NULL,
    identity text
);
COMMENT ON COLUMN public.roster_row.unreadable_fields IS 'fields that were given and cannot be read, separated by blanks';
COMMENT ON COLUMN public.roster_row.identity IS 'the first record of the same human being; null if there is no other';
CREATE TABLE public.snapshot (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    pull_id bigint,
    school_sourced_id text NOT NULL,
    taken_at timestamp with time zone DEFAULT now() NOT NULL,
    complete boolean NOT NULL,
    mode text NOT NULL,
    proof jsonb DEFAULT '{}'::jsonb NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    run_id text,
    pruned_at timestamp with time zone,
    written_at timestamp with time zone,
    unchanged_since timestamp with time zone,
    roster_id bigint,
    roster_version integer
);
COMMENT ON COLUMN public.snapshot.roster_id IS 'the roster that was made of it, and the version; null before, and when pruned';
CREATE VIEW public.cleaned_roster AS
 SELECT s.id AS snapshot_id,
    r.sourced_id,
    r.record_status,
    r.identity,
    r.conflict,
    r.number_kind,
    r.master_identifier,
    r.given_name,
    r.family_name,
    r.middle_name,
    r.preferred_given_name,
    r.preferred_family_name,
    r.email,
    r.phone,
    r.username,
    r.number,
    r.enabled,
    r.role,
    r.grade,
    r.source_role,
    r.source_grade,
    r.contact_sourced_id,
    r.contact_given_name,
    r.contact_family_name,
    r.contact_relationship,
    r.contact_email,
    r.contact_phone,
    r.contact_flags,
    r.more_contacts,
    r.unreadable_fields
   FROM (public.snapshot s
     JOIN public.roster_row r ON (((r.roster_id = s.roster_id) AND ((s.roster_version >= r.first_version) AND (s.roster_version <= r.last_version)))));
CREATE TABLE public.connection (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    key text NOT NULL,
    settings jsonb NOT NULL,
    secret text,
    learned jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    revision integer DEFAULT 1 NOT NULL
);
ALTER TABLE public.connection ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.connection_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.connection_test (
    id text CONSTRAINT trial_id_not_null NOT NULL,
    school_id bigint CONSTRAINT trial_school_id_not_null NOT NULL,
    who text CONSTRAINT trial_who_not_null NOT NULL,
    form jsonb DEFAULT '{}'::jsonb CONSTRAINT trial_form_not_null NOT NULL,
    settings jsonb CONSTRAINT trial_settings_not_null NOT NULL,
    school_settings jsonb CONSTRAINT trial_school_settings_not_null NOT NULL,
    secret text,
    typed boolean DEFAULT false CONSTRAINT trial_typed_not_null NOT NULL,
    connection_revision bigint CONSTRAINT trial_connection_revision_not_null NOT NULL,
    items jsonb DEFAULT '[]'::jsonb CONSTRAINT trial_items_not_null NOT NULL,
    problem text,
    started_at timestamp with time zone DEFAULT now() CONSTRAINT trial_started_at_not_null NOT NULL,
    ended_at timestamp with time zone,
    learned jsonb DEFAULT '{}'::jsonb CONSTRAINT trial_learned_not_null NOT NULL,
    CONSTRAINT ck_connection_test_secret CHECK ((typed OR (secret IS NULL)))
);
COMMENT ON COLUMN public.connection_test.secret IS 'typed for this test: a Fernet token, never a copy of the stored one';
COMMENT ON COLUMN public.connection_test.learned IS 'what the server taught us: version, form of the sign-in, ...; no secret';
CREATE TABLE public.console_session (
    token_hash text NOT NULL,
    account_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    message text
);
CREATE TABLE public.contact (
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    person_id bigint NOT NULL,
    sourced_id text,
    given_name text,
    family_name text,
    relationship text,
    email text,
    phone text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    place smallint DEFAULT 1 NOT NULL,
    flags text
);
CREATE TABLE public.digest (
    recipient text NOT NULL,
    sync_id bigint NOT NULL,
    put_at timestamp with time zone DEFAULT now() NOT NULL,
    message_id text
);
CREATE TABLE public.district (
    id bigint NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    paused_until date
);
COMMENT ON COLUMN public.district.paused_until IS 'the first day with scheduled syncs again; null: not paused';
ALTER TABLE public.district ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.district_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.excluded_contact (
    snapshot_id bigint NOT NULL,
    sourced_id text NOT NULL,
    student_id text
);
CREATE TABLE public.exemption (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    action text NOT NULL,
    role text NOT NULL,
    person_id bigint,
    sourced_ids text[] NOT NULL,
    changes jsonb,
    who text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.exemption.action IS 'create, update, restore or archive: the change that is not made';
COMMENT ON COLUMN public.exemption.person_id IS 'null: somebody whom the directory does not know';
COMMENT ON COLUMN public.exemption.changes IS 'of an update, as in plan_row: only this update is exempted';
ALTER TABLE public.exemption ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.exemption_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.failure (
    id bigint NOT NULL,
    school_id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    step text NOT NULL,
    message text NOT NULL,
    run_id text,
    cause text DEFAULT 'step'::text NOT NULL,
    night text,
    retryable boolean DEFAULT false NOT NULL
);
ALTER TABLE public.failure ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.failure_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.known_record (
    pull_id bigint NOT NULL,
    district_id bigint NOT NULL,
    context text NOT NULL,
    marks bytea NOT NULL
);
ALTER TABLE ONLY public.known_record ALTER COLUMN marks SET STORAGE EXTERNAL;
COMMENT ON COLUMN public.known_record.context IS 'a digest of what the marks depend on besides the bytes of the records';
COMMENT ON COLUMN public.known_record.marks IS 'by which the next pull recognises records, each with its id';
CREATE TABLE public.link (
    district_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    sourced_id text NOT NULL,
    person_id bigint NOT NULL,
    is_primary boolean DEFAULT false CONSTRAINT link_home_not_null NOT NULL,
    version text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    confirmed boolean DEFAULT false NOT NULL,
    primary_by_hand boolean DEFAULT false CONSTRAINT link_home_by_hand_not_null NOT NULL,
    master_identifier text
);
CREATE TABLE public.link_exclusion (
    district_id bigint CONSTRAINT apart_district_id_not_null NOT NULL,
    connection_id bigint CONSTRAINT apart_connection_id_not_null NOT NULL,
    sourced_id text CONSTRAINT apart_sourced_id_not_null NOT NULL,
    person_id bigint CONSTRAINT apart_person_id_not_null NOT NULL,
    created_at timestamp with time zone DEFAULT now() CONSTRAINT apart_created_at_not_null NOT NULL
);
CREATE TABLE public.manual_run (
    id text CONSTRAINT asked_run_id_not_null NOT NULL,
    school_id bigint CONSTRAINT asked_run_school_id_not_null NOT NULL,
    kind text CONSTRAINT asked_run_kind_not_null NOT NULL,
    who text CONSTRAINT asked_run_who_not_null NOT NULL,
    host text CONSTRAINT asked_run_host_not_null NOT NULL,
    step text,
    problem text,
    requested_at timestamp with time zone DEFAULT now() CONSTRAINT asked_run_asked_at_not_null NOT NULL,
    alive_at timestamp with time zone DEFAULT now() CONSTRAINT asked_run_alive_at_not_null NOT NULL,
    ended_at timestamp with time zone,
    canceled_by text,
    started_at timestamp with time zone,
    CONSTRAINT ck_manual_run_kind CHECK ((kind = ANY (ARRAY['sync'::text, 'dry_run'::text])))
);
COMMENT ON COLUMN public.manual_run.canceled_by IS 'who canceled it';
COMMENT ON COLUMN public.manual_run.started_at IS 'when its turn came; null while it waits';
CREATE TABLE public.membership (
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    person_id bigint NOT NULL,
    role text,
    grade text,
    source_role text,
    source_grade text,
    status text NOT NULL,
    archived_by text,
    archived_at timestamp with time zone,
    managed boolean DEFAULT false NOT NULL,
    absent_syncs integer DEFAULT 0 NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_membership_archived_by CHECK (((status = 'active'::text) = (archived_by IS NULL))),
    CONSTRAINT ck_membership_status CHECK ((status = ANY (ARRAY['active'::text, 'archived'::text])))
);
CREATE TABLE public.not_duplicate (
    district_id bigint NOT NULL,
    person_id bigint NOT NULL,
    other_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_not_duplicate_ordered CHECK ((person_id < other_id))
);
CREATE TABLE public.oidc_attempt (
    state_hash text NOT NULL,
    visit_hash text NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    next_path text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.outbox (
    id bigint NOT NULL,
    message_id text NOT NULL,
    kind text NOT NULL,
    school_id bigint,
    sync_id bigint,
    recipients text[] NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    html text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    error text,
    sent_at timestamp with time zone,
    dead_at timestamp with time zone,
    attachment text
);
ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.people_upload (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    who text NOT NULL,
    content jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.people_upload ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.people_upload_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.person (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    given_name text,
    family_name text,
    middle_name text,
    preferred_given_name text,
    preferred_family_name text,
    email text,
    phone text,
    username text,
    number text,
    enabled boolean,
    number_kind text,
    number_connection_id bigint,
    excluded boolean DEFAULT false NOT NULL,
    locked_fields text[] DEFAULT '{}'::text[] NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.person ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.person_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.person_merge (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    kept_id bigint NOT NULL,
    gone_id bigint NOT NULL,
    who text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    before jsonb DEFAULT '{}'::jsonb NOT NULL,
    after jsonb DEFAULT '{}'::jsonb NOT NULL,
    undone_at timestamp with time zone
);
ALTER TABLE public.person_merge ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.person_merge_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.plan (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    snapshot_id bigint NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    hash text NOT NULL,
    "position" bigint NOT NULL,
    first_sync boolean NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    state text DEFAULT 'planned'::text NOT NULL,
    dry_run boolean DEFAULT false NOT NULL,
    run_id text,
    quality text,
    person_id bigint,
    settings text,
    CONSTRAINT ck_plan_state CHECK ((state = ANY (ARRAY['planned'::text, 'replaced'::text, 'discarded'::text])))
);
COMMENT ON COLUMN public.plan.person_id IS 'whom alone the plan is about; null: the whole school';
COMMENT ON COLUMN public.plan.settings IS 'a digest of the settings that decide whom the plan changes; null in plans from before this column';
ALTER TABLE public.plan ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.plan_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.plan_row (
    plan_id bigint NOT NULL,
    "row" integer NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    role text NOT NULL,
    person_id bigint,
    sourced_ids text[] NOT NULL,
    new_links text[] NOT NULL,
    matched_by text,
    changes jsonb NOT NULL,
    number_kind text,
    absent_syncs integer,
    person_revision bigint,
    membership_revision bigint,
    witness text,
    guard text DEFAULT ''::text NOT NULL,
    notes text,
    exempted boolean DEFAULT false NOT NULL,
    CONSTRAINT ck_plan_row_action CHECK ((action = ANY (ARRAY['create'::text, 'update'::text, 'restore'::text, 'archive'::text, 'unchanged'::text, 'skip'::text, 'conflict'::text])))
);
COMMENT ON COLUMN public.plan_row.exempted IS 'somebody took the row out of what is held; it is never applied';
CREATE TABLE public.plan_unchanged (
    plan_id bigint NOT NULL,
    role text NOT NULL,
    first_row integer NOT NULL,
    people bigint[] NOT NULL
);
COMMENT ON COLUMN public.plan_unchanged.first_row IS 'the number of the first person''s row; the next ones follow';
COMMENT ON COLUMN public.plan_unchanged.people IS 'found by the link of their only record, and nothing differs; null for somebody who was erased';
CREATE VIEW public.plan_line AS
 SELECT plan_row.plan_id,
    plan_row."row",
    plan_row.action,
    plan_row.reason,
    plan_row.role,
    plan_row.person_id,
    plan_row.sourced_ids,
    plan_row.new_links,
    plan_row.matched_by,
    plan_row.notes,
    plan_row.changes,
    plan_row.guard,
    plan_row.witness,
    plan_row.exempted
   FROM public.plan_row
UNION ALL
 SELECT u.plan_id,
    ((u.first_row + (one.place)::integer) - 1) AS "row",
    'unchanged'::text AS action,
    'equal'::text AS reason,
    u.role,
    one.person_id,
    ARRAY( SELECT l.sourced_id
           FROM (public.link l
             JOIN public.cleaned_roster c ON ((c.sourced_id = l.sourced_id)))
          WHERE ((l.person_id = one.person_id) AND (l.connection_id = s.connection_id) AND (c.snapshot_id = s.id))
          ORDER BY l.is_primary DESC, l.sourced_id) AS sourced_ids,
    '{}'::text[] AS new_links,
    'link'::text AS matched_by,
    NULL::text AS notes,
    '{}'::jsonb AS changes,
    ''::text AS guard,
    NULL::text AS witness,
    false AS exempted
   FROM (((public.plan_unchanged u
     JOIN public.plan p ON ((p.id = u.plan_id)))
     JOIN public.snapshot s ON ((s.id = p.snapshot_id)))
     CROSS JOIN LATERAL unnest(u.people) WITH ORDINALITY one(person_id, place))
  WHERE (one.person_id IS NOT NULL);
CREATE TABLE public.pull (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    batch text NOT NULL,
    scope text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    complete boolean DEFAULT false NOT NULL,
    mode text DEFAULT 'full'::text NOT NULL,
    proof jsonb DEFAULT '{}'::jsonb NOT NULL,
    written_at timestamp with time zone,
    unchanged_since timestamp with time zone
);
ALTER TABLE public.pull ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pull_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.pull_record (
    pull_id bigint NOT NULL,
    block bigint NOT NULL,
    bits bytea NOT NULL
);
COMMENT ON COLUMN public.pull_record.pull_id IS 'without foreign keys, which would be looked up for each row';
COMMENT ON COLUMN public.pull_record.block IS 'of 512 ids of sis_record: id >> 9';
COMMENT ON COLUMN public.pull_record.bits IS '512 bits: get_bit(bits, id & 511)';
CREATE TABLE public.pulled_reject (
    pull_id bigint NOT NULL,
    sourced_id text,
    collection text NOT NULL,
    field text NOT NULL,
    rule text NOT NULL,
    severity text NOT NULL
);
CREATE TABLE public.quality_result (
    snapshot_id bigint NOT NULL,
    rule text NOT NULL,
    check_name text NOT NULL,
    severity text NOT NULL,
    passed boolean NOT NULL,
    tested integer,
    failed integer,
    role text NOT NULL
);
CREATE TABLE public.rate_limit (
    name text CONSTRAINT rate_name_not_null NOT NULL,
    key_hash text CONSTRAINT rate_key_hash_not_null NOT NULL,
    began_at timestamp with time zone DEFAULT now() CONSTRAINT rate_began_at_not_null NOT NULL,
    until timestamp with time zone CONSTRAINT rate_until_not_null NOT NULL,
    used integer CONSTRAINT rate_used_not_null NOT NULL
);
CREATE TABLE public.sis_record (
    id bigint NOT NULL,
    connection_id bigint NOT NULL,
    kind text NOT NULL,
    sourced_id text NOT NULL,
    content_hash uuid NOT NULL,
    student boolean DEFAULT false NOT NULL,
    orgs text[] NOT NULL,
    agents text[] NOT NULL,
    payload json NOT NULL,
    CONSTRAINT ck_sis_record_kind CHECK ((kind = ANY (ARRAY['org'::text, 'user'::text])))
);
COMMENT ON COLUMN public.sis_record.connection_id IS 'without a foreign key, which would be looked up for each row';
COMMENT ON COLUMN public.sis_record.content_hash IS 'of the text of payload';
CREATE TABLE public.snapshot_record (
    snapshot_id bigint NOT NULL,
    part text NOT NULL,
    block bigint NOT NULL,
    bits bytea NOT NULL
);
COMMENT ON COLUMN public.snapshot_record.block IS 'as in pull_record';
COMMENT ON COLUMN public.snapshot_record.bits IS 'as in pull_record';
CREATE VIEW public.raw_contact AS
 SELECT s.snapshot_id,
    r.sourced_id,
    r.payload
   FROM (public.snapshot_record s
     JOIN public.sis_record r ON ((((r.id >= (s.block << 9)) AND (r.id <= ((s.block << 9) + 511))) AND (get_bit(s.bits, (r.id & (511)::bigint)) = 1))))
  WHERE (s.part = 'contact'::text);
CREATE VIEW public.raw_org AS
 SELECT s.snapshot_id,
    r.sourced_id,
    r.payload
   FROM (public.snapshot_record s
     JOIN public.sis_record r ON ((((r.id >= (s.block << 9)) AND (r.id <= ((s.block << 9) + 511))) AND (get_bit(s.bits, (r.id & (511)::bigint)) = 1))))
  WHERE (s.part = 'org'::text);
CREATE TABLE public.raw_reject (
    snapshot_id bigint NOT NULL,
    sourced_id text,
    collection text NOT NULL,
    field text NOT NULL,
    rule text NOT NULL,
    severity text NOT NULL
);
CREATE VIEW public.raw_user AS
 SELECT s.snapshot_id,
    r.sourced_id,
    r.payload
   FROM (public.snapshot_record s
     JOIN public.sis_record r ON ((((r.id >= (s.block << 9)) AND (r.id <= ((s.block << 9) + 511))) AND (get_bit(s.bits, (r.id & (511)::bigint)) = 1))))
  WHERE (s.part = 'user'::text);
CREATE TABLE public.rejected_record (
    snapshot_id bigint NOT NULL,
    collection text NOT NULL,
    sourced_id text,
    field text NOT NULL,
    rule text NOT NULL,
    severity text NOT NULL,
    role text
);
CREATE TABLE public.roster (
    id bigint NOT NULL,
    school_id bigint NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL
);
COMMENT ON COLUMN public.roster.version IS 'the last version; each has the rows that hold for it';
COMMENT ON COLUMN public.roster.began_at IS 'when all of its rows were written';
ALTER TABLE public.roster ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.roster_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.scheduled_run (
    school_id bigint CONSTRAINT night_school_id_not_null NOT NULL,
    night text CONSTRAINT night_scheduled_run_not_null NOT NULL,
    attempt integer CONSTRAINT night_attempt_not_null NOT NULL,
    requested_at timestamp with time zone CONSTRAINT night_asked_for_not_null NOT NULL,
    slow_at timestamp with time zone
);
COMMENT ON COLUMN public.scheduled_run.slow_at IS 'when the run gave way because its SIS was slow';
CREATE TABLE public.school (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    settings jsonb NOT NULL,
    test jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    revision integer DEFAULT 1 NOT NULL,
    paused_until date,
    raised_limits jsonb DEFAULT '{}'::jsonb NOT NULL
);
COMMENT ON COLUMN public.school.paused_until IS 'the first day with scheduled syncs again; null: not paused';
COMMENT ON COLUMN public.school.raised_limits IS '{guard setting: {value, until, who, reason}}; counts until that day';
ALTER TABLE public.school ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.school_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.school_week (
    school_id bigint NOT NULL,
    week date NOT NULL,
    people integer DEFAULT 0 NOT NULL,
    created integer DEFAULT 0 NOT NULL,
    updated integer DEFAULT 0 NOT NULL,
    restored integer DEFAULT 0 NOT NULL,
    archived integer DEFAULT 0 NOT NULL,
    records integer DEFAULT 0 NOT NULL,
    rejected integer DEFAULT 0 NOT NULL
);
COMMENT ON COLUMN public.school_week.week IS 'its Monday, in the school''s own calendar';
COMMENT ON COLUMN public.school_week.people IS 'in the roster of the week''s last complete snapshot';
COMMENT ON COLUMN public.school_week.records IS 'of users in that snapshot';
COMMENT ON COLUMN public.school_week.rejected IS 'of these, records that could not be used';
CREATE TABLE public.sign_in_link (
    token_hash text NOT NULL,
    account_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);
ALTER TABLE public.sis_record ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.sis_record_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.sis_school_list (
    connection_id bigint NOT NULL,
    id text NOT NULL,
    connection_revision bigint NOT NULL,
    who text NOT NULL,
    schools jsonb DEFAULT '[]'::jsonb NOT NULL,
    problem text,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone
);
COMMENT ON COLUMN public.sis_school_list.id IS 'of this reading; a connection keeps its newest one';
COMMENT ON COLUMN public.sis_school_list.schools IS '[{"id", "identifier", "name", "people": {role: count} or null}]';
COMMENT ON COLUMN public.sis_school_list.problem IS 'why it could not be read to its end, for people';
ALTER TABLE public.snapshot ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.snapshot_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.stored_frame (
    school_id bigint NOT NULL,
    name text NOT NULL,
    snapshot_id bigint NOT NULL,
    key text NOT NULL,
    data bytea NOT NULL
);
ALTER TABLE ONLY public.stored_frame ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON COLUMN public.stored_frame.name IS 'records, roster, settled or plan';
COMMENT ON COLUMN public.stored_frame.key IS 'by which code and library it was made';
COMMENT ON COLUMN public.stored_frame.data IS 'an Arrow stream, already compressed';
CREATE TABLE public.sync (
    id bigint NOT NULL,
    district_id bigint NOT NULL,
    school_id bigint NOT NULL,
    kind text NOT NULL,
    plan_id bigint,
    snapshot_id bigint,
    undoes bigint,
    outcome text NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    held jsonb DEFAULT '{}'::jsonb NOT NULL,
    report jsonb DEFAULT '{}'::jsonb NOT NULL,
    who text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    run_id text
);
COMMENT ON COLUMN public.sync.kind IS 'sync, approval, relink, rollback, person or upload';
ALTER TABLE public.sync ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.sync_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.unreported_decision (
    id bigint NOT NULL,
    school_id bigint NOT NULL,
    kind text NOT NULL,
    decided_by text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    sync_id bigint,
    plan_id bigint
);
ALTER TABLE public.unreported_decision ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.unreported_decision_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.verdict (
    plan_id bigint NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    verdict text NOT NULL,
    rows integer NOT NULL,
    findings jsonb NOT NULL,
    sync_id bigint,
    guard text DEFAULT ''::text NOT NULL,
    CONSTRAINT ck_verdict_verdict CHECK ((verdict = ANY (ARRAY['pass'::text, 'hold'::text])))
);
CREATE TABLE public.witness (
    snapshot_id bigint NOT NULL,
    sourced_id text NOT NULL,
    answer text NOT NULL
);
CREATE VIEW roster_public.directory_change AS
 SELECT l.xid AS transaction,
    l."position",
    l.at,
    d.key AS district,
    s.key AS school,
    l.person_id,
    l.entity,
    l.operation,
        CASE
            WHEN (l.operation = 'update'::text) THEN ARRAY( SELECT a.key
               FROM jsonb_each(l.after) a(key, value)
              WHERE ((a.value IS DISTINCT FROM (l.before -> a.key)) AND (a.key <> ALL (ARRAY['revision'::text, 'absent_syncs'::text])))
              ORDER BY a.key)
            ELSE NULL::text[]
        END AS changed,
    l.sync_id
   FROM ((public.change_log l
     JOIN public.district d ON ((d.id = l.district_id)))
     LEFT JOIN public.school s ON ((s.id = l.school_id)))
  WHERE (l.xid < ((pg_snapshot_xmin(pg_current_snapshot()))::text)::bigint);
CREATE VIEW roster_application.directory_change WITH (security_barrier='true') AS
 SELECT c.transaction,
    c."position",
    c.at,
    c.district,
    c.school,
    c.person_id,
    c.entity,
    c.operation,
    c.changed,
    c.sync_id
   FROM (((roster_public.directory_change c
     JOIN public.district d ON ((d.key = c.district)))
     JOIN public.application a ON ((a.district_id = d.id)))
     LEFT JOIN public.school s ON ((s.key = c.school)))
  WHERE ((a.login = SESSION_USER) AND ((c.school IS NULL) OR (a.schools IS NULL) OR (s.id = ANY (a.schools))) AND ((c.operation = 'delete'::text) OR (EXISTS ( SELECT
           FROM public.membership m
          WHERE ((m.district_id = a.district_id) AND (m.person_id = c.person_id) AND ((s.id IS NULL) OR (m.school_id = s.id)) AND ((a.schools IS NULL) OR (m.school_id = ANY (a.schools))) AND ((a.roles IS NULL) OR (m.role = ANY (a.roles))))))));
CREATE VIEW roster_application.directory_contact WITH (security_barrier='true') AS
 SELECT c.person_id,
    d.key AS district,
    s.key AS school,
        CASE
            WHEN ((a.fields IS NULL) OR ('given_name'::text = ANY (a.fields))) THEN c.given_name
            ELSE NULL::text
        END AS given_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('family_name'::text = ANY (a.fields))) THEN c.family_name
            ELSE NULL::text
        END AS family_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('relationship'::text = ANY (a.fields))) THEN c.relationship
            ELSE NULL::text
        END AS relationship,
        CASE
            WHEN ((a.fields IS NULL) OR ('email'::text = ANY (a.fields))) THEN c.email
            ELSE NULL::text
        END AS email,
        CASE
            WHEN ((a.fields IS NULL) OR ('phone'::text = ANY (a.fields))) THEN c.phone
            ELSE NULL::text
        END AS phone,
    m.status,
    c.updated_at,
    c.sourced_id AS contact_id,
        CASE
            WHEN ((a.fields IS NULL) OR ('flags'::text = ANY (a.fields))) THEN (c.flags)::jsonb
            ELSE NULL::jsonb
        END AS flags
   FROM ((((public.application a
     JOIN public.district d ON ((d.id = a.district_id)))
     JOIN public.membership m ON ((m.district_id = a.district_id)))
     JOIN public.contact c ON (((c.district_id = m.district_id) AND (c.school_id = m.school_id) AND (c.person_id = m.person_id))))
     JOIN public.school s ON ((s.id = m.school_id)))
  WHERE ((a.login = SESSION_USER) AND (c.place = 1) AND ((a.schools IS NULL) OR (m.school_id = ANY (a.schools))) AND ((a.roles IS NULL) OR (m.role = ANY (a.roles))));
CREATE VIEW roster_application.directory_membership WITH (security_barrier='true') AS
 SELECT m.person_id,
    d.key AS district,
    s.key AS school,
    s.name AS school_name,
    m.role,
    m.grade,
    m.source_role,
    m.source_grade,
    m.status,
    m.archived_at,
    m.created_at,
    m.updated_at
   FROM (((public.application a
     JOIN public.district d ON ((d.id = a.district_id)))
     JOIN public.membership m ON ((m.district_id = a.district_id)))
     JOIN public.school s ON ((s.id = m.school_id)))
  WHERE ((a.login = SESSION_USER) AND ((a.schools IS NULL) OR (m.school_id = ANY (a.schools))) AND ((a.roles IS NULL) OR (m.role = ANY (a.roles))));
CREATE VIEW roster_application.directory_person WITH (security_barrier='true') AS
 SELECT p.id AS person_id,
    d.key AS district,
        CASE
            WHEN ((a.fields IS NULL) OR ('given_name'::text = ANY (a.fields))) THEN p.given_name
            ELSE NULL::text
        END AS given_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('family_name'::text = ANY (a.fields))) THEN p.family_name
            ELSE NULL::text
        END AS family_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('middle_name'::text = ANY (a.fields))) THEN p.middle_name
            ELSE NULL::text
        END AS middle_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('preferred_given_name'::text = ANY (a.fields))) THEN p.preferred_given_name
            ELSE NULL::text
        END AS preferred_given_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('preferred_family_name'::text = ANY (a.fields))) THEN p.preferred_family_name
            ELSE NULL::text
        END AS preferred_family_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('email'::text = ANY (a.fields))) THEN p.email
            ELSE NULL::text
        END AS email,
        CASE
            WHEN ((a.fields IS NULL) OR ('phone'::text = ANY (a.fields))) THEN p.phone
            ELSE NULL::text
        END AS phone,
        CASE
            WHEN ((a.fields IS NULL) OR ('username'::text = ANY (a.fields))) THEN p.username
            ELSE NULL::text
        END AS username,
        CASE
            WHEN ((a.fields IS NULL) OR ('number'::text = ANY (a.fields))) THEN p.number
            ELSE NULL::text
        END AS number,
        CASE
            WHEN ((a.fields IS NULL) OR ('number_kind'::text = ANY (a.fields))) THEN p.number_kind
            ELSE NULL::text
        END AS number_kind,
        CASE
            WHEN ((a.fields IS NULL) OR ('enabled'::text = ANY (a.fields))) THEN p.enabled
            ELSE NULL::boolean
        END AS enabled,
    (EXISTS ( SELECT
           FROM public.membership m
          WHERE ((m.district_id = p.district_id) AND (m.person_id = p.id) AND (m.status = 'active'::text) AND ((a.schools IS NULL) OR (m.school_id = ANY (a.schools))) AND ((a.roles IS NULL) OR (m.role = ANY (a.roles)))))) AS active,
    p.created_at,
    p.updated_at
   FROM ((public.application a
     JOIN public.district d ON ((d.id = a.district_id)))
     JOIN public.person p ON ((p.district_id = a.district_id)))
  WHERE ((a.login = SESSION_USER) AND (EXISTS ( SELECT
           FROM public.membership m
          WHERE ((m.district_id = p.district_id) AND (m.person_id = p.id) AND ((a.schools IS NULL) OR (m.school_id = ANY (a.schools))) AND ((a.roles IS NULL) OR (m.role = ANY (a.roles)))))));
CREATE VIEW roster_application.directory_student_contact WITH (security_barrier='true') AS
 SELECT c.person_id,
    d.key AS district,
    s.key AS school,
    c.place,
    c.sourced_id AS contact_id,
        CASE
            WHEN ((a.fields IS NULL) OR ('given_name'::text = ANY (a.fields))) THEN c.given_name
            ELSE NULL::text
        END AS given_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('family_name'::text = ANY (a.fields))) THEN c.family_name
            ELSE NULL::text
        END AS family_name,
        CASE
            WHEN ((a.fields IS NULL) OR ('relationship'::text = ANY (a.fields))) THEN c.relationship
            ELSE NULL::text
        END AS relationship,
        CASE
            WHEN ((a.fields IS NULL) OR ('email'::text = ANY (a.fields))) THEN c.email
            ELSE NULL::text
        END AS email,
        CASE
            WHEN ((a.fields IS NULL) OR ('phone'::text = ANY (a.fields))) THEN c.phone
            ELSE NULL::text
        END AS phone,
        CASE
            WHEN ((a.fields IS NULL) OR ('flags'::text = ANY (a.fields))) THEN (c.flags)::jsonb
            ELSE NULL::jsonb
        END AS flags,
    m.status,
    c.updated_at
   FROM ((((public.application a
     JOIN public.district d ON ((d.id = a.district_id)))
     JOIN public.membership m ON ((m.district_id = a.district_id)))
     JOIN public.contact c ON (((c.district_id = m.district_id) AND (c.school_id = m.school_id) AND (c.person_id = m.person_id))))
     JOIN public.school s ON ((s.id = m.school_id)))
  WHERE ((a.login = SESSION_USER) AND ((a.schools IS NULL) OR (m.school_id = ANY (a.schools))) AND ((a.roles IS NULL) OR (m.role = ANY (a.roles))));
CREATE VIEW roster_public.directory_contact AS
 SELECT c.person_id,
    d.key AS district,
    s.key AS school,
    c.given_name,
    c.family_name,
    c.relationship,
    c.email,
    c.phone,
    m.status,
    c.updated_at,
    c.sourced_id AS contact_id,
    (c.flags)::jsonb AS flags
   FROM (((public.contact c
     JOIN public.membership m USING (district_id, school_id, person_id))
     JOIN public.district d ON ((d.id = c.district_id)))
     JOIN public.school s ON ((s.id = c.school_id)))
  WHERE (c.place = 1);
CREATE VIEW roster_public.directory_membership AS
 SELECT m.person_id,
    d.key AS district,
    s.key AS school,
    s.name AS school_name,
    m.role,
    m.grade,
    m.source_role,
    m.source_grade,
    m.status,
    m.archived_at,
    m.created_at,
    m.updated_at
   FROM ((public.membership m
     JOIN public.district d ON ((d.id = m.district_id)))
     JOIN public.school s ON ((s.id = m.school_id)));
CREATE VIEW roster_public.directory_person AS
 SELECT p.id AS person_id,
    d.key AS district,
    p.given_name,
    p.family_name,
    p.middle_name,
    p.preferred_given_name,
    p.preferred_family_name,
    p.email,
    p.phone,
    p.username,
    p.number,
    p.number_kind,
    p.enabled,
    (EXISTS ( SELECT
           FROM public.membership m
          WHERE ((m.person_id = p.id) AND (m.status = 'active'::text)))) AS active,
    p.created_at,
    p.updated_at
   FROM (public.person p
     JOIN public.district d ON ((d.id = p.district_id)));
CREATE VIEW roster_public.directory_student_contact AS
 SELECT c.person_id,
    d.key AS district,
    s.key AS school,
    c.place,
    c.sourced_id AS contact_id,
    c.given_name,
    c.family_name,
    c.relationship,
    c.email,
    c.phone,
    (c.flags)::jsonb AS flags,
    m.status,
    c.updated_at
   FROM (((public.contact c
     JOIN public.membership m USING (district_id, school_id, person_id))
     JOIN public.district d ON ((d.id = c.district_id)))
     JOIN public.school s ON ((s.id = c.school_id)));
INSERT INTO public.alembic_version VALUES ('0047');
INSERT INTO public.change_log VALUES (1, 755, NULL, 1, 'person', 'insert', 1, NULL, NULL, '{"email": null, "phone": null, "number": null, "enabled": null, "excluded": "false", "revision": "1", "username": null, "given_name": "Ada", "family_name": null, "middle_name": null, "number_kind": null, "locked_fields": "{}", "number_connection_id": null, "preferred_given_name": null, "preferred_family_name": null}', '2026-11-28 13:48:56.774722+00');
INSERT INTO public.change_log VALUES (2, 755, NULL, 1, 'link', 'insert', 1, NULL, NULL, '{"version": null, "confirmed": "false", "is_primary": "true", "sourced_id": "a", "connection_id": "1", "primary_by_hand": "false", "master_identifier": null}', '2026-11-28 13:48:56.774722+00');
INSERT INTO public.change_log VALUES (3, 755, NULL, 1, 'membership', 'insert', 1, 1, NULL, '{"role": "student", "grade": null, "status": "active", "managed": "true", "revision": "1", "archived_at": null, "archived_by": null, "source_role": null, "absent_syncs": "0", "source_grade": null}', '2026-11-28 13:48:56.774722+00');
INSERT INTO public.change_log VALUES (4, 755, NULL, 1, 'person', 'update', 1, NULL, '{"email": null, "phone": null, "number": null, "enabled": null, "excluded": "false", "revision": "1", "username": null, "given_name": "Ada", "family_name": null, "middle_name": null, "number_kind": null, "locked_fields": "{}", "number_connection_id": null, "preferred_given_name": null, "preferred_family_name": null}', '{"email": null, "phone": null, "number": null, "enabled": null, "excluded": "false", "revision": "2", "username": null, "given_name": "Ada", "family_name": "Lovelace", "middle_name": null, "number_kind": null, "locked_fields": "{}", "number_connection_id": null, "preferred_given_name": null, "preferred_family_name": null}', '2026-11-28 13:48:56.774722+00');
INSERT INTO public.connection VALUES (1, 1, 'c', '{"url": "https://sis.example.org"}', NULL, '{}', '2026-11-28 13:48:56.774722+00', '2026-11-28 13:48:56.774722+00', 1);
INSERT INTO public.district VALUES (1, 'd', 'D', '2026-11-28 13:48:56.774722+00', '{}', NULL);
INSERT INTO public.link VALUES (1, 1, 'a', 1, true, NULL, '2026-11-28 13:48:56.774722+00', false, false, NULL);
INSERT INTO public.membership VALUES (1, 1, 1, 'student', NULL, NULL, NULL, 'active', NULL, NULL, true, 0, 1, '2026-11-28 13:48:56.774722+00', '2026-11-28 13:48:56.774722+00');
INSERT INTO public.person VALUES (1, 1, 'Ada', 'Lovelace', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '{}', 2, '2026-11-28 13:48:56.774722+00', '2026-11-28 13:48:56.774722+00');
INSERT INTO public.pull VALUES (1, 1, 1, 'b', '', '2026-11-28 13:48:56.774722+00', '2026-11-27 20:00:00+00', true, 'full', '{}', NULL, NULL);
INSERT INTO public.pull_record VALUES (1, 0, '\x02000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO public.roster VALUES (1, 1, 0, '2026-11-28 13:48:56.774722+00');
INSERT INTO public.roster_row VALUES (1, 'a', 'member', NULL, NULL, 'Ada', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'student', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 2147483647, NULL);
INSERT INTO public.school VALUES (1, 1, 1, 's', 'S', '{"school_id": "o"}', NULL, '2026-11-28 13:48:56.774722+00', '2026-11-28 13:48:56.774722+00', 1, NULL, '{}');
INSERT INTO public.sis_record VALUES (1, 1, 'user', 'a', 'a059b80b-7c36-490f-0d38-2ec6948cc224', true, '{o}', '{}', '{"sourcedId": "a", "givenName": "Ada"}');
INSERT INTO public.snapshot VALUES (1, 1, 1, 1, 1, 'o', '2026-11-28 13:48:56.774722+00', true, 'full', '{}', '{}', NULL, NULL, NULL, NULL, 1, 0);
INSERT INTO public.snapshot_record VALUES (1, 'user', 0, '\x02000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
SELECT pg_catalog.setval('public.access_grant_id_seq', 1, false);
SELECT pg_catalog.setval('public.account_id_seq', 1, false);
SELECT pg_catalog.setval('public.alert_id_seq', 1, false);
SELECT pg_catalog.setval('public.approval_id_seq', 1, false);
SELECT pg_catalog.setval('public.audit_id_seq', 1, false);
SELECT pg_catalog.setval('public.change_log_position_seq', 4, true);
SELECT pg_catalog.setval('public.connection_id_seq', 1, false);
SELECT pg_catalog.setval('public.district_id_seq', 1, false);
SELECT pg_catalog.setval('public.exemption_id_seq', 1, false);
SELECT pg_catalog.setval('public.failure_id_seq', 1, false);
SELECT pg_catalog.setval('public.outbox_id_seq', 1, false);
SELECT pg_catalog.setval('public.people_upload_id_seq', 1, false);
SELECT pg_catalog.setval('public.person_id_seq', 7, true);
SELECT pg_catalog.setval('public.person_merge_id_seq', 1, false);
SELECT pg_catalog.setval('public.plan_id_seq', 1, false);
SELECT pg_catalog.setval('public.pull_id_seq', 1, false);
SELECT pg_catalog.setval('public.roster_id_seq', 2, false);
SELECT pg_catalog.setval('public.school_id_seq', 1, false);
SELECT pg_catalog.setval('public.sis_record_id_seq', 1, false);
SELECT pg_catalog.setval('public.snapshot_id_seq', 1, false);
SELECT pg_catalog.setval('public.sync_id_seq', 1, false);
SELECT pg_catalog.setval('public.unreported_decision_id_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.access_grant
    ADD CONSTRAINT pk_access_grant PRIMARY KEY (id);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT pk_account PRIMARY KEY (id);
ALTER TABLE ONLY public.alert
    ADD CONSTRAINT pk_alert PRIMARY KEY (id);
ALTER TABLE ONLY public.announced_leaver
    ADD CONSTRAINT pk_announced_leaver PRIMARY KEY (district_id, school_id, person_id);
ALTER TABLE ONLY public.application
    ADD CONSTRAINT pk_application PRIMARY KEY (login, district_id);
ALTER TABLE ONLY public.approval
    ADD CONSTRAINT pk_approval PRIMARY KEY (id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);
ALTER TABLE ONLY public.change_log
    ADD CONSTRAINT pk_change_log PRIMARY KEY (xid, "position");
ALTER TABLE ONLY public.connection
    ADD CONSTRAINT pk_connection PRIMARY KEY (id);
ALTER TABLE ONLY public.connection_test
    ADD CONSTRAINT pk_connection_test PRIMARY KEY (id);
ALTER TABLE ONLY public.console_session
    ADD CONSTRAINT pk_console_session PRIMARY KEY (token_hash);
ALTER TABLE ONLY public.contact
    ADD CONSTRAINT pk_contact PRIMARY KEY (district_id, school_id, person_id, place);
ALTER TABLE ONLY public.digest
    ADD CONSTRAINT pk_digest PRIMARY KEY (recipient, sync_id);
ALTER TABLE ONLY public.district
    ADD CONSTRAINT pk_district PRIMARY KEY (id);
ALTER TABLE ONLY public.exemption
    ADD CONSTRAINT pk_exemption PRIMARY KEY (district_id, id);
ALTER TABLE ONLY public.failure
    ADD CONSTRAINT pk_failure PRIMARY KEY (id);
ALTER TABLE ONLY public.known_record
    ADD CONSTRAINT pk_known_record PRIMARY KEY (pull_id);
ALTER TABLE ONLY public.link
    ADD CONSTRAINT pk_link PRIMARY KEY (connection_id, sourced_id);
ALTER TABLE ONLY public.link_exclusion
    ADD CONSTRAINT pk_link_exclusion PRIMARY KEY (connection_id, sourced_id, person_id);
ALTER TABLE ONLY public.manual_run
    ADD CONSTRAINT pk_manual_run PRIMARY KEY (id);
ALTER TABLE ONLY public.membership
    ADD CONSTRAINT pk_membership PRIMARY KEY (district_id, school_id, person_id);
ALTER TABLE ONLY public.not_duplicate
    ADD CONSTRAINT pk_not_duplicate PRIMARY KEY (person_id, other_id);
ALTER TABLE ONLY public.oidc_attempt
    ADD CONSTRAINT pk_oidc_attempt PRIMARY KEY (state_hash);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);
ALTER TABLE ONLY public.people_upload
    ADD CONSTRAINT pk_people_upload PRIMARY KEY (id);
ALTER TABLE ONLY public.person
    ADD CONSTRAINT pk_person PRIMARY KEY (id, district_id);
ALTER TABLE ONLY public.person_merge
    ADD CONSTRAINT pk_person_merge PRIMARY KEY (id);
ALTER TABLE ONLY public.plan
    ADD CONSTRAINT pk_plan PRIMARY KEY (id);
ALTER TABLE ONLY public.plan_row
    ADD CONSTRAINT pk_plan_row PRIMARY KEY (plan_id, "row");
ALTER TABLE ONLY public.plan_unchanged
    ADD CONSTRAINT pk_plan_unchanged PRIMARY KEY (plan_id, role);
ALTER TABLE ONLY public.pull
    ADD CONSTRAINT pk_pull PRIMARY KEY (id);
ALTER TABLE ONLY public.pull_record
    ADD CONSTRAINT pk_pull_record PRIMARY KEY (pull_id, block);
ALTER TABLE ONLY public.quality_result
    ADD CONSTRAINT pk_quality_result PRIMARY KEY (snapshot_id, rule, role);
ALTER TABLE ONLY public.rate_limit
    ADD CONSTRAINT pk_rate_limit_limit PRIMARY KEY (name, key_hash);
ALTER TABLE ONLY public.roster
    ADD CONSTRAINT pk_roster PRIMARY KEY (id);
ALTER TABLE ONLY public.roster_row
    ADD CONSTRAINT pk_roster_row PRIMARY KEY (roster_id, sourced_id, first_version);
ALTER TABLE ONLY public.scheduled_run
    ADD CONSTRAINT pk_scheduled_run PRIMARY KEY (school_id, night, attempt);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT pk_school PRIMARY KEY (id);
ALTER TABLE ONLY public.school_week
    ADD CONSTRAINT pk_school_week PRIMARY KEY (school_id, week);
ALTER TABLE ONLY public.sign_in_link
    ADD CONSTRAINT pk_sign_in_link PRIMARY KEY (token_hash);
ALTER TABLE ONLY public.sis_record
    ADD CONSTRAINT pk_sis_record PRIMARY KEY (id);
ALTER TABLE ONLY public.sis_school_list
    ADD CONSTRAINT pk_sis_school_list PRIMARY KEY (connection_id);
ALTER TABLE ONLY public.snapshot
    ADD CONSTRAINT pk_snapshot PRIMARY KEY (id);
ALTER TABLE ONLY public.snapshot_record
    ADD CONSTRAINT pk_snapshot_record PRIMARY KEY (snapshot_id, block, part);
ALTER TABLE ONLY public.stored_frame
    ADD CONSTRAINT pk_stored_frame PRIMARY KEY (school_id, name);
ALTER TABLE ONLY public.sync
    ADD CONSTRAINT pk_sync PRIMARY KEY (id);
ALTER TABLE ONLY public.unreported_decision
    ADD CONSTRAINT pk_unreported_decision PRIMARY KEY (id);
ALTER TABLE ONLY public.verdict
    ADD CONSTRAINT pk_verdict PRIMARY KEY (plan_id, role, action, guard);
ALTER TABLE ONLY public.witness
    ADD CONSTRAINT pk_witness PRIMARY KEY (snapshot_id, sourced_id);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT uq_account_email UNIQUE (email);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT uq_account_issuer_subject UNIQUE (issuer, subject);
ALTER TABLE ONLY public.connection
    ADD CONSTRAINT uq_connection_district_id_id UNIQUE (district_id, id);
ALTER TABLE ONLY public.connection
    ADD CONSTRAINT uq_connection_key UNIQUE (key);
ALTER TABLE ONLY public.district
    ADD CONSTRAINT uq_district_key UNIQUE (key);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT uq_outbox_message_id UNIQUE (message_id);
ALTER TABLE ONLY public.plan
    ADD CONSTRAINT uq_plan_district_id_school_id_id UNIQUE (district_id, school_id, id);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT uq_school_district_id_id UNIQUE (district_id, id);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT uq_school_key UNIQUE (key);
ALTER TABLE ONLY public.snapshot
    ADD CONSTRAINT uq_snapshot_district_id_school_id_id UNIQUE (district_id, school_id, id);
ALTER TABLE ONLY public.sync
    ADD CONSTRAINT uq_sync_district_id_school_id_id UNIQUE (district_id, school_id, id);
CREATE INDEX ix_approval_plan_id ON public.approval USING btree (plan_id);
CREATE INDEX ix_audit_school_id_id ON public.audit USING btree (school_id, id);
CREATE INDEX ix_change_log_others_since ON public.change_log USING btree (district_id, "position") WHERE (entity <> 'person'::text);
CREATE INDEX ix_change_log_people_since ON public.change_log USING btree (district_id, "position") WHERE (entity = 'person'::text);
CREATE INDEX ix_change_log_person_id ON public.change_log USING btree (person_id);
CREATE INDEX ix_change_log_sync_id ON public.change_log USING brin (sync_id);
CREATE INDEX ix_connection_test_school_id_started_at ON public.connection_test USING btree (school_id, started_at);
CREATE INDEX ix_console_session_account_id ON public.console_session USING btree (account_id);
CREATE INDEX ix_digest_waiting ON public.digest USING btree (recipient) WHERE (message_id IS NULL);
CREATE INDEX ix_excluded_contact_snapshot_id_sourced_id ON public.excluded_contact USING btree (snapshot_id, sourced_id);
CREATE INDEX ix_exemption_person_id ON public.exemption USING btree (person_id);
CREATE INDEX ix_exemption_school_id ON public.exemption USING btree (school_id);
CREATE INDEX ix_failure_school_id_id ON public.failure USING btree (school_id, id);
CREATE INDEX ix_link_exclusion_person_id ON public.link_exclusion USING btree (person_id);
CREATE INDEX ix_link_person_id ON public.link USING btree (person_id);
CREATE INDEX ix_manual_run_school_id_requested_at ON public.manual_run USING btree (school_id, requested_at);
CREATE INDEX ix_membership_person_id ON public.membership USING btree (person_id);
CREATE INDEX ix_not_duplicate_other_id ON public.not_duplicate USING btree (other_id);
CREATE INDEX ix_outbox_due_at ON public.outbox USING btree (due_at) WHERE ((sent_at IS NULL) AND (dead_at IS NULL));
CREATE INDEX ix_person_email ON public.person USING btree (district_id, lower(email));
CREATE INDEX ix_person_merge_gone_id ON public.person_merge USING btree (gone_id);
CREATE INDEX ix_person_merge_kept_id ON public.person_merge USING btree (kept_id);
CREATE INDEX ix_person_number ON public.person USING btree (district_id, number_connection_id, number_kind, public.bare_number(number));
CREATE INDEX ix_plan_row_other_connection ON public.plan_row USING btree (person_id, plan_id) WHERE (reason = 'other_connection'::text);
CREATE INDEX ix_plan_school_id_id ON public.plan USING btree (school_id, id);
CREATE INDEX ix_pulled_reject_pull_id ON public.pulled_reject USING btree (pull_id);
CREATE INDEX ix_raw_reject_snapshot_id ON public.raw_reject USING btree (snapshot_id);
CREATE INDEX ix_rejected_record_snapshot_id ON public.rejected_record USING btree (snapshot_id);
CREATE INDEX ix_roster_row_ended ON public.roster_row USING btree (roster_id, last_version) WHERE (last_version < 2147483647);
CREATE INDEX ix_sis_record_agents ON public.sis_record USING gin (agents);
CREATE INDEX ix_sis_record_orgs ON public.sis_record USING gin (orgs);
CREATE INDEX ix_sis_record_sourced_id ON public.sis_record USING btree (connection_id, kind, sourced_id, content_hash);
CREATE INDEX ix_snapshot_pull_id ON public.snapshot USING btree (pull_id);
CREATE INDEX ix_snapshot_roster_id ON public.snapshot USING btree (roster_id);
CREATE INDEX ix_snapshot_school_id_id ON public.snapshot USING btree (school_id, id);
CREATE INDEX ix_sync_plan_id ON public.sync USING btree (plan_id);
CREATE INDEX ix_sync_school_id_id ON public.sync USING btree (school_id, id);
CREATE UNIQUE INDEX uq_access_grant_manager ON public.access_grant USING btree (account_id, district_id);
CREATE UNIQUE INDEX uq_access_grant_operator ON public.access_grant USING btree (account_id) WHERE (role = 'operator'::text);
CREATE UNIQUE INDEX uq_access_grant_owner ON public.access_grant USING btree (account_id, school_id);
CREATE UNIQUE INDEX uq_alert_open ON public.alert USING btree (subject, cause) WHERE (cleared_at IS NULL);
CREATE UNIQUE INDEX uq_manual_run_going ON public.manual_run USING btree (school_id) WHERE (ended_at IS NULL);
CREATE UNIQUE INDEX uq_pull_batch ON public.pull USING btree (connection_id, batch, scope);
CREATE UNIQUE INDEX uq_sync_snapshot ON public.sync USING btree (school_id, snapshot_id) WHERE (kind = 'sync'::text);
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.change_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER log_delete AFTER DELETE ON public.contact REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_contact();
CREATE TRIGGER log_delete AFTER DELETE ON public.link REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_link();
CREATE TRIGGER log_delete AFTER DELETE ON public.membership REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_membership();
CREATE TRIGGER log_delete AFTER DELETE ON public.person REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_person();
CREATE TRIGGER log_insert AFTER INSERT ON public.contact REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_contact();
CREATE TRIGGER log_insert AFTER INSERT ON public.link REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_link();
CREATE TRIGGER log_insert AFTER INSERT ON public.membership REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_membership();
CREATE TRIGGER log_insert AFTER INSERT ON public.person REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_person();
CREATE TRIGGER log_update AFTER UPDATE ON public.contact REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_contact();
CREATE TRIGGER log_update AFTER UPDATE ON public.link REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_link();
CREATE TRIGGER log_update AFTER UPDATE ON public.membership REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_membership();
CREATE TRIGGER log_update AFTER UPDATE ON public.person REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_person();
ALTER TABLE ONLY public.access_grant
    ADD CONSTRAINT fk_access_grant_account_id FOREIGN KEY (account_id) REFERENCES public.account(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.access_grant
    ADD CONSTRAINT fk_access_grant_district_id FOREIGN KEY (district_id) REFERENCES public.district(id);
ALTER TABLE ONLY public.access_grant
    ADD CONSTRAINT fk_access_grant_school_id FOREIGN KEY (school_id) REFERENCES public.school(id);
ALTER TABLE ONLY public.alert
    ADD CONSTRAINT fk_alert_connection_id FOREIGN KEY (connection_id) REFERENCES public.connection(id);
ALTER TABLE ONLY public.alert
    ADD CONSTRAINT fk_alert_school_id FOREIGN KEY (school_id) REFERENCES public.school(id);
ALTER TABLE ONLY public.announced_leaver
    ADD CONSTRAINT fk_announced_leaver_district_id_school_id_person_id FOREIGN KEY (district_id, school_id, person_id) REFERENCES public.membership(district_id, school_id, person_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.application
    ADD CONSTRAINT fk_application_district_id FOREIGN KEY (district_id) REFERENCES public.district(id);
ALTER TABLE ONLY public.approval
    ADD CONSTRAINT fk_approval_plan_id FOREIGN KEY (plan_id) REFERENCES public.plan(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.connection
    ADD CONSTRAINT fk_connection_district_id FOREIGN KEY (district_id) REFERENCES public.district(id);
ALTER TABLE ONLY public.connection_test
    ADD CONSTRAINT fk_connection_test_school_id FOREIGN KEY (school_id) REFERENCES public.school(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.console_session
    ADD CONSTRAINT fk_console_session_account_id FOREIGN KEY (account_id) REFERENCES public.account(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.contact
    ADD CONSTRAINT fk_contact_district_id_school_id_person_id FOREIGN KEY (district_id, school_id, person_id) REFERENCES public.membership(district_id, school_id, person_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.digest
    ADD CONSTRAINT fk_digest_sync_id FOREIGN KEY (sync_id) REFERENCES public.sync(id);
ALTER TABLE ONLY public.excluded_contact
    ADD CONSTRAINT fk_excluded_contact_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.snapshot(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.exemption
    ADD CONSTRAINT fk_exemption_district_id_connection_id FOREIGN KEY (district_id, connection_id) REFERENCES public.connection(district_id, id);
ALTER TABLE ONLY public.exemption
    ADD CONSTRAINT fk_exemption_district_id_person_id FOREIGN KEY (district_id, person_id) REFERENCES public.person(district_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.exemption
    ADD CONSTRAINT fk_exemption_district_id_school_id FOREIGN KEY (district_id, school_id) REFERENCES public.school(district_id, id);
ALTER TABLE ONLY public.failure
    ADD CONSTRAINT fk_failure_school_id FOREIGN KEY (school_id) REFERENCES public.school(id);
ALTER TABLE ONLY public.known_record
    ADD CONSTRAINT fk_known_record_pull_id_pull FOREIGN KEY (pull_id) REFERENCES public.pull(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.link
    ADD CONSTRAINT fk_link_district_id_connection_id FOREIGN KEY (district_id, connection_id) REFERENCES public.connection(district_id, id);
ALTER TABLE ONLY public.link
    ADD CONSTRAINT fk_link_district_id_person_id FOREIGN KEY (district_id, person_id) REFERENCES public.person(district_id, id);
ALTER TABLE ONLY public.link_exclusion
    ADD CONSTRAINT fk_link_exclusion_district_id_connection_id FOREIGN KEY (district_id, connection_id) REFERENCES public.connection(district_id, id);
ALTER TABLE ONLY public.link_exclusion
    ADD CONSTRAINT fk_link_exclusion_district_id_person_id FOREIGN KEY (district_id, person_id) REFERENCES public.person(district_id, id);
ALTER TABLE ONLY public.manual_run
    ADD CONSTRAINT fk_manual_run_school_id FOREIGN KEY (school_id) REFERENCES public.school(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.membership
    ADD CONSTRAINT fk_membership_district_id_person_id FOREIGN KEY (district_id, person_id) REFERENCES public.person(district_id, id);
ALTER TABLE ONLY public.membership
    ADD CONSTRAINT fk_membership_district_id_school_id FOREIGN KEY (district_id, school_id) REFERENCES public.school(district_id, id);
ALTER TABLE ONLY public.not_duplicate
    ADD CONSTRAINT fk_not_duplicate_district_id_other_id FOREIGN KEY (district_id, other_id) REFERENCES public.person(district_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.not_duplicate
    ADD CONSTRAINT fk_not_duplicate_district_id_person_id FOREIGN KEY (district_id, person_id) REFERENCES public.person(district_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.people_upload
    ADD CONSTRAINT fk_people_upload_district_id_school_id FOREIGN KEY (district_id, school_id) REFERENCES public.school(district_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.person
    ADD CONSTRAINT fk_person_district_id FOREIGN KEY (district_id) REFERENCES public.district(id);
ALTER TABLE ONLY public.person_merge
    ADD CONSTRAINT fk_person_merge_district_id FOREIGN KEY (district_id) REFERENCES public.district(id);
ALTER TABLE ONLY public.plan
    ADD CONSTRAINT fk_plan_district_id_school_id_snapshot_id FOREIGN KEY (district_id, school_id, snapshot_id) REFERENCES public.snapshot(district_id, school_id, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.plan_unchanged
    ADD CONSTRAINT fk_plan_unchanged_plan_id FOREIGN KEY (plan_id) REFERENCES public.plan(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.pull
    ADD CONSTRAINT fk_pull_district_id_connection_id FOREIGN KEY (district_id, connection_id) REFERENCES public.connection(district_id, id);
ALTER TABLE ONLY public.pulled_reject
    ADD CONSTRAINT fk_pulled_reject_pull_id FOREIGN KEY (pull_id) REFERENCES public.pull(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.quality_result
    ADD CONSTRAINT fk_quality_result_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.snapshot(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.raw_reject
    ADD CONSTRAINT fk_raw_reject_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.snapshot(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.rejected_record
    ADD CONSTRAINT fk_rejected_record_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.snapshot(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.roster
    ADD CONSTRAINT fk_roster_school_id FOREIGN KEY (school_id) REFERENCES public.school(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.scheduled_run
    ADD CONSTRAINT fk_scheduled_run_school_id FOREIGN KEY (school_id) REFERENCES public.school(id);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT fk_school_district_id_connection_id FOREIGN KEY (district_id, connection_id) REFERENCES public.connection(district_id, id);
ALTER TABLE ONLY public.school_week
    ADD CONSTRAINT fk_school_week_school_id FOREIGN KEY (school_id) REFERENCES public.school(id);
ALTER TABLE ONLY public.sign_in_link
    ADD CONSTRAINT fk_sign_in_link_account_id FOREIGN KEY (account_id) REFERENCES public.account(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sis_school_list
    ADD CONSTRAINT fk_sis_school_list_connection_id FOREIGN KEY (connection_id) REFERENCES public.connection(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.snapshot
    ADD CONSTRAINT fk_snapshot_district_id_connection_id FOREIGN KEY (district_id, connection_id) REFERENCES public.connection(district_id, id);
ALTER TABLE ONLY public.snapshot
    ADD CONSTRAINT fk_snapshot_district_id_school_id FOREIGN KEY (district_id, school_id) REFERENCES public.school(district_id, id);
ALTER TABLE ONLY public.snapshot
    ADD CONSTRAINT fk_snapshot_pull_id FOREIGN KEY (pull_id) REFERENCES public.pull(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.stored_frame
    ADD CONSTRAINT fk_stored_frame_school_id FOREIGN KEY (school_id) REFERENCES public.school(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.stored_frame
    ADD CONSTRAINT fk_stored_frame_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.snapshot(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sync
    ADD CONSTRAINT fk_sync_district_id_school_id FOREIGN KEY (district_id, school_id) REFERENCES public.school(district_id, id);
ALTER TABLE ONLY public.sync
    ADD CONSTRAINT fk_sync_plan_id FOREIGN KEY (plan_id) REFERENCES public.plan(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.unreported_decision
    ADD CONSTRAINT fk_unreported_decision_school_id FOREIGN KEY (school_id) REFERENCES public.school(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.verdict
    ADD CONSTRAINT fk_verdict_plan_id FOREIGN KEY (plan_id) REFERENCES public.plan(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.witness
    ADD CONSTRAINT fk_witness_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES public.snapshot(id) ON DELETE CASCADE;
