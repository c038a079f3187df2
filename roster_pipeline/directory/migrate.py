"""Brings a database to the schema that this version needs.

Alembic does it; this module calls Alembic, not a command.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.locks import lock_until_commit

BASELINE = "0029"
LAST_BEFORE = "99548e50"
"""The last commit that upgrades databases older than the baseline."""
SCRIPTS = Path(__file__).parent / "migrations"

RESTORED = "select exists (select from change_log where xid >= pg_current_xact_id()::text::bigint)"
RESTAMP = "select restart_log()"
"""Transaction ids start again when a dump is restored into another server. Without this, the feed would wait for the
old ids forever."""


class OldSchema(DirectoryError):
    """The database is older than the baseline. This version can upgrade only from the baseline on."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The schema of this database is revision {revision}. This version upgrades from revision {BASELINE} on.",
            f"Install commit {LAST_BEFORE} of version 0.1.0, run there: roster init. Then run it with this version.",
        )


class UnknownSchema(DirectoryError):
    """A newer version has upgraded the database."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The schema of this database is revision {revision}, which this version does not know.",
            "Install the version that upgraded the database last.",
        )


def upgrade(database: Database) -> None:
    """Apply what is missing, in one transaction. Safe to call at every start, by several processes at once.

    Raises OldSchema and UnknownSchema.
    """
    with database.begin() as conn:
        lock_until_commit(conn, "migrations")
        _check_known(MigrationContext.configure(conn).get_current_revision())
        command.upgrade(_config(conn), "head")
        if conn.scalar(text(RESTORED)):
            conn.execute(text(RESTAMP))


def current(database: Database) -> str | None:
    """The revision of the database; None before the first migration."""
    with database.begin() as conn:
        return MigrationContext.configure(conn).get_current_revision()


def head() -> str:
    """The revision that this version of the package needs."""
    return ScriptDirectory.from_config(_config(None)).get_current_head() or ""


def _check_known(revision: str | None) -> None:
    scripts = ScriptDirectory.from_config(_config(None))
    if revision is None or revision in {script.revision for script in scripts.walk_revisions()}:
        return
    raise OldSchema(revision) if revision < BASELINE else UnknownSchema(revision)


def _config(conn: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config
