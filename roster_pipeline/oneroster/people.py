"""Who belongs to a school, from whatever the server offers: the strategies, chosen by what works.

Whole `/users` is best: no server's idea of a filter or of membership can hide anybody there. Everything else is for
servers that refuse it, or for districts far larger than what is rostered. A collection that is refused never counts as
empty: its roles are "unread", and absence in them means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roster_pipeline.oneroster.address import segment
from roster_pipeline.oneroster.contacts import single_guardians
from roster_pipeline.oneroster.delta import changed_users
from roster_pipeline.oneroster.enrollments import Memberships, read_memberships
from roster_pipeline.oneroster.errors import NotOffered, OneRosterError, Refused, RequestRefused
from roster_pipeline.oneroster.org_records import is_school, orgs_of
from roster_pipeline.oneroster.paging import Listing
from roster_pipeline.oneroster.reading import GROUPS, ROLES_OF, Batch, Fill, Reading
from roster_pipeline.oneroster.role_entries import Rejection, role_entries
from roster_pipeline.oneroster.witness import GONE_STATUSES

NOT_READABLE = (NotOffered, Refused, RequestRefused)
LISTED = {"student": "/students", "teacher": "/teachers"}
"""Role groups that have a collection of their own; all others are only in `/users`."""
FEW_ORGS = 0.1
"""Up to this share of pupils and teachers may name an org where the server does not really deliver orgs."""
TRUSTED_SHARE = 0.5
"""A per-school list in which more people than this name other schools only is not of this school."""


def read_people(reading: Reading) -> Iterator[Batch]:
    """Orgs, then people, then guardians, by the best strategy that works."""
    yield from _orgs(reading)
    if reading.wanted.school_ids is not None:
        lists = _per_school_lists(reading)
        if lists is not None:
            yield from _by_school(reading, lists)
            yield from single_guardians(reading)
            return
        reading.mode = "full"
    changes = changed_users(reading)
    if changes is not None:
        reading.mode, reading.strategy = "delta", "users"
        yield from reading.users(changes)
        return
    listing = reading.listing("/users", "users")
    try:
        first = listing.open()
    except NOT_READABLE as refusal:
        yield from _without_users(reading, refusal)
    else:
        if first or not _somebody_elsewhere(reading):
            yield from _whole(reading, listing, first)
        else:
            reading.notes.append("users-empty")
            yield from _without_users(reading, None)
    for group in LISTED:
        if group in reading.roles_seen and group not in reading.roles_with_org:
            reading.own_problems.append(f"no-orgs:{group}")
    if not reading.records:
        reading.own_problems.append("no-people")
    yield from single_guardians(reading)


def _orgs(reading: Reading) -> Iterator[Batch]:
    listing = reading.client.org_listing(reading.revision, strict=reading.strict)
    reading.others.append(listing.proof)
    for page in listing.pages():
        orgs, rejects = orgs_of(page)
        reading.schools += [org["sourcedId"] for org in orgs if is_school(org) and org["status"] not in GONE_STATUSES]
        reading.org_ids.update(org["sourcedId"] for org in orgs)
        yield Batch("org", orgs, rejects)
    if not reading.org_ids:
        reading.own_problems.append("no-orgs")


def _whole(reading: Reading, listing: Listing, first: list[Any]) -> Iterator[Batch]:
    """All of `/users`; and what it turns out to leave out, from the collections of their own."""
    reading.strategy = "users"
    fill = _missing_orgs(reading, first)
    yield from reading.users(listing, fill)
    for group, path in LISTED.items():
        if reading.wanted.wants(group) and not reading.roles_seen.intersection(ROLES_OF[group]):
            extra = reading.listing(path, "users")
            try:
                if not extra.open():
                    continue
            except NOT_READABLE:
                continue
            reading.strategy += f"+{path[1:]}"
            yield from reading.users(extra, fill)
            if not reading.roles_seen.intersection(ROLES_OF[group]):
                reading.own_problems.append(f"no-role:{group}")


def _without_users(reading: Reading, refusal: OneRosterError | None) -> Iterator[Batch]:
    """`/students` and `/teachers`, and filtered `/users` for everybody else."""
    reading.strategy = "students+teachers"
    opened: list[Listing] = []
    for group, path in LISTED.items():
        listing = reading.listing(path, "users")
        try:
            listing.open()
        except NOT_READABLE:
            reading.unread.add(group)
        else:
            opened.append(listing)
    if not opened and refusal is not None:
        raise refusal
    first = [record for listing in opened for record in listing.open()]
    fill = _missing_orgs(reading, first)
    for listing in opened:
        yield from reading.users(listing, fill)
    groups = [group for group in (*GROUPS, "contact") if group not in LISTED and reading.wanted.wants(group)]
    if refusal is None:
        reading.unread.update(groups)
    else:
        yield from _by_role(reading, groups, fill)


def _by_role(reading: Reading, groups: list[str], fill: Fill | None) -> Iterator[Batch]:
    """Filtered `/users`, one role at a time. A filter is proved by an answer that is not empty and all of that role.

    Once proved, an empty answer for another role is believed; before that it means nothing, and the group is unread.
    """
    field = "roles.role" if reading.client.version == "1.2" else "role"
    proved = False
    for group in groups:
        empty = refused = False
        for role in ROLES_OF[group]:
            listing = reading.listing("/users", "users", query_filter=f"{field}='{role}'")
            try:
                first = listing.open()
            except NOT_READABLE:
                refused = True
                break
            if not first:
                empty = True
                continue
            if not all(_has_role(record, role) for record in first):
                reading.notes.append("role-filter-ignored")
                reading.strategy += "+users"
                yield from reading.users(reading.listing("/users", "users"), fill)
                return
            proved = True
            reading.strategy += f"+{role}"
            yield from reading.users(listing, fill)
        if refused or (empty and not proved):
            reading.unread.add(group)


def _per_school_lists(reading: Reading) -> list[tuple[str, Listing]] | None:
    """The lists of every wanted school, opened; None where they cannot be had or believed."""
    wanted = reading.wanted
    others = [group for group in GROUPS if group not in LISTED and wanted.wants(group)]
    if others and not _role_filter_works(reading):
        reading.notes.append("per-school-lists-lack-roles")
        return None
    lists: list[tuple[str, Listing]] = []
    for school in wanted.school_ids or ():
        for group, path in LISTED.items():
            if not wanted.wants(group):
                continue
            listing = reading.listing(f"/schools/{segment(school)}{path}", "users", f"/schools/{{id}}{path}")
            try:
                first = listing.open()
            except NOT_READABLE:
                reading.notes.append("per-school-lists-not-offered")
                return None
            if not first:
                reading.notes.append("per-school-list-empty")
                return None
            if not _of_this_school(first, school):
                reading.notes.append("per-school-list-not-of-this-school")
                return None
            lists.append((school, listing))
    return lists


def _by_school(reading: Reading, lists: list[tuple[str, Listing]]) -> Iterator[Batch]:
    reading.strategy = "schools/students+teachers"
    for school, listing in lists:
        yield from reading.users(listing, _belongs_to(school))
    groups = [group for group in GROUPS if group not in LISTED and reading.wanted.wants(group)]
    yield from _by_role(reading, groups, None)


def _role_filter_works(reading: Reading) -> bool:
    """Whether `/users` can be asked for students only, which every school has."""
    field = "roles.role" if reading.client.version == "1.2" else "role"
    listing = reading.listing("/users", "users", query_filter=f"{field}='teacher'")
    try:
        first = listing.open()
    except OneRosterError:
        return False
    return bool(first) and all(_has_role(record, "teacher") for record in first)


def _somebody_elsewhere(reading: Reading) -> bool:
    """Whether `/students` or `/teachers` have people although `/users` is empty."""
    for path in LISTED.values():
        try:
            if reading.listing(path, "users").open():
                return True
        except NOT_READABLE:
            continue
    return False


def _missing_orgs(reading: Reading, first: list[Any]) -> Fill | None:
    """Where active pupils and teachers come without any org: their schools, from enrollments or the only school."""
    sample = _sample(first)
    if not sample:
        for path in LISTED.values():
            try:
                sample += _sample(reading.listing(path, "users").open())
            except NOT_READABLE:
                continue
    told = sum(any(entry["org"] is not None for entry in entries) for entries in sample)
    if not sample or told > len(sample) * FEW_ORGS:
        return None
    memberships: Memberships | None = read_memberships(reading)
    if memberships is not None:
        reading.strategy += "+enrollments"
        return memberships.fill
    if len(reading.schools) == 1:
        reading.strategy += "+only-school"
        return _belongs_to(reading.schools[0])
    return None


def _sample(records: list[Any]) -> list[list[dict[str, str | None]]]:
    """Role entries of active records that are, or may be, students and teachers."""
    found: list[list[dict[str, str | None]]] = []
    for record in records:
        if not isinstance(record, dict) or str(record.get("status") or "active").lower() in GONE_STATUSES:
            continue
        try:
            entries, _ = role_entries(record)
        except Rejection:
            continue
        if not entries or any(entry["role"] in LISTED or entry["role"] is None for entry in entries):
            found.append(entries)
    return found


def _belongs_to(school: str) -> Fill:
    """Completes users that name no org at all with the school whose list they stand in."""

    def fill(user: dict[str, Any]) -> None:
        if all(entry["org"] is None for entry in user["roles"]):
            for entry in user["roles"]:
                entry["org"] = school

    return fill


def _of_this_school(records: list[Any], school: str) -> bool:
    sample = _sample(records)
    told = [entries for entries in sample if any(entry["org"] is not None for entry in entries)]
    foreign = sum(1 for entries in told if all(entry["org"] != school for entry in entries))
    return not told or foreign / len(told) <= TRUSTED_SHARE


def _has_role(record: Any, role: str) -> bool:
    try:
        entries, _ = role_entries(record)
    except Rejection:
        return False
    return any(entry["role"] == role for entry in entries)
