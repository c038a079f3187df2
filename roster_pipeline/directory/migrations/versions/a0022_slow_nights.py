"""A run whose SIS is slow tonight gives way to the others, and is asked for again."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

SLOW = """
alter table night add column slow_at timestamptz;
comment on column night.slow_at is 'when the run gave way because its SIS was slow';
"""


def upgrade() -> None:
    """Add the column."""
    run(SLOW)
