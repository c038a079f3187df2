"""Records that somebody said are not a person: what `unlink` says must hold in the next night too."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = """
create table apart (
    district_id bigint not null,
    connection_id bigint not null,
    sourced_id text not null,
    person_id bigint not null,
    created_at timestamptz default now() not null,
    constraint pk_apart primary key (connection_id, sourced_id, person_id),
    constraint fk_apart_district_id_connection_id foreign key(district_id, connection_id)
        references connection (district_id, id),
    constraint fk_apart_district_id_person_id foreign key(district_id, person_id) references person (district_id, id)
);
create index ix_apart_person_id on apart (person_id);
"""


def upgrade() -> None:
    """Make the table."""
    run(TABLES)
