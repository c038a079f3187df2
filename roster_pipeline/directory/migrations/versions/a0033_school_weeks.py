"""People, changes and quality of each school by week, for the trends of a year."""

from roster_pipeline.directory.migrations import run

revision = "0033"
down_revision = "0032"

WEEKS = """
create table school_week (
    school_id bigint not null,
    week date not null,
    people integer default 0 not null,
    created integer default 0 not null,
    updated integer default 0 not null,
    restored integer default 0 not null,
    archived integer default 0 not null,
    records integer default 0 not null,
    rejected integer default 0 not null,
    constraint pk_school_week primary key (school_id, week),
    constraint fk_school_week_school_id foreign key (school_id) references school (id)
);
comment on column school_week.week is 'its Monday, in the school''s own calendar';
comment on column school_week.people is 'in the roster of the week''s last complete snapshot';
comment on column school_week.records is 'of users in that snapshot';
comment on column school_week.rejected is 'of these, records that could not be used';
insert into school_week (school_id, week, people, created, updated, restored, archived)
select y.school_id, date_trunc('week', y.at at time zone coalesce(c.settings ->> 'time_zone', 'UTC'))::date as week,
       coalesce((array_agg(sizes.people order by y.id desc) filter (where s.complete))[1], 0),
       coalesce(sum(done.created), 0), coalesce(sum(done.updated), 0), coalesce(sum(done.restored), 0),
       coalesce(sum(done.archived), 0)
from sync y
join school c on c.id = y.school_id
left join snapshot s on s.id = y.snapshot_id
left join lateral (select sum(value::int)::int as people from jsonb_each_text(s.counts -> 'roles')) sizes on true
left join lateral (
    select sum((value ->> 'create')::int) as created, sum((value ->> 'update')::int) as updated,
           sum((value ->> 'restore')::int) as restored, sum((value ->> 'archive')::int) as archived
    from jsonb_each(y.counts)
) done on true
where y.kind in ('sync', 'approval', 'person')
group by y.school_id, week;
"""


def upgrade() -> None:
    """Add the table, and fill it from the syncs so far."""
    run(WEEKS)
