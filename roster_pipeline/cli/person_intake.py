"""`roster person import` and `sync`: people from a list or from the SIS, shown first and entered with `--apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roster_pipeline.cli.commands import AsJson, CommandError, Who, examples, given_reason, open_directory, who_asks
from roster_pipeline.cli.output import note, print_json, print_table, shown
from roster_pipeline.cli.persons import Number, person
from roster_pipeline.directory import accounts, plans, tenants, uploads
from roster_pipeline.services import people_file, people_upload, plan_rows
from roster_pipeline.sync import one_person
from roster_pipeline.vocabulary import ROLE_ORDER

__all__ = ["pairs", "person"]


@person.command(
    "import",
    epilog=examples(
        "roster person import list.xlsx --school oak",
        "roster person import list.csv --school oak --apply --reason 'the staff'",
    ),
)
def import_list(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or XLSX file with a row of column names.")],
    school: Annotated[str, typer.Option("--school", help="The school they join.")],
    role: Annotated[
        str, typer.Option("--role", help="Role of rows without one: student, teacher, staff or admin.", metavar="ROLE")
    ] = "",
    decide: Annotated[
        list[str] | None,
        typer.Option("--decide", metavar="ROW=WHO", help="Who a row is: a person's number, new or out. Repeat."),
    ] = None,
    file_hash: Annotated[
        str, typer.Option("--hash", metavar="HASH", help="The file that --decide is about, as the preview prints it.")
    ] = "",
    do: Annotated[bool, typer.Option("--apply", help="Do it. Without it, only the preview is shown.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the audit. Needed with --apply.")] = "",
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Enter people from a list who are not in the SIS. Shows what each row would do; nobody is archived."""
    if role and role not in ROLE_ORDER:
        raise typer.BadParameter(f"--role: one of {', '.join(ROLE_ORDER)}")
    why = given_reason(reason) if do else ""
    if not file.is_file():
        problem = "this is not a file" if file.exists() else "there is no such file"
        raise CommandError(f"{file}: {problem}.\nName a CSV or XLSX file.")
    read = people_file.read_people_file(file.read_bytes())
    columns = people_file.fields_of_columns(read.header)
    choices = {int(row): who for row, who in pairs("--decide", decide or []).items() if row.isdecimal()}
    upload = uploads.Upload(0, read.header, read.rows, columns, role, choices)
    if choices and file_hash != upload.hash:
        raise CommandError(f"{file}: this is not the file that --hash names.\nLook at the preview again.")
    sync = None
    with open_directory() as database, database.begin() as opened:
        row = tenants.get_school(opened, school)
        reader = accounts.COMMAND_LINE
        seen = people_upload.preview(opened, row, read, columns, role=role, choices=choices, reader=reader)
        if do and seen.doing:
            by = {"who": who_asks(who), "reason": why}
            sync = people_upload.apply(opened, row, upload, seen.digest, reader=reader, **by)
    if seen.problem:
        raise CommandError(f"{file}: {seen.problem}\nSee which columns are recognised: roster person import --help")
    if as_json:
        rows = [{"row": one.number, "what": one.what, "why": one.why, "person": one.person_id} for one in seen.rows]
        print_json(
            {"sync": sync, "columns_left_out": seen.unknown, "counts": seen.counts, "rows": rows, "hash": upload.hash}
        )
        return
    _print_preview(seen, upload.hash, school)
    if sync is not None:
        note(f"Done: sync {sync}. To undo it: roster rollback {sync}")
    elif seen.doing:
        note("Nothing was changed. To do it, add --apply and --reason.")


def _print_preview(seen: people_upload.Preview, file_hash: str, school: str) -> None:
    if seen.unknown:
        note(f"Columns that are not recognised and left out: {', '.join(seen.unknown)}")
    print_table(
        ["row", "name", "what", "person", "why"],
        [(one.number, one.name, one.what, one.person_id, one.why) for one in seen.rows],
    )
    counts = [f"{what}: {number:,}" for what, number in seen.counts.items() if number]
    note(f"{school}: {', '.join(counts)}")
    if seen.counts[people_file.LOOK]:
        note(f"To say who a row is, add --decide ROW=PERSON, ROW=new or ROW=out, and --hash {file_hash}")


@person.command(
    "sync",
    epilog=examples(
        "roster person sync 42 --school oak", "roster person sync 42 --school oak --apply --reason 'asked for it'"
    ),
)
def sync_person(
    number: Number,
    school: Annotated[str, typer.Option("--school", help="The school whose SIS is asked.")],
    do: Annotated[bool, typer.Option("--apply", help="Do it. Without it, only the changes are shown.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the audit. Needed with --apply.")] = "",
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Ask the SIS for this person alone, show what would change, and apply it."""
    why = given_reason(reason) if do else ""
    with open_directory() as database:
        asked = one_person.make_plan(database, school, number)
        with database.begin() as opened:
            rows = plan_rows.lines(opened, plans.get(opened, asked.plan_id))
        result = one_person.apply_plan(database, school, asked.plan_id, who=who_asks(who), reason=why) if do else None
    if as_json:
        changes = [{"action": row.action, "why": row.why, "held": row.held, "changes": row.readable} for row in rows]
        outcome = result.outcome if result else None
        print_json(
            {"said": dict(asked.answers), "rows": changes, "outcome": outcome, "sync": result and result.sync_id}
        )
        return
    for record, state in asked.answers.items():
        note(f"The SIS on record {record}: {state}.")
    print_table(
        ["what", "from, to", "why"],
        [
            (
                f"{row.action}{', held' if row.held else ''}",
                "\n".join(f"{name}: {shown(old)} -> {shown(new)}" for name, (old, new) in row.readable.items()),
                row.why,
            )
            for row in rows
        ],
    )
    if result is None:
        note("Nothing was changed. To do it, add --apply and --reason.")
    elif result.outcome == "applied":
        note(f"Synced: sync {result.sync_id}. To undo it: roster rollback {result.sync_id}")
    elif result.outcome == "held":
        note("A guard held the change, so nothing was done. See: roster hold list")
    else:
        note("Nothing had to change.")


def pairs(option: str, texts: list[str]) -> dict[str, str]:
    """NAME=VALUE pairs. Raises BadParameter for a text without an equals sign."""
    pairs = [text.partition("=") for text in texts]
    if any(not equals for _, equals, _ in pairs):
        raise typer.BadParameter(f"{option}: write NAME=VALUE")
    return {name.strip(): value for name, _, value in pairs}
