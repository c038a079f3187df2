"""Several schools read one pull: if it lost people, it lost them in all schools, and a small loss is one too.

The guards on roles look at one school alone, and a loss below their limits passes. So we count once per pull, before
any school is planned, whom the pull lacks in each school. Hence it does not matter which school syncs first. One large
loss elsewhere is not enough to hold a school: it needs a loss of its own that is unusual, or one of all other schools
together. Otherwise a school that graduates a class would stop a thousand others.

If the pull gave people wrong schools, they come to other schools, and each school sees only a few. Many people move in
ordinary nights too, but then from one school to the next, not in circles: a file with a column that slipped by a row
takes from each school as many people as it gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.frames import tally
from roster_pipeline.planning.findings import Finding, percent
from roster_pipeline.planning.plan import ELSEWHERE, GONE, Plan
from roster_pipeline.planning.plan_stats import PlanStats
from roster_pipeline.planning.role_guards import passes_as_small
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import ARCHIVE, CREATE, RESTORE, people_of

UNUSUAL = 0.5
"""A loss above this part of a school's limit for archivals is unusual, if other schools lack people too."""
TOGETHER = 0.2
"""The same for all schools together without those that have a large loss, because many schools are rarely unlucky in
one night."""
MISSING_REASONS = ("left", "no_org", "not_enrolled")
"""Reasons of archivals for which the source said nothing about a person. A file that lost rows gives the same."""
_MOVING, _MOVES = (CREATE, RESTORE, ARCHIVE), ("joined_school", "returned", "moved_school")
"""The rows of a plan for people who change schools, by action and reason. Those who come to another school under a new
id have one of `MISSING_REASONS` here."""
LOSSES, ARRIVALS, MOVED = "losses", "arrivals", "moved"
"""The keys of the facts in the proof of a pull."""
MIXED_UP = 0.04
"""More people than this part of the limit for creations (1 %) who would change schools in circles, or come to several
schools at once, are a mistake of the pull. In a night, few people move, and fewer change places."""
EMPTIED = 0.5
"""A school from which more than this share moves to other schools has lost its people. One such school was merged."""


@dataclass(frozen=True)
class RoleLoss:
    """One role of a school that reads the pull: how many people it knows and could archive, how many of them did not
    come, and how many of these stood in a lost part of a file."""

    school_id: int
    known: int
    missing: int
    in_lost_part: int = 0


def losses_of(roles: Iterable[RoleLoss], guards: Mapping[int, Guards]) -> dict[str, Any]:
    """What the schools of a pull lack together. guards: the limits of each school.

    known, missing: of all schools. large: up to two schools that lack a part of a file, or more of a role than their
    limit. calm_known, calm_missing: of the other schools. unusual: how many of these lack more than is usual.
    """
    of_school: dict[int, list[RoleLoss]] = {}
    for role in roles:
        of_school.setdefault(role.school_id, []).append(role)
    facts: dict[str, Any] = dict.fromkeys(("known", "missing", "calm_known", "calm_missing", "unusual"), 0)
    large: list[int] = []
    for school_id, theirs in of_school.items():
        known, missing = sum(role.known for role in theirs), sum(role.missing for role in theirs)
        facts["known"] += known
        facts["missing"] += missing
        if any(_is_large(role, guards[school_id]) for role in theirs):
            large.append(school_id)
            continue
        facts["calm_known"] += known
        facts["calm_missing"] += missing
        facts["unusual"] += missing > max(TOO_FEW, UNUSUAL * guards[school_id].archive_share * known)
    return facts | {"large": large[:2]}


class Coming(NamedTuple):
    """People who would come to a school: so many from another one that reads the pull (left_id), of whom some no longer
    name that one (gone), and some come to a second new school at once (several). Or, without left_id, students of one
    grade whom nobody knows."""

    left_id: int | None
    school_id: int
    people: int
    gone: int = 0
    several: int = 0


class Known(NamedTuple):
    """How many active members a school has, and how many of them are students."""

    school_id: int
    people: int
    students: int


def arrivals_of(coming: Iterable[Coming], known: Iterable[Known]) -> dict[str, Any]:
    """Who would come to the schools of a pull. A school without people does not count: everybody is new in it.

    known: people of all schools. mixed_up: those who change schools in circles, or come to several schools at once.
    slipped: whether everybody who moves does so in circles, and these pass every school. The rows of a sorted file
    that slips by one do that.
    emptied: how many schools lose most of their people to others. joining, with: students whom nobody knows in schools
    that more than a few of them join, and the students of these schools. schools: how many these are. Newcomers of the
    grade that has most count only as many as those of the next grade: a school takes in a class.
    """
    there = {one.school_id: one for one in known if one.people}
    moves: dict[tuple[int, int], int] = {}
    gone, classes, several = dict.fromkeys(there, 0), dict[int, list[int]](), 0
    for one in coming:
        if one.school_id not in there:
            continue
        if one.left_id is None:
            classes.setdefault(one.school_id, []).append(one.people)
        elif one.left_id in there:
            moves[one.left_id, one.school_id] = one.people
            gone[one.left_id] += one.gone
            several += one.several
    circles, passed = in_circles(moves)
    joining = {school: sum(sizes) - max(sizes) + sorted([0, *sizes])[-2] for school, sizes in classes.items()}
    joining = {school: people for school, people in joining.items() if people > TOO_FEW}
    return {
        "known": sum(one.people for one in there.values()),
        "mixed_up": circles + several,
        "slipped": passed == len(there) and circles == sum(moves.values()),
        "emptied": sum(left > max(TOO_FEW, EMPTIED * there[school].people) for school, left in gone.items()),
        "joining": sum(joining.values()),
        "with": sum(there[school].students for school in joining),
        "schools": len(joining),
    }


def in_circles(moves: Mapping[tuple[int, int], int]) -> tuple[int, int]:
    """How many people change schools in circles, and how many schools these pass. Through a school pass at most as many
    as come to it, and as leave it for others. moves: from school and to school to people."""
    if not moves:
        return 0, 0
    schools, places = np.unique(np.array(list(moves), dtype=np.int64), return_inverse=True)
    left, into = places.reshape(-1, 2).T
    people = np.array(list(moves.values()), dtype=np.float64)
    passing = np.full(len(schools), np.inf)
    for _ in range(len(schools)):
        through = np.minimum(people, np.minimum(passing[left], passing[into]))
        fewer = np.minimum(*(np.bincount(end, through, len(schools)) for end in (left, into)))
        if (fewer == passing).all():
            break
        passing = fewer
    return int(passing.sum()), int((passing > 0).sum())


def wrong_schools(plan: Plan, stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """Memberships wait, and the archivals that belong to them, if the pull seems to mix up the schools of people; so do
    people whom nobody knows if many of them come to several schools, and not as a class."""
    facts, few, rows = stats.snapshot.arrivals, guards.archive_always_allowed, plan.rows
    if not facts:
        return
    mixed_up, known, limit = facts["mixed_up"], facts["known"], MIXED_UP * guards.create_share
    many = mixed_up > few and (facts["slipped"] or mixed_up > limit * known)
    if many or facts["emptied"] > 1:
        reasons = (*_MOVES, *MISSING_REASONS) if many else _MOVES
        moved = rows["role"][rows["action"].isin(_MOVING) & rows["reason"].isin(reasons)]
        if len(moved) and many:
            message = (
                f"In the schools of this connection, {mixed_up:,} of {known:,} people would change places or come to "
                f"several schools at once: {percent(mixed_up / known)}. Does the SIS mix up their schools?"
            )
            yield _wrong(message, mixed_up / known, limit, _MOVING, moved)
        elif len(moved):
            message = (
                f"{facts['emptied']} schools of this connection would lose most of their people to other schools. Does "
                "the SIS mix up their schools?"
            )
            yield _wrong(message, facts["emptied"], 1, _MOVING, moved)
    joining, there, limit = facts["joining"], facts["with"], UNUSUAL * guards.create_share
    if facts["schools"] > 1 and joining > max(few, limit * there):
        new = rows["role"][(rows["action"] == CREATE) & (rows["reason"] == "joined")]
        if len(new) > TOO_FEW:
            message = (
                f"{joining:,} students whom nobody knows would join {facts['schools']} schools of this connection, "
                f"which have {people_of('student', there)}, and they are not one class. Are they of another district?"
            )
            yield _wrong(message, joining / max(there, 1), limit, (CREATE,), new)


def _wrong(message: str, value: float, limit: float, actions: tuple[str, ...], roles: pd.Series[str]) -> Finding:
    return Finding("wrong_schools", message, value, limit, actions, tuple(tally(roles)))


def _is_large(role: RoleLoss, guards: Guards) -> bool:
    if role.in_lost_part:
        return True
    return role.missing > guards.archive_share * role.known and not passes_as_small(role.missing, role.known, guards)


def missing_elsewhere(plan: Plan, stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """Archivals that no answer of the SIS confirms wait if the pull seems to have lost people of every school.

    That is so if another school has a large loss, and this one an unusual loss, or the calm schools together do; or if
    several calm schools have an unusual loss, and all of them together do.
    """
    losses = stats.snapshot.losses
    unconfirmed = _unconfirmed(plan, stats) if losses else {}
    going = sum(unconfirmed.values())
    if not going:
        return
    known, missing, limit = losses["calm_known"], losses["calm_missing"], guards.archive_share
    here = going > max(guards.archive_always_allowed, UNUSUAL * limit * sum(stats.managed.values()))
    together = missing > max(TOO_FEW, TOGETHER * limit * known)
    others = set(losses["large"]) - {stats.snapshot.school_id}
    if (others and (here or together)) or (losses["unusual"] > 1 and missing > UNUSUAL * limit * known):
        share = losses["missing"] / losses["known"]
        message = (
            f"The schools of this connection together lack {losses['missing']:,} of {losses['known']:,} people: "
            f"{percent(share)}. So the people who are missing here may be missing by mistake too."
        )
        yield Finding("missing_elsewhere", message, share, limit, (ARCHIVE,), tuple(unconfirmed), people=unconfirmed)


def _unconfirmed(plan: Plan, stats: PlanStats) -> dict[str, int]:
    """By role, the people who would be archived because they are missing, while the SIS confirmed it for nobody alone.
    Announced leavers do not count."""
    rows = plan.rows
    missing = (rows["action"] == ARCHIVE) & rows["reason"].isin(MISSING_REASONS)
    if not stats.snapshot.bundle:
        missing &= ~rows["witness"].isin([GONE, ELSEWHERE])
    if len(stats.announced):
        missing &= ~stats.announced
    return tally(rows["role"][missing])
