"""Where each person of a generated district is: arithmetic between a row and (school, kind, ordinal).

Rows run from 0 to size-1: the people of the district office, then one block per school, and in each block one range per
kind. Nothing is stored per person, so a district of a million people needs as little memory as one of a hundred.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

KINDS = (
    "student", "teacher", "aide", "counselor", "proctor", "principal", "siteAdministrator", "contact",
)  # fmt: skip
DISTRICT_KINDS = ("districtAdministrator", "systemAdministrator")

FAMILY_BLOCK = 4
"""Students in one block of families. Each full block has `CONTACTS_PER_BLOCK` contacts, in one of several patterns."""
CONTACTS_PER_BLOCK = 5

STUDENTS_PER_TEACHER = 15
STUDENTS_PER_AIDE = 60
STUDENTS_PER_COUNSELOR = 200
STUDENTS_PER_PROCTOR = 300
STUDENTS_PER_SITE_ADMINISTRATOR = 400
FEWEST_TEACHERS = 4
"""Teachers 0 to 3 of each school are special cases, see `population.py`."""


class Place(NamedTuple):
    """The place of a row. school: -1 for the district office. ordinal: counts from 0 within school and kind."""

    school: int
    kind: str
    ordinal: int


class Layout:
    """The sizes of a district, and the arithmetic that follows from them."""

    def __init__(self, schools: int, students_per_school: int, contacts: bool = True) -> None:
        if schools < 1 or students_per_school < 0:
            raise ValueError("a district needs at least one school and 0 or more students per school")
        students = students_per_school
        blocks, rest = divmod(students, FAMILY_BLOCK)
        self.schools = schools
        self.students_per_school = students
        self.counts = {
            "student": students,
            "teacher": max(FEWEST_TEACHERS, students // STUDENTS_PER_TEACHER),
            "aide": max(1, students // STUDENTS_PER_AIDE),
            "counselor": max(1, students // STUDENTS_PER_COUNSELOR),
            "proctor": max(1, students // STUDENTS_PER_PROCTOR),
            "principal": 1,
            "siteAdministrator": 1 + students // STUDENTS_PER_SITE_ADMINISTRATOR,
            "contact": blocks * CONTACTS_PER_BLOCK + rest if contacts else 0,
        }
        self.district_counts = {"districtAdministrator": 2, "systemAdministrator": 1}
        self.office = sum(self.district_counts.values())
        self.bounds: list[int] = [0]
        for kind in KINDS:
            self.bounds.append(self.bounds[-1] + self.counts[kind])
        self.block = self.bounds[-1]
        self.starts = dict(zip(KINDS, self.bounds[:-1], strict=True))
        self.size = self.office + schools * self.block

    def place(self, row: int) -> Place:
        """The place of a generated person's row."""
        if row < self.office:
            split = self.district_counts["districtAdministrator"]
            return Place(-1, DISTRICT_KINDS[row >= split], row if row < split else row - split)
        school, rest = divmod(row - self.office, self.block)
        kind = bisect_right(self.bounds, rest) - 1
        return Place(school, KINDS[kind], rest - self.bounds[kind])

    def row_at(self, school: int, kind: str, ordinal: int) -> int:
        """The row of a person of a school: the inverse of `place`."""
        return self.office + school * self.block + self.starts[kind] + ordinal

    def ranges(self, kind: str) -> Iterator[range]:
        """The rows of one kind, one range per school."""
        for school in range(self.schools):
            first = self.row_at(school, kind, 0)
            yield range(first, first + self.counts[kind])


def size_for(users: int, students_per_school: int) -> int:
    """How many schools of this size make about `users` people in all, at least one."""
    return max(1, round(users / Layout(1, students_per_school).block))
