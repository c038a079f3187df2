"""The guards of the model: which parts of a plan wait for a person, by the table of limits."""

from dataclasses import dataclass, field
from statistics import median

from roster_pipeline_tests.invariants.rules import CHANGING, SMALL_SCHOOLS, SchoolRules

FEW = 2
"""One or two people are no share of anything; archivals have a rule of their own."""
SMALL_ROLE = 50
NIGHTS = 7
MOVED = 3
"""At most this many people may get values that somebody else had until now."""


@dataclass(frozen=True)
class Judged:
    """Held kinds of action: (role, action), and "*" for every role.

    rows: places of rows that wait alone, and why. doubted: as `held`, without guards that only count archivals: these
    do not hold announced leavers.
    """

    held: dict[tuple[str, str], str]
    doubted: dict[tuple[str, str], str] = field(default_factory=dict)
    unusual: bool = False
    """Whether the data looked wrong, even if nothing waits: such a night is not good."""
    rows: dict[int, str] = field(default_factory=dict)
    losses: frozenset[str] = frozenset()
    """The roles whose archivals wait because they are many."""

    def holds(self, role: str, action: str) -> bool:
        """Whether this kind of action of this role waits."""
        return (role, action) in self.held or ("*", action) in self.held

    def doubts(self, role: str) -> bool:
        """Whether the archivals of announced leavers of this role wait."""
        return (role, "archive") in self.doubted or ("*", "archive") in self.doubted


@dataclass(frozen=True)
class Planned:
    """A row that changes somebody. origin: the role that they come from. keyed: it gives them another key or name.
    promoted: only their grade changes, by one year up."""

    role: str
    action: str
    origin: str
    keyed: bool
    promoted: bool


@dataclass(frozen=True)
class Role:
    """Numbers of one night, by role. anew: (by a new id, known). reassigned: (active members with a doubted id, found).

    bare: active members whose records name no school. unknown: active members whose only org is not listed or not a
    school. expected: known people, and how many of them did not come. came: people of roles that have members, and how
    many of them are new. moved: rows that give somebody a value of another known person; swapped: whether a whole
    identity moved; given_up: rows of those who gave it up, and of new people with a key of a member. other_kind: rows
    that make a student a member of staff, or the reverse. lower: students who would go down a grade. losses: how many
    were lost in weeks, and of how many. Announced leavers who are gone do not count.
    """

    rostered: tuple[str, ...]
    counts: dict[str, int]
    managed: dict[str, int]
    planned: list[Planned]
    anew: dict[str, tuple[int, int]]
    reassigned: dict[str, tuple[int, int]]
    history: list[dict[str, int]]
    first_sync: bool
    bare: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    expected: tuple[int, int] = (0, 0)
    came: tuple[int, int] = (0, 0)
    moved: frozenset[int] = frozenset()
    swapped: bool = False
    given_up: frozenset[int] = frozenset()
    other_kind: frozenset[int] = frozenset()
    lower: int = 0
    losses: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def rows(self, role: str, action: str) -> int:
        """The number of rows of the plan."""
        return sum((row.role, row.action) == (role, action) for row in self.planned)

    def updates(self, role: str) -> list[Planned]:
        """The updates of people who come from a role."""
        return [row for row in self.planned if row.action == "update" and row.origin == role]


def judge(facts: Role, rules: SchoolRules) -> Judged:
    """The parts that wait, and why."""
    held: dict[tuple[str, str], str] = {}
    in_doubt: dict[tuple[str, str], str] = {}
    losses: set[str] = set()
    unusual = False

    def hold(why: str, role: str = "*", *actions: str) -> None:
        if why.startswith("archivals"):
            losses.add(role)
        found = {(role, action): why for action in actions or CHANGING}
        held.update(found)
        if not why.startswith("archivals"):
            in_doubt.update(found)

    if facts.first_sync and rules.approves_first:
        hold("first sync")
    known, missing = facts.expected
    if missing > FEW and missing > 0.5 * known:
        hold("most people are missing")
        unusual = True
    came, strangers = facts.came
    if not facts.first_sync and strangers > FEW and strangers > 0.5 * came:
        hold("most people are strangers")
        unusual = True
    if _many(facts.lower, 0.2, facts.managed.get("student", 0)):
        hold("students go down a grade")
    for role in facts.rostered:
        people, there = facts.counts[role], facts.managed[role]
        new, found = facts.anew[role]
        if new > FEW and new > 0.2 * found:
            hold("most ids are new")
        doubted, members = facts.reassigned[role]
        if doubted > FEW and doubted > 0.2 * members:
            hold("ids are somebody else's")
        if there and not people:
            hold("role came back empty")
            unusual = True
        bare = facts.bare[role]
        if bare and not people:
            hold("a role came without a school")
        elif bare > FEW and bare > 0.05 * there:
            many = bare > SMALL_SCHOOLS["archive_always_allowed"] and bare > 0.2 * there
            hold("people came without a school", *(() if many else (role, "archive")))
            unusual = unusual or many
        if _many(facts.unknown[role], 0.05, there):
            hold("orgs are unknown", "*", "archive")
        usual = [sizes[role] for sizes in facts.history[-NIGHTS:] if role in sizes]
        if usual and _shrank(median(usual) - people, median(usual)):
            hold("role shrank")
            losses.add(role)
            unusual = True
        if any(_shrank(lost, of) for lost, of in facts.losses.get(role, ())):
            hold("archivals night after night", role, "archive")
    for role, action, why in _sizes(facts):
        hold(why, role, action)
    loud = {role for role, _, _ in _sizes(facts)}
    for role in facts.rostered:
        going, there = facts.rows(role, "archive"), facts.managed[role]
        others = [one for one in facts.rostered if one != role]
        rest, left = (
            sum(facts.rows(one, "archive") for one in others),
            sum(facts.managed[one] for one in others),
        )
        loss = rest > SMALL_SCHOOLS["archive_always_allowed"] and rest > 0.1 * left
        if going > 0.1 * there and (loss or loud):
            hold("archivals while others are held", role, "archive")
        due = any(facts.rows(role, action) for action in CHANGING)
        if due and there < SMALL_ROLE and any(facts.managed[one] >= there for one in loud - {role}):
            hold("small beside one that is held", role)
    keyed = {role: sum(row.keyed for row in facts.updates(role)) for role in facts.rostered}
    keyed = {role: number for role, number in keyed.items() if number > 0.05 * facts.managed[role] > 0}
    for role in keyed if any(number > FEW for number in keyed.values()) else ():
        for into in {row.role for row in facts.updates(role)}:
            hold("keys", into, "update")
    moved = facts.moved if len(facts.moved) > MOVED or facts.swapped else frozenset()
    moved |= facts.given_up if moved else frozenset()
    alone = dict.fromkeys(moved, "moved keys") | dict.fromkeys(facts.other_kind, "student or staff")
    return Judged(held, in_doubt, unusual, alone, frozenset(losses))


def _sizes(facts: Role) -> list[tuple[str, str, str]]:
    """Role, action and reason of parts that are held for their size."""
    found = []
    for role in facts.rostered:
        there, going = facts.managed[role], facts.rows(role, "archive")
        if going > 0.1 * there and (going > SMALL_SCHOOLS["archive_always_allowed"] or there >= SMALL_ROLE):
            found.append((role, "archive", "archivals"))
        for action in ("create", "restore"):
            if not facts.first_sync and _many(facts.rows(role, action), 0.25, there):
                found.append((role, action, f"{action}s"))
        arrivals = sum(row.action == "update" and row.role == role != row.origin for row in facts.planned)
        if _many(arrivals, 0.25, there):
            found.append((role, "update", "role changes"))
        updates = facts.updates(role)
        if _many(sum(not row.promoted for row in updates), 0.75, there):
            found += [(into, "update", "updates") for into in {row.role for row in updates}]
    return found


def _many(rows: int, share: float, there: int) -> bool:
    return there > 0 and rows > FEW and rows > share * there


def _shrank(lost: float, usual: float) -> bool:
    if usual < SMALL_ROLE and lost <= SMALL_SCHOOLS["archive_always_allowed"]:
        return False
    return lost > 0.2 * usual
