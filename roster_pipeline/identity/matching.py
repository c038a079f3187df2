"""Finds which person of the directory each identity of the snapshot is.

In this order: by a link; by a number of the same kind and connection, or by an e-mail that exactly one person and one
identity of the snapshot have, if the table of evidence says that they are one person (`Evidence.same`); by a link to
the sourcedId in another spelling, if the whole name is the same and nothing speaks against it. A name never matches
alone. If the two seem to be one person but something strong speaks against it, it is a conflict
(`match_contradicted`). So are a new record and an absent or lately archived member of one name, even if all keys
differ: a school may enter somebody again. A link is one if everything else speaks against it (`reassigned_ids`).

An identity is never matched to a person if somebody unlinked one of its records from them.

Some matches wait for the district's manager. The owner of a school may write any name and e-mail into a connection that
the school controls. So a match from such a connection to a person of another connection needs a number that a
connection of the district gave. A connection of the district is trusted with every match.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Array, Flags, Ints, repeated, strings, taken, truth
from roster_pipeline.identity.deduplication import of_several
from roster_pipeline.identity.directory_frames import DirectoryFrames, places_of
from roster_pipeline.identity.evidence import Evidence, MatchKeys, weigh
from roster_pipeline.identity.identity_groups import LAST_PRESENT, NOBODY, ROLE_OFF, IdentityGroups, record_conflicts
from roster_pipeline.identity.match_keys import Persons, bare_numbers_of, of_many, persons_at, record_match_keys
from roster_pipeline.identity.reassigned_ids import reassigned_ids
from roster_pipeline.vocabulary import ID_REASSIGNED, MATCH_CONTRADICTED, OTHER_CONNECTION, STATUS_RANK

BY = (None, "link", "number", "email", "id", "name")
"""The ways in which a person can be found. By name only as a conflict."""
_NONE, _LINK, _NUMBER, _EMAIL, _ID, _NAME = range(6)

_GUID = r"^\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$"
"""In any other id, hyphens count: `1-23` and `12-3` are two ids."""


@dataclass(frozen=True)
class Matched:
    """person: of each identity, or -1. by: index in `BY`. conflict: identity to reason. doubtful: persons that several
    records may belong to.
    """

    person: Ints
    by: Ints
    conflict: dict[int, str]
    doubtful: frozenset[int]

    @cached_property
    def reassigned(self) -> Flags:
        """Which identities have a record that seems to be somebody else's now."""
        theirs = [identity for identity, reason in self.conflict.items() if reason == ID_REASSIGNED]
        flags: Flags = np.isin(np.arange(len(self.person)), theirs)
        return flags


@dataclass
class _Candidates:
    """The persons that one identity is (same) or seems to be (doubtful), each with the way we found them."""

    same: dict[int, int]
    doubtful: dict[int, int]


def match(identities: IdentityGroups, directory: DirectoryFrames) -> Matched:
    """Match every identity. Identities that are gone are matched by link only."""
    person, several = identities.linked()
    conflict = record_conflicts(identities)
    conflict |= dict.fromkeys(np.flatnonzero(reassigned_ids(identities, directory)).tolist(), ID_REASSIGNED)
    conflict |= dict.fromkeys(np.flatnonzero(several).tolist(), "several_matches")
    conflict |= dict.fromkeys(identities.identity[identities.either].tolist(), "several_matches")
    doubtful = {
        int(who)
        for identity in np.flatnonzero(several).tolist()
        for who in identities.person[identities.rows(identity)]
        if who >= 0
    }
    person[several] = NOBODY
    by = np.where(person >= 0, _LINK, _NONE)
    here = identities.record_status[identities.lead] <= LAST_PRESENT
    open_identities = here & (person < 0)
    open_identities[list(conflict)] = False
    if open_identities.any() and len(directory.people):
        found = _Search(identities, directory, open_identities).found()
        doubted = np.array([who for candidates in found.values() for who in candidates.doubtful], dtype=np.int64)
        held = set(doubted[np.isin(doubted, identities.person[here[identities.identity]])].tolist())
        for identity, candidates in sorted(found.items()):
            who = candidates.same
            if not who and identities.record_status[identities.lead[identity]] <= ROLE_OFF:
                # a person with a record of their own in this snapshot does not contradict this one
                who = {person_id: way for person_id, way in candidates.doubtful.items() if person_id not in held}
            if len(who) == 1:
                ((person[identity], by[identity]),) = who.items()
                if not candidates.same:
                    conflict[identity] = MATCH_CONTRADICTED
            elif who:
                conflict[identity] = "several_matches"
                doubtful |= set(who)
    waits = _waits_for_manager(identities, person, by >= _NUMBER, directory)
    conflict |= dict.fromkeys(np.flatnonzero(waits).tolist(), OTHER_CONNECTION)
    new = (identities.record_status[identities.lead] == STATUS_RANK["member"]) & (person < 0)
    new[list(conflict)] = False
    alive = identities.record_status <= STATUS_RANK["elsewhere"]
    others = np.fromiter((*doubtful, *directory.announced), dtype=np.int64)
    seen = np.concatenate([identities.person[alive], person[identities.identity[alive]], others])
    for identity, persons in _entered_again(identities, directory, np.flatnonzero(new), seen).items():
        if len(persons) == 1:
            person[identity], by[identity], conflict[identity] = persons.pop(), _NAME, MATCH_CONTRADICTED
        else:
            conflict[identity] = "several_matches"
            doubtful |= persons
    conflict |= _taken(person, by, here)
    return Matched(person, by, conflict, frozenset(doubtful))


def _waits_for_manager(identities: IdentityGroups, person: Ints, found: Flags, directory: DirectoryFrames) -> Flags:
    """Identities whose match this connection must not decide alone.

    person: the person of each identity. found: whether a number or an e-mail found the person; a link needs no further
    evidence.
    """
    waits = np.zeros(len(identities), dtype=bool)
    trusted = directory.trusted_connections
    if not found.any() or directory.connection_id in trusted:
        return waits
    waits = found & np.isin(person, directory.known_elsewhere)
    rows = np.flatnonzero(waits[identities.identity])
    if len(rows):
        people = directory.people
        place = places_of(person[identities.identity[rows]], people)
        given = np.isin(people["number_connection_id"].to_numpy(dtype=np.int64, na_value=-1), trusted)
        theirs = pc.if_else(pa.array(given), bare_numbers_of(people), None)
        same = truth(pc.equal(bare_numbers_of(identities.roster.iloc[rows]), taken(theirs, place)))
        waits[identities.identity[rows[same]]] = False
    return waits


def _entered_again(
    identities: IdentityGroups, directory: DirectoryFrames, new: Ints, seen: Ints
) -> dict[int, set[int]]:
    """New members, and the people who are missing in this school and may be the same, entered again with other keys.

    new: identities without a person. seen: people with a record in some school, and announced leavers.
    """
    absent = directory.lately_here
    absent = absent[np.isin(absent, directory.known_people) & ~np.isin(absent, seen)]
    if not len(new) or not len(absent):
        return {}
    named: dict[str, list[tuple[int, MatchKeys]]] = defaultdict(list)
    persons = persons_at(directory, places_of(absent, directory.people)).match_keys()
    for who, keys in zip(absent.tolist(), persons, strict=True):
        for name in keys.family | keys.whole:
            named[name].append((who, keys))
    found: dict[int, set[int]] = defaultdict(set)
    not_theirs = set(zip(*(identities.exclusions[name].tolist() for name in ("row", "person")), strict=True))
    rows = identities.lead[new]
    records = record_match_keys(identities.columns, rows)
    for identity, row, record in zip(new.tolist(), rows.tolist(), records, strict=True):
        for who, keys in (each for name in record.family | record.whole for each in named.get(name, ())):
            if (row, who) not in not_theirs and _may_go_on(weigh(record, keys)):
                found[identity].add(who)
    return found


def _may_go_on(weighed: Evidence) -> bool:
    """Whether a new record may be an absent member who goes on here: the family name is the same, the given name is or
    may be, and nothing that lasts differs."""
    named = "family" in weighed.agree and "given" in weighed.agree | weighed.unclear
    in_grade = weighed.goes_on or "grade" not in weighed.agree
    return named and in_grade and not weighed.differ & {"middle", "kind", "grade", "master"}


def _taken(person: Ints, by: Ints, here: Flags) -> dict[int, str]:
    """Identities whose person another identity has. A link wins. If two identities have no link, neither wins."""
    held = np.flatnonzero(here & (person >= 0))
    held = held[pd.Series(person[held]).duplicated(keep=False)]
    order = held[np.argsort(person[held], kind="stable")]
    taken: dict[int, str] = {}
    for place in np.flatnonzero(np.diff(person[order]) == 0):
        for identity in (order[place], order[place + 1]):
            if by[identity] != _LINK:
                taken[int(identity)] = "match_taken"
    return taken


class _Search:
    """Finds persons by number and by e-mail, for the identities without a link."""

    def __init__(self, identities: IdentityGroups, directory: DirectoryFrames, open_identities: Flags) -> None:
        self._identities, self._directory, self._people = identities, directory, directory.people
        self._columns = identities.columns
        self._rows = np.flatnonzero(open_identities[identities.identity])
        exclusions = identities.exclusions
        self._exclusions = set(
            zip(identities.identity[exclusions["row"]].tolist(), exclusions["person"].tolist(), strict=True)
        )

    def found(self) -> dict[int, _Candidates]:
        """The candidates of every identity that has some."""
        found: dict[int, _Candidates] = defaultdict(lambda: _Candidates({}, {}))
        for way, pairs in ((_NUMBER, self._by_number()), (_EMAIL, self._by_email()), (_ID, self._by_id())):
            for identity, record, who, person in pairs:
                if (identity, who) in self._exclusions:
                    continue
                weighed = weigh(record, person)
                by_id = way == _ID and bool(weighed.agree & {"given", "family"})
                same = weighed.same or (by_id and weighed.whole_name and not weighed.contradicted)
                if same and not self._spoken_against(identity, person):
                    found[identity].same.setdefault(who, way)
                elif same or weighed.doubtful or by_id:
                    found[identity].doubtful.setdefault(who, way)
        return found

    def _spoken_against(self, identity: int, person: MatchKeys) -> bool:
        """Whether one of several records of an identity cannot be this person."""
        rows = self._identities.rows(identity)
        return len(rows) > 1 and any(weigh(each, person).strong for each in record_match_keys(self._columns, rows))

    def _by_number(self) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """Spelling does not count here; `weigh` compares it."""
        wanted = bare_numbers_of({name: self._of_rows(self._columns[name]) for name in ("number_kind", "number")})
        theirs = bare_numbers_of(self._people)
        near = truth(pc.is_in(theirs, value_set=wanted, skip_nulls=True))
        persons = persons_at(self._directory, np.flatnonzero(near))
        numbers = persons.bare_numbers
        many = of_many(numbers, persons.columns["given_name"], persons.columns["family_name"])
        return self._pairs(wanted, persons, pc.if_else(pc.is_in(numbers, value_set=many), None, numbers))

    def _by_email(self) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """Find persons by an e-mail that only one person and one identity of the whole snapshot have.

        Identities that are gone do not count.
        """
        wanted, emails = self._of_rows(self._columns["email"]), pc.utf8_lower(strings(self._people["email"]))
        persons = persons_at(
            self._directory, np.flatnonzero(truth(pc.is_in(emails, value_set=wanted, skip_nulls=True)))
        )
        identities, everyone = self._identities, self._columns["email"]
        near = truth(pc.is_in(everyone, value_set=wanted, skip_nulls=True)) & (identities.record_status <= LAST_PRESENT)
        holders = everyone.filter(pa.array(near))
        shared = holders.filter(pa.array(of_several(holders, identities.identity[near])))
        alone = pc.if_else(pc.is_in(wanted, value_set=shared), None, wanted)
        single = pc.if_else(pa.array(repeated(persons.emails)), None, persons.emails)
        return self._pairs(alone, persons, single)

    def _by_id(self) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """Find active members by a link to the id in another spelling, if no other link and record has that id."""
        identities, links = self._identities, self._directory.own_links
        if links.empty:
            return iter(())
        wanted, theirs = bare_ids(self._of_rows(identities.sourced_ids)), bare_ids(strings(links["sourced_id"]))
        who = self._directory.known_people
        near = truth(pc.is_in(theirs, value_set=wanted))
        near[near] = ~repeated(theirs.filter(pa.array(near)))
        near &= np.isin(who, self._directory.active_people)
        if not near.any():
            return iter(())
        there = bare_ids(identities.sourced_ids.filter(pa.array(identities.record_status < STATUS_RANK["deleted"])))
        alone = pc.if_else(pc.is_in(wanted, value_set=there.filter(pa.array(repeated(there)))), None, wanted)
        persons = persons_at(self._directory, places_of(who[near], self._people))
        return self._pairs(alone, persons, theirs.filter(pa.array(near)))

    def _of_rows(self, column: Array) -> Array:
        return column.take(pa.array(self._rows))

    def _pairs(self, wanted: Array, persons: Persons, among: Array) -> Iterator[tuple[int, MatchKeys, int, MatchKeys]]:
        """Identity and record, person and match keys, for each wanted value that a person has."""
        holders: dict[str, list[int]] = defaultdict(list)
        for place, value in enumerate(among.to_pylist()):
            if value is not None:
                holders[value].append(place)
        hits = np.flatnonzero(truth(pc.is_in(wanted, value_set=among, skip_nulls=True)))
        if not len(hits):
            return
        match_keys = persons.match_keys()
        rows = self._rows[hits]
        for identity, value, record in zip(
            self._identities.identity[rows].tolist(),
            wanted.take(pa.array(hits)).to_pylist(),
            record_match_keys(self._columns, rows),
            strict=True,
        ):
            for place in holders[value]:
                yield identity, record, int(persons.ids[place]), match_keys[place]


def bare_ids(sourced_ids: Array) -> Array:
    """sourcedIds as NFC without capitals, and GUIDs without the braces and hyphens that some systems write."""
    plain = pc.utf8_lower(pc.utf8_normalize(sourced_ids, form="NFC"))
    return pc.replace_substring_regex(plain, pattern=_GUID, replacement=r"\1\2\3\4\5")
