"""Finds the role of a record in this school, or why it has none.

OneRoster 1.1 gives one role and a list of orgs, 1.2 a list of roles with an org, a begin and an end each; both are
entries of `roles` here. A record is a member by its strongest entry of this school that is current and whose role the
school rosters. An entry is current on its begin date and on its end date too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from roster_pipeline.frames import TEXT, Array, Flags, Ints, codes, filled, lists, on_distinct, truth
from roster_pipeline.org_tree import Org, day_in, orgs_below, other_schools
from roster_pipeline.settings.school import SchoolSettings
from roster_pipeline.vocabulary import CONTACT, ROLE_GROUPS, ROLE_RANK, STATUS_RANK

_CONTACT, _UNMAPPED = ROLE_RANK[CONTACT], ROLE_RANK[None]

# The possible meanings of one entry, best first. A student's contact is never a member. An org that is not listed may
# be this school under another name. So may a school that a record names without a role, if the record has a role
# elsewhere. A listed org that is not a school does not count if there are other entries.
_EXPLAINS = (
    *("member", "role_off", "unmapped", "role_off", "org_below", "unknown_org"),
    *("not_begun", "ended", "elsewhere", "unknown_org", "no_org"),
)
_MEMBER, _OFF, _UNMAPPED_HERE, _ONLY_CONTACT, _BELOW, _UNCLEAR = range(6)
_NOT_BEGUN, _ENDED, _ELSEWHERE, _NOT_A_SCHOOL, _NO_ORG = range(6, len(_EXPLAINS))


@dataclass(frozen=True)
class SchoolOrgs:
    """The orgs of a snapshot, as one school sees them; sourcedIds.

    here: the school, and the orgs that count as it. below: orgs below the school that do not count as it. schools: the
    other schools that the SIS lists; None if unknown, and then every other org counts as a school. listed: all orgs.
    """

    here: frozenset[str]
    below: frozenset[str] = frozenset()
    schools: frozenset[str] | None = None
    listed: frozenset[str] = frozenset()


def school_orgs(orgs: Sequence[Org], school_id: str, *, include_below: bool) -> SchoolOrgs:
    """The relation of each org of a SIS to a school. orgs: as `org_tree` takes them. Without any, everything is
    unknown."""
    below = orgs_below(orgs, school_id)
    here = frozenset((school_id, *below)) if include_below else frozenset((school_id,))
    listed = frozenset(org["sourcedId"] for org in orgs)
    return SchoolOrgs(here, below - here, other_schools(orgs, school_id), listed | here)


def orgs_named(users: pd.DataFrame) -> list[str]:
    """The sourcedIds of the orgs that the roles of some users name."""
    named = pc.unique(pc.struct_field(pc.list_flatten(lists(users["roles"])), "org")).to_pylist()
    return [org for org in named if org]


def in_days_of(roles: Array, zone: tzinfo) -> Array:
    """The role entries with begin and end as days in this time zone."""
    flat = pc.list_flatten(roles)
    columns = {field.name: pc.struct_field(flat, field.name) for field in flat.type}
    moments = [name for name in ("beginDate", "endDate") if truth(pc.greater(pc.utf8_length(columns[name]), 10)).any()]
    if not moments:
        return roles

    def days(values: Array) -> Array:
        return pa.array([day_in(zone, value) for value in values.to_pylist()], values.type)

    for name in moments:
        columns[name] = on_distinct(columns[name], days)
    entries = pa.StructArray.from_arrays(list(columns.values()), fields=list(flat.type))
    ends = np.cumsum(pc.fill_null(pc.list_value_length(roles), 0).to_numpy(zero_copy_only=False))
    return type(roles).from_arrays(pa.array(np.append(0, ends), pa.int32()), entries)


def next_change(users: pd.DataFrame, today: date, zone: tzinfo) -> date | None:
    """The next day on which a role of these users begins or has ended. From then on, cleaning gives another roster."""
    flat, now = pc.list_flatten(in_days_of(lists(users["roles"]), zone)), today.isoformat()
    begins, ends = pc.struct_field(flat, "beginDate"), pc.struct_field(flat, "endDate")
    first = pc.min(begins.filter(pc.greater(begins, now))).as_py()
    last = pc.min(ends.filter(pc.greater_equal(ends, now))).as_py()
    days = [date.fromisoformat(first)] if first else []
    days += [date.fromisoformat(last) + timedelta(days=1)] if last else []
    return min(days, default=None)


@dataclass(frozen=True)
class Entries:
    """The best entry of each record: ranks in `RECORD_STATUSES` and `ROLE_GROUPS`, and the role of the SIS."""

    record_status: Ints
    group: Ints
    source_role: Array


def read_roles(roles: Array, orgs: SchoolOrgs, settings: SchoolSettings, today: date) -> Entries:
    """The status that its roles give each record. roles: a list array of role entries."""
    count = len(roles)
    flat = pc.list_flatten(roles)
    owners: Ints = pc.list_parent_indices(roles).to_numpy(zero_copy_only=False).astype(np.int64)
    source = pc.utf8_trim_whitespace(pc.struct_field(flat, "role"))
    group = _groups(pc.utf8_lower(source), settings)
    explains = _explained(flat, group, orgs, settings, today)

    record_status = np.full(count, STATUS_RANK["no_org"], dtype=np.int64)
    best_group = np.full(count, _UNMAPPED, dtype=np.int64)
    source_role = pa.nulls(count, TEXT)
    if len(owners):
        starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
        _explain_without_role(~filled(source), starts, explains, group)
        rank = (explains * len(ROLE_GROUPS) + group) * len(owners) + np.arange(len(owners))
        best = np.minimum.reduceat(rank, starts) % len(owners)
        having = owners[starts]
        record_status[having] = np.array([STATUS_RANK[name] for name in _EXPLAINS])[explains[best]]
        best_group[having] = group[best]
        chosen = np.full(count, -1, dtype=np.int64)
        chosen[having] = best
        source_role = source.cast(TEXT).take(pa.array(chosen, mask=chosen < 0))
    return Entries(record_status, best_group, source_role)


def _groups(source: Array, settings: SchoolSettings) -> Ints:
    by_source = settings.roles_by_source
    numbers, _ = codes(source)
    names = source.dictionary_encode().dictionary.to_pylist()
    places = [ROLE_RANK.get(by_source.get(name or ""), _UNMAPPED) for name in names]
    groups: Ints = np.array([*places, _UNMAPPED], dtype=np.int64)[numbers]
    return groups


def _explained(flat: Array, group: Ints, orgs: SchoolOrgs, settings: SchoolSettings, today: date) -> Ints:
    org = pc.utf8_trim_whitespace(pc.struct_field(flat, "org"))
    here = _among(org, orgs.here)
    elsewhere = ~here if orgs.schools is None else _among(org, orgs.schools)
    nowhere = ~truth(pc.greater(pc.utf8_length(org), 0))
    begun, ended = _dates(flat, today)
    rostered = np.isin(group, [ROLE_RANK[role] for role in settings.rostered])
    runs = begun & ~ended
    says = [
        nowhere,
        elsewhere & ~here,
        _among(org, orgs.below) & ~here,
        ~here & ~_among(org, orgs.listed),
        ~here,
        runs & rostered,
        runs & (group < _CONTACT),
        runs & (group == _UNMAPPED),
        runs,
        ~begun,
    ]
    what = [_NO_ORG, _ELSEWHERE, _BELOW, _UNCLEAR, _NOT_A_SCHOOL]
    what += [_MEMBER, _OFF, _UNMAPPED_HERE, _ONLY_CONTACT, _NOT_BEGUN]
    explained: Ints = np.select(says, what, default=_ENDED).astype(np.int64)
    return explained


def _explain_without_role(without: Flags, starts: Ints, explains: Ints, group: Ints) -> None:
    """Correct the entries without a role of records that have a role in another org: such an entry does not show
    whether the person is here or left. The strongest role counts for them. starts: the first entry of each
    record."""
    if not without.any():
        return
    entries = np.diff(starts, append=len(without))
    contradict = without & ~np.repeat(np.logical_and.reduceat(without, starts), entries)
    explains[contradict & (explains == _UNMAPPED_HERE)] = _UNCLEAR
    group[contradict] = np.repeat(np.minimum.reduceat(group, starts), entries)[contradict]


def _among(org: Array, ids: frozenset[str]) -> Flags:
    return truth(pc.is_in(org, value_set=pa.array(sorted(sourced_id.strip() for sourced_id in ids), TEXT)))


def _dates(flat: Array, today: date) -> tuple[Flags, Flags]:
    now = today.isoformat()
    begun = ~truth(pc.greater(pc.struct_field(flat, "beginDate"), now))
    ended = truth(pc.less(pc.struct_field(flat, "endDate"), now))
    return begun, ended
