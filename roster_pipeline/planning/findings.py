"""A finding of a guard: the guard, a message for the owner, the number and its limit, and whether it can be approved.

One cause is reported once: a role that came back empty is also a role that shrank, whose people would be archived and
are missing in the school. A finding that only repeats another stays in the verdict, holds what it holds, and is shown
to people who approve it. Reports, mails and lists leave it out. So each repeated finding must have its cause in the
same line of the verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from roster_pipeline.vocabulary import CHANGING

EVERYBODY = ""
"""A key in `people` of a finding: all roles together."""

_STORED = ("guard", "message", "value", "limit", "overridable", "approver", "about")

_ABSENCES = ("incomplete_snapshot", "no_orgs", "empty_role", "shrunk_role")
_MISSING = (*_ABSENCES, "people_missing", "part_missing", "never_listed")

REPEATS: dict[str, tuple[str, ...]] = {
    "older_source": ("incomplete_snapshot",),
    "empty_role": ("no_orgs",),
    "shrunk_role": ("no_orgs", "empty_role"),
    "people_missing": _ABSENCES,
    "archivals": _MISSING,
    "archive_most": _MISSING,
    "slow_loss": (*_MISSING, "archivals", "archive_most"),
    "small_role": ("no_orgs", "empty_role", "shrunk_role"),
    "creations": ("strangers",),
    "updates": ("rekeyed", "lower_grades"),
    "quality": ("rejected",),
}
"""For each guard, the guards whose findings may be its cause. A finding repeats them only if it would not exist without
the people that they explain."""

_CAUSES_FIRST = tuple(dict.fromkeys(cause for causes in REPEATS.values() for cause in causes))


@dataclass(frozen=True)
class Finding:
    """One reason to hold. value and limit: counts, or shares from 0 to 1. roles: None means every role.

    approver: `MANAGER` if an owner of the school may not decide, else "". about: the role it is about, or "" for the
    school. people: role to the number of people that it is about. allowed: with at most this many people there would be
    no finding. explains: role to the number of people that it explains in other findings, if that differs from
    `people`.
    """

    guard: str
    message: str
    value: float
    limit: float
    actions: tuple[str, ...] = CHANGING
    roles: tuple[str, ...] | None = None
    overridable: bool = True
    approver: str = ""
    about: str = ""
    people: Mapping[str, float] = field(default_factory=dict)
    allowed: float = 0
    explains: Mapping[str, float] | None = None

    def concerns(self, role: str, action: str) -> bool:
        """Whether this finding holds that action of that role."""
        return action in self.actions and (self.roles is None or role in self.roles)

    def as_dict(self) -> dict[str, Any]:
        """guard, message, value, limit, overridable, approver, about."""
        return {name: getattr(self, name) for name in _STORED}


@dataclass(frozen=True)
class RowFinding:
    """A finding about single rows of a plan, which get a verdict of their own. holds: whether they wait for a person;
    otherwise they are applied and reported."""

    finding: Finding
    holds: bool


def percent(share: float) -> str:
    """A share as people write it: 0.123 is 12 %, and a share below 10 % has one decimal."""
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"


def out_of(rows: int, there: int) -> str:
    """The number of people in the directory, with the share unless it is over 100 %."""
    return f"with {there} in the directory" + (f": {percent(rows / there)}" if rows <= there else "")


def as_line(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings of one line of the verdict in the form in which they are stored, in their order. `repeats` is the
    guard that reports the cause, or "".
    """
    causes: list[Finding] = []
    repeats: dict[int, str] = {}
    for place in sorted(range(len(findings)), key=lambda place: _rank(findings[place])):
        guard = _cause(findings[place], causes)
        repeats[place] = guard
        causes += [] if guard else [findings[place]]
    return [finding.as_dict() | {"repeats": repeats[place]} for place, finding in enumerate(findings)]


def _rank(finding: Finding) -> int:
    """Sort causes before the findings that they may explain."""
    order = ("incomplete_snapshot", "no_orgs", "empty_role", "shrunk_role", "people_missing")
    if finding.guard in order:
        return order.index(finding.guard)
    return len(order) if finding.guard in _CAUSES_FIRST else len(order) + 1


def _cause(finding: Finding, causes: Sequence[Finding]) -> str:
    """The guard that explains most of a finding's people, if all causes together explain enough of them."""
    if not (finding.overridable and finding.people and not finding.approver):
        return ""
    able = [cause for cause in causes if cause.guard in REPEATS.get(finding.guard, ())]
    explaining = [cause for cause in able if any(_explained(cause, role) for role in finding.people)]
    left = sum(
        max(0, people - max((_explained(cause, role) for cause in explaining), default=0))
        for role, people in finding.people.items()
    )
    if not explaining or left > finding.allowed:
        return ""
    return max(explaining, key=lambda cause: sum(_explained(cause, role) for role in finding.people)).guard


def _explained(cause: Finding, role: str) -> float:
    numbers = cause.people if cause.explains is None else cause.explains
    return numbers.get(role, numbers.get(EVERYBODY, 0))
