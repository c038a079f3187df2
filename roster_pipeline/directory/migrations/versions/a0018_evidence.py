"""The userMasterIdentifier of records, and what a row of a plan tells besides its reason."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run
from roster_pipeline.directory.migrations.versions.a0010_confirmed_links import LOG

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = """
alter table cleaned_roster add column master_identifier text;
alter table link add column master_identifier text;
alter table plan_row add column notes text;
"""
KEPT = (
    "jsonb_object(''{{connection_id, sourced_id, home, version, confirmed, home_by_hand, master_identifier}}''::text[],"
    " array[{0}.connection_id::text, {0}.sourced_id, {0}.home::text, {0}.version, {0}.confirmed::text, "
    "{0}.home_by_hand::text, {0}.master_identifier])"
)


def upgrade() -> None:
    """Add the columns, and log the one of links."""
    run(COLUMNS)
    run(LOG.format(before=KEPT.format("o"), after=KEPT.format("n")))
