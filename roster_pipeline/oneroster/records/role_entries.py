"""Role and school of a user, in 1.2's shape whatever the record was: one entry per role and org.

1.1's one role and its list of orgs become one entry per org; a record without any org keeps one entry whose org is
None. Where several roles meet several orgs without saying which belongs to which, nothing is guessed: the
record is rejected.
"""

from __future__ import annotations

from typing import Any

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import NOT_IDS, UNREADABLE, listed, reference, references, text
from roster_pipeline.oneroster.records.dates import Dates

ROLES = {
    role.lower(): role
    for role in (
        *("administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"),
        *("counselor", "districtAdministrator", "principal", "siteAdministrator", "systemAdministrator"),
    )
}
"""Lower-cased role to the standard's spelling, both versions."""
DATE_UNREADABLE = "date-unreadable"
"""Rule of a role whose begin or end cannot be read: it counts as running, and may have ended."""
CONTACT_ROLES = frozenset(("guardian", "parent", "relative"))
_ORG_NAMES = ("org", "orgSourcedId", "orgs", "orgSourcedIds", "school", "schoolSourcedId")
"""Members of an entry that may name its org, the standard's first."""
_SPELLED = frozenset(ROLES.values())

Entry = dict[str, str | None]
Dropped = list[tuple[str, str]]


class Rejection(Exception):
    """The record cannot be used: field and rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(field, rule)
        self.field = field
        self.rule = rule


def role_entries(record: dict[str, Any], dates: Dates) -> tuple[list[Entry], Dropped]:
    """Entries {role, roleType, org, beginDate, endDate}, and what had to be dropped as (field, rule)."""
    dropped: Dropped = []
    stated = record.get("roles") or record.get("role")
    if type(stated) is str:
        entries: list[Entry] = [_entry(role_name(stated))]
    else:
        entries = []
        everywhere = True
        for item in stated if type(stated) is list else listed(stated):
            for entry in _read(item, dates, dropped):
                entries.append(entry)
                everywhere = everywhere and entry["org"] is not None
        if entries and everywhere:
            return entries, dropped
    return _with_orgs(record, entries, dropped), dropped


def role_name(value: Any) -> Any:
    """A role in the standard's spelling; others (extensions, vendors' own) as they are; None, or UNREADABLE."""
    read = text(value)
    if not isinstance(read, str):
        return read
    return ROLES.get(read.lower()) or ROLES.get(folded(read)) or read


def _entry(role: str | None, org: str | None = None) -> Entry:
    return {"role": role, "roleType": None, "org": org, "beginDate": None, "endDate": None}


def _read(item: Any, dates: Dates, dropped: Dropped) -> list[Entry]:
    """One element of `roles`, an entry per org that it names. A bare text is a role without org."""
    if type(item) is not dict:
        role = role_name(item)
        if role is UNREADABLE:
            dropped.append(("roles", "role-unreadable"))
            return []
        return [_entry(role)] if role is not None else []
    get = item.get
    role = get("role")
    if type(role) is not str or role not in _SPELLED:
        role = role_name(role)
    if role is UNREADABLE:
        raise Rejection("roles", "role-unreadable")
    org_stated = get("org")
    org = org_stated.get("sourcedId") if type(org_stated) is dict else None
    orgs: list[str | None] = [org]
    if type(org) is not str or not org.isprintable() or org.strip() != org or org in NOT_IDS:
        found, whole = references(next((get(name) for name in _ORG_NAMES if get(name) is not None), None))
        orgs = [*found] or [None]
        if not whole:
            if role not in CONTACT_ROLES:
                raise Rejection("roles", "org-unreadable")
            orgs = [None]
    role_type = get("roleType")
    if role_type not in ("primary", "secondary", None):
        role_type = text(role_type)
        role_type = role_type.lower() if isinstance(role_type, str) else None
    span: dict[str, Any] = {}
    for name in ("beginDate", "endDate"):
        value = get(name)
        if value is not None:
            value = dates.day(value)
            if value is UNREADABLE:
                dropped.append(("roles", DATE_UNREADABLE))
                value = None
        span[name] = value
    return [{"role": role, "roleType": role_type, "org": org, **span} for org in orgs]


def _with_orgs(record: dict[str, Any], entries: list[Entry], dropped: Dropped) -> list[Entry]:
    """Entries without org joined with the record's own `orgs` (1.1), or its `primaryOrg`."""
    orgs, whole = references(record.get("orgs"))
    with_org = [entry for entry in entries if entry["org"] is not None]
    without = [entry for entry in entries if entry["org"] is None]
    if not orgs and not with_org:
        primary = reference(record.get("primaryOrg"))
        if isinstance(primary, str):
            orgs = [primary]
    contact = bool(entries) and all(entry["role"] in CONTACT_ROLES for entry in entries)
    if not whole:
        if not orgs and not with_org and not contact:
            raise Rejection("orgs", "org-unreadable")
        dropped.append(("orgs", "org-unreadable"))
    if not orgs:
        return entries
    if not without:
        return with_org or [_entry(None, org) for org in orgs]
    if len(without) > 1 and len(orgs) > 1 and not contact:
        if with_org:
            dropped.append(("roles", "role-without-org"))
            return with_org
        raise Rejection("roles", "roles-and-orgs-unpaired")
    return with_org + [{**entry, "org": org} for entry in without for org in orgs]


def with_unclear_dates(rejects: list[dict[str, Any]]) -> int:
    """How many people these rejects say of that a date of a role could not be read."""
    return len({one["sourcedId"] for one in rejects if one["rule"] == DATE_UNREADABLE})
