"""How old the source was that a pull read: when its bundle was written, and since when it says the same."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = """
alter table pull
    add column written_at timestamp with time zone,
    add column unchanged_since timestamp with time zone;
alter table snapshot
    add column written_at timestamp with time zone,
    add column unchanged_since timestamp with time zone;
"""


def upgrade() -> None:
    """Add the columns; of earlier pulls nothing is known."""
    run(COLUMNS)
