"""People of a district who join, leave, return and change from one day to the next; the same for the same seed."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.person import CONTACT_ROLES, STUDENT, Person

TRIES_PER_PICK = 200
"""Random rows to try for one person, so that a search for people who do not exist ends."""

ROLE_MOVES = {"teacher": "siteAdministrator", "aide": "teacher", "counselor": "principal", "proctor": "aide"}
"""The next role of a member of staff; all others become counselors."""


class DayReport(NamedTuple):
    """The number of the day, and the sourcedIds of the people who changed on it."""

    day: int
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    changed_role: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    renumbered: tuple[str, ...] = ()


def pass_day(
    district: District,
    *,
    joiners: int = 0,
    leavers: int = 0,
    returners: int = 0,
    renames: int = 0,
    role_moves: int = 0,
    school_moves: int = 0,
    renumbered: int = 0,
    how: str | Sequence[str] = "vanish",
    days: int = 2,
    school: str | None = None,
) -> DayReport:
    """Let one day pass. Students and staff change in proportion to their numbers; only staff change roles. how: one of
    `WAYS_OF_LEAVING`, or several that are used in turn. days: how long `linger` and `mark_then_vanish` take. school:
    only people of this school change, and joiners go there. The choice depends on the seed, the day and the earlier
    changes only. Nobody changes twice on one day."""
    with district.lock:
        district.day += 1
        due = [row for day, row in district.scheduled if day <= district.day]
        district.scheduled = [entry for entry in district.scheduled if entry[0] > district.day]
        for row in due:
            district.vanish(row)
        choose = _Changes(district, school)
        ways = [how] if isinstance(how, str) else list(how)
        returned = choose.returners(returners)
        left = choose.people(leavers)
        renamed = choose.people(renames)
        promoted = choose.people(role_moves, staff_only=True)
        moved = choose.people(school_moves) if len(district.schools) > 1 else []
        other_number = choose.people(renumbered, with_number=True)
        for place, person in enumerate(left):
            district.remove(person.sourced_id, how=ways[place % len(ways)], days=days)
        for sourced_id in returned:
            district.restore(sourced_id)
        for person in renamed:
            district.rename(person.sourced_id)
        for person in promoted:
            district.set_role(person.sourced_id, ROLE_MOVES.get(person.roles[0].role, "counselor"))
        for person in moved:
            elsewhere = [org for org in choose.schools if not person.is_in(org)]
            district.move(person.sourced_id, choose.chance.choice(elsewhere or choose.schools))
        for person in other_number:
            district.edit(person.sourced_id, identifier=f"8{person.identifier}")
        joined = [choose.newcomer(place) for place in range(joiners)]
        return DayReport(
            district.day, tuple(joined), _ids(left), tuple(returned), _ids(renamed), _ids(promoted), _ids(moved),
            _ids(other_number),
        )  # fmt: skip


def _ids(people: Sequence[Person]) -> tuple[str, ...]:
    return tuple(person.sourced_id for person in people)


class _Changes:
    """Chooses the people of one day; nobody is chosen twice."""

    def __init__(self, district: District, school: str | None) -> None:
        self.district = district
        self.school = district.school(school).sourced_id if school else None
        self.chance = random.Random(f"{district.seed}/day/{district.day}")  # noqa: S311 - reproducible on purpose
        self.chosen: set[int] = set()
        self.schools = [org.sourced_id for org in district.schools]

    def people(self, count: int, *, staff_only: bool = False, with_number: bool = False) -> list[Person]:
        """Up to `count` active students and staff who are not chosen yet."""
        picked: list[Person] = []
        for _ in range(count * TRIES_PER_PICK):
            if len(picked) == count:
                break
            row = self.chance.randrange(self.district.next_row)
            if row in self.district.gone or row in self.chosen:
                continue
            person = self.district.at(row)
            if self._fits(person, staff_only) and not (with_number and not person.identifier):
                self.chosen.add(row)
                picked.append(person)
        return picked

    def _fits(self, person: Person, staff_only: bool) -> bool:
        first = person.roles[0] if person.roles else None
        return (
            first is not None
            and person.status == "active"
            and first.role not in CONTACT_ROLES
            and not (staff_only and first.role == STUDENT)
            and first.org in self.schools
            and first.end is None
            and (self.school is None or first.org == self.school)
        )

    def returners(self, count: int) -> list[str]:
        """Some of the people who left on an earlier day, from this school if one is given."""
        district = self.district
        candidates = [
            sourced_id
            for sourced_id in district.left()
            if self.school is None or district.before_leaving(sourced_id).is_in(self.school)
        ]
        chosen = self.chance.sample(candidates, min(count, len(candidates)))
        self.chosen.update(row for s in chosen if (row := district.row_of(s)) is not None)
        return chosen

    def newcomer(self, place: int) -> str:
        """Add a person: every fifth is a teacher, the others are students."""
        role = "teacher" if place % 5 == 4 else STUDENT
        return self.district.add(role, self.school or self.chance.choice(self.schools)).sourced_id
