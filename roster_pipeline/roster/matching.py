"""Who of the directory each human of the snapshot is.

In this order: a link; the number, of the same kind and connection, where name or e-mail agrees; an e-mail that exactly
one person and one human of the snapshot have, where the name agrees. A name never matches by itself.

An e-mail is weaker evidence than a number, for families share one. So it does not match where the numbers contradict,
nor where only the family name agrees and the person is linked to another record of this SIS already: that is a
brother or a sister far more often than the same human.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.roster.directory_frames import DirectoryFrames
from roster_pipeline.roster.frames import TEXT, Array, Ints, filled, strings, truth
from roster_pipeline.roster.merging import NUMBER_SHARED
from roster_pipeline.roster.names import name_key
from roster_pipeline.roster.units import PROTECTED, Units, number_conflicts

BY = (None, "link", "number", "email")
_NONE, _LINK, _NUMBER, _EMAIL = range(4)
_KEYS = ("given_name", "family_name", "preferred_given_name", "preferred_family_name")


@dataclass(frozen=True)
class Matched:
    """person: of each unit, or -1. by: place in `BY`. conflict: unit to reason. doubtful: persons in any conflict."""

    person: Ints
    by: Ints
    conflict: dict[int, str]
    doubtful: frozenset[int]


@dataclass(frozen=True)
class _Traits:
    """What one record or person is known by; names as keys."""

    given: frozenset[str]
    family: frozenset[str]
    email: str | None
    number: str | None
    linked: bool = False

    def names_agree(self, other: _Traits) -> bool:
        return bool(self.given & other.given or self.family & other.family)

    def confirms_number(self, other: _Traits) -> bool:
        return self.names_agree(other) or (self.email is not None and self.email == other.email)

    def confirms_email(self, person: _Traits) -> bool:
        if not self.names_agree(person) or _contradict(self.number, person.number):
            return False
        return bool(self.given & person.given) or not person.linked


def match(units: Units, directory: DirectoryFrames) -> Matched:
    """Match every unit; units whose human is gone are matched by link only."""
    person, several = units.linked()
    by = np.where(person >= 0, _LINK, _NONE)
    conflict = dict.fromkeys(np.flatnonzero(number_conflicts(units)).tolist(), NUMBER_SHARED)
    conflict |= dict.fromkeys(np.flatnonzero(several).tolist(), "several_matches")
    doubtful = {
        int(who) for unit in np.flatnonzero(several).tolist() for who in units.person[units.rows(unit)] if who >= 0
    }

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
    conflict |= _taken(person, by, here)
    for unit in conflict:
        if person[unit] >= 0:
            doubtful.add(int(person[unit]))
    return Matched(person, by, conflict, frozenset(doubtful))


def _taken(person: Ints, by: Ints, here: Any) -> dict[int, str]:
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

    def __init__(self, units: Units, directory: DirectoryFrames, open_units: Any) -> None:
        self._units, self._directory = units, directory
        people = directory.people
        self._ids = people.index.to_numpy(dtype=np.int64)
        own = pa.array((people["number_connection_id"] == directory.connection_id).fillna(False).to_numpy(dtype=bool))
        self._numbers = pc.if_else(own, _numbered(people), None)
        self._emails = pc.utf8_lower(strings(people["email"]))
        self._rows = np.flatnonzero(open_units[units.unit])
        self._unit = units.unit[self._rows]
        self._linked = set(directory.own_links["person_id"].tolist())

    def found(self) -> list[tuple[int, int, list[int]]]:
        """(way, unit, persons) of every unit that matches somebody, in order of units."""
        some = self._units.roster.iloc[self._rows]
        numbers, emails = _numbered(some), strings(some["email"])
        told: dict[int, tuple[int, int, list[int]]] = {}
        for unit, who in self._agreeing(some, numbers, self._numbers, numbers, "confirms_number").items():
            told[unit] = (_NUMBER, unit, who)
        alone = pc.if_else(pa.array(self._alone(emails)), emails, None)
        single = pc.if_else(pa.array(~pd.Series(self._emails).duplicated(keep=False).to_numpy()), self._emails, None)
        for unit, who in self._agreeing(some, alone, single, numbers, "confirms_email").items():
            told.setdefault(unit, (_EMAIL, unit, who))
        return [told[unit] for unit in sorted(told)]

    def _alone(self, emails: Array) -> Any:
        """Where an e-mail belongs to one human of the whole snapshot, as far as its people are not gone."""
        units = self._units
        here = units.standing <= PROTECTED
        every = pd.DataFrame({"email": strings(units.roster["email"][here]).to_pandas(), "unit": units.unit[here]})
        holders = every.dropna().drop_duplicates()
        shared = strings(holders.loc[holders.duplicated("email"), "email"])
        return ~truth(pc.is_in(emails, value_set=shared))

    def _agreeing(
        self, some: pd.DataFrame, wanted: Array, among: Array, numbers: Array, rule: str
    ) -> dict[int, list[int]]:
        """Unit to the persons who have the wanted value and are confirmed by the rule."""
        hits = np.flatnonzero(truth(pc.and_(pc.is_in(wanted, value_set=among, skip_nulls=True), pc.is_valid(wanted))))
        if not len(hits):
            return {}
        taken = pa.array(hits)
        values = wanted.take(taken)
        near = np.flatnonzero(truth(pc.is_in(among, value_set=values, skip_nulls=True)) & filled(among))
        holders: dict[str, list[int]] = defaultdict(list)
        for value, place in zip(among.take(pa.array(near)).to_pylist(), near.tolist(), strict=True):
            holders[value].append(place)
        persons = dict(zip(near.tolist(), self._persons(near), strict=True))
        confirmed: dict[int, set[int]] = defaultdict(set)
        records = _traits(some.iloc[hits], strings(some["email"]).take(taken), numbers.take(taken))
        for unit, value, record in zip(self._unit[hits].tolist(), values.to_pylist(), records, strict=True):
            for place in holders[value]:
                if getattr(record, rule)(persons[place]):
                    confirmed[unit].add(int(self._ids[place]))
        return {unit: sorted(who) for unit, who in confirmed.items()}

    def _persons(self, places: Ints) -> list[_Traits]:
        some, taken = self._directory.people.iloc[places], pa.array(places)
        traits = _traits(some, self._emails.take(taken), self._numbers.take(taken))
        who = self._ids[places].tolist()
        return [
            _Traits(t.given, t.family, t.email, t.number, linked=person in self._linked)
            for t, person in zip(traits, who, strict=True)
        ]


def _traits(frame: pd.DataFrame, emails: Array, numbers: Array) -> list[_Traits]:
    given, family, preferred_given, preferred_family = (strings(frame[name]).to_pylist() for name in _KEYS)
    return [
        _Traits(_keys(one, two), _keys(three, four), email, number)
        for one, two, three, four, email, number in zip(
            given, preferred_given, family, preferred_family, emails.to_pylist(), numbers.to_pylist(), strict=True
        )
    ]


def _keys(*names: str | None) -> frozenset[str]:
    return frozenset(key for key in map(name_key, names) if key)


def _numbered(frame: pd.DataFrame) -> Array:
    """Kind and number in one text, missing where either is."""
    return pc.binary_join_element_wise(strings(frame["number_kind"]), strings(frame["number"]), pa.scalar("\x1f", TEXT))


def _contradict(one: str | None, other: str | None) -> bool:
    """Two numbers of one kind that differ."""
    if one is None or other is None:
        return False
    return one != other and one.split("\x1f")[0] == other.split("\x1f")[0]
