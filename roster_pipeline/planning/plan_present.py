"""The rows of a plan for the people who are in the roster."""

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
    blanks,
    column_of,
    filled,
    objects,
    strings,
    taken,
    truth,
    uncollected,
)
from roster_pipeline.identity.directory_frames import flags_of, numbers_of
from roster_pipeline.identity.identity_groups import ROLE_OFF
from roster_pipeline.identity.matching import BY
from roster_pipeline.named_frames import framed
from roster_pipeline.planning.decisions import (
    PlanningContext,
    PrimaryRecords,
    Situation,
    Words,
    decide,
    primary_records_of,
)
from roster_pipeline.planning.field_changes import (
    PRIMARY,
    BeforeAfter,
    Differences,
    compare,
    keep_undelivered,
    stored_numbers,
    suppress,
)
from roster_pipeline.planning.moved_keys import row_notes
from roster_pipeline.planning.unreadable_values import keep_unreadable
from roster_pipeline.vocabulary import (
    CONTACTS_OFF,
    DOUBTED,
    MEMBERSHIP_FIELDS,
    PERSON_FIELDS,
    ROLE_GROUPS,
    STATUS_RANK,
    STUDENT_CONTACTS,
    WRITING,
    Role,
)

ALL_FIELDS = (*PERSON_FIELDS, *MEMBERSHIP_FIELDS, *STUDENT_CONTACTS)
_NONE: list[str] = []
_SAME: dict[str, list[Any]] = {}
"""Rows without a link or a change share these objects, because nobody changes a plan."""


def present_rows(context: PlanningContext) -> tuple[pd.DataFrame, Flags]:
    """Plan rows (without `row`) of every identity to which the decision table gives an action; and flags for rows whose
    record and person have no difference."""
    primary = primary_records_of(
        context.identities, context.matched, context.identity, context.directory, context.snapshot
    )
    sides = BeforeAfter(context.lead, primary.fields, context.at_person, context.at_member)
    differences = compare(context.identities.roster, context.directory, sides)
    alike = ~differences.any_of(ALL_FIELDS) & (primary.fields == context.lead)
    keep_unreadable(differences, context.identities.roster, context.directory, sides)
    _suppress_unknown(differences, context, sides)
    adopts = _adopts_number(context, differences, sides)
    situation = _situation(context, differences, primary, adopts)
    action, reason = decide(situation)
    for place in np.flatnonzero(action == "conflict").tolist():
        reason[place] = context.matched.conflict[int(context.identity[place])]
    follows = _follows(action, reason, situation.auto_update)
    changes = _changes(differences, reason, follows, situation.auto_update)
    differences.changes(adopts & np.isin(reason, ("linked", "relinked")), ("number",), changes)
    _move_primary_records(changes, context, primary, action)
    notes = _notes(context, primary, differences, np.isin(action, WRITING), follows & (action != "skip"))
    return _frame(context, primary, action, reason, changes, notes), alike[action != None]  # noqa: E711  # elementwise


def _suppress_unknown(differences: Differences, context: PlanningContext, sides: BeforeAfter) -> None:
    """Remove differences in values that the snapshot does not have: a withheld contact, a role in a list of changes, a
    field that another school decides."""
    for name, people in context.directory.kept_elsewhere.items():
        theirs = np.isin(context.person, list(people))
        if name == "number" and theirs.any():
            theirs &= ~stored_numbers(context.identities.roster, context.directory, sides)[0]
        suppress(differences, theirs, [name])
    if context.school.primary_contacts:
        want = differences.want
        named = filled(want["contact_given_name"]) | filled(want["contact_family_name"])
        withheld = filled(want["contact_sourced_id"]) & ~named
        suppress(differences, withheld if named.any() else np.ones_like(withheld), STUDENT_CONTACTS)
        keep_undelivered(differences, context.school.contacts_most)
    if context.snapshot.mode == "delta":
        links = context.directory.own_links
        listed = np.isin(links["sourced_id"].to_numpy(), context.identities.roster["sourced_id"].to_numpy())
        partly = np.isin(context.person, numbers_of(links.loc[~listed, "person_id"]))
        suppress(differences, partly & (context.at_member >= 0), MEMBERSHIP_FIELDS)


def _adopts_number(context: PlanningContext, differences: Differences, sides: BeforeAfter) -> Flags:
    """The rows whose stored number is of no connection and equals the record's. It becomes a number of this connection,
    even with auto update off: the value stays, and later the person can be found by it."""
    same, _ = stored_numbers(context.identities.roster, context.directory, sides)
    nobodys = np.append(context.directory.people["number_connection_id"].isna().to_numpy(dtype=bool), False)
    same &= truth(pc.equal(differences.want["number"], differences.have["number"]))
    adopts: Flags = differences.differ["number"] & same & nobodys[context.at_person]
    return adopts


def _situation(context: PlanningContext, differences: Differences, primary: PrimaryRecords, adopts: Flags) -> Situation:
    identities, school = context.identities, context.school
    record_status = identities.record_status[context.lead]
    active = context.of_member("status", "active")
    rostered = flags_of(context.directory.members["role"].isin(list(school.rostered)))
    excluded = np.append(flags_of(context.directory.people["excluded"]), False)
    auto = np.array([name in list(Role) and school.role(str(name)).auto_update for name in ROLE_GROUPS])
    count = len(context.identity)
    new = np.zeros(len(identities), dtype=bool)
    new[identities.identity[context.linkable]] = True
    moved = new[context.identity] | primary.moves
    known_here = np.isin(context.person, context.directory.known_people)
    contact = differences.any_of(STUDENT_CONTACTS)
    links = moved | adopts | ~context.of_member("managed")
    return Situation(
        conflict=np.isin(context.identity, list(context.matched.conflict)),
        role_off=record_status == ROLE_OFF,
        org_below=record_status == STATUS_RANK["org_below"],
        unknown_org=record_status == STATUS_RANK["unknown_org"],
        unreadable=np.isin(record_status, [STATUS_RANK["unmapped"], STATUS_RANK["rejected"]]),
        known=context.person >= 0,
        excluded=excluded[context.at_person],
        member=context.at_member >= 0,
        active=active,
        archived_by_hand=context.of_member("archived_by", "hand"),
        member_role_off=~np.append(rostered, True)[context.at_member],
        auto_update=auto[identities.role_rank[context.lead]],
        differs=differences.any_of(ALL_FIELDS),
        links=links,
        relinks=moved & known_here,
        arrives=primary.arrives,
        contacts_off=contact if not school.primary_contacts else np.zeros(count, dtype=bool),
        only_contacts=contact & ~links & ~differences.any_of((*PERSON_FIELDS, *MEMBERSHIP_FIELDS)),
        restores_by_hand=np.full(count, school.restore_archived_by_hand),
    )


def _follows(action: Words, reason: Words, auto: Flags) -> Flags:
    """The identities whose membership follows the roster, or would follow it."""
    follows: Flags = (action == "create") | ((action == "restore") & auto) | (reason == "changed")
    follows |= (reason == "auto_update_off") | ((reason == "primary_record_moved") & auto)
    return follows


def _changes(differences: Differences, reason: Words, follows: Flags, auto: Flags) -> dict[int, dict[str, list[Any]]]:
    """The field changes by row. A skipped row has the changes that it would make.

    A doubted match has the changes of the person.
    """
    changes: dict[int, dict[str, list[Any]]] = {}
    person = follows & ((reason != "joined_school") | auto)
    differences.changes(person | np.isin(reason, DOUBTED), PERSON_FIELDS, changes)
    differences.changes(follows, MEMBERSHIP_FIELDS, changes)
    differences.changes(follows | (reason == CONTACTS_OFF), STUDENT_CONTACTS, changes)
    return changes


def _notes(
    context: PlanningContext, primary: PrimaryRecords, differences: Differences, writes: Flags, follows: Flags
) -> Array:
    """The notes of each row that writes something."""
    identities = context.identities
    new = np.isin(context.identity, identities.identity[context.linkable])
    joined = writes & new & (np.diff(identities.starts)[context.identity] > 1)
    by = np.where(writes, context.matched.by[context.identity], 0)
    kinds = taken(strings(identities.roster["number_kind"]), primary.fields)
    return row_notes(context.directory, differences, context.person, kinds, by, joined, follows)


def _move_primary_records(
    changes: dict[int, dict[str, list[Any]]], context: PlanningContext, primary: PrimaryRecords, action: Words
) -> None:
    places = np.flatnonzero(primary.moves & np.isin(action, WRITING))
    goes = context.identities.sourced_ids.take(pa.array(primary.fields[places])).to_pylist()
    for place, sourced_id in zip(places.tolist(), goes, strict=True):
        changes.setdefault(place, {})[PRIMARY] = [primary.left.get(place), sourced_id]


def _frame(
    context: PlanningContext,
    primary: PrimaryRecords,
    action: Words,
    reason: Words,
    changes: dict[int, dict[str, list[Any]]],
    notes: Array,
) -> pd.DataFrame:
    rows = np.flatnonzero(action != None)  # noqa: E711  # elementwise
    identity, at_member = context.identity[rows], context.at_member[rows]
    identities, directory = context.identities, context.directory
    no_role = identities.record_status[context.lead[rows]] > 0
    theirs = taken(strings(directory.members["role"]), at_member)
    own = taken(strings(identities.roster["role"]), context.lead[rows])
    absences = numbers_of(directory.members["absent_syncs"]) * directory.active
    kinds = strings(identities.roster["number_kind"])
    writes = np.isin(action[rows], WRITING)
    fields = primary.fields[rows]
    return framed(
        {
            "action": column_of(pa.array(action[rows], TEXT)),
            "reason": column_of(pa.array(reason[rows], TEXT)),
            "role": column_of(pc.if_else(pa.array(no_role), theirs, own)),
            "person_id": _nullable(context.person[rows], context.person[rows] >= 0),
            "sourced_ids": _sourced_ids(context, rows, primary),
            "new_links": _new_links(context, identity, fields, writes),
            "matched_by": column_of(pa.array(BY, TEXT).take(pa.array(context.matched.by[identity]))),
            "notes": column_of(taken(notes, rows)),
            "changes": _changes_column(rows, changes),
            "number_kind": column_of(taken(kinds, fields)),
            "absent_syncs": _nullable(np.zeros(len(rows), dtype=np.int64), np.append(absences, 0)[at_member] > 0),
            "person_revision": _revisions(directory.people, context.at_person[rows]),
            "membership_revision": _revisions(directory.members, at_member),
            "witness": column_of(blanks(len(rows))),
        }
    )


def _sourced_ids(context: PlanningContext, rows: Ints, primary: PrimaryRecords) -> Any:
    """The records of each identity. For a new person, only the records that get a link.

    The apply step takes the first as the primary record. So the primary record comes first, even if it is not in this
    snapshot.
    """
    identities, identity = context.identities, context.identity[rows]
    with uncollected():
        ids = list(map(list, zip(taken(identities.sourced_ids, identities.lead[identity]).to_pylist(), strict=True)))
    for at in np.flatnonzero(np.diff(identities.starts)[identity] > 1).tolist():
        records = identities.rows(int(identity[at]))
        if context.person[rows[at]] < 0:
            records = records[context.linkable[records]]
        if len(records):
            ids[at] = identities.sourced_ids.take(pa.array(records)).to_pylist()
    where = {int(row): at for at, row in enumerate(rows.tolist())} if primary.stays else {}
    for row, first in primary.stays.items():
        if row in where and int(context.identity[row]) not in context.matched.conflict:
            others = ids[where[row]]
            ids[where[row]] = [first, *(sourced_id for sourced_id in others if sourced_id != first)]
    return objects(ids)


def _new_links(context: PlanningContext, identity: Ints, primary: Ints, writes: Flags) -> Any:
    """The records of each identity that get a link, the primary record first; only if the row writes something."""
    identities = context.identities
    links: list[list[str]] = [_NONE] * len(identity)
    new = np.flatnonzero(context.linkable)
    at = np.full(len(identities), -1, dtype=np.int64)
    at[identity[writes]] = np.flatnonzero(writes)
    places = at[identities.identity[new]]
    new, places = new[places >= 0], places[places >= 0]
    order = np.argsort(new != primary[places], kind="stable")
    for place, sourced_id in zip(
        places[order].tolist(), identities.sourced_ids.take(pa.array(new[order])).to_pylist(), strict=True
    ):
        links[place] = [*links[place], sourced_id]
    return objects(links)


def _changes_column(rows: Ints, changes: dict[int, dict[str, list[Any]]]) -> Any:
    column = [_SAME] * len(rows)
    having = np.fromiter(changes, dtype=np.int64, count=len(changes))
    at = np.searchsorted(rows, having)
    for place, where in zip(having.tolist(), at.tolist(), strict=True):
        column[where] = changes[place]
    return objects(column)


def _revisions(frame: pd.DataFrame, places: Ints) -> Any:
    return _nullable(np.append(numbers_of(frame["revision"]), 0)[places], places >= 0)


def _nullable(values: Ints, present: Flags) -> Any:
    return pd.arrays.IntegerArray(values.astype(np.int64, copy=True), ~present)
