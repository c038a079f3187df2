"""The last sync of a school in seven numbers, for tables."""

from __future__ import annotations

from roster_pipeline.directory.database import Database
from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
from roster_pipeline.sync.build_report import report_of
from roster_pipeline.vocabulary import COUNTS


def latest_counts(database: Database, school_key: str) -> dict[str, int]:
    """Created, updated, restored, skipped, archived, held, conflicts, unchanged and rejected; empty without a sync."""
    with database.begin() as connection:
        sync_id = latest_sync(connection, school_key)
        if sync_id is None:
            return {}
        report = report_of(sync_summary(connection, sync_id))
    rejected = sum(line.rows for line in report.rejected if line.severity == "error")
    return {name: report.total(name) for name in COUNTS} | {"rejected": rejected}
