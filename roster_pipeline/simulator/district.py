"""A simulated district: its generated people, and the people who changed since the first day.

Only people who differ from what the seed gives are in memory. Every change raises `revision` and stamps the record
with the clock, as a SIS does. `days.pass_day` combines these verbs into a day.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from roster_pipeline.simulator.person import FAMILY_NAMES, STUDENT, Layout, Person, Role
from roster_pipeline.simulator.population import FIRST_ID, Org, Population, generated_orgs, newcomer

WAYS_OF_LEAVING = ("mark", "vanish", "lose_org", "end_date", "linger", "mark_then_vanish")
"""How a SIS shows that a person left: status `tobedeleted`; no record; the record without its org; roles that ended
yesterday; no sign for some days, then no record; the status for some days, then no record."""

Clock = Callable[[], datetime]


def now_utc() -> datetime:
    return datetime.now(UTC)


class District:
    """The people and orgs of one SIS. One thread may change it while another serves it."""

    def __init__(
        self,
        seed: int,
        layout: Layout,
        *,
        name: str = "Unified District",
        start: date | None = None,
        clock: Clock = now_utc,
    ) -> None:
        self.seed = seed
        self.layout = layout
        self.name = name
        self.clock = clock
        self.start = start or clock().date()
        self.population = Population(seed, layout, self.start)
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.orgs = generated_orgs(
                self.name, self.layout.schools, f"{self.start - timedelta(days=60)}T00:00:00.000Z"
            )
            self.changed: dict[int, Person] = {}
            self.gone: set[int] = set()
            self.day = 0
            self.revision = getattr(self, "revision", -1) + 1
            self.next_row = self.layout.size
            self._named: dict[str, int] = {}
            self._before_leaving: dict[int, Person] = {}
            self.scheduled: list[tuple[int, int]] = []

    # looking people up

    def __len__(self) -> int:
        """Number of records in a complete list, those marked `tobedeleted` included."""
        return self.next_row - len(self.gone)

    @property
    def schools(self) -> list[Org]:
        return [org for org in self.orgs if org.type == "school"]

    def school(self, sourced_id: str) -> Org:
        """One org by sourcedId; LookupError if there is none."""
        for org in self.orgs:
            if org.sourced_id == sourced_id:
                return org
        raise LookupError(f"the simulated district has no org {sourced_id!r}")

    def row_of(self, sourced_id: str) -> int | None:
        """The row of a person, present or gone; None for an id that this district never had."""
        if (row := self._named.get(sourced_id)) is not None:
            return row
        if sourced_id.startswith("u-") and sourced_id[2:].isdecimal():
            row = int(sourced_id[2:]) - FIRST_ID
            if 0 <= row < self.layout.size and sourced_id == f"u-{FIRST_ID + row}":
                return row
        return None

    def at(self, row: int) -> Person:
        """The current record of a row; also of people who are gone."""
        return self.changed.get(row) or self.population.person(row)

    def at_first(self, row: int) -> Person:
        """The record before the person left; for people who did not leave, the generated one."""
        before = self._before_leaving.get(row)
        return before or (self.population.person(row) if row < self.layout.size else self.at(row))

    def person(self, sourced_id: str) -> Person:
        """One record by sourcedId; LookupError if the district has none (any more)."""
        row = self.row_of(sourced_id)
        if row is None or row in self.gone:
            raise LookupError(f"the simulated district has no person {sourced_id!r}")
        return self.at(row)

    def people(self) -> Iterator[Person]:
        """All records that are present, in the order of their rows."""
        for row in range(self.next_row):
            if row not in self.gone:
                yield self.at(row)

    def people_of(self, school: str, role: str | None = None) -> list[Person]:
        """Active people with a current role in this school, optionally of one (1.2) role."""
        today = self.clock().date().isoformat()
        return [person for person in self.people() if _is_current(person, school, role, today)]

    # changing people

    def stamp(self) -> str:
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def put(self, person: Person) -> Person:
        with self.lock:
            person = person._replace(modified=self.stamp())
            self.changed[person.row] = person
            self.revision += 1
            return person

    def add(self, role: str = STUDENT, school: str | None = None, **fields: Any) -> Person:
        """A new person with this role in this school (default: the first). fields: any fields of `Person`. A student
        gets a new contact, linked both ways, unless `agents` or `agent_ids` are given."""
        with self.lock:
            org = self.school(school or self.schools[0].sourced_id).sourced_id
            row = self.next_row
            sourced_id = fields.pop("sourced_id", None) or f"u-{FIRST_ID + row}"
            if self.row_of(sourced_id) is not None:
                raise ValueError(f"the simulated district already has a person {sourced_id!r}")
            person = newcomer(self.seed, row, sourced_id, role, org)._replace(**fields)
            self.next_row += 1
            self._named[sourced_id] = row
            person = self.put(person)
            if role == STUDENT and self.layout.counts["contact"] and not {"agents", "agent_ids"} & fields.keys():
                contact = self.add("parent", org, family_name=person.family_name, agents=(row,))
                person = self.put(person._replace(agents=(contact.row,)))
            return person

    def remove(self, sourced_id: str, how: str = "vanish", days: int = 2) -> None:
        """A person leaves in one of `WAYS_OF_LEAVING`. days: how long the last two ways take."""
        if how not in WAYS_OF_LEAVING:
            raise ValueError(f"unknown way of leaving {how!r}; one of {', '.join(WAYS_OF_LEAVING)}")
        with self.lock:
            person = self.person(sourced_id)
            self._before_leaving[person.row] = person
            if how == "vanish":
                self.vanish(person.row)
            if how in ("mark", "mark_then_vanish"):
                self.put(person._replace(status="tobedeleted"))
            if how == "lose_org":
                self.put(person._replace(roles=tuple(role._replace(org="") for role in person.roles)))
            if how == "end_date":
                ended = (self.clock().date() - timedelta(days=1)).isoformat()
                self.put(person._replace(roles=tuple(role._replace(end=ended) for role in person.roles)))
            if how in ("linger", "mark_then_vanish"):
                self.scheduled.append((self.day + days, person.row))

    def vanish(self, row: int) -> None:
        with self.lock:
            self.gone.add(row)
            self.revision += 1

    def restore(self, sourced_id: str) -> Person:
        """A person who left comes back with the same sourcedId and the record from before."""
        with self.lock:
            row = self.row_of(sourced_id)
            if row is None:
                raise LookupError(f"the simulated district never had a person {sourced_id!r}")
            self.gone.discard(row)
            self.scheduled = [entry for entry in self.scheduled if entry[1] != row]
            before = self._before_leaving.pop(row) if row in self._before_leaving else self.at(row)
            return self.put(before._replace(status="active"))

    def left(self) -> list[str]:
        """The sourcedIds of people who left by `remove` and did not come back."""
        return [self.at(row).sourced_id for row in sorted(self._before_leaving)]

    def before_leaving(self, sourced_id: str) -> Person:
        """The record of a person before they left; LookupError for people who did not leave."""
        row = self.row_of(sourced_id)
        if row is None or row not in self._before_leaving:
            raise LookupError(f"{sourced_id!r} did not leave the simulated district")
        return self._before_leaving[row]

    def edit(self, sourced_id: str, **fields: Any) -> Person:
        return self.put(self.person(sourced_id)._replace(**fields))

    def rename(self, sourced_id: str, **names: str) -> Person:
        """Change the given names; without any, the person gets another family name."""
        person = self.person(sourced_id)
        if not names:
            place = (FAMILY_NAMES.index(person.family_name) + 17) if person.family_name in FAMILY_NAMES else 0
            names = {"family_name": FAMILY_NAMES[place % len(FAMILY_NAMES)]}
        return self.edit(sourced_id, **names)

    def move(self, sourced_id: str, to: str) -> Person:
        school, schools = self.school(to).sourced_id, {org.sourced_id for org in self.schools}
        roles = (
            entry._replace(org=school) if entry.org in schools else entry for entry in self.person(sourced_id).roles
        )
        return self.edit(sourced_id, roles=tuple(dict.fromkeys(roles)))

    def set_role(self, sourced_id: str, role: str, school: str | None = None) -> Person:
        """Replace all roles by this one (1.2) role, in the given org or in that of the first role."""
        person = self.person(sourced_id)
        org = self.school(school).sourced_id if school else person.roles[0].org
        return self.edit(sourced_id, roles=(Role(role, org),))

    def set_roles(self, sourced_id: str, roles: Sequence[Role]) -> Person:
        return self.edit(sourced_id, roles=tuple(roles))


def _is_current(person: Person, school: str, role: str | None, today: str) -> bool:
    return person.status == "active" and any(
        entry.org == school
        and (role is None or entry.role == role)
        and (entry.begin is None or entry.begin <= today)
        and (entry.end is None or entry.end > today)
        for entry in person.roles
    )


def generate_district(
    seed: int = 7,
    schools: int = 3,
    students_per_school: int = 120,
    *,
    contacts: bool = True,
    name: str = "Unified District",
    start: date | None = None,
    clock: Clock = now_utc,
) -> District:
    """A district of these sizes. The same seed, sizes and start date (default: today) give the same district."""
    layout = Layout(schools, students_per_school, contacts)
    return District(seed, layout, name=name, start=start, clock=clock)
