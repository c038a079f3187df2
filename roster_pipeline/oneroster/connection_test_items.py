"""The items of Test Your Information: the school, its people, their references, the completeness. Counts only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from roster_pipeline.errors import in_words, noticed
from roster_pipeline.oneroster.collections.proof import Proof
from roster_pipeline.oneroster.collections.wanted import GROUPS, Batch
from roster_pipeline.oneroster.people_counts import FIELD_NAMES, PeopleCounts
from roster_pipeline.oneroster.records.orgs import ENROLLMENTS_UNKNOWN
from roster_pipeline.org_tree import GONE_STATUSES, is_school
from roster_pipeline.vocabulary import ROLE_ORDER, counted, role_name

MOST_LIKELY = 3
"""Orgs to suggest if no org has the School ID."""
MOST_CHOICES = 1000
"""Schools to choose from if no org has the School ID."""
MANY_DISABLED = 0.5
MANY_UNENROLLED = 0.1
"""Share of students without an enrollment. If it is higher, the school year may be the reason."""
LEAST_DELIVERED = 0.8
"""Share of the guardians named by students that must be delivered. A few references are always broken."""
NO_GUARDIANS = "not offered: no student names a guardian"
NOT_OFFERED = "not offered by the SIS"
ROLE_NAMES = {role: role_name(role).capitalize() for role in ROLE_ORDER}


@dataclass(frozen=True)
class CheckItem:
    """One line of Test Your Information. ok: True green, False red, None information. remedy: "" if none is needed.

    value: for the school, its name in the SIS; for a role, the number of its people. choices: schools that may be
    meant, as pairs of sourcedId and name.
    """

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""
    value: str | int | None = None
    choices: tuple[tuple[str, str], ...] = ()


class Watcher(Protocol):
    """Gets the batches of a test. start: reading begins, perhaps for the second time. take: one batch; orgs come
    first.
    """

    def start(self) -> None: ...
    def take(self, batch: Batch) -> None: ...


@dataclass(frozen=True)
class TestedSchool:
    """A school of a test. roles: the role groups that are rostered. contacts: guardians are rostered.

    include_orgs_below: orgs below the school count as the school. name: what we call it. watcher: gets all batches that
    are read.
    """

    __test__ = False

    school_id: str
    roles: frozenset[str] = frozenset(GROUPS)
    contacts: bool = False
    include_orgs_below: bool = False
    name: str = ""
    watcher: Watcher | None = None


Placed = tuple[int | None, CheckItem]
"""An item with the place of its school among those that are tested; None: it is about the connection."""


def school_item(school: dict[str, Any], name: str) -> CheckItem:
    """The org that has the School ID. name: our name of the school, "" if unknown."""
    if school["status"] in GONE_STATUSES:
        return CheckItem("School", False, "marked as deleted in the SIS", "Choose the school that took its place.")
    theirs = school["name"] or "no name"
    detail = f"{theirs}, found by {school['foundBy']}, type {school['type'] or 'unknown'}"
    if name and school["name"] and not _alike(name, school["name"]):
        wrong = "Check that the School ID is right: a wrong one rosters the people of another school."
        return CheckItem("School", None, f"{detail}; here it is called {name}", wrong, school["name"])
    remedy = "" if school["foundBy"] == "sourcedId" else "Its sourcedId is stored."
    return CheckItem("School", True, detail, remedy, school["name"])


def missing_school_item(orgs: Sequence[dict[str, Any]], school_id: str, name: str) -> CheckItem:
    """No org has the School ID; suggests orgs that may be meant. orgs: all that the SIS lists."""
    there = [org for org in orgs if org["status"] not in GONE_STATUSES]
    meant = [org for org in there if _meant(org, school_id, name)]
    meant = ([org for org in meant if is_school(org)] or meant)[:MOST_LIKELY]
    schools = [org for org in there if is_school(org)] or there
    pairs = [(org["sourcedId"], org["name"] or org["sourcedId"]) for org in schools]
    choices = tuple(sorted(pairs, key=lambda pair: pair[1].casefold())[:MOST_CHOICES])
    ids = [f"{org['name'] or 'an org without a name'} has the sourcedId {org['sourcedId']}" for org in meant]
    detail = "; ".join(["no org of the SIS has this School ID", *([", ".join(ids)] if ids else [])])
    remedy = "Enter the school's sourcedId, or its identifier; and share the school with this application in the SIS."
    if meant:
        remedy = (
            "If that is the school, enter this sourcedId as School ID. If people were rostered before, the ids of the "
            "SIS may have changed: look at the plan before anything is applied."
        )
    return CheckItem("School", False, detail, remedy, choices=choices)


def _meant(org: dict[str, Any], school_id: str, name: str) -> bool:
    typed = _plain(school_id)
    spelled = {_plain(org[member]) for member in ("sourcedId", "identifier", "name") if org[member]}
    return bool(typed and typed in spelled) or bool(name and org["name"] and _plain(name) == _plain(org["name"]))


def _plain(text: str) -> str:
    """A text in lower case, without blanks, punctuation and leading zeros."""
    return "".join(letter for letter in text.casefold() if letter.isalnum()).lstrip("0")


def _alike(ours: str, theirs: str) -> bool:
    ours, theirs = _plain(ours), _plain(theirs)
    return ours == theirs or (min(len(ours), len(theirs)) >= 4 and (ours in theirs or theirs in ours))


def _of_bundle(proof: Proof) -> bool:
    return proof.strategy.startswith("csv")


def role_item(counts: PeopleCounts, proof: Proof, group: str, *, rostered: bool) -> CheckItem:
    """How many people of a role group the school has. A delta need not have anybody."""
    name, unread = ROLE_NAMES[group], group in proof.unread_roles
    people, records = counts.people[group], counts.records[group]
    several = f"{counted(people, 'person', 'people')} ({counted(records, 'record', 'records')})"
    number = f"{people:,}" if people == records else several
    if not rostered:
        detail = "cannot be read" if unread else f"{number} in this school"
        return CheckItem(name, None, f"{detail}; not rostered", value=None if unread else people)
    if unread:
        remedy = (
            "Grant users, or this role, to the application. If it has them, ask the SIS's administrator why "
            "its list of users fails."
        )
        return CheckItem(name, False, "the SIS refuses them, or fails to list them", remedy)
    if people or proof.mode == "delta":
        return CheckItem(name, True if people else None, f"{number} in this school", value=people)
    where = "what the export includes" if _of_bundle(proof) else "the share and the permissions in the SIS"
    remedy = f"Check {where}, or switch off {name} in What is synced."
    return CheckItem(name, False, f"{number} in this school", remedy, people)


def other_role_items(counts: PeopleCounts) -> Iterator[CheckItem]:
    """Vendors' own roles that are not mapped to a role of the standard."""
    own = {role: count for role, count in counts.people.items() if role not in ROLE_NAMES}
    if own:
        listed = ", ".join(f"{count} {role}" for role, count in sorted(own.items()))
        remedy = 'If these people are to be rostered, give their roles a group in the setting "Role map".'
        yield CheckItem("Other roles", None, listed, remedy)


def not_counted_items(counts: PeopleCounts) -> Iterator[CheckItem]:
    """Reasons why people of the school are in no role's count."""
    if counts.unknown_status:
        yield CheckItem(
            "Status",
            False,
            f"{counted(counts.unknown_status, 'person of this school has', 'people of this school have')} a status "
            "other than active and tobedeleted",
            "Their records are not used, and this archives nobody. Make the SIS send the standard's statuses.",
        )
    if counts.without_school:
        yield CheckItem(
            "No school",
            None,
            f"{counted(counts.without_school, 'person of this SIS names', 'people of this SIS name')} no school",
            "We cannot roster them. If some are yours, make the SIS give each person a school.",
        )
    if counts.other_dates:
        people = counted(counts.other_dates, "person", "people")
        yield CheckItem("Dates", None, f"{people} with a role in this school that has ended or not begun")


def guardian_item(counts: PeopleCounts, proof: Proof, *, wanted: bool) -> CheckItem:
    """How many of the guardians that the school's students name were delivered. wanted: contacts are switched on."""
    delivered, named = counts.agents_found, counts.students_named
    links = []
    if counts.agents:
        students = counted(counts.students_with_agents, "student", "students")
        are = "is" if delivered == 1 else "are"
        links.append(f"{delivered:,} of {counts.agents:,} named by {students} {are} delivered")
    if named > (counts.students_with_agents if delivered else 0):
        links.append(f"{counted(named, 'student is', 'students are')} named by guardians")
    detail = "; ".join(links)
    if not wanted:
        return CheckItem("Guardians", None, f"{detail or NO_GUARDIANS}; not rostered")
    few = delivered < counts.agents * LEAST_DELIVERED and not named
    if (delivered or named) and not few and "contact" not in proof.unread_roles:
        return CheckItem("Guardians", True, detail)
    what = "guardians to this application, too." if detail else "guardians and their links to students."
    of_export = "Let the export include guardians and agentSourcedIds."
    remedy = of_export if _of_bundle(proof) else f"Make the SIS publish {what}"
    return CheckItem("Guardians", False, detail or NO_GUARDIANS, remedy)


def enrollment_item(counts: PeopleCounts, proof: Proof, *, decide: bool, read: bool) -> CheckItem:
    """Students without a running enrollment. decide: they count as gone. read: the enrollments were read."""
    name = "Enrollments"
    if not read:
        return CheckItem(name, None, "not read: a person without enrollments has not left")
    problems = [problem for problem in (*proof.problems, *proof.notes) if problem in ENROLLMENTS_UNKNOWN]
    if problems and decide:
        remedy = (
            "Nobody is archived without them. Make the SIS send all enrollments, or ignore enrollments: "
            "roster connection set CONNECTION --enrollments-decide-nothing"
        )
        return CheckItem(name, False, ", ".join(map(in_words, problems)), remedy)
    if problems:
        return CheckItem(name, None, "not offered, or not completely readable; they decide nothing here")
    students, unenrolled = counts.records["student"], counts.not_enrolled
    have = "has" if unenrolled == 1 else "have"
    of = counted(students, "student", "students")
    detail = f"{unenrolled:,} of {of} {have} no running enrollment in this school"
    if not decide:
        return CheckItem(name, None, f"{detail}; it decides nothing here")
    many = unenrolled > MANY_UNENROLLED * students
    remedy = "Before classes are scheduled, and in the holidays, nobody may have one: look at the plan first."
    return CheckItem(name, None if many else True, f"{detail}; they count as gone", remedy if many else "")


def disabled_item(counts: PeopleCounts) -> CheckItem:
    """Records of the school whose account is disabled, with their share."""
    if counts.records and not counts.accounts_stated:
        return CheckItem("Disabled accounts", None, NOT_OFFERED)
    total, disabled = sum(counts.records.values()), sum(counts.disabled.values())
    share = disabled / total if total else 0.0
    off = 'Leave the setting "Disabled means gone" off: here it does not say who is at school.'
    remedy = off if share > MANY_DISABLED else ""
    return CheckItem("Disabled accounts", None, f"{disabled} of {total} ({share:.0%})", remedy)


def number_items(counts: PeopleCounts) -> Iterator[CheckItem]:
    """In which fields the numbers of students and staff are, with shares."""
    for kind, name in (("student", "Student number"), ("staff", "Staff number")):
        shares = counts.shares(kind)
        if counts.numbered[kind]:
            detail = ", ".join(f"{source} {share:.0%}" for source, share in shares.items()) or NOT_OFFERED
            choose = f'Choose where the number comes from in the setting "{name} from".'
            remedy = "" if shares.get("identifier", 0) > MANY_DISABLED else choose
            yield CheckItem(name, None, detail, remedy)


def field_items(counts: PeopleCounts) -> Iterator[CheckItem]:
    """Fields that are empty for everybody of the school."""
    empty = [name for field, name in FIELD_NAMES.items() if counts.people and not counts.fields[field]]
    if empty:
        remedy = "If the school needs them, make the SIS send them."
        yield CheckItem("Fields", None, f"{NOT_OFFERED}: {', '.join(empty)}", remedy)


def reference_items(counts: PeopleCounts, proof: Proof) -> Iterator[CheckItem]:
    """People whose orgs or dates do not follow the standard. Information only: it archives nobody."""
    items = (
        (
            "Orgs",
            noticed(unlisted=proof.unlisted_orgs),
            "We cannot roster them, and this archives nobody. Share all schools with this application, and make the "
            "SIS name each user's school by its sourcedId.",
        ),
        ("Spelling of orgs", noticed(respelled=proof.respelled_orgs), ""),
        (
            "Orgs below",
            noticed(below=counts.below),
            "They do not count. If they are the school's people, switch on the setting "
            '"Count orgs below the school as the school".',
        ),
        (
            "Dates of roles",
            noticed(unclear=proof.unclear_dates),
            "Such a role counts as running. Make the SIS write dates as YYYY-MM-DD.",
        ),
        ("No role", noticed(roleless=proof.without_role), "Let the export write users.csv and roles.csv at once."),
    )
    for name, texts, remedy in items:
        yield from (CheckItem(name, None, detail, remedy) for detail in texts)


def completeness_item(proof: Proof) -> CheckItem:
    """Whether the pull is complete, and what proves it or speaks against it."""
    read = f"{counted(proof.records, 'record', 'records')} on {counted(proof.pages, 'page', 'pages')}"
    detail = f"{read} by {proof.strategy}, {proof.rejected:,} unusable"
    if proof.complete:
        proved = "total" if proof.total_end is not None else "the end of the list"
        return CheckItem("Completeness", True, f"{detail}; proved by {proved}")
    return CheckItem(
        "Completeness",
        False,
        f"{detail}; {', '.join(map(in_words, proof.problems))}",
        "An incomplete pull archives nobody. Try again later; if it stays, show this to the SIS's vendor. "
        "Until then, archive by hand who left.",
    )
