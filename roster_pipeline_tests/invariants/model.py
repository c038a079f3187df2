"""The reference model: the decision table in plain Python, written from the rules and not from the code.

One `Model` is the expected directory of one district. `night` does what one school's sync must do if the SIS tells the
truth: matching, decisions and guards are computed here again, one person at a time, as plainly as possible.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from roster_pipeline_tests.invariants.evidence import kind_of
from roster_pipeline_tests.invariants.guarding import Judged, judge
from roster_pipeline_tests.invariants.identities import (
    MEMBER,
    ROLE_OFF,
    STRONGEST,
    Identity,
    apparent_identities,
    identities_of,
    may_be,
    strength,
)
from roster_pipeline_tests.invariants.night_facts import facts_of
from roster_pipeline_tests.invariants.person import Membership, Person
from roster_pipeline_tests.invariants.placeholders import without_values_of_many
from roster_pipeline_tests.invariants.quality import held_by_quality
from roster_pipeline_tests.invariants.rules import CHANGING, SchoolRules
from roster_pipeline_tests.invariants.sis_state import Record, campus_of

FIELDS = ("given", "family", "middle", "email", "number", "kind", "sourced", "username")
"""sourced: "yes" for a number from the place that the connection names today."""
SAME_PERSON = ("given", "family", "email", "username")
"""A record that has none of these of its person is somebody else's."""


@dataclass(eq=False)
class Row:
    """One line of a plan. person: None for somebody new."""

    action: str
    role: str
    person: Person | None
    identity: Identity | None = None
    primary: str | None = None
    fields: dict[str, str | None] = field(default_factory=dict)
    new_links: tuple[str, ...] = ()
    membership: bool = False
    grade: int | None = None
    source_grade: str | None = None
    found_anew: bool = False
    of_keys: bool = False
    unseen: bool = False
    """Only the source of the number changes."""


@dataclass(frozen=True)
class Exemption:
    """A change that somebody exempted. serial: of the person; None: the records of somebody new. id: in the
    database."""

    id: int
    action: str
    serial: int | None
    records: frozenset[str]

    def is_about(self, row: Row) -> bool:
        """Whether a row is this change."""
        if row.person is None:
            return self.serial is None and row.identity is not None and bool(self.records & row.identity.ids)
        return self.serial == row.person.serial and row.action == self.action


@dataclass
class SchoolState:
    """The memory of a school from night to night."""

    rules: SchoolRules
    synced: bool = False
    sizes: list[tuple[dict[str, int], bool, dict[str, str]]] = field(default_factory=list)
    """For each night: people by role, whether it is good, and the role of each record."""
    uncounted: list[Person] = field(default_factory=list)
    """Absent people whose absence does not count yet, because the archivals of their role wait."""
    unusual: bool = False
    """Whether what came in the last night looked wrong in itself. Once that is approved, earlier sizes do not count."""
    losses: frozenset[str] = frozenset()
    """The roles whose archivals wait because they are many. Once they are approved, earlier sizes do not count."""
    announced: set[int] = field(default_factory=set)
    """Serials of people with an announcement in force."""
    members: dict[str, str] = field(default_factory=dict)
    """The role of each record that was a member in the newest roster that was not empty."""
    not_rostered: dict[str, set[str]] = field(default_factory=dict)
    """For each record, the roles that it had here while they were not rostered."""
    waiting: list[Row] = field(default_factory=list)
    unheard: list[Identity] = field(default_factory=list)
    """Those whom the last night did not change, and whose records it did not remember, because updates wait."""
    doubted: list[str] = field(default_factory=list)
    exempted: list[Exemption] = field(default_factory=list)


class Model:
    """People, links and memberships of one district, and the settings of its schools."""

    def __init__(self, schools: dict[str, SchoolRules]) -> None:
        self.people: list[Person] = []
        self.schools = {key: SchoolState(rules) for key, rules in schools.items()}

    @property
    def linked(self) -> dict[str, Person]:
        """The person of each record."""
        return {link: person for person in self.people for link in person.links}

    def night(self, school: str, served: list[Record]) -> Judged:
        """Plan, judge and apply one school's sync; held rows wait in the school's state."""
        state = self.schools[school]
        records = self._snapshot(school, served)
        identities = identities_of(records, school, state.rules, self.linked, self.people, state.announced)
        rows = [*self._present(school, identities, {r.sourced_id for r in served if not r.deleted})]
        rows += self._absent(school, identities, served)
        present = [identity for identity in identities if identity.counted and identity.matched_by]
        came = {identity.person.serial for identity in present if identity.person}
        came |= {person.serial for identity in present for person in identity.candidates}
        gone = state.announced - came
        refused = [row for row in rows if any(one.is_about(row) for one in state.exempted)]
        state.exempted = [one for one in state.exempted if self._goes_on(one, school, identities, refused)]
        rows = [row for row in rows if row not in refused]
        state.doubted = [link for identity in identities if identity.counted for link in identity.doubted]
        strengths = {record.sourced_id: strength(record, school, state.rules) for record in records}
        if records:
            state.members = {one: STRONGEST[role] for one, (rank, role) in strengths.items() if rank == MEMBER}
        for one, (rank, role) in strengths.items():
            if rank == ROLE_OFF:
                state.not_rostered.setdefault(one, set()).add(STRONGEST[role])
        seeming = apparent_identities(records, school, state.rules)
        facts = facts_of(self, school, identities, seeming, rows, records, refused, gone)
        judged = judge(facts, state.rules)
        by_quality = held_by_quality(apparent_identities(records, school, state.rules))
        judged.held.update(by_quality)
        judged.doubted.update(by_quality)
        doing = [row for row in rows if row.action in CHANGING]
        held = [
            row
            for place, row in enumerate(rows)
            if place in judged.rows
            or (judged.doubts(row.role) if _expected(row, gone) else judged.holds(row.role, row.action))
        ]
        held = [row for row in held if row in doing]
        self._count_absences(school, identities, judged)
        self._carry_out(school, [row for row in doing if row not in held], looked_at=state.announced)
        state.waiting = held
        changing = [row.identity for row in (*doing, *refused)]
        quiet = [
            identity for identity in identities if identity.role and not identity.conflict and identity not in changing
        ]
        state.unheard = [identity for identity in quiet if judged.holds(identity.role or "", "update")]
        self._remember([identity for identity in quiet if identity not in state.unheard])
        roles = {record: identity.role for identity in seeming if identity.role for record in identity.ids}
        state.sizes.append((facts.counts, not held and not judged.unusual, roles))
        state.synced, state.unusual = state.synced or len(doing) > len(held), judged.unusual
        state.losses = judged.losses
        return judged

    def _goes_on(self, exemption: Exemption, school: str, identities: list[Identity], refused: list[Row]) -> bool:
        """Whether the SIS still asks for the change; for an archival: until the person comes or is no longer a
        member."""
        if any(exemption.is_about(row) for row in refused):
            return True
        here = {
            identity.person.serial
            for identity in identities
            if identity.counted and identity.person and not identity.conflict
        }
        active = {person.serial for person in self.active(school)}
        return exemption.action == "archive" and exemption.serial in active - here

    def approve(self, school: str, part: tuple[str, str] | None = None) -> None:
        """Carry out the waiting rows, all of them or one role's rows of one kind."""
        state = self.schools[school]
        done = [row for row in state.waiting if part in (None, (row.role, row.action))]
        self._carry_out(school, done, looked_at={row.person.serial for row in done if row.person})
        self._remember([identity for identity in state.unheard if part in (None, (identity.role, "update"))])
        state.waiting, state.synced = [row for row in state.waiting if row not in done], True
        for person in state.uncounted:
            person.members[school].absent += part in (None, (person.members[school].role, "archive"))
        state.uncounted = []
        counts, _, roles = state.sizes[-1]
        state.sizes[-1] = (counts, not state.waiting, roles)
        settled = {role for role in state.losses if part in (None, (role, "archive"))}
        state.unusual = state.unusual or bool(settled)
        for member in [p.members[school] for p in self.people if school in p.members]:
            member.lost = member.lost and member.role not in settled
        if state.unusual and not state.waiting:
            state.sizes[:-1] = [(before, False, theirs) for before, _, theirs in state.sizes[:-1]]

    def _snapshot(self, school: str, served: list[Record]) -> list[Record]:
        """Records that name the school, all records of its active members, and all other records with these ids."""
        here = [school, campus_of(school)] if self.schools[school].rules.orgs_below else [school]
        ids = {link for person in self.active(school) for link in person.links}
        ids |= {one.sourced_id for one in served if any(map(one.names, here))}
        records = _one_of_each_id([one for one in served if one.sourced_id in ids])
        return without_values_of_many(records, school, self.schools[school].rules)

    def active(self, school: str) -> list[Person]:
        """The active members of a school."""
        return [p for p in self.people if school in p.members and p.members[school].status == "active"]

    def managed(self, school: str) -> list[Person]:
        """The active members that the sync may archive."""
        return [person for person in self.active(school) if person.members[school].managed]

    def _present(self, school: str, identities: list[Identity], alive: set[str]) -> Iterable[Row]:
        rules = self.schools[school].rules
        for identity in identities:
            if identity.conflict or identity.role is None:
                continue
            person, role = identity.person, identity.role
            lead = identity.lead
            grade, source_grade = identity.known(lead).grade, identity.source_grade(lead)
            new_links = tuple(
                r.sourced_id for r in identity.linkable if person is None or r.sourced_id not in person.links
            )
            if person is None:
                fields = identity.fields(lead)
                yield Row("create", role, None, identity, lead.sourced_id, fields, new_links, True, grade, source_grade)
                continue
            if person.excluded:
                continue
            auto = rules.auto_update(role)
            member = person.members.get(school)
            if member and (not rules.rostered(member.role) or member.by == "hand"):
                continue
            if member and role == "student" and lead.unreadable("grade"):
                grade = member.grade
            primary = person.primary
            if primary is None or (member and member.status == "active" and primary not in alive):
                primary = lead.sourced_id
            theirs = [one for one in identities if one is identity or (one.person is person and not one.conflict)]
            record = next((r for one in theirs for r in one.records if r.sourced_id == primary), None)
            wanted = identity.fields(record, person) if record and auto and not identity.unusable(record) else {}
            if record and self._numbered_elsewhere(person, school, identity.kind(record)):
                wanted = {name: value for name, value in wanted.items() if name not in ("number", "kind", "sourced")}
            fields = {name: value for name, value in wanted.items() if person.fields[name] != value}
            told = (role, grade, source_grade)
            lost = member and member.role == role and member.grade is not None and grade is None
            of_keys = bool(fields.keys() - {"kind", "sourced"}) or bool(lost and auto)
            adopted = self._adopted(person, identity, record, school)
            moves = primary if primary != person.primary else None
            row = Row(
                "", role, person, identity, moves, fields, new_links, False, grade, source_grade,
                identity.matched_by != "link", of_keys,
            )  # fmt: skip
            if member is None:
                row.action, row.membership = "create", True
            elif member.status == "archived":
                row.action, row.membership = "restore", auto
            elif (fields or (member.role, member.grade, member.source_grade) != told) and auto:
                row.action, row.membership = "update", True
            elif moves or new_links or not member.managed or adopted:
                row.action, row.fields = "update", adopted
            same = not row.membership or (member and (member.role, member.grade, member.source_grade) == told)
            row.unseen = bool(row.fields and same and not moves and row.fields.keys() <= {"kind", "sourced"})
            yield row

    def _adopted(self, person: Person, identity: Identity, record: Record | None, school: str) -> dict[str, str | None]:
        """A stored number without a source that equals the record's becomes a number of the SIS."""
        if (
            record is None
            or identity.unusable(record)
            or self._numbered_elsewhere(person, school, identity.kind(record))
        ):
            return {}
        own = identity.fields(record, person)
        same = person.fields["number"] and all(person.fields[name] == own[name] for name in ("number", "kind"))
        return {"sourced": "yes"} if same and not person.fields["sourced"] else {}

    def _numbered_elsewhere(self, person: Person, school: str, kind: str | None) -> bool:
        """Whether the number is of another kind, and another school has the person in a role of that kind."""
        there = [state.members for key, state in self.schools.items() if key != school]
        kinds: list[str | None] = [kind_of(members[link]) for members in there for link in person.links & set(members)]
        return person.fields["kind"] != kind and person.fields["kind"] in kinds

    def _absent(self, school: str, identities: list[Identity], served: list[Record]) -> Iterable[Row]:
        rules = self.schools[school].rules
        here = {id(identity.person) for identity in identities if identity.counted}
        doubtful = self.doubtful(school, identities)
        for person in self.managed(school):
            member = person.members[school]
            spared = id(person) in here | doubtful or person.excluded or not person.links
            if spared or not rules.rostered(member.role) or not rules.archive(member.role):
                continue
            if member.absent >= rules.grace and not self._on_their_way(school, person, served):
                yield Row("archive", member.role, person)

    def _on_their_way(self, school: str, person: Person, served: list[Record]) -> bool:
        """Whether a record of a member names another school that rosters their role, and does not have them yet."""
        records = [
            one
            for one in served
            if one.sourced_id in person.links
            and one.gone is None
            and any(getattr(one, name) and getattr(one, name) == person.fields[name] for name in SAME_PERSON)
        ]
        for other, state in self.schools.items():
            member = person.members.get(other)
            decided = member is not None and (member.status == "active" or member.by == "hand")
            decided |= any(
                one.action != "archive" and (one.serial == person.serial or one.records & person.links)
                for one in state.exempted
            )
            rostered = state.sizes and state.rules.rostered(person.members[school].role)
            if other != school and rostered and not decided and any(one.groups_in(other) for one in records):
                return True
        return False

    def doubtful(self, school: str, identities: list[Identity]) -> set[int]:
        """Members who may be in this roster: one of several possible persons of a identity, or a person that a record
        seems to be."""
        candidates = {
            id(person) for identity in identities if len(identity.candidates) > 1 for person in identity.candidates
        }
        linked = self.linked
        seen = {id(p) for p in self.active(school) if any(may_be(identity, p, linked) for identity in identities)}
        return candidates | seen

    def _count_absences(self, school: str, identities: list[Identity], judged: Judged) -> None:
        rules = self.schools[school].rules
        here = {id(identity.person) for identity in identities if identity.counted}
        doubtful = self.doubtful(school, identities)
        self.schools[school].uncounted = []
        for person in self.active(school):
            member = person.members[school]
            if id(person) in here:
                member.absent = 0
            elif (
                member.managed
                and id(person) not in doubtful
                and not person.excluded
                and person.links
                and rules.rostered(member.role)
                and rules.archive(member.role)
                and member.absent < rules.grace
            ):
                if judged.holds(member.role, "archive"):
                    self.schools[school].uncounted.append(person)
                else:
                    member.absent += 1

    def _remember(self, identities: list[Identity]) -> None:
        for identity in identities:
            if identity.person is not None:
                identity.remember(identity.person)

    def _carry_out(self, school: str, rows: list[Row], looked_at: set[int]) -> None:
        """looked_at: serials of people whose archival somebody announced or approved."""
        for row in rows:
            person = row.person
            if row.action == "archive":
                assert person is not None
                member = person.members[school]
                member.status, member.by, member.lost = "archived", "sync", person.serial not in looked_at
                continue
            if person is None:
                assert row.identity is not None
                person = Person(dict(row.fields), row.primary, truth=row.identity.lead.truth)
                self.people.append(person)
            person.fields |= row.fields
            person.links |= set(row.new_links)
            for record in row.identity.records if row.identity else ():
                if record.sourced_id in row.new_links and record.master:
                    person.masters[record.sourced_id] = f"urn:state:{record.master}"
            person.primary = row.primary or person.primary
            if school not in person.members:
                person.members[school] = Membership(row.role)
            member = person.members[school]
            member.status, member.by, member.absent, member.managed, member.lost = "active", None, 0, True, False
            if row.membership:
                member.role, member.grade, member.source_grade = row.role, row.grade, row.source_grade
            if row.identity is not None:
                row.identity.remember(person)


def _one_of_each_id(records: list[Record]) -> list[Record]:
    """Each sourcedId once. Two identities with one id become one unusable record; a deleted one does not count.

    records: of those with one sourcedId, the newest comes first.
    """
    found: dict[str, Record] = {}
    for record in records:
        newest = found.setdefault(record.sourced_id, record)
        if record is not newest and not record.deleted:
            roles, others = (*newest.roles, *record.roles), (*newest.others, record)
            found[record.sourced_id] = replace(newest, roles=roles, of_two=True, others=others)
    return list(found.values())


def _expected(row: Row, gone: set[int]) -> bool:
    """Whether a row archives an announced leaver."""
    return row.action == "archive" and row.person is not None and row.person.serial in gone
