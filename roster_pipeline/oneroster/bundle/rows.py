"""From rows of cells to records in the shape the API sends them, which is what the client's readers understand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from roster_pipeline.oneroster.bundle.columns import Layout
from roster_pipeline.oneroster.bundle.table import EMPTY_CELL, Row, Unreadable
from roster_pipeline.oneroster.records.user_records import reject

_BRACED = re.compile(r"\{[^{}]*\}")


def record_maker(layout: Layout) -> Callable[[Row], dict[str, Any]]:
    """A function from a row to a record: cells that are not empty, orgs cut at their commas, wanted metadata.

    A row without a single filled cell becomes an empty record.
    """
    names = tuple(layout.positions)
    cells = cell_picker(layout, names)
    metadata = tuple(layout.metadata.items())

    def make(row: Row) -> dict[str, Any]:
        record: dict[str, Any] = {name: cell for name, cell in zip(names, cells(row), strict=True) if cell}
        if "orgs" in record:
            record["orgs"] = _list(record["orgs"])
        if "userIds" in record:
            record["userIds"] = _user_ids(record["userIds"])
        if metadata and record:
            record["metadata"] = {key: row[at] or None for key, at in metadata}
        return record

    return make


def unreadable_rejects(
    rows: Sequence[Unreadable], collection: str, layout: Layout
) -> tuple[list[dict[str, Any]], bool]:
    """Rejections for rows that are none; and whether some of them name nobody who could be spared for it.

    A row that is cut or too long still begins as it should, so its first cell is the sourcedId if that column is first.
    """
    is_first = layout.positions["sourcedId"] == 0
    rejects: list[dict[str, Any]] = []
    nameless = False
    for row in rows:
        sourced_id = ((row.first or "").strip() or None) if is_first else None
        nameless = nameless or sourced_id is None
        rejects.append(reject(sourced_id, collection, "row", row.rule))
    return rejects, nameless


def cell_picker(layout: Layout, names: Sequence[str]) -> Callable[[Row], tuple[str, ...]]:
    """A function from a row to its cells of these names (two or more); empty texts for columns that are not there."""
    return itemgetter(*[layout.positions.get(name, EMPTY_CELL) for name in names])


def _list(cell: str) -> list[str]:
    if "," not in cell:
        return [cell]
    return [item for part in cell.split(",") if (item := part.strip())]


def _user_ids(cell: str) -> list[str]:
    """`{type:identifier}` items; what stands between braces is one item, commas in it included."""
    if "{" in cell:
        return _BRACED.findall(cell) or [cell]
    return _list(cell)
