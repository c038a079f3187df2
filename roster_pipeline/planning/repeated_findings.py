"""One cause is told once: which findings of a line of the verdict only say another one in other words.

A role that came back empty is also a role that shrank, whose people would be archived, and whose people are missing in
the school. A finding that is repeated stays in the verdict: it holds what it holds, and whoever approves it sees it.
Only reports, mails and lists leave it out. So each must have its cause in the same line, where that cause is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roster_pipeline.cleaning.findings import EVERYBODY, Finding

_ABSENCES = ("incomplete_snapshot", "no_orgs", "empty_role", "shrunk_role")
REPEATS: dict[str, tuple[str, ...]] = {
    "older_source": ("incomplete_snapshot",),
    "empty_role": ("no_orgs",),
    "shrunk_role": ("no_orgs", "empty_role"),
    "people_missing": _ABSENCES,
    "archivals": (*_ABSENCES, "people_missing"),
    "archive_most": (*_ABSENCES, "people_missing"),
    "small_role": ("no_orgs", "empty_role", "shrunk_role"),
    "creations": ("strangers",),
    "updates": ("rekeyed", "lower_grades"),
    "quality": ("rejected",),
}
"""Guard to the guards whose findings may be its cause. It is repeated where, without the people whom they explain, it
would not have found anything."""
_CAUSES_FIRST = tuple(dict.fromkeys(cause for causes in REPEATS.values() for cause in causes))


def as_line(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings of one line of the verdict as they are stored, in their order.

    `repeats` is the guard that tells the cause, or "".
    """
    causes: list[Finding] = []
    repeats: dict[int, str] = {}
    for place in sorted(range(len(found)), key=lambda place: _rank(found[place])):
        guard = _cause(found[place], causes)
        repeats[place] = guard
        causes += [] if guard else [found[place]]
    return [finding.as_dict() | {"repeats": repeats[place]} for place, finding in enumerate(found)]


def _rank(finding: Finding) -> int:
    """Causes before what they may explain."""
    order = ("incomplete_snapshot", "no_orgs", "empty_role", "shrunk_role", "people_missing")
    if finding.guard in order:
        return order.index(finding.guard)
    return len(order) if finding.guard in _CAUSES_FIRST else len(order) + 1


def _cause(finding: Finding, causes: Sequence[Finding]) -> str:
    """The guard that explains most of a finding's people, if all causes together explain enough of them."""
    if not (finding.overridable and finding.people and not finding.approver):
        return ""
    able = [one for one in causes if one.guard in REPEATS.get(finding.guard, ())]
    explaining = [one for one in able if any(_explained(one, role) for role in finding.people)]
    left = sum(
        max(0, people - max((_explained(one, role) for one in explaining), default=0))
        for role, people in finding.people.items()
    )
    if not explaining or left > finding.allowed:
        return ""
    return max(explaining, key=lambda one: sum(_explained(one, role) for role in finding.people)).guard


def _explained(cause: Finding, role: str) -> float:
    numbers = cause.people if cause.explains is None else cause.explains
    return numbers.get(role, numbers.get(EVERYBODY, 0))
