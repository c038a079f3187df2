"""The rows of a plan for the members whose people are not in the roster.

Only active memberships that the sync looks after, in a rostered role. What looks like absence and is not: a record we
could not use, a person whom a record of tonight may be, a list that only holds what changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from roster_pipeline.cleaning.roles import PLACE
from roster_pipeline.directory_frames import flags_of
from roster_pipeline.frames import Flags, Ints, blanks, column_of, strings
from roster_pipeline.planning.identity_groups import PROTECTED
from roster_pipeline.planning.plan_present import PlanningContext
from roster_pipeline.planning.possible_matches import possibly_present

_LEFT = {
    PLACE["elsewhere"]: "moved_school",
    PLACE["no_org"]: "no_org",
    PLACE["not_begun"]: "role_not_begun",
    PLACE["ended"]: "role_ended",
    PLACE["disabled"]: "disabled",
    PLACE["not_enrolled"]: "not_enrolled",
    PLACE["deleted"]: "tobedeleted",
}
"""What the strongest record of somebody who is gone says about it."""


def absent_rows(scene: PlanningContext) -> pd.DataFrame:
    """Plan rows (less `row`) of the absent, in order of person."""
    members = _absent(scene)
    who: Ints = members.index.to_numpy(dtype=np.int64)
    links = _links(scene, who)
    reason = _reasons(scene, who)
    linked = np.array([bool(links.get(int(person))) for person in who], dtype=bool)
    listed = _said_deleted(scene, who) if scene.snapshot.mode == "delta" else np.ones(len(who), dtype=bool)
    excluded = _of_people(scene, who, "excluded").astype(bool)
    doubtful = np.isin(who, list(scene.matched.doubtful)) | possibly_present(scene.units, scene.directory, who)
    school = scene.school
    archives = np.array([school.role(role).archive for role in members["role"]], dtype=bool)
    counted = members["absent_syncs"].to_numpy(dtype=np.int64)
    waits = archives & (counted < school.guards.grace_syncs)

    skips: list[tuple[Flags, str]] = [
        (excluded, "excluded"),
        (doubtful, "in_conflict"),
        (~linked, "not_linked"),
        (~archives, "archive_off"),
        (waits, "grace"),
    ]
    conditions, slugs = [flags for flags, _ in skips], [slug for _, slug in skips]
    skip = np.logical_or.reduce(conditions)
    grace = (np.select(conditions, slugs, default="") == "grace") & scene.snapshot.complete
    rows = pd.DataFrame(
        {
            "action": pd.Series(np.where(skip, "skip", "archive"), dtype="str"),
            "reason": pd.Series(np.where(skip, np.select(conditions, slugs, default=""), reason), dtype="str"),
            "role": column_of(strings(members["role"])),
            "person_id": pd.array(who, dtype="Int64"),
            "sourced_ids": pd.Series([links.get(int(person), []) for person in who], dtype=object),
            "new_links": pd.Series([[] for _ in who], dtype=object),
            "matched_by": column_of(blanks(len(who))),
            "notes": column_of(blanks(len(who))),
            "changes": pd.Series([{} for _ in who], dtype=object),
            "number_kind": column_of(blanks(len(who))),
            "absent_syncs": pd.array(counted + 1, dtype="Int64"),
            "person_revision": pd.array(_of_people(scene, who, "revision"), dtype="Int64"),
            "membership_revision": pd.array(members["revision"].to_numpy(dtype=np.int64), dtype="Int64"),
            "witness": column_of(blanks(len(who))),
        }
    )
    rows.loc[~grace, "absent_syncs"] = pd.NA
    return rows[listed].reset_index(drop=True)


def _absent(scene: PlanningContext) -> pd.DataFrame:
    """The managed active members of rostered roles whose human is not in the roster, by person."""
    matched, units = scene.matched, scene.units
    here = units.standing[units.lead] <= PROTECTED
    covered = matched.person[here & (matched.person >= 0)]
    managed = scene.directory.managed
    wanted = flags_of(managed["role"].isin(list(scene.school.rostered)))
    missing = ~np.isin(managed.index.to_numpy(dtype=np.int64), covered)
    return managed[wanted & missing].sort_index()


def _reasons(scene: PlanningContext, who: Ints) -> Any:
    """left, or what the records of the person say."""
    units = scene.units
    linked, _ = units.linked()
    gone = np.flatnonzero((linked >= 0) & (units.standing[units.lead] > PROTECTED))
    place = pd.Index(linked[gone]).get_indexer(pd.Index(who))
    told = np.array([*(_LEFT[int(standing)] for standing in units.standing[units.lead[gone]]), "left"], dtype=object)
    return told[place]


def _said_deleted(scene: PlanningContext, who: Ints) -> Flags:
    """In a list of changes: whose every record of this SIS is in it, marked as deleted."""
    units, links = scene.units, scene.directory.own_links
    deleted = units.roster.loc[units.standing == PLACE["deleted"], "sourced_id"]
    others = links.loc[~links["sourced_id"].isin(set(deleted)), "person_id"]
    said: Flags = ~np.isin(who, others.to_numpy(dtype=np.int64))
    return said


def _links(scene: PlanningContext, who: Ints) -> dict[int, list[str]]:
    """The sourcedIds by which this SIS knows each person, the home link first."""
    links = scene.directory.own_links
    some = links[np.isin(links["person_id"].to_numpy(dtype=np.int64), who)]
    some = some.assign(away=~flags_of(some["home"])).sort_values(["person_id", "away", "sourced_id"])
    known: dict[int, list[str]] = {}
    for person, sourced_id in zip(some["person_id"].tolist(), some["sourced_id"].tolist(), strict=True):
        known.setdefault(int(person), []).append(str(sourced_id))
    return known


def _of_people(scene: PlanningContext, who: Ints, column: str) -> Any:
    people = scene.directory.people
    place = pd.Index(people.index.to_numpy(dtype=np.int64)).get_indexer(pd.Index(who))
    if column == "excluded":
        return np.append(flags_of(people["excluded"]), False)[place]
    return np.append(people[column].to_numpy(dtype=np.int64), 0)[place]
