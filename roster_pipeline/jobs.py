"""The jobs. One run is one school, its steps share one process: a run costs seconds, not interpreters."""

import dagster as dg

from roster_pipeline.assets import ASSETS

rostering = dg.define_asset_job(
    "rostering",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    description="One school's evening: fetch, clean, plan, apply, report.",
)
