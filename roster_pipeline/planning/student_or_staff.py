"""Known students who would get a role of staff, and the reverse.

A wrong role is easily typed in a SIS, and an application gives staff rights that no student may have. So such rows wait
for a person, even a single one.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, persons_of, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of, numbers_of, places_of
from roster_pipeline.identity.evidence import STAFF, STUDENT, kind_of
from roster_pipeline.planning.findings import Finding, RowFinding
from roster_pipeline.vocabulary import ROLE_GROUPS, WRITING, counted

GUARD = "student_or_staff"
_STUDENTS, _STAFF = (
    pa.array([role for role in ROLE_GROUPS if kind_of(role) == kind], TEXT) for kind in (STUDENT, STAFF)
)


@dataclass(frozen=True)
class ChangesOfKind:
    """rows: which rows of the plan do this. to_staff, to_student: how many people would become staff, and students."""

    rows: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    to_staff: int = 0
    to_student: int = 0


def changes_of_kind(rows: pd.DataFrame, directory: DirectoryFrames) -> ChangesOfKind:
    """Find the rows of a plan that make a student of this district a member of staff, or the reverse.

    What somebody was here counts, archived or not, and what they are in other schools. Somebody who is both already
    does not count.
    """
    person = persons_of(rows)
    here = taken(strings(directory.members["role"]), places_of(person, directory.members))
    there = directory.elsewhere[flags_of(directory.elsewhere["status"] == "active")]
    was_student, was_staff = (
        of_kind | np.isin(person, numbers_of(there["person_id"])[of_kind_there])
        for of_kind, of_kind_there in zip(_kinds(here), _kinds(strings(there["role"])), strict=True)
    )
    student, staff = _kinds(strings(rows["role"]))
    writes = np.isin(rows["action"].to_numpy(dtype=object), WRITING) & (person >= 0)
    writes &= (staff & was_student & ~was_staff) | (student & was_staff & ~was_student)
    changes = rows["changes"].to_numpy(dtype=object)
    for place in np.flatnonzero(writes).tolist():
        writes[place] = "role" in changes[place]
    return ChangesOfKind(writes, int((writes & staff).sum()), int((writes & student).sum()))


def changes_of_kind_finding(found: ChangesOfKind) -> RowFinding | None:
    """The finding about them. They always wait."""
    parts = []
    if found.to_staff:
        parts.append(f"{counted(found.to_staff, 'student', 'students')} would get a role of staff")
    if found.to_student:
        members, students = ("member", "a student") if found.to_student == 1 else ("members", "students")
        parts.append(f"{found.to_student:,} {members} of staff would become {students}")
    if not parts:
        return None
    message = f"{', and '.join(parts)}. Check their roles in the SIS."
    return RowFinding(Finding(GUARD, message, found.to_staff + found.to_student, 0), holds=True)


def _kinds(roles: Array) -> tuple[Flags, Flags]:
    """Which of these roles are students, and which are staff."""
    return truth(pc.is_in(roles, value_set=_STUDENTS)), truth(pc.is_in(roles, value_set=_STAFF))
