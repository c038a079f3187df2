"""Rows that one guard judges by themselves: each has a verdict apart from the rest of its role and action."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UP = """
alter table plan_row add column guard text default '' not null;
alter table verdict add column guard text default '' not null;
alter table verdict drop constraint pk_verdict;
alter table verdict add constraint pk_verdict primary key (plan_id, role, action, guard);
"""


def upgrade() -> None:
    """Every row and verdict so far belongs to no guard of its own."""
    run(UP)
