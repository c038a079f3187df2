"""`roster plan`: every row of a plan, before or after it is applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roster_pipeline.cli.commands import CommandError, examples, group
from roster_pipeline.cli.output import note, print_findings, print_json, print_plan_counts, print_table, say, shown
from roster_pipeline.cli.session import AsJson, SchoolKey, open_directory
from roster_pipeline.vocabulary import counted, moment

if TYPE_CHECKING:
    from roster_pipeline.directory.tenants import SchoolRow
    from roster_pipeline.services.plan_rows import Line
    from roster_pipeline.services.plan_summary import PlanSummary

plan = group("Plans: who would be created, updated, restored, archived or left alone, and why.")
QUIET = "unchanged"
DELTA = " -> "
IDENTIFYING = ("email", "number", "grade")
COLUMNS = ("row", "action", "role", "who", "why", "fields")


@plan.command(
    "show",
    epilog=examples(
        "roster plan show oak", "roster plan show oak --action archive", "roster plan show oak --csv plan.csv"
    ),
)
def show(
    key: SchoolKey,
    number: Annotated[int | None, typer.Option("--plan", help="A plan's number. Default: the newest one.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only rows with this action.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the unchanged rows too.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every row to this file, for a spreadsheet.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a school's newest plan, also that of a dry run: who, what, which fields from what to what, why."""
    from roster_pipeline.directory import plans, tenants
    from roster_pipeline.directory.plan_rows import RowFilter
    from roster_pipeline.services.plan_rows import lines as lines_of
    from roster_pipeline.services.plan_rows import write_csv
    from roster_pipeline.services.plan_summary import summary_of
    from roster_pipeline.vocabulary import DOUBTED, OTHER_CONNECTION

    with open_directory() as database, database.begin() as conn:
        school = tenants.get_school(conn, key)
        row = plans.latest(conn, school.id, dry_run=True) if number is None else plans.get(conn, number)
        if row is None or row.school_id != school.id:
            raise CommandError(f"{key}: there is no such plan.\nMake one: roster sync {key} --dry-run")
        summary = summary_of(conn, row)
        lines = lines_of(conn, row, RowFilter(actions=(action,) if action else ()))
    if csv is not None:
        written = counted(write_csv(csv, lines), "line", "lines")
        note(f"{written} written to {csv}. It names people: delete it when done.")
        return
    if as_json:
        print_json(summary.as_dict() | {"rows": [line.as_dict() for line in lines]})
        return
    print_lines([line for line in lines if everything or action or line.action != QUIET])
    _print_doubted([line for line in lines if line.reason in DOUBTED], school)
    _print_waiting([line for line in lines if line.reason == OTHER_CONNECTION], school)
    _print_summary(summary, school)


def print_lines(lines: list[Line]) -> None:
    """Plan rows as a table."""
    print_table(
        COLUMNS,
        [
            (line.row, line.action, line.role, line.name or ", ".join(line.sourced_ids), line.why, changes_text(line))
            for line in lines
        ],
    )


def changes_text(line: Line) -> str:
    """The field changes, one a line; of a new person only what tells who it is (JSON and CSV have all of it)."""
    if line.action == "create":
        values = {field: new for field, (_, new) in line.changes.items() if new is not None}
        return ", ".join(f"{field} {shown(values[field])}" for field in IDENTIFYING if field in values)
    return "\n".join(f"{field}: {shown(old)}{DELTA}{shown(new)}" for field, (old, new) in line.readable.items())


def _print_doubted(lines: list[Line], school: SchoolRow) -> None:
    """Persons and records of the links that a person must say something about, and how to say it."""
    if not lines:
        return
    _print_pairs("Records that may be somebody else's", lines, school)
    say(f"Somebody else, wherever the person has left: roster person unlink-leavers {school.key} --reason '...'")


def _print_waiting(lines: list[Line], school: SchoolRow) -> None:
    """Persons and records of the matches that the district's manager has to settle."""
    if lines:
        _print_pairs("Records that may be people whom another connection knows", lines, school)


def _print_pairs(title: str, lines: list[Line], school: SchoolRow) -> None:
    say(f"\n{title}", style="bold")
    print_table(("row", "person", "record"), [(line.row, line.person_id, line.sourced_ids) for line in lines])
    of = f"--connection {school.connection.key} --reason '...'"
    say(f"Somebody else:   roster person unlink PERSON RECORD {of}")
    say(f"The same person: roster person link PERSON RECORD {of}")


def _print_summary(summary: PlanSummary, school: SchoolRow) -> None:
    made = summary.plan
    title = f"\nPlan {made.id} of {moment(made.made_at, school.settings.zone)}, {summary.state}"
    print_plan_counts(summary.counts, title=title)
    print_findings(summary.held)
