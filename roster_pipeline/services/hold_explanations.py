"""Explains to a person why something is held: each finding once, what it holds, and what to do about it.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from roster_pipeline.directory.approvals import Part
from roster_pipeline.vocabulary import ARCHIVE, approvable, held_place, is_overridable, needs_manager

ADVICE: dict[str, str] = {
    "incomplete_snapshot": "People who are missing from an incomplete list may still be at the school. So nobody is "
    "archived, and no approval can change that. Sync again. If it stays incomplete, look at the problems on this page.",
    "witness": "The SIS still has people whom its lists leave out, so a missing person proves nothing. This cannot be "
    "approved. Ask the people who run the SIS what this client may see, and sync again.",
    "no_witness": "Nobody is archived without a second answer of the SIS about them. This cannot be approved. "
    "Sync again.",
    "source_stale": "Find out whether the SIS still passes its changes on. If it is only a quiet time, approve.",
    "older_source": "Find out why the SIS shows an earlier day: a file put back, a server set back. Discard, and sync "
    "again once it is up to date. Approve only if the earlier day is right.",
    "unlike_before": "Check in the SIS what it shares with this client, and whether its vendor changed something. "
    "If it is right, approve: from then on it counts as usual.",
    "people_missing": "Check in the SIS whether this School ID still means this school, and what is shared with us. "
    "At the end of a school year this can be right.",
    "strangers": "Look at a few of the new people: are they of this school? If not, discard and check the School ID.",
    "lower_grades": "Students seldom go down a grade. If the SIS sent an old file, discard and have the new one sent.",
    "moved_keys": "Compare a few of these rows with the SIS. If a column or a join slipped there, discard and "
    "have it corrected; if the values are right, approve.",
    "small_role": "It is held beside the larger role: decide about that one first. One approval lets both through.",
    "role_changes": "Check a few of these people in the SIS: did their role change, or only how the SIS names it?",
    "rekeyed": "If the SIS changed its ids (an upgrade, a move), relink: people get their new ids and nothing else is "
    "changed. If the ids are wrong, discard and have the SIS corrected.",
    "reused_ids": "The conflicts of this plan are those people. If the SIS mixed up its ids, discard and have it "
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
    "creations": "Check whether these are new people, or people whom the directory has under another id.",
    "claimed_people": "Ask the district or the other school whether these people are here too. If so, the district's "
    "manager approves, or an owner of all schools that have them now. Link single people on their own page.",
    "quality": "Look at the records that fail the rule. Have them corrected in the SIS; approve if people did leave.",
    "no_quality": "Sync again. If the rule still gives no result, an operator finds the cause in the log of the run.",
    "restores": "Check a few of these people in the SIS. If they are back, or were archived by mistake, approve; a SIS "
    "that made leavers of years active again is corrected there: discard.",
    "updates": "Look at a few rows: a change of nearly everybody is often a setting of the SIS.",
    "key_updates": "These values tell people apart, or say whom to call. Look at a few rows before letting so "
    "many change.",
    "rejected": "Look at the records that could not be used, and have them corrected in the SIS.",
    "blackout": "The school's calendar says that nothing changes now. It passes by itself, or approve.",
    "add_only": "The school's calendar says that people are only added now. It passes by itself, or approve.",
    "first_sync": "Look through the rows: are these the school's people? Then approve.",
}
"""For each guard, what to do about its findings."""
RELINKED = "rekeyed"


@dataclass(frozen=True)
class Kind:
    """One kind of change of one role that waits. overridable: whether the person who looks may approve it.

    manager: the person may not approve it, but the district's manager may.
    """

    role: str
    action: str
    rows: int
    overridable: bool
    manager: bool = False


@dataclass(frozen=True)
class Why:
    """One finding: its sentence, what it holds, whether a person may approve that, and what to do.

    repeats: for everything that it holds, another finding says the same in other words.
    """

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

        Archivals come first.
        """
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
    """Make the explanation from the held lines of a verdict: role, action, rows, findings.

    manager: whether the person who looks may decide what only the district's manager may decide.
    """
    kinds: list[Kind] = []
    found: dict[tuple[str, str, bool], list[Kind]] = {}
    told: set[tuple[str, str, bool]] = set()
    for line in held:
        findings = line["findings"]
        may, others = approvable(findings), not manager and needs_manager(findings)
        kind = Kind(line["role"], line["action"], int(line["rows"]), may and not others, may and others)
        kinds.append(kind)
        for finding in findings:
            key = (finding["guard"], finding["message"], is_overridable(finding))
            found.setdefault(key, []).append(kind)
            told |= set() if finding.get("repeats") else {key}
    why = [Why(*key, ADVICE.get(key[0], ""), tuple(of), key not in told) for key, of in found.items()]
    kinds.sort(key=lambda kind: held_place(kind.role, kind.action))
    return HoldExplanation(tuple(kinds), tuple(sorted(why, key=lambda one: (one.repeats, one.overridable, -one.rows))))
