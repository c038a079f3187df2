"""One person in the simulated SIS, in the terms of OneRoster 1.2; invented names; the arithmetic of rows.

A `Person` is one record as in 1.2: one sourcedId with a list of roles in 1.2's vocabulary; `LEGACY_ROLES` has 1.1's
words. They are tuples because a district of a million people makes and drops them by the thousand.

`Layout` is arithmetic between a row and (school, kind, ordinal). Rows run from 0 to size-1: the people of the district
office, then one block per school, and in each block one range per kind. Nothing is stored per person, so a district of
a million people needs as little memory as one of a hundred.
"""

import tomllib
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

STUDENT = "student"
TEACHER = "teacher"
CONTACT_ROLES = ("parent", "guardian", "relative")
SUPPORT_STAFF = ("aide", "proctor", "counselor")
ROLES = (
    STUDENT, TEACHER, "aide", "counselor", "proctor", "principal", "siteAdministrator", "districtAdministrator",
    "systemAdministrator", *CONTACT_ROLES,
)  # fmt: skip

LEGACY_ROLES: Mapping[str, str] = {
    "counselor": "aide", "principal": "administrator", "siteAdministrator": "administrator",
    "districtAdministrator": "administrator", "systemAdministrator": "administrator",
}  # fmt: skip
"""The 1.1 role of each 1.2 role, if they differ. The standard has no rule for `counselor`; `aide` is the nearest."""
_NAMES = tomllib.loads(files(__package__).joinpath("names.toml").read_text("utf-8"))
GIVEN_NAMES, FAMILY_NAMES, SCHOOL_NAMES = (tuple[str, ...](_NAMES[kind]) for kind in ("given", "family", "schools"))
_LETTERS_WITHOUT_DECOMPOSITION = str.maketrans(
    {"ø": "o", "ł": "l", "æ": "ae", "ß": "ss", "ð": "d", "ı": "i", "þ": "th"}
)
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


class Role(NamedTuple):
    """One entry of `roles`. An empty `org` means that the person no longer belongs to an org."""

    role: str
    org: str
    primary: bool = True
    begin: str | None = None
    end: str | None = None


class Person(NamedTuple):
    """One record of the SIS. Dates are ISO text; an empty text means that the SIS has no value. row: its place in the
    district, which never changes. agents: rows of other people. agent_ids: more agents, by sourcedId, which need not
    exist. agent_members: sourcedId of an agent -> more members of its entry, as some vendors have them. primary_org:
    the `primaryOrg`, if it is not that of the first role."""

    row: int
    sourced_id: str
    status: str
    modified: str
    given_name: str
    family_name: str
    roles: tuple[Role, ...]
    middle_name: str = ""
    preferred_first_name: str = ""
    preferred_middle_name: str = ""
    preferred_last_name: str = ""
    username: str = ""
    email: str = ""
    sms: str = ""
    phone: str = ""
    identifier: str = ""
    state_id: str = ""
    enabled: bool = True
    agents: tuple[int, ...] = ()
    agent_ids: tuple[str, ...] = ()
    grades: tuple[str, ...] = ()
    metadata: Mapping[str, object] | None = None
    agent_members: Mapping[str, Mapping[str, object]] | None = None
    primary_org: str = ""

    def has_role(self, role: str) -> bool:
        """Whether any entry of `roles`, ended or not, has this role."""
        return any(entry.role == role for entry in self.roles)

    def is_in(self, org: str) -> bool:
        """Whether any entry of `roles`, ended or not, points to this org."""
        return any(entry.org == org for entry in self.roles)


def ascii_slug(name: str) -> str:
    """The letters and digits of a name in lower-case ASCII, as in e-mail addresses: `O'Shea` -> `oshea`."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS_WITHOUT_DECOMPOSITION))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


GIVEN_SLUGS: tuple[str, ...] = tuple(map(ascii_slug, GIVEN_NAMES))
FAMILY_SLUGS: tuple[str, ...] = tuple(map(ascii_slug, FAMILY_NAMES))


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
        if row < self.office:
            split = self.district_counts["districtAdministrator"]
            return Place(-1, DISTRICT_KINDS[row >= split], row if row < split else row - split)
        school, rest = divmod(row - self.office, self.block)
        kind = bisect_right(self.bounds, rest) - 1
        return Place(school, KINDS[kind], rest - self.bounds[kind])

    def row_at(self, school: int, kind: str, ordinal: int) -> int:
        """The row of a person of a school: the inverse of `place`."""
        return self.office + school * self.block + self.starts[kind] + ordinal
