"""The rows of a plan for the members whose people are not in the roster.

Only active memberships that the sync looks after, in a rostered role. What looks like absence and is not: a record we
could not use, a person whom a record of tonight may be, a list that only holds what changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, filled, on_distinct, strings, truth
from roster_pipeline.identity.evidence import MatchKeys, bare, weigh
from roster_pipeline.identity.identity_groups import LAST_PRESENT, IdentityGroups
from roster_pipeline.identity.match_keys import (
    Named,
    bare_numbers,
    columns_of,
    name_key,
    named_people,
    numbered,
    record_match_keys,
)
from roster_pipeline.planning.plan_present import PlanningContext
from roster_pipeline.vocabulary import STATUS_RANK

_LEFT = {
    STATUS_RANK["elsewhere"]: "moved_school",
    STATUS_RANK["no_org"]: "no_org",
    STATUS_RANK["not_begun"]: "role_not_begun",
    STATUS_RANK["ended"]: "role_ended",
    STATUS_RANK["disabled"]: "disabled",
    STATUS_RANK["not_enrolled"]: "not_enrolled",
    STATUS_RANK["deleted"]: "tobedeleted",
}
"""What the strongest record of somebody who is gone says about it."""

_GIVEN = ("given_name", "preferred_given_name")

_FAMILY = ("family_name", "preferred_family_name")


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
    here = units.standing[units.lead] <= LAST_PRESENT
    covered = matched.person[here & (matched.person >= 0)]
    managed = scene.directory.managed
    wanted = flags_of(managed["role"].isin(list(scene.school.rostered)))
    missing = ~np.isin(managed.index.to_numpy(dtype=np.int64), covered)
    return managed[wanted & missing].sort_index()


def _reasons(scene: PlanningContext, who: Ints) -> Any:
    """left, or what the records of the person say."""
    units = scene.units
    linked, _ = units.linked()
    gone = np.flatnonzero((linked >= 0) & (units.standing[units.lead] > LAST_PRESENT))
    place = pd.Index(linked[gone]).get_indexer(pd.Index(who))
    told = np.array([*(_LEFT[int(standing)] for standing in units.standing[units.lead[gone]]), "left"], dtype=object)
    return told[place]


def _said_deleted(scene: PlanningContext, who: Ints) -> Flags:
    """In a list of changes: whose every record of this SIS is in it, marked as deleted."""
    units, links = scene.units, scene.directory.own_links
    deleted = units.roster.loc[units.standing == STATUS_RANK["deleted"], "sourced_id"]
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


def possibly_present(units: IdentityGroups, directory: DirectoryFrames, who: Ints) -> Flags:
    """Which of these absent people may be one of the records that are here tonight, used or not.

    Not one of which somebody said that it is not theirs.
    """
    index = pd.Index(directory.people.index.to_numpy(dtype=np.int64))
    absent = named_people(directory, index.get_indexer(pd.Index(who)).astype(np.int64))
    traits = absent.traits()
    near = _near(units, absent, traits)
    apart = set(zip(units.apart["row"].tolist(), units.apart["person"].tolist(), strict=True))
    by_key: dict[Hashable, list[tuple[int, MatchKeys]]] = defaultdict(list)
    for row, record in zip(near.tolist(), record_match_keys(columns_of(units.roster), near), strict=True):
        for key in _keys(record):
            by_key[key].append((row, record))

    def seen(one: int, person: MatchKeys) -> bool:
        others = ((row, record) for key in _keys(person) for row, record in by_key[key])
        return any((row, one) not in apart and weigh(record, person).may_be for row, record in others)

    found = (seen(one, person) for one, person in zip(who.tolist(), traits, strict=True))
    return np.fromiter(found, dtype=bool, count=len(who))


def _keys(traits: MatchKeys) -> Iterator[Hashable]:
    if traits.number is not None:
        yield "number", bare(traits.number)
    if traits.email is not None:
        yield "email", traits.email
    yield from (("name", given, family) for given in traits.given for family in traits.family)


def _near(units: IdentityGroups, absent: Named, traits: list[MatchKeys]) -> Ints:
    """The rows that have a number, an e-mail or, where that is all there is, the whole name of an absent person."""
    roster = units.roster
    here = units.standing <= LAST_PRESENT
    number, email = numbered(strings(roster["number_kind"]), strings(roster["number"])), strings(roster["email"])
    near = here & (_among(bare_numbers(number), bare_numbers(absent.numbers)) | _among(email, absent.emails))
    comparable = all(person.email and person.number and not person.number_is_id and person.kind for person in traits)
    real = filled(number) & ~truth(pc.equal(strings(roster["number"]), strings(roster["sourced_id"])))
    bare_rows = np.flatnonzero(here & ~near & ~(comparable & (real | filled(email))))
    theirs = pa.concat_arrays(list(_whole_names(absent.frame)))
    named = [_among(names, theirs) for names in _whole_names(roster.iloc[bare_rows])]
    return np.union1d(np.flatnonzero(near), bare_rows[np.logical_or.reduce(named)])


def _whole_names(frame: pd.DataFrame) -> Iterator[Array]:
    """Given and family name in one key, each with each; missing where either is."""
    keys = {name: on_distinct(strings(frame[name]), _name_keys) for name in (*_GIVEN, *_FAMILY)}
    for given, family in product(_GIVEN, _FAMILY):
        yield pc.binary_join_element_wise(keys[given], keys[family], pa.scalar("\x1f", TEXT))


def _name_keys(names: Array) -> Array:
    return pa.array(map(name_key, names.to_pylist()), TEXT)


def _among(values: Array, some: Array) -> Flags:
    return truth(pc.is_in(values, value_set=some, skip_nulls=True))
