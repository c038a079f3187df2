"""A large school keeps the columns of its records and its newest roster as one value each."""

from roster_pipeline.directory.migrations import run

revision = "0043"
down_revision = "0042"

FRAMES = """
create table stored_frame (
    school_id bigint not null,
    name text not null,
    snapshot_id bigint not null,
    key text not null,
    data bytea not null,
    constraint pk_stored_frame primary key (school_id, name),
    constraint fk_stored_frame_school_id foreign key (school_id) references school (id) on delete cascade,
    constraint fk_stored_frame_snapshot_id foreign key (snapshot_id) references snapshot (id) on delete cascade
);
alter table stored_frame alter column data set storage external;
comment on column stored_frame.name is 'records or roster';
comment on column stored_frame.key is 'by which code and library it was made';
comment on column stored_frame.data is 'an Arrow stream, already compressed';
"""


def upgrade() -> None:
    """Add the table."""
    run(FRAMES)
