"""`roster sync`: one school's sync, now."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.error_handling import DONE, FAILED, HELD, CommandError
from roster_pipeline.cli.output import console, note, print_json
from roster_pipeline.cli.session import AsJson, SchoolKey, Who, open_directory, who_asks
from roster_pipeline.cli.sync_output import print_findings, print_plan_counts, print_report
from roster_pipeline.signals import Ended

if TYPE_CHECKING:
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
        with database.begin() as opened:
            school = tenants.get_school(opened, key)  # before a run is started in its name
            run_id, kind = str(uuid.uuid4()), "dry_run" if dry_run else "sync"
            audit.record_run(opened, run_id, kind, school.id, school.district_id, who=who_asks(who))
        from roster_pipeline.run_school import run_school

        try:
            with _progress(key) as tell:
                ran = run_school(key, run_id=run_id, dry_run=dry_run, on_step=tell)
        except Ended as ended:
            raise CommandError(_ended(database, key, run_id, ended), ended.exit_code) from None
        if ran.problem:
            raise CommandError(ran.problem, HELD if ran.nothing_found else FAILED)
        code = _show_plan(database, key, ran.run_id, as_json) if dry_run else _show_sync(database, key, as_json)
    raise typer.Exit(code)


def _ended(database: Database, key: str, run_id: str, ended: Ended) -> str:
    """What to tell of a run that a signal ended: a school's changes are applied in one transaction, or not at all."""
    from roster_pipeline.directory import ledger

    with database.begin() as opened:
        applied = ledger.has_run(opened, run_id)
    if applied:
        return f"{key}: {ended} Its changes had been applied already.\nLook at them: roster history {key}"
    return f"{key}: {ended} Nothing was applied; the directory is unchanged.\nRun it again: roster sync {key}"


def _show_sync(database: Database, key: str, as_json: bool) -> int:
    from roster_pipeline.directory.sync_summary import latest_sync, sync_summary
    from roster_pipeline.notifications import outcome, tone
    from roster_pipeline.notifications.outcome import nothing_found
    from roster_pipeline.sync.build_report import report_of

    with database.begin() as opened:
        sync_id = latest_sync(opened, key)
        if sync_id is None:
            raise CommandError(f"{key}: the run ended without a sync.\nLook at the run in the UI: roster dev")
        report = report_of(sync_summary(opened, sync_id))
    waiting = sum(held.rows for held in report.held)
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)
    nobody = nothing_found(report)
    note(f"{key}, sync {sync_id}: {outcome(report)}", style="green" if tone(report) == "good" else "yellow")
    if waiting:
        note(f"Look at it: roster hold show {key}")
    if nobody:
        note(f"See what the SIS shows of this school: roster test-connection {key}")
    return HELD if waiting or nobody else DONE


def _show_plan(database: Database, key: str, run_id: str, as_json: bool) -> int:
    from roster_pipeline.services.plan_summary import summary_of_run

    with database.begin() as opened:
        summary = summary_of_run(opened, key, run_id)
    if as_json:
        print_json(summary.as_dict())
    else:
        print_plan_counts(summary.counts)
        print_findings(summary.held)
    note(f"{key}: nothing was applied. Every row: roster plan show {key}", style="green")
    if summary.found == 0:
        note(f"Nobody was found. See what the SIS shows: roster test-connection {key}", style="yellow")
    return HELD if summary.held_rows or summary.found == 0 else DONE


@contextmanager
def _progress(key: str) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, tell which step runs; elsewhere be still."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    with screen.status(f"{key}: starting") as status:
        yield lambda step: status.update(f"{key}: {step}")
