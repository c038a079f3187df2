"""The guards: they hold the parts of a plan that look dangerous, and nothing else, until a person decides.

A finding holds kinds of action of roles; the rest of the plan goes on. The verdict is data: it is stored with the plan
and read again when the plan is applied.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.errors import in_words
from roster_pipeline.frames import strings
from roster_pipeline.planning.changes_of_kind import kind_finding
from roster_pipeline.planning.findings import EVERYBODY, Finding, RowFinding, as_line, percent
from roster_pipeline.planning.moved_keys import Moved
from roster_pipeline.planning.plan import COUNT_ARCHIVALS, Plan
from roster_pipeline.planning.plan_stats import UNKNOWN, PlanStats
from roster_pipeline.planning.role_guards import doubted_archivals, role_findings
from roster_pipeline.planning.shared_pull import missing_elsewhere, wrong_schools
from roster_pipeline.planning.snapshot_guards import older_source, school_findings, stale_source, unlike_before
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import (
    ANNOUNCED,
    ARCHIVE,
    CHANGING,
    CONTACT,
    CREATE,
    MANAGER,
    ROLE_NAMES,
    UPDATE,
    Role,
    counted,
    day,
    people_of,
    role_name,
)


@dataclass(frozen=True)
class Verdict:
    """rows: role, action, guard, verdict (pass or hold), rows, findings (list of dicts).

    One line for each role and action. If guards judge some of its rows alone, there is one more line for the rows of
    each of these guards, or of several of them, whose `guard` has their names, separated by blanks. row_guards: the
    same for each row of the plan, or "".
    """

    rows: pd.DataFrame
    row_guards: list[str]

    @property
    def held(self) -> list[dict[str, Any]]:
        """The lines that are held and would have changed something."""
        held = self.rows[(self.rows["verdict"] == "hold") & (self.rows["rows"] > 0)]
        return [{str(name): value for name, value in row.items()} for row in held.to_dict("records")]


def judge(plan: Plan, stats: PlanStats, guards: Guards, quality: Iterable[Finding] = ()) -> Verdict:
    """Judge every kind of action of every role, and the rows that a guard judges alone.

    quality: the findings of the quality results of the snapshot. Nothing holds the removal of a contact that nobody may
    call.
    """
    findings = [
        *_snapshot(stats),
        *older_source(stats.snapshot),
        *stale_source(stats.snapshot, guards),
        *_witnesses(stats, guards),
        *unlike_before(stats.unlike),
        *school_findings(stats.school, guards, first_sync=stats.first_sync),
        *doubted_archivals(stats),
        *missing_elsewhere(plan, stats, guards),
        *wrong_schools(plan, stats, guards),
        *_sizes(stats, guards),
        *_rejections(stats, guards),
        *unknown_orgs(plan, stats.managed, guards),
        *role_findings(plan, stats, guards),
        *_unproved_roles(stats.claimed, stats.managed, guards.create_share),
        *_calendar(stats, guards),
        *quality,
    ]
    judged_alone: dict[str, RowFinding] = {}
    row_guards = np.full(len(plan.rows), "", dtype=object)
    moved = _moved_keys(stats.moved, guards)
    for rows, found in (
        (stats.moved.rows | (stats.moved.beside if moved and moved.holds else False), moved),
        (stats.of_kind.rows, kind_finding(stats.of_kind)),
    ):
        if found is not None:
            row_guards[rows] = [f"{before} {found.finding.guard}".strip() for before in row_guards[rows]]
            judged_alone[found.finding.guard] = found
    alone = sorted(set(row_guards.tolist()) - {""})
    if len(stats.announced):
        row_guards[stats.announced] = ANNOUNCED
    roles, actions = strings(plan.rows["role"]).to_pylist(), strings(plan.rows["action"]).to_pylist()
    sizes = Counter(zip(roles, actions, row_guards.tolist(), strict=True))
    lines = []
    for role in (role.value for role in Role):
        for action in CHANGING:
            concerned = as_line([finding for finding in findings if finding.concerns(role, action)])
            rest = int(sizes.get((role, action, ""), 0))
            lines.append((role, action, "", "hold" if concerned else "pass", rest, concerned))
            for names in alone:
                if rows_of_these := int(sizes.get((role, action, names), 0)):
                    those = [judged_alone[name] for name in names.split()]
                    held = "hold" if concerned or any(one.holds for one in those) else "pass"
                    findings_of_these = [*concerned, *(one.finding.as_dict() for one in those)]
                    lines.append((role, action, names, held, rows_of_these, findings_of_these))
        expected = int(sizes.get((role, ARCHIVE, ANNOUNCED), 0))
        if expected:
            doubts = [
                found for found in findings if found.concerns(role, ARCHIVE) and found.guard not in COUNT_ARCHIVALS
            ]
            lines.append((role, ARCHIVE, ANNOUNCED, "hold" if doubts else "pass", expected, as_line(doubts)))
    if (CONTACT, UPDATE, "") in sizes:
        lines.append((CONTACT, UPDATE, "", "pass", int(sizes[CONTACT, UPDATE, ""]), []))
    columns = ["role", "action", "guard", "verdict", "rows", "findings"]
    return Verdict(pd.DataFrame(lines, columns=columns), row_guards.tolist())


def _snapshot(stats: PlanStats) -> Iterator[Finding]:
    if not stats.snapshot.complete:
        why = "; ".join(map(in_words, stats.snapshot.problems)) or "no proof that everything was fetched"
        message = f"The list from the SIS is not complete: {why}. So nobody is archived."
        everybody = {EVERYBODY: math.inf}
        yield Finding("incomplete_snapshot", message, 1, 0, (ARCHIVE,), overridable=False, people=everybody)
    if stats.awaits_approval:
        yield Finding("first_sync", "This is the school's first sync; look at its plan and approve it.", 1, 0)


def _witnesses(stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    if stats.contradictions > guards.contradictions:
        message = (
            f"The list left out {counted(stats.contradictions, 'person', 'people')} for whom the SIS still answers one "
            f"by one; {counted(guards.contradictions, 'is', 'are')} allowed. "
            "The lists of the SIS cannot be trusted now."
        )
        yield Finding("witness", message, stats.contradictions, guards.contradictions, (ARCHIVE,), overridable=False)
    if (
        stats.unwitnessed and stats.snapshot.complete
    ):  # if a list is incomplete, nobody is asked for, and another finding says so
        message = f"The SIS was not asked for {counted(stats.unwitnessed, 'person', 'people')} one by one."
        yield Finding("no_witness", message, stats.unwitnessed, 0, (ARCHIVE,), overridable=False)


def _moved_keys(moved: Moved, guards: Guards) -> RowFinding | None:
    """The finding about them. They are held if they are more than a few, or if a whole identity moved."""
    people = int(moved.rows.sum())
    if not people:
        return None
    of = ", ".join(f"{count} {word}" for word, count in moved.people.items())
    message = (
        f"{counted(people, 'person', 'people')} would get what another known person had until now ({of}). "
        "Check whether the SIS mixed up its people."
    )
    finding = Finding("moved_keys", message, people, guards.moved_keys)
    return RowFinding(finding, holds=people > guards.moved_keys or bool(moved.identities))


def _sizes(stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """Guards on the snapshot as a whole. Each holds every change of the school."""
    for role, (new, known) in stats.rekeyed.items():
        if new > TOO_FEW and new > guards.rekeyed_share * known:
            conflicts = stats.conflicting.get(role, 0)
            message = (
                f"{new} of {known} known {role_name(role)} came with a new id while number, e-mail or name still match."
            )
            if conflicts < new:
                message += " If the SIS changed its ids, approve to link the new ones."
            if conflicts:
                message += (
                    f" {'All' if conflicts == new else conflicts} of them are conflicts, which no approval links. If "
                    "their numbers are new too, let the connection take numbers from a field that nobody has, and sync "
                    "again."
                )
            yield Finding("rekeyed", message, new / known, guards.rekeyed_share, about=role, people={role: new})
    for role, (doubted, known) in stats.reassigned.items():
        if doubted > TOO_FEW and doubted > guards.rekeyed_share * known:
            message = (
                f"{doubted} of {known} known {role_name(role)} have an id that is somebody else's now. "
                "If the SIS gave out its ids again, its data about the others may be wrong too."
            )
            yield Finding("reassigned_ids", message, doubted / known, guards.rekeyed_share, about=role)
    if stats.snapshot.mode == "delta":
        return
    for role, people in stats.counts.items():
        there = stats.managed.get(role, 0)
        if not people and there:
            message = f"The directory has {people_of(role, there)}, and none came. Check what the SIS shares with us."
            # people without a school may explain an empty role
            enough = (1 - guards.shrink_share) * there
            yield Finding("empty_role", message, 0, there, about=role, people={role: there}, allowed=there - enough)
        yield from _without_orgs(role, stats, guards)
        yield from _shrunk(role, people, stats, guards)


def _without_orgs(role: str, stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """Known people who came without any school. If there are few, they have left.

    If there are many, it is not known where they are.
    """
    bare, there = stats.without_org.get(role, 0), stats.managed.get(role, 0)
    everybody = bare > 0 and not stats.counts.get(role, 0)
    if not everybody and (bare <= TOO_FEW or bare <= guards.rejected_share_archive * there):
        return
    message = f"{bare} of {people_of(role, there)} in the directory came without any school."
    few = bare <= guards.archive_always_allowed or bare <= guards.rejected_share_all * there
    which: dict[str, Any] = {"about": role, "people": {role: bare}}
    if everybody or not few:
        yield Finding("no_orgs", message, bare / there, guards.rejected_share_all, **which)
    else:
        yield Finding("no_orgs", message, bare / there, guards.rejected_share_archive, (ARCHIVE,), (role,), **which)


def _shrunk(role: str, people: int, stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """A role that is smaller than usual. One that shrinks over many nights is the matter of `slow_loss`."""
    sizes = stats.history[role].dropna().to_numpy(dtype=float) if role in stats.history else np.zeros(0)
    usual = float(np.median(sizes)) if len(sizes) else 0.0
    lost, limit = usual - people, guards.shrink_share * usual
    few = usual < guards.archive_small_role and lost <= guards.archive_always_allowed
    if usual > 0 and lost > limit and not few:
        usually = counted(round(usual), "is", "are")
        message = f"{people_of(role, people)} came, {usually} usual: {percent(lost / usual)} fewer."
        which: dict[str, Any] = {"about": role, "people": {role: lost}, "allowed": limit}
        yield Finding("shrunk_role", message, lost / usual, guards.shrink_share, **which)


def _rejections(stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    everyone = sum(stats.records.values())
    for role, bad in stats.rejected.items():
        records = max(everyone if role == UNKNOWN else stats.records.get(role, 0), bad)
        of = "records whose role is not known" if role == UNKNOWN else f"{ROLE_NAMES[role][0]} records"
        if bad <= TOO_FEW:
            continue
        message = f"{bad} {of} could not be used, of {records}: {percent(bad / records)}."
        which: dict[str, Any] = {"people": {role: bad}, "about": "" if role == UNKNOWN else role}
        if bad > guards.rejected_share_all * records:
            yield Finding("rejected", message, bad / records, guards.rejected_share_all, **which)
        elif bad > guards.rejected_share_archive * records:
            roles = None if role == UNKNOWN else (role,)
            yield Finding("rejected", message, bad / records, guards.rejected_share_archive, (ARCHIVE,), roles, **which)


def _calendar(stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    for window in guards.windows:
        if window.first <= stats.today <= window.last:
            if window.kind == "blackout":
                yield Finding(
                    "blackout", f"Nothing is changed until {day(window.last)}, by the school's calendar.", 1, 0
                )
            else:
                actions = tuple(action for action in CHANGING if action != CREATE)
                message = f"People are only added until {day(window.last)}, by the school's calendar."
                yield Finding("add_only", message, 1, 0, actions)


def unknown_orgs(plan: Plan, managed: Mapping[str, int], guards: Guards) -> Iterator[Finding]:
    """Known people whose records name an org that is not listed or not a school, or this school without a role.

    They all stay unchanged. If there are many, we cannot trust the references of this snapshot, so it archives nobody.
    managed: active members that the sync manages, by role.
    """
    of = {role: [some.get("unknown_org", 0) for some in actions.values()] for role, actions in plan.reasons.items()}
    for role, people in Counter({role: sum(counts) for role, counts in of.items()}).most_common():
        there = managed.get(role, 0)
        if people > TOO_FEW and people > guards.unknown_org_share * there:
            message = (
                f"{people} of {people_of(role, there)} in the directory name an org that the SIS does not list, "
                "or one that is not a school, or this school and a role only in another one. Check what the SIS shares "
                "with us and how its users name their schools."
            )
            share = people / max(there, people)
            yield Finding("unknown_orgs", message, share, guards.unknown_org_share, (ARCHIVE,))


def _unproved_roles(claimed: Mapping[str, int], managed: Mapping[str, int], share: float) -> Iterator[Finding]:
    """Creations of a role that wait because another connection knows these people.

    This also holds on first syncs and for new roles.

    claimed: as `claims` returns it. managed: the people of the role here. share: the share of them that may be created.
    """
    for role, number in claimed.items():
        there = managed.get(role, 0)
        if number > share * there:
            message = (
                f"{counted(number, 'person', 'people')} of another connection would join the {role_name(role)} here, "
                f"with {there} in the directory. Only this school's own connection says so. The district's manager "
                "decides, or a person who owns every school that has them now."
            )
            limits = number / max(there, 1), share
            yield Finding("claimed_people", message, *limits, (CREATE,), (role,), approver=MANAGER, about=role)
