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

from roster_pipeline.directory_frames import DirectoryFrames, flags_of
from roster_pipeline.frames import Array, Flags, Ints, column_of, filled, repeated, strings, taken, truth
from roster_pipeline.identity.evidence import MatchKeys, weigh
from roster_pipeline.identity.identity_groups import LAST_PRESENT, NOBODY, ROLE_OFF, IdentityGroups, record_conflicts
from roster_pipeline.identity.match_keys import (
    Named,
    bare_numbers,
    columns_of,
    named_people,
    numbered,
    record_match_keys,
)
from roster_pipeline.vocabulary import (
    ID_REUSED,
    MATCH_CONTRADICTED,
    OTHER_CONNECTION,
    STATUS_RANK,
    UNUSABLE,
)

BY = (None, "link", "number", "email")

_NONE, _LINK, _NUMBER, _EMAIL = range(4)

_SAYS_NOTHING = [STATUS_RANK[name] for name in (*UNUSABLE, "deleted")]
"""A record that could not be used, or is gone, gives its person no field."""


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
    here = units.standing[units.lead] <= LAST_PRESENT
    open_units = here & (person < 0)
    open_units[list(conflict)] = False
    if open_units.any() and len(directory.people):
        held = set(units.person[here[units.unit]].tolist())
        for unit, found in sorted(_Search(units, directory, open_units).found().items()):
            who = found.same
            if not who and units.standing[units.lead[unit]] <= ROLE_OFF:
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
        near = truth(pc.is_in(everyone, value_set=wanted, skip_nulls=True)) & (units.standing <= LAST_PRESENT)
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


def district_controlled(directory: DirectoryFrames) -> Ints:
    """The ids of the connections that only managers and operators may change."""
    connections = directory.connections
    return connections.loc[flags_of(connections["of_district"]), "connection_id"].to_numpy(dtype=np.int64)


def known_elsewhere(directory: DirectoryFrames) -> Ints:
    """The people whom another connection knows and this one does not: by a link, or by a membership entered by hand."""
    own = directory.connection_id
    known = [
        frame.loc[frame["connection_id"] != own, "person_id"].to_numpy(dtype=np.int64)
        for frame in (directory.links, directory.affiliations)
    ]
    elsewhere = np.unique(np.concatenate(known))
    if len(elsewhere):
        elsewhere = elsewhere[~np.isin(elsewhere, directory.own_links["person_id"].to_numpy(dtype=np.int64))]
    return elsewhere


def waits_for_manager(units: IdentityGroups, person: Ints, found: Flags, directory: DirectoryFrames) -> Flags:
    """Units whose match is not to be believed from this connection alone.

    person: of each unit. found: whether a number or an e-mail found them; what a link says needs no more evidence.
    """
    nobody = np.zeros(len(units), dtype=bool)
    trusted = district_controlled(directory)
    if not found.any() or directory.connection_id in trusted:
        return nobody
    doubted = found & np.isin(person, known_elsewhere(directory))
    rows = np.flatnonzero(doubted[units.unit])
    if not len(rows):
        return nobody
    people = directory.people
    place = pd.Index(people.index.to_numpy(dtype=np.int64)).get_indexer(pd.Index(person[units.unit[rows]]))
    given = np.isin(people["number_connection_id"].to_numpy(dtype=np.int64, na_value=-1), trusted)
    theirs = pc.if_else(pa.array(given), _numbers(people), None)
    same = truth(pc.equal(taken(_numbers(units.roster), rows), taken(theirs, place.astype(np.int64))))
    shown = nobody.copy()
    shown[units.unit[rows[same]]] = True
    return doubted & ~shown


def _numbers(frame: pd.DataFrame) -> Array:
    return numbered(strings(frame["number_kind"]), strings(frame["number"]))
