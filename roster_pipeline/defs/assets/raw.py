"""Fetching: one complete snapshot of what the SIS says about one school. Three assets, one fetch."""

from collections.abc import Iterator

import dagster as dg

from roster_pipeline.defs.assets.asset_helpers import (
    GROUP,
    OWNERS,
    clear_failures,
    code_version,
    columns,
    console_page,
    gives_way,
    night,
)
from roster_pipeline.defs.checks import completeness_result, completeness_specs
from roster_pipeline.defs.partitions import schools
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource, SisResource
from roster_pipeline.directory import tables
from roster_pipeline.settings.installation import Syncs

DESCRIPTIONS = {
    "raw_orgs": "Orgs of the snapshot: the school, its district and its neighbours, as the SIS sent them.",
    "raw_users": "User records of the school, in one shape for OneRoster 1.1 and 1.2; nothing is judged yet.",
    "raw_contacts": "Parents, guardians and relatives of the school's students; empty unless the school wants them.",
}


def _spec(name: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=DESCRIPTIONS[name],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"postgres"},
        code_version=code_version("oneroster"),
        metadata=columns(tables.RAW_VIEWS[name.removesuffix("s")]),
    )


@dg.multi_asset(
    name="raw",
    specs=[_spec(name) for name in DESCRIPTIONS],
    check_specs=completeness_specs(),
    partitions_def=schools,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
)
def raw(
    context: dg.AssetExecutionContext,
    directory: DirectoryResource,
    sis: SisResource,
    installation: InstallationResource,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Fetch one school's snapshot and its proof of completeness."""
    from roster_pipeline.sync import fetch  # pandas and all: a run needs it, the listing of assets does not

    database = directory.database()
    with clear_failures(context, database, "fetch"):
        fetched = fetch(
            database,
            context.partition_key,
            batch=night(context),
            run_id=context.run.run_id,
            gives_way=gives_way(context.run.tags),
            first_pull=installation.read(Syncs).first_pull,
            limits=sis.bounds(),
        )
    for name in DESCRIPTIONS:
        yield dg.MaterializeResult(
            asset_key=name,
            metadata={
                "dagster/row_count": fetched.counts[name],
                "snapshot": fetched.snapshot_id,
                **console_page(f"/schools/{context.partition_key}"),
            },
        )
    yield completeness_result(fetched.complete, fetched.problems, fetched.proof)
