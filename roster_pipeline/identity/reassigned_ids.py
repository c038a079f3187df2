"""sourcedIds that seem to belong to somebody else now.

A link is the best evidence, and the most dangerous if it is wrong: a new person with the sourcedId of a person who left
would become that person. So a link is doubted if everything else speaks against it. A record that is marked as deleted
changes nobody's fields, but it ends a membership, and it may be the record of another person too.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import Array, Flags, Ints, filled, positions, strings, taken, truth
from roster_pipeline.identity.directory_frames import DirectoryFrames, flags_of, numbers_of, places_of
from roster_pipeline.identity.evidence import Evidence, MatchKeys, bare, weigh
from roster_pipeline.identity.identity_groups import IdentityGroups
from roster_pipeline.identity.match_keys import persons_at, record_match_keys
from roster_pipeline.vocabulary import STATUS_RANK, UNUSABLE

DELETED = STATUS_RANK["deleted"]

_DIGIT = re.compile(r"\d").search
"""A number without a digit is a placeholder. `bare` leaves nothing of zeros."""

_ERASED = re.compile(
    r"\b(deleted|removed|erased|redacted|anonym\w*|pseudonym\w*|gel(ö|oe)scht\w*|verwijderd|supprimée?|eliminad[oa])\b",
    re.I,
).search
"""A name with such a word is what a SIS writes into a record that it deletes."""

_UNUSABLE = [STATUS_RANK[name] for name in UNUSABLE]


def reassigned_ids(identities: IdentityGroups, directory: DirectoryFrames) -> Flags:
    """Identities with a record that seems to have another person's id, if nobody confirmed the link.

    A record that no field of the person follows is also compared with what it said before: brothers and sisters have
    much in common, and their numbers in two SISs cannot be compared.
    """
    reassigned = np.zeros(len(identities), dtype=bool)
    known = [(directory, places_of(identities.person, directory.people))]
    if len(directory.link_records):
        sourced_ids = strings(directory.link_records["sourced_id"])
        known += [(directory.as_recorded, positions(identities.sourced_ids, sourced_ids))]
    for frames, of_rows in known:
        rows, places = _doubtful(identities, frames, of_rows)
        if len(rows):
            records = record_match_keys(identities.columns, rows)
            persons = persons_at(frames, places).match_keys()
            deleted = identities.record_status[rows] == DELETED
            ids = identities.sourced_ids.take(pa.array(rows)).to_pylist()
            both = zip(map(_weighed, records, persons, ids), deleted, strict=True)
            odd: Flags = np.array([_of_another(each) if gone else each.against_link for each, gone in both], dtype=bool)
            odd &= ~_placeholders(identities, rows, deleted & odd)
            reassigned[identities.identity[rows[odd]]] = True
    return reassigned


def _weighed(record: MatchKeys, person: MatchKeys, sourced_id: str) -> Evidence:
    """The evidence of a linked record. An e-mail or a user name that is made of the sourcedId went with it, so it is no
    evidence, unless the whole name is the same."""
    found = weigh(record, person)
    logins = {"email": record.email, "username": record.username}
    of_id = {name for name, login in logins.items() if (login or "").partition("@")[0] == sourced_id.lower()}
    if found.whole_name or found.agree.isdisjoint(of_id):
        return found
    none: dict[str, Any] = dict.fromkeys(found.agree & of_id)
    return weigh(replace(record, **none), person)


def _of_another(weighed: Evidence) -> bool:
    """Whether a record that is marked as deleted is somebody else's.

    Some SISs empty a record when they delete it. So names are not enough: the number must contradict too, or e-mail and
    user name if the numbers cannot be compared. A record without a role has no number.
    """
    if not weighed.differ >= {"given", "family"} or weighed.unclear or weighed.near:
        return False
    named = " ".join(filter(None, weighed.sides[0].written))
    if weighed.agree & {"number", "email", "username", "master"} or _ERASED(named):
        return False
    if "number" not in weighed.differ:
        return weighed.differ >= {"email", "username"}
    numbers = [bare(side.number or "").rpartition("\x1f")[2] for side in weighed.sides]
    return all(map(_DIGIT, numbers)) and not any(side.number_is_id for side in weighed.sides)


def _placeholders(identities: IdentityGroups, rows: Ints, doubted: Flags) -> Flags:
    """Which of these doubted deletions have the names or the number of another one: values that a SIS writes into every
    record that it deletes."""
    shared = np.zeros(len(rows), dtype=bool)
    if doubted.any():
        gone = np.flatnonzero(identities.record_status == DELETED)
        values = identities.roster[["given_name", "family_name", "number"]].iloc[gone]
        values = values.set_axis(gone).assign(of=identities.identity[gone])
        for some, names in ((values, ["number"]), (values.loc[rows[doubted]], ["given_name", "family_name"])):
            many = some.groupby(names)["of"].transform("nunique") > 1
            shared |= np.isin(rows, some.index[many])
    return shared & doubted


def _doubtful(identities: IdentityGroups, directory: DirectoryFrames, places: Ints) -> tuple[Ints, Ints]:
    """The linked records that have to be weighed, and the places of their persons. places: of all records, or -1.

    Most records need no weighing: those with the whole name and the number or e-mail of their person, and those with
    the whole name and nothing against it. A deleted record does not either, unless it alone ends a membership.
    """
    roster, people = identities.roster, directory.people
    rows = np.arange(len(identities.person))

    def of_record(name: str) -> Array:
        return taken(strings(roster[name]), rows)

    def same(name: str) -> Flags:
        return truth(pc.equal(of_record(name), taken(strings(people[name]), places)))

    whole = same("given_name") & same("family_name")
    own_number = same("number") & ~truth(pc.equal(of_record("number"), of_record("sourced_id")))
    deleted = identities.record_status == DELETED
    ends = deleted[identities.lead][identities.identity] & np.isin(
        identities.person, numbers_of(directory.managed.index)
    )
    open_ = (places >= 0) & (~deleted | ends) & ~np.isin(identities.record_status, _UNUSABLE)
    open_ &= ~(whole & (same("email") | own_number))
    rows, places, whole = rows[open_], places[open_], whole[open_]
    number = filled(of_record("number")) & filled(taken(strings(people["number"]), places)) & ~same("number")
    own_links = directory.own_links
    ids = of_record("sourced_id")
    master = filled(of_record("master_identifier")) & own_links["master_identifier"].notna().any()
    confirmed = pa.array(own_links["sourced_id"][flags_of(own_links["confirmed"])], ids.type)
    open_ = (~whole | number | master) & ~truth(pc.is_in(ids, value_set=confirmed))
    return rows[open_], places[open_]
