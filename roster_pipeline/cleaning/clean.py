"""Cleaning: the records of one snapshot become a typed roster and a list of what could not be used.

If a required value is wrong, the record is rejected. If an optional value is wrong, it is dropped and noted. A record
that is not used stays in the roster with its status, because "we could not read it" must never look like "it is gone".
"""

from dataclasses import dataclass, replace
from datetime import date, tzinfo
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.cleaning.contact_exclusions import none_excluded
from roster_pipeline.cleaning.contact_rules import ContactContext
from roster_pipeline.cleaning.contacts import Chosen, choose_contacts
from roster_pipeline.cleaning.field_values import too_long
from roster_pipeline.cleaning.record_fields import record_fields, unreadable_column, without_placeholders
from roster_pipeline.cleaning.rejections import SOURCED_ID_OF_TWO, Rejections, joined_rejections, one_per_sourced_id
from roster_pipeline.cleaning.roles import Entries, SchoolOrgs, in_days_of, read_roles
from roster_pipeline.frames import (
    ROSTER_COLUMNS,
    TEXT,
    Array,
    Flags,
    Ints,
    blanks,
    column_of,
    filled,
    joined,
    lists,
    sorted_by,
    strings,
    truth,
)
from roster_pipeline.identity.deduplication import deduplicate
from roster_pipeline.identity.evidence import kind_of
from roster_pipeline.identity.match_keys import record_match_keys
from roster_pipeline.named_frames import framed
from roster_pipeline.org_tree import GONE_STATUSES
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings
from roster_pipeline.vocabulary import (
    NUMBER_SHARED,
    RECORD_STATUSES,
    RECORDS_ALIKE,
    ROLE_GROUPS,
    ROLE_RANK,
    STATUS_RANK,
    STUDENT_CONTACTS,
    UNREADABLE,
    UNUSABLE,
    Role,
)

_ACTIVE = ("active", "")
"""The standard requires a status, but some servers leave it out. Such a record is active."""
_REJECTED = STATUS_RANK["rejected"]
_ALIVE = [STATUS_RANK[name] for name in ("member", "role_off", *UNUSABLE, "elsewhere", "not_begun")]


@dataclass(frozen=True)
class CleaningContext:
    """The input of cleaning, besides the records. school_id: the resolved sourcedId of the org. today: in the school's
    time zone.

    orgs: the relation of the snapshot's orgs to this school; without it, every other org counts as another school.
    """

    school_id: str
    settings: SchoolSettings
    connection: ConnectionSettings
    today: date
    orgs: SchoolOrgs | None = None
    withheld: frozenset[str] = frozenset()
    """Fields of contact rules that the SIS does not deliver in this snapshot."""
    stored_contacts: pd.DataFrame | None = None
    """The contacts that the directory has now, of each student by place: student_id, sourced_id."""


@dataclass(frozen=True)
class Cleaned:
    """roster: `ROSTER_COLUMNS`. rejected: `REJECTED_COLUMNS`, all collections. contact_flags: counts only.

    excluded_contacts: `EXCLUDED_COLUMNS`, the contacts that nobody may call.
    """

    roster: pd.DataFrame
    rejected: pd.DataFrame
    contact_flags: dict[str, int]
    excluded_contacts: pd.DataFrame


def clean(
    users: pd.DataFrame,
    contacts: pd.DataFrame,
    context: CleaningContext,
    rejected_at_ingest: pd.DataFrame | None = None,
) -> Cleaned:
    """Clean the user records of a school.

    users: records that name this school, or that are linked to one of its members. contacts: their contacts.
    rejected_at_ingest: the data that could not be read as records (`REJECTED_COLUMNS` less role). Those with a
    sourcedId are in the roster as rejected, so that their people do not count as gone, even if an older one says so.
    """
    notes = Rejections("users")
    users, contacts = (_in_days_of(some, context.settings.zone) for some in (users, contacts))
    orgs = context.orgs or SchoolOrgs(frozenset((context.school_id,)))
    users, others = one_per_sourced_id(
        users, notes, lambda some: record_match_keys(_of_one_id(some, orgs, context), np.arange(len(some)))
    )
    entries = read_roles(lists(users["roles"]), orgs, context.settings, context.today)
    ids = strings(users["sourcedId"])
    fields = record_fields(users, entries, context.settings, context.connection)
    record_status = _record_status(users, fields.values, entries, context, orgs, ids, notes)
    ids_of_two = notes.ids(SOURCED_ID_OF_TWO)
    record_status[truth(pc.is_in(ids, value_set=ids_of_two))] = _REJECTED
    ids_rejected = _ids_rejected(rejected_at_ingest)
    record_status[(record_status > _REJECTED) & truth(pc.is_in(ids, value_set=ids_rejected))] = _REJECTED
    kinds = _kinds(entries)
    fields = without_placeholders(fields, kinds, np.isin(record_status, _ALIVE))
    member, groups = record_status == STATUS_RANK["member"], _groups(entries)
    for (field, rule), bad in fields.noted.items():
        notes.note(bad & member, ids, field, rule, "warning", groups)

    roster = {
        "sourced_id": ids,
        "record_status": pa.array(RECORD_STATUSES, TEXT).take(pa.array(record_status)),
        "number_kind": kinds,
        "role": groups,
        "source_role": entries.source_role,
        **fields.values,
    }
    deduplicated = deduplicate(roster, np.isin(record_status, _ALIVE))
    for field, rule, where in (
        ("email", "shared_email", deduplicated.shared_email),
        ("email", "same_name_and_email", deduplicated.namesakes),
        ("username", "shared_username", deduplicated.shared_username),
        ("number", NUMBER_SHARED, deduplicated.number_shared),
    ):
        notes.note(where & member, ids, field, rule, "warning", groups)
    chosen = _contacts(users, contacts, entries, member, context, ids_of_two)

    unreadable = {name: np.flatnonzero(where) for name, where in fields.unreadable.items()} | chosen.unreadable
    roster |= {UNREADABLE: unreadable_column(len(users), unreadable), **chosen.fields}
    alike = pc.if_else(pa.array(deduplicated.alike), pa.scalar(RECORDS_ALIKE, TEXT), pa.scalar(None, TEXT))
    roster["conflict"] = pc.if_else(pa.array(deduplicated.number_shared), pa.scalar(NUMBER_SHARED, TEXT), alike)
    columns: dict[str, Any] = {name: column_of(array) for name, array in roster.items()}
    columns["identity"] = pd.array(deduplicated.identity, dtype="Int64")
    columns["enabled"] = users["enabledUser"].array.astype("boolean")
    frame = _with_rejected_at_ingest(framed({name: columns[name] for name in ROSTER_COLUMNS}), ids_rejected)
    if len(others):
        frame = _with_others(frame, _of_one_id(others, orgs, context))
    noted = joined_rejections([notes.frame(), chosen.rejected])
    return Cleaned(frame, noted, chosen.flags, chosen.excluded)


def _in_days_of(people: pd.DataFrame, zone: tzinfo) -> pd.DataFrame:
    roles = lists(people["roles"])
    days = in_days_of(roles, zone)
    return people if days is roles else people.assign(roles=pd.arrays.ArrowExtensionArray(days))


def _record_status(
    users: pd.DataFrame,
    fields: dict[str, Array],
    entries: Entries,
    context: CleaningContext,
    orgs: SchoolOrgs,
    ids: Array,
    notes: Rejections,
) -> Ints:
    """The rank of the status of each record: first deleted, then school, role, login and required values."""
    groups = _groups(entries)
    status = pc.fill_null(pc.utf8_trim_whitespace(pc.utf8_lower(strings(users["status"]))), "")
    deleted = truth(pc.is_in(status, value_set=pa.array(sorted(GONE_STATUSES), TEXT)))
    unknown = ~deleted & ~truth(pc.is_in(status, value_set=pa.array(_ACTIVE, TEXT)))
    disabled = ~users["enabledUser"].astype("boolean").fillna(True).to_numpy(dtype=bool)

    record_status = entries.record_status.copy()
    member = record_status == STATUS_RANK["member"]
    if context.connection.disabled_means_gone:
        record_status[member & disabled] = STATUS_RANK["disabled"]
        member &= ~disabled
    if context.connection.no_enrollment_means_gone:
        left = member & (entries.group == ROLE_RANK[Role.STUDENT]) & _not_enrolled(users, orgs.here)
        record_status[left] = STATUS_RANK["not_enrolled"]
        member &= ~left
    record_status[deleted] = STATUS_RANK["deleted"]
    member &= ~deleted & ~unknown
    given, family = filled(fields["given_name"]), filled(fields["family_name"])
    nameless = member & ~given & ~family
    long = member & (too_long(fields["given_name"]) | too_long(fields["family_name"]))
    record_status[unknown | nameless | long] = _REJECTED

    notes.note(unknown, ids, "status", "unknown_status", "error", groups)
    notes.note(record_status == STATUS_RANK["unmapped"], ids, "role", "unmapped_role", "error")
    notes.note(nameless, ids, "familyName", "missing_name", "error", groups)
    notes.note(long, ids, "familyName", "name_too_long", "error", groups)
    notes.note(member & (given ^ family), ids, "familyName", "single_name", "warning", groups)
    return record_status


def _not_enrolled(users: pd.DataFrame, here: frozenset[str]) -> Flags:
    """Students without a current enrollment in any org of the school that they name."""
    not_enrolled = lists(users["notEnrolled"])
    left = np.zeros(len(users), dtype=bool)
    among = truth(pc.is_in(pc.list_flatten(not_enrolled), value_set=pa.array(sorted(here), TEXT)))
    left[pc.list_parent_indices(not_enrolled).to_numpy(zero_copy_only=False)[among]] = True
    if len(here) > 1:
        for place in np.flatnonzero(left).tolist():
            roles = users["roles"].iloc[place]
            named = {entry["org"] for entry in roles if (entry["role"] or "").strip().lower() == Role.STUDENT}
            left[place] = not (named & here) - set(users["notEnrolled"].iloc[place])
    return left


def _contacts(
    users: pd.DataFrame,
    contacts: pd.DataFrame,
    entries: Entries,
    member: Flags,
    context: CleaningContext,
    ids_of_two: Array,
) -> Chosen:
    if not context.settings.primary_contacts:
        nobody = dict.fromkeys(STUDENT_CONTACTS, blanks(len(users)))
        return Chosen(nobody, {}, {}, joined_rejections([]), none_excluded())
    students = np.flatnonzero(member & (entries.group == ROLE_RANK[Role.STUDENT]))
    chosen = choose_contacts(
        users[["sourcedId", "agents", "metadata", "unreadable"]].take(students).reset_index(drop=True),
        pd.concat([users, contacts], ignore_index=True) if len(contacts) else users,
        ContactContext(context.settings, context.connection, context.today, context.withheld, context.stored_contacts),
        ids_of_two,
    )
    places = np.full(len(users), -1, dtype=np.int64)
    places[students] = np.arange(len(students))
    where = pa.array(places, mask=places < 0)
    return replace(
        chosen,
        fields={name: chosen.fields[name].take(where) for name in STUDENT_CONTACTS},
        unreadable={name: students[rows] for name, rows in chosen.unreadable.items()},
    )


def _groups(entries: Entries) -> Array:
    return pa.array(ROLE_GROUPS, TEXT).take(pa.array(entries.group))


def _kinds(entries: Entries) -> Array:
    return pa.array([kind_of(name) for name in ROLE_GROUPS], TEXT).take(pa.array(entries.group))


def _ids_rejected(rejected_at_ingest: pd.DataFrame | None) -> Array:
    """The sourcedIds of the users that were rejected at ingest."""
    if rejected_at_ingest is None:
        return blanks(0)
    wanted = rejected_at_ingest[
        (rejected_at_ingest["collection"] == "users")
        & (rejected_at_ingest["severity"] == "error")
        & rejected_at_ingest["sourced_id"].notna()
    ]
    return strings(wanted["sourced_id"])


def _with_rejected_at_ingest(roster: pd.DataFrame, ids_rejected: Array) -> pd.DataFrame:
    """The roster with the records that were rejected at ingest, as rejected records without values."""
    missing = sorted(set(ids_rejected.to_pylist()) - set(roster["sourced_id"])) if len(ids_rejected) else []
    if not missing:
        return roster
    rows = pd.DataFrame({"sourced_id": pd.Series(missing, dtype="str"), "record_status": "rejected"})
    return _added(roster, rows)


def _of_one_id(some: pd.DataFrame, orgs: SchoolOrgs, context: CleaningContext) -> dict[str, Array]:
    """The columns of records whose sourcedId several records have."""
    entries = read_roles(lists(some["roles"]), orgs, context.settings, context.today)
    return {
        "sourced_id": strings(some["sourcedId"]),
        "record_status": pa.array(["shared_id"] * len(some), TEXT),
        "number_kind": _kinds(entries),
        "role": _groups(entries),
        "source_role": entries.source_role,
        **record_fields(some, entries, context.settings, context.connection).values,
    }


def _with_others(roster: pd.DataFrame, rows: dict[str, Array]) -> pd.DataFrame:
    """The roster, and the records of other people with a shared id, each under an id of its own."""
    ids = rows["sourced_id"]
    rows["sourced_id"] = joined(ids, pa.array(map(str, range(len(ids))), TEXT))
    return _added(roster, pd.DataFrame({name: column_of(array) for name, array in rows.items()}))


def _added(roster: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The roster with more rows, each an identity of its own."""
    rows["identity"] = pd.array(range(len(roster), len(roster) + len(rows)), dtype="Int64")
    rows = rows.reindex(columns=list(ROSTER_COLUMNS)).astype(roster.dtypes.to_dict())
    return sorted_by(pd.concat([roster, rows], ignore_index=True), "sourced_id")
