"""A plan has no row for a person who stays as they are: it lists these people by role, and a view shows all rows."""

from roster_pipeline.directory.migrations import run

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

UNCHANGED = """
create table plan_unchanged (
    plan_id bigint not null,
    role text not null,
    first_row integer not null,
    people bigint[] not null,
    constraint pk_plan_unchanged primary key (plan_id, role),
    constraint fk_plan_unchanged_plan_id foreign key (plan_id) references plan (id) on delete cascade
);
comment on column plan_unchanged.first_row is 'the number of the first person''s row; the next ones follow';
comment on column plan_unchanged.people is 'found by the link of their only record, and nothing differs';
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
cross join lateral unnest(u.people) with ordinality one(person_id, place);
"""


def upgrade() -> None:
    """Make the table and the view. Earlier plans keep a row for everybody."""
    run(UNCHANGED)
