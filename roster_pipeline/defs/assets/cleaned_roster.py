"""Cleaning: from the SIS's records to a typed roster, with every record that could not be used and why."""

import dagster as dg

from roster_pipeline.defs.assets.asset_helpers import (
    GROUP,
    OWNERS,
    clear_failures,
    code_version,
    columns,
    console_page,
    lineage,
)
from roster_pipeline.defs.checks import quality_results, quality_specs
from roster_pipeline.defs.partitions import schools
from roster_pipeline.defs.resources import DirectoryResource
from roster_pipeline.directory import tables
from roster_pipeline.vocabulary import role_name, role_place

LINEAGE = lineage(
    sourced_id={"raw_users": ["sourced_id"]},
    given_name={"raw_users": ["payload"]},
    family_name={"raw_users": ["payload"]},
    email={"raw_users": ["payload"]},
    number={"raw_users": ["payload"]},
    role={"raw_users": ["payload"], "raw_orgs": ["sourced_id"]},
    grade={"raw_users": ["payload"]},
    contact_sourced_id={"raw_contacts": ["sourced_id"], "raw_users": ["payload"]},
)


@dg.asset(
    deps=["raw_orgs", "raw_users", "raw_contacts"],
    check_specs=quality_specs(),
    partitions_def=schools,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name=GROUP,
    code_version=code_version("cleaning", "identity"),
    owners=OWNERS,
    metadata=columns(tables.cleaned_roster, LINEAGE),
    kinds={"pandas", "postgres"},
    description="The cleaned people of one snapshot, one row per record; what could not be used is in rejected_record.",
)
def cleaned_roster(context: dg.AssetExecutionContext, directory: DirectoryResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Clean one school's snapshot and test its quality."""
    from roster_pipeline.sync import clean_latest  # pandas and all: a run needs it, the listing of assets does not

    database = directory.database()
    with clear_failures(context, database, "clean"):
        cleaned = clean_latest(database, context.partition_key, run_id=context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": cleaned.people,
            "snapshot": cleaned.snapshot_id,
            "rejected": cleaned.rejected,
            **{role_name(role): cleaned.by_role[role] for role in sorted(cleaned.by_role, key=role_place)},
            **console_page(f"/schools/{context.partition_key}/rejected/{cleaned.snapshot_id}"),
        },
        check_results=quality_results(cleaned.quality),
    )
