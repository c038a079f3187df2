"""`roster rollback`: undo one sync from the change log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from roster_pipeline.cli.error_handling import HELD
from roster_pipeline.cli.output import note, print_json, print_table
from roster_pipeline.cli.session import AsJson, Who, Yes, confirm, given_reason, open_directory, who_asks

if TYPE_CHECKING:
    from roster_pipeline.directory.rollback import Undo

ARCHIVED = "archived"


def rollback(
    sync_id: Annotated[int, typer.Argument(metavar="SYNC", help="The sync's number; see: roster history")],
    only: Annotated[str | None, typer.Option("--only", metavar=ARCHIVED, help="Undo its archivals only.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be undone; change nothing.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit. Required.")] = None,
    yes: Yes = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """Undo one sync, as a sync of its own. Rows that moved since are left alone and reported."""
    from roster_pipeline.directory import rollback as undoing
    from roster_pipeline.services import decisions

    if only not in (None, ARCHIVED):
        raise typer.BadParameter(f"--only: {ARCHIVED} is all there is")
    part: Literal["archived"] | None = "archived" if only else None
    with open_directory() as database:
        if preview:
            _show(undoing.preview(database, sync_id, only=part), as_json)
            return
        if reason is None:
            raise typer.BadParameter("--reason: say why; it is kept in the audit (or --preview to look first)")
        why = given_reason(reason)
        if not yes:
            note(_summary(undoing.preview(database, sync_id, only=part)))
        confirm(f"Undo sync {sync_id}?", yes=yes)
        result = decisions.roll_back(database, sync_id, who=who_asks(who), reason=why, only=part)
    if as_json:
        print_json(vars(result))
    else:
        columns = ["role", "undone", "people"]
        print_table(columns, [(role, what, n) for role, of in result.counts.items() for what, n in of.items()])
    moved = sum(of.get("moved", 0) for of in result.counts.values())
    note(f"Sync {sync_id} is undone by sync {result.sync_id}.")
    note("The next sync plans the same again, unless the settings or the SIS change before.")
    if moved:
        note(f"{moved} people were changed since and are left as they are.", style="yellow")
        raise typer.Exit(HELD)


def _show(rows: list[Undo], as_json: bool) -> None:
    if as_json:
        print_json([vars(row) for row in rows])
        return
    columns = ["person", "school", "what", "how", "fields", "left alone"]
    print_table(columns, [(row.person_id, row.school, row.entity, row.way, row.fields, row.moved) for row in rows])
    note(_summary(rows))


def _summary(rows: list[Undo]) -> str:
    ways = Counter("left alone, changed since" if row.moved else f"{row.entity} {row.way}" for row in rows)
    return ", ".join(f"{number} {way}" for way, number in sorted(ways.items())) or "Nothing would be undone."
