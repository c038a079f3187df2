"""`roster history`: the ledger of syncs, and what failed between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roster_pipeline.cli.output import print_json, print_table
from roster_pipeline.cli.session import AsJson, MaybeSchoolKey, open_directory

if TYPE_CHECKING:
    from roster_pipeline.directory.failures import FailureRow
    from roster_pipeline.directory.ledger import SyncRow

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
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was applied, newest first: syncs, approvals, relinks and rollbacks; and what failed."""
    from roster_pipeline.directory import failures, ledger, tenants

    with open_directory() as database, database.begin() as opened:
        school_id = tenants.get_school(opened, key).id if key else None
        syncs = ledger.history(opened, school_id=school_id, limit=limit)
        failed = failures.recent(opened, school_id=school_id, limit=limit)
    rows: list[SyncRow | FailureRow] = [*syncs, *failed]
    rows = sorted(rows, key=lambda row: row.at, reverse=True)[:limit]
    if as_json:
        print_json([_data(row) for row in rows])
        return
    print_table(
        ["sync", "when", "school", "kind", *ACTIONS.values(), "source", "outcome", "who", "undone by"],
        [_line(row) for row in rows],
    )


def _data(row: SyncRow | FailureRow) -> dict[str, Any]:
    """A line as data. A failure has no number of a sync."""
    from roster_pipeline.directory.ledger import SyncRow

    plain = dict(vars(row))
    if isinstance(row, SyncRow):
        said, age = _said(row)
        return {name: value for name, value in plain.items() if name != "report"} | {"said": said, "source": age}
    return plain | {"id": None, "kind": "failure", "outcome": "failed"}


def _line(row: SyncRow | FailureRow) -> tuple[Any, ...]:
    from roster_pipeline.directory.ledger import SyncRow
    from roster_pipeline.services.school_status import plain

    if not isinstance(row, SyncRow):
        return ("-", row.at, row.school, "failure", *("·" for _ in ACTIONS), "", plain(row.message, row.school), "", "")
    said, age = _said(row)
    kind = row.kind if row.undoes is None else f"{row.kind} of {row.undoes}"
    counts = (_total(row.counts, action) or "·" for action in ACTIONS)
    return (row.id, row.at, row.school, kind, *counts, age, said or row.outcome, row.who, row.undone_by)


def _said(row: SyncRow) -> tuple[str, str]:
    """The outcome as the mail has it, and the age of what was read."""
    from roster_pipeline.services.school_status import status_of_sync

    said = status_of_sync(row.kind, row.outcome, row.report)
    return said.sentence, said.source


def _total(counts: Mapping[str, Mapping[str, int]], action: str) -> int:
    return sum(of.get(action, 0) for of in counts.values())
