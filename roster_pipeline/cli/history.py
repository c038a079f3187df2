"""`roster history`, `roster audit`: past events. `roster run`: the end of runs. `roster rollback`: undoes a sync."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import dagster as dg
import sqlalchemy as sa
import typer

from roster_pipeline.cli.commands import (
    HELD,
    AsJson,
    CommandError,
    MaybeSchoolKey,
    SchoolKey,
    Who,
    Yes,
    confirm,
    examples,
    given_reason,
    group,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import note, print_json, print_rows, print_table
from roster_pipeline.defs import asset_helpers
from roster_pipeline.directory import alerts, ledger, manual_runs, tenants
from roster_pipeline.directory import audit as audit_log
from roster_pipeline.directory import rollback as rollbacks
from roster_pipeline.runtime import run_queue
from roster_pipeline.services import decisions, school_status
from roster_pipeline.vocabulary import DONE, counted, moment

ACTIONS = DONE | {"link": "linked", "held": "held"}
run = group("Runs of a school that wait or are under way.")


def history(
    key: MaybeSchoolKey = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was applied, newest first: syncs, approvals, relinks and rollbacks; and what failed."""
    with open_directory() as database, database.begin() as conn:
        school_id = tenants.get_school(conn, key).id if key else None
        syncs = ledger.history(conn, school_id=school_id, limit=limit)
        failed = alerts.recent(conn, school_id=school_id, limit=limit)
        zones = tenants.time_zones(conn)
    rows: list[Any] = [*syncs, *failed]
    rows = sorted(rows, key=lambda row: row.at, reverse=True)[:limit]
    print_rows(
        as_json,
        [_data(row) for row in rows],
        ["sync", "when", "school", "kind", *ACTIONS.values(), "source", "outcome", "who", "undone by"],
        [_line(row, zones[row.school]) for row in rows],
    )


def _data(row: Any) -> dict[str, Any]:
    """A line as data. A failure has no number of a sync."""
    if isinstance(row, ledger.SyncRow):
        text, age = _outcome(row)
        return {name: value for name, value in vars(row).items() if name != "report"} | {"said": text, "source": age}
    return {**row._asdict(), "id": None, "kind": "failure", "outcome": "failed"}


def _line(row: Any, zone: str) -> tuple[Any, ...]:
    if not isinstance(row, ledger.SyncRow):
        message = school_status.plain(row.message, row.school)
        return ("-", moment(row.at, zone), row.school, "failure", *("·" for _ in ACTIONS), "", message, row.who, "")
    text, age = _outcome(row)
    kind = row.kind if row.undoes is None else f"{row.kind} of {row.undoes}"
    counts = (sum(of.get(action, 0) for of in row.counts.values()) or "·" for action in ACTIONS)
    return (row.id, moment(row.at, zone), row.school, kind, *counts, age, text or row.outcome, row.who, row.undone_by)


def _outcome(row: ledger.SyncRow) -> tuple[str, str]:
    """The outcome as in the mail, and the age of the source."""
    status = school_status.status_of_sync(row.kind, row.outcome, row.report)
    return status.sentence, status.source


ARCHIVED = "archived"
THINGS = {
    "person": ("person", "people"),
    "link": ("link", "links"),
    "membership": ("membership", "memberships"),
    "contact": ("contact", "contacts"),
}
WAYS = {"remove": "removed", "set back": "set back", "remake": "made again"}
"""The effect of a rollback on rows of the directory, in words."""


def rollback(
    sync_id: Annotated[int, typer.Argument(metavar="SYNC", help="The sync's number; see: roster history")],
    only: Annotated[str | None, typer.Option("--only", metavar=ARCHIVED, help="Undo its archivals only.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be undone; change nothing.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="The reason, for the audit. Required.")] = None,
    yes: Yes = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Undo one sync by a new sync. Rows that changed since are not touched; they are reported."""
    if only not in (None, ARCHIVED):
        raise typer.BadParameter(f"--only: the only value is {ARCHIVED}")
    part: Literal["archived"] | None = "archived" if only else None
    with open_directory() as database:
        if preview:
            _show(rollbacks.preview(database, sync_id, only=part), as_json)
            return
        if reason is None:
            raise typer.BadParameter("--reason: say why; it is kept in the audit (or --preview to look first)")
        why = given_reason(reason)
        if not yes:
            note(_summary(rollbacks.preview(database, sync_id, only=part)))
        confirm(f"Undo sync {sync_id}?", yes=yes)
        result = decisions.roll_back(database, sync_id, who=who_asks(who), reason=why, only=part)
    if as_json:
        print_json(vars(result))
    else:
        columns = ["role", "undone", "people"]
        print_table(columns, [(role, what, n) for role, of in result.counts.items() for what, n in of.items()])
    note(f"Sync {sync_id} is undone by sync {result.sync_id}.")
    note("The next sync makes the same changes again, unless you change the settings or the SIS first.")
    if moved := decisions.moved_words(result):
        note(moved, style="yellow")
        raise typer.Exit(HELD)


def _show(rows: Sequence[sa.Row[Any]], as_json: bool) -> None:
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    columns = ["person", "school", "what", "how", "fields", "left alone"]
    print_table(columns, [(row.person_id, row.school, row.entity, row.way, row.fields, row.moved) for row in rows])
    note(_summary(rows))


def _summary(rows: Sequence[sa.Row[Any]]) -> str:
    ways = Counter((row.entity, "not touched, changed later" if row.moved else WAYS[row.way]) for row in rows)
    parts = [f"{counted(number, *THINGS[entity])} {way}" for (entity, way), number in sorted(ways.items())]
    return "; ".join(parts) or "Nothing would be undone."


def audit(
    school: Annotated[str | None, typer.Option("--school", help="Only what concerns this school.")] = None,
    person: Annotated[int | None, typer.Option("--person", help="Only what concerns this person (its number).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show who approved, changed settings, rolled back, linked or excluded; when and why."""
    with open_directory() as database, database.begin() as conn:
        row = tenants.get_school(conn, school) if school else None
        entries = audit_log.search(conn, school_id=row.id if row else None, person_id=person, limit=limit)
    print_rows(
        as_json,
        [vars(line) for line in entries],
        ["when", "who", "what", "district", "school", "person", "why", "details"],
        [
            (
                moment(line.at, row.settings.zone) if row else line.at,
                line.who,
                line.what,
                line.district,
                line.school,
                line.person_id,
                line.reason,
                {name: value for name, value in line.details.items() if name != "persons"},
            )
            for line in entries
        ],
    )


@run.command("cancel", epilog=examples("roster run cancel oak"))
def cancel(key: SchoolKey, who: Who = None) -> None:
    """End every run of a school that is under way or waits: of the console, the schedule and Dagster.

    The database rolls back everything that the run had not committed. History and audit say who canceled it.
    """
    asker = who_asks(who)
    with open_directory() as database:
        with database.begin() as conn:
            school = tenants.get_school(conn, key)
            manual = manual_runs.of_school(conn, school.id)
            ended = [row.id for row in manual if manual_runs.cancel(conn, school.id, row.id, asker)]
            for run_id in ended:
                audit_log.record_cancel(conn, run_id, school, who=asker)
        left = []
        with dg.DagsterInstance.get() as instance:
            for dagster_run in _under_way(instance, key):
                if dagster_run.run_id in {row.id for row in manual}:
                    continue
                if not _terminate(instance, dagster_run):
                    left.append(dagster_run.run_id)
                    continue
                ended.append(dagster_run.run_id)
                database.call(audit_log.record_cancel, dagster_run.run_id, school, who=asker)
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
    status = dg.DagsterRunStatus
    open_ones = [status.QUEUED, status.NOT_STARTED, status.STARTING, status.STARTED]
    runs = instance.get_runs(dg.RunsFilter(statuses=open_ones))
    return [row for row in runs if asset_helpers.partition_of(row.tags) == key]


def _terminate(instance: dg.DagsterInstance, dagster_run: dg.DagsterRun) -> bool:
    """End a run by Dagster's own means. False if it runs in the process of a command."""
    from dagster._core.storage.tags import GRPC_INFO_TAG

    waits = dagster_run.status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
    if not waits and GRPC_INFO_TAG not in dagster_run.tags and run_queue.TASK_TAG not in dagster_run.tags:
        return False
    return bool(instance.run_coordinator.cancel_run(dagster_run.run_id))
