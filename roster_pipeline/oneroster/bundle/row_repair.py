"""Repairs a CSV row with more or fewer cells than the header, if its cells leave no doubt.

A spreadsheet drops the empty cells at the end of a row, and some exports write one comma more than the header has. Both
are harmless. A comma that should have been quoted is not: it moves every cell after it by one, and because the last
columns of users.csv are mostly empty, such a row has the same length. The difference is that a cell of a column with
known values (a role, an e-mail, a date) then no longer fits its column.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from roster_pipeline.oneroster.records.role_entries import ROLES

Row = list[str]
Check = Callable[[str], bool]


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda cell: bool(compiled.match(cell))


def _one_of(*words: str) -> Check:
    return lambda cell: cell.strip().lower() in words


_IS_DATE = _matches(r"^\d{1,4}[-/.]?\d{1,2}[-/.]?\d{1,4}([T ].*)?$")
_IS_PHONE = _matches(r"^[+\d][\d ()./-]{4,}( ?(x|ext\.?) ?\d+)?$")
CHECKS: Mapping[str, Check] = {
    "status": _one_of("active", "inactive", "tobedeleted"),
    "dateLastModified": _IS_DATE,
    "enabledUser": _one_of("true", "false", "1", "0", "yes", "no"),
    "role": lambda cell: cell.strip().lower() in ROLES or cell.startswith("ext:"),
    "email": _matches(r"^[^\s@]+@[^\s@]+$"),
    "sms": _IS_PHONE,
    "phone": _IS_PHONE,
    "grades": _matches(r"^(\d{1,2}|[A-Za-z]{1,3}|Other)(,(\d{1,2}|[A-Za-z]{1,3}))*$"),
    "type": _one_of("school", "district", "department", "local", "state", "national"),
    "roleType": _one_of("primary", "secondary"),
    "beginDate": _IS_DATE,
    "endDate": _IS_DATE,
}
"""Members whose values can be recognised."""
_LAST_FILLED: Mapping[str, Check] = {
    **CHECKS, "identifier": _matches(r"^(?=\D*\d)[\w.-]+$"), "familyName": bool, "name": bool, "org": bool,
    "parent": bool,
}  # fmt: skip
"""Members that the last filled cell of a row may belong to. In a row that moved by one cell, the cell would hold the
value of the column before. The family name is safe: in a moved row, it would be in the next column, the middle name."""
_REQUIRED = (("sourcedId", "user"), ("familyName", "givenName"), ("name",), ("user",), ("org",))
"""One cell of each group must be filled (if the file has such columns), so that half a row is never used."""


class RowRepair:
    """Repairs rows of one file. positions: the column of each member, as in `ColumnLayout`."""

    def __init__(self, header: Sequence[str], positions: Mapping[str, int]) -> None:
        self.width = len(header)
        self._named = 1 + max((at for at, name in enumerate(header) if name), default=-1)
        self._checks = [(at, CHECKS[member]) for member, at in positions.items() if member in CHECKS]
        self._last_filled = {at: _LAST_FILLED[member] for member, at in positions.items() if member in _LAST_FILLED}
        required = [[positions[member] for member in group if member in positions] for group in _REQUIRED]
        self._required = [group for group in required if group]

    def fitted(self, row: Row, *, usual: bool = False) -> Row | None:
        """The row with as many cells as the header; None if cells may have moved, or the row may be cut.

        usual: more than half of the rows have this length, so it is a habit of the export.
        """
        cells, surplus = row[: self.width], row[self._named :]
        if any(cell.strip() for cell in surplus):
            return None
        cells = cells + [""] * (self.width - len(cells))
        if len(row) == self._named:
            return cells
        if not all(any(cells[at].strip() for at in group) for group in self._required):
            return None
        if any(cell[:1] == " " and cell.strip() for cell in cells):
            return None
        if not all(check(cells[at]) for at, check in self._checks if cells[at].strip()):
            return None
        if usual and len(row) > self.width:
            return cells
        last = max(at for at, cell in enumerate(cells) if cell.strip())
        fits = self._last_filled.get(last)
        return cells if fits is not None and fits(cells[last]) else None
