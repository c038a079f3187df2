"""Which people belong to a collection, and under which sourcedIds they are served.

A row is a person's place in the district. A position is one record of a collection: the row itself, or, under an id
scheme that splits people into one record per role or per school, `row * PARTS + part`. Collections are arrays of four
bytes a record.
"""

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.messages import V11
from roster_pipeline.simulator.person import LEGACY_ROLES, STUDENT, TEACHER, Person

Indexes: TypeAlias = "array[int]"

PARTS = 8
"""The most records one person is split into."""
LETTERS: Mapping[str, str] = {"student": "s", "teacher": "t", "administrator": "a", "parent": "p", "guardian": "g"}
"""First letter of an id per (1.1) role; `o` for every other role."""


def listed_rows(
    district: District, rows: Iterable[int], version: str, role: str | None = None, school: str | None = None
) -> Indexes:
    """Those of `rows` whose people have this role (`student`, `teacher` or any) and, if given, are in this school. In
    1.1 a record has one role, the first of `roles`; in 1.2 any entry counts. Ended roles and records marked
    `tobedeleted` are listed."""
    if role is None and school is None:
        return array("I", rows)
    belongs = belongs_rule(version, role, school)
    return array("I", [row for row in rows if belongs(district.at(row))])


def rows_by_org(district: District) -> dict[str, Indexes]:
    """For each org, the rows of the people with a role there."""
    found: dict[str, Indexes] = {}
    for person in district.people():
        for org in {entry.org for entry in person.roles}:
            found.setdefault(org, array("I")).append(person.row)
    return found


def belongs_rule(version: str, role: str | None, school: str | None) -> Callable[[Person], bool]:
    """A test of one person for a role and a school, as the version sees it."""

    def belongs(person: Person) -> bool:
        entries = person.roles[:1] if version == V11 and role else person.roles
        if role is not None and not any(entry.role == role for entry in entries):
            return False
        if school is None:
            return True
        if version == V11:
            return person.is_in(school)
        return any(entry.org == school and role in (None, entry.role) for entry in person.roles)

    return belongs


class IdScheme:
    """Which person is served at a position and under which sourcedId, by `id_scheme` and `id_field`; and back."""

    def __init__(self, district: District, version: str, faults: Faults) -> None:
        self.district = district
        scheme = faults.text("id_scheme")
        self.scheme = "" if scheme in ("role_prefix", "role_suffix") and version != V11 else scheme
        self.field = faults.text("id_field")
        self.splits = self.scheme in ("role_prefix", "role_suffix", "per_school")
        self.plain = not self.scheme and not self.field
        self._positions: dict[str, int] | None = None

    def row(self, position: int) -> int:
        return position // PARTS if self.splits else position

    def person(self, position: int) -> Person:
        """The person as served at a position: with the scheme's id and, if split, the roles of that part only."""
        if self.plain:
            return self.district.at(position)
        return self._records(self.row(position))[position % PARTS if self.splits else 0]

    def id_of(self, row: int) -> str:
        """The id that references to a person use: that of the first part."""
        return self.district.at(row).sourced_id if self.plain else self._records(row)[0].sourced_id

    def positions(self, rows: Iterable[int], belongs: Callable[[Person], bool]) -> list[int]:
        return [
            row * PARTS + part
            for row in rows
            for part, person in enumerate(self._records(row)[:PARTS])
            if belongs(person)
        ]

    def find(self, sourced_id: str) -> int | None:
        """The position of a served id; also of people who are gone."""
        if self.plain:
            return self.district.row_of(sourced_id)
        if self._positions is None:
            self._positions = {}
            for row in range(self.district.next_row):
                first = row * PARTS if self.splits else row
                for part, record in enumerate(self._records(row)):
                    self._positions.setdefault(record.sourced_id, first + part)
        return self._positions.get(sourced_id)

    def _records(self, row: int) -> list[Person]:
        """One person as the records that the scheme makes of them."""
        person = self.district.at(row)
        if not self.splits:
            return [person._replace(sourced_id=self._served_id(person))]
        if not person.roles:
            return [person]
        groups: dict[str, list[int]] = {}
        for place, entry in enumerate(person.roles):
            key = entry.org if self.scheme == "per_school" else LEGACY_ROLES.get(entry.role, entry.role)
            groups.setdefault(key, []).append(place)
        records = []
        for key, places in groups.items():
            letter = LETTERS.get(key, "o")
            served = {
                "role_prefix": f"{letter}{person.sourced_id.removeprefix('u-')}",
                "role_suffix": f"{person.sourced_id}-{letter}",
                "per_school": f"{person.sourced_id}.{key or 'none'}",
            }[self.scheme]
            records.append(person._replace(sourced_id=served, roles=tuple(person.roles[place] for place in places)))
        return records

    def _served_id(self, person: Person) -> str:
        number = {"state_id": person.state_id, "number": person.identifier}.get(self.field, "")
        if number:
            prefix = "" if person.has_role(STUDENT) else "TCH_" if person.has_role(TEACHER) else "STF_"
            return f"{prefix}{number}"
        row = person.row
        match self.scheme:
            case "exotic":
                return (f"7_{row}", f"ab|{row}", f"x/{row}", f"a b+{row}", f"100%{row}", f"#:{row}@é")[row % 6]
            case "case":
                return f"{'Ab' if row % 2 else 'aB'}{row // 2}"
            case "padded":
                return f" {person.sourced_id} "
            case "encoded":
                return f"{person.sourced_id}%3D%2F"
        return person.sourced_id
