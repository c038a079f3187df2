"""The lists of single schools, `/schools/{id}/students` and `/schools/{id}/teachers`: what they hold, and whom.

They serve where a district is far larger than what is rostered, where a SIS lists nobody but by school, and where its
users name no school. An empty list, or one of other schools' people, proves nothing and is not believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roster_pipeline.oneroster.collections.enrollments import Memberships
from roster_pipeline.oneroster.collections.reading import LISTED, NOT_READABLE, Batch, Fill, Reading
from roster_pipeline.oneroster.http.address import segment
from roster_pipeline.oneroster.paging.listing import Listing
from roster_pipeline.oneroster.records.user_records import UserReader
from roster_pipeline.oneroster.records.usual_users import ReadUser
from roster_pipeline.org_tree import GONE_STATUSES

TRUSTED_SHARE = 0.5
"""A per-school list in which more people than this name other schools only is not of this school."""

Lists = list[tuple[str, Listing]]
"""Schools, and one list of each."""


def school_list(reading: Reading, school: str, group: str) -> Listing:
    """One school's list of students or teachers."""
    path = LISTED[group]
    return reading.listing(f"/schools/{segment(school)}{path}", "users", f"/schools/{{id}}{path}")


def lists_of_schools(reading: Reading, group: str) -> Lists | None:
    """The group's list of each school that is wanted, opened; None where they cannot all be read and believed."""
    lists: Lists = []
    for school in reading.wanted_schools():
        listing = school_list(reading, school, group)
        try:
            first = listing.open()
        except NOT_READABLE:
            return None
        if not of_this_school(first, school):
            reading.notes.append("per-school-list-not-of-this-school")
            return None
        lists.append((school, listing))
    return lists if any(listing.open() for _, listing in lists) else None


def read_lists(reading: Reading, lists: Lists, group: str) -> Iterator[Batch]:
    """People of these lists, each once, with every school in whose list they stand if they name none themselves."""
    fill: Fill | None = None
    if len(lists) > 1 and not _name_schools([record for _, listing in lists for record in listing.open()]):
        members = Memberships()
        _read_into(members, lists, group)
        reading.others += [listing.proof for _, listing in lists]
        fill = members.fill
        lists = [(school, school_list(reading, school, group)) for school, _ in lists]
    for school, listing in lists:
        yield from reading.users(listing, fill or belongs_to(school))


def listed_memberships(reading: Reading) -> Memberships | None:
    """Who stands in which school's list; None where there are no such lists."""
    members = Memberships()
    for group in LISTED:
        lists = lists_of_schools(reading, group) if reading.wanted.wants(group) else None
        if lists is not None:
            _read_into(members, lists, group)
            reading.others += [listing.proof for _, listing in lists]
    return members if len(members) else None


def belongs_to(school: str) -> Fill:
    """Completes users that name no org at all with the school whose list they stand in."""

    def fill(user: dict[str, Any]) -> None:
        if all(entry["org"] is None for entry in user["roles"]):
            for entry in user["roles"]:
                entry["org"] = school

    return fill


def of_this_school(records: list[Any], school: str) -> bool:
    """Whether people of a first page that name any school name this one, by and large."""
    told = [entries for entries in sampled(records) if any(entry["org"] is not None for entry in entries)]
    foreign = sum(1 for entries in told if all(entry["org"] != school for entry in entries))
    return not told or foreign / len(told) <= TRUSTED_SHARE


def sampled(records: list[Any]) -> list[list[dict[str, str | None]]]:
    """Role entries of active records that are, or may be, students and teachers."""
    found: list[list[dict[str, str | None]]] = []
    for record in records:
        if not isinstance(record, dict) or str(record.get("status") or "active").lower() in GONE_STATUSES:
            continue
        entries = entries_of(record)
        if entries is None:
            continue
        if not entries or any(entry["role"] in LISTED or entry["role"] is None for entry in entries):
            found.append(entries)
    return found


def entries_of(record: Any) -> list[dict[str, str | None]] | None:
    """Role entries of a record as it came, in whatever spelling, as its reader sees them; None where it is rejected."""
    user = record if type(record) is ReadUser else UserReader().one(record, [])
    return None if user is None else list(user["roles"])


def _name_schools(records: list[Any]) -> bool:
    return any(entry["org"] is not None for entries in sampled(records) for entry in entries)


def _read_into(members: Memberships, lists: Lists, group: str) -> None:
    for school, listing in lists:
        for page in listing.pages():
            for record in page:
                members.add_listed(record, school, group)
