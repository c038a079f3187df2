"""Settings of a district, homes moved by hand, and matches that wait for the district's manager."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run
from roster_pipeline.directory.migrations.versions.a0010_confirmed_links import LOG

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

COLUMNS = """
alter table district add column settings jsonb default '{}'::jsonb not null;
alter table link add column home_by_hand boolean default false not null;
create index ix_plan_row_other_connection on plan_row (plan_id, person_id) where reason = 'other_connection';
"""
KEPT = (
    "jsonb_object(''{{connection_id, sourced_id, home, version, confirmed, home_by_hand}}''::text[], "
    "array[{0}.connection_id::text, {0}.sourced_id, {0}.home::text, {0}.version, {0}.confirmed::text, "
    "{0}.home_by_hand::text])"
)


def upgrade() -> None:
    """Add the columns and the index, and log what is moved by hand."""
    run(COLUMNS)
    run(LOG.format(before=KEPT.format("o"), after=KEPT.format("n")))
