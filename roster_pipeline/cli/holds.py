"""`roster hold`: changes that a guard held, and a person's decision. `roster plan`: every row of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from roster_pipeline.cli.commands import (
    HELD,
    AsJson,
    CommandError,
    MaybeSchoolKey,
    Reason,
    SchoolKey,
    Who,
    examples,
    given_reason,
    group,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import (
    note,
    print_findings,
    print_json,
    print_pairs,
    print_plan_counts,
    print_report,
    print_rows,
    print_table,
    say,
    shown,
)
from roster_pipeline.directory import approvals, plans, sync_summary, tenants
from roster_pipeline.directory import plan_rows as stored_rows
from roster_pipeline.notifications import outcome as outcomes
from roster_pipeline.services import decisions, plan_rows
from roster_pipeline.sync import build_report
from roster_pipeline.vocabulary import (
    ACTIONS,
    CHANGING,
    DOUBTED,
    OTHER_CONNECTION,
    Role,
    counted,
    is_overridable,
    moment,
)

hold = group("Holds: changes that a guard stopped. They wait until a person approves or discards them.")
PlanNumber = Annotated[int, typer.Option("--plan", help="The plan that you looked at; see: roster hold show SCHOOL")]
plan = group("Plans: who would be created, updated, restored, archived or left alone, and why.")
NOTABLE = tuple(action for action in ACTIONS if action != "unchanged")
DELTA = " -> "
IDENTIFYING = ("email", "number", "grade")
COLUMNS = ("row", "action", "role", "who", "why", "fields")


@hold.command("list")
def list_(key: MaybeSchoolKey = None, as_json: AsJson = False) -> None:
    """List what waits for a decision, in one school or in all."""
    with open_directory() as database, database.begin() as conn:
        holds, zones = _held(conn, key), tenants.time_zones(conn)
    rows = []
    for one in holds:
        why = "\n".join(finding["message"] for finding in one.findings if not finding.get("repeats"))
        made = moment(one.made_at, zones[one.school])
        rows.append((one.school, one.plan_id, made, one.role, one.action, one.rows, why, one.overridable))
    columns = ["school", "plan", "made", "role", "action", "rows", "why", "can be approved"]
    remark = f"Every row: roster hold show {holds[0].school}" if holds else "Nothing is held."
    print_rows(as_json, [as_data(held) for held in holds], columns, rows, remark)


@hold.command("show", epilog=examples("roster hold show oak"))
def show(key: SchoolKey, as_json: AsJson = False) -> None:
    """Show the held rows of a school's plan, with the guards that stopped them."""
    with open_directory() as database, database.begin() as conn:
        holds = _held(conn, key)
        lines = []
        if holds:
            lines = plan_rows.lines(conn, plans.get(conn, holds[0].plan_id), stored_rows.RowFilter(held=True))
    if as_json:
        print_json({"school": key, "holds": [as_data(o) for o in holds], "rows": [line.as_dict() for line in lines]})
        return
    if not holds:
        note(f"{key}: nothing is held.")
        return
    print_lines(lines)
    print_findings((held.role, held.action, held.rows, _findings(held)) for held in holds)
    if not any(held.overridable for held in holds):
        note(f"\nThis cannot be approved. Sync again: roster sync {key}")
        return
    note(f"\nApply it: roster hold approve {key} --plan {holds[0].plan_id} --reason WHY")
    note(f"Drop it:  roster hold discard {key} --plan {holds[0].plan_id} --reason WHY")


@hold.command(
    "approve", epilog=examples("roster hold approve oak --plan 17 --reason 'two classes left, the office confirmed'")
)
def approve(
    key: SchoolKey,
    plan: PlanNumber,
    reason: Reason,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ROLE:ACTION", help="Only this part, such as student:archive. Repeat for more."),
    ] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Approve the held rows of this plan, all or some of them, and apply them now."""
    with open_directory() as database:
        # a person who can run this command operates the installation, so they decide for every district
        applied = decisions.approve(
            database, key, plan, who=who_asks(who), reason=given_reason(reason), manager=True, parts=_parts(only)
        )
        report = build_report.report_of(database.call(sync_summary.sync_summary, applied.sync_id))
    print_report(report, as_json)
    note(f"{key}, sync {applied.sync_id}: {outcomes.outcome(report)}")
    if any(held.rows for held in report.held):
        raise typer.Exit(HELD)


@hold.command(
    "exempt",
    epilog=examples(
        "roster hold exempt oak --plan 17 --row 3 --row 5 --reason 'on a journey'",
        "roster hold exempt oak --take-back --reason 'they have left after all'",
    ),
)
def exempt(
    key: SchoolKey,
    reason: Reason,
    plan: Annotated[int | None, typer.Option("--plan", help="The plan that you looked at.")] = None,
    row: Annotated[
        list[int] | None, typer.Option("--row", help="The number of a held row, as roster hold show has it. Repeat.")
    ] = None,
    take_back: Annotated[bool, typer.Option("--take-back", help="End all exemptions of the school instead.")] = False,
    who: Who = None,
) -> None:
    """Leave single held rows out: no sync makes these changes until the SIS asks for something else."""
    if not take_back and (plan is None or not row):
        raise typer.BadParameter("give --plan and at least one --row, or --take-back")
    given = {"who": who_asks(who), "reason": given_reason(reason)}
    with open_directory() as database:
        if take_back:
            done = decisions.take_back(database, key, None, **given)
            changes = counted(done, "change is", "changes are")
            note(f"{key}: {changes} planned again by the next sync.")
            return
        done = decisions.exempt(database, key, plan or 0, row or (), **given)
    note(f"{key}: {counted(done, 'row is', 'rows are')} left out, in plan {plan} and in later ones.")


@hold.command("discard", epilog=examples("roster hold discard oak --plan 17 --reason 'the SIS was half empty'"))
def discard(key: SchoolKey, plan: PlanNumber, reason: Reason, who: Who = None) -> None:
    """Discard this plan: its held rows are not applied. The next sync makes a new plan."""
    with open_directory() as database:
        decisions.discard(database, key, plan, who=who_asks(who), reason=given_reason(reason))
    note(f"{key}: plan {plan} discarded.")


@hold.command("relink", epilog=examples("roster hold relink oak --plan 17 --reason 'the SIS was upgraded'"))
def relink(key: SchoolKey, plan: PlanNumber, reason: Reason, who: Who = None) -> None:
    """If most ids are new: link the people to their new ids and change nothing else. Then sync again."""
    with open_directory() as database:
        result = decisions.relink(database, key, plan, who=who_asks(who), reason=given_reason(reason))
    note(f"{key}, sync {result.sync_id}: {outcomes.linked_words(result.total('link'))}. Next: roster sync {key}")


def as_data(held: approvals.Hold) -> dict[str, Any]:
    return {**vars(held), "overridable": held.overridable}


def _parts(only: list[str] | None) -> list[tuple[str, str]] | None:
    parts = [(role, action) for role, _, action in (one.partition(":") for one in only or ())]
    if any(role not in set(Role) or action not in CHANGING for role, action in parts):
        raise typer.BadParameter("--only: write ROLE:ACTION, for example student:archive; see: roster hold list")
    return parts or None


def _held(conn: sa.Connection, key: str | None) -> list[approvals.Hold]:
    return approvals.held(conn, school_id=tenants.get_school(conn, key).id if key else None)


def _findings(held: approvals.Hold) -> list[tuple[str, bool]]:
    """Message of each finding, and whether an approval can override it; repetitions of another finding come last."""
    findings = sorted(held.findings, key=lambda finding: bool(finding.get("repeats")))
    again = "(another guard found the same) "
    return [(again * bool(one.get("repeats")) + str(one["message"]), is_overridable(one)) for one in findings]


@plan.command(
    "show",
    epilog=examples(
        "roster plan show oak", "roster plan show oak --action archive", "roster plan show oak --csv plan.csv"
    ),
)
def show_plan(
    key: SchoolKey,
    number: Annotated[int | None, typer.Option("--plan", help="A plan's number. Default: the newest one.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only rows with this action.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the unchanged rows too.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every row to this file, for a spreadsheet.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a school's newest plan, also that of a dry run: who, what, which fields from what to what, why."""
    if action is not None and action not in ACTIONS:
        raise typer.BadParameter(f"--action: one of {', '.join(ACTIONS)}")
    with open_directory() as database, database.begin() as conn:
        school = tenants.get_school(conn, key)
        row = plans.latest(conn, school.id, dry_run=True) if number is None else plans.get(conn, number)
        if row is None or row.school_id != school.id:
            raise CommandError(f"{key}: there is no such plan.\nMake one: roster sync {key} --dry-run")
        summary = plan_rows.summary_of(conn, row)
        shown = (action,) if action else () if everything or csv or as_json else NOTABLE
        lines = plan_rows.lines(conn, row, stored_rows.RowFilter(actions=shown))
    if csv is not None:
        written = counted(plan_rows.write_csv(csv, lines), "line", "lines")
        note(f"{written} written to {csv}. It names people: delete it when done.")
        return
    if as_json:
        print_json(summary.as_dict() | {"rows": [line.as_dict() for line in lines]})
        return
    print_lines(lines)
    doubted = [line for line in lines if line.reason in DOUBTED]
    print_pairs("Records that may be somebody else's", doubted, school)
    if doubted:
        say(f"Somebody else, if the person has left: roster person unlink-leavers {key} --reason '...'")
    waiting = [line for line in lines if line.reason == OTHER_CONNECTION]
    print_pairs("Records that may be people of another connection", waiting, school)
    title = f"\nPlan {row.id} of {moment(row.made_at, school.settings.zone)}, {summary.state}"
    print_plan_counts(summary.counts, title=title)
    print_findings(summary.held)


def print_lines(lines: list[plan_rows.Line]) -> None:
    print_table(
        COLUMNS,
        [
            (line.row, line.action, line.role, line.name or ", ".join(line.sourced_ids), line.why, changes_text(line))
            for line in lines
        ],
    )


def changes_text(line: plan_rows.Line) -> str:
    """The field changes, one a line. For a new person only what tells who it is (JSON and CSV have all fields)."""
    if line.action == "create":
        values = {field: new for field, (_, new) in line.changes.items() if new is not None}
        return ", ".join(f"{field} {shown(values[field])}" for field in IDENTIFYING if field in values)
    return "\n".join(f"{field}: {shown(old)}{DELTA}{shown(new)}" for field, (old, new) in line.readable.items())
