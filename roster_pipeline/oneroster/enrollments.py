"""Who belongs to which school by enrollments, for servers whose users name no org.

This map is the one thing that grows with the district: an entry per person, for as long as the pull lasts.
"""

from __future__ import annotations

from typing import Any

from roster_pipeline.oneroster.address import segment
from roster_pipeline.oneroster.envelope import raw_id
from roster_pipeline.oneroster.errors import NotOffered, Refused, RequestRefused
from roster_pipeline.oneroster.reading import Reading
from roster_pipeline.oneroster.role_entries import role_name
from roster_pipeline.oneroster.status_info import folded
from roster_pipeline.oneroster.values import ID_NULLS, day, reference, text
from roster_pipeline.oneroster.witness import GONE_STATUSES

Span = tuple[str | None, str | None]


class Memberships:
    """user -> (school, role) -> the span from the earliest begin to the latest end; None is open."""

    def __init__(self) -> None:
        self._of: dict[str, dict[tuple[str, str | None], Span]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def add(self, record: Any) -> None:
        """Take one raw enrollment in; what names no user or school says nothing about membership."""
        if not isinstance(record, dict):
            return
        members = {folded(name): value for name, value in record.items()}
        user, school = reference(members.get("user")), reference(members.get("school"))
        status = str(members.get("status") or "active").strip().lower()
        if not isinstance(user, str) or not isinstance(school, str) or status in GONE_STATUSES:
            return
        role = role_name(members.get("role"))
        key = (school, role if isinstance(role, str) else None)
        begins, ends = day(members.get("begindate")), day(members.get("enddate"))
        span: Span = (begins if isinstance(begins, str) else None, ends if isinstance(ends, str) else None)
        spans = self._of.setdefault(user, {})
        spans[key] = _joined(spans[key], span) if key in spans else span

    def add_listed(self, record: Any, school: str, role: str) -> None:
        """Take in one raw user that stands in a school's own list."""
        user = text(raw_id(record), ID_NULLS) if isinstance(record, dict) else None
        if isinstance(user, str):
            self._of.setdefault(user, {})[school, role] = (None, None)

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
    """All enrollments, of the wanted schools where the server has them per school; None where there are none."""
    memberships = Memberships()
    for path, label in _paths(reading):
        listing = reading.listing(path, "enrollments", label)
        try:
            listing.open()
        except (NotOffered, Refused, RequestRefused):
            reading.notes.append("enrollments-not-offered")
            return None
        reading.others.append(listing.proof)
        for page in listing.pages():
            for record in page:
                memberships.add(record)
    return memberships if len(memberships) else None


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
