"""Classes and enrollments, computed from the people of each school.

There is one class per teacher. Every student is in two of them (fewer in a tiny school), every teacher teaches one.
People who lost their org or whose roles ended keep their enrollments, ended yesterday, as in real systems.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from roster_pipeline.simulator.district import District
from roster_pipeline.simulator.messages import Payload, Record
from roster_pipeline.simulator.person import STUDENT, TEACHER, Person

GRADES = ("KG", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")
SUBJECTS = ("Mathematics", "Language", "Science", "History", "Art", "Music")
SLOTS = 2
"""Enrollment positions per person; a teacher uses only the first."""


class Studies:
    """What a district teaches, as objects by position. Positions: school * classes per school + class; row * SLOTS +
    slot."""

    def __init__(self, district: District, payload: Payload) -> None:
        self.district = district
        self.payload = payload
        self.per_school = district.layout.counts["teacher"]
        self.stamp = f"{district.start - timedelta(days=60)}T00:00:00.000Z"
        first = district.start.year if district.start.month >= 8 else district.start.year - 1
        self.year_begins = date(first, 8, 1)

    def _base(self, sourced_id: str) -> Record:
        return {"sourcedId": sourced_id, "status": "active", "dateLastModified": self.stamp}

    def class_positions(self, school: str | None = None) -> list[int]:
        """Classes of a school, or of all."""
        schools = self.district.population.school_ids
        chosen: Iterable[int] = (
            range(len(schools)) if school is None else [schools.index(school)] if school in schools else []
        )
        return [n * self.per_school + k for n in chosen for k in range(self.per_school)]

    def class_id(self, position: int) -> str:
        """The sourcedId of a class."""
        return f"cls-{position // self.per_school + 1}-{position % self.per_school + 1}"

    def a_class(self, position: int) -> Record:
        """A class object."""
        school, number = divmod(position, self.per_school)
        return self._base(self.class_id(position)) | {
            "title": f"{SUBJECTS[number % len(SUBJECTS)]} {number + 1}",
            "classCode": f"C{number + 1:03d}",
            "classType": "scheduled",
            "course": self.payload.ref("courses", "course", f"crs-{GRADES[position % len(GRADES)]}"),
            "school": self.payload.org_ref(self.district.population.school_ids[school]),
            "terms": [self.payload.ref("academicSessions", "academicSession", "ses-t1")],
        }

    def find_class(self, sourced_id: str) -> int | None:
        """The position of a class."""
        parts = sourced_id.split("-")
        if len(parts) != 3 or parts[0] != "cls" or not (parts[1].isdecimal() and parts[2].isdecimal()):
            return None
        position = (int(parts[1]) - 1) * self.per_school + int(parts[2]) - 1
        fits = 0 <= position < self.district.layout.schools * self.per_school
        return position if fits and self.class_id(position) == sourced_id else None

    # enrollments

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
        """Positions of the enrollments of these people."""
        at = self.district.at
        return [row * SLOTS + slot for row in rows for slot in range(len(self.classes_of(at(row))))]

    def enrollment(self, position: int) -> Record:
        """An enrollment object."""
        row, slot = divmod(position, SLOTS)
        person = self.district.at(row)
        where = self.classes_of(person)[slot]
        first = person.roles[0]
        school = self.district.population.school_ids[where // self.per_school]
        record = self._base(f"enr-{row}-{slot}") | {
            "user": self.payload.user_ref(self.payload.id_of(row)),
            "class": self.payload.ref("classes", "class", self.class_id(where)),
            "school": self.payload.org_ref(school),
            "role": first.role,
            "beginDate": self.year_begins.isoformat(),
        }
        if first.role == TEACHER:
            record["primary"] = "true"
        if not first.org or first.end:
            record["endDate"] = first.end or person.modified[:10]
        return record

    def enrollment_class(self, position: int) -> int:
        """The class of an enrollment."""
        row, slot = divmod(position, SLOTS)
        return self.classes_of(self.district.at(row))[slot]

    def find_enrollment(self, sourced_id: str) -> int | None:
        """The position of an enrollment; None for people who are gone."""
        parts = sourced_id.split("-")
        if len(parts) != 3 or parts[0] != "enr" or not (parts[1].isdecimal() and parts[2].isdecimal()):
            return None
        row, slot = int(parts[1]), int(parts[2])
        if row >= self.district.next_row or row in self.district.gone:
            return None
        return row * SLOTS + slot if slot < len(self.classes_of(self.district.at(row))) else None
