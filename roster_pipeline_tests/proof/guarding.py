"""The guards of the model: what of a plan waits for a person, by the table of limits."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from roster_pipeline_tests.proof.rules import CHANGING, SMALL_SCHOOLS, SchoolRules

FEW = 2
"""One or two people are no share of anything; archivals have a rule of their own."""
SMALL_ROLE = 50
NIGHTS = 7


@dataclass(frozen=True)
class Judged:
    """Held kinds of action: (role, action), and "*" for every role."""

    held: dict[tuple[str, str], str]
    unusual: bool = False
    """Whether what came looked wrong in itself, even if nothing waits: such a night is no measure for the next."""

    def holds(self, role: str, action: str) -> bool:
        """Does this kind of action of this role wait?"""
        return (role, action) in self.held or ("*", action) in self.held


@dataclass(frozen=True)
class Role:
    """Numbers of one night, by role. planned: (role, action, changes e-mail or number). anew: (by a new id, known).

    reused: (active members whose id is doubted, active members found).
    """

    rostered: tuple[str, ...]
    counts: dict[str, int]
    managed: dict[str, int]
    planned: list[tuple[str, str, bool]]
    anew: dict[str, tuple[int, int]]
    reused: dict[str, tuple[int, int]]
    history: list[dict[str, int]]
    first_sync: bool

    def rows(self, role: str, action: str) -> int:
        """How many rows of the plan."""
        return sum(row[:2] == (role, action) for row in self.planned)


def judge(facts: Role, rules: SchoolRules) -> Judged:
    """What waits, and why."""
    held: dict[tuple[str, str], str] = {}
    unusual = False

    def hold(why: str, role: str = "*", *actions: str) -> None:
        held.update({(role, action): why for action in actions or CHANGING})

    if facts.first_sync and rules.approves_first:
        hold("first sync")
    for role in facts.rostered:
        people, there = facts.counts[role], facts.managed[role]
        new, known = facts.anew[role]
        if new > FEW and new > 0.2 * known:
            hold("most ids are new")
        doubted, members = facts.reused[role]
        if doubted > FEW and doubted > 0.2 * members:
            hold("ids are somebody else's")
        if there and not people:
            hold("role came back empty")
            unusual = True
        usual = [sizes[role] for sizes in facts.history[-NIGHTS:] if role in sizes]
        if usual and _shrank(median(usual) - people, median(usual)):
            hold("role shrank")
            unusual = True
        going = facts.rows(role, "archive")
        if going > 0.1 * there and (going > SMALL_SCHOOLS["archive_always_allowed"] or there >= SMALL_ROLE):
            hold("archivals", role, "archive")
        if there and not facts.first_sync and _many(facts.rows(role, "create"), 0.25, there):
            hold("creations", role, "create")
        if there and not facts.first_sync and _many(facts.rows(role, "restore"), 0.25, there):
            hold("restores", role, "restore")
        keyed = sum(row == (role, "update", True) for row in facts.planned)
        if _many(facts.rows(role, "update"), 0.75, there) or _many(keyed, 0.05, there):
            hold("updates", role, "update")
    return Judged(held, unusual)


def _many(rows: int, share: float, there: int) -> bool:
    return there > 0 and rows > FEW and rows > share * there


def _shrank(lost: float, usual: float) -> bool:
    if usual < SMALL_ROLE and lost <= SMALL_SCHOOLS["archive_always_allowed"]:
        return False
    return lost > 0.2 * usual
