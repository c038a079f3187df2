"""Records whose id a SIS seems to have given to somebody else: linked to a person whom everything else contradicts.

A link is the best evidence there is of who a record is, and so the most dangerous where it is wrong: a leaver whose
sourcedId goes to a newcomer would become that newcomer. So a link alone is not believed against everything else
(`Evidence.against_link`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.evidence import weigh
from roster_pipeline.cleaning.match_keys import columns_of, named_people, record_match_keys
from roster_pipeline.cleaning.roles import PLACE
from roster_pipeline.cleaning.roles import PROTECTED as UNREADABLE
from roster_pipeline.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.frames import Array, Flags, Ints, filled, strings, taken, truth
from roster_pipeline.planning.identity_groups import IdentityGroups

_SAYS_NOTHING = [PLACE[name] for name in (*UNREADABLE, "deleted")]
"""A record that could not be used, or is gone, gives its person no field."""


def reused_ids(units: IdentityGroups, directory: DirectoryFrames) -> Flags:
    """Units with a record that is at odds with the person it is linked to, where no hand confirmed the link."""
    found = np.zeros(len(units), dtype=bool)
    rows, places = _doubtful(units, directory)
    if len(rows):
        records = record_match_keys(columns_of(units.roster), rows)
        persons = named_people(directory, places).traits()
        odd = [weigh(record, person).against_link for record, person in zip(records, persons, strict=True)]
        found[units.unit[rows[odd]]] = True
    return found


def _doubtful(units: IdentityGroups, directory: DirectoryFrames) -> tuple[Ints, Ints]:
    """The linked records that are worth weighing, and the places of their people.

    Not those with the whole name and the number or the e-mail of their person, nor those with the whole name and
    nothing that speaks against it: these are nearly all.
    """
    roster, people = units.roster, directory.people
    rows = np.flatnonzero((units.person >= 0) & ~np.isin(units.standing, _SAYS_NOTHING))
    index = pd.Index(people.index.to_numpy(dtype=np.int64))
    places = index.get_indexer(pd.Index(units.person[rows])).astype(np.int64)

    def of_record(name: str) -> Array:
        return taken(strings(roster[name]), rows)

    def same(name: str) -> Flags:
        return truth(pc.equal(of_record(name), taken(strings(people[name]), places)))

    whole = same("given_name") & same("family_name")
    own_number = same("number") & ~truth(pc.equal(of_record("number"), of_record("sourced_id")))
    open_ = ~(whole & (same("email") | own_number))
    rows, places, whole = rows[open_], places[open_], whole[open_]
    number = filled(of_record("number")) & filled(taken(strings(people["number"]), places)) & ~same("number")
    known = directory.own_links
    ids = of_record("sourced_id")
    master = filled(of_record("master_identifier")) & known["master_identifier"].notna().any()
    confirmed = pa.array(known["sourced_id"][flags_of(known["confirmed"])], ids.type)
    open_ = (~whole | number | master) & ~truth(pc.is_in(ids, value_set=confirmed))
    return rows[open_], places[open_]
