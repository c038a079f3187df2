"""The items of Test Your Information: the school, its people, their references, the completeness. Counts only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from roster_pipeline.completeness_messages import in_words, noticed
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.collections.reading import Batch
from roster_pipeline.oneroster.connection_test.people_counts import TOLD_FIELDS, PeopleCounts
from roster_pipeline.org_tree import GONE_STATUSES, is_school


@dataclass(frozen=True)
class CheckItem:
    """One line. ok: True green, False red, None for what is only information. remedy is empty where none is needed."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "remedy": self.remedy}


class Watcher(Protocol):
    """Sees what a test reads. start: the data are read from the beginning, perhaps once more. take: one batch."""

    def start(self) -> None: ...
    def take(self, batch: Batch) -> None: ...


MOST_LIKELY = 3
"""Orgs that are named as what may have been meant."""


def found_school(school: dict[str, Any], name: str) -> CheckItem:
    """The org that the School ID means. name: what we call the school, "" where that is not known."""
    if school["status"] in GONE_STATUSES:
        return CheckItem("School", False, "marked as deleted in the SIS", "Choose the school that took its place.")
    theirs = school["name"] or "no name"
    found = f"{theirs}, found by {school['foundBy']}, type {school['type'] or 'unknown'}"
    if name and school["name"] and not _alike(name, school["name"]):
        return CheckItem(
            "School",
            None,
            f"{found}; here it is called {name}",
            "Check that this School ID is this school's: another one rosters the people of another school.",
        )
    return CheckItem("School", True, found, "" if school["foundBy"] == "sourcedId" else "Its sourcedId is stored.")


def missing_school(orgs: Sequence[dict[str, Any]], school_id: str, name: str) -> CheckItem:
    """No org has the School ID. orgs: those that the SIS lists."""
    meant = [org for org in orgs if org["status"] not in GONE_STATUSES and _meant(org, school_id, name)]
    meant = ([org for org in meant if is_school(org)] or meant)[:MOST_LIKELY]
    if not meant:
        return CheckItem(
            "School",
            False,
            "no org of the SIS has this School ID",
            "Enter the school's sourcedId, or its identifier; and share the school with this application in the SIS.",
        )
    told = ", ".join(f"{org['name'] or 'an org without a name'} has the sourcedId {org['sourcedId']}" for org in meant)
    return CheckItem(
        "School",
        False,
        f"no org of the SIS has this School ID; {told}",
        "If that is the school, enter this sourcedId as School ID. If people were rostered before, the ids of the SIS "
        "may have changed: look at the plan before anything is applied.",
    )


def _meant(org: dict[str, Any], school_id: str, name: str) -> bool:
    typed = _plain(school_id)
    spelled = {_plain(org[member]) for member in ("sourcedId", "identifier", "name") if org[member]}
    return bool(typed and typed in spelled) or bool(name and org["name"] and _plain(name) == _plain(org["name"]))


def _plain(text: str) -> str:
    """A text without case, blanks, punctuation and leading zeros."""
    return "".join(letter for letter in text.casefold() if letter.isalnum()).lstrip("0")


def _alike(ours: str, theirs: str) -> bool:
    one, other = _plain(ours), _plain(theirs)
    return one == other or (min(len(one), len(other)) >= 4 and (one in other or other in one))


MANY_DISABLED = 0.5
MANY_UNENROLLED = 0.1
"""Share of the students without an enrollment beyond which the school year may be the reason."""
LEAST_DELIVERED = 0.8
"""Share of the guardians named by students that has to be delivered. Some always lead nowhere."""
NO_GUARDIANS = "not offered: no student names a guardian"
ROLE_NAMES = {"student": "Students", "teacher": "Teachers", "staff": "Staff", "admin": "Admins"}


def role_item(counts: PeopleCounts, proof: Proof, group: str, *, rostered: bool = True) -> CheckItem:
    name = ROLE_NAMES[group]
    if not rostered:
        unread = group in proof.unread_roles
        told = "cannot be read" if unread else f"{_counted(counts, group)} in this school"
        return CheckItem(name, None, f"{told}; not rostered")
    if group in proof.unread_roles:
        return CheckItem(
            name, False, "the SIS does not let us read them", "Grant users, or this role, to the application."
        )
    found = counts.people[group]
    if not found:
        return CheckItem(
            name, False, "0 in this school", "Check the share and the permissions in the SIS, or switch this role off."
        )
    return CheckItem(name, True, f"{_counted(counts, group)} in this school")


def _counted(counts: PeopleCounts, group: str) -> str:
    people, records = counts.people[group], counts.records[group]
    return str(people) if people == records else f"{people} people ({records} records)"


def other_roles(counts: PeopleCounts) -> Iterator[CheckItem]:
    """Vendors' own roles, which nobody has mapped to a role of the standard."""
    own = {role: count for role, count in counts.people.items() if role not in ROLE_NAMES}
    if own:
        told = ", ".join(f"{count} {role}" for role, count in sorted(own.items()))
        yield CheckItem("Other roles", None, told, "Map them to a role if these people are to be rostered.")


def not_counted(counts: PeopleCounts) -> Iterator[CheckItem]:
    """Why people of the school are in no role's count."""
    if counts.unknown_status:
        yield CheckItem(
            "Status",
            False,
            f"{counts.unknown_status} people of this school have a status other than active and tobedeleted",
            "Their records are not used, and nobody is archived for that. Let the SIS send the standard's statuses.",
        )
    if counts.without_school:
        yield CheckItem(
            "No school",
            None,
            f"{counts.without_school} people of this SIS name no school",
            "They are in no school for us. Let the SIS give each person a school, if some of them are yours.",
        )
    if counts.other_dates:
        told = f"{counts.other_dates} people whose role in this school has ended or not begun"
        yield CheckItem("Dates", None, told)


def guardians(counts: PeopleCounts, proof: Proof, *, wanted: bool = True) -> CheckItem:
    """Guardians who came, of those that the school's students name. wanted: contacts are switched on."""
    found, told = guardian_links(counts, "delivered")
    if not wanted:
        return CheckItem("Guardians", None, f"{told or NO_GUARDIANS}; not rostered")
    if not told:
        return CheckItem("Guardians", False, NO_GUARDIANS, "Let the SIS publish guardians and their links to students.")
    few = counts.agents and counts.agents_found < counts.agents * LEAST_DELIVERED and not counts.students_named
    if found and not few and "contact" not in proof.unread_roles:
        return CheckItem("Guardians", True, told)
    return CheckItem("Guardians", False, told, "Let the SIS publish guardians to this application, too.")


def guardian_links(counts: PeopleCounts, arrived: str) -> tuple[bool, str]:
    """Whether guardians and students are linked, and what to say of it: on students, on guardians, or on both."""
    found, named = counts.agents_found, counts.students_named
    told = []
    if counts.agents:
        told.append(f"{found} of {counts.agents} named by {counts.students_with_agents} students are {arrived}")
    if named > (counts.students_with_agents if found else 0):
        told.append(f"{named} students are named by guardians")
    return bool(found or named), "; ".join(told)


def disabled(counts: PeopleCounts) -> CheckItem:
    if counts.records and not counts.accounts_told:
        return CheckItem("Disabled accounts", None, "not offered by the SIS")
    total, disabled = sum(counts.records.values()), sum(counts.disabled.values())
    share = disabled / total if total else 0.0
    many = (
        'Leave "disabled means gone" off: here it says nothing about who is at school.' if share > MANY_DISABLED else ""
    )
    return CheckItem("Disabled accounts", None, f"{disabled} of {total} ({share:.0%})", many)


def fields(counts: PeopleCounts) -> Iterator[CheckItem]:
    """Fields that nobody of the school has."""
    lacking = [name for field, name in TOLD_FIELDS.items() if counts.people and not counts.fields[field]]
    if lacking:
        remedy = "If the school needs them, let the SIS send them."
        yield CheckItem("Fields", None, f"not offered by the SIS: {', '.join(lacking)}", remedy)


def enrollments(counts: PeopleCounts, proof: Proof, *, decide: bool, read: bool) -> CheckItem:
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
    students, left = counts.records["student"], counts.not_enrolled
    told = f"{left} of {students} students have no running enrollment in this school"
    if not decide:
        return CheckItem(name, None, f"{told}; it decides nothing here")
    many = "Before classes are scheduled, and in the holidays, nobody may have one: look at the plan first."
    few = left <= MANY_UNENROLLED * students
    return CheckItem(name, True if few else None, f"{told}; they count as gone", "" if few else many)


def numbers(counts: PeopleCounts) -> list[CheckItem]:
    items = []
    for kind, name in (("student", "Student number"), ("staff", "Staff number")):
        shares = counts.shares(kind)
        if counts.numbered[kind]:
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


def reference_items(counts: PeopleCounts, proof: Proof) -> Iterator[CheckItem]:
    """Information only: nobody is archived for any of it, and somebody may be missing."""
    items = (
        (
            "Orgs",
            noticed(unlisted=proof.unlisted_orgs),
            "They are in no school for us, and nobody is archived for that. Share all schools with this application, "
            "and let users name their school by its sourcedId.",
        ),
        ("Spelling of orgs", noticed(respelled=proof.respelled_orgs), ""),
        (
            "Orgs below",
            noticed(below=counts.below),
            "They do not count. If they are the school's people, let orgs below the school count as the school.",
        ),
        (
            "Dates of roles",
            noticed(unclear=proof.unclear_dates),
            "Such a role counts as running. Let the SIS write dates as YYYY-MM-DD.",
        ),
    )
    for name, texts, remedy in items:
        yield from (CheckItem(name, None, detail, remedy) for detail in texts)
