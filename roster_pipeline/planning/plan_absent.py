"""The rows of a plan for members whose people are not in the roster.

It looks only at active memberships that the sync manages, in a rostered role. Some people look absent but are not:
those whose record we could not use, those who may be in this snapshot under another record, and those that a list of
changes does not mention.

A person who may be in the snapshot does not count as gone, on less evidence than a match needs: if a SIS gives new ids,
the old id is missing in the list and for the second witness (`Evidence.may_stay`).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, blanks, column_of, filled, objects, strings, truth
from roster_pipeline.identity.directory_frames import flags_of, numbers_of, places_of
from roster_pipeline.identity.evidence import MatchKeys, bare, weigh
from roster_pipeline.identity.identity_groups import LAST_PRESENT
from roster_pipeline.identity.match_keys import (
    Persons,
    bare_numbers_of,
    name_keys_of,
    persons_at,
    record_match_keys,
)
from roster_pipeline.named_frames import part
from roster_pipeline.planning.decisions import PlanningContext
from roster_pipeline.vocabulary import LEFT_REASONS, STATUS_RANK

_LEFT = {STATUS_RANK[status]: reason for status, reason in LEFT_REASONS.items()}
"""For each status of the strongest record, the reason of the archival."""

_GIVEN = ("given_name", "preferred_given_name")

_FAMILY = ("family_name", "preferred_family_name")

_MIDDLE = "middle_name"


def absent_rows(context: PlanningContext) -> pd.DataFrame:
    """Plan rows (without `row`) of the absent people, in order of person."""
    members = _absent(context)
    if members.empty:
        return pd.DataFrame()
    who = numbers_of(members.index)
    links = _links(context, who)
    reason = _reasons(context, who)
    linked = np.array([bool(links.get(int(person))) for person in who], dtype=bool)
    listed = _said_to_leave(context, who) if context.snapshot.mode == "delta" else np.ones(len(who), dtype=bool)
    excluded = _of_people(context, who, "excluded").astype(bool)
    doubtful = np.isin(who, list(context.matched.doubtful)) | possibly_present(context, who)
    school = context.school
    archives = np.array([school.role(role).archive for role in members["role"]], dtype=bool)
    counted = numbers_of(members["absent_syncs"])
    waits = archives & (counted < school.guards.grace_syncs)

    skips: list[tuple[Flags, str]] = [
        (excluded, "excluded"),
        (doubtful, "in_conflict"),
        (~linked, "not_linked"),
        (~archives, "archive_off"),
        (waits, "grace"),
    ]
    conditions, slugs = [flags for flags, _ in skips], [slug for _, slug in skips]
    skip = np.logical_or.reduce(conditions)
    grace = (np.select(conditions, slugs, default="") == "grace") & context.snapshot.complete
    rows = pd.DataFrame(
        {
            "action": column_of(strings(np.where(skip, "skip", "archive"))),
            "reason": column_of(strings(np.where(skip, np.select(conditions, slugs, default=""), reason))),
            "role": column_of(strings(members["role"])),
            "person_id": pd.array(who, dtype="Int64"),
            "sourced_ids": objects([links.get(int(person), []) for person in who]),
            "new_links": objects([[] for _ in who]),
            "matched_by": column_of(blanks(len(who))),
            "notes": column_of(blanks(len(who))),
            "changes": objects([{} for _ in who]),
            "number_kind": column_of(blanks(len(who))),
            "absent_syncs": pd.array(counted + 1, dtype="Int64"),
            "person_revision": pd.array(_of_people(context, who, "revision"), dtype="Int64"),
            "membership_revision": pd.array(numbers_of(members["revision"]), dtype="Int64"),
            "witness": column_of(blanks(len(who))),
        }
    )
    rows.loc[~grace, "absent_syncs"] = pd.NA
    return rows[listed].reset_index(drop=True)


def _absent(context: PlanningContext) -> pd.DataFrame:
    """The managed active members of rostered roles whose person is not in the roster, by person."""
    managed = context.managed
    return managed[~np.isin(numbers_of(managed.index), context.person)].sort_index()


def _reasons(context: PlanningContext, who: Ints) -> Any:
    """The reason of each archival: "left", or the one that the person's records give."""
    identities = context.identities
    linked, _ = identities.linked()
    gone = np.flatnonzero((linked >= 0) & (identities.record_status[identities.lead] > LAST_PRESENT))
    place = pd.Index(linked[gone]).get_indexer(pd.Index(who))
    reasons = np.array(
        [*(_LEFT[int(record_status)] for record_status in identities.record_status[identities.lead[gone]]), "left"],
        dtype=object,
    )
    return reasons[place]


def _said_to_leave(context: PlanningContext, who: Ints) -> Flags:
    """For a list of changes: whether every record of the person in this SIS says that they left. It is deleted or, if
    the source always sends whole records, it names only another school. A record that seems to be somebody else's now
    says nothing about them."""
    identities, links = context.identities, context.directory.own_links
    left = ["deleted", *["elsewhere"] * context.snapshot.whole_records]
    says_so = np.isin(identities.record_status, [STATUS_RANK[status] for status in left])
    says_so &= ~context.matched.reassigned[identities.identity]
    others = links.loc[~links["sourced_id"].isin(set(identities.roster.loc[says_so, "sourced_id"])), "person_id"]
    leave: Flags = ~np.isin(who, numbers_of(others))
    return leave


def _links(context: PlanningContext, who: Ints) -> dict[int, list[str]]:
    """The sourcedIds that are linked to each person, the primary link first."""
    links = context.directory.own_links
    persons = context.directory.known_people
    rows = np.flatnonzero(np.isin(persons, who))
    ids = strings(links["sourced_id"]).take(pa.array(rows)).to_pylist()
    away = ~flags_of(links["is_primary"])[rows]
    records: dict[int, list[str]] = {}
    for person, _, sourced_id in sorted(zip(persons[rows].tolist(), away.tolist(), ids, strict=True)):
        records.setdefault(person, []).append(sourced_id)
    return records


def _of_people(context: PlanningContext, who: Ints, column: str) -> Any:
    people = context.directory.people
    place = places_of(who, people)
    if column == "excluded":
        return np.append(flags_of(people["excluded"]), False)[place]
    return np.append(numbers_of(people[column]), 0)[place]


def possibly_present(context: PlanningContext, who: Ints) -> Flags:
    """Which of these absent people may be in this snapshot under another record, used or not.

    A record that somebody unlinked from the person does not count.
    """
    identities, directory = context.identities, context.directory
    absent = persons_at(directory, places_of(who, directory.people))
    match_keys = absent.match_keys()
    near = near_rows(identities.roster, comparable_rows(identities.record_status), absent, match_keys)
    exclusions = set(zip(identities.exclusions["row"].tolist(), identities.exclusions["person"].tolist(), strict=True))
    by_key: dict[Hashable, list[tuple[int, MatchKeys]]] = defaultdict(list)
    for row, record in zip(near.tolist(), record_match_keys(identities.columns, near), strict=True):
        for key in _keys(record):
            by_key[key].append((row, record))

    def may_be_here(person_id: int, person: MatchKeys) -> bool:
        others = ((row, record) for key in _keys(person) for row, record in by_key[key])
        return any((row, person_id) not in exclusions and weigh(record, person).may_stay for row, record in others)

    present = (may_be_here(person_id, person) for person_id, person in zip(who.tolist(), match_keys, strict=True))
    return np.fromiter(present, dtype=bool, count=len(who))


def _keys(match_keys: MatchKeys) -> Iterator[Hashable]:
    if match_keys.number is not None:
        yield "number", bare(match_keys.number)
    if match_keys.email is not None:
        yield "email", match_keys.email
    if match_keys.username is not None:
        yield "username", match_keys.username
    yield from (("name", name) for name in match_keys.whole)


def comparable_rows(record_status: Ints) -> Flags:
    """The rows that may be an absent person. record_status: ranks."""
    here: Flags = (record_status <= LAST_PRESENT) | (record_status == STATUS_RANK["shared_id"])
    return here


def near_rows(roster: pd.DataFrame, here: Flags, absent: Persons, match_keys: list[MatchKeys]) -> Ints:
    """The rows among `here` with a number, an e-mail without its domain, a user name or, if nothing else can be
    compared, the whole name of an absent person."""
    number, email = bare_numbers_of(roster), strings(roster["email"])
    near = _among(number, absent.bare_numbers)
    near |= _among(mailboxes(email), mailboxes(absent.emails))
    near |= _among(pc.utf8_lower(strings(roster["username"])), pc.utf8_lower(absent.columns["username"]))
    near &= here
    comparable = all(
        person.email and person.number and not person.number_is_id and person.kind for person in match_keys
    )
    real = filled(number) & ~truth(pc.equal(strings(roster["number"]), strings(roster["sourced_id"])))
    bare_rows = np.flatnonzero(here & ~near & ~(comparable & (real | filled(email))))
    theirs = pa.array({name for each in match_keys for name in each.whole}, TEXT)
    named = [_among(names, theirs) for names in _whole_names(part(roster, (*_GIVEN, *_FAMILY, _MIDDLE), bare_rows))]
    near[bare_rows[np.logical_or.reduce(named)]] = True
    return np.flatnonzero(near)


def mailboxes(emails: Array) -> Array:
    """As `evidence.mailbox`."""
    plain = pc.replace_substring(emails, pattern=".", replacement="")
    return pc.struct_field(pc.extract_regex(plain, pattern="^(?P<mailbox>[^+@]*)"), "mailbox")


def _whole_names(frame: pd.DataFrame) -> Iterator[Array]:
    """Given and family name in one key, every combination; one alone if there is no other, empty if there is none.

    One of them may stand in one field with the middle name.
    """
    keys = {name: name_keys_of(frame[name]) for name in (*_GIVEN, *_FAMILY, _MIDDLE)}
    given, family = [keys["given_name"]], [keys["family_name"]]
    for name, plain in (("preferred_given_name", given), ("preferred_family_name", family)):
        if keys[name].null_count < len(frame):
            plain.append(pc.coalesce(keys[name], plain[0]))
    if keys[_MIDDLE].null_count < len(frame):
        given.append(pc.binary_join_element_wise(given[0], pc.fill_null(keys[_MIDDLE], ""), pa.scalar("", TEXT)))
    for names in product(given, family):
        yield pc.binary_join_element_wise(*(pc.fill_null(name, "") for name in names), pa.scalar("", TEXT))


def _among(values: Array, some: Array) -> Flags:
    return truth(pc.is_in(values, value_set=some, skip_nulls=True))
