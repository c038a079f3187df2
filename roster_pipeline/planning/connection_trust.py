"""How far a connection is trusted about people whom another connection of the district knows.

A connection that the owner of a school may change tells what that owner wants it to tell. A name and an e-mail are
easily guessed, so its records are not taken for somebody else's person by these alone: that takes the number, and one
that a connection of the district gave. Else the match waits for the district's manager. A connection of the district
(only managers and operators may change it) is trusted with every match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.findings import CREATE, MANAGER, Finding
from roster_pipeline.cleaning.match_keys import numbered
from roster_pipeline.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.frames import Array, Flags, Ints, strings, taken, truth
from roster_pipeline.planning.identity_groups import IdentityGroups
from roster_pipeline.vocabulary import counted, role_name


def district_controlled(directory: DirectoryFrames) -> Ints:
    """The ids of the connections that only managers and operators may change."""
    connections = directory.connections
    return connections.loc[flags_of(connections["of_district"]), "connection_id"].to_numpy(dtype=np.int64)


def known_elsewhere(directory: DirectoryFrames) -> Ints:
    """The people whom another connection knows and this one does not: by a link, or by a membership entered by hand."""
    own = directory.connection_id
    known = [
        frame.loc[frame["connection_id"] != own, "person_id"].to_numpy(dtype=np.int64)
        for frame in (directory.links, directory.affiliations)
    ]
    elsewhere = np.unique(np.concatenate(known))
    if len(elsewhere):
        elsewhere = elsewhere[~np.isin(elsewhere, directory.own_links["person_id"].to_numpy(dtype=np.int64))]
    return elsewhere


def waits_for_manager(units: IdentityGroups, person: Ints, found: Flags, directory: DirectoryFrames) -> Flags:
    """Units whose match is not to be believed from this connection alone.

    person: of each unit. found: whether a number or an e-mail found them; what a link says needs no more evidence.
    """
    nobody = np.zeros(len(units), dtype=bool)
    trusted = district_controlled(directory)
    if not found.any() or directory.connection_id in trusted:
        return nobody
    doubted = found & np.isin(person, known_elsewhere(directory))
    rows = np.flatnonzero(doubted[units.unit])
    if not len(rows):
        return nobody
    people = directory.people
    place = pd.Index(people.index.to_numpy(dtype=np.int64)).get_indexer(pd.Index(person[units.unit[rows]]))
    given = np.isin(people["number_connection_id"].to_numpy(dtype=np.int64, na_value=-1), trusted)
    theirs = pc.if_else(pa.array(given), _numbers(people), None)
    same = truth(pc.equal(taken(_numbers(units.roster), rows), taken(theirs, place.astype(np.int64))))
    shown = nobody.copy()
    shown[units.unit[rows[same]]] = True
    return doubted & ~shown


def _numbers(frame: pd.DataFrame) -> Array:
    return numbered(strings(frame["number_kind"]), strings(frame["number"]))


def claims(rows: pd.DataFrame, directory: DirectoryFrames) -> dict[str, int]:
    """Of the rows of a plan, by role: how many give somebody a new role here whom another connection knows.

    Only those that a connection of a school found by itself; a link that a manager made is settled.
    """
    if directory.connection_id in district_controlled(directory):
        return {}
    some = rows[(rows["action"] == "create") & rows["matched_by"].isin(["number", "email"])]
    who = some["person_id"].astype("Int64").to_numpy(dtype=np.int64, na_value=-1)
    counts = some["role"][np.isin(who, known_elsewhere(directory))].value_counts()
    return {str(role): int(count) for role, count in counts.items()}


def unproved_roles(claimed: Mapping[str, int], managed: Mapping[str, int], share: float) -> Iterator[Finding]:
    """Creations of a role that wait because of such people: neither few people, a first sync nor a new role is exempt.

    claimed: as `claims` gives it. managed: people of the role here. share: of them, how many may be created.
    """
    for role, number in claimed.items():
        there = managed.get(role, 0)
        if number > share * there:
            message = (
                f"{counted(number, 'person', 'people')} of another connection would become {role_name(role)} here, "
                f"with {there} in the directory. Only this school's own connection says so. The district's manager "
                "decides, or whoever owns every school that has them now."
            )
            limits = number / max(there, 1), share
            yield Finding("claimed_people", message, *limits, (CREATE,), (role,), approver=MANAGER, about=role)
