"""The guards on each role: how many of its people a plan would change, compared with how many there are.

In a role of few people, a share says little. Its archivals pass while the school is calm. If a larger role is held for
its size, all its changes are held too.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from roster_pipeline.cleaning.quality import TOO_FEW
from roster_pipeline.frames import persons_of, strings, taken, truth
from roster_pipeline.identity.directory_frames import SnapshotFacts, places_of
from roster_pipeline.named_frames import part
from roster_pipeline.planning.changed_values import changes_keys, is_promotion
from roster_pipeline.planning.findings import Finding, out_of, percent
from roster_pipeline.planning.plan import Plan
from roster_pipeline.planning.plan_stats import PlanStats
from roster_pipeline.settings.school import Guards
from roster_pipeline.vocabulary import (
    ARCHIVE,
    CHANGING,
    CONTACT,
    CONTACTS_OFF,
    CREATE,
    RESTORE,
    UPDATE,
    people_of,
    role_name,
)

MOVED_SHARE = 0.02
"""This part of the limit for keys (0.1 %) may get values of each other in a pull. Each school may see too few more."""


@dataclass(frozen=True)
class Updates:
    """The updates of one role's people. keyed: how many would get another key, or lose a value or the right to log in.
    promoted: how many only go up one grade.

    into: the roles of their rows. People who change their role are in the row of the new role.
    """

    rows: int
    keyed: int
    promoted: int
    into: tuple[str, ...]


@dataclass(frozen=True)
class Numbers:
    """A plan as numbers. planned: role to action to rows. updates: by the role from which people come. arrivals: by the
    role to which they come from another one. managed: the active people of each rostered role."""

    planned: dict[str, dict[str, int]]
    updates: dict[str, Updates]
    arrivals: dict[str, int]
    managed: dict[str, int]
    first_sync: bool

    def rows(self, role: str, action: str) -> int:
        """The number of rows of one kind."""
        return self.planned.get(role, {}).get(action, 0)


def role_findings(plan: Plan, stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """The findings about the share of a role that a plan would change."""
    numbers = _numbers(plan, stats)
    by_size = list(_by_size(numbers, guards))
    yield from by_size
    yield from _slow_losses(stats, guards)
    loud = {role for finding in by_size for role in finding.roles or ()}
    yield from _few_archivals(numbers, guards, loud)
    yield from _small_roles(numbers, guards, loud)
    yield from _keys(numbers, stats.snapshot, guards)


def _numbers(plan: Plan, stats: PlanStats) -> Numbers:
    """The numbers of a plan.

    Updates are compared with the role from which people come, because they are a share of that role.
    """
    updating = truth(pc.equal(strings(plan.rows["action"]), UPDATE))
    for name, other in (("role", CONTACT), ("reason", CONTACTS_OFF)):
        updating &= ~truth(pc.equal(strings(plan.rows[name]), other))
    rows = part(plan.rows, ("person_id", "role", "changes"), updating)
    former = taken(strings(stats.roles), places_of(persons_of(rows), stats.roles)).to_pylist()
    counts, keyed, promoted, arrivals = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    into: dict[str, dict[str, None]] = {}
    for known, role, changes in zip(former, rows["role"].tolist(), rows["changes"].tolist(), strict=True):
        if changes and all(old == new for old, new in changes.values()):
            continue  # a number that becomes one of this connection
        origin = known or role
        counts[origin] += 1
        keyed[origin] += changes_keys(changes)
        promoted[origin] += is_promotion(changes)
        into.setdefault(origin, {})[role] = None
        if origin != role:
            arrivals[role] += 1
    updates = {role: Updates(count, keyed[role], promoted[role], tuple(into[role])) for role, count in counts.items()}
    expected = stats.announced if len(stats.announced) else np.zeros(len(plan.rows), dtype=bool)
    return Numbers(
        replace(plan, rows=plan.rows[~expected]).counts if expected.any() else plan.counts,
        updates,
        dict(arrivals),
        {role: stats.managed.get(role, 0) for role in stats.counts},
        stats.first_sync,
    )


def _by_size(numbers: Numbers, guards: Guards) -> Iterator[Finding]:
    for role, there in numbers.managed.items():
        going = numbers.rows(role, ARCHIVE)
        if going > guards.archive_most:
            message = f"{people_of(role, going)} would be archived; never more than {guards.archive_most} in one sync."
            yield Finding(
                "archive_most", message, going, guards.archive_most, (ARCHIVE,), (role,),
                about=role, people={role: going}, allowed=guards.archive_most,
            )  # fmt: skip
        if going > guards.archive_share * there and not passes_as_small(going, there, guards):
            yield _archivals(role, going, there, guards)
        if not numbers.first_sync:
            new, back = numbers.rows(role, CREATE), numbers.rows(role, RESTORE)
            yield from _share("creations", role, CREATE, new, there, guards.create_share, "would be created")
            yield from _share("restores", role, RESTORE, back, there, guards.restore_share, "would be restored")
        into = numbers.arrivals.get(role, 0)
        yield from _share("role_changes", role, UPDATE, into, there, guards.create_share, "would come from other roles")
        updates = numbers.updates.get(role)
        changing = updates.rows - updates.promoted if updates else 0
        if updates and there and changing > TOO_FEW and changing > guards.update_share * there:
            message = f"{people_of(role, changing)} would change, {out_of(changing, there)}."
            yield Finding(
                "updates", message, changing / there, guards.update_share, (UPDATE,), updates.into,
                about=role, people={role: changing}, allowed=guards.update_share * there,
            )  # fmt: skip


def most_moved(known: int, guards: Guards) -> float:
    """How many people may get values of each other, if the schools that read a pull have so many people (known)."""
    return max(guards.archive_always_allowed, MOVED_SHARE * guards.update_key_share * known)


def _keys(numbers: Numbers, snapshot: SnapshotFacts, guards: Guards) -> Iterator[Finding]:
    """Changes of keys. One or two people of a role pass, unless another role has too many: then a column moved. No
    update passes if too many people would get values of each other, in all schools that read the pull."""
    limit, moved = guards.update_key_share, snapshot.moved
    mixed_up = moved > most_moved(snapshot.arrivals.get("known", 0), guards)
    over = [
        (role, there, updates)
        for role, there in numbers.managed.items()
        if there and (updates := numbers.updates.get(role)) and (mixed_up or updates.keyed > limit * there)
    ]
    for role, there, updates in over if mixed_up or any(updates.keyed > TOO_FEW for _, _, updates in over) else ():
        if mixed_up:
            message = (
                f"In the schools of this connection, {moved:,} people would get values that others of them have. "
                f"Does the SIS mix up its people? Here, {people_of(role, updates.rows)} would change."
            )
        else:
            message = (
                f"{people_of(role, updates.keyed)} would get another e-mail, number, username, name or contact, "
                f"or other data of a contact, or lose a value or the right to log in, {out_of(updates.keyed, there)}."
            )
        yield Finding("key_updates", message, updates.keyed / there, limit, (UPDATE,), updates.into, about=role)


def _few_archivals(numbers: Numbers, guards: Guards, loud: set[str]) -> Iterator[Finding]:
    """Archivals of a small role that are few enough to pass, if the school is not calm."""
    for role, there in numbers.managed.items():
        few = numbers.rows(role, ARCHIVE)
        if few > guards.archive_share * there and passes_as_small(few, there, guards):
            others = sum(numbers.rows(other, ARCHIVE) for other in numbers.managed) - few
            rest = sum(numbers.managed.values()) - there
            many = others > guards.archive_always_allowed and others > guards.archive_share * rest
            if many or loud:
                yield _archivals(role, few, there, guards, " Other changes of the school are unusual too.")


def _small_roles(numbers: Numbers, guards: Guards, loud: set[str]) -> Iterator[Finding]:
    """Roles that are too small to judge, if a role of their size or a larger one is held for its size."""
    for role, there in numbers.managed.items():
        larger = [other for other in numbers.managed if other in loud - {role} and numbers.managed[other] >= there]
        due = any(numbers.rows(role, action) for action in CHANGING if action != UPDATE)
        due = due or any(role in updates.into for updates in numbers.updates.values())
        limit = guards.archive_small_role
        if due and larger and there < limit:
            message = (
                f"{people_of(role, there)}: too few to be judged by themselves, and the changes of "
                f"{' and '.join(map(role_name, larger))} are held for their size."
            )
            yield Finding("small_role", message, there, limit, roles=(role,), about=role, people={role: 1})


def doubted_archivals(stats: PlanStats) -> Iterator[Finding]:
    """Archivals of people whom the list may lack although they are still there."""
    if not stats.snapshot.complete:  # another finding says so
        return
    for role, people in stats.missing_part.items():
        message = (
            f"{people_of(role, people)} who would be archived stood in a part of an earlier file from which nobody "
            "came since. The new file may lack this part."
        )
        yield Finding("part_missing", message, people, 0, (ARCHIVE,), (role,), about=role, people={role: people})
    for role, people in stats.never_listed.items():
        message = (
            f"{people_of(role, people)} who would be archived came from an earlier address or School ID, and the "
            "present one never had them. Is it a test system, or an old copy?"
        )
        yield Finding("never_listed", message, people, 0, (ARCHIVE,), (role,), about=role, people={role: people})


def _slow_losses(stats: PlanStats, guards: Guards) -> Iterator[Finding]:
    """Archivals of a role that is losing people night after night."""
    for role, losses in stats.losses.items():
        for loss in losses:
            limit = guards.slow_loss_share * loss.of
            if loss.people > limit and not passes_as_small(loss.people, loss.of, guards):
                without = "" if loss.all_grades else " below the highest grade"
                message = (
                    f"{loss.people} of {people_of(role, loss.of)}{without} would have been archived within {loss.days} "
                    f"days, {loss.now} of them now: {percent(loss.people / loss.of)}."
                )
                yield Finding(
                    "slow_loss", message, loss.people / loss.of, guards.slow_loss_share, (ARCHIVE,), (role,),
                    about=role, people={role: loss.people}, allowed=limit,
                )  # fmt: skip
                break


def passes_as_small(going: int, there: int, guards: Guards) -> bool:
    """Whether archivals beyond the share pass, because they are few and the role is small."""
    return there < guards.archive_small_role and going <= guards.archive_always_allowed


def _archivals(role: str, going: int, there: int, guards: Guards, besides: str = "") -> Finding:
    share = going / max(there, 1)
    message = f"{going} of {people_of(role, there)} would be archived: {percent(share)}.{besides}"
    return Finding(
        "archivals", message, share, guards.archive_share, (ARCHIVE,), (role,),
        about=role, people={role: going}, allowed=guards.archive_share * there,
    )  # fmt: skip


def _share(guard: str, role: str, action: str, rows: int, there: int, limit: float, would: str) -> Iterator[Finding]:
    if there and rows > TOO_FEW and rows > limit * there:
        message = f"{people_of(role, rows)} {would}, {out_of(rows, there)}."
        which: dict[str, Any] = {"about": role, "people": {role: rows}, "allowed": limit * there}
        yield Finding(guard, message, rows / there, limit, (action,), (role,), **which)
