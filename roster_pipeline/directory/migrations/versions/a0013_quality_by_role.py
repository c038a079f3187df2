"""Quality results by role, which gate archivals; a plan says which results its verdict read.

Which records failed a rule is in `rejected_record` already, and nothing read the second list.
"""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

RESULTS = """
drop table quality_failure;
alter table quality_result add column role text default '' not null;
alter table quality_result alter column role drop default;
alter table quality_result alter column tested drop not null;
alter table quality_result alter column failed drop not null;
alter table quality_result drop constraint pk_quality_result;
alter table quality_result add constraint pk_quality_result primary key (snapshot_id, rule, role);
"""
PLAN = """
alter table plan add column quality text;
"""


def upgrade() -> None:
    """Change the results' table, and add the plan's column."""
    run(RESULTS)
    run(PLAN)
