"""What Dagster loads. Building the definitions reads nothing and connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from roster_pipeline.defs.assets import ASSETS, VIEWS
from roster_pipeline.defs.jobs import rostering, test_connection
from roster_pipeline.defs.pruning import prune, prune_nightly
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.defs.schedules import nightly
from roster_pipeline.defs.sensors import (
    partitions_follow_schools,
    report_decisions,
    send_mail,
    watch_runs,
    watch_schools,
)


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors; tests hand in their own resources."""
    return dg.Definitions(
        assets=[*ASSETS, *VIEWS],
        jobs=[rostering, test_connection, prune],
        schedules=[nightly, prune_nightly],
        sensors=[partitions_follow_schools, report_decisions, send_mail, watch_runs, watch_schools],
        resources={"directory": DirectoryResource(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
