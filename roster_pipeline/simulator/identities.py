"""Which sourcedId a person is served under, and how many records one person is: the id schemes of real vendors.

Without a scheme a position is a row of the district and its id the person's own. A scheme that splits people turns
one row into several positions (`row * PARTS + part`), one per role or per school.
"""

from collections.abc import Callable, Iterable, Mapping

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.payload import V11
from roster_pipeline.simulator.person import LEGACY_ROLES, STUDENT, TEACHER, Person

PARTS = 8
"""Records one person is split into at most."""

LETTERS: Mapping[str, str] = {"student": "s", "teacher": "t", "administrator": "a", "parent": "p", "guardian": "g"}
"""First letter of an id per (1.1) role; `o` for every other role."""


class Identities:
    """Turns positions into people as they are served, and served ids back into positions."""

    def __init__(self, district: District, version: str, faults: Faults) -> None:
        self.district = district
        scheme = faults.text("id_scheme")
        self.scheme = "" if scheme in ("role_prefix", "role_suffix") and version != V11 else scheme
        self.field = faults.text("id_field")
        self.splits = self.scheme in ("role_prefix", "role_suffix", "per_school")
        self.plain = not self.scheme and not self.field
        self._found: dict[str, int] | None = None

    def rows(self, position: int) -> int:
        """The row of the district a position stands for."""
        return position // PARTS if self.splits else position

    def person(self, position: int) -> Person:
        """The person as served at a position: with the id of the scheme and, if split, that part's roles alone."""
        if self.plain:
            return self.district.at(position)
        if not self.splits:
            person = self.district.at(position)
            return person._replace(sourced_id=self._served(person))
        row, part = divmod(position, PARTS)
        return self._parts(self.district.at(row))[part]

    def id_of(self, row: int) -> str:
        """The id under which a reference points to a person: that of the first part."""
        person = self.district.at(row)
        if self.plain:
            return person.sourced_id
        return self._parts(person)[0].sourced_id if self.splits else self._served(person)

    def positions(self, rows: Iterable[int], belongs: Callable[[Person], bool]) -> list[int]:
        """The positions of those parts of these people that belong."""
        found = []
        for row in rows:
            for part, person in enumerate(self._parts(self.district.at(row))[:PARTS]):
                if belongs(person):
                    found.append(row * PARTS + part)
        return found

    def find(self, sourced_id: str) -> int | None:
        """The position of a served id, also of people who are gone."""
        if self.plain:
            return self.district.row_of(sourced_id)
        if self._found is None:
            self._found = {}
            for row in range(self.district.next_row):
                person = self.district.at(row)
                if self.splits:
                    for part, record in enumerate(self._parts(person)):
                        self._found.setdefault(record.sourced_id, row * PARTS + part)
                else:
                    self._found.setdefault(self._served(person), row)
        return self._found.get(sourced_id)

    def _served(self, person: Person) -> str:
        row = person.row
        if self.field == "state_id" and person.state_id:
            return person.state_id if person.has_role(STUDENT) else f"{_prefix(person)}{person.state_id}"
        if self.field == "number" and person.identifier:
            return person.identifier if person.has_role(STUDENT) else f"{_prefix(person)}{person.identifier}"
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

    def _parts(self, person: Person) -> list[Person]:
        if not person.roles:
            return [person]
        groups: dict[str, list[int]] = {}
        for place, entry in enumerate(person.roles):
            key = entry.org if self.scheme == "per_school" else LEGACY_ROLES.get(entry.role, entry.role)
            groups.setdefault(key, []).append(place)
        parts = []
        for key, places in groups.items():
            letter = LETTERS.get(key, "o")
            served = {
                "role_prefix": f"{letter}{person.sourced_id.removeprefix('u-')}",
                "role_suffix": f"{person.sourced_id}-{letter}",
                "per_school": f"{person.sourced_id}.{key or 'none'}",
            }[self.scheme]
            parts.append(person._replace(sourced_id=served, roles=tuple(person.roles[place] for place in places)))
        return parts


def _prefix(person: Person) -> str:
    return "TCH_" if person.has_role(TEACHER) else "STF_"
