"""Explains to a person why something is held (each finding once, what it holds, and what to do about it), and what each
guard would have done on the last syncs, with the limits as they are now.

Pure functions.

For the last syncs, the guards on archivals, creations, restorations and updates are judged again from the counts of the
stored plans, so a limit that was changed since shows its effect. For the other guards, only their findings are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.directory.approvals import Part
from roster_pipeline.planning.findings import percent
from roster_pipeline.planning.role_guards import passes_as_small
from roster_pipeline.planning.snapshot_guards import SOURCE_STALE
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import (
    ARCHIVE,
    CREATE,
    RESTORE,
    UPDATE,
    approvable,
    counted,
    held_place,
    is_overridable,
    needs_manager,
)

ADVICE: dict[str, str] = {
    "incomplete_snapshot": "People who are missing from an incomplete list may still be at the school. So nobody is "
    "archived, and no approval can change that. Sync again. If it stays incomplete, have that corrected in the SIS.",
    "witness": "The lists of the SIS leave out people who are still there, so a missing person proves nothing. This "
    "cannot be approved. Ask the people who run the SIS what this client may see, and sync again.",
    "no_witness": "Nobody is archived without a second answer of the SIS about them. This cannot be approved. "
    "Sync again.",
    "source_stale": "Find out whether the SIS still passes its changes on. If it is only a quiet time, approve.",
    "older_source": "Find out why the SIS shows an earlier day. It may be an old file or a restored server. Discard, "
    "and sync again once it is up to date. Approve only if the earlier day is right.",
    "unlike_before": "Check in the SIS what it shares with this client, and whether its vendor changed something. "
    "If it is right, approve: from then on it counts as usual.",
    "people_missing": "Check in the SIS whether this School ID still means this school, and what is shared with us. "
    "At the end of a school year this can be right.",
    "strangers": "Look at a few of the new people. If they do not belong to this school, discard and check the "
    "School ID.",
    "lower_grades": "Students seldom go down a grade. If the SIS sent an old file, discard and have the new one sent.",
    "moved_keys": "Compare a few of these rows with the SIS. If a column or a join slipped there, discard and "
    "have it corrected; if the values are right, approve.",
    "small_role": "It is held because a larger role is held. Decide about the larger role first. One approval lets "
    "both through.",
    "role_changes": "Check a few of these people in the SIS: did their role change, or only how the SIS names it?",
    "rekeyed": "If the SIS changed its ids (an upgrade, a move), relink: people get their new ids and nothing else is "
    "changed. If the ids are wrong, discard and have the SIS corrected.",
    "reassigned_ids": "The conflicts of this plan are those people. If the SIS mixed up its ids, discard and have it "
    "corrected. If the ids went to newcomers, unlink them and sync again.",
    "empty_role": "Check in the SIS what it shares with this client. Approve only if the school really has nobody left "
    "in this role.",
    "no_orgs": "The SIS sent people without saying to which school they belong. If they have left, approve; "
    "if not, discard and have that corrected.",
    "unknown_orgs": "Check how the users of the SIS name their schools, and which orgs it shares. If all else is "
    "right, approve.",
    "shrunk_role": "Check a few of the missing people in the SIS. At the end of a school year this can be right.",
    "archivals": "Check a few of these people in the SIS. If they have left, approve; if not, discard.",
    "archive_most": "Check a few of these people in the SIS. If they have left, approve; if not, discard.",
    "creations": "Check whether these people are new, or are in the directory under another id.",
    "claimed_people": "Ask the district or the other school whether these people are here too. If so, the district's "
    "manager approves, or an owner of all schools that have them now. Link single people on their own page.",
    "quality": "Look at the records that fail the rule. Have them corrected in the SIS; approve if people did leave.",
    "no_quality": "Sync again. If the rule still gives no result, an operator finds the cause in the log of the run.",
    "restores": "Check a few of these people in the SIS. If they are back, or were archived by mistake, approve. If "
    "the SIS made people active who left years ago, discard, and correct that in the SIS.",
    "updates": "Look at a few rows. If nearly everybody changes, the cause is often a setting of the SIS.",
    "key_updates": "These values identify people, or say who is called. Look at a few rows before letting so "
    "many change.",
    "rejected": "Look at the records that could not be used, and have them corrected in the SIS.",
    "blackout": "The school's calendar says that nothing changes now. The hold ends when these dates are over. "
    "If it must happen now, approve.",
    "add_only": "The school's calendar says that people are only added now. The hold ends when these dates are "
    "over. If it must happen now, approve.",
    "first_sync": "Look through the rows: are these the school's people? Then approve.",
}
"""For each guard, what to do about its findings."""
RELINKED = "rekeyed"
MOST_PLANS = 14
BY_SIZE = {"create_share": CREATE, "restore_share": RESTORE, "update_share": UPDATE}
"""Guards on the share of a role that one action concerns."""
BY_FINDING = {
    "shrink_share": ("shrunk_role",),
    "update_key_share": ("key_updates",),
    "missing_share": ("people_missing",),
    "strangers_share": ("strangers",),
    "lower_grades_share": ("lower_grades",),
    "moved_keys": ("moved_keys",),
    "rekeyed_share": ("rekeyed", "reassigned_ids"),
    "rejected_share_archive": ("rejected",),
    "rejected_share_all": ("rejected",),
    "unknown_org_share": ("unknown_orgs",),
    "contradictions": ("witness",),
}
"""Settings of guards to the findings that they make."""
_WITHIN = "; every value was within the limit of that day"
"""Values within the limit of their day are not stored, so a lower limit might have held some of them."""


@dataclass(frozen=True)
class Kind:
    """One kind of change of one role that waits. overridable: whether the person who looks may approve it. manager: the
    person may not approve it, but the district's manager may."""

    role: str
    action: str
    rows: int
    overridable: bool
    manager: bool = False


@dataclass(frozen=True)
class Why:
    """One finding: its sentence, what it holds, whether a person may approve that, and what to do. repeats: for
    everything that it holds, another finding says the same in other words."""

    guard: str
    message: str
    overridable: bool
    advice: str
    kinds: tuple[Kind, ...]
    repeats: bool = False

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return sum(kind.rows for kind in self.kinds)

    @property
    def approvable(self) -> bool:
        """Whether an approval can apply some of these rows. It cannot if another finding always holds all of them."""
        return any(kind.overridable for kind in self.kinds)

    @property
    def manager(self) -> bool:
        """Whether only the district's manager may approve some of them."""
        return any(kind.manager for kind in self.kinds)


@dataclass(frozen=True)
class HoldExplanation:
    """The rows of one plan that wait, explained."""

    kinds: tuple[Kind, ...]
    why: tuple[Why, ...]

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(kind.rows for kind in self.kinds)

    @property
    def approvable(self) -> int:
        """How many of them an approval can apply."""
        return sum(kind.rows for kind in self.kinds if kind.overridable)

    @property
    def parts(self) -> dict[Part, int]:
        """The number of rows by role and action, for the rows that can be approved. Each pair can be approved alone.
        Archivals come first."""
        parts: dict[Part, int] = {}
        for kind in self.kinds:
            if kind.overridable:
                parts[kind.role, kind.action] = parts.get((kind.role, kind.action), 0) + kind.rows
        return parts

    def archivals(self, parts: Collection[Part] | None = None) -> int:
        """How many people an approval archives: an approval of only these parts, or of everything."""
        chosen = {part: rows for part, rows in self.parts.items() if parts is None or part in parts}
        return sum(rows for (_, action), rows in chosen.items() if action == ARCHIVE)

    @property
    def managers(self) -> int:
        """How many of them wait for the district's manager."""
        return sum(kind.rows for kind in self.kinds if kind.manager)

    @property
    def rekeyed(self) -> bool:
        """Whether new ids of known people are among the reasons, so that a relink may be the answer."""
        return any(why.guard == RELINKED for why in self.why)


def hold_explanation_of(held: Iterable[Mapping[str, Any]], *, manager: bool = True) -> HoldExplanation:
    """Make the explanation from the held lines of a verdict: role, action, rows, findings. manager: whether the person
    who looks may decide what only the district's manager may decide."""
    kinds: list[Kind] = []
    found: dict[tuple[str, str, bool], list[Kind]] = {}
    reported: set[tuple[str, str, bool]] = set()
    for line in held:
        findings = line["findings"]
        may, others = approvable(findings), not manager and needs_manager(findings)
        kind = Kind(line["role"], line["action"], int(line["rows"]), may and not others, may and others)
        kinds.append(kind)
        for finding in findings:
            key = (finding["guard"], finding["message"], is_overridable(finding))
            found.setdefault(key, []).append(kind)
            reported |= set() if finding.get("repeats") else {key}
    why = [Why(*key, ADVICE.get(key[0], ""), tuple(of), key not in reported) for key, of in found.items()]
    kinds.sort(key=lambda kind: held_place(kind.role, kind.action))
    return HoldExplanation(tuple(kinds), tuple(sorted(why, key=lambda one: (one.repeats, one.overridable, -one.rows))))


@dataclass(frozen=True)
class PastPlan:
    """One plan of a sync. counts: role to action to rows. findings: guard to the largest value that it found."""

    counts: Mapping[str, Mapping[str, int]]
    findings: Mapping[str, float] = field(default_factory=dict)
    first_sync: bool = False


def guard_lines(plans: Sequence[PastPlan], guards: Guards, *, bundle: bool = False) -> dict[str, str]:
    """Name of each guard's setting to its line; {} without plans. Guards without stored findings have none. bundle: the
    school's data come as CSV bundles."""
    if not plans:
        return {}
    lines = {}
    shares = [(_largest(plan, ARCHIVE), not all(_beyond_share(plan, guards))) for plan in plans]
    lines["archive_share"] = _line(shares, percent)
    most = [max((_rows(of, ARCHIVE) for of in plan.counts.values()), default=0) for plan in plans]
    lines["archive_most"] = _line(((rows, rows > guards.archive_most) for rows in most), lambda rows: f"{rows:,.0f}")
    for name, action in BY_SIZE.items():
        limit = getattr(guards, name)
        known = [plan for plan in plans if action == UPDATE or not plan.first_sync]
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
    lines[unchanged] = _line(judged, lambda value: counted(int(value), "day", "days"), _WITHIN)
    passed = sum(any(_beyond_share(plan, guards)) for plan in plans)
    small = f"{_of(len(plans))}: archivals of a small role passed in {counted(passed, 'sync', 'syncs')}."
    return lines | {"archive_always_allowed": small, "archive_small_role": small}


def _line(judged: Iterable[tuple[float, bool]], as_text: Callable[[float], str], nothing: str = "") -> str:
    """judged: for each plan the value that the guard looks at, and whether it is beyond the limit. nothing: what to add
    if no value is known."""
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
    """How many people of a role the directory had. Every active membership is one row of the plan."""
    return sum(rows for action, rows in of.items() if action not in (CREATE, RESTORE))


def _largest(plan: PastPlan, action: str, few: int = 0) -> float:
    """The largest share of a role that an action concerns; `few` rows are never a share."""
    shares = [_rows(of, action) / _there(of) for of in plan.counts.values() if _there(of) and _rows(of, action) > few]
    return max(shares, default=0.0)


def _beyond_share(plan: PastPlan, guards: Guards) -> list[bool]:
    """For each role whose archivals are beyond the share, whether they pass because the role is small."""
    sizes = [(_rows(of, ARCHIVE), _there(of)) for of in plan.counts.values()]
    return [passes_as_small(going, there, guards) for going, there in sizes if going > guards.archive_share * there]
