"""The strategies to read the people of the schools, chosen by what the server offers.

All of `/users` is best, because there no filter and no server's idea of membership can hide anybody. The other
strategies are for servers that refuse it, or for districts far larger than what is rostered. A collection that is
refused never counts as empty: its roles are "unread", and absence in them means nothing.
"""

from collections.abc import Iterator
from typing import Any

from roster_pipeline.oneroster.collections.delta import changed_users
from roster_pipeline.oneroster.collections.listing import Listing
from roster_pipeline.oneroster.collections.membership_lookup import (
    Lists,
    belongs_to,
    is_of_school,
    listed_memberships,
    lists_of_schools,
    read_lists,
    read_memberships,
    school_list,
    single_guardians,
)
from roster_pipeline.oneroster.collections.proof import SeenIds
from roster_pipeline.oneroster.collections.reading import Reading
from roster_pipeline.oneroster.collections.wanted import GROUPS, LISTED, ROLES_OF, Batch, Fill, entries_of, naming_orgs
from roster_pipeline.oneroster.errors import NotOffered, OneRosterError
from roster_pipeline.oneroster.http.error_mapping import unreadable
from roster_pipeline.oneroster.records.orgs import UNREAD, Memberships, orgs_of

FEW_ORGS = 0.1
"""If at most this share of students and teachers name an org, the server counts as one that delivers no orgs."""


def read_people(reading: Reading) -> Iterator[Batch]:
    """Orgs, then people, then guardians, by the best strategy that works."""
    yield from _orgs(reading)
    memberships = _enrollments(reading) if reading.wanted.enrollments else None
    if reading.wanted.school_ids is not None:
        lists = _per_school_lists(reading)
        if lists is not None:
            yield from _by_school(reading, lists)
            if reading.lacks_guardians:
                yield from single_guardians(reading)
            return
        reading.mode = "full"
    since = None if reading.wanted.everybody_too else reading.wanted.since
    changes = None if since is None else changed_users(reading, since)
    if changes is not None:
        reading.mode, reading.strategy = "delta", "users"
        yield from reading.users(changes)
        return
    listing = reading.whole_listing()
    try:
        first = listing.open()
    except OneRosterError as refusal:
        if not unreadable(refusal):
            raise
        yield from _without_users(reading, refusal)
    else:
        if first or not _somebody_elsewhere(reading):
            yield from _whole(reading, listing, first, memberships)
        else:
            reading.notes.append("users-empty")
            yield from _without_users(reading, None)
    for group in LISTED:
        if group in reading.orgs.roles_seen and group not in reading.orgs.roles_with_org:
            reading.own_problems.append(f"no-orgs:{group}")
    if not reading.records:
        reading.own_problems.append("no-people")
    if reading.lacks_guardians:
        yield from single_guardians(reading)


def _orgs(reading: Reading) -> Iterator[Batch]:
    """All orgs. If `/orgs` lacks a school, also the orgs of `/schools`, and then the school itself by its id."""
    listing = reading.client.org_listing(reading.revision, strict=reading.strict)
    yield from _listed_orgs(reading, listing)
    if listing.proof.path == "/orgs" and (reading.unknown_schools() or not reading.schools):
        schools = reading.listing("/schools", "orgs")
        if schools.offered() is not None:
            yield from _listed_orgs(reading, schools)
    for school in reading.unknown_schools():
        org = reading.client.single_org(school)
        if org is not None:
            reading.note_orgs([org])
            yield Batch("org", [org], [])
    if not reading.org_ids:
        reading.own_problems.append("no-orgs")


def _listed_orgs(reading: Reading, listing: Listing) -> Iterator[Batch]:
    reading.others.append(listing.proof)
    for page in listing.pages():
        orgs, rejects = orgs_of(page)
        orgs = [org for org in orgs if org["sourcedId"] not in reading.org_ids]
        reading.note_orgs(orgs)
        yield Batch("org", orgs, rejects)


def _enrollments(reading: Reading) -> Memberships | None:
    """All enrollments, which mark the students of this reading; without them the reading is incomplete."""
    memberships = read_memberships(reading)
    if memberships is None:
        reading.own_problems.append(UNREAD)
    reading.enrolled = memberships
    return memberships


def _whole(reading: Reading, listing: Listing, first: list[Any], memberships: Memberships | None) -> Iterator[Batch]:
    """All of `/users`, and roles that it leaves out from their own collections."""
    reading.strategy = "users"
    fill = _missing_orgs(reading, first, memberships)
    yield from reading.users(listing, fill)
    for group, path in LISTED.items():
        if reading.wanted.wants(group) and not reading.orgs.roles_seen.intersection(ROLES_OF[group]):
            extra = reading.listing(path, "users")
            if not extra.offered():
                continue
            reading.strategy += f"+{path[1:]}"
            yield from reading.users(extra, fill)
            if not reading.orgs.roles_seen.intersection(ROLES_OF[group]):
                reading.own_problems.append(f"no-role:{group}")


def _without_users(reading: Reading, refusal: OneRosterError | None) -> Iterator[Batch]:
    """`/students` and `/teachers`, or the schools' lists of them, and filtered `/users` for other roles."""
    reading.seen_roles = SeenIds()
    opened: list[Listing] = []
    by_school: dict[str, Lists] = {}
    for group, path in LISTED.items():
        listing = reading.listing(path, "users")
        if listing.offered() is not None:
            opened.append(listing)
            continue
        lists = lists_of_schools(reading, group) if reading.wanted.wants(group) else None
        if lists is None:
            reading.unread.add(group)
        else:
            by_school[group] = lists
    if not opened and not by_school and refusal is not None:
        raise refusal
    reading.strategy = "+".join(f"schools{path}" if group in by_school else path[1:] for group, path in LISTED.items())
    first = [record for listing in opened for record in listing.open()]
    fill = _missing_orgs(reading, first) if opened else None
    for listing in opened:
        yield from reading.users(listing, fill)
    for group, lists in by_school.items():
        yield from read_lists(reading, lists, group)
    groups = [group for group in (*GROUPS, "contact") if group not in LISTED and reading.wanted.wants(group)]
    if refusal is None:
        reading.unread.update(groups)
    else:
        yield from _by_role(reading, groups, fill)


def _by_role(reading: Reading, groups: list[str], fill: Fill | None) -> Iterator[Batch]:
    """Filtered `/users`, one role at a time. The filter works if an answer is not empty and holds only that role.

    If it works, an empty answer for another role counts as nobody. So does a 404, because some servers send it for an
    empty list. Otherwise an empty answer means nothing, and the group is unread. Before a role with people came, the
    filter is tested with teachers.
    """
    proved = False
    for group in groups:
        empty = refused = False
        for role in ROLES_OF[group]:
            listing = _of_role(reading, role)
            try:
                first = listing.open()
            except OneRosterError as refusal:
                if not unreadable(refusal):
                    raise
                proved = proved or (isinstance(refusal, NotOffered) and _role_filter_works(reading))
                if proved and isinstance(refusal, NotOffered):
                    continue
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
        proved = proved or (empty and not refused and _role_filter_works(reading))
        if refused or (empty and not proved):
            reading.unread.add(group)


def _per_school_lists(reading: Reading) -> list[tuple[str, Listing]] | None:
    """The lists of every wanted school, opened; None if they cannot be read or trusted."""
    wanted = reading.wanted
    others = [group for group in GROUPS if group not in LISTED and wanted.wants(group)]
    if others and not _role_filter_works(reading):
        reading.notes.append("per-school-lists-lack-roles")
        return None
    lists: list[tuple[str, Listing]] = []
    for school in reading.own_schools:
        for group in LISTED:
            if not wanted.wants(group):
                continue
            listing = school_list(reading, school, group)
            first = listing.offered()
            if not first:
                reading.notes.append("per-school-lists-not-offered" if first is None else "per-school-list-empty")
                return None
            if not is_of_school(reading, school, listing):
                return None
            lists.append((school, listing))
    return lists


def _by_school(reading: Reading, lists: list[tuple[str, Listing]]) -> Iterator[Batch]:
    reading.strategy = "schools/students+teachers"
    for school, listing in lists:
        yield from reading.users(listing, belongs_to(school))
    groups = [group for group in GROUPS if group not in LISTED and reading.wanted.wants(group)]
    yield from _by_role(reading, groups, None)


def _of_role(reading: Reading, role: str) -> Listing:
    field = "roles.role" if reading.client.version == "1.2" else "role"
    return reading.listing("/users", "users", query_filter=f"{field}='{role}'")


def _role_filter_works(reading: Reading) -> bool:
    """Whether `/users` can be filtered for teachers, which every school has."""
    try:
        first = _of_role(reading, "teacher").open()
    except OneRosterError:
        return False
    return bool(first) and all(_has_role(record, "teacher") for record in first)


def _somebody_elsewhere(reading: Reading) -> bool:
    """Whether `/students` or `/teachers` have people although `/users` is empty."""
    return any(reading.listing(path, "users").offered() for path in LISTED.values())


def _missing_orgs(reading: Reading, first: list[Any], known: Memberships | None = None) -> Fill | None:
    """If active students and teachers name no org: a function that adds their schools, from enrollments, the only
    school, or the schools' lists."""
    sample = naming_orgs(first)
    if not sample:
        for path in LISTED.values():
            sample += naming_orgs(reading.listing(path, "users").offered() or [])
    if not sample or sum(sample) > len(sample) * FEW_ORGS:
        return None
    memberships = known or read_memberships(reading)
    if memberships is not None:
        reading.strategy += "+enrollments"
        return memberships.fill
    if len(reading.schools) == 1:
        reading.strategy += "+only-school"
        return belongs_to(reading.schools[0])
    memberships = listed_memberships(reading)
    if memberships is not None:
        reading.strategy += "+school-lists"
        return memberships.fill
    return None


def _has_role(record: Any, role: str) -> bool:
    return any(entry["role"] == role for entry in entries_of(record) or ())
