"""The guards on the school as a whole: is this our school, and is it the current year?

They come before any role is judged. A hub that sends another district under our School ID, or last year's file under
today's date, changes every role a little or a lot. Each finding holds everything, small roles included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.field_values import CEDS
from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.frames import Flags, persons_of
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts
from roster_pipeline.planning.findings import EVERYBODY, Finding, percent
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import CONTACT, Role

_NOT_EXPECTED = ("excluded", "not_linked", "archive_off", "exempted")
"""Absent people whom no sync expects. Where archive is off, people who left stay active."""
_NO_MEMBERS = ("role_off", "org_below", "unknown_org", "rejected_record")
_YEAR = {grade: place for place, grade in enumerate(CEDS) if grade not in ("PS", "UG", "AE", "OTHER")}
"""School years in order, the youngest first."""


@dataclass(frozen=True)
class WholeSchool:
    """known: active people whom the sync manages and expects. missing: those of them who did not come.

    came: people of this roster, in roles that have anybody here. strangers: those of them who are not members. graded:
    known students who have a grade on both sides; lower: those whose grade would go down. missing_roles: role to the
    missing people. mostly_missing, mostly_new: role to the missing people and to the strangers, for roles in which they
    are the majority.
    """

    known: int = 0
    missing: int = 0
    came: int = 0
    strangers: int = 0
    graded: int = 0
    lower: int = 0
    missing_roles: Mapping[str, int] = field(default_factory=dict)
    mostly_missing: Mapping[str, int] = field(default_factory=dict)
    mostly_new: Mapping[str, int] = field(default_factory=dict)


def whole_school(
    rows: pd.DataFrame,
    directory: DirectoryFrames,
    managed: dict[str, int],
    snapshot: SnapshotFacts,
    announced: frozenset[int] = frozenset(),
) -> WholeSchool:
    """Count them in the rows of a plan. managed: active people of each rostered role. announced: leavers who are gone.

    A list of changes does not say who came, because it names only those who changed.
    """
    rows = rows.loc[rows["role"] != CONTACT, ["person_id", "matched_by", "reason", "role", "action", "changes"]]
    person = persons_of(rows)
    active = directory.members.index[directory.active].to_numpy(dtype=np.int64)
    here = np.isin(person, active)
    matched = rows["matched_by"].notna().to_numpy()
    absent = here & ~matched
    expected = ~rows["reason"].isin(_NOT_EXPECTED).to_numpy() & ~np.isin(person, list(announced))
    old = rows["role"].isin([role for role, there in managed.items() if there]).to_numpy()
    came = ~absent & old & ~rows["reason"].isin(_NO_MEMBERS).to_numpy()
    strangers = came & (rows["action"] == "create").to_numpy()
    whole = snapshot.mode != "delta"
    gone, new = absent & expected, strangers if whole else np.zeros(len(rows), dtype=bool)
    lower = sum(_falls(changes) for changes in rows["changes"][here & (rows["action"] == "update").to_numpy()])
    return WholeSchool(
        known=sum(managed.values()) - int((absent & ~expected).sum()),
        missing=int((absent & expected).sum()),
        came=int(came.sum()) if whole else 0,
        strangers=int(strangers.sum()) if whole else 0,
        graded=managed.get(Role.STUDENT, 0),
        lower=lower,
        missing_roles=_by_role(rows["role"], gone),
        mostly_missing=_mostly(rows["role"], gone, gone | (here & ~absent)),
        mostly_new=_mostly(rows["role"], new, came),
    )


def _by_role(roles: pd.Series[str], such: Flags) -> dict[str, int]:
    return {str(role): int(count) for role, count in roles[such].value_counts().items()} if such.any() else {}


def _mostly(roles: pd.Series[str], such: Flags, among: Flags) -> dict[str, int]:
    """Role to how many of its rows are such, if they are more than half of the rows that count."""
    everybody = _by_role(roles, among)
    return {role: count for role, count in _by_role(roles, such).items() if 2 * count > everybody.get(role, 0)}


def school_findings(school: WholeSchool, guards: Guards, *, first_sync: bool) -> Iterator[Finding]:
    """What looks like another school, or another year."""
    if school.missing > TOO_FEW and school.missing > guards.missing_share * school.known:
        share = school.missing / school.known
        message = (
            f"{school.missing} of the {school.known} people we know here did not come: {percent(share)}. "
            "Is this still the same school?"
        )
        yield Finding(
            "people_missing", message, share, guards.missing_share,
            people=school.missing_roles or {EVERYBODY: school.missing},
            allowed=guards.missing_share * school.known,
            explains=school.mostly_missing,
        )  # fmt: skip
    if not first_sync and school.strangers > TOO_FEW and school.strangers > guards.strangers_share * school.came:
        share = school.strangers / school.came
        message = (
            f"{school.strangers} of the {school.came} people who came are new to this school: {percent(share)}. "
            "Is this still the same school?"
        )
        yield Finding("strangers", message, share, guards.strangers_share, explains=school.mostly_new)
    if school.lower > TOO_FEW and school.lower > guards.lower_grades_share * school.graded:
        share = school.lower / school.graded
        message = (
            f"{school.lower} of {school.graded} students would go down in grade: {percent(share)}. Is this an old file?"
        )
        yield Finding("lower_grades", message, share, guards.lower_grades_share, explains={Role.STUDENT: school.lower})


def _falls(changes: dict[str, list[object]]) -> bool:
    """Whether a row moves somebody to a younger grade."""
    old, new = (_YEAR.get(str(grade)) for grade in changes.get("grade", (None, None)))
    return old is not None and new is not None and new < old
