"""Indexes by which a school finds its org, and the orgs below it, among thousands of a city. They are hash indexes,
because a SIS may write texts of any length."""

from alembic import op

revision = "0049"
down_revision = "0048"

STATEMENTS = tuple(
    f"create index ix_sis_record_{name} on sis_record using hash ((payload ->> '{name}')) where kind = 'org'"
    for name in ("identifier", "parent")
)


def upgrade() -> None:
    """Make the indexes."""
    for statement in STATEMENTS:
        op.execute(statement)
