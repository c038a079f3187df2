"""A record's hash is that of its document, and is found with its sourcedId. Records are written without looking up
their connection for each of them."""

from roster_pipeline.directory.migrations import run

revision = "0044"
down_revision = "0043"

RECORDS = """
alter table sis_record drop constraint fk_sis_record_connection_id;
comment on column sis_record.connection_id is 'without a foreign key, which would be looked up for each row';
drop index ix_sis_record_content_hash;
drop index ix_sis_record_sourced_id;
alter table sis_record alter column content_hash type uuid
    using encode(substr(sha256(convert_to(payload::text, 'UTF8')), 1, 16), 'hex')::uuid;
comment on column sis_record.content_hash is 'of the text of payload';
create index ix_sis_record_sourced_id on sis_record (connection_id, kind, sourced_id, content_hash);
"""


def upgrade() -> None:
    """Drop the foreign key and the index of hashes, and hash the documents."""
    run(RECORDS)
