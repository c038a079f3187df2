"""Who belongs to which school by enrollments or by the schools' own lists, and which students have no enrollment.

Memory grows with the district: one entry per person, as long as the pull runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from roster_pipeline.oneroster.http.response import folded
from roster_pipeline.oneroster.records.coercion import ID_NULLS, reference, text
from roster_pipeline.oneroster.records.orgs import OrgReferences
from roster_pipeline.oneroster.records.role_entries import Dates, role_name
from roster_pipeline.org_tree import GONE_STATUSES

UNREAD = "enrollments-unread"
"""Problem: the SIS offers no enrollments, or enrollments.csv is missing, empty or damaged."""
IN_PART = "enrollments-in-part"
"""Problem: the manifest does not call enrollments.csv bulk, so it does not say who has no enrollment."""
UNREADABLE_ROWS = "unreadable-rows:enrollments"
ENROLLMENTS_UNKNOWN = frozenset((UNREAD, IN_PART, UNREADABLE_ROWS))
"""Problems of a pull that had to read who is enrolled and could not: its students have no `notEnrolled`."""

Span = tuple[str | None, str | None]
"""Begin and end as YYYY-MM-DD; None is open."""
USER = ("user", "usersourcedid")
SCHOOL = ("school", "schoolsourcedid", "org", "orgsourcedid")
CLASS = ("class", "classsourcedid")
"""Folded names of the members that refer to these, the standard's first, then those of its CSV files."""


class Memberships:
    """user -> (school, role) -> the span from the earliest begin to the latest end.

    class_schools: the school of each class, for enrollments that name a class and no school.
    """

    def __init__(self, dates: Dates | None = None, class_schools: Mapping[str, str] | None = None) -> None:
        self._of: dict[str, dict[tuple[str, str | None], Span]] = {}
        self._dates = dates or Dates()
        self._class_schools = class_schools or {}

    def __len__(self) -> int:
        """How many users have a membership."""
        return len(self._of)

    def page(self, records: Sequence[Any]) -> None:
        """Add one page of raw enrollments. Those without user or school, and deleted ones, are ignored."""
        enrollments = [folded_members(record) for record in records]
        self._dates.learn(members.get(name) for members in enrollments for name in ("begindate", "enddate"))
        for members in enrollments:
            self._add(members)

    def _add(self, members: dict[str, Any]) -> None:
        user, school = named_id(members, USER), named_id(members, SCHOOL)
        if school is None and self._class_schools:
            school = self._class_schools.get(named_id(members, CLASS) or "")
        status = str(members.get("status") or "active").strip().lower()
        if user is None or school is None or status in GONE_STATUSES:
            return
        role = role_name(members.get("role"))
        key = (school, role if isinstance(role, str) else None)
        begins, ends = self._dates.day(members.get("begindate")), self._dates.day(members.get("enddate"))
        span: Span = (begins if isinstance(begins, str) else None, ends if isinstance(ends, str) else None)
        spans = self._of.setdefault(user, {})
        spans[key] = _joined(spans[key], span) if key in spans else span

    def add_listed(self, sourced_id: Any, school: str, role: str) -> None:
        """Add a user of a school's own list, by the raw sourcedId."""
        user = text(sourced_id, ID_NULLS)
        if isinstance(user, str):
            self._of.setdefault(user, {})[school, role] = (None, None)

    def mark(self, users: list[dict[str, Any]], today: date, orgs: OrgReferences) -> None:
        """Set `notEnrolled` of students: those of their schools where they have no current or future enrollment.

        An enrollment in an org below or above the school counts as one in the school. One in an org that the SIS does
        not list may be in any school, so its student is not marked.
        """
        now = today.isoformat()
        for user in users:
            schools = {entry["org"] for entry in user["roles"] if entry["role"] == "student" and entry["org"]}
            if not schools:
                continue
            spans = self._of.get(user["sourcedId"], {})
            named = {school for (school, _), (_, ends) in spans.items() if ends is None or now <= ends}
            current = {org for reference in named for org in orgs.meant(reference)}
            if orgs.ids and not current <= orgs.ids:
                continue
            covered = current.union(*map(orgs.above, current))
            left = sorted(school for school in schools - covered if not orgs.above(school) & current)
            if left:
                user["notEnrolled"] = left

    def fill(self, user: dict[str, Any]) -> None:
        """Give a user without orgs the schools of these memberships. A role of the user's own is kept."""
        if any(entry["org"] is not None and entry["role"] is not None for entry in user["roles"]):
            return
        spans = self._of.get(user["sourcedId"])
        if not spans:
            return
        own = [entry["role"] for entry in user["roles"] if entry["role"] is not None]
        joined: dict[tuple[str | None, str], Span] = {}
        for (school, enrolled_as), span in spans.items():
            key = (own[0] if len(own) == 1 else enrolled_as, school)
            joined[key] = _joined(joined[key], span) if key in joined else span
        user["roles"] = [
            {"role": role, "roleType": None, "org": school, "beginDate": begins, "endDate": ends}
            for (role, school), (begins, ends) in joined.items()
        ]


def folded_members(record: Any) -> dict[str, Any]:
    """The members of a raw record by their folded names."""
    return {folded(name): value for name, value in record.items()} if isinstance(record, dict) else {}


def named_id(members: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The sourcedId that the first existing one of these members refers to."""
    sourced_id = reference(next((members[name] for name in names if members.get(name) is not None), None))
    return sourced_id if isinstance(sourced_id, str) else None


def _joined(one: Span, other: Span) -> Span:
    begins = None if one[0] is None or other[0] is None else min(one[0], other[0])
    ends = None if one[1] is None or other[1] is None else max(one[1], other[1])
    return begins, ends
