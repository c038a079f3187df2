"""One school's sync as plain functions: fetch, clean, plan, apply, report.

Here the core's decisions meet the SIS, the database and the mail; Dagster's assets, the command line and the console
call these functions and nothing below them twice. Nothing in here knows Dagster.
"""

from roster_pipeline.sync.apply_changes import apply_latest
from roster_pipeline.sync.clean_snapshot import clean_latest
from roster_pipeline.sync.error_messages import SyncError, explain
from roster_pipeline.sync.fetch_snapshot import fetch
from roster_pipeline.sync.plan_changes import plan_latest

__all__ = ["SyncError", "apply_latest", "clean_latest", "explain", "fetch", "plan_latest"]
