"""A plan may be about one person alone, who is synced at once; it stands beside the plans of the whole school."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

PERSON = """
alter table plan add column person_id bigint;
comment on column plan.person_id is 'whom alone the plan is about; null: the whole school';
comment on column sync.kind is 'sync, approval, relink, rollback or person';
"""


def upgrade() -> None:
    """Add the column."""
    run(PERSON)
