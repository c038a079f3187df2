"""Pauses until a day, limits that are raised until a day, and leavers who are announced beforehand."""

from roster_pipeline.directory.migrations import run

revision = "0032"
down_revision = "0031"

PAUSES = """
alter table district add column paused_until date;
alter table school add column paused_until date;
comment on column district.paused_until is 'the first day with scheduled syncs again; null: not paused';
comment on column school.paused_until is 'the first day with scheduled syncs again; null: not paused';
alter table school add column raised_limits jsonb default '{}'::jsonb not null;
comment on column school.raised_limits is '{guard setting: {value, until, who, reason}}; counts until that day';
create table announced_leaver (
    district_id bigint not null,
    school_id bigint not null,
    person_id bigint not null,
    day date not null,
    who text not null,
    reason text not null,
    at timestamptz default now() not null,
    constraint pk_announced_leaver primary key (district_id, school_id, person_id),
    constraint fk_announced_leaver_district_id_school_id_person_id foreign key (district_id, school_id, person_id)
        references membership (district_id, school_id, person_id) on delete cascade
);
comment on column announced_leaver.day is 'from this day on, for some weeks, nobody wonders that they are gone';
"""


def upgrade() -> None:
    """Add the columns and the table."""
    run(PAUSES)
