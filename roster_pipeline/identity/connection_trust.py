"""Which people a connection may match by itself.

The owner of a school may write any name and e-mail into a connection that the school controls. So a match from such a
connection to a person of another connection needs a number that a connection of the district gave. Otherwise it waits
for the district's manager. A connection of the district (only managers and operators may change it) is trusted with
every match.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Flags, Ints, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of, numbers_of, places_of
from roster_pipeline.identity.identity_groups import IdentityGroups
from roster_pipeline.identity.match_keys import bare_numbers_of


def district_controlled(directory: DirectoryFrames) -> Ints:
    """The ids of the connections that only managers and operators may change."""
    connections = directory.connections
    return numbers_of(connections.loc[flags_of(connections["of_district"]), "connection_id"])


def known_elsewhere(directory: DirectoryFrames) -> Ints:
    """The people whom another connection knows, and this one does not (by a link, or by a membership entered by
    hand).
    """
    own = directory.connection_id
    person_ids = [
        numbers_of(frame.loc[frame["connection_id"] != own, "person_id"])
        for frame in (directory.links, directory.affiliations)
    ]
    elsewhere = np.unique(np.concatenate(person_ids))
    if len(elsewhere):
        elsewhere = elsewhere[~np.isin(elsewhere, directory.known_people)]
    return elsewhere


def waits_for_manager(identities: IdentityGroups, person: Ints, found: Flags, directory: DirectoryFrames) -> Flags:
    """Identities whose match this connection must not decide alone.

    person: the person of each identity. found: whether a number or an e-mail found the person; a link needs no further
    evidence.
    """
    none = np.zeros(len(identities), dtype=bool)
    trusted = district_controlled(directory)
    if not found.any() or directory.connection_id in trusted:
        return none
    doubted = found & np.isin(person, known_elsewhere(directory))
    rows = np.flatnonzero(doubted[identities.identity])
    if not len(rows):
        return none
    people = directory.people
    place = places_of(person[identities.identity[rows]], people)
    given = np.isin(people["number_connection_id"].to_numpy(dtype=np.int64, na_value=-1), trusted)
    theirs = pc.if_else(pa.array(given), bare_numbers_of(people), None)
    same = truth(pc.equal(bare_numbers_of(identities.roster.iloc[rows]), taken(theirs, place)))
    shown = none.copy()
    shown[identities.identity[rows[same]]] = True
    return doubted & ~shown
