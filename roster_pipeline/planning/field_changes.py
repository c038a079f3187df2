"""Which fields of a person, a membership and a contact differ between roster and directory.

A contact that the SIS excludes is removed in the same sync, even against auto update, holds and windows, for active and
archived students alike, and for students who are excluded from the sync. So the rest of the plan is made as if that
contact were gone already.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, filled, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of, numbers_of, places_of
from roster_pipeline.identity.names import name_key
from roster_pipeline.vocabulary import (
    CONTACT,
    CONTACT_EXCLUDED,
    CONTACT_FIELDS,
    MEMBERSHIP_FIELDS,
    MORE_CONTACTS,
    PERSON_FIELDS,
    STUDENT_CONTACTS,
)

PRIMARY = "primary_record"
"""The change of a row that moves the primary link: from the old sourcedId (or null) to the new one."""
_ID_ALONE = r'\["(?:[^"\\]|\\.)*"\]'
"""In MORE_CONTACTS, a contact with only an id: the SIS names it but did not deliver it."""

_COPIES = 3
"""So many people may get one new name. Brothers and sisters who do have had few different ones."""


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
    """For each field, the value in the directory (have), the value in the roster (want), and in which rows they
    differ."""

    have: dict[str, Array]
    want: dict[str, Array]
    differ: dict[str, Flags]

    def any_of(self, names: Iterable[str]) -> Flags:
        """The rows in which at least one of these fields differs."""
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
            has = filled(taken(strings(roster["number"]), sides.fields))
            differences.differ["number"] |= has & ~np.logical_and(*stored_numbers(roster, directory, sides))
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


def stored_numbers(roster: pd.DataFrame, directory: DirectoryFrames, sides: BeforeAfter) -> tuple[Flags, Flags]:
    """Whether each stored number has the same kind as the roster's, and whether it is of this connection. Otherwise an
    equal number means something else."""
    people = directory.people
    stored, wanted = strings(people["number_kind"]), strings(roster["number_kind"])
    own = np.append(flags_of(people["number_connection_id"] == directory.connection_id), False)
    return truth(pc.equal(taken(stored, sides.person), taken(wanted, sides.fields))), own[sides.person]


def _keep_locked(differences: Differences, people: pd.DataFrame, person: Ints) -> None:
    """A locked field keeps its value, so it never differs."""
    locks = people["locked_fields"].tolist()
    holders = np.flatnonzero(np.fromiter(map(len, locks), dtype=np.int64, count=len(locks))).tolist()
    for name in {name for place in holders for name in locks[place]} & set(differences.differ):
        holds = np.zeros(len(locks) + 1, dtype=bool)
        holds[[place for place in holders if name in locks[place]]] = True
        differences.differ[name] &= ~holds[person]


def without_excluded(directory: DirectoryFrames, excluded: pd.DataFrame) -> tuple[DirectoryFrames, pd.DataFrame]:
    """The directory without the contacts that nobody may call, and a plan row (without `row`) for each student who had
    one.

    excluded: `EXCLUDED_COLUMNS`. The rows have the role `contact`; their `sourced_ids` are those of the contacts.
    """
    if excluded.empty or directory.members.empty:
        return directory, pd.DataFrame()
    members = directory.members
    of_everybody = strings(excluded["sourced_id"][excluded["student_id"].isna()])
    of_some = _by_person(directory, excluded[excluded["student_id"].notna()])
    stored = {name: strings(members[name]) for name in STUDENT_CONTACTS}
    who = stored["contact_sourced_id"]
    primary = filled(who) & truth(pc.is_in(who, value_set=of_everybody))
    places = places_of(np.array(list(of_some), dtype=np.int64), members)
    barred = {place: ids for place, ids in zip(places.tolist(), of_some.values(), strict=True) if place >= 0}
    for place, theirs in barred.items():
        primary[place] |= who[place].as_py() in theirs
    more, gone = _more_without(stored[MORE_CONTACTS], set(of_everybody.to_pylist()), barred)
    hit = np.flatnonzero(primary | np.isin(np.arange(len(members)), list(gone)))
    if not len(hit):
        return directory, pd.DataFrame()
    kept = {name: pc.if_else(pa.array(primary), pa.scalar(None, TEXT), stored[name]) for name in CONTACT_FIELDS}
    kept[MORE_CONTACTS] = more
    ids: list[list[str]] = []
    changes: list[dict[str, Any]] = []
    for place in hit.tolist():
        own = [who[place].as_py()] if primary[place] else []
        ids.append([*own, *gone.get(place, ())])
        pairs = {name: [array[place].as_py(), kept[name][place].as_py()] for name, array in stored.items()}
        changes.append({name: pair for name, pair in pairs.items() if pair[0] != pair[1]})
    columns = {name: column_of(array) for name, array in kept.items()}
    return replace(directory, members=members.assign(**columns)), _rows(directory, hit, ids, changes)


def keep_undelivered(differences: Differences, most: int) -> None:
    """Keep the stored values of contacts that the SIS names but did not deliver. most: how many a student may have.

    If the primary one is among them, it stays the primary one, and those who were delivered come after it.
    """
    want, have = differences.want[MORE_CONTACTS], differences.have[MORE_CONTACTS]
    rows = truth(pc.match_substring_regex(want, pattern=_ID_ALONE))
    if not rows.any():
        return
    stays = np.zeros(len(rows), dtype=bool)
    with_stored: list[str | None] = []
    for place in np.flatnonzero(rows).tolist():
        wanted, stored = json.loads(want[place].as_py()), json.loads(have[place].as_py() or "[]")
        if [differences.have["contact_sourced_id"][place].as_py()] in wanted:
            stays[place] = True
            wanted = [[differences.want[name][place].as_py() for name in CONTACT_FIELDS], *wanted]
        with_stored.append(_with_stored(wanted, stored, most - 1))
    suppress(differences, stays, CONTACT_FIELDS)
    differences.want[MORE_CONTACTS] = pc.replace_with_mask(want, pa.array(rows), pa.array(with_stored, TEXT))
    same = [new == old for new, old in zip(with_stored, have.filter(pa.array(rows)).to_pylist(), strict=True)]
    differences.differ[MORE_CONTACTS][np.flatnonzero(rows)[same]] = False


def _with_stored(wanted: list[list[str | None]], stored: list[list[str | None]], most: int) -> str | None:
    by_id = {each[0]: each for each in stored}
    contacts = [each if len(each) > 1 else by_id.get(each[0]) for each in wanted]
    present = [each for each in contacts if each is not None]
    if sorted(map(str, present)) == sorted(map(str, stored)):
        present = stored
    return _listed(present[:most])


def _listed(contacts: list[list[str | None]]) -> str | None:
    """MORE_CONTACTS in the format of the database."""
    return json.dumps(contacts, ensure_ascii=False) if contacts else None


def _by_person(directory: DirectoryFrames, excluded: pd.DataFrame) -> dict[int, set[str]]:
    """For each person, the contacts that one of their records excludes for them."""
    links = directory.own_links.set_index("sourced_id")["person_id"]
    contacts: dict[int, set[str]] = {}
    of_people = excluded[excluded["student_id"].isin(links.index)]
    for student, contact in zip(of_people["student_id"].tolist(), of_people["sourced_id"].tolist(), strict=True):
        contacts.setdefault(int(links[student]), set()).add(contact)
    return contacts


def _more_without(
    stored: Array, of_everybody: set[str], barred: dict[int, set[str]]
) -> tuple[Array, dict[int, list[str]]]:
    """MORE_CONTACTS without the excluded contacts, and the ids of the excluded ones, by place in the frame."""
    gone: dict[int, list[str]] = {}
    there = np.flatnonzero(filled(stored)) if of_everybody or barred else ()
    remaining: dict[int, str | None] = {}
    for place in there:
        contacts = json.loads(stored[int(place)].as_py())
        out = [each[0] for each in contacts if each[0] in of_everybody or each[0] in barred.get(int(place), ())]
        if out:
            gone[int(place)] = out
            remaining[int(place)] = _listed([each for each in contacts if each[0] not in out])
    if not remaining:
        return stored, gone
    mask: Flags = np.isin(np.arange(len(stored)), list(remaining))
    return pc.replace_with_mask(
        stored, pa.array(mask), pa.array([remaining[at] for at in sorted(remaining)], TEXT)
    ), gone


def _rows(directory: DirectoryFrames, hit: Any, ids: list[list[str]], changes: list[dict[str, Any]]) -> pd.DataFrame:
    members = directory.members
    who = numbers_of(members.index)[hit]
    people = numbers_of(directory.people["revision"].reindex(who))
    nothing = column_of(blanks(len(hit)))
    return pd.DataFrame(
        {
            "action": pd.Series("update", index=range(len(hit)), dtype="str"),
            "reason": pd.Series(CONTACT_EXCLUDED, index=range(len(hit)), dtype="str"),
            "role": pd.Series(CONTACT, index=range(len(hit)), dtype="str"),
            "person_id": pd.array(who, dtype="Int64"),
            "sourced_ids": pd.Series(ids, dtype=object),
            "new_links": pd.Series([[] for _ in ids], dtype=object),
            "matched_by": nothing,
            "changes": pd.Series(changes, dtype=object),
            "number_kind": nothing,
            "absent_syncs": pd.array([None] * len(hit), dtype="Int64"),
            "person_revision": pd.array(people, dtype="Int64"),
            "membership_revision": pd.array(numbers_of(members["revision"])[hit], dtype="Int64"),
            "witness": nothing,
        }
    )


def copied_names(changes: Mapping[int, Mapping[str, list[Any]]]) -> set[int]:
    """People whose given or family names all become one name, although more than a few of them were different.

    A spreadsheet does this to a column if somebody drags a cell. If one of the two names stands in the other, it does
    not count, because that is how a middle name moves to another field.
    """
    copied = set[int]()
    for name in ("given_name", "family_name"):
        became: dict[str, dict[int, str]] = defaultdict(dict)
        for who, of_person in changes.items():
            old, new = map(name_key, of_person.get(name, ("", "")))
            if old and new and old not in new and new not in old:
                became[new][who] = old
        copied |= {who for olds in became.values() if len(set(olds.values())) > _COPIES for who in olds}
    return copied
