"""If users name no school: takes their schools from enrollments, or from the lists of single schools.

The lists are `/schools/{id}/students` and `/schools/{id}/teachers`. They are also used if a district is far larger than
its rostered schools, and if a SIS lists people only by school. An empty list, or one with people of other schools,
proves nothing and is not used.

Guardians that no collection delivers are fetched one by one, by the ids in students' `agents`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from roster_pipeline.oneroster.collections.listing import Listing
from roster_pipeline.oneroster.collections.reading import Reading
from roster_pipeline.oneroster.collections.response_body import raw_id
from roster_pipeline.oneroster.collections.wanted import LISTED, Batch, Fill, naming_orgs, sampled
from roster_pipeline.oneroster.http.endpoint import segment
from roster_pipeline.oneroster.records.orgs import CLASS, SCHOOL, USER, Memberships, folded_members, named_id
from roster_pipeline.oneroster.records.role_entries import CONTACT_ROLES

TRUSTED_SHARE = 0.5
"""If more than this share of a school's list names only other schools, it is not the list of this school."""

Lists = list[tuple[str, Listing]]
"""Schools, and one list of each."""
AT_FIRST = 5
"""First requests, to see whether the server answers for single users; if it answers none, we stop."""
AT_ONCE = 50
"""Ids per batch. If none of the first lot exists, the SIS has no guardians to offer."""


def read_memberships(reading: Reading) -> Memberships | None:
    """All enrollments; only those of the wanted schools if the server has them per school. None if there are none.

    Enrollments are useful only if each names a user, and a school or a class. If they do not, only one page is read.
    """
    memberships: Memberships | None = None
    for path, label in _enrollment_paths(reading):
        listing = reading.listing(path, "enrollments", label)
        first = listing.offered()
        if first is None:
            reading.notes.append("enrollments-not-offered")
            return None
        if memberships is None:
            memberships = _memberships_for(reading, [folded_members(record) for record in first])
        if memberships is None:
            reading.notes.append("enrollments-not-usable")
            return None
        reading.others.append(listing.proof)
        for page in listing.pages():
            memberships.page(page)
    return memberships if memberships else None


def _enrollment_paths(reading: Reading) -> list[tuple[str, str]]:
    schools = reading.own_schools
    if schools:
        paths = [(f"/schools/{segment(school)}/enrollments", "/schools/{id}/enrollments") for school in schools]
        if reading.listing(paths[0][0], "enrollments", paths[0][1]).offered() is not None:
            return paths
    return [("/enrollments", "/enrollments")]


def _memberships_for(reading: Reading, first: Sequence[dict[str, Any]]) -> Memberships | None:
    """Empty memberships that can collect enrollments like these, with the schools of classes if needed; else None.

    An empty list can be collected, because another school may have some.
    """
    of_people = [members for members in first if named_id(members, USER) is not None]
    if not first or any(named_id(members, SCHOOL) is not None for members in of_people):
        return Memberships(reading.dates)
    if not any(named_id(members, CLASS) is not None for members in of_people):
        return None
    schools = _schools_of_classes(reading)
    return Memberships(reading.dates, schools) if schools else None


def _schools_of_classes(reading: Reading) -> dict[str, str]:
    """The school of each class; empty if the SIS does not say it."""
    listing = reading.listing("/classes", "classes")
    first = listing.offered() or []
    if not any(named_id(folded_members(record), SCHOOL) is not None for record in first):
        return {}
    reading.others.append(listing.proof)
    schools: dict[str, str] = {}
    for page in listing.pages():
        for record in page:
            members = folded_members(record)
            class_id, school = named_id(members, ("sourcedid",)), named_id(members, SCHOOL)
            if class_id is not None and school is not None:
                schools[class_id] = school
    return schools


def school_list(reading: Reading, school: str, group: str) -> Listing:
    """One school's list of students or teachers."""
    path = LISTED[group]
    return reading.listing(f"/schools/{segment(school)}{path}", "users", f"/schools/{{id}}{path}")


def lists_of_schools(reading: Reading, group: str) -> Lists | None:
    """The group's list of each wanted school, opened; None if one cannot be read, or belongs to another school."""
    lists: Lists = []
    for school in reading.wanted_schools():
        listing = school_list(reading, school, group)
        if not is_of_school(reading, school, listing):
            return None
        lists.append((school, listing))
    return lists if any(listing.open() for _, listing in lists) else None


def is_of_school(reading: Reading, school: str, listing: Listing) -> bool:
    """Whether the list can be read, and is the list of this school and not of another one, which is noted."""
    first = listing.offered()
    of_school = first is not None and of_this_school(first, school)
    if first is not None and not of_school:
        reading.notes.append("per-school-list-not-of-this-school")
    return of_school


def read_lists(reading: Reading, lists: Lists, group: str) -> Iterator[Batch]:
    """The people of these lists, each once. People who name no school get every school whose list has them."""
    fill: Fill | None = None
    if len(lists) > 1 and not any(naming_orgs([record for _, listing in lists for record in listing.open()])):
        memberships = Memberships()
        _add_lists(memberships, lists, group)
        reading.others += [listing.proof for _, listing in lists]
        fill = memberships.fill
        lists = [(school, school_list(reading, school, group)) for school, _ in lists]
    for school, listing in lists:
        yield from reading.users(listing, fill or belongs_to(school))


def listed_memberships(reading: Reading) -> Memberships | None:
    """Memberships from the lists of all wanted schools; None if there are no such lists."""
    memberships = Memberships()
    for group in LISTED:
        lists = lists_of_schools(reading, group) if reading.wanted.wants(group) else None
        if lists is not None:
            _add_lists(memberships, lists, group)
            reading.others += [listing.proof for _, listing in lists]
    return memberships if memberships else None


def belongs_to(school: str) -> Fill:
    """A function that gives users who name no org at all this school."""

    def fill(user: dict[str, Any]) -> None:
        if all(entry["org"] is None for entry in user["roles"]):
            for entry in user["roles"]:
                entry["org"] = school

    return fill


def of_this_school(records: list[Any], school: str) -> bool:
    """Whether most people of a first page who name a school name this one."""
    with_school = [entries for entries in sampled(records) if any(entry["org"] is not None for entry in entries)]
    foreign = sum(1 for entries in with_school if all(entry["org"] != school for entry in entries))
    return not with_school or foreign / len(with_school) <= TRUSTED_SHARE


def _add_lists(memberships: Memberships, lists: Lists, group: str) -> None:
    for school, listing in lists:
        for page in listing.pages():
            for record in page:
                if isinstance(record, dict):
                    memberships.add_listed(raw_id(record), school, group)


def single_guardians(reading: Reading) -> Iterator[Batch]:
    """The guardians that no listing had: `/users/{id}` for each agent, up to a limit.

    Agents that do not exist are noted. That is not an error, and no reason to remove a contact.
    """
    schools = reading.wanted.school_ids or ()
    if schools and len(reading.unknown_schools()) == len(schools):
        return  # none of the schools exists, so there are no students
    agents = sorted(reading.agents)
    most = reading.client.endpoint.limits.single_users
    if not agents or len(agents) > most:
        reading.unread.add("contact")
        reading.notes.append("no-agents" if not agents else "too-many-agents")
        return
    missing = [agent for agent, seen in zip(agents, reading.has_seen(agents), strict=True) if not seen]
    everybody = _everybody(reading, len(missing)) if reading.mode == "school" else None
    if everybody is not None:
        reading.strategy += "+users"
        yield from reading.users(everybody)
        return
    found = unresolved = unanswered = 0
    for lot in _lots(missing):
        answers = reading.client.user_answers(lot)
        unresolved += sum(answer.state == "missing" for answer in answers.values())
        unanswered += sum(answer.state == "unanswered" for answer in answers.values())
        users = [
            answer.user
            for answer in answers.values()
            if answer.user is not None and any(entry["role"] in CONTACT_ROLES for entry in answer.user["roles"])
        ]
        found += len(users)
        if users:
            yield reading.extra_users(users)
        if not found and (unanswered == len(lot) or lot[0] != missing[0]):
            break
    reading.strategy += "+agents" if found else ""
    reading.unread.discard("contact")
    if not found or unanswered:
        reading.unread.add("contact")
    if unresolved:
        reading.notes.append("agents-unresolved")
    if unanswered:
        reading.notes.append("agents-unanswered")


def _everybody(reading: Reading, requests: int) -> Listing | None:
    """All of `/users`, opened, if that takes fewer requests than fetching the guardians one by one."""
    if requests <= AT_FIRST:
        return None
    listing = reading.listing("/users", "users")
    listing.offered()
    pages = listing.pages_announced
    return listing if pages is not None and pages < requests else None


def _lots(agents: list[str]) -> Iterator[list[str]]:
    """First AT_FIRST ids, then the rest of the first AT_ONCE, then AT_ONCE at a time."""
    yield agents[:AT_FIRST]
    yield from (lot for lot in (agents[AT_FIRST:AT_ONCE],) if lot)
    yield from (agents[start : start + AT_ONCE] for start in range(AT_ONCE, len(agents), AT_ONCE))
