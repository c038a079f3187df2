"""Nights of a district: who joins, leaves, returns and changes between one night and the next, by chance but
reproducibly."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from roster_pipeline.simulator.person import CONTACT_ROLES, STUDENT, Person
from roster_pipeline.simulator.population import GRADES_BY_LEVEL

if TYPE_CHECKING:
    from roster_pipeline.simulator.district import District

TRIES_PER_PICK = 200
"""Random indexes looked at for one person wanted; a district that has nobody left to pick is not searched for ever."""

ROLE_MOVES = {"teacher": "siteAdministrator", "aide": "teacher", "counselor": "principal", "proctor": "aide"}
"""What a member of staff becomes; everybody else on the staff becomes a counselor."""


class DayReport(NamedTuple):
    """The sourcedIds of the people one night changed."""

    day: int
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    changed_role: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    renumbered: tuple[str, ...] = ()


def pass_night(
    district: "District",
    *,
    joiners: int = 0,
    leavers: int = 0,
    returners: int = 0,
    renames: int = 0,
    role_moves: int = 0,
    school_moves: int = 0,
    renumbered: int = 0,
    how: str | Sequence[str] = "vanish",
    nights: int = 2,
    school: str | None = None,
) -> DayReport:
    """Let one night pass. Students and staff change in proportion to their numbers, role moves are for staff only.

    how: one of `WAYS_OF_LEAVING`, or several that are used in turn. school: only people of this school, and joiners
    go there. Deterministic by the district's seed, the day and what happened before. Nobody changes twice in one
    night.
    """
    with district.lock:
        district.day += 1
        due = [index for night, index in district.scheduled if night <= district.day]
        district.scheduled = [entry for entry in district.scheduled if entry[0] > district.day]
        for index in due:
            district.vanish(index)
        night = _Night(district, school)
        ways = [how] if isinstance(how, str) else list(how)
        returned = night.choose_returners(returners)
        left = night.pick(leavers)
        renamed = night.pick(renames)
        promoted = night.pick(role_moves, staff_only=True)
        moved = night.pick(school_moves) if len(district.schools) > 1 else []
        other_number = night.pick(renumbered, with_number=True)
        for place, person in enumerate(left):
            district.remove(person.sourced_id, how=ways[place % len(ways)], nights=nights)
        for sourced_id in returned:
            district.restore(sourced_id)
        for person in renamed:
            district.rename(person.sourced_id)
        for person in promoted:
            district.set_role(person.sourced_id, ROLE_MOVES.get(person.roles[0].role, "counselor"))
        for person in moved:
            district.move(person.sourced_id, night.other_school(person))
        for person in other_number:
            district.edit(person.sourced_id, identifier=f"8{person.identifier}")
        joined = [night.newcomer(place) for place in range(joiners)]
        return DayReport(
            district.day, tuple(joined), _ids(left), tuple(returned), _ids(renamed), _ids(promoted), _ids(moved),
            _ids(other_number),
        )  # fmt: skip


def turn_year(district: "District", how: str = "vanish") -> tuple[str, ...]:
    """The school year turns: students go up a grade, those in their school's highest grade leave (their sourcedIds
    are returned)."""
    graduated = []
    with district.lock:
        for person in list(district.people()):
            if person.grades and person.has_role(STUDENT):
                level = next((grades for grades in GRADES_BY_LEVEL if person.grades[0] in grades), ())
                place = level.index(person.grades[0]) + 1 if level else 0
                if place < len(level):
                    district.edit(person.sourced_id, grades=(level[place],))
                else:
                    district.remove(person.sourced_id, how=how)
                    graduated.append(person.sourced_id)
    return tuple(graduated)


def _ids(people: Sequence[Person]) -> tuple[str, ...]:
    return tuple(person.sourced_id for person in people)


class _Night:
    """The choices of one night; remembers whom it has already chosen."""

    def __init__(self, district: "District", school: str | None) -> None:
        self.district = district
        self.school = district.school(school).sourced_id if school else None
        self.chance = random.Random(f"{district.seed}/day/{district.day}")  # noqa: S311 - reproducible on purpose
        self.chosen: set[int] = set()
        self.schools = [org.sourced_id for org in district.schools]

    def pick(self, count: int, *, staff_only: bool = False, with_number: bool = False) -> list[Person]:
        """Up to `count` active students and staff nobody has touched tonight."""
        picked: list[Person] = []
        for _ in range(count * TRIES_PER_PICK):
            if len(picked) == count:
                break
            index = self.chance.randrange(self.district.next_row)
            if index in self.district.gone or index in self.chosen:
                continue
            person = self.district.at(index)
            if self._fits(person, staff_only) and not (with_number and not person.identifier):
                self.chosen.add(index)
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

    def choose_returners(self, count: int) -> list[str]:
        """Some of those who left on an earlier night (and from this school, if one is given)."""
        district = self.district
        candidates = [
            sourced_id
            for sourced_id in district.left()
            if self.school is None or district.before_leaving(sourced_id).is_in(self.school)
        ]
        chosen = self.chance.sample(candidates, min(count, len(candidates)))
        self.chosen.update(index for s in chosen if (index := district.row_of(s)) is not None)
        return chosen

    def other_school(self, person: Person) -> str:
        """A school this person is not in, if there is one."""
        return self.chance.choice([org for org in self.schools if not person.is_in(org)] or self.schools)

    def newcomer(self, place: int) -> str:
        """Add somebody: mostly students, every fifth a teacher."""
        role = "teacher" if place % 5 == 4 else STUDENT
        return self.district.add(role, self.school or self.chance.choice(self.schools)).sourced_id
