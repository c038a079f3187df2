"""A plan knows the settings that it was made with. It is not applied after they were changed."""

from roster_pipeline.directory.migrations import run

revision = "0047"
down_revision = "0046"

CHANGES = """
alter table plan add column settings text;
comment on column plan.settings is
    'a digest of the settings that decide whom the plan changes; null in plans from before this column';
"""


def upgrade() -> None:
    """Add the column."""
    run(CHANGES)
