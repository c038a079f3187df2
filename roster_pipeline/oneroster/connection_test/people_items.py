"""What Test Your Information says of the people who came: roles, guardians, numbers, and whether that was all."""

from __future__ import annotations

from collections.abc import Iterator

from roster_pipeline.completeness_messages import in_words
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.connection_test.item import CheckItem
from roster_pipeline.oneroster.connection_test.people_counts import TOLD_FIELDS, PeopleCounts

MANY_DISABLED = 0.5
MANY_UNENROLLED = 0.1
"""Share of the students without an enrollment beyond which the school year may be the reason."""
LEAST_DELIVERED = 0.8
"""Share of the guardians named by students that has to be delivered. Some always lead nowhere."""
NO_GUARDIANS = "not offered: no student names a guardian"
ROLE_NAMES = {"student": "Students", "teacher": "Teachers", "staff": "Staff", "admin": "Admins"}


def role_item(census: PeopleCounts, proof: Proof, group: str, *, rostered: bool = True) -> CheckItem:
    name = ROLE_NAMES[group]
    if not rostered:
        unread = group in proof.unread_roles
        told = "cannot be read" if unread else f"{_counted(census, group)} in this school"
        return CheckItem(name, None, f"{told}; not rostered")
    if group in proof.unread_roles:
        return CheckItem(
            name, False, "the SIS does not let us read them", "Grant users, or this role, to the application."
        )
    found = census.people[group]
    if not found:
        return CheckItem(
            name, False, "0 in this school", "Check the share and the permissions in the SIS, or switch this role off."
        )
    return CheckItem(name, True, f"{_counted(census, group)} in this school")


def _counted(census: PeopleCounts, group: str) -> str:
    people, records = census.people[group], census.records[group]
    return str(people) if people == records else f"{people} people ({records} records)"


def other_roles(census: PeopleCounts) -> Iterator[CheckItem]:
    """Vendors' own roles, which nobody has mapped to a role of the standard."""
    own = {role: count for role, count in census.people.items() if role not in ROLE_NAMES}
    if own:
        told = ", ".join(f"{count} {role}" for role, count in sorted(own.items()))
        yield CheckItem("Other roles", None, told, "Map them to a role if these people are to be rostered.")


def not_counted(census: PeopleCounts) -> Iterator[CheckItem]:
    """Why people of the school are in no role's count."""
    if census.unknown_status:
        yield CheckItem(
            "Status",
            False,
            f"{census.unknown_status} people of this school have a status other than active and tobedeleted",
            "Their records are not used, and nobody is archived for that. Let the SIS send the standard's statuses.",
        )
    if census.without_school:
        yield CheckItem(
            "No school",
            None,
            f"{census.without_school} people of this SIS name no school",
            "They are in no school for us. Let the SIS give each person a school, if some of them are yours.",
        )
    if census.other_dates:
        told = f"{census.other_dates} people whose role in this school has ended or not begun"
        yield CheckItem("Dates", None, told)


def guardians(census: PeopleCounts, proof: Proof, *, wanted: bool = True) -> CheckItem:
    """Guardians who came, of those that the school's students name. wanted: contacts are switched on."""
    found, told = guardian_links(census, "delivered")
    if not wanted:
        return CheckItem("Guardians", None, f"{told or NO_GUARDIANS}; not rostered")
    if not told:
        return CheckItem("Guardians", False, NO_GUARDIANS, "Let the SIS publish guardians and their links to students.")
    few = census.agents and census.agents_found < census.agents * LEAST_DELIVERED and not census.students_named
    if found and not few and "contact" not in proof.unread_roles:
        return CheckItem("Guardians", True, told)
    return CheckItem("Guardians", False, told, "Let the SIS publish guardians to this application, too.")


def guardian_links(census: PeopleCounts, arrived: str) -> tuple[bool, str]:
    """Whether guardians and students are linked, and what to say of it: on students, on guardians, or on both."""
    found, named = census.agents_found, census.students_named
    told = []
    if census.agents:
        told.append(f"{found} of {census.agents} named by {census.students_with_agents} students are {arrived}")
    if named > (census.students_with_agents if found else 0):
        told.append(f"{named} students are named by guardians")
    return bool(found or named), "; ".join(told)


def disabled(census: PeopleCounts) -> CheckItem:
    if census.records and not census.accounts_told:
        return CheckItem("Disabled accounts", None, "not offered by the SIS")
    total, disabled = sum(census.records.values()), sum(census.disabled.values())
    share = disabled / total if total else 0.0
    many = (
        'Leave "disabled means gone" off: here it says nothing about who is at school.' if share > MANY_DISABLED else ""
    )
    return CheckItem("Disabled accounts", None, f"{disabled} of {total} ({share:.0%})", many)


def fields(census: PeopleCounts) -> Iterator[CheckItem]:
    """Fields that nobody of the school has."""
    lacking = [name for field, name in TOLD_FIELDS.items() if census.people and not census.fields[field]]
    if lacking:
        remedy = "If the school needs them, let the SIS send them."
        yield CheckItem("Fields", None, f"not offered by the SIS: {', '.join(lacking)}", remedy)


def enrollments(census: PeopleCounts, proof: Proof, *, decide: bool, read: bool) -> CheckItem:
    """Students without a running enrollment. decide: they count as gone here. read: enrollments were looked at."""
    name, wrong = "Enrollments", [one for one in (*proof.problems, *proof.notes) if "enrollments" in one]
    if not read:
        return CheckItem(name, None, "not read: no enrollment does not mean gone here")
    if wrong and decide:
        told = ", ".join(map(in_words, wrong))
        remedy = (
            "Nobody is archived without them. Let the SIS send all enrollments, or let enrollments decide nothing: "
            "roster connection set CONNECTION --enrollments-decide-nothing"
        )
        return CheckItem(name, False, told, remedy)
    if wrong:
        return CheckItem(name, None, "not offered, or not readable as a whole; they decide nothing here")
    students, left = census.records["student"], census.not_enrolled
    told = f"{left} of {students} students have no running enrollment in this school"
    if not decide:
        return CheckItem(name, None, f"{told}; it decides nothing here")
    many = "Before classes are scheduled, and in the holidays, nobody may have one: look at the plan first."
    few = left <= MANY_UNENROLLED * students
    return CheckItem(name, True if few else None, f"{told}; they count as gone", "" if few else many)


def numbers(census: PeopleCounts) -> list[CheckItem]:
    items = []
    for kind, name in (("student", "Student number"), ("staff", "Staff number")):
        shares = census.shares(kind)
        if census.numbered[kind]:
            told = ", ".join(f"{source} {share:.0%}" for source, share in shares.items()) or "not offered by the SIS"
            remedy = "" if shares.get("identifier", 0) > MANY_DISABLED else "Choose where the number comes from."
            items.append(CheckItem(name, None, told, remedy))
    return items


def completeness(proof: Proof) -> CheckItem:
    told = f"{proof.records} records on {proof.pages} pages by {proof.strategy}, {proof.rejected} unusable"
    if proof.complete:
        proved = "total" if proof.total_end is not None else "the end of the list"
        return CheckItem("Completeness", True, f"{told}; proved by {proved}")
    return CheckItem(
        "Completeness",
        False,
        f"{told}; {', '.join(map(in_words, proof.problems))}",
        "Nobody is archived from such a reading. Try again later; if it stays, show this to the SIS's vendor.",
    )
