"""The input of a plan: the roster, and the directory as it is now. For a large school, it reads only the records and
people that may give another row than in the last plan. All others are settled (`planning/settled.py`). It reads neither
if the last plan is right again (`directory/plan_reuse.py`)."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from roster_pipeline.directory import (
    lasting_decisions,
    members,
    plan_reuse,
    planning_input,
    rosters,
    snapshots,
    stored_frames,
)
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_district_for_reading
from roster_pipeline.directory.plan_reuse import Before, Reading, Unsettled
from roster_pipeline.directory.planning_input import LoadedDirectory
from roster_pipeline.directory.sync_summary import History, history_of
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import Flags, Ints, persons_of, positions, sorted_by, strings
from roster_pipeline.identity.directory_frames import DirectoryFrames, asked_elsewhere, kept_elsewhere
from roster_pipeline.planning.plan import Plan, says_nothing
from roster_pipeline.planning.plan_stats import PlanStats, numbers_of_rows
from roster_pipeline.planning.settled import (
    MOST_OPEN,
    OPEN,
    comes_again,
    neighbours,
    one_contact,
    rows_of,
    settled_by,
    still_settled,
    those_of_roster,
)
from roster_pipeline.planning.snapshot_guards import GOOD_SNAPSHOTS_READ


@dataclass(frozen=True)
class _Found:
    """directory: the people who are planned. position: that of the change log. settled: the settled person of each row
    of the roster, or `IDLE`, else `OPEN`. context: the rows of people who are planned only because others share a key
    with them. asked: whether people were looked up in the rosters of other schools. since: the day on which everybody
    was planned, if these are not all."""

    directory: DirectoryFrames
    position: int
    settled: Ints
    context: Flags
    asked: bool
    since: date | None = None


@dataclass(frozen=True)
class TakenOver:
    """In place of the input, the last plan, which is right again. before: the earlier nights. quality: of the
    snapshot."""

    before: History
    quality: pd.DataFrame
    plan: plan_reuse.Earlier

    @property
    def position(self) -> int:
        return self.plan.position

    @property
    def lists_of(self) -> int:
        """The plan whose lists of people are right again."""
        return self.plan.plan_id

    def unchanged(self, plan: Plan) -> None:
        """Only the lists of the earlier plan know them."""

    def keep(self, conn: Connection, snapshot_id: int, plan_id: int, plan: Plan, stats: PlanStats) -> None:
        """Keep the plan for the next night."""
        plan_reuse.keep(conn, snapshot_id, replace(self.plan, plan_id=plan_id), mode=str(self.before.facts["mode"]))


@dataclass(frozen=True)
class PlanInput:
    """before: the earlier nights. quality, excluded: as `rosters` has them. reading: for the next plan. large: whether
    it leaves out settled people. lists_of: as in `TakenOver`."""

    before: History
    roster: pd.DataFrame
    rejected: pd.DataFrame
    quality: pd.DataFrame
    excluded: pd.DataFrame
    found: _Found
    reading: Reading | None
    large: bool
    today: date
    lists_of: None = None

    @property
    def position(self) -> int:
        return self.found.position

    @property
    def directory(self) -> DirectoryFrames:
        return self.found.directory

    @property
    def settled(self) -> Ints:
        """The settled person of each row of the roster, or `IDLE`, else `OPEN`."""
        return self.found.settled

    @property
    def planned(self) -> pd.DataFrame:
        """The rows of the roster that are planned."""
        open_ = self.settled == OPEN
        return self.roster if open_.all() else self.roster[open_].reset_index(drop=True)

    @property
    def by_role(self) -> dict[str, int]:
        counts = self.roster["role"][self.settled >= 0].value_counts()
        return {str(role): int(count) for role, count in counts.items()}

    def holds(self, plan: Plan) -> bool:
        """Whether everybody who is planned only because of others is unchanged, as expected."""
        if not self.found.context.any():
            return True
        silent = plan.rows["sourced_ids"][says_nothing(plan.rows)]
        return set(self.roster["sourced_id"][self.found.context]) <= {records[0] for records in silent}

    def unchanged(self, plan: Plan) -> pd.DataFrame | None:
        """Role and person_id of everybody without a row in the plan; None if only the plan knows them."""
        if not (self.settled >= 0).any():
            return None
        persons = self.settled.copy()
        places, who = self._places(plan, says_nothing(plan.rows))
        persons[places] = who
        rows = np.flatnonzero(persons >= 0)
        return pd.DataFrame({"role": self.roster["role"].iloc[rows].array, "person_id": persons[rows]})

    def keep(self, conn: Connection, snapshot_id: int, plan_id: int, plan: Plan, stats: PlanStats) -> None:
        """Keep what the next plan can use, in the plan's transaction: the plan itself, and, if it is enough, what is
        settled."""
        if self.reading is None or plan.first_sync:
            return
        position, others, since = self.found.position, self.others().tolist(), self.found.since or self.today
        facts, decided = self.before.facts, len(self.directory.exemptions) or self.directory.announced
        again = stats.snapshot.complete and self.before.roster_again and not decided
        if again and comes_again(plan, asked=self.found.asked):
            listed = says_nothing(plan.rows)
            roles = Counter(plan.settled) + Counter(plan.rows["role"][listed].tolist())
            own = plan_reuse.Earlier(
                plan_id, plan.rows[~listed], roles, numbers_of_rows(stats), self.reading, position, others, since
            )
            plan_reuse.keep(conn, snapshot_id, own, mode=str(facts["mode"]))
        if self.large:
            pairs = self.pairs_after(plan)
            if (len(self.roster) - len(pairs)) * MOST_OPEN <= len(self.roster):
                plan_reuse.keep_pairs(conn, snapshot_id, pairs, self.reading, position, others, since=since)

    def pairs_after(self, plan: Plan) -> pa.Table:
        """The pairs that are settled after this plan."""
        persons = self.settled.copy()
        persons[persons == OPEN] = settled_by(plan, self.planned, self.directory)
        here = pa.array(persons != OPEN)
        return pa.table({"sourced_id": strings(self.roster["sourced_id"]), "person_id": persons}).filter(here)

    def others(self) -> Ints:
        people = self.directory.people.index.to_numpy(dtype=np.int64)
        return people[~np.isin(people, self.directory.members.index.to_numpy(dtype=np.int64))]

    def _places(self, plan: Plan, flags: Flags) -> tuple[Ints, Ints]:
        records = pa.array([records[0] for records in plan.rows["sourced_ids"][flags]], pa.large_string())
        return positions(records, strings(self.roster["sourced_id"])), persons_of(plan.rows)[flags]


def read(
    database: Database, school: SchoolRow, snapshot_id: int, today: date, *, only: int | None = None
) -> PlanInput | TakenOver:
    """Read the input of a plan, or find that the last one is right again. only: the plan is about this person alone."""
    with database.begin() as conn:
        before = history_of(conn, school.id, snapshot_id, proofs=GOOD_SNAPSHOTS_READ)
        again = only is None and before.roster_again and _whole(before)
        if again and (same := plan_reuse.find(conn, school, before.facts, today)):
            return TakenOver(before, rosters.load_quality(conn, snapshot_id), same)
        return _read(conn, school, before, today, only, everybody=False)


def read_everybody(
    database: Database, school: SchoolRow, snapshot_id: int, today: date, *, only: int | None = None
) -> PlanInput:
    """The same; nobody counts as settled, and no plan is taken over."""
    with database.begin() as conn:
        before = history_of(conn, school.id, snapshot_id, proofs=GOOD_SNAPSHOTS_READ)
        return _read(conn, school, before, today, only, everybody=True)


def _whole(before: History) -> bool:
    """Whether a plan of this snapshot and the next one can have rows in common."""
    return before.facts["mode"] != "delta" and not before.first_sync


def _read(
    conn: Connection, school: SchoolRow, before: History, today: date, only: int | None, *, everybody: bool
) -> PlanInput:
    snapshot_id, records = int(before.facts["id"]), snapshots.users_of(before.facts)
    roster, rejected = rosters.load(conn, snapshot_id, records=records)
    roster = sorted_by(roster, "sourced_id")
    quality, excluded = rosters.load_quality(conn, snapshot_id), rosters.load_excluded(conn, snapshot_id)
    announced = lasting_decisions.leavers_in_force(conn, school.id, today)
    decided = {
        "exemptions": lasting_decisions.load_exemptions(conn, school.id),
        "announced": announced if only is None else announced & {only},
    }
    large = records >= stored_frames.LARGE
    compared = only is None and _whole(before) and (large or before.roster_again)
    reading = plan_reuse.reading_of(conn, school, before.facts) if compared else None
    found = None
    if reading and large and not everybody and school.settings.contacts_most == 1 and one_contact(roster):
        lock_district_for_reading(conn, school.district_id)
        last = plan_reuse.load_pairs(conn, school, snapshot_id, records, reading, today)
        special = {*rejected["sourced_id"][rejected["role"].isna()].dropna()}  # only their person has a role
        special |= set(rows_of(roster, "contact_sourced_id", excluded["sourced_id"].dropna()))
        found = _narrow(conn, school, snapshot_id, roster, special, decided, last) if last else None
    if found is None:
        loaded = planning_input.load_directory(conn, school, snapshot_id, len(roster))
        directory, asked = _frames(conn, school, loaded, roster, decided)
        nobody = np.full(len(roster), OPEN)
        found = _Found(directory, loaded.position, nobody, nobody >= 0, asked)
    return PlanInput(before, roster, rejected, quality, excluded, found, reading, large, today)


def _narrow(
    conn: Connection,
    school: SchoolRow,
    snapshot_id: int,
    roster: pd.DataFrame,
    special: Collection[str],
    decided: Mapping[str, Any],
    last: Before,
) -> _Found | None:
    """The input without settled people; None if they are too few. special: planned in any case."""
    exemptions, announced = decided["exemptions"], decided["announced"]
    people = {*last.people, *announced, *exemptions["person_id"].dropna().astype("int64")}
    records = {*last.records, *special, *(one for some in exemptions["sourced_ids"] for one in some)}
    persons = still_settled(roster, last.pairs, people, records)
    others = those_of_roster(plan_reuse.others_of(conn, school, last.others), roster)
    near: Flags | None = None
    while True:
        open_ = persons == OPEN
        if open_.sum() * MOST_OPEN > len(roster):
            return None
        some = Unsettled(roster["sourced_id"][open_].tolist(), persons[persons >= 0].tolist(), others)
        loaded = planning_input.load_directory(conn, school, snapshot_id, len(roster), some)
        directory, asked = _frames(conn, school, loaded, roster[open_], decided)
        if near is None:
            near = neighbours(roster, ~open_, directory)
            context = near & (persons >= 0)
            persons = np.where(near, OPEN, persons)
            if near.any():
                continue
        return _Found(directory, loaded.position, persons, context, asked, last.since)


def _frames(
    conn: Connection, school: SchoolRow, loaded: LoadedDirectory, roster: pd.DataFrame, decided: Mapping[str, Any]
) -> tuple[DirectoryFrames, bool]:
    """The directory for planning, and whether people were looked up in the rosters of other schools. roster: the
    records that are planned."""
    there: list[dict[str, Any]] = []
    asked = np.zeros(0, dtype=np.int64)
    if loaded.other_schools:
        whole = bool(loaded.phone_schools)
        asked = asked_elsewhere(loaded.people, loaded.links, roster, school.connection.id, whole=whole)
        there = members.in_other_schools(conn, school, asked.tolist()) if len(asked) else []
    directory = DirectoryFrames(
        connection_id=school.connection.id,
        people=loaded.people,
        links=loaded.links,
        members=loaded.members,
        exclusions=loaded.exclusions,
        link_records=loaded.link_records,
        connections=loaded.connections,
        affiliations=loaded.affiliations,
        elsewhere=loaded.elsewhere,
        kept_elsewhere=kept_elsewhere(there, loaded.people, loaded.phone_schools, loaded.preferred_elsewhere),
        primary_elsewhere=frozenset(int(row["person_id"]) for row in there if row["is_primary"]),
        **decided,
    )
    return directory, len(asked) > 0
