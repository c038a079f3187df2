"""The decision table, the input of planning, and the primary record that a person's fields follow.

The table says what happens to an identity of the roster, given what the directory says about its person. It is read
from the top; the first row that fits decides. A row without an action is not in the plan: the identity has a role that
is not rostered or a record that we could not use, and the person is not an active member of this school.

Trust decides which record is the primary record. It does not matter which record came first. Among the connections
through which a person has an active membership, the primary record is in the first of these: the connection that
somebody chose by hand, the first of the district's ranking, a connection of the district before one of a school, the
connection of the oldest active membership. Within a connection it stays the same record until that record is gone. So
two schools or two systems that know one person never overwrite each other's fields.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Flags, Ints, filled, positions, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts, flags_of, numbers_of, places_of
from roster_pipeline.identity.identity_groups import LAST_PRESENT, NOBODY, IdentityGroups
from roster_pipeline.identity.matching import BY, Matched
from roster_pipeline.identity.reassigned_ids import DELETED
from roster_pipeline.named_frames import part
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import CONTACT, CONTACTS_OFF, ROLE_RANK, STATUS_RANK, UNREADABLE, UNUSABLE

_LINKABLE = [STATUS_RANK[name] for name in ("member", "role_off", "org_below", "unknown_org", "elsewhere", "not_begun")]
"""A record that is gone or could not be used gets no link."""
Words = npt.NDArray[np.object_]
_UNUSABLE = [STATUS_RANK[name] for name in UNUSABLE]
_LAST = np.iinfo(np.int64).max
"""A number higher than every place of a ranking and every time of a membership."""


@dataclass(frozen=True)
class Situation:
    """One value per identity of the snapshot that is not gone.

    conflict: it is not clear who it is. role_off, org_below, unknown_org, unreadable: no effective role here, because
    the SIS role is not rostered, the record names an org below the school, it names no listed school, or it could not
    be used. known: matched to a person. excluded: the person is excluded from the sync.

    member, active, archived_by_hand: the membership in this school. member_role_off: that membership has a role that is
    not rostered. auto_update: the setting of the role. differs: fields or role. links: a link is new, the primary link
    moves, or the sync takes over a membership. relinks: as links, for a person that this connection knew before.
    arrives: the primary link moves here from another connection. contacts_off: a stored contact must be removed.
    only_contacts: no field but those of contacts differs, and no link is written.
    restores_by_hand: the school lets the sync restore people who were archived by hand.
    """

    conflict: Flags
    role_off: Flags
    org_below: Flags
    unknown_org: Flags
    unreadable: Flags
    known: Flags
    excluded: Flags
    member: Flags
    active: Flags
    archived_by_hand: Flags
    member_role_off: Flags
    auto_update: Flags
    differs: Flags
    links: Flags
    relinks: Flags
    arrives: Flags
    contacts_off: Flags
    only_contacts: Flags
    restores_by_hand: Flags


def decide(s: Situation) -> tuple[Words, Words]:
    """Action and reason of each identity; None for those that are not in the plan. Conflicts get their reason later."""
    no_role = s.role_off | s.org_below | s.unknown_org | s.unreadable
    theirs = s.active & ~s.member_role_off
    archived = s.member & ~s.active
    table: tuple[tuple[Flags, str | None, str | None], ...] = (
        (s.conflict & (~no_role | theirs), "conflict", None),
        (no_role & ~theirs, None, None),
        (no_role & s.excluded, "skip", "excluded"),
        (s.role_off, "skip", "role_off"),
        (s.org_below, "skip", "org_below"),
        (s.unknown_org, "skip", "unknown_org"),
        (s.unreadable, "skip", "rejected_record"),
        (~s.known, "create", "joined"),
        (s.excluded, "skip", "excluded"),
        (~s.member, "create", "joined_school"),
        (s.member_role_off, "skip", "role_off"),
        (archived & s.archived_by_hand & ~s.restores_by_hand, "skip", "archived_by_hand"),
        (archived & s.archived_by_hand, "restore", "returned_by_hand"),
        (archived, "restore", "returned"),
        (s.arrives, "update", "primary_record_moved"),
        (s.contacts_off & s.only_contacts, "update", CONTACTS_OFF),
        (s.differs & s.auto_update, "update", "changed"),
        (s.relinks, "update", "relinked"),
        (s.links, "update", "linked"),
        (s.contacts_off, "update", CONTACTS_OFF),
        (s.differs, "skip", "auto_update_off"),
        (np.ones_like(s.conflict), "unchanged", "equal"),
    )
    place = np.zeros(len(s.conflict), dtype=np.int64)
    for row, (fits, _, _) in reversed(tuple(enumerate(table))):
        place[fits] = row
    actions: Words = np.array([row[1] for row in table], dtype=object)[place]
    reasons: Words = np.array([row[2] for row in table], dtype=object)[place]
    return actions, reasons


@dataclass(frozen=True)
class PrimaryRecords:
    """fields: the roster row that a person's fields follow; -1 if it is not in this snapshot.

    moves: whether the primary link moves to `fields`. arrives: whether it comes from another connection. left: the
    sourcedId that the primary link leaves. stays: the sourcedId of this connection's primary link, if it stays although
    another record of this snapshot is stronger.
    """

    fields: Ints
    moves: Flags
    arrives: Flags
    left: dict[int, str]
    stays: dict[int, str]


def primary_records_of(
    identities: IdentityGroups, matched: Matched, chosen: Ints, directory: DirectoryFrames, snapshot: SnapshotFacts
) -> PrimaryRecords:
    """The primary records of the chosen identities.

    A record that is missing in a complete list of the whole connection is gone. A list of one school may lack it
    because it belongs to another school. There it is gone only if the person was not found by a link. A primary record
    whose id seems to have gone to somebody else is not followed, nor one whose values are unknown here: it could not be
    used, or it is a parent's here, and cleaning keeps no values of those. One that is a parent's in every school counts
    as gone. If a person returns, their primary record may be in another school, so only the primary records of active
    members count as gone here. The primary link then moves in the next sync.
    """
    lead, person = identities.lead[chosen], matched.person[chosen]
    by_link = matched.by[chosen] == BY.index("link")
    fields = lead.copy()
    moves = np.zeros(len(chosen), dtype=bool)
    names = ("person_id", "connection_id", "sourced_id", "primary_by_hand")
    primary_links = part(directory.links, names, flags_of(directory.links["is_primary"])).drop_duplicates("person_id")
    place = pd.Index(numbers_of(primary_links["person_id"])).get_indexer(pd.Index(person))
    elsewhere = _best_elsewhere(person, primary_links, directory)
    moves[(person >= 0) & (place < 0)] = True
    fields[elsewhere] = -1
    moves[elsewhere] = False
    arrives = np.zeros(len(chosen), dtype=bool)

    with_primary = np.flatnonzero((person >= 0) & (place >= 0) & ~elsewhere)
    if not len(with_primary):
        return PrimaryRecords(fields, moves, arrives, {}, {})
    primary = primary_links.iloc[place[with_primary]]
    own = (primary["connection_id"] == directory.connection_id).to_numpy(dtype=bool)
    row, ids = lead[with_primary], strings(primary["sourced_id"])
    other = np.flatnonzero(~truth(pc.equal(ids, taken(identities.sourced_ids, row))))
    row[other] = positions(ids.take(pa.array(other)), identities.sourced_ids) if len(other) else other
    record_status = np.append(identities.record_status, STATUS_RANK["deleted"])[row]
    followed = np.isin(person[with_primary], directory.active_people)
    listed = np.full(len(with_primary), snapshot.complete and snapshot.mode != "delta")
    whole = listed & (~by_link[with_primary] | (snapshot.mode == "full"))
    parent = np.append(identities.role_rank, ROLE_RANK[None])[row] == ROLE_RANK[CONTACT]
    gone = np.where(row >= 0, record_status == STATUS_RANK["deleted"], whole & followed)
    nowhere = ~np.isin(person[with_primary], list(directory.primary_elsewhere))
    gone |= own & parent & nowhere & followed & (row != lead[with_primary])
    identity = np.append(identities.identity, NOBODY)[row]
    theirs = (identity == chosen[with_primary]) | (
        (np.append(matched.person, NOBODY)[identity] == person[with_primary])
        & ~np.isin(identity, list(matched.conflict))
    )
    kept = own & theirs & ~gone
    leaves = ~own | gone
    arrived = np.where(leaves, lead[with_primary], -1)
    fields[with_primary] = np.where(kept & ~parent & ~np.isin(record_status, _UNUSABLE), row, arrived)
    moves[with_primary] = leaves
    arrives[with_primary] = ~own
    left = dict(zip(with_primary[leaves].tolist(), primary["sourced_id"][leaves].tolist(), strict=True))
    other = ~leaves & (row != lead[with_primary])
    stays = dict(zip(with_primary[other].tolist(), primary["sourced_id"][other].tolist(), strict=True))
    return PrimaryRecords(fields, moves, arrives, left, stays)


def _best_elsewhere(person: Ints, primary_links: pd.DataFrame, directory: DirectoryFrames) -> Flags:
    """Whether another connection ranks before the connection of this snapshot.

    Everybody in the roster counts as a member through this connection, also new people. If no other connection has a
    person in a school, this connection ranks first.
    """
    own, connections, active = directory.connection_id, directory.connections, directory.affiliations
    foreign = numbers_of(directory.links["connection_id"]) != own
    if active.empty or not foreign.any():
        return np.zeros(len(person), dtype=bool)
    active, others = active[active["since"].notna()], directory.links[foreign]
    if active.empty:
        return np.zeros(len(person), dtype=bool)
    by_hand = primary_links[flags_of(primary_links["primary_by_hand"])]
    width = 1 + max(int(frame["connection_id"].max()) for frame in (directory.links, active))

    def pairs(frame: pd.DataFrame) -> Ints:
        return numbers_of(frame["person_id"]) * width + numbers_of(frame["connection_id"])

    def keys(pair: Ints) -> tuple[Ints | Flags, ...]:
        """What decides, the most important first. A smaller value comes first."""
        of_connection = pd.Index(numbers_of(connections["connection_id"])).get_indexer(pd.Index(pair % width))
        rank = np.append(connections["rank"].to_numpy(dtype=np.int64, na_value=_LAST), _LAST)[of_connection]
        of_school = np.append(~flags_of(connections["of_district"]), True)[of_connection]
        since = np.append(numbers_of(active["since"]), _LAST)[pd.Index(pairs(active)).get_indexer(pd.Index(pair))]
        return ~np.isin(pair, pairs(by_hand)), rank, of_school, since, pair % width

    theirs = np.intersect1d(pairs(others), pairs(active))
    before = np.zeros(len(theirs), dtype=bool)
    for other, mine in reversed(tuple(zip(keys(theirs), keys(theirs // width * width + own), strict=True))):
        before = (other < mine) | ((other == mine) & before)
    flags: Flags = np.isin(person, theirs[before] // width)
    return flags


@dataclass(frozen=True)
class PlanningContext:
    """The input of planning: the identities of the snapshot, their matches, the directory, and the settings of the
    school."""

    identities: IdentityGroups
    matched: Matched
    directory: DirectoryFrames
    school: SchoolSettings
    snapshot: SnapshotFacts

    @cached_property
    def identity(self) -> Ints:
        """The identities that are not gone, and those that seem to be somebody else's deletion and would end a
        membership."""
        record_status, person = self.identities.record_status[self.identities.lead], self.matched.person
        here = record_status <= LAST_PRESENT
        ends = self.matched.reassigned & (record_status == DELETED)
        ends &= np.isin(person, numbers_of(self.managed.index)) & ~np.isin(person, person[here])
        identities: Ints = np.flatnonzero(here | ends)
        return identities

    @cached_property
    def managed(self) -> pd.DataFrame:
        """The active members that the sync manages, in a rostered role."""
        managed = self.directory.managed
        return managed[flags_of(managed["role"].isin(list(self.school.rostered)))]

    @cached_property
    def lead(self) -> Ints:
        """The strongest record of each."""
        return self.identities.lead[self.identity]

    @cached_property
    def person(self) -> Ints:
        """The person of each, or -1."""
        return self.matched.person[self.identity]

    @cached_property
    def at_person(self) -> Ints:
        """The place of each in `directory.people`, or -1."""
        return places_of(self.person, self.directory.people)

    @cached_property
    def at_member(self) -> Ints:
        """The place of each in `directory.members`, or -1."""
        return places_of(self.person, self.directory.members)

    @cached_property
    def linkable(self) -> Flags:
        """The rows of the roster that can get a link and have none. A parent's record is never linked."""
        identities = self.identities
        linkable: Flags = np.isin(identities.record_status, _LINKABLE)
        linkable &= (identities.person < 0) & (identities.role_rank != ROLE_RANK[CONTACT])
        return linkable

    @cached_property
    def unreadable(self) -> frozenset[int]:
        """The persons with a record that has an unreadable value."""
        rows = np.flatnonzero(filled(strings(self.identities.roster[UNREADABLE])))
        return frozenset(self.matched.person[self.identities.identity[rows]].tolist())

    def of_member(self, column: str, wanted: Any = True) -> Flags:
        """The identities whose membership has this value."""
        values = self.directory.members[column]
        flags = flags_of(values) if wanted is True else flags_of(values == wanted)
        return np.append(flags, False)[self.at_member]
