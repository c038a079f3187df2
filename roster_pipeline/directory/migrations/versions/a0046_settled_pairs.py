"""A large school keeps the people who stay as they are; the next plan asks the change log what has changed since."""

from roster_pipeline.directory.migrations import run

revision = "0046"
down_revision = "0045"

CHANGES = """
create index ix_change_log_others_since on change_log (district_id, position) where entity <> 'person';
comment on column stored_frame.name is 'records, roster or settled';
"""
"""The index `ix_change_log_people_since` has the other half."""


def upgrade() -> None:
    """Add the index."""
    run(CHANGES)
