"""`roster audit`: who did what, when and why."""

from __future__ import annotations

from typing import Annotated

import typer

from roster_pipeline.cli.output import print_json, print_table
from roster_pipeline.cli.session import AsJson, open_directory


def audit(
    school: Annotated[str | None, typer.Option("--school", help="Only what concerns this school.")] = None,
    person: Annotated[int | None, typer.Option("--person", help="Only what concerns this person (its number).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who approved, changed settings, rolled back, linked or excluded; when and why."""
    from roster_pipeline.directory import audit as lines
    from roster_pipeline.directory import tenants

    with open_directory() as database, database.begin() as opened:
        schools = {row.id: row.key for row in tenants.list_schools(opened)}
        school_id = tenants.get_school(opened, school).id if school else None
        found = lines.entries(opened, school_id=school_id, person_id=person, limit=limit)
    if as_json:
        print_json([vars(line) | {"school": schools.get(line.school_id or 0)} for line in found])
        return
    print_table(
        ["when", "who", "what", "school", "person", "why", "details"],
        [
            (line.at, line.who, line.what, schools.get(line.school_id or 0), line.person_id, line.reason, line.details)
            for line in found
        ],
    )
