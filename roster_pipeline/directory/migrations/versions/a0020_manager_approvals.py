"""An approval says whether the district's manager gave it: some findings leave the decision to nobody else."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

BY_MANAGER = """
alter table approval add column by_manager boolean default false not null;
comment on column approval.by_manager is 'may decide what only a manager of the district may';
"""


def upgrade() -> None:
    """Add the column."""
    run(BY_MANAGER)
