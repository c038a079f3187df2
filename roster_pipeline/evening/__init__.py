"""One school's evening as plain functions: fetch, clean, plan, apply, report.

Here the core's decisions meet the SIS, the database and the mail; Dagster's assets, the command line and the console
call these functions and nothing below them twice. Nothing in here knows Dagster.
"""

from roster_pipeline.evening.applying import apply_latest
from roster_pipeline.evening.cleaning import clean_latest
from roster_pipeline.evening.errors import EveningError, explain
from roster_pipeline.evening.fetching import fetch
from roster_pipeline.evening.planning import plan_latest

__all__ = ["EveningError", "apply_latest", "clean_latest", "explain", "fetch", "plan_latest"]
