"""One request's look at a district: a version, a root URL, and the faults that are on."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.error_responses import RequestError
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.identities import PARTS, Identities
from roster_pipeline.simulator.membership import Indexes, belongs_rule, listed_indexes
from roster_pipeline.simulator.org_faults import bent_org
from roster_pipeline.simulator.orgs import Org
from roster_pipeline.simulator.payload import Payload, Record
from roster_pipeline.simulator.person import STUDENT, TEACHER, Person
from roster_pipeline.simulator.record_faults import record_bender
from roster_pipeline.simulator.sharing import hidden_people, omitted_from_lists, shares_nothing
from roster_pipeline.simulator.studies import Studies


class Cache(Protocol):
    """Keeps what one revision of the district and one set of faults make expensive."""

    def get(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """The stored value, made on the first call."""


class View:
    """What a collection needs to know: who is in it and what each record looks like."""

    def __init__(self, district: District, version: str, root: str, faults: Faults, cache: Cache) -> None:
        self.district = district
        self.version = version
        self.faults = faults
        self.cache = cache
        self.identities: Identities = cache.get(("identities", version), lambda: Identities(district, version, faults))
        self.payload = Payload(version, root, self.id_of)
        self.studies = Studies(district, self.payload)
        self._bend = record_bender(self.payload, district, faults)
        self._hides = hidden_people(district, version, faults, self.studies)
        self._empty = shares_nothing(faults)

    @property
    def splits_people(self) -> bool:
        """Whether one person may be several records."""
        return self.identities.splits

    def id_of(self, row: int) -> str:
        """The sourcedId of a person, present or not."""
        if self.identities.plain and row < self.district.layout.size:
            return self.district.population.sourced_id(row)
        return self.identities.id_of(row)

    def rows(self, role: str | None = None, school: str | None = None) -> Indexes:
        """The rows of the people of a collection, without those who are not shared."""
        if self._empty:
            return array("I")
        key = ("rows", self.version, role, school)
        found: Indexes = self.cache.get(key, lambda: self._shared_rows(role, school))
        return found

    def positions(self, role: str | None = None, school: str | None = None) -> Indexes:
        """The positions of the user records of a collection."""
        rows = self.rows(role, school)
        if not self.splits_people or not rows:
            return rows
        key = ("positions", self.version, role, school)
        found: Indexes = self.cache.get(key, lambda: array("I", self.positions_of(rows, role, school)))
        return found

    def positions_of(self, rows: Iterable[int], role: str | None, school: str | None = None) -> list[int]:
        """The positions of the records of these people that fit role and school."""
        if not self.splits_people:
            return list(rows)
        return self.identities.positions(rows, belongs_rule(self.version, role, school))

    def _shared_rows(self, role: str | None, school: str | None) -> Indexes:
        found = listed_indexes(self.district, self.version, role, school)
        omits, hides, at = omitted_from_lists(self.district, self.faults), self._hides, self.district.at
        if omits is not None:
            found = array("I", [row for row in found if not omits(row)])
        if hides is not None:
            found = array("I", [row for row in found if not hides(at(row))])
        return found

    def enrollment_positions(self) -> Indexes:
        """The positions of all enrollments."""

        def make() -> Indexes:
            return array("I", self.studies.enrollment_positions([*self.rows(STUDENT), *self.rows(TEACHER)]))

        found: Indexes = array("I") if self._empty else self.cache.get(("enrollments", self.version), make)
        return found

    def finder(self, role: str | None = None) -> Callable[[str], int | None]:
        """A function from a sourcedId to a position, None for people who are gone or have not this role."""
        belongs = belongs_rule(self.version, role, None)

        def find(sourced_id: str) -> int | None:
            position = self.identities.find(sourced_id)
            if position is None or self._empty or self.faults.on("single_users", "off"):
                return None
            row = self.identities.rows(position)
            if row in self.district.gone and not self.faults.on("single_users", "linger"):
                return None
            person = self.identities.person(position)
            if self._hides is not None and self._hides(self.district.at(row)):
                return None
            return position if belongs(person) else None

        return find

    def sourced_id(self, position: int) -> str:
        """The sourcedId at a position."""
        if self.identities.plain:
            return self.id_of(position)
        return self.identities.person(position).sourced_id

    def row(self, position: int) -> int:
        """The row of the district a position stands for."""
        return position // PARTS if self.splits_people else position

    def person(self, position: int) -> Person:
        """The person at a position, as served."""
        return self.identities.person(position)

    def user(self, position: int) -> Record:
        """The user object at a position."""
        person = self.identities.person(position)
        record = self.payload.user(person)
        return record if self._bend is None else self._bend(record, person)

    def orgs(self, of_type: str | None = None) -> Sequence[Org]:
        """The orgs one sees, optionally of one type."""
        if self._empty:
            return []
        hidden = self.faults.names("hide_school")
        if of_type == "school" and self.faults.text("org_type") in ("department", "departments"):
            return []
        return [org for org in self.district.orgs if of_type in (None, org.type) and org.sourced_id not in hidden]

    def org(self, org: Org) -> Record:
        """The org object."""
        children = [o.sourced_id for o in self.orgs() if o.parent == org.sourced_id] if not org.parent else []
        return bent_org(self.faults, self.payload.org(org, children), org)

    def require_school(self, sourced_id: str) -> str:
        """The id of a school one sees; 404 for anything else."""
        if not any(org.sourced_id == sourced_id for org in self.orgs("school")):
            if self.faults.on("unknown_school", "empty"):
                return sourced_id
            raise RequestError(403 if self.faults.on("unknown_school", 403) else 404, "no school with this sourcedId")
        return sourced_id
