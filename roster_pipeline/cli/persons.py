"""`roster people`: the list of people. `roster person`: one person with memberships, links and history; and people from
a list, shown first and entered with `--apply`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from roster_pipeline.cli.commands import (
    AsJson,
    CommandError,
    SchoolKey,
    Who,
    examples,
    given_reason,
    group,
    open_directory,
    who_asks,
)
from roster_pipeline.cli.output import note, print_facts, print_json, print_rows, print_table, shown
from roster_pipeline.directory import accounts, audit, ledger, members, people_list, tenants, uploads
from roster_pipeline.services import people_file, people_upload, person_changes, possible_duplicates
from roster_pipeline.vocabulary import ROLE_ORDER, counted, full_name, moment

person = group("One person: the values in the directory, the records of the SIS, and the history.")
MOST_PAIRS = 200
"""At most this many pairs are shown, because each needs a query about both people."""
OURS = {"revision", "updated_at"}
"""Columns that change with every edit, so they are not shown."""
KEYS = {"id", "district_id", "person_id", "school_id", "created_at"}
"""Numbers of our own in a row that was added."""
Number = Annotated[int, typer.Argument(metavar="PERSON", help="The person's number; see: roster person find WORDS")]
District = Annotated[
    str | None, typer.Option("--district", help="The person's district. Not needed if there is only one.")
]
STATUSES = ("active", "archived", "all")
COLUMNS = ("person", "name", "role", "grade", "number", "e-mail", "status", "notes")


@person.command("find", epilog=examples("roster person find 'ada byron'", "roster person find ada@example.org"))
def find(
    words: Annotated[str, typer.Argument(help="Part of a name; or an e-mail, username, number, sourcedId.")],
    district: District = None,
    as_json: AsJson = False,
) -> None:
    """Search a district for people, archived ones too."""
    with open_directory() as database, database.begin() as conn:
        people = members.find(conn, district_of(conn, district).id, words)
    print_rows(
        as_json,
        [vars(one) for one in people],
        ["person", "name", "e-mail", "number", "memberships"],
        [
            (
                one.id,
                full_name(one.fields),
                one.fields["email"],
                one.fields["number"],
                [f"{each['school']}: {each['role']}, {each['status']}" for each in one.memberships],
            )
            for one in people
        ],
        counted(len(people), "person", "people") if people else "Nobody found.",
    )


@person.command("duplicates", epilog=examples("roster person duplicates", "roster person duplicates --school oak"))
def duplicates(
    school: Annotated[str | None, typer.Option("--school", help="Only with somebody of this school.")] = None,
    distinct: Annotated[bool, typer.Option("--distinct", help="The pairs that somebody marked as two people.")] = False,
    district: District = None,
    as_json: AsJson = False,
) -> None:
    """Pairs of people who may be one person, to merge or to keep apart."""
    with open_directory() as database, database.begin() as conn:
        row = tenants.get_school(conn, school) if school else None
        owner = row.district_id if row else district_of(conn, district).id
        pairs = possible_duplicates.possible_duplicates(
            conn, owner, accounts.COMMAND_LINE, school_id=row.id if row else None, distinct=distinct, limit=MOST_PAIRS
        )
    columns = ("person", "other", "name", "other_name", "agree", "differ")
    rows = [
        (
            *(side.person_id for side in pair.sides),
            *(side.name for side in pair.sides),
            pair.agree,
            [name for name in pair.fields if pair.differs(name)],
        )
        for pair in pairs.pairs
    ]
    data = [dict(zip(columns, values, strict=True)) for values in rows]
    headings = [name.replace("_", " ") for name in columns]
    print_rows(as_json, data, headings, rows, counted(pairs.total, "pair", "pairs"))


@person.command("show", epilog=examples("roster person show 42", "roster person show 42 --history"))
def show(
    number: Number,
    history: Annotated[bool, typer.Option("--history", help="Show every change of the person, too.")] = False,
    district: District = None,
    as_json: AsJson = False,
) -> None:
    """Everything the directory holds of one person."""
    with open_directory() as database, database.begin() as conn:
        owner = district_of(conn, district)
        found = members.get_person(conn, owner.id, number)
        changes = ledger.changes_of_person(conn, owner.id, number) if history else []
        zones = tenants.time_zones(conn)
        usual = tenants.usual_time_zone(conn, [owner.id]) or "UTC"
        entries = audit.search(conn, person_id=number) if history else []
        edits = [
            {"edit": entry.id, "when": entry.at, "who": entry.who, "what": entry.what, "reason": entry.reason}
            | {"undo": problem or "possible"}
            for edit, problem in person_changes.undoable(conn, found, entries, changes)
            for entry in (edit.entry,)
        ]
    if as_json:
        more = {"history": [vars(change) for change in changes], "edits": edits} if history else {}
        print_json(vars(found) | more)
        return
    facts = {field.replace("_", " "): value for field, value in found.fields.items()}
    by_hand = {"excluded": found.excluded, "locked fields": found.locked_fields}
    print_facts({"person": found.id, "district": owner.key} | facts | by_hand)
    tables = {
        "Memberships": found.memberships,
        "Links": found.links,
        "Records that are not this person": found.exclusions,
        "Contacts": found.contacts,
        "Edits by hand": edits,
    }
    for title, rows in tables.items():
        if rows:
            lines = [_in_zone(row, zones.get(str(row.get("school")), usual)) for row in rows]
            print_table(list(rows[0]), lines, title=f"\n{title}")
    if changes:
        columns = ["when", "sync", "school", "entity", "operation", "changes"]
        print_table(columns, [_change(change, found.id, zones, usual) for change in changes], title="\nHistory")


def district_of(conn: sa.Connection, key: str | None) -> tenants.DistrictRow:
    """The district asked for, or the only one. Raises CommandError if there are several and none is named."""
    if key is not None:
        return tenants.get_district(conn, key)
    rows = tenants.list_districts(conn)
    if len(rows) != 1:
        raise CommandError("Name the district: --district\nSee which there are: roster district list")
    return rows[0]


def _in_zone(row: Mapping[str, Any], zone: str) -> list[Any]:
    """The values of a row, its times by this clock."""
    return [moment(value, zone) if isinstance(value, datetime) else value for value in row.values()]


def _change(change: ledger.Change, number: int, zones: Mapping[str, str], usual: str) -> tuple[Any, ...]:
    before, after = change.before or {}, change.after or {}
    moved = sorted(name for name in before.keys() & after.keys() - OURS if before[name] != after[name])
    text = "\n".join(f"{name}: {shown(before[name])} -> {shown(after[name])}" for name in moved)
    if not (before and after):  # a row that was added, or taken away
        kept = {name: value for name, value in (before or after).items() if value not in (None, [], {})}
        text = "\n".join(f"{name}: {shown(kept[name])}" for name in sorted(kept.keys() - OURS - KEYS))
    at = moment(change.at, zones.get(change.school or "", usual))
    entity = change.entity if change.person_id == number else f"{change.entity} of person {change.person_id}"
    return (at, change.sync_id or "by hand", change.school, entity, change.operation, text)


def people(
    key: SchoolKey,
    role: Annotated[str | None, typer.Option("--role", help=f"Only {', '.join(ROLE_ORDER)}.", metavar="ROLE")] = None,
    status: Annotated[str, typer.Option("--status", help="active, archived or all.", metavar="STATUS")] = "active",
    search: Annotated[str | None, typer.Option("--search", help="Part of a name, e-mail, username or number.")] = None,
    as_json: AsJson = False,
) -> None:
    """The people of a school as the directory has them now."""
    if role is not None and role not in ROLE_ORDER:
        raise typer.BadParameter(f"--role: one of {', '.join(ROLE_ORDER)}")
    if status not in STATUSES:
        raise typer.BadParameter(f"--status: one of {', '.join(STATUSES)}")
    with open_directory() as database, database.begin() as conn:
        school = tenants.get_school(conn, key)
        wanted = people_list.PeopleFilter(school.district_id, (school.id,), words=search or "")
        found = None if search is None else people_list.ids(conn, wanted)
        rows = members.list_members(
            conn, school.district_id, school.id, status=None if status == "all" else status, role=role, people=found
        )
    print_rows(as_json, rows, COLUMNS, [_cells(row) for row in rows], counted(len(rows), "person", "people"))


def _cells(row: Mapping[str, Any]) -> tuple[Any, ...]:
    notes = ["excluded"] * bool(row["excluded"]) + ["by hand"] * (not row["managed"])
    notes += [f"locked: {', '.join(row['locked_fields'])}"] if row["locked_fields"] else []
    if row["archived_by"]:
        notes.append(f"archived by {row['archived_by']}")
    same = (row[name] for name in ("role", "grade", "number", "email", "status"))
    return (row["person_id"], full_name(row), *same, "; ".join(notes))


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
    with open_directory() as database, database.begin() as conn:
        row = tenants.get_school(conn, school)
        reader = accounts.COMMAND_LINE
        seen = people_upload.preview(conn, row, read, columns, role=role, choices=choices, reader=reader)
        if do and seen.doing:
            by = {"who": who_asks(who), "reason": why}
            sync = people_upload.apply(conn, row, upload, seen.digest, reader=reader, **by)
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


def pairs(option: str, texts: list[str]) -> dict[str, str]:
    """NAME=VALUE pairs. Raises BadParameter for a text without an equals sign."""
    pairs = [text.partition("=") for text in texts]
    if any(not equals for _, equals, _ in pairs):
        raise typer.BadParameter(f"{option}: write NAME=VALUE")
    return {name.strip(): value for name, _, value in pairs}
