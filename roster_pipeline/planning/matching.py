"""Who of the directory each human of the snapshot is.

By a link; else by a number of the same kind and connection, or by an e-mail that exactly one person and one human of
the snapshot have, where the table of evidence says that this is one human (`Evidence.same`). A name never matches by
itself. Where the two seem to be one human and something strong speaks against it, nothing is done for either
(`match_contradicted`). A link that everything else speaks against is a conflict as well (`reused_ids`).

A human is nobody whom somebody said that one of the records is not. Whom another connection knows takes more, or it
waits for the district's manager (`connection_trust`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.evidence import MatchKeys, weigh
from roster_pipeline.cleaning.match_keys import (
    Named,
    bare_numbers,
    columns_of,
    named_people,
    numbered,
    record_match_keys,
)
from roster_pipeline.directory_frames import DirectoryFrames
from roster_pipeline.frames import Array, Flags, Ints, column_of, repeated, strings, truth
from roster_pipeline.planning.connection_trust import waits_for_manager
from roster_pipeline.planning.identity_groups import NOBODY, OFF, PROTECTED, IdentityGroups, record_conflicts
from roster_pipeline.planning.reasons import ID_REUSED, MATCH_CONTRADICTED, OTHER_CONNECTION
from roster_pipeline.planning.reassigned_ids import reused_ids

BY = (None, "link", "number", "email")
_NONE, _LINK, _NUMBER, _EMAIL = range(4)


@dataclass(frozen=True)
class Matched:
    """person: of each unit, or -1. by: place in `BY`. conflict: unit to reason. doubtful: who of several is unclear."""

    person: Ints
    by: Ints
    conflict: dict[int, str]
    doubtful: frozenset[int]


@dataclass
class _Found:
    """The persons that one unit is (same), or seems to be (doubtful), each with the way it was found."""

    same: dict[int, int]
    doubtful: dict[int, int]


def match(units: IdentityGroups, directory: DirectoryFrames) -> Matched:
    """Match every unit; units whose human is gone are matched by link only."""
    person, several = units.linked()
    conflict = record_conflicts(units)
    conflict |= dict.fromkeys(np.flatnonzero(reused_ids(units, directory)).tolist(), ID_REUSED)
    conflict |= dict.fromkeys(np.flatnonzero(several).tolist(), "several_matches")
    conflict |= dict.fromkeys(units.unit[units.either].tolist(), "several_matches")
    doubtful = {
        int(who) for unit in np.flatnonzero(several).tolist() for who in units.person[units.rows(unit)] if who >= 0
    }

    person[several] = NOBODY
    by = np.where(person >= 0, _LINK, _NONE)
    here = units.standing[units.lead] <= PROTECTED
    open_units = here & (person < 0)
    open_units[list(conflict)] = False
    if open_units.any() and len(directory.people):
        held = set(units.person[here[units.unit]].tolist())
        for unit, found in sorted(_Search(units, directory, open_units).found().items()):
            who = found.same
            if not who and units.standing[units.lead[unit]] <= OFF:
                # who is here under a record of their own is not one that contradicts them
                who = {one: way for one, way in found.doubtful.items() if one not in held}
            if len(who) == 1:
                ((person[unit], by[unit]),) = who.items()
                if not found.same:
                    conflict[unit] = MATCH_CONTRADICTED
            elif who:
                conflict[unit] = "several_matches"
                doubtful |= set(who)
    waits = waits_for_manager(units, person, by >= _NUMBER, directory)
    conflict |= dict.fromkeys(np.flatnonzero(waits).tolist(), OTHER_CONNECTION)
    conflict |= _taken(person, by, here)
    return Matched(person, by, conflict, frozenset(doubtful))


def _taken(person: Ints, by: Ints, here: Flags) -> dict[int, str]:
    """Units whose person another unit of this snapshot holds: a link holds best, and of two equals none."""
    held = np.flatnonzero(here & (person >= 0))
    order = held[np.argsort(person[held], kind="stable")]
    same = np.flatnonzero(np.diff(person[order]) == 0)
    taken: dict[int, str] = {}
    for place in same:
        for unit in (order[place], order[place + 1]):
            if by[unit] != _LINK:
                taken[int(unit)] = "match_taken"
    return taken


class _Search:
    """By number and by e-mail, over the units that no link names."""

    def __init__(self, units: IdentityGroups, directory: DirectoryFrames, open_units: Flags) -> None:
        self._units, self._directory, self._people = units, directory, directory.people
        self._columns = columns_of(units.roster)
        self._rows = np.flatnonzero(open_units[units.unit])
        told = units.apart
        self._apart = set(zip(units.unit[told["row"]].tolist(), told["person"].tolist(), strict=True))

    def found(self) -> dict[int, _Found]:
        """Of every unit that is or seems to be somebody."""
        told: dict[int, _Found] = defaultdict(lambda: _Found({}, {}))
        for way, pairs in ((_NUMBER, self._by_number()), (_EMAIL, self._by_email())):
            for unit, record, who, person in pairs:
                if (unit, who) in self._apart:
                    continue
                weighed = weigh(record, person)
                if weighed.same and not self._spoken_against(unit, person):
                    told[unit].same.setdefault(who, way)
                elif weighed.same or weighed.doubtful:
                    told[unit].doubtful.setdefault(who, way)
        return told

    def _spoken_against(self, unit: int, person: MatchKeys) -> bool:
        """Whether one of several records of a unit cannot be this person."""
        rows = self._units.rows(unit)
        return len(rows) > 1 and any(weigh(each, person).strong for each in record_match_keys(self._columns, rows))

    def _by_number(self) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """Leading zeros do not count here; `weigh` sees whether they are the same."""
        wanted = bare_numbers(self._of_rows(numbered(self._columns["number_kind"], self._columns["number"])))
        theirs = bare_numbers(numbered(strings(self._people["number_kind"]), strings(self._people["number"])))
        near = truth(pc.is_in(theirs, value_set=wanted, skip_nulls=True))
        persons = named_people(self._directory, np.flatnonzero(near))
        return self._pairs(wanted, persons, bare_numbers(persons.numbers))

    def _by_email(self) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """By an e-mail that one person and one human of the whole snapshot have, as far as they are not gone."""
        wanted, emails = self._of_rows(self._columns["email"]), pc.utf8_lower(strings(self._people["email"]))
        persons = named_people(
            self._directory, np.flatnonzero(truth(pc.is_in(emails, value_set=wanted, skip_nulls=True)))
        )
        units, everyone = self._units, self._columns["email"]
        near = truth(pc.is_in(everyone, value_set=wanted, skip_nulls=True)) & (units.standing <= PROTECTED)
        holders = pd.DataFrame({"email": column_of(everyone.filter(pa.array(near))), "unit": units.unit[near]})
        holders = holders.drop_duplicates()
        shared = strings(holders.loc[holders.duplicated("email"), "email"])
        alone = pc.if_else(pc.is_in(wanted, value_set=shared), None, wanted)
        single = pc.if_else(pa.array(repeated(persons.emails)), None, persons.emails)
        return self._pairs(alone, persons, single)

    def _of_rows(self, column: Array) -> Array:
        return column.take(pa.array(self._rows))

    def _pairs(self, wanted: Array, persons: Named, among: Array) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """Unit and record, person and traits, wherever a wanted value is a person's."""
        holders: dict[str, list[int]] = defaultdict(list)
        for place, value in enumerate(among.to_pylist()):
            if value is not None:
                holders[value].append(place)
        hits = np.flatnonzero(truth(pc.is_in(wanted, value_set=among, skip_nulls=True)))
        traits = persons.traits()
        rows = self._rows[hits]
        for unit, value, record in zip(
            self._units.unit[rows].tolist(),
            wanted.take(pa.array(hits)).to_pylist(),
            record_match_keys(self._columns, rows),
            strict=True,
        ):
            for place in holders[value]:
                yield unit, record, int(persons.ids[place]), traits[place]
