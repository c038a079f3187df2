"""What the database does by itself: it fills the change log, and it refuses to change the audit.

The change log is filled by statement-level triggers with transition tables: whoever writes to the directory, whatever
the statement, every row's before and after is kept at the price of one more set-based statement. The sync that writes
names itself in the setting `roster.sync_id`; without it a change is one by hand.

`before` and `after` are JSON objects whose values are texts as PostgreSQL writes them; that is three times as fast as
`to_jsonb`, and the log is the larger part of what an apply writes. The statements are run with `execute`, so that each
is planned for the number of rows at hand; a kept plan made for one row would join a hundred thousand by nested loops.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PERSON = (
    "given_name family_name middle_name preferred_given_name preferred_family_name email phone username number enabled "
    "number_kind number_connection_id excluded locked_fields revision"
)
LINK = "connection_id sourced_id home version"
MEMBERSHIP = "role grade source_role source_grade status archived_by archived_at managed absent_syncs revision"
CONTACT = "sourced_id given_name family_name relationship email phone"
LOGGED = {
    "person": ("id", "null::bigint", "id, district_id", PERSON),
    "link": ("person_id", "null::bigint", "connection_id, sourced_id", LINK),
    "membership": ("person_id", "{}.school_id", "district_id, school_id, person_id", MEMBERSHIP),
    "contact": ("person_id", "{}.school_id", "district_id, school_id, person_id", CONTACT),
}
"""Table to the columns of person and school, its key, and what is kept of a row."""
NOT_TEXT = {
    "enabled", "number_connection_id", "excluded", "locked_fields", "revision", "connection_id", "home", "archived_at",
    "managed", "absent_syncs",
}  # fmt: skip

FUNCTION = """
create function log_{table}() returns trigger language plpgsql as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
    own bigint := pg_current_xact_id()::text::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $2, $1, n.district_id, ''{table}'', ''insert'', n.{person}, {new_school}, {after}
                 from new_rows n' using sync, own;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $2, $1, o.district_id, ''{table}'', ''delete'', o.{person}, {old_school}, {before}
                 from old_rows o' using sync, own;
    else
        execute 'insert into change_log (xid, sync_id, district_id, entity, operation, person_id, school_id,
                     before, after)
                 select $2, $1, n.district_id, ''{table}'', ''update'', n.{person}, {new_school}, {before}, {after}
                 from old_rows o join new_rows n using ({key})' using sync, own;
    end if;
    return null;
end $$;
create trigger log_insert after insert on {table}
    referencing new table as new_rows for each statement execute function log_{table}();
create trigger log_update after update on {table}
    referencing old table as old_rows new table as new_rows for each statement execute function log_{table}();
create trigger log_delete after delete on {table}
    referencing old table as old_rows for each statement execute function log_{table}();
"""

APPEND_ONLY = """
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is append-only' using errcode = 'restrict_violation', table = 'audit';
end $$;
create trigger append_only before update or delete or truncate on audit
    for each statement execute function refuse_change();
"""


def _kept(alias: str, columns: str) -> str:
    """SQL for one row as JSON, inside a quoted statement."""
    names = columns.split()
    values = ", ".join(f"{alias}.{name}::text" if name in NOT_TEXT else f"{alias}.{name}" for name in names)
    return f"jsonb_object(''{{{', '.join(names)}}}''::text[], array[{values}])"


def upgrade() -> None:
    """Make the triggers."""
    for table, (person, school, key, columns) in LOGGED.items():
        run(
            FUNCTION.format(
                table=table,
                person=person,
                key=key,
                new_school=school.format("n"),
                old_school=school.format("o"),
                before=_kept("o", columns),
                after=_kept("n", columns),
            )
        )
    run(APPEND_ONLY)
