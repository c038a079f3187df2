"""What records that are not primary said last (`link_records`). The next sync of each school fills the table."""

from alembic import op

revision = "0048"
down_revision = "0047"

STATEMENTS = (
    """
    create table link_record (
        connection_id bigint not null,
        sourced_id text not null,
        sync_id bigint,
        number_kind text,
        number text,
        given_name text,
        family_name text,
        middle_name text,
        preferred_given_name text,
        preferred_family_name text,
        email text,
        username text,
        constraint pk_link_record primary key (connection_id, sourced_id),
        constraint fk_link_record_connection_id_sourced_id foreign key (connection_id, sourced_id)
            references link (connection_id, sourced_id) on delete cascade
    )
    """,
    "comment on column link_record.sync_id is 'the sync that wrote it last; null: a change by hand'",
    "create index ix_link_record_sync_id on link_record (sync_id)",
    "create index ix_link_not_primary on link (connection_id) where not is_primary",
)


def upgrade() -> None:
    """Make the table, and the index by which an apply finds these records."""
    for statement in STATEMENTS:
        op.execute(statement)
