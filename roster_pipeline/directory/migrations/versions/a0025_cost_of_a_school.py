"""What a sync looks up for its own school is found by an index, however large the district is."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INDEXES = """
create index ix_change_log_people_since on change_log (district_id, position) where entity = 'person';
drop index ix_plan_row_other_connection;
create index ix_plan_row_other_connection on plan_row (person_id, plan_id) where reason = 'other_connection';
"""


def upgrade() -> None:
    """Replace the indexes."""
    run(INDEXES)
