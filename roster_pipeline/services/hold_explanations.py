"""Explains a hold to a person (each finding once, with the held changes and a remedy), and the effect of each guard on
the last syncs. There, the guards on archivals, creations, restorations and updates are judged again from the stored
counts, to show the effect of a changed limit; of the others only findings are stored. Pure functions."""

import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roster_pipeline import vocabulary
from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.directory.approvals import Part
from roster_pipeline.planning.findings import percent
from roster_pipeline.planning.role_guards import passes_as_small
from roster_pipeline.planning.snapshot_guards import SOURCE_STALE
from roster_pipeline.settings.school import Guards

_TEXTS = tomllib.loads(Path(__file__).with_name("guards.toml").read_text("utf-8"))
GUARD_TITLES: dict[str, str] = {guard: text["title"] for guard, text in _TEXTS.items()}
ADVICE: dict[str, str] = {guard: text["advice"] for guard, text in _TEXTS.items()}
"""For each guard, what to do about its findings."""
RELINKED = "rekeyed"
MOST_PLANS = 14
BY_SIZE = {"create_share": vocabulary.CREATE, "restore_share": vocabulary.RESTORE, "update_share": vocabulary.UPDATE}
"""Guards on the share of a role that one action concerns."""
BY_FINDING = {
    "shrink_share": ("shrunk_role",), "slow_loss_share": ("slow_loss",), "update_key_share": ("key_updates",),
    "missing_share": ("people_missing",), "strangers_share": ("strangers",), "lower_grades_share": ("lower_grades",),
    "moved_keys": ("moved_keys",), "rekeyed_share": ("rekeyed", "reassigned_ids"),
    "rejected_share_archive": ("rejected",), "rejected_share_all": ("rejected",),
    "unknown_org_share": ("unknown_orgs",), "contradictions": ("witness",),
}  # fmt: skip
"""Settings of guards to the findings that they make."""
_WITHIN = "; every value was within the limit of that day"
"""Only values beyond the limit of their day are stored, so a lower limit might have held more."""


@dataclass(frozen=True)
class Kind:
    """One kind of change of a role that waits. overridable: the reader may approve it. manager: only a manager may."""

    role: str
    action: str
    rows: int
    overridable: bool
    manager: bool = False


@dataclass(frozen=True)
class Why:
    """One finding: what it holds, and what to do. repeats: another finding has the cause of everything it holds."""

    guard: str
    message: str
    overridable: bool
    advice: str
    kinds: tuple[Kind, ...]
    repeats: bool = False

    @property
    def rows(self) -> int:
        return sum(kind.rows for kind in self.kinds)

    @property
    def approvable(self) -> bool:
        """Whether an approval can apply some of these rows. It cannot if another finding always holds all of them."""
        return any(kind.overridable for kind in self.kinds)

    @property
    def manager(self) -> bool:
        return any(kind.manager for kind in self.kinds)


@dataclass(frozen=True)
class HoldExplanation:
    """The rows of one plan that wait, explained."""

    kinds: tuple[Kind, ...]
    why: tuple[Why, ...]

    @property
    def rows(self) -> int:
        return sum(kind.rows for kind in self.kinds)

    @property
    def approvable(self) -> int:
        """How many of them an approval can apply."""
        return sum(kind.rows for kind in self.kinds if kind.overridable)

    @property
    def parts(self) -> dict[Part, int]:
        """The rows that can be approved, by role and action; each pair can be approved alone. Archivals come first."""
        parts: dict[Part, int] = {}
        for kind in self.kinds:
            if kind.overridable:
                parts[kind.role, kind.action] = parts.get((kind.role, kind.action), 0) + kind.rows
        return parts

    def archivals(self, parts: Collection[Part] | None = None) -> int:
        """How many people an approval archives: an approval of only these parts, or of everything."""
        chosen = {part: rows for part, rows in self.parts.items() if parts is None or part in parts}
        return sum(rows for (_, action), rows in chosen.items() if action == vocabulary.ARCHIVE)

    @property
    def managers(self) -> int:
        """How many of them wait for the district's manager."""
        return sum(kind.rows for kind in self.kinds if kind.manager)

    @property
    def rekeyed(self) -> bool:
        """Whether new ids of known people are among the reasons, so that a relink may be the answer."""
        return any(why.guard == RELINKED for why in self.why)


def hold_explanation_of(held: Iterable[Mapping[str, Any]], *, manager: bool = True) -> HoldExplanation:
    """From the held lines of a verdict (role, action, rows, findings). manager: the reader decides for the district."""
    kinds: list[Kind] = []
    found: dict[tuple[str, str, bool], list[Kind]] = {}
    reported: set[tuple[str, str, bool]] = set()
    for line in held:
        findings = line["findings"]
        may, others = vocabulary.approvable(findings), not manager and vocabulary.needs_manager(findings)
        kind = Kind(line["role"], line["action"], int(line["rows"]), may and not others, may and others)
        kinds.append(kind)
        for finding in findings:
            key = (finding["guard"], finding["message"], vocabulary.is_overridable(finding))
            found.setdefault(key, []).append(kind)
            reported |= set() if finding.get("repeats") else {key}
    why = [Why(*key, ADVICE.get(key[0], ""), _together(of), key not in reported) for key, of in found.items()]
    every = sorted(_together(kinds), key=lambda kind: vocabulary.held_place(kind.role, kind.action))
    return HoldExplanation(tuple(every), tuple(sorted(why, key=lambda one: (one.repeats, one.overridable, -one.rows))))


def _together(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """One kind for the lines of a verdict that differ only in the guards that judge single rows."""
    rows = Counter[Kind]()
    for kind in kinds:
        rows[replace(kind, rows=0)] += kind.rows
    return tuple(replace(kind, rows=number) for kind, number in rows.items())


@dataclass(frozen=True)
class PastPlan:
    """One plan of a sync. counts: role to action to rows. findings: guard to the largest value that it found."""

    counts: Mapping[str, Mapping[str, int]]
    findings: Mapping[str, float] = field(default_factory=dict)
    first_sync: bool = False


def guard_lines(plans: Sequence[PastPlan], guards: Guards, *, bundle: bool = False) -> dict[str, str]:
    """A line for each guard's setting by name; {} without plans. bundle: the school's data come as CSV bundles."""
    if not plans:
        return {}
    lines = {}
    shares = [(_largest(plan, vocabulary.ARCHIVE), not all(_beyond_share(plan, guards))) for plan in plans]
    lines["archive_share"] = _line(shares, percent)
    most = [max((_rows(of, vocabulary.ARCHIVE) for of in plan.counts.values()), default=0) for plan in plans]
    lines["archive_most"] = _line(((rows, rows > guards.archive_most) for rows in most), lambda rows: f"{rows:,.0f}")
    for name, action in BY_SIZE.items():
        limit = getattr(guards, name)
        known = [plan for plan in plans if action == vocabulary.UPDATE or not plan.first_sync]
        lines[name] = _line(
            ((share, share > limit) for share in (_largest(plan, action, TOO_FEW) for plan in known)), percent
        )
    for name, found_by in BY_FINDING.items():
        limit = getattr(guards, name)
        values = [max((plan.findings.get(guard, 0.0) for guard in found_by), default=0.0) for plan in plans]
        as_text: Callable[[float], str] = percent if isinstance(limit, float) else lambda value: f"{value:,.0f}"
        lines[name] = _line(((value, value > limit) for value in values), as_text, _WITHIN)
    unchanged = "bundle_unchanged_days" if bundle else "api_unchanged_days"
    days = [plan.findings.get(SOURCE_STALE, 0.0) for plan in plans]
    judged = ((value, value >= getattr(guards, unchanged)) for value in days)
    lines[unchanged] = _line(judged, lambda value: vocabulary.counted(int(value), "day", "days"), _WITHIN)
    passed = sum(any(_beyond_share(plan, guards)) for plan in plans)
    how_often = f"passed in {vocabulary.counted(passed, 'sync', 'syncs')}" if passed else "never passed"
    small = f"{_of(len(plans))}: archivals of a small role {how_often}."
    return lines | {"archive_always_allowed": small, "archive_small_role": small}


def _line(judged: Iterable[tuple[float, bool]], as_text: Callable[[float], str], nothing: str = "") -> str:
    """judged: a plan's value, and whether it is beyond the limit. nothing: a sentence to add if no value is known."""
    values = list(judged)
    held = sum(beyond for _, beyond in values)
    largest = max((value for value, _ in values), default=0)
    what = f"held something in {held}" if held else "held nothing"
    return f"{_of(len(values))}: would have {what}" + (
        f"; the largest was {as_text(largest)}." if largest else f"{nothing}."
    )


def _of(plans: int) -> str:
    return "Last sync" if plans == 1 else f"Last {plans} syncs"


def _rows(of: Mapping[str, int], action: str) -> int:
    return int(of.get(action, 0))


def _there(of: Mapping[str, int]) -> int:
    """How many people of a role the directory had: every active membership is one row of the plan."""
    return sum(rows for action, rows in of.items() if action not in (vocabulary.CREATE, vocabulary.RESTORE))


def _largest(plan: PastPlan, action: str, few: int = 0) -> float:
    """The largest share of a role that an action concerns; `few` rows are never a share."""
    shares = [_rows(of, action) / _there(of) for of in plan.counts.values() if _there(of) and _rows(of, action) > few]
    return max(shares, default=0.0)


def _beyond_share(plan: PastPlan, guards: Guards) -> list[bool]:
    """For each role whose archivals are beyond the share, whether they pass because the role is small."""
    sizes = [(_rows(of, vocabulary.ARCHIVE), _there(of)) for of in plan.counts.values()]
    return [passes_as_small(going, there, guards) for going, there in sizes if going > guards.archive_share * there]
