"""Rows that have more or fewer cells than the header, put right where the cells that are there leave no doubt.

A spreadsheet drops the empty cells at the end of a row, and some exports write one comma more than the header has. Both
are harmless. A comma that should have been quoted is not: it moves every cell behind it by one, and the last columns of
users.csv are mostly empty, so such a row looks the same at first. What tells them apart: a cell of a column whose
values are known (a role, an e-mail, a date) does not fit the column before or behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from roster_pipeline.oneroster.records.role_entries import ROLES

Row = list[str]
Check = Callable[[str], bool]

_DATE = re.compile(r"^\d{1,4}[-/.]?\d{1,2}[-/.]?\d{1,4}([T ].*)?$")
_GRADE = re.compile(r"^(\d{1,2}|[A-Za-z]{1,3}|Other)(,(\d{1,2}|[A-Za-z]{1,3}))*$")
_PHONE = re.compile(r"^[+\d][\d ()./-]{4,}( ?(x|ext\.?) ?\d+)?$")
_EMAIL = re.compile(r"^[^\s@]+@[^\s@]+$")
_NUMBER = re.compile(r"^[\w.-]*\d[\w.-]*$")
_FLAG = frozenset(("true", "false", "1", "0", "yes", "no"))
_STATUS = frozenset(("active", "inactive", "tobedeleted"))
_ROLE_TYPE = frozenset(("primary", "secondary"))
_ORG_TYPE = frozenset(("school", "district", "department", "local", "state", "national"))


def _one_of(words: frozenset[str]) -> Check:
    return lambda cell: cell.strip().lower() in words


CHECKS: Mapping[str, Check] = {
    "status": _one_of(_STATUS),
    "dateLastModified": lambda cell: bool(_DATE.match(cell)),
    "enabledUser": _one_of(_FLAG),
    "role": lambda cell: cell.strip().lower() in ROLES or cell.startswith("ext:"),
    "email": lambda cell: bool(_EMAIL.match(cell)),
    "sms": lambda cell: bool(_PHONE.match(cell)),
    "phone": lambda cell: bool(_PHONE.match(cell)),
    "grades": lambda cell: bool(_GRADE.match(cell)),
    "type": _one_of(_ORG_TYPE),
    "roleType": _one_of(_ROLE_TYPE),
    "beginDate": lambda cell: bool(_DATE.match(cell)),
    "endDate": lambda cell: bool(_DATE.match(cell)),
}
"""Members whose values are known by their look."""
_ENDS: Mapping[str, Check] = {
    **CHECKS,
    "identifier": lambda cell: bool(_NUMBER.match(cell)),
    "familyName": bool,
    "name": bool,
    "org": bool,
    "parent": bool,
}
"""Members in which the filled part of a row may end. Had the row been moved by one, the cell before would stand there.
Behind the family name stands the middle name, which the family name of such a row would have become."""
_NEEDED = (("sourcedId", "user"), ("familyName", "givenName"), ("name",), ("user",), ("org",))
"""A row says who or what it is: of each group whose columns are there, one must be filled, so half a row is never taken
for a whole one."""


class RowRepair:
    """The rows of one file. positions: the column of each member, as in `Layout`."""

    def __init__(self, header: Sequence[str], positions: Mapping[str, int]) -> None:
        self.width = len(header)
        self._named = 1 + max((at for at, name in enumerate(header) if name), default=-1)
        self._checks = [(at, CHECKS[member]) for member, at in positions.items() if member in CHECKS]
        self._ends = {at: _ENDS[member] for member, at in positions.items() if member in _ENDS}
        needed = [[positions[one] for one in group if one in positions] for group in _NEEDED]
        self._needed = [group for group in needed if group]

    def fitted(self, row: Row, *, usual: bool = False) -> Row | None:
        """The row at the header's width; None where it may have been moved, or cut inside.

        usual: the file's rows have this length by and large, so it is the habit of the export that wrote them.
        """
        cells, surplus = row[: self.width], row[self._named :]
        if any(cell.strip() for cell in surplus):
            return None
        cells = cells + [""] * (self.width - len(cells))
        if len(row) == self._named:
            return cells
        if not all(any(cells[at].strip() for at in group) for group in self._needed):
            return None
        if any(cell[:1] == " " and cell.strip() for cell in cells):
            return None
        if not all(check(cells[at]) for at, check in self._checks if cells[at].strip()):
            return None
        if usual and len(row) > self.width:
            return cells
        last = max(at for at, cell in enumerate(cells) if cell.strip())
        fits = self._ends.get(last)
        return cells if fits is not None and fits(cells[last]) else None
