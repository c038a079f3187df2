"""`roster sync` and `roster run`: one school's sync now, and the end of runs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.commands import (
    DONE,
    FAILED,
    HELD,
    AsJson,
    CommandError,
    SchoolKey,
    Who,
    examples,
    group,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import console, note, print_findings, print_json, print_plan_counts, print_report
from roster_pipeline.runtime.processes import Ended

if TYPE_CHECKING:
    import dagster as dg

    from roster_pipeline.directory.database import Database


def sync(
    key: SchoolKey,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fetch, clean and plan; apply nothing.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Run one school's sync now, as a Dagster run, and show its outcome."""
    from roster_pipeline.directory import audit, tenants

    with open_directory() as database:
        with database.begin() as conn:
            school = tenants.get_school(conn, key)  # an unknown school is reported before a run starts
            run_id, kind = str(uuid.uuid4()), "dry_run" if dry_run else "sync"
            audit.record_run(conn, run_id, kind, school.id, school.district_id, who=who_asks(who))
        from roster_pipeline.runtime.run_school import run_school

        try:
            with _progress(key) as show_step:
                ran = run_school(key, run_id=run_id, dry_run=dry_run, on_step=show_step)
        except Ended as ended:
            raise CommandError(_ended(database, key, run_id, ended), ended.exit_code) from None
        if ran.problem:
            raise CommandError(ran.problem, HELD if ran.nothing_found else FAILED)
        code = _show_plan(database, key, ran.run_id, as_json) if dry_run else _show_sync(database, key, as_json)
    raise typer.Exit(code)


def _ended(database: Database, key: str, run_id: str, ended: Ended) -> str:
    """The message for a run that a signal ended. A school's changes are applied in one transaction, or not at all."""
    from roster_pipeline.directory import ledger

    with database.begin() as conn:
        applied = ledger.has_run(conn, run_id)
    if applied:
        return f"{key}: {ended} Its changes had been applied already.\nLook at them: roster history {key}"
    return f"{key}: {ended} Nothing was applied; the directory is unchanged.\nRun it again: roster sync {key}"


def _show_sync(database: Database, key: str, as_json: bool) -> int:
    from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
    from roster_pipeline.notifications import outcome, tone
    from roster_pipeline.notifications.outcome import nothing_found
    from roster_pipeline.sync.build_report import report_of

    with database.begin() as conn:
        sync_id = latest_sync(conn, key)
        if sync_id is None:
            raise CommandError(f"{key}: the run ended without a sync.\nLook at the run in the UI: roster dev")
        report = report_of(sync_summary(conn, sync_id))
    waiting = sum(held.rows for held in report.held)
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)
    empty = nothing_found(report)
    note(f"{key}, sync {sync_id}: {outcome(report)}", style="green" if tone(report) == "good" else "yellow")
    if waiting:
        note(f"See what is held: roster hold show {key}")
    if empty:
        note(f"See what the SIS shows of this school: roster test-connection {key}")
    return HELD if waiting or empty else DONE


def _show_plan(database: Database, key: str, run_id: str, as_json: bool) -> int:
    from roster_pipeline.services.plan_rows import summary_of_run, would_do

    with database.begin() as conn:
        summary = summary_of_run(conn, key, run_id)
    if as_json:
        print_json(summary.as_dict())
    else:
        print_plan_counts(summary.counts)
        print_findings(summary.held)
    note(f"{key}: nothing was applied. {would_do(summary)} Every row: roster plan show {key}", style="green")
    if summary.found == 0:
        note(f"Nobody was found. See what the SIS shows: roster test-connection {key}", style="yellow")
    return HELD if summary.held_rows or summary.found == 0 else DONE


@contextmanager
def _progress(key: str) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, show which step runs; elsewhere show nothing."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    with screen.status(f"{key}: starting") as status:
        yield lambda step: status.update(f"{key}: {step}")


run = group("Runs of a school that are under way or wait.")


@run.command("cancel", epilog=examples("roster run cancel oak"))
def cancel(key: SchoolKey, who: Who = None) -> None:
    """End every run of a school that is under way or waits: of the console, the schedule and Dagster.

    What a run had not committed is rolled back. History and audit say who canceled it.
    """
    from roster_pipeline.directory import audit, manual_runs, tenants

    asker = who_asks(who)
    with open_directory() as database:
        with database.begin() as conn:
            school = tenants.get_school(conn, key)
            manual = manual_runs.of_school(conn, school.id)
            ended = [row.id for row in manual if manual_runs.cancel(conn, school.id, row.id, asker)]
            for run_id in ended:
                audit.record_cancel(conn, run_id, school.id, school.district_id, who=asker)
        import dagster as dg

        left = []
        with dg.DagsterInstance.get() as instance:
            for dagster_run in _under_way(instance, key):
                if dagster_run.run_id in {row.id for row in manual}:
                    continue
                if not _terminate(instance, dagster_run):
                    left.append(dagster_run.run_id)
                    continue
                ended.append(dagster_run.run_id)
                with database.begin() as conn:
                    audit.record_cancel(conn, dagster_run.run_id, school.id, school.district_id, who=asker)
    for run_id in ended:
        note(f"{key}: run {run_id} is canceled; one that was under way ends within seconds.")
    if left:
        raise CommandError(
            f"{key}: the run {', '.join(left)} cannot be ended from here.\n"
            "A command executes it: end it there, by Ctrl-C."
        )
    if not ended:
        note(f"{key}: no run is under way or waits.")


def _under_way(instance: dg.DagsterInstance, key: str) -> list[dg.DagsterRun]:
    """Dagster's runs of a school that have not ended."""
    import dagster as dg

    from roster_pipeline.defs.partitions import partition_of

    status = dg.DagsterRunStatus
    open_ones = [status.QUEUED, status.NOT_STARTED, status.STARTING, status.STARTED]
    return [row for row in instance.get_runs(dg.RunsFilter(statuses=open_ones)) if partition_of(row.tags) == key]


def _terminate(instance: dg.DagsterInstance, dagster_run: dg.DagsterRun) -> bool:
    """End a run by Dagster's own means; False where it is in the process of a command."""
    import dagster as dg
    from dagster._core.storage.tags import GRPC_INFO_TAG

    from roster_pipeline.runtime.run_queue import TASK_TAG

    waits = dagster_run.status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
    if not waits and GRPC_INFO_TAG not in dagster_run.tags and TASK_TAG not in dagster_run.tags:
        return False
    return bool(instance.run_coordinator.cancel_run(dagster_run.run_id))
