"""Which fields of a person, a membership and a contact differ between roster and directory, and the notes of plan rows.

Notes say how a person was recognised without a link, which records were joined, and which keys another person has too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, codes, filled, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.identity.match_keys import numbered
from roster_pipeline.identity.matching import BY
from roster_pipeline.vocabulary import MEMBERSHIP_FIELDS, PERSON_FIELDS, STUDENT_CONTACTS

PRIMARY = "primary_record"
"""The change of a row that moves the primary link: from the old sourcedId (or null) to the new one."""


@dataclass(frozen=True)
class BeforeAfter:
    """Roster and directory side by side: places in the roster, in `people` and in `members`, -1 if there is none.

    lead: the record that gives the membership. fields: the record that the person's fields follow, or -1 if another SIS
    has it.
    """

    lead: Ints
    fields: Ints
    person: Ints
    member: Ints

    def __len__(self) -> int:
        return len(self.lead)


@dataclass(frozen=True)
class Differences:
    """For each field, the value in the directory (have), the value in the roster (want), and where they differ."""

    have: dict[str, Array]
    want: dict[str, Array]
    differ: dict[str, Flags]

    def any_of(self, names: Iterable[str]) -> Flags:
        """Where at least one of these fields differs."""
        flags: Flags = np.logical_or.reduce([self.differ[name] for name in names])
        return flags

    def changes(self, rows: Flags, names: Iterable[str], into: dict[int, dict[str, list[Any]]]) -> None:
        """Add {field: [from, to]} of the given rows to `into`, by row."""
        for name in names:
            places = np.flatnonzero(self.differ[name] & rows)
            if not len(places):
                continue
            at = pa.array(places)
            sides = zip(self.have[name].take(at).to_pylist(), self.want[name].take(at).to_pylist(), strict=True)
            for place, (old, new) in zip(places.tolist(), sides, strict=True):
                into.setdefault(place, {})[name] = [old, new]


def compare(roster: pd.DataFrame, directory: DirectoryFrames, sides: BeforeAfter) -> Differences:
    """Compare every field of every row, without regard to settings. Locked fields never differ."""
    differences = Differences({}, {}, {})
    people, members = directory.people, directory.members
    for names, wanted, frame, place in (
        (PERSON_FIELDS, sides.fields, people, sides.person),
        (MEMBERSHIP_FIELDS, sides.lead, members, sides.member),
        (STUDENT_CONTACTS, sides.lead, members, sides.member),
    ):
        for name in names:
            want, have = taken(_column(roster[name]), wanted), taken(_column(frame[name]), place)
            differences.want[name], differences.have[name] = want, have
            differences.differ[name] = _differ(want, have)
        if names is PERSON_FIELDS:
            differences.differ["number"] |= _other_kind(roster, directory, sides)
            for name in names:
                differences.differ[name] &= wanted >= 0
    differences.differ["enabled"] &= filled(differences.want["enabled"])
    _keep_locked(differences, people, sides.person)
    return differences


def suppress(differences: Differences, rows: Flags, names: Iterable[str]) -> None:
    """Treat these fields of these rows as equal."""
    for name in names:
        differences.differ[name] &= ~rows


def _column(column: pd.Series[Any]) -> Array:
    if column.name == "enabled":
        return pa.array(column.astype("boolean"), from_pandas=True)
    return strings(column)


def _differ(want: Array, have: Array) -> Flags:
    same = truth(pc.equal(want, have))
    if want.null_count and have.null_count:
        same |= ~filled(want) & ~filled(have)
    return ~same


def _other_kind(roster: pd.DataFrame, directory: DirectoryFrames, sides: BeforeAfter) -> Flags:
    """Where the same number means something else: it is of another kind, or of another connection."""
    people = directory.people
    kind = taken(strings(people["number_kind"]), sides.person)
    of = np.append(flags_of(people["number_connection_id"] == directory.connection_id), False)
    wanted = taken(strings(roster["number_kind"]), sides.fields)
    has = filled(taken(strings(roster["number"]), sides.fields))
    other: Flags = has & (_differ(wanted, kind) | ~of[sides.person])
    return other


def _keep_locked(differences: Differences, people: pd.DataFrame, person: Ints) -> None:
    """A locked field keeps what people wrote, so it never differs."""
    locks = people["locked_fields"].tolist()
    holders = np.flatnonzero(np.fromiter(map(len, locks), dtype=np.int64, count=len(locks))).tolist()
    for name in {name for place in holders for name in locks[place]} & set(differences.differ):
        holds = np.zeros(len(locks) + 1, dtype=bool)
        holds[[place for place in holders if name in locks[place]]] = True
        differences.differ[name] &= ~holds[person]


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

    person, by: the matched person, or -1, and how it was matched. kinds: of the numbers. joined: where records were
    joined that have no link in common. follows: where the row writes the person's fields.
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
    """Where a person with a record, who is not the person of the row, already has the wanted value."""
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
