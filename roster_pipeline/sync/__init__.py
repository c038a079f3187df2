"""One school's sync as plain functions: fetch, clean, plan, apply, report.

These functions connect the decisions of the core with the SIS, the database and the mail. Dagster's assets, the command
line and the console call them. This package does not know Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from roster_pipeline.sync.error_messages import SyncError, explain

if TYPE_CHECKING:
    from roster_pipeline.sync.clean_snapshot import clean_latest
    from roster_pipeline.sync.fetch_snapshot import fetch
    from roster_pipeline.sync.plan_and_apply import apply_latest, plan_latest

__all__ = ["SyncError", "apply_latest", "clean_latest", "explain", "fetch", "plan_latest"]
STEPS = {
    "fetch": "fetch_snapshot",
    "clean_latest": "clean_snapshot",
    "plan_latest": "plan_and_apply",
    "apply_latest": "plan_and_apply",
}


def __getattr__(name: str) -> Any:
    """Load a step when somebody needs it, because pages, connection tests and most commands do not need pandas."""
    if name not in STEPS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{STEPS[name]}"), name)
