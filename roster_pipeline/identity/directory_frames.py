"""The directory and the snapshot as frames and facts, for cleaning, identity and planning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Flags, Ints, strings, taken, truth
from roster_pipeline.identity.evidence import STAFF, STUDENT, kind_of
from roster_pipeline.vocabulary import CONTACT

LATELY = 14
"""For so many days, people whom a sync archived may be entered again under other keys."""
MEMBERSHIP = ("person_id", "role", "grade", "status", "years")
"""Columns of memberships that say whether somebody is a pupil or a member of staff, and in which grade."""


def _connections() -> pd.DataFrame:
    kinds = {"connection_id": "Int64", "of_district": "boolean", "rank": "Int64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _affiliations() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="Int64") for name in ("person_id", "connection_id", "since")})


def _link_records() -> pd.DataFrame:
    return pd.DataFrame({"sourced_id": pd.Series(dtype="str"), "person_id": pd.Series(dtype="Int64")})


def _exemptions() -> pd.DataFrame:
    return pd.DataFrame(columns=["id", "action", "person_id", "sourced_ids", "changes"])


@dataclass(frozen=True)
class DirectoryFrames:
    """The part of the directory that planning knows.

    people: index person_id; PERSON_FIELDS, number_kind, number_connection_id, excluded, locked_fields (lists),
    revision: every person of the district that could match, by link, number or e-mail, or is a member here.

    links: connection_id, sourced_id, person_id, is_primary, version, confirmed (by hand), primary_by_hand,
    master_identifier (of when it was made): all links of those people, any connection.

    exclusions: sourced_id, person_id: pairs of a record of this connection and a person whom somebody unlinked by hand.

    link_records: sourced_id, person_id, and the columns that say who a record is: the values of a record of this
    connection when a sync applied it last, if it is or was not the primary record.

    members: index person_id; MEMBERSHIP_FIELDS, status, archived_by, managed, absent_syncs, revision, years (whole
    years since it was written), archived_days (whole days), CONTACT_FIELDS of this school.

    elsewhere: person_id, role, grade, status, years: memberships in other schools, of people who are not active here.

    kept_elsewhere: for some fields, the people for whom another school decides (docs/rules.md, section 4): a field of
    a preferred name, the phone, or the number, as long as its kind here is another one.

    primary_elsewhere: of the people whose primary record is that of a parent here, those of whom it is a member in
    another school.

    connections: connection_id, of_district (only managers and operators may change it), rank (place in the district's
    ranking of primary records, or missing): all of the district. A connection that is not listed is a school's own.

    affiliations: person_id, connection_id, since: for people whom another connection knows too, the connections that
    have them in a school; since when the oldest active membership is there (a moment as a number), or missing if none
    is active. An archived membership of this school counts too, because a person of the roster is restored.

    exemptions: id, action, person_id, sourced_ids, changes: changes of this school that somebody exempted.

    announced: people whose leaving was announced, and is in force today.
    """

    connection_id: int
    people: pd.DataFrame
    links: pd.DataFrame
    members: pd.DataFrame
    exclusions: pd.DataFrame
    elsewhere: pd.DataFrame
    connections: pd.DataFrame = field(default_factory=_connections)
    affiliations: pd.DataFrame = field(default_factory=_affiliations)
    link_records: pd.DataFrame = field(default_factory=_link_records)
    exemptions: pd.DataFrame = field(default_factory=_exemptions)
    announced: frozenset[int] = frozenset()
    kept_elsewhere: Mapping[str, frozenset[int]] = field(default_factory=dict)
    primary_elsewhere: frozenset[int] = frozenset()

    @cached_property
    def own_links(self) -> pd.DataFrame:
        own = flags_of(self.links["connection_id"] == self.connection_id)
        return (self.links if own.all() else self.links[own]).reset_index(drop=True)

    @cached_property
    def as_recorded(self) -> DirectoryFrames:
        """The directory with a row of `people` for each row of `link_records`, who is as that record says."""
        return replace(
            self, people=self.link_records.set_index("person_id").assign(number_connection_id=self.connection_id)
        )

    @cached_property
    def active(self) -> Flags:
        return flags_of(self.members["status"] == "active")

    @cached_property
    def active_people(self) -> Ints:
        """The persons of the active members."""
        return numbers_of(self.members.index[self.active])

    @cached_property
    def lately_here(self) -> Ints:
        """The active members, and those whom a sync archived lately and who are active in no other school."""
        days = self.members["archived_days"].to_numpy(dtype=np.int64, na_value=LATELY)
        left = flags_of(self.members["archived_by"] == "sync") & (days < LATELY)
        there = numbers_of(self.elsewhere["person_id"][flags_of(self.elsewhere["status"] == "active")])
        gone = numbers_of(self.members.index[left])
        return np.concatenate([self.active_people, gone[~np.isin(gone, there)]])

    @cached_property
    def known_people(self) -> Ints:
        """The person of each of `own_links`."""
        return numbers_of(self.own_links["person_id"])

    @cached_property
    def managed(self) -> pd.DataFrame:
        """The active members that the sync manages."""
        return self.members[self.active & flags_of(self.members["managed"])]

    @cached_property
    def trusted_connections(self) -> Ints:
        """The connections that only managers and operators may change."""
        return numbers_of(self.connections.loc[flags_of(self.connections["of_district"]), "connection_id"])

    @cached_property
    def known_elsewhere(self) -> Ints:
        """The people whom another connection knows, and this one does not (by a link, or by a membership entered by
        hand)."""
        known = (
            numbers_of(frame["person_id"])[numbers_of(frame["connection_id"]) != self.connection_id]
            for frame in (self.links, self.affiliations)
        )
        elsewhere = np.unique(np.concatenate([*known]))
        return elsewhere[~np.isin(elsewhere, self.known_people)] if len(elsewhere) else elsewhere


@dataclass(frozen=True)
class SnapshotFacts:
    """How the snapshot was made.

    problems: why it is not complete. version: the version of the standard. bundle: it was read from CSV, not from an
    API. unchanged_since: since when the source has been the same, as of taken_at. school_id: the school that took it.
    losses, arrivals: what the schools that share its pull lack together, and who would come to them
    (`planning/shared_pull.py`). moved: how many of their people would get values of each other. whole_records: a
    changed record names all schools of the person.
    """

    complete: bool
    mode: Literal["full", "delta", "school"] = "full"
    problems: tuple[str, ...] = ()
    version: str = ""
    bundle: bool = False
    taken_at: datetime | None = None
    unchanged_since: datetime | None = None
    school_id: int | None = None
    losses: Mapping[str, Any] = field(default_factory=dict)
    arrivals: Mapping[str, Any] = field(default_factory=dict)
    moved: int = 0
    whole_records: bool = False


def numbers_of(column: pd.Series[Any] | pd.Index[Any]) -> Ints:
    """A column or an index of whole numbers, none of them missing."""
    return column.to_numpy(dtype=np.int64)


def places_of(persons: Ints, frame: pd.DataFrame | pd.Series[Any]) -> Ints:
    """The place of each person in a frame whose index is the person; -1 if it is not there."""
    places: Ints = pd.Index(numbers_of(frame.index)).get_indexer(pd.Index(persons)).astype(np.int64)
    return places


def flags_of(column: pd.Series[Any]) -> Flags:
    """A column of booleans of any dtype as flags; missing is false."""
    if column.dtype == bool:
        return column.to_numpy(dtype=bool)
    if column.dtype != "boolean":
        column = column.astype("boolean")
    flags: Flags = column.to_numpy(dtype=bool, na_value=False)
    return flags


def asked_elsewhere(
    people: pd.DataFrame, links: pd.DataFrame, roster: pd.DataFrame, connection_id: int, *, whole: bool
) -> Ints:
    """The people with a record whose number is of another kind than the stored one, or that is a parent's here; all
    people if `whole`. people, links: as in `DirectoryFrames`."""
    own = flags_of(links["connection_id"] == connection_id)
    ids, who = strings(links["sourced_id"]).filter(pa.array(own)), numbers_of(links["person_id"])[own]
    if whole:
        return np.unique(who)
    stored, tonight = taken(strings(people["number_kind"]), places_of(who, people)), strings(roster["number_kind"])
    parents = strings(roster["sourced_id"]).filter(pc.equal(strings(roster["role"]), CONTACT))
    others = truth(pc.is_in(ids, value_set=parents))
    for kind in (STUDENT, STAFF):
        of_kind, not_tonight = truth(pc.equal(stored, kind)), ~truth(pc.equal(tonight, kind))
        sides = ids.filter(pa.array(of_kind)), strings(roster["sourced_id"]).filter(pa.array(not_tonight))
        few, many = sorted(sides, key=len)
        both = many.filter(pc.is_in(many, value_set=few))
        others[of_kind] |= truth(pc.is_in(sides[0], value_set=both))
    return np.unique(who[others])


def kept_elsewhere(
    there: Iterable[Mapping[str, Any]], people: pd.DataFrame, phone_schools: frozenset[int], preferred: frozenset[int]
) -> dict[str, frozenset[int]]:
    """`DirectoryFrames.kept_elsewhere`: the people whose number has the kind of their role in another school, whose
    phone another school reads, or whose preferred names another school wants (preferred).

    there: person_id, school_id, role and phone of records in the newest rosters of other schools of the connection.
    phone_schools: the schools that decide about phones.
    """
    numbers, phones, kinds = set(), set(), people["number_kind"]
    for row in there:
        if kind_of(row["role"]) == kinds[row["person_id"]]:
            numbers.add(int(row["person_id"]))
        if row["school_id"] in phone_schools and row["phone"] is not None:
            phones.add(int(row["person_id"]))
    names = dict.fromkeys(("preferred_given_name", "preferred_family_name"), preferred)
    return {"number": frozenset(numbers), "phone": frozenset(phones), **names}
