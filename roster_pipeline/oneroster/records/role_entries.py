"""Reads role, school and dates of a user from any shape of record into the shape of 1.2: one entry per role and org.

1.1's one role and its list of orgs become one entry per org; a record without any org keeps one entry whose org is
None. If a record has several roles and several orgs and does not say which belongs to which, it is rejected. If only
`orgs` or `primaryOrg` name an org, and no role does, the record contradicts itself: the org becomes an entry without a
role.

Dates are read in the format of ISO, and in other formats if there is no doubt. 6/7/2026 may be in June or July: one
date with a day above 12 decides it for all dates with this separator. Without one, or where two dates contradict each
other, such a date is unreadable.
"""

import re
from collections.abc import Iterable
from typing import Any

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import (
    NOT_IDS,
    UNREADABLE,
    date_of,
    day,
    listed,
    reference,
    references,
    text,
)

ROLES = {
    role.lower(): role
    for role in (
        *("administrator", "aide", "guardian", "parent", "proctor", "relative", "student", "teacher"),
        *("counselor", "districtAdministrator", "principal", "siteAdministrator", "systemAdministrator"),
    )
}
"""Lower-cased role to the standard's spelling, both versions."""
DATE_UNREADABLE = "date-unreadable"
"""Rule of a role whose begin or end cannot be read: it counts as current, and may have ended."""
CONTACT_ROLES = frozenset(("guardian", "parent", "relative"))
_UNREAD_ROLE = ("roles", "role-unreadable")
DAY_FIRST, MONTH_FIRST = "day first", "month first"
_ORG_NAMES = ("org", "orgSourcedId", "orgs", "orgSourcedIds", "school", "schoolSourcedId")
"""Members of an entry that may name its org, the standard's first."""
_MEMBERS = {name.lower(): name for name in ("role", "roleType", "beginDate", "endDate", *_ORG_NAMES)}
"""Folded name to the standard's spelling, of the members of an entry."""
_SPELLED = frozenset(ROLES.values())
_USUAL_MEMBERS = frozenset(("role", "roleType", "org", "beginDate", "endDate", "userProfile"))
_NO_ROLES = ("[", "{")
"""Beginnings of a text that is a list or an object in some notation, and not the name of a role."""
_YEAR_FIRST = re.compile(r"^(\d{4})([/.-])(\d{1,2})\2(\d{1,2})(?:[T ].*)?$")
_YEAR_LAST = re.compile(r"^(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:[T ].*)?$")
_DAY_AND_NAME = re.compile(r"^(\d{1,2})[ .-]+([A-Za-z]{3,9})[ .,-]+(\d{4})$")
_NAME_AND_DAY = re.compile(r"^([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})$")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOST_CACHED = 4096

Entry = dict[str, str | None]
Dropped = list[tuple[str, str]]


class Rejection(Exception):
    """The record cannot be used: field and rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(field, rule)
        self.field = field
        self.rule = rule


def role_entries(record: dict[str, Any], dates: "Dates") -> tuple[list[Entry], Dropped]:
    """Entries {role, roleType, org, beginDate, endDate}, and what was dropped as (field, rule). Raises Rejection."""
    dropped: Dropped = []
    stated = record.get("roles") or record.get("role")
    if type(stated) is str and not stated.lstrip().startswith(_NO_ROLES):
        entries: list[Entry] = [_entry(role_name(stated))]
    else:
        entries = []
        all_with_org = True
        for item in stated if type(stated) is list else listed(stated):
            for entry in _entries_of_item(item, dates, dropped):
                entries.append(entry)
                all_with_org = all_with_org and entry["org"] is not None
        if entries and all_with_org:
            return _with_other_orgs(record, entries), dropped
    entries = _with_other_orgs(record, _with_orgs(record, entries, dropped))
    if _UNREAD_ROLE in dropped and not any(entry["org"] for entry in entries):
        raise Rejection(*_UNREAD_ROLE)
    return entries, dropped


def without_contacts(users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The users with a role that is not a contact's, or with no role at all."""
    return [
        user
        for user in users
        if not user["roles"] or any(entry["role"] not in CONTACT_ROLES for entry in user["roles"])
    ]


def role_name(value: Any) -> Any:
    """A role in the standard's spelling; other roles (extensions, vendors' own) as they are; None, or UNREADABLE."""
    name = text(value)
    if not isinstance(name, str):
        return name
    if name.startswith(_NO_ROLES):
        return UNREADABLE
    return ROLES.get(name.lower()) or ROLES.get(folded(name)) or name


def with_unclear_dates(rejects: list[dict[str, Any]]) -> int:
    """How many people in these rejects have a role with an unreadable date."""
    return len({reject["sourcedId"] for reject in rejects if reject["rule"] == DATE_UNREADABLE})


def _entry(role: str | None, org: str | None = None) -> Entry:
    return {"role": role, "roleType": None, "org": org, "beginDate": None, "endDate": None}


def _entries_of_item(item: Any, dates: "Dates", dropped: Dropped) -> list[Entry]:
    """One element of `roles` as an entry per org that it names. A bare text is a role without org."""
    if type(item) is not dict:
        role = role_name(item)
        if role is UNREADABLE:
            dropped.append(_UNREAD_ROLE)
            return []
        return [_entry(role)] if role is not None else []
    if "role" not in item or not item.keys() <= _USUAL_MEMBERS:
        named = {_MEMBERS[name]: value for key, value in item.items() if (name := folded(key)) in _MEMBERS}
        if item and not named:
            dropped.append(_UNREAD_ROLE)
            return []
        item = named | {name: item[name] for name in _USUAL_MEMBERS & item.keys() if item[name] is not None}
    get = item.get
    role = get("role")
    if type(role) is not str or role not in _SPELLED:
        role = role_name(role)
    if role is UNREADABLE:
        raise Rejection(*_UNREAD_ROLE)
    org_stated = get("org")
    org = org_stated.get("sourcedId") if type(org_stated) is dict else None
    orgs: list[str | None] = [org]
    if type(org) is not str or not org.isprintable() or org.strip() != org or org in NOT_IDS:
        ids, all_read = references(next((get(name) for name in _ORG_NAMES if get(name) is not None), None))
        orgs = [*ids] or [None]
        if not all_read:
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
    orgs, all_read = references(record.get("orgs"))
    with_org = [entry for entry in entries if entry["org"] is not None]
    without = [entry for entry in entries if entry["org"] is None]
    if not orgs and not with_org:
        primary = reference(record.get("primaryOrg"))
        if isinstance(primary, str):
            orgs = [primary]
        all_read = all_read and primary is not UNREADABLE
    contact = bool(entries) and all(entry["role"] in CONTACT_ROLES for entry in entries)
    if not all_read:
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


def _with_other_orgs(record: dict[str, Any], entries: list[Entry]) -> list[Entry]:
    """The entries, and those of the orgs that the record names elsewhere."""
    stated, primary = record.get("orgs"), record.get("primaryOrg")
    if not stated and not primary:
        return entries
    orgs = [*references(stated)[0], reference(primary)]
    return entries + entries_without_role(entries, [org for org in orgs if isinstance(org, str)])


def entries_without_role(entries: list[Entry], orgs: Iterable[str]) -> list[Entry]:
    """An entry for each of these orgs that no entry of the record names. A record of a contact gets none."""
    named = {entry["org"] for entry in entries}
    others = [org for org in dict.fromkeys(orgs) if org not in named]
    if not others or all(entry["role"] in CONTACT_ROLES for entry in entries):
        return []
    return [_entry(None, org) for org in others]


class Dates:
    """Reads the dates of one source. `learn` as many as possible before reading the first one. contradicted: a date was
    read in one order, and a later one shows the other order."""

    def __init__(self) -> None:
        self.contradicted = False
        self._orders: dict[str, set[str]] = {}
        """For each separator, the orders that dates prove."""
        self._used: dict[str, str] = {}
        """For each separator, the order in which dates were read."""
        self._cache: dict[str, Any] = {}

    def learn(self, values: Iterable[Any]) -> None:
        """Learn from raw dates whether the day or the month comes first."""
        before = {separator: set(orders) for separator, orders in self._orders.items()}
        for value in values:
            match = _YEAR_LAST.match(value.strip()) if isinstance(value, str) else None
            if match and (order := _proved_order(int(match[1]), int(match[3]))):
                self._orders.setdefault(match[2], set()).add(order)
        if self._orders != before:
            self._cache.clear()
            self.contradicted |= any(self._orders[sep] != {order} for sep, order in self._used.items())

    def day(self, value: Any) -> Any:
        """A date as YYYY-MM-DD, None if there is none, UNREADABLE if it is not a date or may be two dates."""
        if type(value) is not str:
            value = text(value)
            if not isinstance(value, str):
                return value
        cached = self._cache.get(value, self)
        if cached is self:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            cached = self._cache[value] = self._day(value)
        return cached

    def _day(self, written: str) -> Any:
        iso = day(written)
        if iso is not UNREADABLE:
            return iso
        written = written.strip()
        if match := _YEAR_FIRST.match(written):
            return date_of(int(match[1]), int(match[3]), int(match[4]))
        if match := _DAY_AND_NAME.match(written):
            return date_of(int(match[3]), _month(match[2]), int(match[1]))
        if match := _NAME_AND_DAY.match(written):
            return date_of(int(match[3]), _month(match[1]), int(match[2]))
        match = _YEAR_LAST.match(written)
        if not match:
            return UNREADABLE
        first, separator, second, year = int(match[1]), match[2], int(match[3]), int(match[4])
        order = _proved_order(first, second)
        if order is None and first != second:
            order = self._learned_order(separator)
            if order is None:
                return UNREADABLE
        return date_of(year, first, second) if order == MONTH_FIRST else date_of(year, second, first)

    def _learned_order(self, separator: str) -> str | None:
        """The order of dates with this separator. With full stops the day is first, unless a date shows otherwise."""
        orders = self._orders.get(separator) or ({DAY_FIRST} if separator == "." else set())
        if len(orders) != 1:
            return None
        return self._used.setdefault(separator, next(iter(orders)))


def _proved_order(first: int, second: int) -> str | None:
    """Which of the two numbers must be the day; None if both are possible."""
    if first > len(_MONTHS):
        return DAY_FIRST if second <= len(_MONTHS) else None
    return MONTH_FIRST if second > len(_MONTHS) else None


def _month(name: str) -> int:
    """The number of an English month, 0 for another word."""
    return _MONTHS.index(name[:3].lower()) + 1 if name[:3].lower() in _MONTHS else 0
