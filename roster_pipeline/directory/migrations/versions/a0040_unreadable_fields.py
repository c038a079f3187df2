"""A cleaned record names its fields that were given and cannot be read."""

from roster_pipeline.directory.migrations import run

revision = "0040"
down_revision = "0039"

COLUMN = """
alter table cleaned_roster add column unreadable_fields text;
comment on column cleaned_roster.unreadable_fields is
    'fields that were given and cannot be read, separated by blanks';
"""


def upgrade() -> None:
    """Add the column. Older rosters are not planned again."""
    run(COLUMN)
