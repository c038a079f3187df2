"""Settled people: an earlier plan found no difference between their only record and the directory, and nothing relevant
has changed since. The next plan does not read or compare them.

A record without a person and without a row of the plan, such as that of a parent, is settled in the same way.

A pair of a record and its person stays settled while the record is the same, nothing of the person has changed, and
neither shares a key with a record or person that has to be planned. Keys are numbers, e-mails, user names, contacts,
spellings of ids, and everything by which somebody absent may be here. Then the pair would give the same row of the
plan, and no other row depends on it. A pair that shares a key is planned too.

Everything else that planning reads must be the same: settings, decisions of people, our code. The caller compares
these, and plans everybody if one has changed (`directory/plan_reuse.py`).
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import (
    TEXT,
    Array,
    Flags,
    Ints,
    filled,
    one_array,
    persons_of,
    positions,
    repeated,
    strings,
    taken,
    truth,
)
from roster_pipeline.identity.directory_frames import DirectoryFrames, numbers_of, places_of
from roster_pipeline.identity.identity_groups import status_ranks
from roster_pipeline.identity.match_keys import bare_numbers_of, persons_at
from roster_pipeline.identity.matching import bare_ids
from roster_pipeline.planning.moved_keys import CONTACT_KEYS
from roster_pipeline.planning.plan import Plan, says_nothing
from roster_pipeline.planning.plan_absent import comparable_rows, near_rows
from roster_pipeline.vocabulary import MORE_CONTACTS, UNREADABLE

OPEN, IDLE = -1, -2
"""In place of a person. OPEN: the record is planned. IDLE: the record has no person and no row in the plan, for example
a parent's."""
MOST_OPEN = 5
"""If more than one record in this many is not settled, everybody is planned, because there is little to save."""
_STEADY = (
    "equal", "auto_update_off", "role_off", "archived_by_hand", "excluded", "rejected_record", "unknown_org",
    "org_below",
)  # fmt: skip
"""Reasons that follow from record, person and settings alone, not from this night or other ones."""


def still_settled(roster: pd.DataFrame, before: pa.Table, people: Collection[int], records: Collection[str]) -> Ints:
    """The person of each row of a roster that is settled, or `IDLE`, else `OPEN`.

    before: the pairs of the last plan, a record (sourced_id) and its person (person_id) or `IDLE`. people, records:
    those that were changed since, or about whom somebody decided something.
    """
    place = positions(strings(roster["sourced_id"]), one_array(before["sourced_id"]))
    persons: Ints = np.append(before["person_id"].to_numpy(), OPEN)[place]
    same = place >= 0
    same &= ~np.isin(persons, np.fromiter(people, dtype=np.int64, count=len(people)))
    same &= ~truth(pc.is_in(strings(roster["sourced_id"]), value_set=pa.array(list(records), TEXT)))
    identity = numbers_of(roster["identity"])
    same &= ~repeated(pa.array(identity).cast(TEXT))
    return np.where(same, persons, OPEN)


def neighbours(roster: pd.DataFrame, settled: Flags, directory: DirectoryFrames) -> Flags:
    """The settled rows of a roster that share a key with a row or a person that is not settled. directory: the people
    who are not settled."""
    keys, people = _Keys(roster), directory.people
    among = (
        (keys.numbers, bare_numbers_of(people)),
        (keys.emails, pc.utf8_lower(strings(people["email"]))),
        (keys.usernames, pc.utf8_lower(strings(people["username"]))),
    )
    unlinked = ~settled & ~truth(pc.is_in(keys.sourced_ids, value_set=strings(directory.own_links["sourced_id"])))
    spelled = _spelled(keys.sourced_ids, settled, unlinked)
    near = _near_absent(roster, settled, directory) | spelled
    gaining = _gaining(roster, ~settled & ~unlinked, directory)
    if unlinked.any():  # a new contact counts only for a known person
        rows = np.flatnonzero(unlinked)
        known = np.full(len(rows), bool(spelled.any()))
        for column, theirs in among[:2]:
            of_all = pa.concat_arrays([column.filter(pa.array(settled)), theirs])
            known |= truth(pc.is_in(column.take(pa.array(rows)), value_set=of_all, skip_nulls=True))
        gaining[rows[known]] = True
    for name in CONTACT_KEYS if gaining.any() else ():
        near |= _shared(pc.utf8_lower(strings(roster[name])), settled, gaining, pa.array([], TEXT))
    found, open_ = near, ~settled | near
    while True:  # whether a key counts depends on everybody who has it
        for column, theirs in among:
            found = found | _shared(column, settled, open_, theirs)
        if not (found & ~open_).any():
            return found & settled
        open_ = open_ | found


def _near_absent(roster: pd.DataFrame, settled: Flags, directory: DirectoryFrames) -> Flags:
    """The settled rows that may be one of the active members without a row of their own in the roster."""
    links = directory.own_links
    here = truth(pc.is_in(strings(links["sourced_id"]), value_set=strings(roster["sourced_id"])))
    people = numbers_of(directory.people.index)
    away = ~np.isin(people, directory.known_people[here]) & np.isin(people, numbers_of(directory.managed.index))
    absent = persons_at(directory, np.flatnonzero(away))
    near = np.zeros(len(roster), dtype=bool)
    if len(absent.ids):
        here = settled & comparable_rows(status_ranks(roster))
        near[near_rows(roster, here, absent, absent.match_keys())] = True
    return near


class _Keys:
    """The keys of the records of a roster, without differences of spelling."""

    def __init__(self, roster: pd.DataFrame) -> None:
        self.sourced_ids = strings(roster["sourced_id"])
        self.numbers = bare_numbers_of(roster)
        self.emails = strings(roster["email"])
        self.usernames = pc.utf8_lower(strings(roster["username"]))


def _spelled(sourced_ids: Array, settled: Flags, others: Flags) -> Flags:
    """The settled rows with the id of another row in another spelling."""
    if not others.any():
        return np.zeros(len(settled), dtype=bool)
    return _shared(bare_ids(sourced_ids), settled, others, pa.array([], TEXT))


def _gaining(roster: pd.DataFrame, rows: Flags, directory: DirectoryFrames) -> Flags:
    """Those of these rows whose contact differs from the stored one, or cannot be read."""
    at, links, members = np.flatnonzero(rows), directory.own_links, directory.members
    some = roster[["sourced_id", UNREADABLE, *CONTACT_KEYS]].iloc[at]
    person = directory.known_people[positions(strings(some["sourced_id"]), strings(links["sourced_id"]))]
    place = places_of(person, members)
    gains = filled(strings(some[UNREADABLE]))
    for name in CONTACT_KEYS:
        want, have = strings(some[name]), taken(strings(members[name]), place)
        gains |= filled(want) & ~truth(pc.equal(want, have))
    flags = np.zeros(len(roster), dtype=bool)
    flags[at[gains]] = True
    return flags


def _shared(column: Array, settled: Flags, others: Flags, more: Array) -> Flags:
    """The settled rows with a value that others, or `more`, have too."""
    wanted = pa.concat_arrays([column.filter(pa.array(others)), more])
    return settled & truth(pc.is_in(column, value_set=pc.unique(wanted), skip_nulls=True))


def settled_by(plan: Plan, roster: pd.DataFrame, directory: DirectoryFrames) -> Ints:
    """For each row of a roster: the person if the row is settled from now on, or `IDLE`, else `OPEN`.

    A row is settled if record and person have no difference, not even one that the plan leaves alone, and nobody
    decided anything about them. plan: made from this roster and directory.
    """
    flags: Flags = says_nothing(plan.rows) & plan.alike
    people, links = directory.people, directory.own_links
    person, of_links = persons_of(plan.rows), directory.known_people
    locks = people["locked_fields"].tolist()
    holders = np.flatnonzero(np.fromiter(map(len, locks), dtype=np.int64, count=len(locks)))
    several = of_links[repeated(pa.array(of_links).cast(TEXT))]
    decided = numbers_of(directory.exclusions["person_id"])
    flags &= ~np.isin(person, np.concatenate([numbers_of(people.index)[holders], several, decided]))

    ids = strings(roster["sourced_id"])
    of_rows = plan.rows["sourced_ids"].tolist()
    known = pa.concat_arrays([pa.array([one for each in of_rows for one in each], TEXT), strings(links["sourced_id"])])
    settled = np.where(truth(pc.is_in(ids, value_set=known)), OPEN, IDLE)
    records = pa.array([each[0] for each, flag in zip(of_rows, flags.tolist(), strict=True) if flag], TEXT)
    settled[positions(records, ids)] = person[flags]
    member = truth(pc.equal(strings(roster["record_status"]), "member")) & ~filled(strings(roster[UNREADABLE]))
    odd = filled(strings(roster["conflict"])) | (~member & (settled >= 0))
    odd |= truth(pc.is_in(ids, value_set=strings(directory.exclusions["sourced_id"])))
    odd |= repeated(pa.array(numbers_of(roster["identity"])).cast(TEXT))
    return np.where(odd, OPEN, settled)


def comes_again(plan: Plan, *, asked: bool) -> bool:
    """Whether the same roster and directory give the same rows in every night until a person decides something: the
    plan changes nobody, counts no absence, asks the SIS for nobody, and no evidence is in doubt.

    asked: whether the plan looked for people in the rosters of other schools. Then every record must be as its person:
    these rosters may decide about a difference, and the change log does not have them.
    """
    rows = plan.rows
    quiet = truth(pc.is_in(strings(rows["reason"]), value_set=pa.array(_STEADY, TEXT)))
    quiet &= truth(pc.equal(pc.fill_null(strings(rows["matched_by"]), "link"), "link"))
    quiet &= rows["absent_syncs"].isna().to_numpy() & rows["witness"].isna().to_numpy()
    return not plan.first_sync and bool(quiet.all()) and (not asked or bool(plan.alike.all()))


def one_contact(roster: pd.DataFrame) -> bool:
    """Whether no student of a roster has more than one contact."""
    return not filled(strings(roster[MORE_CONTACTS])).any()


def rows_of(roster: pd.DataFrame, column: str, values: Collection[Any]) -> Iterator[str]:
    """The sourcedIds of the rows that have one of these values."""
    wanted = pa.array(list(values), TEXT)
    yield from strings(roster["sourced_id"]).filter(pc.is_in(strings(roster[column]), value_set=wanted)).to_pylist()


def those_of_roster(
    people: Iterable[tuple[int, str | None, str | None, str | None, list[str]]], roster: pd.DataFrame
) -> list[int]:
    """Those of these people who share an e-mail, a number or an id with a record of the roster.

    people: number, e-mail, kind of number, number without differences of spelling, and the sourcedIds of their records.
    """
    listed = list(people)
    if not listed:
        return []
    who, emails, kinds, numbers, ids = zip(*listed, strict=True)
    numbered = [None if None in pair else f"{pair[0]}\x1f{pair[1]}" for pair in zip(kinds, numbers, strict=True)]
    some = truth(pc.is_in(pa.array(emails, TEXT), value_set=pc.utf8_lower(strings(roster["email"])), skip_nulls=True))
    some |= truth(pc.is_in(pa.array(numbered, TEXT), value_set=bare_numbers_of(roster), skip_nulls=True))
    known = set(pc.drop_null(pc.unique(pa.array([one for each in ids for one in each], TEXT))).to_pylist())
    known &= set(rows_of(roster, "sourced_id", known))
    some |= np.fromiter((not known.isdisjoint(each) for each in ids), dtype=bool, count=len(ids))
    return [int(one) for one in np.array(who)[some]]
