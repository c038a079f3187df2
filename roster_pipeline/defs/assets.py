"""The assets: thin shells around `roster_pipeline.sync`. Nothing is decided here.

raw: one complete snapshot of what the SIS says about one school; three assets, one fetch. cleaned_roster: a typed
roster, with every record that could not be used and why. roster_diff: the changes that make the directory match the
roster, and which of them may be applied. applied_changes: the part of the plan that its verdict allows, in one
transaction; the ledger can undo it.

Lineage ends at the views that applications read (`docs/directory.md`). They are external assets: PostgreSQL keeps them
up to date, so there is nothing to run.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from roster_pipeline import code_version
from roster_pipeline.defs.asset_helpers import (
    DRY_RUN_TAG,
    GROUP,
    OWNERS,
    clear_failures,
    columns,
    console_page,
    gives_way,
    lineage,
    night,
    schools,
    started_by,
)
from roster_pipeline.defs.checks import (
    completeness_result,
    completeness_specs,
    quality_results,
    quality_specs,
    verdict_results,
    verdict_specs,
)
from roster_pipeline.defs.resources import DirectoryResource, InstallationResource, SisResource
from roster_pipeline.directory import tables
from roster_pipeline.settings.installation import Syncs
from roster_pipeline.vocabulary import role_name, role_place

RAW = {
    "raw_orgs": "Orgs of the snapshot: the school, its district and its neighbours, as the SIS sent them.",
    "raw_users": "User records of the school, in one shape for OneRoster 1.1 and 1.2; nothing is judged yet.",
    "raw_contacts": "Parents, guardians and relatives of the school's students; empty unless the school wants them.",
}
ROSTER_LINEAGE = lineage(
    sourced_id={"raw_users": ["sourced_id"]},
    given_name={"raw_users": ["payload"]},
    family_name={"raw_users": ["payload"]},
    email={"raw_users": ["payload"]},
    number={"raw_users": ["payload"]},
    role={"raw_users": ["payload"], "raw_orgs": ["sourced_id"]},
    grade={"raw_users": ["payload"]},
    contact_sourced_id={"raw_contacts": ["sourced_id"], "raw_users": ["payload"]},
)
DIFF_LINEAGE = lineage(
    sourced_ids={"cleaned_roster": ["sourced_id", "identity"]},
    role={"cleaned_roster": ["role"]},
    changes={"cleaned_roster": ["given_name", "family_name", "email", "number", "grade", "contact_sourced_id"]},
)
Result = dg.MaterializeResult[None] | dg.AssetCheckResult
"""Results of checks are yielded after their asset: inside of it, Dagster looks twice for what each of them is about."""
CHANGES_LINEAGE = lineage(
    after={"roster_diff": ["changes", "action"]}, person_id={"roster_diff": ["person_id", "sourced_ids"]}
)
SCHEMA = "roster_public"
READ = {
    "directory_person": "One row per person of a district.",
    "directory_membership": "One row per person and school, with role, grade and status.",
    "directory_contact": "Parents, guardians and relatives, one row per contact.",
    "directory_student_contact": "Which contact belongs to which student, and how.",
    "directory_change": "Every change of the directory in order, for applications that keep a copy.",
}


def _of_school(decorator: Callable[..., Any], **options: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` or `dg.multi_asset`, with one partition per school and one run per partition in a backfill."""

    def define(step: Callable[..., Any]) -> dg.AssetsDefinition:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # the backfill policy
            policy = dg.BackfillPolicy.multi_run(1)
            defined: dg.AssetsDefinition = decorator(partitions_def=schools, backfill_policy=policy, **options)(step)
            return defined

    return define


def _raw_spec(name: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=RAW[name],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"postgres"},
        code_version=code_version("oneroster"),
        metadata=columns(tables.RAW_VIEWS[name.removesuffix("s")]),
    )


@_of_school(dg.multi_asset, name="raw", specs=[_raw_spec(name) for name in RAW], check_specs=completeness_specs())
def raw(
    context: dg.AssetExecutionContext,
    directory: DirectoryResource,
    sis: SisResource,
    installation: InstallationResource,
) -> Iterator[Result]:
    """Fetch one school's snapshot and its proof of completeness."""
    from roster_pipeline.sync.fetch_snapshot import fetch  # pandas: not needed to list the assets

    database = directory.database()
    with clear_failures(context, database, "fetch"):
        fetched = fetch(
            database, context.partition_key, batch=night(context), run_id=context.run.run_id,
            gives_way=gives_way(context.run.tags), first_pull=installation.read(Syncs).first_pull, limits=sis.bounds(),
        )  # fmt: skip
    for name in RAW:
        yield dg.MaterializeResult(
            asset_key=name,
            metadata={
                "dagster/row_count": fetched.counts[name],
                "snapshot": fetched.snapshot_id,
                **console_page(f"/schools/{context.partition_key}"),
            },
        )
    yield completeness_result(fetched.complete, fetched.problems, fetched.proof)


@_of_school(
    dg.asset,
    deps=["raw_orgs", "raw_users", "raw_contacts"],
    check_specs=quality_specs(),
    group_name=GROUP,
    code_version=code_version("cleaning", "identity"),
    owners=OWNERS,
    metadata=columns(tables.cleaned_roster, ROSTER_LINEAGE),
    kinds={"pandas", "postgres"},
    description="The cleaned people of one snapshot, one row per record; what could not be used is in rejected_record.",
)
def cleaned_roster(context: dg.AssetExecutionContext, directory: DirectoryResource) -> Iterator[Result]:
    """Clean one school's snapshot and test its quality."""
    from roster_pipeline.sync.clean_snapshot import clean_latest  # pandas: not needed to list the assets

    database = directory.database()
    with clear_failures(context, database, "clean"):
        cleaned = clean_latest(database, context.partition_key, run_id=context.run.run_id)
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": cleaned.people,
            "snapshot": cleaned.snapshot_id,
            "rejected": cleaned.rejected,
            **{role_name(role): cleaned.by_role[role] for role in sorted(cleaned.by_role, key=role_place)},
            **console_page(f"/schools/{context.partition_key}/rejected/{cleaned.snapshot_id}"),
        },
    )
    yield from quality_results(cleaned.quality)


@_of_school(
    dg.asset,
    deps=["cleaned_roster"],
    check_specs=verdict_specs(),
    group_name=GROUP,
    code_version=code_version("identity", "planning"),
    owners=OWNERS,
    metadata=columns(tables.plan_row, DIFF_LINEAGE),
    kinds={"pandas", "postgres"},
    description="The plan: one row per membership with action, reason and field changes; and the verdict on it.",
)
def roster_diff(context: dg.AssetExecutionContext, directory: DirectoryResource, sis: SisResource) -> Iterator[Result]:
    """Plan one school's sync and judge it; plan and verdict are written in one transaction."""
    from roster_pipeline.sync.plan_and_apply import plan_latest  # pandas: not needed to list the assets

    database = directory.database()
    dry_run = context.run.tags.get(DRY_RUN_TAG) == "true"
    with clear_failures(context, database, "plan"):
        planned = plan_latest(
            database, context.partition_key, run_id=context.run.run_id, dry_run=dry_run, limits=sis.bounds()
        )
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": planned.rows,
            "plan": planned.plan_id,
            **planned.by_action,
            "held": planned.held,
            **console_page(f"/schools/{context.partition_key}/plans/{planned.plan_id}"),
        },
    )
    yield from verdict_results(planned.verdict)


@_of_school(
    dg.asset,
    deps=["roster_diff"],
    group_name=GROUP,
    code_version=code_version(*(f"directory/{name}.py" for name in ("apply", "apply_sql", "apply_staging"))),
    owners=OWNERS,
    metadata=columns(tables.change_log, CHANGES_LINEAGE),
    kinds={"postgres"},
    description="People, memberships and contacts as changed by this sync; every change is in change_log.",
)
def applied_changes(context: dg.AssetExecutionContext, directory: DirectoryResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Apply one school's plan as far as its stored verdict allows, and put the report into the outbox."""
    from roster_pipeline.sync.plan_and_apply import apply_latest  # pandas: not needed to list the assets

    if context.run.tags.get(DRY_RUN_TAG) == "true":  # a plan of another run may wait
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
        }
    )


ASSETS = [raw, cleaned_roster, roster_diff, applied_changes]
VIEWS = [
    dg.AssetSpec(
        dg.AssetKey([SCHEMA, name]),
        deps=["applied_changes"],
        description=f"{text} Applications read this view; `docs/directory.md` describes its columns.",
        group_name="applications",
        owners=OWNERS,
        kinds={"postgres", "view"},
        metadata={"dagster/table_name": f"{SCHEMA}.{name}"},
    )
    for name, text in READ.items()
]
