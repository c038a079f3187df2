"""What planning reads: identities and their persons, the directory, and the settings of the school."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from roster_pipeline.frames import Flags, Ints
from roster_pipeline.identity.directory_frames import DirectoryFrames, SnapshotFacts, flags_of
from roster_pipeline.identity.identity_groups import LAST_PRESENT, IdentityGroups
from roster_pipeline.identity.matching import Matched
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import CONTACT, ROLE_RANK, STATUS_RANK

_LINKABLE = [STATUS_RANK[name] for name in ("member", "role_off", "org_below", "unknown_org", "elsewhere", "not_begun")]
"""A record that is gone or could not be used gets no link."""


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
        """The identities that are not gone."""
        identities: Ints = np.flatnonzero(self.identities.record_status[self.identities.lead] <= LAST_PRESENT)
        return identities

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
        return _places(self.directory.people, self.person)

    @cached_property
    def at_member(self) -> Ints:
        """The place of each in `directory.members`, or -1."""
        return _places(self.directory.members, self.person)

    @cached_property
    def linkable(self) -> Flags:
        """The rows of the roster that can get a link and have none. A parent's record is never linked."""
        identities = self.identities
        linkable: Flags = np.isin(identities.record_status, _LINKABLE)
        linkable &= (identities.person < 0) & (identities.role_rank != ROLE_RANK[CONTACT])
        return linkable

    def of_member(self, column: str, wanted: Any = True) -> Flags:
        """The identities whose membership has this value."""
        values = self.directory.members[column]
        flags = flags_of(values) if wanted is True else flags_of(values == wanted)
        return np.append(flags, False)[self.at_member]


def _places(frame: pd.DataFrame, person: Ints) -> Ints:
    index = pd.Index(frame.index.to_numpy(dtype=np.int64))
    places: Ints = index.get_indexer(pd.Index(person)).astype(np.int64)
    return places
