"""The directory and the snapshot as frames and facts: what cleaning, identity and planning know of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from roster_pipeline.frames import Flags

MEMBERSHIP = ("person_id", "role", "grade", "status", "years")
"""Columns of memberships that say whether somebody is a pupil or a member of staff, and in which grade."""


def _connections() -> pd.DataFrame:
    kinds = {"connection_id": "Int64", "of_district": "boolean", "rank": "Int64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _affiliations() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="Int64") for name in ("person_id", "connection_id", "since")})


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

    members: index person_id; MEMBERSHIP_FIELDS, status, archived_by, managed, absent_syncs, revision, years (whole
    years since it was written), CONTACT_FIELDS of this school.

    elsewhere: person_id, role, grade, status, years: memberships in other schools, of people who are not active here.

    preferred_elsewhere: people who are active in another school that keeps preferred names, if this school does not.

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
    exemptions: pd.DataFrame = field(default_factory=_exemptions)
    announced: frozenset[int] = frozenset()
    preferred_elsewhere: frozenset[int] = frozenset()

    @cached_property
    def own_links(self) -> pd.DataFrame:
        """The links of this connection."""
        own = flags_of(self.links["connection_id"] == self.connection_id)
        return (self.links if own.all() else self.links[own]).reset_index(drop=True)

    @cached_property
    def active(self) -> Flags:
        """Which of `members` are active."""
        return flags_of(self.members["status"] == "active")

    @cached_property
    def managed(self) -> pd.DataFrame:
        """The active members that the sync manages."""
        return self.members[self.active & flags_of(self.members["managed"])]


@dataclass(frozen=True)
class SnapshotFacts:
    """How the snapshot was made.

    problems: why it is not complete. version: the version of the standard. bundle: it was read from CSV, not from an
    API. unchanged_since: since when the source has been the same, as of taken_at.
    """

    complete: bool
    mode: Literal["full", "delta", "school"] = "full"
    problems: tuple[str, ...] = ()
    version: str = ""
    bundle: bool = False
    taken_at: datetime | None = None
    unchanged_since: datetime | None = None


def flags_of(column: pd.Series[Any]) -> Flags:
    """A column of booleans of any dtype as flags; missing is false."""
    if column.dtype == bool:
        return column.to_numpy(dtype=bool)
    if column.dtype != "boolean":
        column = column.astype("boolean")
    flags: Flags = column.to_numpy(dtype=bool, na_value=False)
    return flags
