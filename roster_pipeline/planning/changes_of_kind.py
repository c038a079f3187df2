"""Students who would become staff, the reverse, and contacts of students who would become members.

A wrong role is easily typed in a SIS, and an application gives staff rights that no student or parent may have. So such
rows always wait, even a single one.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, persons_of, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of, numbers_of, places_of
from roster_pipeline.identity.evidence import STAFF, STUDENT, kind_of
from roster_pipeline.planning.findings import Finding, RowFinding
from roster_pipeline.vocabulary import CONTACT, CONTACTS_OFF, CREATE, MORE_CONTACTS, ROLE_GROUPS, WRITING, counted

_STUDENTS, _STAFF = (
    pa.array([role for role in ROLE_GROUPS if kind_of(role) == kind], TEXT) for kind in (STUDENT, STAFF)
)


@dataclass(frozen=True)
class ChangesOfKind:
    """rows: which rows of the plan do this, or wait with such a row. to_staff, to_student: how many people would become
    staff, and students. contacts: how many contacts would become members."""

    rows: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    to_staff: int = 0
    to_student: int = 0
    contacts: int = 0


def changes_of_kind(
    rows: pd.DataFrame,
    roster: pd.DataFrame,
    directory: DirectoryFrames,
    not_rostered: Mapping[str, Collection[str]] | None = None,
) -> ChangesOfKind:
    """Find the rows of a plan that make a student of this district a member of staff, or the reverse, or a contact of
    this school's students a member. not_rostered: by record, the roles of `arrivals.roles_not_rostered`.

    What somebody was here counts, archived or not, and what they are in other schools. Somebody who is both already
    does not count; a parent who teaches here is still a contact in the roster. Of somebody new, what their records were
    in earlier lists counts.
    """
    person = persons_of(rows)
    here = taken(strings(directory.members["role"]), places_of(person, directory.members))
    there = directory.elsewhere[flags_of(directory.elsewhere["status"] == "active")]
    was_student, was_staff = (
        of_kind | np.isin(person, numbers_of(there["person_id"])[of_kind_there])
        for of_kind, of_kind_there in zip(_kinds(here), _kinds(strings(there["role"])), strict=True)
    )
    student, staff = _kinds(strings(rows["role"]))
    action = rows["action"].to_numpy(dtype=object)
    known = np.isin(action, WRITING) & (person >= 0)
    writes = known & ((staff & was_student & ~was_staff) | (student & was_staff & ~was_student))
    changes = rows["changes"].to_numpy(dtype=object)
    for place in np.flatnonzero(writes).tolist():
        writes[place] = "role" in changes[place]
    new, earlier = (action == CREATE) & (person < 0), not_rostered or {}
    of_rows = rows["sourced_ids"].to_numpy(dtype=object)
    for place in np.flatnonzero(new).tolist() if earlier else ():
        were = {kind_of(role) for one in of_rows[place] for role in earlier.get(one, ())}
        writes[place] = (student[place] and STAFF in were) or (staff[place] and STUDENT in were)
    were_contacts = {one for one, roles in earlier.items() if CONTACT in roles}
    contacts, beside = _of_contacts(rows, new, known, roster, directory, were_contacts)
    counts = (int(some.sum()) for some in (writes & staff, writes & student, contacts))
    return ChangesOfKind(writes | contacts | beside, *counts)


def kind_finding(found: ChangesOfKind) -> RowFinding | None:
    """The finding about them."""
    parts = []
    if found.to_staff:
        parts.append(f"{counted(found.to_staff, 'student', 'students')} would get a role of staff")
    if found.to_student:
        members, students = ("member", "a student") if found.to_student == 1 else ("members", "students")
        parts.append(f"{found.to_student:,} {members} of staff would become {students}")
    if found.contacts:
        contacts = counted(found.contacts, "contact", "contacts")
        parts.append(
            f"{contacts} of students would become {'a member' if found.contacts == 1 else 'members'} of the school"
        )
    if not parts:
        return None
    people = found.to_staff + found.to_student + found.contacts
    message = f"{', and '.join(parts)}. Check their roles in the SIS."
    return RowFinding(Finding("student_or_staff", message, people, 0), holds=True)


def _of_contacts(
    rows: pd.DataFrame,
    new: Flags,
    writes: Flags,
    roster: pd.DataFrame,
    directory: DirectoryFrames,
    were_contacts: Collection[str],
) -> tuple[Flags, Flags]:
    """The new rows whose record is a stored contact here, or was one in an earlier list (were_contacts), and is no
    contact in the roster any more; and the rows of the students who have it stored. These wait too: without the stored
    contact, the new row would pass once the earlier lists are gone."""
    students, records = directory.members[directory.active], rows["sourced_ids"].to_numpy(dtype=object)
    stored = _contacts_of(students) if new.any() else []
    were = set(were_contacts).union(*stored).intersection(chain.from_iterable(records[new]))
    if were:
        were = were.difference(*_contacts_of(roster))
    become = new & np.array([not were.isdisjoint(ids) for ids in records], dtype=bool)
    theirs = np.array([not were.isdisjoint(ids) for ids in stored], dtype=bool)
    waits = writes & (rows["reason"].to_numpy(dtype=object) != CONTACTS_OFF)
    return become, waits & np.isin(persons_of(rows), numbers_of(students.index)[theirs])


def _contacts_of(frame: pd.DataFrame) -> list[set[str]]:
    """The ids of the contacts in each row."""
    columns = (strings(frame[name]).to_pylist() for name in ("contact_sourced_id", MORE_CONTACTS))
    return [
        {*filter(None, [primary]), *(contact[0] for contact in json.loads(more or "[]"))}
        for primary, more in zip(*columns, strict=True)
    ]


def _kinds(roles: Array) -> tuple[Flags, Flags]:
    """Which of these roles are students, and which are staff."""
    return truth(pc.is_in(roles, value_set=_STUDENTS)), truth(pc.is_in(roles, value_set=_STAFF))
