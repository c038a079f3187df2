"""Links that a person confirmed: the sync doubts a link that everything else speaks against, but not those.

Who was linked by hand before is taken as confirmed; the change log knows them, for it names no sync.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMN = """
alter table link add column confirmed boolean default false not null;
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
"""As in 0004, with one column more."""
KEPT = (
    "jsonb_object(''{{connection_id, sourced_id, home, version, confirmed}}''::text[], "
    "array[{0}.connection_id::text, {0}.sourced_id, {0}.home::text, {0}.version, {0}.confirmed::text])"
)

BY_HAND = """
update link l set confirmed = true
where exists (
    select from change_log c
    where c.district_id = l.district_id and c.person_id = l.person_id and c.entity = 'link' and c.operation = 'insert'
      and c.sync_id is null and c.after ->> 'connection_id' = l.connection_id::text
      and c.after ->> 'sourced_id' = l.sourced_id
);
"""


def upgrade() -> None:
    """Add the column, log it, and fill it from the log."""
    run(COLUMN)
    run(LOG.format(before=KEPT.format("o"), after=KEPT.format("n")))
    run(BY_HAND)
