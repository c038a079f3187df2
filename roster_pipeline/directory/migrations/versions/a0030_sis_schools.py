"""The schools that the SIS of a connection lists, so that a new school is picked and its id is not typed."""

from roster_pipeline.directory.migrations import run

revision = "0030"
down_revision = "0029"

SCHOOLS = """
create table sis_school_list (
    connection_id bigint not null,
    id text not null,
    connection_revision bigint not null,
    who text not null,
    schools jsonb default '[]'::jsonb not null,
    problem text,
    started_at timestamp with time zone default now() not null,
    ended_at timestamp with time zone,
    constraint pk_sis_school_list primary key (connection_id),
    constraint fk_sis_school_list_connection_id foreign key (connection_id) references connection (id)
        on delete cascade
);
comment on column sis_school_list.id is 'of this reading; a connection keeps its newest one';
comment on column sis_school_list.schools is '[{"id", "identifier", "name", "people": {role: count} or null}]';
comment on column sis_school_list.problem is 'why it could not be read to its end, for people';
"""


def upgrade() -> None:
    """Add the table."""
    run(SCHOOLS)
