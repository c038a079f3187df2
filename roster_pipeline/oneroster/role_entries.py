"""Role and school of a user, in 1.2's shape whatever the record was: one entry per role and org.

1.1's one role and its list of orgs become one entry per org; a record without any org keeps one entry whose org is
None. Where several roles meet several orgs without saying which belongs to which, nothing is guessed: the
record is rejected.
"""

from __future__ import annotations

from typing import Any

from roster_pipeline.oneroster.status_info import folded
from roster_pipeline.oneroster.values import ID_NULLS, UNREADABLE, day, listed, reference, text

ROLES = {
    role.lower(): role
    for role in (
        *("administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"),
        *("counselor", "districtAdministrator", "principal", "siteAdministrator", "systemAdministrator"),
    )
}
"""Lower-cased role to the standard's spelling, both versions."""
CONTACT_ROLES = frozenset(("guardian", "parent", "relative"))
_ORG_NAMES = ("org", "orgSourcedId", "orgs", "school")
"""Members of an entry that may name its org, the standard's first."""
NOT_IDS = ID_NULLS | {""}
_SPELLED = frozenset(ROLES.values())

Entry = dict[str, str | None]
Dropped = list[tuple[str, str]]


class Rejection(Exception):
    """The record cannot be used: field and rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(field, rule)
        self.field = field
        self.rule = rule


def role_entries(record: dict[str, Any]) -> tuple[list[Entry], Dropped]:
    """Entries {role, roleType, org, beginDate, endDate}, and what had to be dropped as (field, rule)."""
    dropped: Dropped = []
    stated = record.get("roles") or record.get("role")
    if type(stated) is str:
        entries: list[Entry] = [_entry(role_name(stated))]
    else:
        entries = []
        everywhere = True
        for item in stated if type(stated) is list else listed(stated):
            entry = _read(item, dropped)
            if entry is not None:
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


def _read(item: Any, dropped: Dropped) -> Entry | None:
    """One element of `roles`. A bare text is a role without org."""
    if type(item) is not dict:
        role = role_name(item)
        if role is UNREADABLE:
            dropped.append(("roles", "role-unreadable"))
            return None
        return _entry(role) if role is not None else None
    get = item.get
    role = get("role")
    if type(role) is not str or role not in _SPELLED:
        role = role_name(role)
    if role is UNREADABLE:
        raise Rejection("roles", "role-unreadable")
    org_stated = get("org")
    org = org_stated.get("sourcedId") if type(org_stated) is dict else None
    if type(org) is not str or not org.isprintable() or org.strip() != org or org in NOT_IDS:
        org = reference(next((get(name) for name in _ORG_NAMES if get(name) is not None), None))
    if org is UNREADABLE:
        if role not in CONTACT_ROLES:
            raise Rejection("roles", "org-unreadable")
        org = None
    role_type = get("roleType")
    if role_type not in ("primary", "secondary", None):
        role_type = text(role_type)
        role_type = role_type.lower() if isinstance(role_type, str) else None
    entry: Entry = {"role": role, "roleType": role_type, "org": org, "beginDate": None, "endDate": None}
    for name in ("beginDate", "endDate"):
        value = get(name)
        if value is not None:
            value = day(value)
            if value is UNREADABLE:
                dropped.append(("roles", "date-unreadable"))
                value = None
            entry[name] = value
    return entry


def _with_orgs(record: dict[str, Any], entries: list[Entry], dropped: Dropped) -> list[Entry]:
    """Entries without org joined with the record's own `orgs` (1.1), or its `primaryOrg`."""
    orgs: list[str] = []
    unreadable = False
    for item in listed(record.get("orgs")):
        org = reference(item)
        if org is UNREADABLE:
            unreadable = True
        elif org is not None and org not in orgs:
            orgs.append(org)
    with_org = [entry for entry in entries if entry["org"] is not None]
    without = [entry for entry in entries if entry["org"] is None]
    if not orgs and not with_org:
        primary = reference(record.get("primaryOrg"))
        if isinstance(primary, str):
            orgs = [primary]
    contact = bool(entries) and all(entry["role"] in CONTACT_ROLES for entry in entries)
    if unreadable:
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
