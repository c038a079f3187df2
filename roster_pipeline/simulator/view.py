"""A district as one request sees it: the people who are served, in one version, with the active faults."""

import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.faults import Faults
from roster_pipeline.simulator.json_faults import faulty_org, user_faults
from roster_pipeline.simulator.membership import IdScheme, Indexes, belongs_rule, listed_rows, rows_by_org
from roster_pipeline.simulator.messages import Payload, Record, RequestError
from roster_pipeline.simulator.person import CONTACT_ROLES, LEGACY_ROLES, STUDENT, SUPPORT_STAFF, TEACHER, Person
from roster_pipeline.simulator.population import GRADES_BY_LEVEL, Org, mix

LAST_GRADES = frozenset(grades[-1] for grades in GRADES_BY_LEVEL)
"""The highest grade of each kind of school."""
SLOTS = 2
"""Enrollment positions per person; a teacher uses only the first."""


@dataclass(slots=True)
class Listing:
    """The records of one path. Only `render` and `find` know what the integers in `positions` mean."""

    plural: str
    single: str
    positions: Sequence[int]
    render: Callable[[int], Record]
    find: Callable[[str], int | None]


class Studies:
    """Enrollments in classes, computed from the people of each school, as objects by position. There is one class per
    teacher. Every student is in two of them (fewer in a tiny school), every teacher teaches one. People who lost their
    org or whose roles ended keep their enrollments, ended yesterday, as in real systems. A class is a number: school *
    classes per school + class. The position of an enrollment is row * SLOTS + slot."""

    def __init__(self, district: District, payload: Payload) -> None:
        self.district = district
        self.payload = payload
        self.per_school = district.layout.counts["teacher"]
        self.stamp = f"{district.start - timedelta(days=60)}T00:00:00.000Z"
        first = district.start.year if district.start.month >= 8 else district.start.year - 1
        self.year_begins = date(first, 8, 1)

    def classes_of(self, person: Person) -> list[int]:
        """The classes of a student or teacher in their first school; also after they left it."""
        if not person.roles or person.roles[0].role not in (STUDENT, TEACHER):
            return []
        school = person.roles[0].org or self.district.at_first(person.row).roles[0].org
        if school not in self.district.population.school_ids:
            return []
        first = self.district.population.school_ids.index(school) * self.per_school
        own = first + person.row % self.per_school
        if person.roles[0].role == TEACHER:
            return [own]
        return list(dict.fromkeys((own, first + (person.row * 7 + 3) % self.per_school)))

    def enrollment_positions(self, rows: Iterable[int]) -> list[int]:
        at = self.district.at
        return [row * SLOTS + slot for row in rows for slot in range(len(self.classes_of(at(row))))]

    def enrollment(self, position: int) -> Record:
        row, slot = divmod(position, SLOTS)
        person = self.district.at(row)
        where = self.classes_of(person)[slot]
        first = person.roles[0]
        school, number = divmod(where, self.per_school)
        record = {
            "sourcedId": f"enr-{row}-{slot}",
            "status": "active",
            "dateLastModified": self.stamp,
            "user": self.payload.user_ref(self.payload.id_of(row)),
            "class": self.payload.ref("classes", "class", f"cls-{school + 1}-{number + 1}"),
            "school": self.payload.org_ref(self.district.population.school_ids[school]),
            "role": first.role,
            "beginDate": self.year_begins.isoformat(),
        }
        if first.role == TEACHER:
            record["primary"] = "true"
        if not first.org or first.end:
            record["endDate"] = first.end or person.modified[:10]
        return record

    def enrollment_school(self, position: int) -> str:
        row, slot = divmod(position, SLOTS)
        where = self.classes_of(self.district.at(row))[slot]
        return self.district.population.school_ids[where // self.per_school]

    def find_enrollment(self, sourced_id: str) -> int | None:
        """The position of an enrollment; None for people who are gone."""
        parts = sourced_id.split("-")
        if len(parts) != 3 or parts[0] != "enr" or not (parts[1].isdecimal() and parts[2].isdecimal()):
            return None
        row, slot = int(parts[1]), int(parts[2])
        if row >= self.district.next_row or row in self.district.gone:
            return None
        return row * SLOTS + slot if slot < len(self.classes_of(self.district.at(row))) else None


class RevisionCache:
    """Keeps values that are expensive to make, until the district or the faults change."""

    def __init__(self, district: District, faults: Faults) -> None:
        self._district, self._faults = district, faults
        self._state = (-1, -1)
        self._values: dict[tuple[object, ...], Any] = {}
        self._lock = threading.RLock()

    def get(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        with self._lock:
            state = (self._district.revision, self._faults.revision)
            if state != self._state:
                self._values, self._state = {}, state
            if key not in self._values:
                self._values[key] = make()
            return self._values[key]


class View:
    """Who is in a collection, and what each record looks like."""

    def __init__(self, district: District, version: str, root: str, faults: Faults, cache: RevisionCache) -> None:
        self.district = district
        self.version = version
        self.faults = faults
        self.cache = cache
        self._ids: IdScheme = cache.get(("ids", version), lambda: IdScheme(district, version, faults))
        self.payload = Payload(version, root, self.id_of)
        self.studies = Studies(district, self.payload)
        self.splits_people = self._ids.splits
        self.row = self._ids.row
        self.person = self._ids.person
        self._apply_faults = user_faults(self.payload, district, faults)
        self._hides = _hidden_people(faults)
        is_cold = faults.on("cold_cache") and faults.seconds_on("cold_cache") < faults.number("cold_cache")
        self._empty = faults.on("no_share") or is_cold

    def id_of(self, row: int) -> str:
        """The sourcedId of a person, present or not."""
        if self._ids.plain and row < self.district.layout.size:
            return self.district.population.sourced_id(row)
        return self._ids.id_of(row)

    def rows(self, role: str | None = None, school: str | None = None) -> Indexes:
        """The rows of the people of a collection, without those who are not shared."""
        if self._empty:
            return array("I")
        rows: Indexes = self.cache.get(("rows", self.version, role, school), lambda: self._shared_rows(role, school))
        return rows

    def _shared_rows(self, role: str | None, school: str | None) -> Indexes:
        everybody = (row for row in range(self.district.next_row) if row not in self.district.gone)
        near = everybody if school is None else self._members().get(school, ())
        rows = listed_rows(self.district, near, self.version, role, school)
        hides, at, seed = self._hides, self.district.at, self.district.seed
        if percent := self.faults.number("list_omits"):
            rows = array("I", [row for row in rows if mix(seed, row) % 100 >= percent])
        if hides is not None:
            rows = array("I", [row for row in rows if not hides(at(row))])
        return rows

    def _members(self) -> dict[str, Indexes]:
        members: dict[str, Indexes] = self.cache.get(("members",), lambda: rows_by_org(self.district))
        return members

    def positions(self, role: str | None = None, school: str | None = None) -> Indexes:
        rows = self.rows(role, school)
        if not self.splits_people or not rows:
            return rows
        key = ("positions", self.version, role, school)
        belongs = belongs_rule(self.version, role, school)
        positions: Indexes = self.cache.get(key, lambda: array("I", self._ids.positions(rows, belongs)))
        return positions

    def enrollment_positions(self) -> Indexes:
        def make() -> Indexes:
            return array("I", self.studies.enrollment_positions([*self.rows(STUDENT), *self.rows(TEACHER)]))

        positions: Indexes = array("I") if self._empty else self.cache.get(("enrollments", self.version), make)
        return positions

    def finder(self, role: str | None = None) -> Callable[[str], int | None]:
        """A function from a sourcedId to a position; None for people who are gone or do not have this role."""
        of_students = self.faults.on("single_users", "students") or (
            role is None and self.faults.on("single_users", "own_lists")
        )
        belongs = belongs_rule(self.version, STUDENT if of_students else role, None)

        def find(sourced_id: str) -> int | None:
            position = self._ids.find(sourced_id)
            if position is None or self._empty or self.faults.on("single_users", "off"):
                return None
            row = self.row(position)
            if row in self.district.gone and not self.faults.on("single_users", "linger"):
                return None
            if self._hides is not None and self._hides(self.district.at(row)):
                return None
            return position if belongs(self.person(position)) else None

        return find

    def sourced_id(self, position: int) -> str:
        return self.id_of(position) if self._ids.plain else self.person(position).sourced_id

    def user(self, position: int) -> Record:
        person = self.person(position)
        record = self.payload.user(person)
        return record if self._apply_faults is None else self._apply_faults(record, person)

    def orgs(self, of_type: str | None = None) -> Sequence[Org]:
        """The orgs that are shared, optionally of one type."""
        if self._empty or (of_type == "school" and self.faults.text("org_type") in ("department", "departments")):
            return []
        hidden = self.faults.names("hide_school")
        return [org for org in self.district.orgs if of_type in (None, org.type) and org.sourced_id not in hidden]

    def org(self, org: Org) -> Record:
        children = [o.sourced_id for o in self.orgs() if o.parent == org.sourced_id] if not org.parent else []
        return faulty_org(self.faults, self.payload.org(org, children), org)

    def require_school(self, sourced_id: str) -> str:
        """The id of a school that is shared; RequestError 404 for any other."""
        if any(org.sourced_id == sourced_id for org in self.orgs("school")) or self.faults.on(
            "unknown_school", "empty"
        ):
            return sourced_id
        raise RequestError(403 if self.faults.on("unknown_school", 403) else 404, "no school with this sourcedId")


def _hidden_people(faults: Faults) -> Callable[[Person], bool] | None:
    """A test for people who are not served; None if all are."""
    tests: list[Callable[[Person], bool]] = []
    if schools := faults.names("hide_school"):
        tests.append(lambda p: bool(p.roles) and all(entry.org in schools for entry in p.roles))
    if roles := faults.names("role_absent"):
        tests.append(lambda p: not roles.isdisjoint((_first_role(p), LEGACY_ROLES.get(_first_role(p)))))
    if halved := faults.text("half_school"):
        tests.append(lambda p: p.is_in(halved) and p.row % 2 == 0)
    if faults.on("accountless_hidden"):
        tests.append(lambda p: not p.username)
    if faults.on("guardians", "off"):
        tests.append(lambda p: _first_role(p) in CONTACT_ROLES)
    if faults.on("between_terms"):
        tests.append(lambda p: p.has_role(STUDENT))
    if grades := faults.names("grade_hidden"):
        tests.append(lambda p: bool(grades.intersection(p.grades)))
    if faults.on("graduates"):
        tests.append(lambda p: bool(LAST_GRADES.intersection(p.grades)))
    if faults.on("staff_as", "absent"):
        tests.append(lambda p: _first_role(p) in SUPPORT_STAFF)
    if not tests:
        return None
    return lambda person: any(test(person) for test in tests)


def _first_role(person: Person) -> str:
    return person.roles[0].role if person.roles else ""
