"""The rows of a roster and of a plan are written without looking up their snapshot or plan for each of them."""

from roster_pipeline.directory.migrations import run

revision = "0036"
down_revision = "0035"

FOREIGN_KEYS = """
alter table cleaned_roster drop constraint fk_cleaned_roster_snapshot_id;
alter table plan_row drop constraint fk_plan_row_plan_id;
"""


def upgrade() -> None:
    """Drop the foreign keys. Snapshots and plans stay, and each is written with its rows or locked before them."""
    run(FOREIGN_KEYS)
