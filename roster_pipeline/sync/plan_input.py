"""The input of a plan: the roster, and the directory as it is now. For a large school, it reads only the records and
people that may give another row than in the last plan. All others are settled (`planning/settled.py`)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from roster_pipeline.directory import (
    lasting_decisions,
    members,
    planning_input,
    rosters,
    snapshots,
    stored_frames,
)
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.locks import lock_district_for_reading
from roster_pipeline.directory.planning_input import LoadedDirectory
from roster_pipeline.directory.stored_frames import Before, Reading, Unsettled
from roster_pipeline.directory.sync_summary import History, history_of
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.frames import Flags, Ints, persons_of, positions, sorted_by, strings
from roster_pipeline.identity.directory_frames import DirectoryFrames, asked_elsewhere, kept_elsewhere
from roster_pipeline.planning.plan import Plan, says_nothing
from roster_pipeline.planning.settled import (
    MOST_OPEN,
    OPEN,
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
    with them. since: the day on which everybody was planned, if these are not all."""

    directory: DirectoryFrames
    position: int
    settled: Ints
    context: Flags
    since: date | None = None


@dataclass(frozen=True)
class PlanInput:
    """before: the earlier nights. quality, excluded: as `rosters` has them. reading: for the next plan, if large."""

    before: History
    roster: pd.DataFrame
    rejected: pd.DataFrame
    quality: pd.DataFrame
    excluded: pd.DataFrame
    found: _Found
    reading: Reading | None
    today: date

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

    def keep(self, conn: Connection, snapshot_id: int, plan: Plan) -> None:
        """Keep what is settled, in the plan's transaction, if it is enough for the next one."""
        if self.reading is not None and not plan.first_sync:
            position, others, since = self.found.position, self.others().tolist(), self.found.since or self.today
            pairs = self.pairs_after(plan)
            if (len(self.roster) - len(pairs)) * MOST_OPEN <= len(self.roster):
                stored_frames.keep_pairs(conn, snapshot_id, pairs, self.reading, position, others, since=since)

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
    database: Database,
    school: SchoolRow,
    snapshot_id: int,
    today: date,
    *,
    only: int | None = None,
    everybody: bool = False,
) -> PlanInput:
    """Read the input of a plan. only: the plan is about this person alone. everybody: nobody counts as settled."""
    with database.begin() as conn:
        before = history_of(conn, school.id, snapshot_id, proofs=GOOD_SNAPSHOTS_READ)
        records = snapshots.users_of(before.facts)
        roster, rejected = rosters.load(conn, snapshot_id, records=records)
        roster = sorted_by(roster, "sourced_id")
        quality, excluded = rosters.load_quality(conn, snapshot_id), rosters.load_excluded(conn, snapshot_id)
        announced = lasting_decisions.leavers_in_force(conn, school.id, today)
        decided = {
            "exemptions": lasting_decisions.load_exemptions(conn, school.id),
            "announced": announced if only is None else announced & {only},
        }
        large = records >= stored_frames.LARGE and only is None and before.facts["mode"] != "delta"
        reading = stored_frames.reading_of(conn, school, before.facts) if large else None
        found = None
        if reading and not everybody and school.settings.contacts_most == 1 and one_contact(roster):
            lock_district_for_reading(conn, school.district_id)
            last = stored_frames.load_pairs(conn, school, snapshot_id, records, reading, today)
            special = {*rejected["sourced_id"][rejected["role"].isna()].dropna()}  # only their person has a role
            special |= set(rows_of(roster, "contact_sourced_id", excluded["sourced_id"].dropna()))
            found = _narrow(conn, school, snapshot_id, roster, special, decided, last) if last else None
        if found is None:
            loaded = planning_input.load_directory(conn, school, snapshot_id, len(roster))
            directory = _frames(conn, school, loaded, roster, decided)
            nobody = np.full(len(roster), OPEN)
            found = _Found(directory, loaded.position, nobody, nobody >= 0)
    return PlanInput(before, roster, rejected, quality, excluded, found, reading, today)


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
    others = those_of_roster(stored_frames.others_of(conn, school, last.others), roster)
    near: Flags | None = None
    while True:
        open_ = persons == OPEN
        if open_.sum() * MOST_OPEN > len(roster):
            return None
        some = Unsettled(roster["sourced_id"][open_].tolist(), persons[persons >= 0].tolist(), others)
        loaded = planning_input.load_directory(conn, school, snapshot_id, len(roster), some)
        directory = _frames(conn, school, loaded, roster[open_], decided)
        if near is None:
            near = neighbours(roster, ~open_, directory)
            context = near & (persons >= 0)
            persons = np.where(near, OPEN, persons)
            if near.any():
                continue
        return _Found(directory, loaded.position, persons, context, last.since)


def _frames(
    conn: Connection, school: SchoolRow, loaded: LoadedDirectory, roster: pd.DataFrame, decided: Mapping[str, Any]
) -> DirectoryFrames:
    """The directory for planning. roster: the records that are planned."""
    there: list[dict[str, Any]] = []
    if loaded.other_schools:
        whole = bool(loaded.phone_schools)
        asked = asked_elsewhere(loaded.people, loaded.links, roster, school.connection.id, whole=whole)
        there = members.in_other_schools(conn, school, asked.tolist()) if len(asked) else []
    return DirectoryFrames(
        connection_id=school.connection.id,
        people=loaded.people,
        links=loaded.links,
        members=loaded.members,
        exclusions=loaded.exclusions,
        connections=loaded.connections,
        affiliations=loaded.affiliations,
        elsewhere=loaded.elsewhere,
        kept_elsewhere=kept_elsewhere(there, loaded.people, loaded.phone_schools, loaded.preferred_elsewhere),
        **decided,
    )
