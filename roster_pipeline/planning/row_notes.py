"""The notes of plan rows: how a person was recognised without a link, which records were joined, and which keys another
person has too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, codes, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.identity.match_keys import numbered
from roster_pipeline.identity.matching import BY
from roster_pipeline.planning.field_changes import Differences


def row_notes(
    directory: DirectoryFrames,
    differences: Differences,
    person: Ints,
    kinds: Array,
    by: Ints,
    joined: Flags,
    follows: Flags,
) -> Array:
    """The notes of each row that writes something: keys of `vocabulary.NOTES`, separated by blanks, or null.

    person, by: the matched person, or -1, and how it was matched. kinds: of the numbers. joined: the rows that join
    records without a common link. follows: the rows that write the person's fields.
    """
    flags: list[tuple[str, Flags]] = [("records_joined", joined)]
    flags += [(f"found_by_{way}", by == BY.index(way)) for way in ("number", "email")]
    for name in ("number", "username", "email"):
        rows = np.flatnonzero(follows & differences.differ[name])
        of_another = np.zeros(len(person), dtype=bool)
        if len(rows) and len(directory.people):
            wanted = pc.utf8_lower(taken(differences.want[name], rows))
            wanted = numbered(taken(kinds, rows), wanted) if name == "number" else wanted
            of_another[rows] = _another_has(directory, name, wanted, person[rows])
        flags.append((f"{name}_of_another", of_another))
    notes = np.full(len(person), None, dtype=object)
    for note, where in flags:
        for place in np.flatnonzero(where).tolist():
            notes[place] = f"{notes[place]} {note}" if notes[place] else note
    return pa.array(notes, TEXT)


def _another_has(directory: DirectoryFrames, name: str, wanted: Array, person: Ints) -> Flags:
    """The rows whose wanted value already belongs to a person with a record who is not the person of the row."""
    people = directory.people
    theirs = pc.utf8_lower(strings(people[name]))
    if name == "number":
        own = flags_of(people["number_connection_id"] == directory.connection_id)
        theirs = pc.if_else(pa.array(own), numbered(strings(people["number_kind"]), theirs), None)
    near = np.flatnonzero(truth(pc.is_in(theirs, value_set=wanted, skip_nulls=True)))
    ids = people.index.to_numpy(dtype=np.int64)[near]
    linked = np.isin(ids, directory.links["person_id"].to_numpy(dtype=np.int64))
    if not linked.any():
        return np.zeros(len(wanted), dtype=bool)
    numbers, _ = codes(pa.concat_arrays([wanted, theirs.take(pa.array(near))]))
    rows = pd.DataFrame({"value": numbers[: len(wanted)], "person": person, "row": np.arange(len(wanted))})
    holders = pd.DataFrame({"value": numbers[len(wanted) :], "holder": ids})[linked]
    met = rows[rows["value"] >= 0].merge(holders, on="value")
    flags = np.zeros(len(wanted), dtype=bool)
    flags[met.loc[met["holder"] != met["person"], "row"].to_numpy()] = True
    return flags
