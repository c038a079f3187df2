"""`roster people`: the directory as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from roster_pipeline.cli.commands import AsJson, SchoolKey, open_directory
from roster_pipeline.cli.output import note, print_json, print_table
from roster_pipeline.vocabulary import ROLE_ORDER, counted, full_name

STATUSES = ("active", "archived", "all")
COLUMNS = ("person", "name", "role", "grade", "number", "e-mail", "status", "notes")


def people(
    key: SchoolKey,
    role: Annotated[str | None, typer.Option("--role", help=f"Only {', '.join(ROLE_ORDER)}.", metavar="ROLE")] = None,
    status: Annotated[str, typer.Option("--status", help="active, archived or all.", metavar="STATUS")] = "active",
    search: Annotated[str | None, typer.Option("--search", help="Part of a name, e-mail, username or number.")] = None,
    as_json: AsJson = False,
) -> None:
    """The people of a school as the directory has them now."""
    from roster_pipeline.directory import members, people_list, tenants
    from roster_pipeline.directory.people_list import PeopleFilter

    if role is not None and role not in ROLE_ORDER:
        raise typer.BadParameter(f"--role: one of {', '.join(ROLE_ORDER)}")
    if status not in STATUSES:
        raise typer.BadParameter(f"--status: one of {', '.join(STATUSES)}")
    with open_directory() as database, database.begin() as opened:
        school = tenants.get_school(opened, key)
        wanted = PeopleFilter(school.district_id, school.id, words=search or "")
        found = None if search is None else people_list.ids(opened, wanted)
        rows = members.list_members(
            opened, school.district_id, school.id, status=None if status == "all" else status, role=role, people=found
        )
    if as_json:
        print_json(rows)
        return
    print_table(COLUMNS, [_cells(row) for row in rows])
    note(counted(len(rows), "person", "people"))


def _cells(row: Mapping[str, Any]) -> tuple[Any, ...]:
    notes = ["excluded"] * bool(row["excluded"]) + ["by hand"] * (not row["managed"])
    notes += [f"locked: {', '.join(row['locked_fields'])}"] if row["locked_fields"] else []
    if row["archived_by"]:
        notes.append(f"archived by {row['archived_by']}")
    name = full_name(row)
    return (
        row["person_id"],
        name,
        row["role"],
        row["grade"],
        row["number"],
        row["email"],
        row["status"],
        "; ".join(notes),
    )
