"""The newest pull of a connection keeps marks by which the next one recognises records that did not change."""

from roster_pipeline.directory.migrations import run

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

KNOWN = """
create table known_record (
    pull_id bigint not null constraint pk_known_record primary key
        constraint fk_known_record_pull_id_pull references pull (id) on delete cascade,
    district_id bigint not null,
    context text not null,
    marks bytea not null
);
alter table known_record alter column marks set storage external;
comment on column known_record.context is 'a digest of what the marks depend on besides the bytes of the records';
comment on column known_record.marks is 'by which the next pull recognises records, each with its id';
"""


def upgrade() -> None:
    """Add the table."""
    run(KNOWN)
