"""Keys that move between known people: values that one active person had until now and another known person gets.

A column that moved by a row, a wrong join, two records that changed places: each concerns a small share of a school,
but turns people into other people. So such rows are judged alone, even if they are few.

The notes of single rows say which keys another person has too. They also say how a person was recognised without a
link, and which records were joined.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, codes, persons_of, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of, numbers_of
from roster_pipeline.identity.evidence import bare
from roster_pipeline.identity.match_keys import bare_numbers, bare_numbers_of, numbered
from roster_pipeline.identity.matching import BY
from roster_pipeline.identity.names import name_key
from roster_pipeline.planning.field_changes import Differences, copied_names
from roster_pipeline.vocabulary import (
    ARCHIVE,
    CONTACT,
    CONTACT_FIELDS,
    CREATE,
    MORE_CONTACTS,
    STUDENT_CONTACTS,
    WRITING,
)

CONTACT_KEYS = {name: CONTACT_FIELDS.index(name) for name in ("contact_sourced_id", "contact_email", "contact_phone")}
"""The fields that identify a contact, each with its place in an entry of `MORE_CONTACTS`."""
_KEYS = {"number": "number", "email": "e-mail", "username": "username", "phone": "phone"}
"""For each field of a change, the word that people use for it."""
_SHARED_IN_A_FAMILY, _OF_A_HOUSEHOLD = ("email",), ("phone",)
"""Brothers and sisters share e-mails and contacts. People of different names share a phone, so it moves only if the
other person gives it up. A number or a username belongs to one person."""
_NAME = "id"
"""An id whose record carries another person's name, or number and username: the two records changed places."""
_WHOLE_NAMES = (("given_name", "family_name"), ("given_name", "family_name", "middle_name"))
"""Brothers and sisters may have one given name, and only the middle name tells them apart."""

Changes = dict[str, list[Any]]


@dataclass(frozen=True)
class Moved:
    """rows: which rows of the plan give somebody such a key. people: for each kind of key, how many people get one.

    identities: how many of them would become another person: they get the whole name that another member gave up, or
    both the number and the username of one other person. beside: rows that wait with them. They take a key or a
    name from the person who had it, or archive them: otherwise nobody would have it on the next night, and the row that
    was held would pass. Or they create somebody with a key of an active member.
    """

    rows: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    people: dict[str, int] = field(default_factory=dict)
    identities: int = 0
    beside: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))


def moved_keys(rows: pd.DataFrame, directory: DirectoryFrames) -> Moved:
    """Find the moved keys in the rows of a plan. It loops only over rows with changes. Holders are found by column."""
    person, action = persons_of(rows), rows["action"].to_numpy(dtype=object)
    people = (person >= 0) & (rows["role"].to_numpy(dtype=object) != CONTACT)
    writes = people & np.isin(action, WRITING)
    of_rows, kind = rows["changes"].to_numpy(dtype=object), rows["number_kind"].to_numpy(dtype=object)
    changes: dict[int, Changes] = dict(zip(person[writes].tolist(), of_rows[writes], strict=True))
    kinds = dict(zip(person[writes].tolist(), kind[writes], strict=True))
    moved: dict[str, set[int]] = defaultdict(set)
    taken_from: dict[str, dict[int, set[int]]] = defaultdict(dict)
    names = _Names(directory, changes)
    absent = set(person[people & rows["matched_by"].isna().to_numpy()].tolist())
    moved["contact"], givers = _of_contacts(absent, directory, changes, names)
    moved["name"] = copied_names(changes)
    for name, word in _KEYS.items():
        gained = [
            (who, _key(name, of_person[name][1], kinds[who]))
            for who, of_person in changes.items()
            if name in of_person and of_person[name][1] is not None
        ]
        holders = _holders(directory, name, [key for _, key in gained])
        for who, key in gained:
            others = taken_from[name][who] = {other for other in holders.get(key, ()) if other != who}
            shared, may_be_shared = name in _OF_A_HOUSEHOLD, name in _SHARED_IN_A_FAMILY
            taken_now = {
                holder
                for holder in others
                if name in changes.get(holder, {}) or not (shared or (may_be_shared and names.one_family(who, holder)))
            }
            if taken_now:
                moved[word].add(who)
                givers |= {holder for holder in taken_now if holder in absent or name in changes.get(holder, ())}
    numbers, usernames = taken_from["number"], taken_from["username"]
    moved[_NAME] = {who for who, others in numbers.items() if others & usernames.get(who, set())}
    for whole in _WHOLE_NAMES:
        for who, others in _swapped(absent, directory, changes, names, whole).items():
            moved[_NAME].add(who)
            givers |= others
    flags = writes & np.isin(person, list(set().union(*moved.values())))
    beside = people & np.isin(action, (*WRITING, ARCHIVE)) & np.isin(person, list(givers))
    if flags.any():
        beside |= _taken_by_newcomers(rows, (person < 0) & (action == CREATE), directory, names)
    return Moved(flags, {word: len(who) for word, who in moved.items() if who}, len(moved[_NAME]), beside)


class _Names:
    """Names before and after this plan, as keys."""

    def __init__(self, directory: DirectoryFrames, changes: dict[int, Changes]) -> None:
        self._people, self._changes = directory.people, changes

    def one_family(self, who: int, other: int) -> bool:
        """Whether the new family name of one person is the old family name of the other."""
        mine, theirs = self.after(who, "family_name"), self.before(other, "family_name")
        return bool(mine) and mine == theirs

    def before(self, who: int, name: str) -> str:
        return name_key(self._columns[name].get(who))

    def after(self, who: int, name: str) -> str:
        changed = self._changes.get(who, {}).get(name)
        return self.before(who, name) if changed is None else name_key(changed[1])

    @cached_property
    def _columns(self) -> dict[str, dict[int, str | None]]:
        ids = self._people.index.tolist()
        return {name: dict(zip(ids, strings(self._people[name]).to_pylist(), strict=True)) for name in _WHOLE_NAMES[-1]}


def _taken_by_newcomers(rows: pd.DataFrame, new: Flags, directory: DirectoryFrames, names: _Names) -> Flags:
    """The creations with a key of an active member, unless it is an e-mail of their family."""
    found, active, places = np.zeros(len(rows), dtype=bool), set(directory.active_people.tolist()), np.flatnonzero(new)
    creations = list(zip(places.tolist(), rows["changes"].iloc[places], rows["number_kind"].iloc[places], strict=True))
    for name in _KEYS.keys() - _OF_A_HOUSEHOLD:
        wanted = [
            (place, _key(name, fields[name][1], kind), name_key(fields.get("family_name", ("", None))[1]))
            for place, fields, kind in creations
            if fields.get(name, (None, None))[1] is not None
        ]
        holders = _holders(directory, name, [key for _, key, _ in wanted])
        for place, key, family in wanted:
            others = active.intersection(holders.get(key, ()))
            shared = name in _SHARED_IN_A_FAMILY
            found[place] |= any(not (shared and names.before(other, "family_name") == family) for other in others)
    return found


def _key(name: str, value: str, kind: str | None) -> str:
    return bare(f"{kind}\x1f{value}") if name == "number" else value.lower()


def _holders(directory: DirectoryFrames, name: str, wanted: Iterable[str]) -> dict[str, list[int]]:
    """For each key, the known people who have it. People who left this school do not count."""
    keys = pa.array(sorted(set(wanted)), TEXT)
    if not len(keys):
        return {}
    have = _keys_of_people(directory, name)
    who = numbers_of(directory.people.index)
    left = numbers_of(directory.members.index[~directory.active])
    places = np.flatnonzero(truth(pc.is_in(have, value_set=keys)) & ~np.isin(who, left))
    holders: dict[str, list[int]] = {}
    for key, person_id in zip(have.take(pa.array(places)).to_pylist(), who[places].tolist(), strict=True):
        holders.setdefault(key, []).append(person_id)
    return holders


def _keys_of_people(directory: DirectoryFrames, name: str) -> Array:
    """Each person's number of this connection with its kind, e-mail or username, without differences of spelling."""
    people = directory.people
    if name != "number":
        return pc.utf8_lower(strings(people[name]))
    own = flags_of(people["number_connection_id"] == directory.connection_id)
    return pc.if_else(pa.array(own), bare_numbers_of(people), None)


def _of_contacts(
    absent: set[int], directory: DirectoryFrames, changes: dict[int, Changes], names: _Names
) -> tuple[set[int], set[int]]:
    """Students who get a contact that another member had until now, if the two are not siblings. And who gives one up.

    All places count. A contact that changes its place with the same student is not new to them.
    """
    touched = {who for who, of_person in changes.items() if any(name in of_person for name in STUDENT_CONTACTS)}
    if not touched:
        return set(), set()
    members = directory.members.loc[directory.active, list(STUDENT_CONTACTS)]
    stored = dict(zip(members.index.tolist(), members.astype(object).to_dict("records"), strict=True))
    after = {who: _keys_of({**stored.get(who, {}), **_new(changes[who])}) for who in touched}
    gained: dict[str, list[int]] = defaultdict(list)
    for who in touched:
        for key in after[who] - _keys_of(stored.get(who, {})):
            gained[key].append(who)
    moved, givers = set[int](), set[int]()
    for holder, contacts in stored.items() if gained else ():
        for key in _keys_of(contacts) & gained.keys():
            kept = key in after.get(holder, {key})
            taken_by = {who for who in gained[key] if who != holder and not (kept and names.one_family(who, holder))}
            moved |= taken_by
            if taken_by and (holder in absent or not kept):
                givers.add(holder)
    return moved, givers


def _new(changes: Changes) -> dict[str, Any]:
    return {name: pair[1] for name, pair in changes.items() if name in STUDENT_CONTACTS}


def _keys_of(contacts: dict[str, Any]) -> set[str]:
    """The keys of the contacts of one student: of the primary contact and of those after it."""
    more = contacts.get(MORE_CONTACTS)
    listed = [[contacts.get(name) for name in CONTACT_FIELDS], *(json.loads(more) if isinstance(more, str) else ())]
    return {
        f"{name} {contact[place].lower()}"
        for contact in listed
        for name, place in CONTACT_KEYS.items()
        if place < len(contact) and isinstance(contact[place], str)
    }


def _swapped(
    absent: set[int], directory: DirectoryFrames, changes: dict[int, Changes], names: _Names, whole: tuple[str, ...]
) -> dict[int, set[int]]:
    """People who take the whole name of other active members, with those who get another name or are not in the roster.

    whole: the fields that make up a name. Only people who have all of them count.
    """
    renamed = [who for who, of_person in changes.items() if not of_person.keys().isdisjoint(whole)]
    if not renamed:
        return {}
    active = set(directory.active_people.tolist())

    def name_of(who: int, when: Callable[[int, str], str]) -> tuple[str, ...]:
        return tuple(when(who, name) for name in whole)

    given_up: dict[tuple[str, ...], set[int]] = {}
    for who in {*renamed, *absent} & active:
        name = name_of(who, names.before)
        if all(name) and (who not in changes or name != name_of(who, names.after)):
            given_up.setdefault(name, set()).add(who)
    taken_by = ((who, given_up.get(name_of(who, names.after), set()) - {who}) for who in renamed)
    return {who: others for who, others in taken_by if others}


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
    flags += [(f"found_by_{way}", by == BY.index(way)) for way in ("number", "email", "id")]
    for name in ("number", "username", "email"):
        rows = np.flatnonzero(follows & differences.differ[name])
        of_another = np.zeros(len(person), dtype=bool)
        if len(rows) and len(directory.people):
            wanted = taken(differences.want[name], rows)
            numbers = name == "number"
            wanted = numbered(taken(kinds, rows), bare_numbers(wanted)) if numbers else pc.utf8_lower(wanted)
            of_another[rows] = _another_has(directory, name, wanted, person[rows])
        flags.append((f"{name}_of_another", of_another))
    notes = np.full(len(person), None, dtype=object)
    for note, where in flags:
        for place in np.flatnonzero(where).tolist():
            notes[place] = f"{notes[place]} {note}" if notes[place] else note
    return pa.array(notes, TEXT)


def _another_has(directory: DirectoryFrames, name: str, wanted: Array, person: Ints) -> Flags:
    """The rows whose wanted value already belongs to a person with a record who is not the person of the row."""
    theirs = _keys_of_people(directory, name)
    near = np.flatnonzero(truth(pc.is_in(theirs, value_set=wanted, skip_nulls=True)))
    ids = numbers_of(directory.people.index)[near]
    linked = np.isin(ids, numbers_of(directory.links["person_id"]))
    if not linked.any():
        return np.zeros(len(wanted), dtype=bool)
    numbers, _ = codes(pa.concat_arrays([wanted, theirs.take(pa.array(near))]))
    rows = pd.DataFrame({"value": numbers[: len(wanted)], "person": person, "row": np.arange(len(wanted))})
    holders = pd.DataFrame({"value": numbers[len(wanted) :], "holder": ids})[linked]
    met = rows[rows["value"] >= 0].merge(holders, on="value")
    flags = np.zeros(len(wanted), dtype=bool)
    flags[met.loc[met["holder"] != met["person"], "row"].to_numpy()] = True
    return flags
