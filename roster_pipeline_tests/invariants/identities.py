"""Which records are one identity, and which person that is: the matching rules in the model."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import combinations, product

from roster_pipeline_tests.invariants.evidence import (
    Compared,
    Known,
    compare,
    kind_of,
    known_person,
    lately_here,
    plain,
)
from roster_pipeline_tests.invariants.exclusions import split_by_decisions, told_apart, two_people
from roster_pipeline_tests.invariants.person import Person
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sis_state import Group, Record, campus_of

STRONGEST: tuple[Group, ...] = ("admin", "teacher", "staff", "student")
MEMBER, ROLE_OFF, BELOW, UNKNOWN, REJECTED, ELSEWHERE, GONE = range(7)


@dataclass(eq=False)
class Identity:
    """The records of one identity as one school sees them, the strongest first. doubted: ids that may be reassigned."""

    school: str
    rules: SchoolRules
    records: list[Record]
    person: Person | None = None
    matched_by: str | None = None
    conflict: bool = False
    doubted: list[str] = field(default_factory=list)
    candidates: list[Person] = field(default_factory=list)
    kept: bool = False
    """Deletions that seem to be somebody else's keep a member who would be archived."""

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
        rank, group = self._strength(self.lead)
        return STRONGEST[group] if rank == MEMBER else None

    @property
    def present(self) -> bool:
        """In the school today, even in a role that is not rostered; or in an org below it, or one that may be it."""
        return self._strength(self.lead)[0] <= REJECTED

    @property
    def counted(self) -> bool:
        """Present, or kept."""
        return self.present or self.kept

    @property
    def unknown(self) -> bool:
        """Whether the records name only an org that the SIS does not list or that is not a school."""
        return self._strength(self.lead)[0] == UNKNOWN

    def unusable(self, record: Record) -> bool:
        """Whether a record is there, but cannot be used for this school."""
        return self._strength(record)[0] in (BELOW, UNKNOWN, REJECTED)

    @property
    def alive(self) -> list[Record]:
        """Records that are not gone."""
        return [record for record in self.records if self._strength(record)[0] <= ELSEWHERE]

    @property
    def linkable(self) -> list[Record]:
        """Records that can get a link: not gone, and of one person."""
        return [record for record in self.alive if not record.of_two]

    def kind(self, record: Record) -> str | None:
        """The kind of a record's number; None without a role."""
        group = self._group(record)
        return kind_of(group) if group else None

    def numbered(self, record: Record) -> tuple[str, str] | None:
        """Kind and number."""
        kind = self.kind(record)
        return (kind, record.number) if record.number and kind else None

    def fields(self, record: Record, person: Person | None = None) -> dict[str, str | None]:
        """The fields of a person with this primary record. Unreadable values stay as they are."""
        kind = self.kind(record) if record.number else None
        fields = {name: getattr(record, name) for name in ("given", "family", "middle", "email", "number", "username")}
        fields |= {"kind": kind, "sourced": "yes" if kind else None}
        for name in ("given", "family", "middle", "username", "email"):
            if person is not None and record.unreadable(name):
                fields[name] = person.fields[name]
        if person is not None and record.unreadable("number") and person.fields["sourced"]:
            same = person.fields["kind"] == self.kind(record)
            fields |= {name: person.fields[name] for name in ("number", "kind", "sourced") if same}
        return fields

    def remember(self, person: Person) -> None:
        """Keep what the records of a person say that are members here and not the primary one. Missing values stay."""
        for record in self.records:
            one = record.sourced_id
            other = one in person.links and (one != person.primary or one in person.said)
            if other and self._strength(record)[0] == MEMBER:
                said = {name: getattr(record, name) for name in ("given", "family", "middle", "email", "username")}
                said["number"] = self.numbered(record)
                before = person.said.get(one) or dict.fromkeys(said)
                person.said[one] = before | {name: value for name, value in said.items() if value}

    def source_grade(self, record: Record) -> str | None:
        """The grade in the SIS's own words, of a student."""
        return record.source_grade if self._group(record) == "student" else None

    def known(self, record: Record) -> Known:
        """The values of a record, as this school sees them."""
        role = self._group(record)
        grade = record.grade if role == "student" else None
        masters = frozenset((f"urn:state:{record.master}",)) if record.master else frozenset[str]()
        number = self.numbered(record)
        email, username = (None if name in record.common else getattr(record, name) for name in ("email", "username"))
        return Known(
            record.given,
            record.family,
            email,
            number,
            username,
            masters,
            self.kind(record),
            grade,
            middle=record.middle,
        )

    def _group(self, record: Record) -> Group | None:
        return (*STRONGEST, None)[self._strength(record)[1]]

    def _strength(self, record: Record) -> tuple[int, int]:
        return strength(record, self.school, self.rules)


def strength(record: Record, school: str, rules: SchoolRules) -> tuple[int, int]:
    """Status rank of a record in a school, and the place of its role."""
    if record.of_two:
        return REJECTED, strength(replace(record, of_two=False), school, rules)[1]
    if record.roleless and record.gone is None:
        return REJECTED if record.names(school) else ELSEWHERE, len(STRONGEST)
    below = campus_of(school)
    groups = record.groups_in(school) + (record.groups_in(below) if rules.orgs_below else ())
    here = sorted(STRONGEST.index(group) for group in groups)
    rostered = [place for place in here if rules.rostered(STRONGEST[place])]
    any_role = min(STRONGEST.index(group) for group, _ in record.roles)
    listed = not record.deleted and record.delivered and not here
    if listed and record.names(below) and not rules.orgs_below:
        return BELOW, any_role
    if listed and (record.unknown or record.only_district or record.contradicts(school)):
        return UNKNOWN, any_role
    if record.gone is not None:
        return GONE, here[0] if here else any_role
    if rostered:
        return MEMBER, rostered[0]
    if here:
        return ROLE_OFF, here[0]
    return ELSEWHERE, any_role


def identities_of(
    records: list[Record],
    school: str,
    rules: SchoolRules,
    linked: Mapping[str, Person],
    people: list[Person],
    announced: Set[int],
) -> list[Identity]:
    """Group the records, find the person of each identity, and mark conflicts. announced: serials of leavers."""
    seeming, alike = _seeming(records, school, rules)
    groups: list[list[Record]] = []
    either: set[str] = set()
    for identity in seeming:
        several, unclear = split_by_decisions(sorted(identity.ids), linked)
        groups += [[record] for record in identity.records] if several else [identity.records]
        either |= unclear
    groups = _joined(groups, lambda one, other: _linked_alike(one, other, linked))
    identities = [Identity(school, rules, group) for group in groups]
    for identity in identities:
        doubtful = any(r.sourced_id in alike and strength(r, school, rules)[0] <= ELSEWHERE for r in identity.records)
        identity.conflict = bool(identity.ids & either) or (doubtful and not identity.ids & linked.keys())
    _mark_shared_numbers(identities, seeming, linked)
    for identity in identities:
        _match(identity, identities, linked, people)
    _search_by_name(identities, linked, [person for person in people if person.serial not in announced])
    _mark_taken(identities)
    here = {id(identity.person) for identity in identities if identity.present}
    for identity in identities:
        if identity.person and identity.doubted and not identity.present:
            deleted = all(record.deleted for record in identity.records) and id(identity.person) not in here
            identity.kept = deleted and rules.rostered(identity.person.members[school].role)
    return identities


def apparent_identities(records: list[Record], school: str, rules: SchoolRules) -> list[Identity]:
    """The identities by evidence alone, without decisions of people."""
    return _seeming(records, school, rules)[0]


def _seeming(records: list[Record], school: str, rules: SchoolRules) -> tuple[list[Identity], set[str]]:
    """Those, and the records that fit two of them who cannot be one: first by numbers, then by each e-mail."""
    alone = {record.sourced_id: Identity(school, rules, [record]) for record in records}
    known = {one: identity.known(identity.records[0]) for one, identity in alone.items()}
    groups = [[record] for record in records]
    unclear: set[str] = set()

    def against(one: list[Record], other: list[Record]) -> bool:
        pairs = product(one, other)
        return any(compare(known[a.sourced_id], known[b.sourced_id]).spoken_against for a, b in pairs)

    in_order = [known[one] for one in sorted(known)]
    values = {one: {"number": plain(each.number), "email": each.email} for one, each in known.items()}
    keys: list[tuple[str, object]] = [
        ("number", one) for one in dict.fromkeys(plain(k.number) for k in in_order) if one
    ]
    keys += [("email", value) for value in dict.fromkeys(k.email for k in in_order) if value]
    for name, value in keys:
        if name == "email" and not _one_family(alone.values(), value):  # an e-mail of many is not one family's
            continue
        having = [g for g in groups if any(values[r.sourced_id][name] == value for r in g)]
        sharing = {r.sourced_id for g in having for r in g if values[r.sourced_id][name] == value}

        def fit(one: Record, other: Record, sharing: set[str] = sharing) -> bool:
            both = {one.sourced_id, other.sourced_id} <= sharing
            return both and compare(known[one.sourced_id], known[other.sourced_id]).one_human

        for chain in _joined(having, fit):
            parts = [g for g in having if g[0] in chain]
            torn = [part for part in parts if any(against(part, each) for each in parts if each is not part)]
            if not torn:
                groups = [g for g in groups if g not in parts] + [chain]
            else:
                unclear |= {r.sourced_id for part in parts if part not in torn for r in part}
    return [Identity(school, rules, group) for group in groups], unclear


def _one_family(alone: Iterable[Identity], email: object) -> bool:
    """Whether all records with an e-mail that are not gone have one family name."""
    sharing = [record for each in alone for record in each.alive if record.email == email]
    return len({record.family for record in sharing if record.family}) < 2


def may_be(identity: Identity, person: Person, linked: Mapping[str, Person]) -> bool:
    """Whether a record of a identity, whatever its match, suggests that this person is still there."""
    theirs = known_person(person, identity.school)
    some = [
        record
        for record in identity.records
        if _counts(identity, record) and not told_apart(record.sourced_id, person, linked)
    ]
    some += [other for record in identity.records for other in record.others]
    return any(compare(identity.known(record), theirs).keeps for record in some)


def at_odds(identity: Identity, record: Record, person: Person) -> bool:
    """Whether the link of a record is doubted."""
    if identity.unusable(record) or record.sourced_id not in person.links - person.confirmed:
        return False
    if record.deleted and not _may_end(identity, person):
        return False
    theirs = known_person(person, identity.school)
    sides = [theirs, *(replace(theirs, **person.said[one]) for one in person.said.keys() & {record.sourced_id})]
    found = [(_compared(identity.known(record), one, record.sourced_id), one) for one in sides]
    return any(each.of_another if record.deleted else each.wrong_link_of(one) for each, one in found)


def _is_made_of(sourced_id: str, login: str | None) -> bool:
    return login is not None and login.lower().split("@")[0] == sourced_id.lower()


def _compared(known: Known, theirs: Known, sourced_id: str) -> Compared:
    """A linked record and its person. With another name, an e-mail or user name that the id gives says nothing."""
    found = compare(known, theirs)
    if not found.whole:
        if "email" in found.same and _is_made_of(sourced_id, known.email):
            known = replace(known, email=None)
        if "username" in found.same and _is_made_of(sourced_id, known.username):
            known = replace(known, username=None)
    return compare(known, theirs)


def _may_end(identity: Identity, person: Person) -> bool:
    """Whether deletions are all that a roster says about somebody whom the sync may archive."""
    member = person.members.get(identity.school)
    managed = member is not None and member.status == "active" and member.managed
    return managed and all(record.deleted for record in identity.records)


def _joined(groups: list[list[Record]], belong: Callable[[Record, Record], bool]) -> list[list[Record]]:
    """Join groups with records that belong together."""
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


def _mark_shared_numbers(identities: list[Identity], seeming: list[Identity], linked: Mapping[str, Person]) -> None:
    """A number that two identities share is a conflict, unless somebody unlinked them."""
    of = {record.sourced_id: identity for identity in seeming for record in identity.records}
    for one, other in combinations(identities, 2):
        if two_people(one.ids, other.ids, linked):
            continue
        for mine, theirs in product(one.alive, other.alive):
            number = plain(one.numbered(mine))
            if (
                number is not None
                and number == plain(other.numbered(theirs))
                and of[mine.sourced_id] is not of[theirs.sourced_id]
            ):
                one.conflict = other.conflict = True


def _match(identity: Identity, identities: list[Identity], linked: Mapping[str, Person], people: list[Person]) -> None:
    found = _distinct([linked[i] for i in sorted(identity.ids) if i in linked])
    if found:
        identity.candidates = found
        identity.matched_by = "link"
        if len(found) == 1:
            identity.person = found[0]
            identity.doubted = [r.sourced_id for r in identity.records if at_odds(identity, r, found[0])]
        identity.conflict = identity.conflict or len(found) > 1 or bool(identity.doubted)
        return
    if identity.present and not identity.conflict:
        _search(identity, identities, linked, people)


def _search(identity: Identity, identities: list[Identity], linked: Mapping[str, Person], people: list[Person]) -> None:
    """Search by number and e-mail, without excluded people."""
    sure: dict[int, tuple[Person, str]] = {}
    unsure: dict[int, tuple[Person, str]] = {}
    usable = strength(identity.lead, identity.school, identity.rules)[0] <= ROLE_OFF
    here = [linked[one] for each in identities if each.present for one in each.ids if one in linked]
    for person in people:
        if any(told_apart(one, person, linked) for one in identity.ids):
            continue
        theirs = known_person(person, identity.school)
        for way in ("number", "email", "id"):
            for record in identity.records:
                mine = identity.known(record)
                if not _key(way, record, identity, identities, person, people):
                    continue
                found = compare(mine, theirs)
                vetoed = any(compare(identity.known(each), theirs).strong for each in identity.records)
                respelled = way == "id" and bool({"given", "family"} & found.same)
                one_human = found.one_human or (respelled and found.whole and not found.spoken_against)
                if theirs.away and "family" in found.other and not {"username", "master"} & found.same:
                    one_human, respelled = False, respelled or found.one_human
                if one_human and not vetoed:
                    sure.setdefault(id(person), (person, way))
                elif (one_human or found.unsure or respelled) and person not in here and usable:
                    unsure.setdefault(id(person), (person, way))
    chosen = list((sure or unsure).values())
    identity.candidates = [person for person, _ in chosen]
    identity.conflict = len(chosen) > 1 or (bool(chosen) and not sure)
    if len(chosen) == 1:
        ((identity.person, identity.matched_by),) = chosen


def _search_by_name(identities: list[Identity], linked: Mapping[str, Person], people: list[Person]) -> None:
    """New members who may be people who are missing here, entered again with other keys."""
    seen = [
        linked[record.sourced_id] for identity in identities for record in identity.alive if record.sourced_id in linked
    ]
    seen += [
        person
        for identity in identities
        for person in (identity.person, *identity.candidates)
        if person and identity.alive
    ]
    for identity in identities:
        if (
            identity.person
            or identity.conflict
            or strength(identity.lead, identity.school, identity.rules)[0] != MEMBER
        ):
            continue
        for person in people:
            absent = lately_here(person, identity.school) and person not in seen
            if absent and person.links and not told_apart(identity.lead.sourced_id, person, linked):
                found = compare(identity.known(identity.lead), known_person(person, identity.school))
                identity.candidates += [person] if found.entered_again else []
        identity.conflict = bool(identity.candidates)
        if len(identity.candidates) == 1:
            identity.person, identity.matched_by = identity.candidates[0], "name"


def _key(
    way: str, record: Record, identity: Identity, identities: list[Identity], person: Person, people: list[Person]
) -> bool:
    """Whether a record has the number of a person, an e-mail that only these two have, or their id in capitals."""
    if way == "id":
        ids = [each.sourced_id.lower() for one in identities for each in one.records if not each.deleted]
        links = [link.lower() for each in people for link in each.links]
        own, member = record.sourced_id.lower(), person.members.get(identity.school)
        mine = any(link.lower() == own for link in person.links)
        active = member is not None and member.status == "active"
        return mine and active and ids.count(own) == links.count(own) == 1
    if way == "number":
        return identity.numbered(record) is not None and plain(identity.numbered(record)) == plain(
            known_person(person).number
        )
    if record.email is None or record.email != person.fields["email"]:
        return False
    sharing = [h for h in identities if any(_counts(h, r) and r.email == record.email for r in h.records)]
    return sharing == [identity] and sum(p.fields["email"] == record.email for p in people) == 1


def _counts(identity: Identity, record: Record) -> bool:
    return strength(record, identity.school, identity.rules)[0] <= REJECTED


def _mark_taken(identities: list[Identity]) -> None:
    for one, other in combinations([identity for identity in identities if identity.present and identity.person], 2):
        if one.person is other.person:
            for identity in (one, other):
                if identity.matched_by != "link":
                    identity.conflict = True


def _distinct(people: list[Person]) -> list[Person]:
    return list({id(person): person for person in people}.values())
