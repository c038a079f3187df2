"""Several schools read one pull: if it lost people, it lost them in all schools, and a small loss is one too.

The guards on roles look at one school alone, and a loss below their limits passes. So we count once per pull, before
any school is planned, whom the pull lacks in each school. Hence it does not matter which school syncs first. One large
loss elsewhere is not enough to hold a school: it needs a loss of its own that is unusual, or one of all other schools
together. Otherwise a school that graduates a class would stop a thousand others.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.frames import tally
from roster_pipeline.planning.findings import Finding, percent
from roster_pipeline.planning.plan import ELSEWHERE, GONE, Plan
from roster_pipeline.planning.plan_stats import PlanStats
from roster_pipeline.planning.role_guards import passes_as_small
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import ARCHIVE

UNUSUAL = 0.5
"""A loss above this part of a school's limit for archivals is unusual, if other schools lack people too."""
TOGETHER = 0.2
"""The same for all schools together without those that have a large loss, because many schools are rarely unlucky in
one night."""
MISSING_REASONS = ("left", "no_org", "not_enrolled")
"""Reasons of archivals for which the source said nothing about a person. A file that lost rows gives the same."""
LOSSES = "losses"
"""The key of the facts in the proof of a pull."""


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
