"""A test of a connection keeps what it learned of the server, for the next test and for when its values are saved."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

LEARNED = """
alter table trial add column learned jsonb default '{}'::jsonb not null;
comment on column trial.learned is 'what the server taught us: version, form of the sign-in, ...; no secret';
"""


def upgrade() -> None:
    """Add the column."""
    run(LEARNED)
