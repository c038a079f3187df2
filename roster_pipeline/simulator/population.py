"""The orgs and people a district starts with, and people who join later: computed from the seed and the row.

The same seed, layout and start date give the same people on every machine; none are stored. The difficulties of real
districts are built in:

- teacher 0 of each school (and every 40th) is a parent too, by a second record (contact 0) with the same name and
  e-mail;
- teacher 1 (and every 20th after) teaches in the next school as well; every 200th student has a second school;
- teacher 2 (and every 40th after) is a siteAdministrator by a second role of the same record;
- teacher 3 and siteAdministrator 0 are one human being in two records with one number and one e-mail;
- student numbers and staff numbers overlap, so that a number means nothing without its kind; both have leading zeros;
- some students have no contact, contacts often have no login and no e-mail, some logins are switched off.
"""

import random
from datetime import date, timedelta
from typing import NamedTuple

from roster_pipeline.simulator.person import (
    CONTACT_ROLES,
    CONTACTS_PER_BLOCK,
    FAMILY_BLOCK,
    FAMILY_NAMES,
    FAMILY_SLUGS,
    GIVEN_NAMES,
    GIVEN_SLUGS,
    SCHOOL_NAMES,
    STUDENT,
    Layout,
    Person,
    Role,
)

LEVEL_NAMES = ("High School", "Middle School", "Elementary School")


class Org(NamedTuple):
    """One org. parent: a sourcedId, or empty. identifier: the number that people know the school by."""

    sourced_id: str
    name: str
    type: str
    identifier: str
    parent: str
    modified: str
    status: str = "active"


def generated_orgs(name: str, schools: int, modified: str) -> list[Org]:
    """The district org `dis-1`, then `sch-1`, `sch-2` ... with identifiers that have leading zeros."""
    orgs = [Org("dis-1", name, "district", "9001", "", modified)]
    for number in range(schools):
        lap, place = divmod(number, len(SCHOOL_NAMES))
        title = f"{SCHOOL_NAMES[place]} {LEVEL_NAMES[number % 3]}{f' {lap + 1}' if lap else ''}"
        orgs.append(Org(f"sch-{number + 1}", title, "school", f"{(number + 1) * 100:04d}", "dis-1", modified))
    return orgs


DOMAIN = "example.org"
MASK = (1 << 64) - 1
FIRST_ID = 1000
"""The first person's sourcedId is `u-1000`."""
AGES = 89
"""Generated records were last changed 1 to 89 days before the district's start date."""

GRADES_BY_LEVEL = (("09", "10", "11", "12"), ("06", "07", "08"), ("KG", "01", "02", "03", "04", "05"))
"""High, middle and elementary school, in turn."""

Family = tuple[tuple[tuple[int, ...], ...], tuple[str, ...], tuple[int, ...], tuple[int, ...]]


def _family(contacts_of: tuple[tuple[int, ...], ...], roles: tuple[str, ...]) -> Family:
    """Complete a pattern with the family of each student and of each contact; families share a family name."""
    families: list[int] = []
    for mine in contacts_of:
        families.append(mine[0] if mine else CONTACTS_PER_BLOCK + len(families))
    by_contact = [
        min((min(mine) for mine in contacts_of if contact in mine), default=contact)
        for contact in range(CONTACTS_PER_BLOCK)
    ]
    return contacts_of, roles, tuple(families), tuple(by_contact)


FAMILY_PATTERNS: tuple[Family, ...] = (
    _family(((0, 1), (0, 1), (2,), (3, 4)), ("parent", "parent", "guardian", "parent", "relative")),
    _family(((0, 1), (2,), (3, 4), (3, 4)), ("parent", "parent", "parent", "parent", "parent")),
    _family(((0, 1), (0, 1), (0, 1), (2, 3, 4)), ("guardian", "parent", "parent", "guardian", "relative")),
    _family(((), (0, 1), (2, 3, 4), (2, 3)), ("parent", "guardian", "parent", "parent", "relative")),
)
"""Each pattern: the contacts of each of four students, and the role of each of five contacts."""

_CHILDREN = tuple(
    tuple(tuple(s for s in range(FAMILY_BLOCK) if c in pattern[0][s]) for c in range(CONTACTS_PER_BLOCK))
    for pattern in FAMILY_PATTERNS
)


def mix(seed: int, value: int) -> int:
    """64 well-mixed bits from two integers (the finaliser of SplitMix64)."""
    z = (value * 0x9E3779B97F4A7C15 + seed) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Population:
    """Computes the generated people. start: the first day of the district; all changes are before it."""

    def __init__(self, seed: int, layout: Layout, start: date) -> None:
        self.layout = layout
        self._bits = mix(0x51A5, seed)
        self._family_bits = mix(0xFA71, seed)
        self._district = "dis-1"
        self.school_ids = [f"sch-{number + 1}" for number in range(layout.schools)]
        self._stamps = [
            f"{start - timedelta(days=age + 1)}T{age % 24:02d}:{age * 7 % 60:02d}:00.{age:03d}Z" for age in range(AGES)
        ]
        self._student_roles = [(Role("student", school),) for school in self.school_ids]
        self._first_contact = layout.starts["contact"]
        self._has_contacts = layout.counts["contact"] > 0
        self._blocks = layout.students_per_school // FAMILY_BLOCK
        self._staff_per_school = layout.starts["contact"] - layout.starts["teacher"]

    def sourced_id(self, row: int) -> str:
        return f"u-{FIRST_ID + row}"

    def person(self, row: int) -> Person:
        school, rest = divmod(row - self.layout.office, self.layout.block)
        if school >= 0 and rest < self.layout.students_per_school:
            return self._student(row, school, rest)
        if school >= 0 and rest >= self._first_contact:
            return self._contact(row, school, rest - self._first_contact)
        place = self.layout.place(row)
        return self._staff(row, place.school, place.kind, place.ordinal)

    def _student(self, row: int, school: int, ordinal: int) -> Person:
        bits = mix(self._bits, row)
        layout = self.layout
        block, seat = divmod(ordinal, FAMILY_BLOCK)
        first = row - ordinal + self._first_contact + block * CONTACTS_PER_BLOCK
        agents: tuple[int, ...] = ()
        if block < self._blocks:
            pattern = FAMILY_PATTERNS[(block + school) & 3]
            family_key = block * 16 + pattern[2][seat]
            if self._has_contacts:
                agents = tuple([first + contact for contact in pattern[0][seat]])
        else:
            family_key = block * 16 + seat
            if self._has_contacts:
                agents = (first + seat,)
        family = mix(self._family_bits, school * 1_000_003 + family_key) % len(FAMILY_NAMES)
        given = bits % len(GIVEN_NAMES)
        number = school * layout.students_per_school + ordinal + 1
        grades = GRADES_BY_LEVEL[school % 3]
        roles: tuple[Role, ...] = self._student_roles[school]
        if ordinal % 200 == 5 and layout.schools > 1:
            roles = (*roles, Role("student", self.school_ids[(school + 1) % layout.schools]))
        login = f"{GIVEN_SLUGS[given]}.{FAMILY_SLUGS[family]}{number}"
        return Person(
            row,
            f"u-{FIRST_ID + row}",
            "active",
            self._stamps[(bits >> 16) % AGES],
            GIVEN_NAMES[given],
            FAMILY_NAMES[family],
            roles,
            GIVEN_NAMES[(bits >> 8) % len(GIVEN_NAMES)] if bits >> 60 < 5 else "",
            GIVEN_NAMES[(bits >> 24) % len(GIVEN_NAMES)] if (bits >> 56) & 15 == 3 else "",
            "",
            "",
            "" if (bits >> 40) % 100 == 0 else login,
            f"{login}@pupils.{DOMAIN}" if (bits >> 32) % 50 else "",
            "",
            "",
            f"{number:06d}",
            f"{9_000_000_000 + row}",
            (bits >> 48) % 50 != 0,
            agents,
            (),
            (grades[(bits >> 36) % len(grades)],),
            {"homeroom": f"{(bits >> 36) % 9 + 1}{'ABCD'[ordinal & 3]}"},
        )

    def _contact(self, row: int, school: int, ordinal: int) -> Person:
        bits = mix(self._bits, row)
        layout = self.layout
        blocks = self._blocks
        block, seat = divmod(ordinal, CONTACTS_PER_BLOCK)
        students = row - ordinal - self._first_contact
        if ordinal < blocks * CONTACTS_PER_BLOCK:
            which = (block + school) & 3
            pattern = FAMILY_PATTERNS[which]
            role, family_key = pattern[1][seat], block * 16 + pattern[3][seat]
            first = students + block * FAMILY_BLOCK
            agents = tuple([first + child for child in _CHILDREN[which][seat]])
        else:
            seat = ordinal - blocks * CONTACTS_PER_BLOCK
            role, family_key = "parent", blocks * 16 + seat
            agents = (students + blocks * FAMILY_BLOCK + seat,)
        if bits >> 61 == 0:
            family_key += 8
        family = mix(self._family_bits, school * 1_000_003 + family_key) % len(FAMILY_NAMES)
        given = bits % len(GIVEN_NAMES)
        given_name, family_name = GIVEN_NAMES[given], FAMILY_NAMES[family]
        email = f"{GIVEN_SLUGS[given]}.{FAMILY_SLUGS[family]}{row}@mail.example" if (bits >> 8) % 10 else ""
        if ordinal % 40 == 0 and ordinal < layout.counts["teacher"]:
            twin = self.person(layout.row_at(school, "teacher", ordinal))
            given_name, family_name, email = twin.given_name, twin.family_name, twin.email
        return Person(
            row,
            f"u-{FIRST_ID + row}",
            "active",
            self._stamps[(bits >> 16) % AGES],
            given_name,
            family_name,
            (Role(role, self.school_ids[school]),),
            username=email if (bits >> 24) % 5 > 1 else "",
            email=email,
            sms=f"+1 202 555 01{(bits >> 32) % 100:02d}" if (bits >> 40) % 10 else "",
            phone=f"+1 303 555 01{(bits >> 44) % 100:02d}" if (bits >> 52) % 3 == 0 else "",
            enabled=(bits >> 24) % 5 > 1,
            agents=agents,
        )

    def _staff(self, row: int, school: int, kind: str, ordinal: int) -> Person:
        layout = self.layout
        original = row  # the record whose name, number and e-mail this one has
        if kind == "siteAdministrator" and ordinal == 0:
            original = layout.row_at(school, "teacher", 3)
        bits = mix(self._bits, original)
        given, family = bits % len(GIVEN_NAMES), (bits >> 20) % len(FAMILY_NAMES)
        if school < 0:
            roles: tuple[Role, ...] = (Role(kind, self._district),)
            number = row + 1
        else:
            roles = (Role(kind, self.school_ids[school]),)
            number = layout.office + school * self._staff_per_school
            number += original - layout.row_at(school, "teacher", 0) + 1
        if kind == "teacher":
            if ordinal % 20 == 1 and layout.schools > 1:
                roles = (*roles, Role(kind, self.school_ids[(school + 1) % layout.schools]))
            if ordinal % 40 == 2:
                roles = (*roles, Role("siteAdministrator", self.school_ids[school], primary=False))
        login = f"{GIVEN_SLUGS[given]}.{FAMILY_SLUGS[family]}{number}"
        return Person(
            row,
            f"u-{FIRST_ID + row}",
            "active",
            self._stamps[(bits >> 16) % AGES],
            GIVEN_NAMES[given],
            FAMILY_NAMES[family],
            roles,
            middle_name=GIVEN_NAMES[(bits >> 8) % len(GIVEN_NAMES)] if bits >> 60 < 4 else "",
            username=login,
            email=f"{login}@staff.{DOMAIN}",
            phone=f"+1 404 555 01{(bits >> 44) % 100:02d}" if (bits >> 52) % 2 else "",
            identifier=f"{number:06d}",
            state_id=f"{9_000_000_000 + original}",
        )


def newcomer(seed: int, row: int, sourced_id: str, role: str, org: str) -> Person:
    """A person who joins after the first day. The same row of the same district is always the same person."""
    chance = random.Random(f"{seed}/newcomer/{row}")  # noqa: S311 - invented people, no secret
    given, family = chance.randrange(len(GIVEN_NAMES)), chance.randrange(len(FAMILY_NAMES))
    login = f"{GIVEN_SLUGS[given]}.{FAMILY_SLUGS[family]}{row}"
    is_contact = role in CONTACT_ROLES
    host = "mail.example" if is_contact else f"{'pupils' if role == STUDENT else 'staff'}.{DOMAIN}"
    return Person(
        row,
        sourced_id,
        "active",
        "",
        GIVEN_NAMES[given],
        FAMILY_NAMES[family],
        (Role(role, org),),
        username="" if is_contact else login,
        email=f"{login}@{host}",
        sms=f"+1 202 555 01{chance.randrange(100):02d}" if is_contact else "",
        identifier="" if is_contact else f"{900_000 + row}",
        state_id="" if is_contact else f"{9_000_000_000 + row}",
        enabled=not is_contact,
        grades=(chance.choice(("06", "07", "08", "09", "10")),) if role == STUDENT else (),
    )
