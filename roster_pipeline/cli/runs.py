"""`roster run`: what runs, or waits to run, of one school; and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roster_pipeline.cli.commands import examples, group
from roster_pipeline.cli.error_handling import CommandError
from roster_pipeline.cli.output import note
from roster_pipeline.cli.session import SchoolKey, Who, open_directory, who_asks

if TYPE_CHECKING:
    import dagster as dg

run = group("Runs of a school that are under way or wait.")


@run.command("cancel", epilog=examples("roster run cancel oak"))
def cancel(key: SchoolKey, who: Who = None) -> None:
    """End every run of a school that is under way or waits: of the console, the schedule and Dagster.

    What a run had not committed is rolled back. History and audit say who canceled it.
    """
    from roster_pipeline.directory import audit, manual_runs, tenants

    asker = who_asks(who)
    with open_directory() as database:
        with database.begin() as opened:
            school = tenants.get_school(opened, key)
            known = manual_runs.of_school(opened, school.id)
            ended = [one.id for one in known if manual_runs.cancel(opened, school.id, one.id, asker)]
            for run_id in ended:
                audit.record_cancel(opened, run_id, school.id, school.district_id, who=asker)
        import dagster as dg

        left = []
        with dg.DagsterInstance.get() as instance:
            for found in _under_way(instance, key):
                if found.run_id in {one.id for one in known}:
                    continue
                if not _terminate(instance, found):
                    left.append(found.run_id)
                    continue
                ended.append(found.run_id)
                with database.begin() as opened:
                    audit.record_cancel(opened, found.run_id, school.id, school.district_id, who=asker)
    for run_id in ended:
        note(f"{key}: run {run_id} is canceled; one that was under way ends within seconds.")
    if left:
        raise CommandError(
            f"{key}: the run {', '.join(left)} cannot be ended from here.\n"
            "End it where it was started: roster sync by Ctrl-C, a run of a Celery worker in the Dagster UI."
        )
    if not ended:
        note(f"{key}: no run is under way or waits.")


def _under_way(instance: dg.DagsterInstance, key: str) -> list[dg.DagsterRun]:
    """Dagster's runs of a school that have not ended."""
    import dagster as dg

    from roster_pipeline.defs.partitions import partition_of

    status = dg.DagsterRunStatus
    open_ones = [status.QUEUED, status.NOT_STARTED, status.STARTING, status.STARTED]
    return [one for one in instance.get_runs(dg.RunsFilter(statuses=open_ones)) if partition_of(one.tags) == key]


def _terminate(instance: dg.DagsterInstance, found: dg.DagsterRun) -> bool:
    """End a run by Dagster's own means; False where it is in the process of a command, or of a Celery worker."""
    import dagster as dg
    from dagster._core.storage.tags import GRPC_INFO_TAG

    if found.status is not dg.DagsterRunStatus.QUEUED and GRPC_INFO_TAG not in found.tags:
        return False
    return bool(instance.run_coordinator.cancel_run(found.run_id))
