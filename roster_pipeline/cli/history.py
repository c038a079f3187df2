"""`roster history`: the ledger of syncs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from roster_pipeline.cli.printing import print_json, print_table
from roster_pipeline.cli.session import AsJson, MaybeSchoolKey, open_directory

ACTIONS = {
    "create": "created",
    "update": "updated",
    "restore": "restored",
    "archive": "archived",
    "link": "linked",
    "held": "held",
}


def history(
    key: MaybeSchoolKey = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many syncs, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was applied, newest first: syncs, approvals, relinks and rollbacks."""
    from roster_pipeline.directory import ledger, tenants

    with open_directory() as database, database.begin() as opened:
        school_id = tenants.get_school(opened, key).id if key else None
        rows = ledger.history(opened, school_id=school_id, limit=limit)
    if as_json:
        print_json([vars(row) for row in rows])
        return
    print_table(
        ["sync", "when", "school", "kind", "outcome", *ACTIONS.values(), "who", "undone by"],
        [
            (
                row.id,
                row.at,
                row.school,
                row.kind if row.undoes is None else f"{row.kind} of {row.undoes}",
                row.outcome,
                *(_total(row.counts, action) or "·" for action in ACTIONS),
                row.who,
                row.undone_by,
            )
            for row in rows
        ],
    )


def _total(counts: Mapping[str, Mapping[str, int]], action: str) -> int:
    return sum(of.get(action, 0) for of in counts.values())
