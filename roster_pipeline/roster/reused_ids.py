"""Records whose id a SIS seems to have given to somebody else: linked to a person with whom they agree in nothing.

A link is the best evidence there is of who a record is, and so the most dangerous where it is wrong: a leaver whose
sourcedId goes to a newcomer would become that newcomer. So a link alone is not believed against everything else.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.roster.frames import Flags, Ints, strings, taken, truth
from roster_pipeline.roster.roles import PLACE
from roster_pipeline.roster.roles import PROTECTED as UNREADABLE
from roster_pipeline.roster.traits import Named, named_people, numbered
from roster_pipeline.roster.units import Units

_TOLD = ("family_name", "given_name", "email")
"""Who has one of these in common is not doubted. The first settles most records, so the others look at few."""
_MAY_BE_THE_ID = ("number", "username")
"""Some SISs fill these with the sourcedId itself, which goes to the newcomer with it and so speaks for nobody."""
_SAYS_NOTHING = [PLACE[name] for name in (*UNREADABLE, "deleted")]
"""A record that could not be used, or is gone, gives its person no field."""


def reused_ids(units: Units, directory: DirectoryFrames) -> Flags:
    """Units with a record that is wholly at odds with the person it is linked to, where no hand confirmed the link."""
    found = np.zeros(len(units), dtype=bool)
    rows, places = _differing(units, directory)
    if len(rows):
        some = units.roster.iloc[rows]
        some = some.assign(**{name: some[name].mask(some[name] == some["sourced_id"]) for name in _MAY_BE_THE_ID})
        records = Named(some, numbered(some), strings(some["email"])).traits(np.arange(len(rows)))
        persons = named_people(directory, places).traits(np.arange(len(rows)))
        odd = [record.at_odds(person) for record, person in zip(records, persons, strict=True)]
        found[units.unit[rows[odd]]] = True
    return found


def _differing(units: Units, directory: DirectoryFrames) -> tuple[Ints, Ints]:
    """The linked records that have none of `_TOLD` in common with their person, and the places of those people."""
    rows = np.flatnonzero((units.person >= 0) & ~np.isin(units.standing, _SAYS_NOTHING))
    index = pd.Index(directory.people.index.to_numpy(dtype=np.int64))
    places = index.get_indexer(pd.Index(units.person[rows])).astype(np.int64)
    for name in _TOLD:
        record, person = strings(units.roster[name]), strings(directory.people[name])
        other = ~truth(pc.equal(taken(record, rows), taken(person, places)))
        rows, places = rows[other], places[other]
    links = directory.own_links
    confirmed = pa.array(links["sourced_id"][flags_of(links["confirmed"])], units.sourced_ids.type)
    open_ = ~truth(pc.is_in(units.sourced_ids.take(pa.array(rows)), value_set=confirmed))
    return rows[open_], places[open_]
