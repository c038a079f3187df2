"""Planning: what must change in the directory so that it matches the roster, and which of it may be applied."""

import dagster as dg

from roster_pipeline.defs.assets.asset_helpers import (
    DRY_RUN_TAG,
    GROUP,
    OWNERS,
    clear_failures,
    code_version,
    columns,
    console_page,
    lineage,
)
from roster_pipeline.defs.checks import verdict_results, verdict_specs
from roster_pipeline.defs.partitions import schools
from roster_pipeline.defs.resources import DirectoryResource, SisResource
from roster_pipeline.directory import tables

LINEAGE = lineage(
    sourced_ids={"cleaned_roster": ["sourced_id", "identity"]},
    role={"cleaned_roster": ["role"]},
    changes={"cleaned_roster": ["given_name", "family_name", "email", "number", "grade", "contact_sourced_id"]},
)


@dg.asset(
    deps=["cleaned_roster"],
    check_specs=verdict_specs(),
    partitions_def=schools,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name=GROUP,
    code_version=code_version("identity", "planning"),
    owners=OWNERS,
    metadata=columns(tables.plan_row, LINEAGE),
    kinds={"pandas", "postgres"},
    description="The plan: one row per membership with action, reason and field changes; and the verdict on it.",
)
def roster_diff(
    context: dg.AssetExecutionContext, directory: DirectoryResource, sis: SisResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Plan one school's sync and judge it; plan and verdict are written in one transaction."""
    from roster_pipeline.sync import plan_latest  # pandas and all: a run needs it, the listing of assets does not

    database = directory.database()
    dry_run = context.run.tags.get(DRY_RUN_TAG) == "true"
    with clear_failures(context, database, "plan"):
        planned = plan_latest(
            database, context.partition_key, run_id=context.run.run_id, dry_run=dry_run, limits=sis.bounds()
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": planned.rows,
            "plan": planned.plan_id,
            **planned.by_action,
            "held": planned.held,
            **console_page(f"/schools/{context.partition_key}/plans/{planned.plan_id}"),
        },
        check_results=verdict_results(planned.verdict),
    )
