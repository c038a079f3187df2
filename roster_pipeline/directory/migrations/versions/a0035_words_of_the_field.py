"""Stored names of guards, reasons, settings and audit entries get the words of docs/glossary.md. Without this, a page
would have no explanation for an old name, and an edit of before could not be undone."""

from roster_pipeline.directory.migrations import run

revision = "0035"
down_revision = "0034"

RENAME = """
create function renamed(words text) returns text language plpgsql immutable as $$
declare
    pair text[];
begin
    foreach pair slice 1 in array '{
        {reused_ids, reassigned_ids}, {id_reused, id_reassigned}, {home_moved, primary_record_moved},
        {home_ranking, connection_ranking}
    }'::text[]
    loop
        words := replace(words, to_json(pair[1])::text, to_json(pair[2])::text);
    end loop;
    return words;
end $$;
update plan_row set reason = trim(both '"' from renamed(to_json(reason)::text))
where reason in ('id_reused', 'home_moved');
update verdict set findings = renamed(findings::text)::jsonb where findings::text like '%"reused_ids"%';
update sync set report = renamed(report::text)::jsonb
where report::text ~ '"(reused_ids|id_reused|home_moved)"';
update district set settings = renamed(settings::text)::jsonb where settings ? 'home_ranking';
alter table audit disable trigger append_only;
update audit set details = renamed(details::text)::jsonb where details::text ~ '"(reused_ids|home_ranking)"';
update audit set details = details || '{"was": "primary record chosen"}' where details ->> 'was' = 'home chosen';
update audit set what = case what
    when 'home chosen' then 'primary record chosen'
    when 'information tested' then 'connection tested'
    else 'run requested'
end
where what in ('home chosen', 'information tested', 'run asked for');
alter table audit enable trigger append_only;
drop function renamed(text);
"""


def upgrade() -> None:
    """Rename what is stored; nothing else changes."""
    run(RENAME)
