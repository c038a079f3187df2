"""The definitions that Dagster loads. Code that builds them reads nothing and connects to nothing."""

from collections.abc import Mapping

import dagster as dg

from roster_pipeline.defs.assets import ASSETS, VIEWS
from roster_pipeline.defs.jobs import JOBS, SCHEDULES
from roster_pipeline.defs.resources import RESOURCES
from roster_pipeline.defs.sensors import SENSORS


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors; tests hand in their own resources."""
    return dg.Definitions(
        assets=[*ASSETS, *VIEWS],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources={**RESOURCES, **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
