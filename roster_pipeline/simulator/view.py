"""One request's look at a district: a version, a root URL, and the faults that are on."""

from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.errors import RequestError
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.membership import Indexes, listed_indexes
from roster_pipeline.simulator.orgs import Org
from roster_pipeline.simulator.payload import V11, Payload, Record
from roster_pipeline.simulator.person import STUDENT, TEACHER, Person
from roster_pipeline.simulator.studies import Studies


class Cache(Protocol):
    """Keeps what one revision of the district and one set of faults make expensive."""

    def get(self, key: tuple[object, ...], make: Callable[[], Indexes]) -> Indexes:
        """The stored value, made on the first call."""


class View:
    """What a collection needs to know: who is in it and what each record looks like."""

    def __init__(self, district: District, version: str, root: str, faults: Faults, cache: Cache) -> None:
        self.district = district
        self.version = version
        self.faults = faults
        self.cache = cache
        self.payload = Payload(version, root, self.id_of)
        self.studies = Studies(district, self.payload)

    def id_of(self, index: int) -> str:
        """The sourcedId of a person, present or not."""
        if index < self.district.layout.size:
            return self.district.population.sourced_id(index)
        return self.district.at(index).sourced_id

    def indexes(self, role: str | None = None, school: str | None = None) -> Indexes:
        """The positions of the users of a collection."""
        return self.cache.get(
            ("users", self.version, role, school),
            lambda: listed_indexes(self.district, self.version, role, school),
        )

    def enrollment_positions(self) -> Indexes:
        """The positions of all enrollments."""

        def make() -> Indexes:
            return array("I", self.studies.enrollment_positions([*self.indexes(STUDENT), *self.indexes(TEACHER)]))

        return self.cache.get(("enrollments", self.version), make)

    def finder(self, role: str | None = None) -> Callable[[str], int | None]:
        """A function from a sourcedId to a position, None for people who are gone or have not this role."""

        def find(sourced_id: str) -> int | None:
            index = self.district.index_of(sourced_id)
            if index is None or index in self.district.gone:
                return None
            if role is None:
                return index
            person = self.district.at(index)
            entries = person.roles[:1] if self.version == V11 else person.roles
            return index if any(entry.role == role for entry in entries) else None

        return find

    @property
    def splits_people(self) -> bool:
        """Whether one person may be several records."""
        return False

    def sourced_id(self, position: int) -> str:
        """The sourcedId at a position."""
        return self.id_of(position)

    def person(self, position: int) -> Person:
        """The person at a position."""
        return self.district.at(position)

    def user(self, position: int) -> Record:
        """The user object at a position."""
        return self.payload.user(self.district.at(position))

    def orgs(self, of_type: str | None = None) -> Sequence[Org]:
        """The orgs one sees, optionally of one type."""
        return [org for org in self.district.orgs if of_type in (None, org.type)]

    def org(self, org: Org) -> Record:
        """The org object."""
        children = [o.sourced_id for o in self.district.orgs if o.parent == org.sourced_id] if not org.parent else []
        return self.payload.org(org, children)

    def require_school(self, sourced_id: str) -> str:
        """The id of a school one sees; 404 for anything else."""
        if not any(org.sourced_id == sourced_id for org in self.orgs("school")):
            raise RequestError(404, "no school with this sourcedId")
        return sourced_id
