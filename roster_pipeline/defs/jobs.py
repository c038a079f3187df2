"""The jobs. One run is one school, its steps share one process: a run costs seconds, not interpreters."""

from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from roster_pipeline.defs.assets import ASSETS
from roster_pipeline.defs.assets.asset_helpers import console_page, executing
from roster_pipeline.defs.partitions import schools
from roster_pipeline.defs.resources import DirectoryResource, SisResource

WORDS = {True: "green", False: "red", None: "note"}

rostering = dg.define_asset_job(
    "rostering",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    description="One school's sync: fetch, clean, plan, apply, report.",
)


@dg.op
def test_your_information(context: dg.OpExecutionContext, directory: DirectoryResource, sis: SisResource) -> None:
    """Test the connection of one school. Red items fail the run; the failure names each with its remedy."""
    from roster_pipeline.sync import SyncError, explain  # not needed to list the jobs
    from roster_pipeline.sync.connection_checks import check_connection

    problem: SyncError | None = None
    items: list[dict[str, Any]] = []
    try:
        with executing(directory.database(), context.run_id):
            items = check_connection(directory.database(), context.partition_key, sis.bounds())
    except Exception as caught:
        problem = explain(context.partition_key, caught)
    if problem is not None:
        raise dg.Failure(str(problem), allow_retries=False) from None
    metadata = {"items": _table(items), **console_page(f"/schools/{context.partition_key}/settings")}
    red = [f"{item['name']}: {item['detail']} {item['remedy']}" for item in items if item["ok"] is False]
    if red:
        description = f"{context.partition_key}: not everything works yet.\n" + "\n".join(red)
        raise dg.Failure(description, metadata, allow_retries=False)
    context.add_output_metadata(metadata)


def _table(items: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """One row per item, in the order of the test. Items may share a name, for example one per role."""
    records = [
        dg.TableRecord(
            {"item": item["name"], "ok": WORDS[item["ok"]], "result": item["detail"], "what to do": item["remedy"]}
        )
        for item in items
    ]
    columns = [dg.TableColumn(name, "string") for name in ("item", "ok", "result", "what to do")]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


@dg.job(partitions_def=schools, executor_def=dg.in_process_executor)
def test_connection() -> None:
    """Test Your Information, for one school: signs in, finds the school, counts each role, says what is missing."""
    test_your_information()


JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [rostering, test_connection]
