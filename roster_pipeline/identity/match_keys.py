"""The match keys of records and of persons, made from columns, for the few records and persons that have to be compared
one by one.

A name never matches alone; it only confirms a number or an e-mail.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Ints, codes, joined, on_distinct, strings, taken, truth
from roster_pipeline.identity.directory_frames import MEMBERSHIP, DirectoryFrames, flags_of, numbers_of
from roster_pipeline.identity.evidence import MatchKeys, kind_of, year_of
from roster_pipeline.identity.names import name_key, name_keys, with_middle
from roster_pipeline.vocabulary import RECORD_STATUSES, STATUS_RANK

RECORD = (
    "sourced_id", "record_status", "role", "number_kind", "number", "master_identifier", "email", "username", "grade",
    "given_name", "family_name", "middle_name", "preferred_given_name", "preferred_family_name",
)  # fmt: skip
"""The columns of a roster that say who a record is."""

PERSON = ("number_kind", "number", "email", "username", *RECORD[-5:])
"""The columns of a person that say the same."""

MANY_NAMES = 3
"""A number, user name, `userMasterIdentifier` or e-mail of more different names than this is a placeholder (`9999`,
`TBD`, the login of a class). One person does not have so many names, and two people with one number are a conflict."""
_ALIVE = RECORD_STATUSES[: STATUS_RANK["elsewhere"] + 1]
_COMMON = {"username": ("given_name", "family_name"), "email": ("family_name",)}
"""Keys that many people may share, and the names that count for them: a large family has one e-mail."""

_MEMBER = "member"
"""The status of a record that is a member today, at the same time as others."""


@dataclass(frozen=True)
class Persons:
    """Persons, and the values by which we can find them. numbers: kind and number, if the number is of this
    connection."""

    directory: DirectoryFrames
    columns: Mapping[str, Array]
    ids: Ints
    numbers: Array
    emails: Array

    @property
    def bare_numbers(self) -> Array:
        """`numbers` without differences of spelling."""
        return pc.if_else(pc.is_valid(self.numbers), bare_numbers_of(self.columns), None)

    def match_keys(self) -> list[MatchKeys]:
        """The match keys of each person, in order."""
        if not len(self.ids):
            return []
        columns, links = self.columns, self.directory.own_links
        own = np.flatnonzero(np.isin(self.directory.known_people, self.ids))
        known = self.directory.known_people[own].tolist()
        ids = set(zip(known, strings(links["sourced_id"]).take(pa.array(own)).to_pylist(), strict=True))
        masters: dict[int, frozenset[str]] = {}
        of_links = strings(links["master_identifier"]).take(pa.array(own)).to_pylist()
        for person_id, master in zip(known, of_links, strict=True):
            if master is not None:
                masters[person_id] = masters.get(person_id, frozenset()) | {master}
        who, schooling = self.ids.tolist(), _schooling(self.directory, self.ids)
        otherwise = [(kind, None, 0, False) for kind in columns["number_kind"].to_pylist()]
        kind, year, years_ago, away = zip(*map(schooling.get, who, otherwise), strict=True)
        match_keys = map(
            MatchKeys,
            *_names(columns),
            self.emails.to_pylist(),
            self.numbers.to_pylist(),
            pc.utf8_lower(columns["username"]).to_pylist(),
            (masters.get(person_id, frozenset()) for person_id in who),
            map(ids.__contains__, zip(who, columns["number"].to_pylist(), strict=True)),
            kind,
            year,
            years_ago,
            repeat(None),
            np.isin(self.ids, numbers_of(self.directory.links["person_id"])).tolist(),
            away,
            map(name_key, columns["middle_name"].to_pylist()),
            np.isin(self.ids, self.directory.lately_here).tolist(),
            _written(columns),
        )
        return list(match_keys)


def record_match_keys(columns: Mapping[str, Array], rows: Ints) -> list[MatchKeys]:
    """The match keys of the records at these rows. columns: those of `RECORD`, with all rows of the roster."""
    at = pa.array(rows)
    some = {name: columns[name].take(at) for name in RECORD}
    username = pc.if_else(pc.equal(some["username"], some["sourced_id"]), None, pc.utf8_lower(some["username"]))
    seats = pc.if_else(pc.equal(some["record_status"], _MEMBER), some["role"], None)
    match_keys = map(
        MatchKeys,
        *_names(some),
        some["email"].to_pylist(),
        numbered(some["number_kind"], some["number"]).to_pylist(),
        username.to_pylist(),
        (frozenset((master,)) if master else frozenset() for master in some["master_identifier"].to_pylist()),
        truth(pc.equal(some["number"], some["sourced_id"])).tolist(),
        map(kind_of, some["role"].to_pylist()),
        map(year_of, some["grade"].to_pylist()),
        repeat(0),
        seats.to_pylist(),
        repeat(True),
        repeat(False),
        map(name_key, some["middle_name"].to_pylist()),
        repeat(False),
        _written(some),
    )
    return list(match_keys)


def columns_of(roster: pd.DataFrame) -> Mapping[str, Array]:
    """The columns that `record_match_keys` takes."""
    return without_common({name: strings(roster[name]) for name in RECORD})


def without_common(columns: Mapping[str, Array]) -> Mapping[str, Array]:
    """The columns without the keys of many people, which are not evidence."""
    alive = pc.is_in(columns["record_status"], value_set=pa.array(_ALIVE, TEXT))
    plain = {name: pc.utf8_lower(columns[name]) for name in _COMMON}
    common = {
        name: of_many(pc.if_else(alive, plain[name], None), *(columns[each] for each in names))
        for name, names in _COMMON.items()
    }
    return {
        **columns,
        **{
            name: pc.if_else(pc.is_in(plain[name], value_set=values), None, columns[name])
            for name, values in common.items()
            if len(values)
        },
    }


def of_many(values: Array, *names: Array) -> Array:
    """The values of rows with more than `MANY_NAMES` different names of one of these kinds."""
    numbers, distinct = codes(values)
    often = np.append(np.bincount(numbers[numbers >= 0], minlength=distinct) > MANY_NAMES, False)
    rows = np.flatnonzero(often[numbers])
    if not len(rows):
        return values[:0]
    at = pa.array(rows)
    keys = {str(place): map(name_key, each.take(at).to_pylist()) for place, each in enumerate(names)}
    frame = pd.DataFrame({"value": values.take(at).to_pylist(), **keys}).replace("", None)
    most = frame.groupby("value").nunique().max(axis=1)
    return pa.array(most.index[most > MANY_NAMES].tolist(), TEXT)


def persons_at(directory: DirectoryFrames, places: Ints) -> Persons:
    """The persons at these places of `directory.people`. A number counts if it is of this connection."""
    people = directory.people
    some = {name: taken(strings(people[name]), places) for name in PERSON}
    own = flags_of(people["number_connection_id"].iloc[places] == directory.connection_id)
    numbers = pc.if_else(pa.array(own), numbered(some["number_kind"], some["number"]), None)
    ids = numbers_of(people.index)[places]
    return Persons(directory, some, ids, numbers, pc.utf8_lower(some["email"]))


def numbered(kind: Array, number: Array) -> Array:
    """Kind and number in one text; missing if either is missing."""
    return joined(kind, number)


def bare_numbers(numbers: Array) -> Array:
    """Numbers without their kind, as `evidence.bare` makes them."""
    plain = pc.replace_substring(pc.utf8_lower(pc.utf8_normalize(numbers, form="NFKC")), pattern=" ", replacement="")
    return pc.utf8_ltrim(plain, characters="0")


def bare_numbers_of(columns: Mapping[str, Array] | pd.DataFrame) -> Array:
    """Kind and number of each row, without differences of spelling; missing if either is missing."""
    return numbered(strings(columns["number_kind"]), bare_numbers(strings(columns["number"])))


def name_keys_of(names: Iterable[Any]) -> Array:
    """The `name_key` of each name, missing for a name without letters."""
    return on_distinct(strings(names), lambda some: strings([name_key(name) or None for name in some.to_pylist()]))


def _written(columns: Mapping[str, Array]) -> Iterable[tuple[str | None, str | None]]:
    return zip(columns["given_name"].to_pylist(), columns["family_name"].to_pylist(), strict=True)


def _names(columns: Mapping[str, Array]) -> Iterable[Sequence[frozenset[str]]]:
    """The keys of the given names, and those of the family names."""

    def keys(*names: str) -> list[frozenset[str]]:
        together = zip(*(columns[name].to_pylist() for name in names), strict=True)
        return [name_keys(*of_one) for of_one in together]

    middle = map(name_key, columns["middle_name"].to_pylist())
    names = keys("given_name", "preferred_given_name"), keys("family_name", "preferred_family_name")
    return zip(*map(with_middle, *names, middle), strict=True) if names[0] else names


def _schooling(directory: DirectoryFrames, ids: Ints) -> dict[int, tuple[str | None, int | None, int, bool]]:
    """For each person: student or staff, school year of the grade, age of the grade in years, and whether they are
    away.

    From their active memberships; from archived ones if none is active.
    """
    members, elsewhere = directory.members, directory.elsewhere
    here = np.flatnonzero(np.isin(numbers_of(members.index), ids))
    by_person: dict[int, tuple[bool, set[str | None], int | None, int]] = {}
    for person_id, role, grade, status, years in chain(
        zip(members.index[here], *(members[name].array.take(here).tolist() for name in MEMBERSHIP[1:]), strict=True),
        zip(*(elsewhere[name].tolist() for name in MEMBERSHIP), strict=True),
    ):
        active, kind, year = status == "active", kind_of(role), year_of(grade if isinstance(grade, str) else None)
        was_active, kinds, was_year, was_years = by_person.get(int(person_id), (active, set(), None, 0))
        if active and not was_active:
            was_active, kinds, was_year, was_years = True, set(), None, 0
        if active == was_active:
            if was_year is None and year is not None:
                was_year, was_years = year, int(years)
            by_person[int(person_id)] = (was_active, kinds | {kind}, was_year, was_years)
    return {
        person_id: (next(iter(kinds)) if len(kinds) == 1 else None, year, years, not active)
        for person_id, (active, kinds, year, years) in by_person.items()
    }
