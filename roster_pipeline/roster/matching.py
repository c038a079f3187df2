"""Who of the directory each human of the snapshot is.

In this order: a link; the number, of the same kind and connection, where name or e-mail agrees; an e-mail that exactly
one person and one human of the snapshot have, where the name agrees. A name never matches by itself. A link that
everything else speaks against is a conflict (`reused_ids`).

An e-mail is weaker evidence than a number, for families share one. So it does not match where the numbers contradict,
nor where only the family name agrees and the person is linked to another record already, of this SIS or of another one
of the district: that is a brother or a sister far more often than the same human.

A human is nobody whom somebody said that one of the records is not. Whom another connection knows takes more, or it
waits for the district's manager (`connection_trust`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.connection_trust import waits_for_manager
from roster_pipeline.roster.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.roster.frames import Array, Flags, Ints, column_of, repeated, strings, truth
from roster_pipeline.roster.merging import NUMBER_SHARED
from roster_pipeline.roster.reasons import ID_REUSED, OTHER_CONNECTION
from roster_pipeline.roster.reused_ids import reused_ids
from roster_pipeline.roster.traits import Named, Traits, named_people, numbered
from roster_pipeline.roster.units import NOBODY, PROTECTED, Units, number_conflicts

BY = (None, "link", "number", "email")
_NONE, _LINK, _NUMBER, _EMAIL = range(4)


@dataclass(frozen=True)
class Matched:
    """person: of each unit, or -1. by: place in `BY`. conflict: unit to reason. doubtful: who of several is unclear."""

    person: Ints
    by: Ints
    conflict: dict[int, str]
    doubtful: frozenset[int]


def match(units: Units, directory: DirectoryFrames) -> Matched:
    """Match every unit; units whose human is gone are matched by link only."""
    person, several = units.linked()
    conflict = dict.fromkeys(np.flatnonzero(number_conflicts(units)).tolist(), NUMBER_SHARED)
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
        search = _Search(units, directory, open_units)
        for way, unit, who in search.found():
            if len(who) == 1:
                person[unit], by[unit] = who[0], way
            else:
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
    """The number and the e-mail tier, over the units that no link names."""

    def __init__(self, units: Units, directory: DirectoryFrames, open_units: Flags) -> None:
        self._units, self._directory, self._people = units, directory, directory.people
        self._own = flags_of(directory.people["number_connection_id"] == directory.connection_id)
        self._rows = np.flatnonzero(open_units[units.unit])
        self._unit = units.unit[self._rows]
        told = units.apart
        self._apart = set(zip(units.unit[told["row"]].tolist(), told["person"].tolist(), strict=True))

    def found(self) -> list[tuple[int, int, list[int]]]:
        """(way, unit, persons) of every unit that matches somebody, in order of units."""
        some = self._units.roster.iloc[self._rows]
        records = Named(some, numbered(some), strings(some["email"]))
        told: dict[int, tuple[int, int, list[int]]] = {}
        for unit, who in self._by_number(records).items():
            told[unit] = (_NUMBER, unit, who)
        for unit, who in self._by_email(records).items():
            told.setdefault(unit, (_EMAIL, unit, who))
        return [told[unit] for unit in sorted(told)]

    def _by_number(self, records: Named) -> dict[int, list[int]]:
        plain = strings(self._people["number"])
        near = self._own & truth(pc.is_in(plain, value_set=strings(records.frame["number"]), skip_nulls=True))
        persons = named_people(self._directory, np.flatnonzero(near))
        return self._agreeing(records, records.numbers, persons, persons.numbers, Traits.confirms_number)

    def _by_email(self, records: Named) -> dict[int, list[int]]:
        """By an e-mail that one person and one human of the whole snapshot have, as far as they are not gone."""
        emails = pc.utf8_lower(strings(self._people["email"]))
        persons = named_people(
            self._directory, np.flatnonzero(truth(pc.is_in(emails, value_set=records.emails, skip_nulls=True)))
        )
        units, everyone = self._units, strings(self._units.roster["email"])
        near = truth(pc.is_in(everyone, value_set=records.emails, skip_nulls=True)) & (units.standing <= PROTECTED)
        holders = pd.DataFrame({"email": column_of(everyone.filter(pa.array(near))), "unit": units.unit[near]})
        holders = holders.drop_duplicates()
        shared = strings(holders.loc[holders.duplicated("email"), "email"])
        alone = pc.if_else(pc.is_in(records.emails, value_set=shared), None, records.emails)
        single = pc.if_else(pa.array(repeated(persons.emails)), None, persons.emails)
        return self._agreeing(records, alone, persons, single, Traits.confirms_email)

    def _agreeing(
        self,
        records: Named,
        wanted: Array,
        persons: Named,
        among: Array,
        confirms: Callable[[Traits, Traits], bool],
    ) -> dict[int, list[int]]:
        """Unit to the persons who have the wanted value and are confirmed by the rule."""
        holders: dict[str, list[int]] = defaultdict(list)
        for place, value in enumerate(among.to_pylist()):
            if value is not None:
                holders[value].append(place)
        hits = np.flatnonzero(truth(pc.is_in(wanted, value_set=among, skip_nulls=True)))
        traits = persons.traits(np.arange(len(among)))
        confirmed: dict[int, set[int]] = defaultdict(set)
        for unit, value, record in zip(
            self._unit[hits].tolist(), wanted.take(pa.array(hits)).to_pylist(), records.traits(hits), strict=True
        ):
            for place in holders[value]:
                who = int(persons.ids[place])
                if (unit, who) not in self._apart and confirms(record, traits[place]):
                    confirmed[unit].add(who)
        return {unit: sorted(who) for unit, who in confirmed.items()}
