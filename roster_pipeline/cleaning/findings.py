"""What a guard found: which guard, in words for the owner, the number and its limit, and whether it can be approved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from roster_pipeline.frames import Flags

CREATE, UPDATE, RESTORE, ARCHIVE = "create", "update", "restore", "archive"
EVERYTHING = (CREATE, UPDATE, RESTORE, ARCHIVE)
"""The kinds of action that are judged."""
TOO_FEW = 2
"""One or two people are no share of anything: a school's third administrator must not need an approval."""


EVERYBODY = ""
"""In the numbers of a finding: people of every role."""
MANAGER = "manager"
"""Who alone may approve what some findings hold; all others may be approved by the school's owners too."""


@dataclass(frozen=True)
class Finding:
    """One reason to hold. value and limit: counts, or shares from 0 to 1. roles: None means every role.

    approver: `MANAGER` where an owner of the school may not decide, else "". about: the role it is about, or "" for the
    school. people: role to how many people it is about; more than `allowed` of them make the finding. explains: role to
    how many people another finding has for this reason alone, if they are others than `people`.
    """

    guard: str
    message: str
    value: float
    limit: float
    actions: tuple[str, ...] = EVERYTHING
    roles: tuple[str, ...] | None = None
    overridable: bool = True
    approver: str = ""
    about: str = ""
    people: Mapping[str, float] = field(default_factory=dict)
    allowed: float = 0
    explains: Mapping[str, float] | None = None

    def concerns(self, role: str, action: str) -> bool:
        """Does this finding hold that action of that role?"""
        return action in self.actions and (self.roles is None or role in self.roles)

    def as_dict(self) -> dict[str, Any]:
        """guard, message, value, limit, overridable, approver, about."""
        return {name: getattr(self, name) for name in _STORED}


_STORED = ("guard", "message", "value", "limit", "overridable", "approver", "about")


def without_repeats(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The findings of a stored verdict without those that repeat another one of the same line in other words."""
    return [finding for finding in findings if not finding.get("repeats")]


@dataclass(frozen=True)
class RowFinding:
    """A finding about single rows of a plan, which get a verdict of their own.

    rows: one flag per row of the plan. holds: whether they wait for a person; if not, they are applied and told.
    """

    finding: Finding
    rows: Flags
    holds: bool


def percent(share: float) -> str:
    """A share for people: 0.123 is 12 %, and a small one keeps a digit."""
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"


def out_of(rows: int, there: int) -> str:
    """How many out of how many: with the share where it is one, for 22 new people of 10 are no 220 %."""
    return f"with {there} in the directory" + (f": {percent(rows / there)}" if rows <= there else "")
