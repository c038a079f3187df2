"""The rows of a plan for the people who are in the roster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.directory_frames import DirectoryFrames, SnapshotFacts, flags_of
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, filled, strings, taken, uncollected
from roster_pipeline.identity.identity_groups import LAST_PRESENT, ROLE_OFF, IdentityGroups
from roster_pipeline.identity.matching import BY, Matched
from roster_pipeline.planning.decisions import Situation, Words, decide
from roster_pipeline.planning.field_changes import HOME, BeforeAfter, Differences, compare, row_notes, suppress
from roster_pipeline.planning.primary_record import PrimaryRecords, primary_records_of
from roster_pipeline.planning.stored_contacts import keep_undelivered
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import (
    CONTACT,
    DOUBTED,
    MEMBERSHIP_FIELDS,
    PERSON_FIELDS,
    ROLE_GROUPS,
    ROLE_RANK,
    STATUS_RANK,
    STUDENT_CONTACTS,
    WRITING,
    Role,
)

ALL_FIELDS = (*PERSON_FIELDS, *MEMBERSHIP_FIELDS, *STUDENT_CONTACTS)
_NONE: list[str] = []
_SAME: dict[str, list[Any]] = {}
"""Rows without a link or a change share these; a plan is not written to."""
_LINKABLE = [STATUS_RANK[name] for name in ("member", "role_off", "org_below", "unknown_org", "elsewhere", "not_begun")]
"""A record that is gone or could not be used is not worth a link."""


@dataclass(frozen=True)
class PlanningContext:
    """What planning knows: the snapshot's units, who they are, the directory, and what the school wants."""

    units: IdentityGroups
    matched: Matched
    directory: DirectoryFrames
    school: SchoolSettings
    snapshot: SnapshotFacts

    @cached_property
    def unit(self) -> Ints:
        """The units that are not gone."""
        units: Ints = np.flatnonzero(self.units.standing[self.units.lead] <= LAST_PRESENT)
        return units

    @cached_property
    def lead(self) -> Ints:
        """The strongest record of each."""
        return self.units.lead[self.unit]

    @cached_property
    def person(self) -> Ints:
        """The person of each, or -1."""
        return self.matched.person[self.unit]

    @cached_property
    def at_person(self) -> Ints:
        """The place of each in `directory.people`, or -1."""
        return _places(self.directory.people, self.person)

    @cached_property
    def at_member(self) -> Ints:
        """The place of each in `directory.members`, or -1."""
        return _places(self.directory.members, self.person)

    @cached_property
    def linkable(self) -> Flags:
        """The rows of the roster that deserve a link and have none. A parent's record is never linked."""
        units = self.units
        linkable: Flags = np.isin(units.standing, _LINKABLE)
        linkable &= (units.person < 0) & (units.strength != ROLE_RANK[CONTACT])
        return linkable

    def of_member(self, column: str, wanted: Any = True) -> Flags:
        """Where the membership has this value."""
        values = self.directory.members[column]
        flags = flags_of(values) if wanted is True else flags_of(values == wanted)
        return np.append(flags, False)[self.at_member]


def present_rows(scene: PlanningContext) -> pd.DataFrame:
    """Plan rows (less `row`) of every human of the roster of whom there is something to say."""
    by_link = scene.matched.by[scene.unit] == 1
    homes = primary_records_of(scene.units, scene.unit, scene.person, by_link, scene.directory, scene.snapshot)
    sides = BeforeAfter(scene.lead, homes.fields, scene.at_person, scene.at_member)
    found = compare(scene.units.roster, scene.directory, sides)
    _suppress_unknown(found, scene)
    situation = _situation(scene, found, homes)
    action, reason = decide(situation)
    for place in np.flatnonzero(action == "conflict").tolist():
        reason[place] = scene.matched.conflict[int(scene.unit[place])]
    follows = _follows(action, reason, situation.auto_update)
    changes = _changes(found, action, reason, follows, situation.auto_update)
    _move_primary_records(changes, scene, homes, action)
    notes = _notes(scene, homes, found, np.isin(action, WRITING), follows & (action != "skip"))
    return _frame(scene, homes, action, reason, changes, notes)


def _suppress_unknown(found: Differences, scene: PlanningContext) -> None:
    """What the snapshot does not tell is not a difference: a contact withheld, a role that half a delta gives."""
    if scene.school.primary_contacts:
        want = found.want
        named = filled(want["contact_given_name"]) | filled(want["contact_family_name"])
        withheld = filled(want["contact_sourced_id"]) & ~named
        suppress(found, withheld if named.any() else np.ones_like(withheld), STUDENT_CONTACTS)
        keep_undelivered(found)
    if scene.snapshot.mode == "delta":
        links = scene.directory.own_links
        listed = np.isin(links["sourced_id"].to_numpy(), scene.units.roster["sourced_id"].to_numpy())
        partly = np.isin(scene.person, links.loc[~listed, "person_id"].to_numpy(dtype=np.int64))
        suppress(found, partly & (scene.at_member >= 0), MEMBERSHIP_FIELDS)


def _situation(scene: PlanningContext, found: Differences, homes: PrimaryRecords) -> Situation:
    units, school = scene.units, scene.school
    standing = units.standing[scene.lead]
    active = scene.of_member("status", "active")
    rostered = flags_of(scene.directory.members["role"].isin(list(school.rostered)))
    excluded = np.append(flags_of(scene.directory.people["excluded"]), False)
    auto = np.array([name in list(Role) and school.role(str(name)).auto_update for name in ROLE_GROUPS])
    count = len(scene.unit)
    new = np.zeros(len(units), dtype=bool)
    new[units.unit[scene.linkable]] = True
    moved = new[scene.unit] | homes.moves
    known_here = np.isin(scene.person, scene.directory.own_links["person_id"].to_numpy(dtype=np.int64))
    contact = found.any_of(STUDENT_CONTACTS)
    return Situation(
        conflict=np.isin(scene.unit, list(scene.matched.conflict)),
        role_off=standing == ROLE_OFF,
        org_below=standing == STATUS_RANK["org_below"],
        unknown_org=standing == STATUS_RANK["unknown_org"],
        unreadable=np.isin(standing, [STATUS_RANK["unmapped"], STATUS_RANK["rejected"]]),
        known=scene.person >= 0,
        excluded=excluded[scene.at_person],
        member=scene.at_member >= 0,
        active=active,
        archived_by_hand=scene.of_member("archived_by", "hand"),
        member_role_off=~np.append(rostered, True)[scene.at_member],
        auto_update=auto[units.strength[scene.lead]],
        differs=found.any_of(ALL_FIELDS),
        links=moved | ~scene.of_member("managed"),
        relinks=moved & known_here,
        arrives=homes.arrives,
        contacts_off=contact if not school.primary_contacts else np.zeros(count, dtype=bool),
        restores_by_hand=np.full(count, school.restore_archived_by_hand),
    )


def _follows(action: Words, reason: Words, auto: Flags) -> Flags:
    """Where the membership follows the roster, or would."""
    follows: Flags = (action == "create") | ((action == "restore") & auto) | (reason == "changed")
    follows |= (reason == "auto_update_off") | ((reason == "home_moved") & auto)
    return follows


def _changes(
    found: Differences, action: Words, reason: Words, follows: Flags, auto: Flags
) -> dict[int, dict[str, list[Any]]]:
    """The field changes of each row that has some; of a skipped row those it would have, and of a doubted person."""
    changes: dict[int, dict[str, list[Any]]] = {}
    person = follows & ((reason != "joined_school") | auto)
    found.changes(person | np.isin(reason, DOUBTED), PERSON_FIELDS, changes)
    found.changes(follows, MEMBERSHIP_FIELDS, changes)
    found.changes(follows | (reason == "contacts_off"), STUDENT_CONTACTS, changes)
    return changes


def _notes(scene: PlanningContext, homes: PrimaryRecords, found: Differences, writes: Flags, follows: Flags) -> Array:
    """What is worth knowing of each row that writes something."""
    units = scene.units
    new = np.isin(scene.unit, units.unit[scene.linkable])
    joined = writes & new & (np.diff(units.starts)[scene.unit] > 1)
    by = np.where(writes, scene.matched.by[scene.unit], 0)
    kinds = taken(strings(units.roster["number_kind"]), homes.fields)
    return row_notes(scene.directory, found, scene.person, kinds, by, joined, follows)


def _move_primary_records(
    changes: dict[int, dict[str, list[Any]]], scene: PlanningContext, homes: PrimaryRecords, action: Words
) -> None:
    places = np.flatnonzero(homes.moves & np.isin(action, WRITING))
    goes = scene.units.sourced_ids.take(pa.array(homes.fields[places])).to_pylist()
    for place, sourced_id in zip(places.tolist(), goes, strict=True):
        changes.setdefault(place, {})[HOME] = [homes.left.get(place), sourced_id]


def _frame(
    scene: PlanningContext,
    homes: PrimaryRecords,
    action: Words,
    reason: Words,
    changes: dict[int, dict[str, list[Any]]],
    notes: Array,
) -> pd.DataFrame:
    rows = np.flatnonzero(action != None)  # noqa: E711  # elementwise
    unit, at_member = scene.unit[rows], scene.at_member[rows]
    units, directory = scene.units, scene.directory
    no_role = units.standing[scene.lead[rows]] > 0
    theirs = taken(strings(directory.members["role"]), at_member)
    own = taken(strings(units.roster["role"]), scene.lead[rows])
    absences = directory.members["absent_syncs"].to_numpy(dtype=np.int64) * directory.active
    kinds = strings(units.roster["number_kind"])
    writes = np.isin(action[rows], WRITING)
    fields = homes.fields[rows]
    return pd.DataFrame(
        {
            "action": column_of(pa.array(action[rows], TEXT)),
            "reason": column_of(pa.array(reason[rows], TEXT)),
            "role": column_of(pc.if_else(pa.array(no_role), theirs, own)),
            "person_id": _nullable(scene.person[rows], scene.person[rows] >= 0),
            "sourced_ids": _sourced_ids(scene, rows, homes),
            "new_links": _new_links(scene, unit, fields, writes),
            "matched_by": column_of(pa.array(BY, TEXT).take(pa.array(scene.matched.by[unit]))),
            "notes": column_of(taken(notes, rows)),
            "changes": _changes_column(rows, changes),
            "number_kind": column_of(taken(kinds, fields)),
            "absent_syncs": _nullable(np.zeros(len(rows), dtype=np.int64), np.append(absences, 0)[at_member] > 0),
            "person_revision": _revisions(directory.people, scene.at_person[rows]),
            "membership_revision": _revisions(directory.members, at_member),
            "witness": column_of(blanks(len(rows))),
        }
    )


def _sourced_ids(scene: PlanningContext, rows: Ints, homes: PrimaryRecords) -> pd.Series[Any]:
    """The records of each human; of somebody new only those that get a link.

    The apply step takes the first for the home. So the home record stands there, be it in this snapshot or not.
    """
    units, unit = scene.units, scene.unit[rows]
    with uncollected():
        ids = list(map(list, zip(taken(units.sourced_ids, units.lead[unit]).to_pylist(), strict=True)))
    for at in np.flatnonzero(np.diff(units.starts)[unit] > 1).tolist():
        records = units.rows(int(unit[at]))
        if scene.person[rows[at]] < 0:
            records = records[scene.linkable[records]]
        if len(records):
            ids[at] = units.sourced_ids.take(pa.array(records)).to_pylist()
    where = {int(row): at for at, row in enumerate(rows.tolist())} if homes.stays else {}
    for row, home in homes.stays.items():
        if row in where and int(scene.unit[row]) not in scene.matched.conflict:
            known = ids[where[row]]
            ids[where[row]] = [home, *(sourced_id for sourced_id in known if sourced_id != home)]
    return pd.Series(ids, dtype=object)


def _new_links(scene: PlanningContext, unit: Ints, home: Ints, writes: Flags) -> pd.Series[Any]:
    """The records of each unit that get a link, the home record first; only where the row writes something."""
    units = scene.units
    links: list[list[str]] = [_NONE] * len(unit)
    new = np.flatnonzero(scene.linkable)
    at = np.full(len(units), -1, dtype=np.int64)
    at[unit[writes]] = np.flatnonzero(writes)
    places = at[units.unit[new]]
    new, places = new[places >= 0], places[places >= 0]
    order = np.argsort(new != home[places], kind="stable")
    for place, sourced_id in zip(
        places[order].tolist(), units.sourced_ids.take(pa.array(new[order])).to_pylist(), strict=True
    ):
        links[place] = [*links[place], sourced_id]
    return pd.Series(links, dtype=object)


def _changes_column(rows: Ints, changes: dict[int, dict[str, list[Any]]]) -> pd.Series[Any]:
    column = [_SAME] * len(rows)
    having = np.fromiter(changes, dtype=np.int64, count=len(changes))
    at = np.searchsorted(rows, having)
    for place, where in zip(having.tolist(), at.tolist(), strict=True):
        column[where] = changes[place]
    return pd.Series(column, dtype=object)


def _places(frame: pd.DataFrame, person: Ints) -> Ints:
    index = pd.Index(frame.index.to_numpy(dtype=np.int64))
    places: Ints = index.get_indexer(pd.Index(person)).astype(np.int64)
    return places


def _revisions(frame: pd.DataFrame, places: Ints) -> Any:
    return _nullable(np.append(frame["revision"].to_numpy(dtype=np.int64), 0)[places], places >= 0)


def _nullable(values: Ints, known: Flags) -> Any:
    return pd.arrays.IntegerArray(values.astype(np.int64, copy=True), ~known)
