"""Absent people whom a record of tonight may be, whoever that record was taken for.

Matching asks for enough evidence to say who somebody is. To say that somebody is gone, nothing may speak against it: a
SIS that gives new ids hides the old one from the list and from the second witness alike (`Evidence.may_be`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.evidence import MatchKeys, bare, weigh
from roster_pipeline.cleaning.match_keys import (
    Named,
    bare_numbers,
    columns_of,
    named_people,
    numbered,
    record_match_keys,
)
from roster_pipeline.cleaning.names import name_key
from roster_pipeline.directory_frames import DirectoryFrames
from roster_pipeline.frames import TEXT, Array, Flags, Ints, filled, on_distinct, strings, truth
from roster_pipeline.planning.identity_groups import PROTECTED, IdentityGroups

_GIVEN = ("given_name", "preferred_given_name")
_FAMILY = ("family_name", "preferred_family_name")


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
    here = units.standing <= PROTECTED
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
