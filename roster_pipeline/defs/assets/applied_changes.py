"""Applying: the part of the plan that its verdict lets through, in one transaction, with a ledger that can undo it."""

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
    started_by,
)
from roster_pipeline.defs.partitions import schools
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.directory import tables

LINEAGE = lineage(
    after={"roster_diff": ["changes", "action"]},
    person_id={"roster_diff": ["person_id", "sourced_ids"]},
)


@dg.asset(
    deps=["roster_diff"],
    partitions_def=schools,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name=GROUP,
    code_version=code_version("directory/apply.py", "directory/apply_sql.py"),
    owners=OWNERS,
    metadata=columns(tables.change_log, LINEAGE),
    kinds={"postgres"},
    description="People, memberships and contacts as changed by this sync; every change stands in change_log.",
)
def applied_changes(context: dg.AssetExecutionContext, directory: DirectoryResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Apply one school's plan as far as its stored verdict allows, and put the report into the outbox."""
    from roster_pipeline.sync import apply_latest  # pandas and all: a run needs it, the listing of assets does not

    if context.run.tags.get(DRY_RUN_TAG) == "true":  # there may be a plan of another run that waits
        problem = f"{context.partition_key}: a dry run applies nothing\nRun it without the tag {DRY_RUN_TAG}."
        raise dg.Failure(problem, allow_retries=False)
    database = directory.database()
    with clear_failures(context, database, "apply"):
        who = started_by(context.run, context.instance, database, context.partition_key)
        applied = apply_latest(database, context.partition_key, run_id=context.run.run_id, who=who)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": applied.changed,
            "sync": applied.sync_id,
            "outcome": applied.outcome,
            **applied.by_action,
            **console_page(f"/schools/{context.partition_key}/syncs/{applied.sync_id}"),
        },
    )
