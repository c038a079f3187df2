"""Absent people whom a record of tonight may be, whoever that record was taken for.

Matching asks for enough evidence to say who somebody is. To say that somebody is gone, nothing may speak against it: a
SIS that gives new ids hides the old one from the list and from the second witness alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.directory_frames import DirectoryFrames
from roster_pipeline.roster.frames import TEXT, Array, Flags, Ints, filled, on_distinct, strings, truth
from roster_pipeline.roster.names import name_key
from roster_pipeline.roster.traits import Named, Traits, named_people, numbered
from roster_pipeline.roster.units import PROTECTED, Units

_GIVEN = ("given_name", "preferred_given_name")
_FAMILY = ("family_name", "preferred_family_name")


def may_be_here(units: Units, directory: DirectoryFrames, who: Ints) -> Flags:
    """Which of these absent people may be one of the records that are here tonight, used or not.

    Not one of which somebody said that it is not theirs.
    """
    index = pd.Index(directory.people.index.to_numpy(dtype=np.int64))
    absent = named_people(directory, index.get_indexer(pd.Index(who)).astype(np.int64))
    near = _near(units, absent)
    some = units.roster.iloc[near]
    records = Named(some, numbered(some), strings(some["email"]))
    apart = set(zip(units.apart["row"].tolist(), units.apart["person"].tolist(), strict=True))
    by_key: dict[Hashable, list[tuple[int, Traits]]] = defaultdict(list)
    for row, record in zip(near.tolist(), records.traits(np.arange(len(some))), strict=True):
        for key in _keys(record):
            by_key[key].append((row, record))
    found = (
        any((row, one) not in apart and record.may_be(person) for key in _keys(person) for row, record in by_key[key])
        for one, person in zip(who.tolist(), absent.traits(np.arange(len(who))), strict=True)
    )
    return np.fromiter(found, dtype=bool, count=len(who))


def _keys(traits: Traits) -> Iterator[Hashable]:
    if traits.number is not None:
        yield "number", traits.number
    if traits.email is not None:
        yield "email", traits.email
    yield from (("name", given, family) for given in traits.given for family in traits.family)


def _near(units: Units, absent: Named) -> Ints:
    """The rows that have a number, an e-mail or, where that is all there is, the whole name of an absent person."""
    roster = units.roster
    here = units.standing <= PROTECTED
    number, email = strings(roster["number"]), strings(roster["email"])
    near = here & (_among(number, strings(absent.frame["number"])) | _among(email, absent.emails))
    comparable = bool((filled(absent.numbers) & filled(absent.emails)).all())
    bare = np.flatnonzero(here & ~near & ~(comparable & (filled(number) | filled(email))))
    theirs = pa.concat_arrays(list(_whole_names(absent.frame)))
    named = [_among(names, theirs) for names in _whole_names(roster.iloc[bare])]
    return np.union1d(np.flatnonzero(near), bare[np.logical_or.reduce(named)])


def _whole_names(frame: pd.DataFrame) -> Iterator[Array]:
    """Given and family name in one key, each with each; missing where either is."""
    keys = {name: on_distinct(strings(frame[name]), _name_keys) for name in (*_GIVEN, *_FAMILY)}
    for given, family in product(_GIVEN, _FAMILY):
        yield pc.binary_join_element_wise(keys[given], keys[family], pa.scalar("\x1f", TEXT))


def _name_keys(names: Array) -> Array:
    return pa.array(map(name_key, names.to_pylist()), TEXT)


def _among(values: Array, some: Array) -> Flags:
    return truth(pc.is_in(values, value_set=some, skip_nulls=True))
