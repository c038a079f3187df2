"""What the database does by itself: it fills the change log, and it refuses to change the audit.

The change log is filled by statement-level triggers with transition tables: whoever writes to the directory, whatever
the statement, every row's before and after is kept at the price of one more set-based statement. The sync that writes
names itself in the setting `roster.sync_id`; without it a change is one by hand.

The statements inside the functions are run with `execute`, so that each is planned for the number of rows at hand; a
kept plan made for one row would join a hundred thousand of them by nested loops.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.statements import run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LOGGED = {
    "person": ("id", "null::bigint", "id, district_id"),
    "link": ("person_id", "null::bigint", "connection_id, sourced_id"),
    "membership": ("person_id", "school_id", "district_id, school_id, person_id"),
    "contact": ("person_id", "school_id", "district_id, school_id, person_id"),
}
"""Table to the columns of person and school, and its key."""

FUNCTION = """
create function log_{table}() returns trigger language plpgsql as $$
declare
    sync bigint := nullif(current_setting('roster.sync_id', true), '')::bigint;
begin
    if tg_op = 'INSERT' then
        execute 'insert into change_log (sync_id, district_id, entity, operation, person_id, school_id, after)
                 select $1, n.district_id, ''{table}'', ''insert'', n.{person}, {new_school}, to_jsonb(n)
                 from new_rows n' using sync;
    elsif tg_op = 'DELETE' then
        execute 'insert into change_log (sync_id, district_id, entity, operation, person_id, school_id, before)
                 select $1, o.district_id, ''{table}'', ''delete'', o.{person}, {old_school}, to_jsonb(o)
                 from old_rows o' using sync;
    else
        execute 'insert into change_log (sync_id, district_id, entity, operation, person_id, school_id, before, after)
                 select $1, n.district_id, ''{table}'', ''update'', n.{person}, {new_school}, to_jsonb(o), to_jsonb(n)
                 from old_rows o join new_rows n using ({key})' using sync;
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


def upgrade() -> None:
    """Make the triggers."""
    for table, (person, school, key) in LOGGED.items():
        of_row = school if school.startswith("null") else "{}." + school
        run(
            FUNCTION.format(
                table=table, person=person, key=key, new_school=of_row.format("n"), old_school=of_row.format("o")
            )
        )
    run(APPEND_ONLY)
