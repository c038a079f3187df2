"""The jobs. One run is one school, its steps share one process: a run costs seconds, not interpreters."""

import dagster as dg

from roster_pipeline.defs.assets import ASSETS
from roster_pipeline.defs.assets.asset_helpers import executing
from roster_pipeline.defs.partitions import schools
from roster_pipeline.defs.resources import DirectoryResource

rostering = dg.define_asset_job(
    "rostering",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    description="One school's sync: fetch, clean, plan, apply, report.",
)


@dg.op
def test_your_information(context: dg.OpExecutionContext, directory: DirectoryResource) -> None:
    """Try the connection of one school; red items fail the run, with their remedies."""
    from roster_pipeline.sync import SyncError, explain  # not needed to list the jobs
    from roster_pipeline.sync.connection_checks import check_connection

    problem: SyncError | None = None
    items = []
    try:
        with executing(directory.database(), context.run_id):
            items = check_connection(directory.database(), context.partition_key)
    except Exception as caught:
        problem = explain(context.partition_key, caught)
    if problem is not None:
        raise dg.Failure(str(problem), allow_retries=False) from None
    context.add_output_metadata({item["name"]: f"{_word(item['ok'])}: {item['detail']}" for item in items})
    red = [f"{item['name']}: {item['detail']} {item['remedy']}" for item in items if item["ok"] is False]
    if red:
        raise dg.Failure(f"{context.partition_key}: not everything works yet.\n" + "\n".join(red), allow_retries=False)


def _word(ok: bool | None) -> str:
    return {True: "green", False: "red", None: "note"}[ok]


@dg.job(partitions_def=schools, executor_def=dg.in_process_executor)
def test_connection() -> None:
    """Test Your Information, for one school: signs in, finds the school, counts each role, says what is missing."""
    test_your_information()
