"""Runs by hand wait for their turn, and can be canceled."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TURNS = """
alter table asked_run add column canceled_by text, add column started_at timestamptz;
update asked_run set started_at = asked_at;
comment on column asked_run.canceled_by is 'who canceled it';
comment on column asked_run.started_at is 'when its turn came; null while it waits';
"""


def upgrade() -> None:
    """Add the columns. Every run before them started at once."""
    run(TURNS)
