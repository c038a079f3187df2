"""The model of CSV cells: what users.csv says of each student, and which values the directory keeps, in plain Python.

Written from docs/csv.md ("What is read") and docs/rules.md ("Values that nobody can read", "An id that went to somebody
else") alone. Nobody leaves here, and no two students share a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NAMES = ("givenName", "familyName")
UNREADABLE = {
    "email": "not an address", "identifier": "1.23E+05", "username": "m?ller", "phone": "call us",
    "middleName": "#N/A", "grades": "blue",
}  # fmt: skip
"""Columns that a file may lack, each with a text that nobody can read."""
REQUIRED = "username"
"""A cell that must have a value. If it is empty in a row of changes, the row says only its other filled cells."""
KEYS = ("email", "identifier", "username")
Cells = dict[str, str]


@dataclass
class Said:
    """What the SIS says of a student after a night: texts by column, empty if there is none. unknown: columns whose
    values before were perhaps somebody else's."""

    cells: Cells
    unknown: frozenset[str] = frozenset()


@dataclass
class Student:
    """A student in the directory. stored: by column, None if there is nothing."""

    said: Said
    stored: dict[str, str | None] = field(default_factory=dict)


class ColumnModel:
    """Students by sourcedId."""

    def __init__(self) -> None:
        self.students: dict[str, Student] = {}
        self._columns: set[str] = set()

    def night(self, rows: dict[str, Cells], columns: set[str], *, delta: bool) -> dict[str, str]:
        """One night. rows: the cells of each student who has a row. Returns the reason for each of them who is new or
        waits."""
        reasons = {}
        self._columns |= columns
        for who, row in rows.items():
            known = self.students.get(who)
            said = self._said(
                {name: row[name] for name in (*NAMES, *columns)}, known.said if known else None, delta=delta
            )
            if known is None:
                known = self.students[who] = Student(said)
                reasons[who] = "joined"
            known.said = said
            if self._is_another(known):
                reasons[who] = "id_reassigned"
        for who, student in self.students.items():
            if reasons.get(who) != "id_reassigned" and not self._is_another(student):
                self._store(student)
        return reasons

    def _said(self, row: Cells, before: Said | None, *, delta: bool) -> Said:
        if before is None:
            return Said({name: row.get(name, "") for name in (*NAMES, *UNREADABLE)})
        partly = delta and row.get(REQUIRED) == "" and bool(before.cells[REQUIRED])
        another = all(row[name] != before.cells[name] for name in NAMES)
        cells, unknown = {name: row[name] for name in NAMES}, set[str]()
        for name in UNREADABLE:
            cells[name] = row.get(name, "")
            if cells[name] or not (partly or (name in self._columns and name not in row)):
                continue
            if name in before.unknown or (another and before.cells[name]):
                unknown.add(name)
            else:
                cells[name] = before.cells[name]
        return Said(cells, frozenset(unknown))

    def _is_another(self, student: Student) -> bool:
        """Whether both names are new, and not more of the keys are the same than differ."""
        if not student.stored or any(student.said.cells[name] == student.stored[name] for name in NAMES):
            return False
        both = [(self._read(student, name), student.stored[name]) for name in KEYS]
        told = [one == other for one, other in both if one and other]
        return told.count(True) <= told.count(False)

    def _read(self, student: Student, name: str) -> str | None:
        """The value of a cell; None if it is empty or nobody can read it."""
        cell = student.said.cells[name]
        return None if cell in ("", UNREADABLE.get(name)) else cell

    def _store(self, student: Student) -> None:
        for name in (*NAMES, *UNREADABLE):
            unknown = name in student.said.unknown or student.said.cells[name] == UNREADABLE.get(name)
            student.stored[name] = student.stored.get(name) if unknown else self._read(student, name)
