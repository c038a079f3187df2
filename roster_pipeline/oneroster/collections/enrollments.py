"""Who belongs to which school by enrollments, for servers whose users name no org.

This map is the one thing that grows with the district: an entry per person, for as long as the pull lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from roster_pipeline.oneroster.collections.reading import Reading
from roster_pipeline.oneroster.errors import NotOffered, Refused, RequestRefused
from roster_pipeline.oneroster.http.address import segment
from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.paging.response_body import raw_id
from roster_pipeline.oneroster.records.coercion import ID_NULLS, reference, text
from roster_pipeline.oneroster.records.dates import Dates
from roster_pipeline.oneroster.records.org_references import OrgReferences
from roster_pipeline.oneroster.records.role_entries import role_name
from roster_pipeline.org_tree import GONE_STATUSES

UNREAD = "enrollments-unread"
"""Problem: the SIS offers no enrollments, or enrollments.csv is missing, empty or damaged."""
IN_PART = "enrollments-in-part"
"""Problem: the manifest does not call enrollments.csv bulk, so it does not say who has no enrollment."""
UNREADABLE_ROWS = "unreadable-rows:enrollments"
ENROLLMENTS_UNKNOWN = frozenset((UNREAD, IN_PART, UNREADABLE_ROWS))
"""Problems of a pull that was to read who is enrolled and could not: no student of it has `notEnrolled`."""

Span = tuple[str | None, str | None]
_USER = ("user", "usersourcedid")
_SCHOOL = ("school", "schoolsourcedid", "org", "orgsourcedid")
_CLASS = ("class", "classsourcedid")
"""Folded names of the members that refer to these, the standard's first, then those of its CSV files."""


class Memberships:
    """user -> (school, role) -> the span from the earliest begin to the latest end; None is open.

    class_schools: the school of each class, where enrollments name a class and no school.
    """

    def __init__(self, dates: Dates | None = None, class_schools: Mapping[str, str] | None = None) -> None:
        self._of: dict[str, dict[tuple[str, str | None], Span]] = {}
        self._dates = dates or Dates()
        self._class_schools = class_schools or {}

    def __len__(self) -> int:
        return len(self._of)

    def page(self, records: Sequence[Any]) -> None:
        """Take in one page of raw enrollments."""
        members = [_members(record) for record in records]
        self._dates.learn(one.get(name) for one in members for name in ("begindate", "enddate"))
        for one in members:
            self._add(one)

    def _add(self, members: dict[str, Any]) -> None:
        """Take one enrollment in; what names no user or school says nothing about membership."""
        user, school = _named(members, _USER), _named(members, _SCHOOL)
        if school is None and self._class_schools:
            school = self._class_schools.get(_named(members, _CLASS) or "")
        status = str(members.get("status") or "active").strip().lower()
        if user is None or school is None or status in GONE_STATUSES:
            return
        role = role_name(members.get("role"))
        key = (school, role if isinstance(role, str) else None)
        begins, ends = self._dates.day(members.get("begindate")), self._dates.day(members.get("enddate"))
        span: Span = (begins if isinstance(begins, str) else None, ends if isinstance(ends, str) else None)
        spans = self._of.setdefault(user, {})
        spans[key] = _joined(spans[key], span) if key in spans else span

    def add_listed(self, record: Any, school: str, role: str) -> None:
        """Take in one raw user that stands in a school's own list."""
        user = text(raw_id(record), ID_NULLS) if isinstance(record, dict) else None
        if isinstance(user, str):
            self._of.setdefault(user, {})[school, role] = (None, None)

    def mark(self, users: list[dict[str, Any]], today: date, orgs: OrgReferences) -> None:
        """Put `notEnrolled` into students: those of their schools in which no enrollment runs, or is to come.

        An enrollment in an org below a school, or above it, is one in the school. One in an org that the SIS does not
        list may be in any: nobody who has one is marked.
        """
        now = today.isoformat()
        for user in users:
            schools = {entry["org"] for entry in user["roles"] if entry["role"] == "student" and entry["org"]}
            if not schools:
                continue
            spans = self._of.get(user["sourcedId"], {})
            named = {school for (school, _), (_, ends) in spans.items() if ends is None or now <= ends}
            running = {org for text in named for org in orgs.meant(text)}
            if orgs.ids and not running <= orgs.ids:
                continue
            covered = running.union(*map(orgs.above, running))
            left = sorted(one for one in schools - covered if not orgs.above(one) & running)
            if left:
                user["notEnrolled"] = left

    def fill(self, user: dict[str, Any]) -> None:
        """Give a user without orgs the schools of its enrollments; its own role stays where it has one."""
        if any(entry["org"] is not None and entry["role"] is not None for entry in user["roles"]):
            return
        spans = self._of.get(user["sourcedId"])
        if not spans:
            return
        own = [entry["role"] for entry in user["roles"] if entry["role"] is not None]
        entries: dict[tuple[str | None, str], dict[str, str | None]] = {}
        for (school, enrolled_as), (begins, ends) in spans.items():
            role = own[0] if len(own) == 1 else enrolled_as
            known = entries.get((role, school))
            if known is not None:
                begins, ends = _joined((known["beginDate"], known["endDate"]), (begins, ends))
            entries[role, school] = {
                "role": role,
                "roleType": None,
                "org": school,
                "beginDate": begins,
                "endDate": ends,
            }
        user["roles"] = list(entries.values())


def read_memberships(reading: Reading) -> Memberships | None:
    """All enrollments, of the wanted schools where the server has them per school; None where there are none.

    No more than a page is downloaded of enrollments that say nothing: each must name a user, and a school or a class.
    """
    memberships: Memberships | None = None
    for path, label in _paths(reading):
        listing = reading.listing(path, "enrollments", label)
        try:
            first = [_members(record) for record in listing.open()]
        except (NotOffered, Refused, RequestRefused):
            reading.notes.append("enrollments-not-offered")
            return None
        if memberships is None:
            memberships = _usable(reading, first)
        if memberships is None:
            reading.notes.append("enrollments-not-usable")
            return None
        reading.others.append(listing.proof)
        for page in listing.pages():
            memberships.page(page)
    return memberships if memberships else None


def _usable(reading: Reading, first: Sequence[dict[str, Any]]) -> Memberships | None:
    """Where to collect enrollments like these, with the schools of their classes if need be; None where it is no use.

    An empty list is usable: another school may have some.
    """
    of_people = [one for one in first if _named(one, _USER) is not None]
    if not first or any(_named(one, _SCHOOL) is not None for one in of_people):
        return Memberships(reading.dates)
    if not any(_named(one, _CLASS) is not None for one in of_people):
        return None
    schools = _schools_of_classes(reading)
    return Memberships(reading.dates, schools) if schools else None


def _schools_of_classes(reading: Reading) -> dict[str, str]:
    """The school of each class; empty where the SIS does not say."""
    listing = reading.listing("/classes", "classes")
    try:
        first = [_members(record) for record in listing.open()]
    except (NotOffered, Refused, RequestRefused):
        return {}
    if not any(_named(one, _SCHOOL) is not None for one in first):
        return {}
    reading.others.append(listing.proof)
    found: dict[str, str] = {}
    for page in listing.pages():
        for record in page:
            members = _members(record)
            own, school = _named(members, ("sourcedid",)), _named(members, _SCHOOL)
            if own is not None and school is not None:
                found[own] = school
    return found


def _members(record: Any) -> dict[str, Any]:
    """The members of a raw record under their folded names."""
    return {folded(name): value for name, value in record.items()} if isinstance(record, dict) else {}


def _named(members: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The sourcedId that the first of these members that is there refers to."""
    found = reference(next((members[name] for name in names if members.get(name) is not None), None))
    return found if isinstance(found, str) else None


def _paths(reading: Reading) -> list[tuple[str, str]]:
    schools = reading.wanted.school_ids
    if schools:
        paths = [(f"/schools/{segment(school)}/enrollments", "/schools/{id}/enrollments") for school in schools]
        try:
            reading.listing(paths[0][0], "enrollments", paths[0][1]).open()
        except (NotOffered, Refused, RequestRefused):
            pass
        else:
            return paths
    return [("/enrollments", "/enrollments")]


def _joined(one: Span, other: Span) -> Span:
    begins = None if one[0] is None or other[0] is None else min(one[0], other[0])
    ends = None if one[1] is None or other[1] is None else max(one[1], other[1])
    return begins, ends
