"""What the console's forms and buttons need: revisions of settings, tests of values not saved yet, runs by hand."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
alter table connection add column revision integer default 1 not null;
alter table school add column revision integer default 1 not null;

update school s
set test = s.test || jsonb_build_object('of', jsonb_build_object('revision', 1, 'school_id', s.settings->>'school_id'))
from connection c
where c.id = s.connection_id and s.test ? 'at'
  and (s.test->>'at')::timestamptz >= c.updated_at and (s.test->>'at')::timestamptz >= s.updated_at;

create table trial (
    id text not null,
    school_id bigint not null,
    who text not null,
    form jsonb default '{}'::jsonb not null,
    settings jsonb not null,
    school_settings jsonb not null,
    secret text,
    typed boolean default false not null,
    connection_revision bigint not null,
    items jsonb default '[]'::jsonb not null,
    problem text,
    started_at timestamptz default now() not null,
    ended_at timestamptz,
    constraint pk_trial primary key (id),
    constraint fk_trial_school_id foreign key(school_id) references school (id) on delete cascade
);
create index ix_trial_school_id_started_at on trial (school_id, started_at);

create table asked_run (
    id text not null,
    school_id bigint not null,
    kind text not null,
    who text not null,
    host text not null,
    step text,
    problem text,
    asked_at timestamptz default now() not null,
    alive_at timestamptz default now() not null,
    ended_at timestamptz,
    constraint pk_asked_run primary key (id),
    constraint ck_asked_run_kind check (kind in ('sync', 'dry_run')),
    constraint fk_asked_run_school_id foreign key(school_id) references school (id) on delete cascade
);
create unique index uq_asked_run_going on asked_run (school_id) where (ended_at is null);
create index ix_asked_run_school_id_asked_at on asked_run (school_id, asked_at);
"""


def upgrade() -> None:
    """Make the tables and columns."""
    run(TABLES)
