"""Which records are one human, and which person that is: the model's own reading of the matching rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product

from roster_pipeline_tests.proof.apart import parted, told_apart, two_humans
from roster_pipeline_tests.proof.person import Person
from roster_pipeline_tests.proof.rules import SchoolRules
from roster_pipeline_tests.proof.world import Group, Record

STRONGEST: tuple[Group, ...] = ("admin", "teacher", "staff", "student")
MEMBER, ROLE_OFF, UNKNOWN, ELSEWHERE, GONE = range(5)


@dataclass(eq=False)
class Human:
    """The records of one human as one school sees them, the strongest first. doubted: ids that may be reused."""

    school: str
    rules: SchoolRules
    records: list[Record]
    person: Person | None = None
    matched_by: str | None = None
    conflict: bool = False
    doubted: list[str] = field(default_factory=list)
    candidates: list[Person] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """The sourcedIds."""
        return {record.sourced_id for record in self.records}

    @property
    def lead(self) -> Record:
        """The strongest record: a member before all others, by role, then by sourcedId."""
        return min(self.records, key=lambda r: (*self._strength(r), r.sourced_id))

    @property
    def role(self) -> str | None:
        """The effective role, or None for somebody without a rostered role here."""
        standing, group = self._strength(self.lead)
        return STRONGEST[group] if standing == MEMBER else None

    @property
    def present(self) -> bool:
        """In the school today, even in a role that is not rostered; or in an org that may be the school."""
        return self._strength(self.lead)[0] <= UNKNOWN

    @property
    def unknown(self) -> bool:
        """Whether all that is known of where they are is an org that the SIS does not list."""
        return self._strength(self.lead)[0] == UNKNOWN

    @property
    def linkable(self) -> list[Record]:
        """Records worth a link: those that are not gone."""
        return [record for record in self.records if self._strength(record)[0] <= ELSEWHERE]

    def kind(self, record: Record) -> str:
        """Which kind of number a record carries."""
        return "student" if STRONGEST[self._strength(record)[1]] == "student" else "staff"

    def numbered(self, record: Record) -> tuple[str, str] | None:
        """Kind and number."""
        return (self.kind(record), record.number) if record.number else None

    def fields(self, record: Record) -> dict[str, str | None]:
        """What the directory keeps of a person whose home this record is."""
        kind = self.kind(record) if record.number else None
        names = {"given": record.given, "family": record.family}
        return {**names, "email": record.email, "number": record.number, "kind": kind}

    def _strength(self, record: Record) -> tuple[int, int]:
        return strength(record, self.school, self.rules)


def strength(record: Record, school: str, rules: SchoolRules) -> tuple[int, int]:
    """Standing of a record with a school, and the place of the role that gives it."""
    here = sorted(STRONGEST.index(group) for group in record.groups_in(school))
    rostered = [place for place in here if rules.rostered(STRONGEST[place])]
    any_role = min(STRONGEST.index(group) for group, _ in record.roles)
    if record.unknown and not here and not record.deleted and record.delivered:
        return UNKNOWN, any_role
    if record.gone is not None:
        return GONE, here[0] if here else any_role
    if rostered:
        return MEMBER, rostered[0]
    if here:
        return ROLE_OFF, here[0]
    return ELSEWHERE, any_role


def humans_of(
    records: list[Record], school: str, rules: SchoolRules, linked: Mapping[str, Person], people: list[Person]
) -> list[Human]:
    """Group the records, find the person of each human, and mark who cannot be told apart."""
    seeming = seeming_humans(records, school, rules)
    groups: list[list[Record]] = []
    either: set[str] = set()
    for human in seeming:
        several, unclear = parted(sorted(human.ids), linked)
        groups += [[record] for record in human.records] if several else [human.records]
        either |= unclear
    groups = _joined(groups, lambda one, other: _linked_alike(one, other, linked))
    humans = [Human(school, rules, group) for group in groups]
    for human in humans:
        human.conflict = bool(human.ids & either)
    _mark_shared_numbers(humans, seeming, linked)
    for human in humans:
        _match(human, humans, linked, people)
    _mark_taken(humans)
    return humans


def seeming_humans(records: list[Record], school: str, rules: SchoolRules) -> list[Human]:
    """The humans that the records show, whatever was said of them."""
    groups = _joined([[record] for record in records], lambda one, other: _one_human(one, other, school, rules))
    return [Human(school, rules, group) for group in groups]


def may_be(human: Human, person: Person, linked: Mapping[str, Person]) -> bool:
    """Whether some record of a human, whoever that was taken for, speaks for this person being still there."""
    for record in human.records:
        if not _counts(human, record) or told_apart(record.sourced_id, person, linked):
            continue
        number = (person.fields["kind"], person.fields["number"])
        same_mail = record.email is not None and record.email == person.fields["email"]
        whole = record.given == person.fields["given"] and record.family == person.fields["family"]
        numbers = record.number is not None and person.fields["number"] is not None
        mails = record.email is not None and person.fields["email"] is not None
        if human.numbered(record) == number or (whole and (same_mail or not (numbers or mails))):
            return True
    return False


def at_odds(human: Human, record: Record, person: Person) -> bool:
    """Whether the link of a record is not to be believed: all that is known of both differs, not only the names."""
    theirs = person.fields
    silent = record.deleted or strength(record, human.school, human.rules)[0] == UNKNOWN
    if silent or record.sourced_id not in person.links - person.confirmed:
        return False
    number, kind_and_number = human.numbered(record), (theirs["kind"], theirs["number"])
    numbers = number is not None and theirs["number"] is not None and number[0] == theirs["kind"]
    mails = record.email is not None and theirs["email"] is not None
    same = number == kind_and_number or (mails and record.email == theirs["email"]) or _names_agree(record, person)
    return (numbers or mails) and not same


def _joined(groups: list[list[Record]], belong: Callable[[Record, Record], bool]) -> list[list[Record]]:
    """Groups of which two records belong together are one."""
    groups = [list(group) for group in groups]
    for one, other in combinations([record for group in groups for record in group], 2):
        if belong(one, other):
            mine = next(group for group in groups if one in group)
            theirs = next(group for group in groups if other in group)
            if mine is not theirs:
                mine += theirs
                groups.remove(theirs)
    return groups


def _linked_alike(one: Record, other: Record, linked: Mapping[str, Person]) -> bool:
    person = linked.get(one.sourced_id)
    return person is not None and person is linked.get(other.sourced_id)


def _one_human(one: Record, other: Record, school: str, rules: SchoolRules) -> bool:
    mine, theirs = (Human(school, rules, [record]).numbered(record) for record in (one, other))
    number = mine is not None and mine == theirs
    email = one.email is not None and one.email == other.email
    whole = one.given == other.given and one.family == other.family
    return (number and (one.given == other.given or one.family == other.family or email)) or (email and whole)


def _mark_shared_numbers(humans: list[Human], seeming: list[Human], linked: Mapping[str, Person]) -> None:
    """A number that two humans share is a conflict, unless it was said that they are two."""
    of = {record.sourced_id: human for human in seeming for record in human.records}
    for one, other in combinations(humans, 2):
        if two_humans(one.ids, other.ids, linked):
            continue
        for mine, theirs in product(one.linkable, other.linkable):
            number = one.numbered(mine)
            if (
                number is not None
                and number == other.numbered(theirs)
                and of[mine.sourced_id] is not of[theirs.sourced_id]
            ):
                one.conflict = other.conflict = True


def _match(human: Human, humans: list[Human], linked: Mapping[str, Person], people: list[Person]) -> None:
    found = _distinct([linked[i] for i in sorted(human.ids) if i in linked])
    by = "link"
    if not found and human.present and not human.conflict:
        by = "number"
        others = [p for p in people if not any(told_apart(one, p, linked) for one in human.ids)]
        found = [p for p in others if any(_fits_number(human, record, p) for record in human.records)]
        if not found:
            by = "email"
            found = [p for p in _by_email(human, humans, people) if p in others]
    human.candidates = found
    if len(found) == 1 or (found and by == "link"):
        human.matched_by = by
    if len(found) == 1:
        human.person = found[0]
        if by == "link":
            human.doubted = [r.sourced_id for r in human.records if at_odds(human, r, found[0])]
    human.conflict = human.conflict or len(found) > 1 or bool(human.doubted)


def _fits_number(human: Human, record: Record, person: Person) -> bool:
    own = (person.fields["kind"], person.fields["number"])
    if human.numbered(record) is None or human.numbered(record) != own:
        return False
    return _names_agree(record, person) or (record.email is not None and record.email == person.fields["email"])


def _by_email(human: Human, humans: list[Human], people: list[Person]) -> list[Person]:
    found = []
    for record in human.records:
        if record.email is None:
            continue
        sharing = [h for h in humans if any(_counts(h, r) and r.email == record.email for r in h.records)]
        holders = [p for p in people if p.fields["email"] == record.email]
        if sharing == [human] and len(holders) == 1 and _names_agree(record, holders[0]):
            mine, theirs = human.numbered(record), (holders[0].fields["kind"], holders[0].fields["number"])
            contradict = mine is not None and mine[0] == theirs[0] and mine != theirs and theirs[1] is not None
            family_only = record.given != holders[0].fields["given"]
            if not contradict and not (family_only and holders[0].links):
                found.append(holders[0])
    return _distinct(found)


def _counts(human: Human, record: Record) -> bool:
    return strength(record, human.school, human.rules)[0] <= UNKNOWN


def _names_agree(record: Record, person: Person) -> bool:
    return record.given == person.fields["given"] or record.family == person.fields["family"]


def _mark_taken(humans: list[Human]) -> None:
    for one, other in combinations([human for human in humans if human.present and human.person], 2):
        if one.person is other.person:
            for human in (one, other):
                if human.matched_by != "link":
                    human.conflict = True


def _distinct(people: list[Person]) -> list[Person]:
    return list({id(person): person for person in people}.values())
