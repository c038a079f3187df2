"""The numbers that the guards judge. They contain no value of a record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Flags, Ints, persons_of, positions, strings, tally, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts, flags_of, numbers_of
from roster_pipeline.named_frames import part
from roster_pipeline.planning.changes_of_kind import ChangesOfKind, changes_of_kind
from roster_pipeline.planning.moved_keys import Moved, moved_keys
from roster_pipeline.planning.plan import Plan, announced_gone, archivals_of
from roster_pipeline.planning.slow_losses import Loss, losses_of
from roster_pipeline.planning.snapshot_guards import UnlikeBefore, WholeSchool, whole_school
from roster_pipeline.vocabulary import ID_REASSIGNED, ROLE_GROUPS

UNKNOWN = "unknown"
"""Rejected records whose role nobody knows."""

_NOT_COUNTED = ("unmapped_role",)
"""The role of records that the school does not map, if no known person comes with it: this is the school's choice, not
a fault of the snapshot."""


_COUNTED_STATUSES = pa.array(["member", "rejected", "unmapped"], TEXT)


@dataclass(frozen=True)
class PlanStats:
    """Numbers of one plan. Mappings are per rostered role group.

    history: one row per good snapshot, newest last, a column per role. counts: people in this roster. managed: active
    members that the sync manages. records: records of the role, used or not. rejected: those of them that were not
    used. contradictions: people that the SIS still answers for. unwitnessed: archivals for which nobody was asked.
    rekeyed: (known people found under a new id, known people found). conflicting: those under a new id who are in a
    conflict. reassigned: (active members whose id seems to
    belong to somebody else now, active members found); a SIS may give the ids of people who left to new people.
    claimed: people of another connection who get a role here. without_org: active members whose records all came
    without an org. school: the school as a whole. moved: keys that move between known people. of_kind: students who
    become staff, and the like. roles: person to role of the active members. unlike: comparison with the connection's
    earlier good snapshots. announced: which rows of the plan archive an announced leaver. No number here counts such a
    person. missing_part, never_listed: people who would be archived, and who were in a part of a file that the new one
    may lack, or in no list of the present address. losses: of the roles of which the plan archives somebody, over some
    weeks.
    """

    snapshot: SnapshotFacts
    history: pd.DataFrame
    counts: dict[str, int]
    managed: dict[str, int]
    records: dict[str, int]
    rejected: dict[str, int]
    contradictions: int
    today: date
    first_sync: bool
    rekeyed: dict[str, tuple[int, int]]
    unwitnessed: int = 0
    awaits_approval: bool = False
    without_org: dict[str, int] = field(default_factory=dict)
    reassigned: dict[str, tuple[int, int]] = field(default_factory=dict)
    conflicting: dict[str, int] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)
    school: WholeSchool = field(default_factory=WholeSchool)
    moved: Moved = field(default_factory=Moved)
    of_kind: ChangesOfKind = field(default_factory=ChangesOfKind)
    unlike: UnlikeBefore = field(default_factory=UnlikeBefore)
    roles: pd.Series[str] = field(default_factory=lambda: pd.Series(dtype="str"))
    announced: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    missing_part: dict[str, int] = field(default_factory=dict)
    never_listed: dict[str, int] = field(default_factory=dict)
    losses: dict[str, tuple[Loss, ...]] = field(default_factory=dict)


_OF_ROWS = (
    "counts", "managed", "records", "rejected", "rekeyed", "conflicting", "without_org", "reassigned", "claimed",
    "school",
)  # fmt: skip
"""The numbers that depend only on the rows of a plan, its roster and its directory."""


def numbers_of_rows(stats: PlanStats) -> dict[str, Any]:
    """The numbers of a plan that changes nobody, as JSON. `stats_of_numbers` reads them."""
    return {name: getattr(stats, name) for name in _OF_ROWS} | {"school": asdict(stats.school)}


def stats_of_numbers(
    numbers: Mapping[str, Any], snapshot: SnapshotFacts, history: pd.DataFrame, today: date, unlike: UnlikeBefore
) -> PlanStats:
    """The numbers of the same rows for another snapshot."""
    shares = {
        name: {role: (few, of) for role, (few, of) in numbers[name].items()} for name in ("rekeyed", "reassigned")
    }
    of_rows = {**numbers, **shares, "school": WholeSchool(**numbers["school"])}
    return PlanStats(
        snapshot=snapshot, history=history, contradictions=0, today=today, first_sync=False, unlike=unlike, **of_rows
    )


def plan_stats_of(
    plan: Plan,
    roster: pd.DataFrame,
    rejected: pd.DataFrame,
    directory: DirectoryFrames,
    snapshot: SnapshotFacts,
    history: pd.DataFrame,
    today: date,
    missing_part: Collection[str] = (),
    never_listed: Collection[int] = (),
    recent: Sequence[Sequence[Any]] | None = None,
    not_rostered: Mapping[str, Collection[str]] | None = None,
) -> PlanStats:
    """Collect the numbers of one plan, after its witnesses answered. roster: with the records of settled people.
    missing_part: records of a part of a file that the new one may lack. never_listed: people in no list of the present
    address. recent: who was lost (`slow_losses.losses_of`), if the plan archives anybody. not_rostered: as
    `changes_of_kind` takes it."""
    roles = plan.rostered
    people = people_by_role(roster)
    managed = tally(directory.managed["role"])
    records = truth(pc.is_in(strings(roster["record_status"]), value_set=_COUNTED_STATUSES))
    rows = plan.rows
    new_id = rows["matched_by"] != "link"
    archives = flags_of(rows["action"] == "archive")
    there = {role: managed[role] + plan.settled.get(role, 0) for role in roles}
    gone = announced_gone(rows, directory.announced)
    left = tally(directory.managed["role"][np.isin(numbers_of(directory.managed.index), list(gone))])
    surprising = ~np.isin(persons_of(rows), list(gone))
    archived = rows[archives & surprising]
    lost = np.array([not set(records).isdisjoint(missing_part) for records in archived["sourced_ids"]], dtype=bool)
    return PlanStats(
        snapshot=snapshot,
        history=history,
        counts={role: people.get(role, 0) for role in roles},
        managed={role: number - left[role] for role, number in there.items()},
        records=_counted(_role_or_known(part(roster, ("role", "sourced_id"), records), directory), roles),
        rejected=_counted(_rejected_roles(rejected, directory), roles),
        contradictions=int((surprising & flags_of(rows["reason"] == "sis_still_answers")).sum()),
        today=today,
        first_sync=plan.first_sync,
        rekeyed=_shares(plan, directory.known_people, new_id),
        conflicting={
            role: people
            for role, (people, _) in _shares(
                plan, directory.known_people, new_id & (rows["action"] == "conflict")
            ).items()
        },
        unwitnessed=int((archives & flags_of(rows["witness"].isna())).sum()),
        awaits_approval=plan.awaits_approval,
        reassigned=_shares(plan, directory.active_people, rows["reason"] == ID_REASSIGNED),
        claimed=claims(rows, directory),
        without_org=_without_org(roster, directory, roles, gone),
        school=whole_school(rows, directory, there, snapshot, gone, plan.settled),
        moved=moved_keys(rows, directory),
        of_kind=changes_of_kind(rows, roster, directory, not_rostered),
        roles=directory.members["role"][directory.active],
        announced=archivals_of(rows, gone),
        missing_part=tally(archived["role"][lost]),
        never_listed=tally(archived["role"][np.isin(persons_of(archived), list(never_listed))]),
        losses={} if recent is None else losses_of(recent, archived, directory.managed, gone),
    )


def _without_org(
    roster: pd.DataFrame, directory: DirectoryFrames, roles: tuple[str, ...], announced: frozenset[int]
) -> dict[str, int]:
    """The active members, by role, who came and whose records name no org at all; without announced leavers."""
    bare = roster["record_status"] == "no_org"
    if not bare.any():
        return dict.fromkeys((*roles, UNKNOWN), 0)
    links = directory.own_links
    person = roster["sourced_id"].map(pd.Series(links["person_id"].to_numpy(), index=links["sourced_id"]))
    gone = set(person[bare].dropna()) - set(person[~bare].dropna()) - announced
    theirs = directory.members["role"][directory.active]
    return _counted(theirs[theirs.index.isin(gone)], roles)


def people_by_role(roster: pd.DataFrame) -> dict[str, int]:
    """People by effective role: the strongest role that their records have here. Used for this snapshot and for the
    usual size.
    """
    member = truth(pc.equal(strings(roster["record_status"]), "member"))
    if not member.any():
        return {}
    identity = numbers_of(roster["identity"][member])
    rank = positions(strings(roster["role"]), strings(ROLE_GROUPS))[member]
    strongest = np.full(identity.max() + 1, len(ROLE_GROUPS))
    np.minimum.at(strongest, identity, np.where(rank < 0, len(ROLE_GROUPS), rank))
    counts = np.bincount(strongest, minlength=len(ROLE_GROUPS))
    return {str(role): int(counts[place]) for place, role in enumerate(ROLE_GROUPS) if role and counts[place]}


def _known_roles(directory: DirectoryFrames) -> pd.Series[str]:
    """The role here of each sourcedId of this connection that belongs to an active member."""
    links = directory.own_links
    role = directory.members["role"].where(directory.active)
    of_links = links["person_id"].map(role)
    return pd.Series(of_links.to_numpy(dtype=object), index=links["sourced_id"].astype(str)).dropna()


def _role_or_known(frame: pd.DataFrame, directory: DirectoryFrames) -> pd.Series[str]:
    """The role of each record; without one, that of its person here."""
    missing = frame["role"].isna()
    if not missing.any():
        return frame["role"]
    known = frame["sourced_id"].map(_known_roles(directory))
    return frame["role"].astype(object).where(~missing, known).fillna(UNKNOWN)


def _rejected_roles(rejected: pd.DataFrame, directory: DirectoryFrames) -> pd.Series[str]:
    such = truth(pc.equal(strings(rejected["severity"]), "error"))
    such &= truth(pc.equal(strings(rejected["collection"]), "users"))
    if not such.any():
        return pd.Series(dtype="str")
    errors = rejected[such]
    errors = errors[~errors.duplicated("sourced_id") | errors["sourced_id"].isna()]
    role = _role_or_known(errors, directory)
    return role[~((role == UNKNOWN) & errors["rule"].isin(_NOT_COUNTED))]


def _counted(roles: pd.Series[str], rostered: tuple[str, ...]) -> dict[str, int]:
    counts = tally(roles)
    return {role: counts[role] for role in (*rostered, UNKNOWN)}


def _shares(plan: Plan, among: Ints, such: pd.Series[bool]) -> dict[str, tuple[int, int]]:
    """For each role, of the rows of these people with a matched record: how many are marked, and how many there are.
    Settled people count as not marked."""
    came = plan.rows["matched_by"].notna().to_numpy(dtype=bool) & np.isin(persons_of(plan.rows), among)
    role = np.where(came, positions(strings(plan.rows["role"]), strings(plan.rostered)), -1)
    there, marked = (
        np.bincount(role[rows & (role >= 0)], minlength=len(plan.rostered))
        for rows in (came, such.to_numpy(dtype=bool))
    )
    return {
        name: (int(marked[place]), int(there[place]) + plan.settled.get(name, 0))
        for place, name in enumerate(plan.rostered)
    }


def claims(rows: pd.DataFrame, directory: DirectoryFrames) -> dict[str, int]:
    """By role, how many rows of a plan give a person of another connection a role here.

    It counts only matches that a connection of a school found by itself. A link that a manager made is settled.
    """
    theirs = directory.known_elsewhere
    if not len(theirs) or directory.connection_id in directory.trusted_connections:
        return {}
    some = rows[(rows["action"] == "create") & rows["matched_by"].isin(["number", "email"])]
    counts = some["role"][np.isin(persons_of(some), theirs)].value_counts()
    return {str(role): int(count) for role, count in counts.items()}
