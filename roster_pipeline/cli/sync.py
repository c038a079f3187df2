"""`roster sync`: one school's sync now. `roster pause`, `guard` and `leavers`: what people announce before a sync."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from roster_pipeline.cli.commands import (
    DONE,
    FAILED,
    HELD,
    AsJson,
    CommandError,
    Reason,
    SchoolKey,
    Who,
    examples,
    given_reason,
    group,
    open_directory,
    text_of,
    who_asks,
)
from roster_pipeline.cli.output import (
    console,
    note,
    print_findings,
    print_json,
    print_plan_counts,
    print_report,
    print_rows,
)
from roster_pipeline.directory import audit, lasting_decisions, ledger, sync_summary, tenants
from roster_pipeline.directory import database as databases
from roster_pipeline.notifications import outcome as outcomes
from roster_pipeline.runtime import run_school
from roster_pipeline.runtime.processes import Ended
from roster_pipeline.services import decisions, plan_rows, school_changes
from roster_pipeline.sync import build_report
from roster_pipeline.vocabulary import counted, day

guard = group("Guards: the limits of a school's guards.")
leavers = group("Leavers: people who were announced to leave. They count for no guard once they are gone.")
Until = Annotated[
    datetime,
    typer.Option("--until", formats=["%Y-%m-%d"], metavar="DATE", help="The last day of the higher limit, included."),
]


def sync(
    key: SchoolKey,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fetch, clean and plan; apply nothing.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Run one school's sync now, as a Dagster run, and show its outcome."""
    with open_directory() as database:
        with database.begin() as conn:
            school = tenants.get_school(conn, key)  # an unknown school is reported before a run starts
            run_id, kind = str(uuid.uuid4()), "dry_run" if dry_run else "sync"
            audit.record_run(conn, run_id, kind, school, who=who_asks(who))
        try:
            with _progress(key) as show_step:
                ran = run_school.run_school(key, run_id=run_id, dry_run=dry_run, on_step=show_step)
        except Ended as ended:
            raise CommandError(_ended(database, key, run_id, ended), ended.exit_code) from None
        if ran.problem:
            raise CommandError(ran.problem, HELD if ran.nothing_found else FAILED)
        code = _show_plan(database, key, ran.run_id, as_json) if dry_run else _show_sync(database, key, as_json)
    raise typer.Exit(code)


def _ended(database: databases.Database, key: str, run_id: str, ended: Ended) -> str:
    """The message for a run that a signal ended. A school's changes are applied in one transaction, or not at all."""
    applied = database.call(ledger.has_run, run_id)
    if applied:
        return f"{key}: {ended} Its changes had been applied already.\nLook at them: roster history {key}"
    return f"{key}: {ended} Nothing was applied; the directory is unchanged.\nRun it again: roster sync {key}"


def _show_sync(database: databases.Database, key: str, as_json: bool) -> int:
    with database.begin() as conn:
        sync_id = sync_summary.latest_sync(conn, key)
        if sync_id is None:
            raise CommandError(f"{key}: the run ended without a sync.\nLook at the run in the UI: roster dev")
        report = build_report.report_of(sync_summary.sync_summary(conn, sync_id))
    waiting = sum(held.rows for held in report.held)
    print_report(report, as_json)
    empty = outcomes.nothing_found(report)
    style = "green" if outcomes.tone(report) == "good" else "yellow"
    note(f"{key}, sync {sync_id}: {outcomes.outcome(report)}", style=style)
    if waiting:
        note(f"See what is held: roster hold show {key}")
    if empty:
        note(_where_they_are(key, rostered=bool(report.roles)))
    return HELD if waiting or empty else DONE


def _show_plan(database: databases.Database, key: str, run_id: str, as_json: bool) -> int:
    with database.begin() as conn:
        summary = plan_rows.summary_of_run(conn, key, run_id)
        rostered = bool(tenants.get_school(conn, key).settings.rostered)
    if as_json:
        print_json(summary.as_dict())
    else:
        print_plan_counts(summary.counts)
        print_findings(summary.held)
    note(f"{key}: nothing was applied. {plan_rows.would_do(summary)} Every row: roster plan show {key}", style="green")
    if summary.found == 0:
        note(f"Nobody was found. {_where_they_are(key, rostered=rostered)}", style="yellow")
    return HELD if summary.held_rows or summary.found == 0 else DONE


def _where_they_are(key: str, *, rostered: bool) -> str:
    """What to do if a sync found nobody."""
    if not rostered:
        return f"Choose who is rostered, for example: roster school set {key} --students"
    return f"See what the SIS shows of this school: roster test-connection {key}"


@contextmanager
def _progress(key: str) -> Iterator[Callable[[str], None] | None]:
    """On a terminal, show which step runs; elsewhere show nothing."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    with screen.status(f"{key}: starting") as status:
        yield lambda step: status.update(f"{key}: {step}")


def pause(
    until: Annotated[
        datetime, typer.Option("--until", formats=["%Y-%m-%d"], metavar="DATE", help="The first day with syncs again.")
    ],
    reason: Reason,
    key: Annotated[str | None, typer.Argument(metavar="SCHOOL", help="The key of a school.")] = None,
    district: Annotated[str | None, typer.Option("--district", help="All schools of this district instead.")] = None,
    who: Who = None,
) -> None:
    """Let the schedule start nothing in a school, or in a district, before this day. Syncs by hand still work."""
    if (key is None) == (district is None):
        raise typer.BadParameter("give a school, or --district")
    first = until.date()
    given = {"who": who_asks(who), "reason": given_reason(reason)}
    with open_directory() as database, database.begin() as conn:
        school_changes.pause(conn, first, school=key, district=district, **given)
    end = f"roster school resume {key}" if key else f"roster district resume {district}"
    note(f"{key or district} is paused until {day(first)}. End it earlier: {end}")


@guard.command(
    "raise", epilog=examples("roster guard raise oak archive_share 0.4 --until 2026-08-31 --reason 'two classes leave'")
)
def raise_(
    key: SchoolKey,
    name: Annotated[str, typer.Argument(metavar="LIMIT", help="The setting, such as archive_share.")],
    value: Annotated[float, typer.Argument(metavar="VALUE", help="The higher limit: a share of 0 to 1, or a number.")],
    until: Until,
    reason: Reason,
    who: Who = None,
) -> None:
    """Raise one limit until a day, which is included. Then it goes back by itself."""
    last = until.date()
    with open_directory() as database, database.begin() as conn:
        decisions.raise_limit(conn, key, name, value, last, who=who_asks(who), reason=given_reason(reason))
    note(f"{key}: {name} is {value:g} until {day(last)}, this day included.")


@guard.command("lower", epilog=examples("roster guard lower oak"))
def lower(key: SchoolKey, who: Who = None) -> None:
    """End all raises of a school's limits now."""
    with open_directory() as database, database.begin() as conn:
        done = decisions.lower_limits(conn, key, who=who_asks(who))
    limits = counted(done, "raised limit is", "raised limits are")
    note(f"{key}: {limits} ended. The limits of the settings count again.")


@leavers.command(
    "add",
    epilog=examples(
        "roster leavers add oak 4711 4712 --day 2026-07-31 --reason 'the last class'",
        "roster leavers add oak --file leavers.csv --day 2026-07-31 --reason 'the last class'",
    ),
)
def add(
    key: SchoolKey,
    leaves: Annotated[
        datetime, typer.Option("--day", formats=["%Y-%m-%d"], metavar="DATE", help="The day on which they leave.")
    ],
    reason: Reason,
    people: Annotated[
        list[str] | None, typer.Argument(metavar="PEOPLE", help="Numbers, sourcedIds, e-mails or user names.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A text or CSV file with one such column.")] = None,
    who: Who = None,
) -> None:
    """Announce people who leave on a day. An announcement archives nobody."""
    words = "\n".join([*(people or ()), *([text_of(file)] if file else [])])
    given = {"who": who_asks(who), "reason": given_reason(reason)}
    with open_directory() as database, database.begin() as conn:
        done = decisions.announce(conn, tenants.get_school(conn, key), words, leaves.date(), **given)
    announced = f"announced as leaving on {day(leaves.date())}."
    note(f"{key}: {counted(done.people, 'person is', 'people are') if done.people else 'nobody is'} {announced}")
    if done.unknown:
        note(f"Nobody in this school has: {', '.join(done.unknown)}")
    if done.several:
        note(f"Several people have, so use the sourcedId: {', '.join(done.several)}")
    if not done.people:
        raise typer.Exit(FAILED)


@leavers.command("list", epilog=examples("roster leavers list oak"))
def list_(key: SchoolKey, as_json: AsJson = False) -> None:
    """List the announced leavers of a school."""
    with open_directory() as database, database.begin() as conn:
        announced = lasting_decisions.leavers_of_school(conn, tenants.get_school(conn, key).id, limit=10_000)
    print_rows(
        as_json,
        [one._asdict() | {"day": one.day.isoformat()} for one in announced],
        ["person", "name", "role", "leaves on", "now", "by", "reason"],
        [(one.person_id, one.name, one.role, one.day, one.status, one.who, one.reason) for one in announced],
    )


@leavers.command("remove", epilog=examples("roster leavers remove oak --person 17", "roster leavers remove oak --all"))
def remove(
    key: SchoolKey,
    person: Annotated[list[int] | None, typer.Option("--person", help="The person's number. Repeat for more.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of the school.")] = False,
    who: Who = None,
) -> None:
    """Take announcements back."""
    if every == bool(person):
        raise typer.BadParameter("give --person, or --all")
    with open_directory() as database, database.begin() as conn:
        done = lasting_decisions.withdraw_leavers(
            conn, tenants.get_school(conn, key), None if every else person, who_asks(who)
        )
    note(f"{key}: {counted(done, 'announcement was', 'announcements were')} taken back.")
