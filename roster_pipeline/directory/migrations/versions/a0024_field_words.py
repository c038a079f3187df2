"""Tables and columns get the words of docs/glossary.md; nothing else changes, and applications see what they saw.

Stored names follow: the change log's rows of links, so that a rollback finds its columns, and the changes of plans.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TABLES = {
    "trial": "connection_test",
    "asked_run": "manual_run",
    "night": "scheduled_run",
    "apart": "link_exclusion",
    "rate": "rate_limit",
}
NAMES = """
do $$
declare
    found record;
begin
    for found in
        select conname as name from pg_constraint
        where conrelid = '{old}'::regclass and conname ~ '^[a-z]+_{old}'
    loop
        execute format('alter table %I rename constraint %I to %I',
            '{old}', found.name, regexp_replace(found.name, '^([a-z]+)_{old}', '\\1_{new}'));
    end loop;
    for found in select indexrelid::regclass::text as name from pg_index
        where indrelid = '{old}'::regclass and indexrelid::regclass::text ~ '^[a-z]+_{old}'
    loop
        execute format('alter index %I rename to %I',
            found.name, regexp_replace(found.name, '^([a-z]+)_{old}', '\\1_{new}'));
    end loop;
end $$;
alter table {old} rename to {new};
"""
COLUMNS = """
alter table manual_run rename column asked_at to requested_at;
alter index ix_manual_run_school_id_asked_at rename to ix_manual_run_school_id_requested_at;
alter table scheduled_run rename column asked_for to requested_at;
alter table cleaned_roster rename column standing to record_status;
alter table cleaned_roster rename column human to identity;
alter table link rename column home to is_primary;
alter table link rename column home_by_hand to primary_by_hand;
alter table console_session rename column told to message;
alter table alert rename column told_at to notified_at;
"""

LOG = """
create or replace function log_link() returns trigger language plpgsql as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, after)
                 select $2, $1, n.district_id, ''link'', ''insert'', n.person_id, {after}
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, before)
                 select $2, $1, o.district_id, ''link'', ''delete'', o.person_id, {before}
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, before, after)
                 select $2, $1, n.district_id, ''link'', ''update'', n.person_id, {before}, {after}
                 from old_rows o join new_rows n using (connection_id, sourced_id)' using sync, own;
    end if;
    return null;
end $$;
"""
KEPT = (
    "jsonb_object(''{{connection_id, sourced_id, is_primary, version, confirmed, primary_by_hand, "
    "master_identifier}}''::text[], array[{0}.connection_id::text, {0}.sourced_id, {0}.is_primary::text, {0}.version, "
    "{0}.confirmed::text, {0}.primary_by_hand::text, {0}.master_identifier])"
)
STORED = """
create function renamed(of_link jsonb) returns jsonb language sql immutable as $$
    select jsonb_object_agg(
        case key when 'home' then 'is_primary' when 'home_by_hand' then 'primary_by_hand' else key end, value)
    from jsonb_each(of_link)
$$;
select set_config('roster.changes_log', pg_current_xact_id()::text, true);
update change_log set before = renamed(before), after = renamed(after)
where entity = 'link' and (before ? 'home' or after ? 'home');
select set_config('roster.changes_log', '', true);
drop function renamed(jsonb);
update plan_row set changes = changes - 'home' || jsonb_build_object('primary_record', changes -> 'home')
where changes ? 'home';
"""
"""The setting is how the owner of the tables may change the append-only log, here as when a dump is restored."""


def upgrade() -> None:
    """Rename, and make the log of links anew."""
    for old, new in TABLES.items():
        run(NAMES.format(old=old, new=new))
    run(COLUMNS)
    run(LOG.format(before=KEPT.format("o"), after=KEPT.format("n")))
    run(STORED)
