"""The rows of a plan as people read them: who, what, which fields from what to what, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roster_pipeline.cli.plan_summary import plain
from roster_pipeline.cli.printing import shown
from roster_pipeline.fields import CONTACT_FIELDS, MEMBERSHIP_FIELDS, PERSON_FIELDS

if TYPE_CHECKING:
    import pandas as pd

HEADER = ("row", "action", "role", "person", "name", "sourcedIds", "matched by", "reason", "why", "field", "from", "to")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""A cell that begins so is run as a formula by a spreadsheet (the full-width forms too); a quote in front stops it."""
BOM = "utf-8-sig"
"""Without the mark, spreadsheets read a CSV in the computer's own encoding and spoil every accent."""
DELTA = " -> "
TELLING = ("email", "number", "grade")
ORDER = {field: place for place, field in enumerate((*PERSON_FIELDS, *MEMBERSHIP_FIELDS, *CONTACT_FIELDS))}
"""Fields in the order people expect; the database keeps them in none."""


@dataclass(frozen=True)
class Line:
    """One row of a plan. `changes`: field to (from, to)."""

    row: int
    action: str
    role: str
    person_id: int | None
    name: str
    sourced_ids: tuple[str, ...]
    matched_by: str | None
    reason: str
    why: str
    changes: Mapping[str, tuple[Any, Any]]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        changes = {field: {"from": old, "to": new} for field, (old, new) in self.changes.items()}
        return {**self.__dict__, "sourced_ids": list(self.sourced_ids), "changes": changes}


def lines_of(rows: pd.DataFrame, names: Mapping[int, str], reasons: Mapping[str, str]) -> list[Line]:
    """Plan rows (the columns of `plan_row`) as lines.

    names: person_id to a name; who is new is named by the changes. reasons: slug to sentence.
    """
    return [_line(row, names, reasons) for row in rows.to_dict("records")]


def _line(row: Mapping[Any, Any], names: Mapping[int, str], reasons: Mapping[str, str]) -> Line:
    pairs = sorted((row["changes"] or {}).items(), key=lambda pair: (ORDER.get(pair[0], len(ORDER)), pair[0]))
    changes = {str(field): (both[0], both[1]) for field, both in pairs}
    person_id = plain(row["person_id"])
    known = names.get(person_id) if person_id is not None else None
    return Line(
        row=int(row["row"]),
        action=str(row["action"]),
        role=str(row["role"]),
        person_id=person_id,
        name=known or _new_name(changes),
        sourced_ids=tuple(row["sourced_ids"]),
        matched_by=plain(row["matched_by"]),
        reason=str(row["reason"]),
        why=reasons.get(str(row["reason"]), str(row["reason"])),
        changes=changes,
    )


def _new_name(changes: Mapping[str, tuple[Any, Any]]) -> str:
    return " ".join(str(changes[field][1]) for field in ("given_name", "family_name") if field in changes)


def changes_text(line: Line) -> str:
    """The field changes, one a line; of a new person only what tells who it is (JSON and CSV have all of it)."""
    if line.action == "create":
        known = {field: new for field, (_, new) in line.changes.items() if new is not None}
        return ", ".join(f"{field} {shown(known[field])}" for field in TELLING if field in known)
    return "\n".join(f"{field}: {shown(old)}{DELTA}{shown(new)}" for field, (old, new) in line.changes.items())


def write_csv(path: Path, lines: Iterable[Line]) -> int:
    """One line per field change, one for a row without; opens right in a spreadsheet. Returns the number of lines.

    The file is readable by its owner only: it names people.
    """
    written = 0
    path.touch(mode=0o600)
    with path.open("w", encoding=BOM, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for line in lines:
            for cells in _cells(line):
                writer.writerow([harmless(cell) for cell in cells])
                written += 1
    return written


def _cells(line: Line) -> Iterable[tuple[Any, ...]]:
    head = (
        line.row,
        line.action,
        line.role,
        line.person_id,
        line.name,
        " ".join(line.sourced_ids),
        line.matched_by,
        line.reason,
        line.why,
    )
    changes: list[tuple[Any, ...]] = [(field, old, new) for field, (old, new) in line.changes.items()]
    return [(*head, *change) for change in changes or [(None, None, None)]]


def harmless(cell: Any) -> str:
    """The cell as text that a spreadsheet takes for text."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
