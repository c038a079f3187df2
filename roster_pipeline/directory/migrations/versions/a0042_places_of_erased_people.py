"""Erasing a person leaves the places of the others in the lists of old plans: the place of the person is null."""

from roster_pipeline.directory.migrations import run

revision = "0042"
down_revision = "0041"

LINES = """
comment on column plan_unchanged.people is
    'found by the link of their only record, and nothing differs; null for somebody who was erased';
create or replace view plan_line as
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
"""


def upgrade() -> None:
    """Let the view leave out the places of erased people."""
    run(LINES)
