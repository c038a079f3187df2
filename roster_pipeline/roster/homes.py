"""The home link: whose record a person's fields follow.

It is the person's first link, and moves only when that record goes. So two schools, or two systems, that both know a
person never fight over a name: the others only add memberships.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from roster_pipeline.roster.directory_frames import DirectoryFrames, SnapshotFacts, flags_of
from roster_pipeline.roster.frames import Flags, Ints, positions, strings
from roster_pipeline.roster.roles import PLACE, PROTECTED
from roster_pipeline.roster.units import NOBODY, Units

_UNREADABLE = [PLACE[name] for name in PROTECTED]


@dataclass(frozen=True)
class Homes:
    """fields: the roster row that a person's fields follow, -1 where it is not of this snapshot.

    moves: where the home link moves to `fields`. left: the sourcedId it leaves, where it leaves one. stays: the
    sourcedId of a home link of this connection that is not the strongest record of tonight, and remains home.
    """

    fields: Ints
    moves: Flags
    left: dict[int, str]
    stays: dict[int, str]


def homes_of(
    units: Units, chosen: Ints, person: Ints, by_link: Flags, directory: DirectoryFrames, snapshot: SnapshotFacts
) -> Homes:
    """The home records of the chosen units. person: the person of each, or -1 for somebody new.

    by_link: matched by a link. A record that a complete list of the whole connection leaves out is gone. A list of
    one school may leave it out because it is of another school; there it is gone only where no link was found at all.
    A home record that tells of another human of this snapshot is not followed: its id may have gone to somebody else.
    Only the records of active members are followed wherever they are: of a person who returns, the home record may
    stand in another school, so their home moves, if it must, on the night after.
    """
    lead = units.lead[chosen]
    fields = lead.copy()
    moves = np.zeros(len(chosen), dtype=bool)
    homes = directory.links[flags_of(directory.links["home"])].drop_duplicates("person_id")
    place = pd.Index(homes["person_id"].to_numpy(dtype=np.int64)).get_indexer(pd.Index(person))
    moves[(person >= 0) & (place < 0)] = True

    with_home = np.flatnonzero((person >= 0) & (place >= 0))
    if not len(with_home):
        return Homes(fields, moves, {}, {})
    home = homes.iloc[place[with_home]]
    own = (home["connection_id"] == directory.connection_id).to_numpy(dtype=bool)
    row = positions(strings(home["sourced_id"]), units.sourced_ids)
    standing = np.append(units.standing, PLACE["deleted"])[row]
    followed = np.isin(person[with_home], directory.members.index[directory.active].to_numpy(dtype=np.int64))
    listed = np.full(len(with_home), snapshot.complete and snapshot.mode != "delta")
    whole = listed & (~by_link[with_home] | (snapshot.mode == "full"))
    gone = own & np.where(row >= 0, standing == PLACE["deleted"], whole & followed)
    theirs = np.append(units.unit, NOBODY)[row] == chosen[with_home]
    kept = own & theirs & ~gone
    fields[with_home] = np.where(kept & ~np.isin(standing, _UNREADABLE), row, np.where(gone, lead[with_home], -1))
    moves[with_home] = gone
    left = dict(zip(with_home[gone].tolist(), home["sourced_id"][gone].tolist(), strict=True))
    other = own & ~gone & (row != lead[with_home])
    stays = dict(zip(with_home[other].tolist(), home["sourced_id"][other].tolist(), strict=True))
    return Homes(fields, moves, left, stays)
