"""The names of records are written without looking up their pull or snapshot for each of them."""

from roster_pipeline.directory.migrations import run

revision = "0034"
down_revision = "0033"

FOREIGN_KEYS = """
alter table pull_record drop constraint fk_pull_record_pull_id;
alter table snapshot_record drop constraint fk_snapshot_record_snapshot_id;
"""


def upgrade() -> None:
    """Drop the foreign keys. Pulls are dropped with their names of records, and snapshots stay."""
    run(FOREIGN_KEYS)
