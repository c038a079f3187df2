"""A test of a connection keeps a secret only where one was typed for it: copies of stored secrets are deleted."""

from __future__ import annotations

from roster_pipeline.directory.migrations.migration_steps import run

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ONLY_TYPED = """
update trial set secret = null where not typed;
alter table trial add constraint ck_trial_secret check (typed or secret is null);
comment on column trial.secret is 'typed for this test: a Fernet token, never a copy of the stored one';
"""


def upgrade() -> None:
    """Delete the copies, and refuse new ones."""
    run(ONLY_TYPED)
