"""The reference model of people whom several connections know: which record is primary, and which matches wait.

Like `model`, written from the rules and not from the code, for a district with several connections. Each person has one
name, e-mail and number, so that matching depends on trust alone.
"""

from dataclasses import dataclass, field
from itertools import count

Link = tuple[str, int]
"""A connection, and the number of the record's name."""
CREATED, FEW = 0.08, 2
"""More creations than this share of a role wait; this few do not, unless another connection knows the people."""
_serials = count(1)


@dataclass
class Record:
    """A record of a SIS with a name. truth: the truth. number: whether it has the number of that name. lent: whether
    the SIS uses it for a brother at the moment, with his own given name and number."""

    truth: str
    number: bool
    phone: str
    gone: bool = False
    lent: bool = False


@dataclass(eq=False)
class Known:
    """One person. truth: whom they were made for. number: the connection that gave it. members: connection to the time
    of joining and whether active. not_theirs: records that the manager unlinked. confirmed: those that the manager
    linked. said: records that are, or once were, not the primary one: whether their number is known."""

    name: int
    truth: str
    primary: Link | None
    phone: str
    number: str | None
    links: set[Link] = field(default_factory=set)
    chosen: bool = False
    members: dict[str, tuple[int, bool]] = field(default_factory=dict)
    not_theirs: set[Link] = field(default_factory=set)
    confirmed: set[Link] = field(default_factory=set)
    said: dict[Link, bool] = field(default_factory=dict)
    serial: int = field(default_factory=lambda: next(_serials))


@dataclass
class Held:
    """The creations of the newest night that wait. claimed: whether the district's manager alone may approve them."""

    at: str
    records: dict[int, tuple[Known | None, Record]]
    claimed: bool


class TrustModel:
    """People of several connections, each with one school. own: students whom each school has besides."""

    def __init__(self, of_district: set[str], own: int) -> None:
        self.of_district = of_district
        self.own = own
        self.held: Held | None = None
        self.ranking: list[str] = []
        self.people: list[Known] = []
        self.waiting: dict[Link, Known] = {}
        self.doubted: set[Link] = set()
        self.nights = 0

    def linked(self, link: Link) -> Known | None:
        """The person of a record."""
        return next((person for person in self.people if link in person.links), None)

    def night(self, at: str, records: dict[int, Record]) -> None:
        """One night of a connection's school."""
        self.nights += 1
        there = self.own + sum(person.members.get(at, (0, False))[1] for person in self.people)
        creations: dict[int, tuple[Known | None, Record]] = {}
        claimed = 0
        self.waiting = {link: person for link, person in self.waiting.items() if link[0] != at}
        self.doubted = {link for link in self.doubted if link[0] != at}
        for name, record in records.items():
            link = (at, name)
            person = self.linked(link)
            if record.gone:
                if person is not None and at in person.members:
                    person.members[at] = (person.members[at][0], False)
                continue
            if person is not None and record.lent and self.doubts(link, person):
                self.doubted.add(link)
                continue
            by_link = person is not None
            if person is None:
                person = self._match(link, record)
                if person is not None and self._waits(at, person, record):
                    self.waiting[link] = person
                    continue
            if person is not None and at in person.members:
                self._write(link, person, record)
                continue
            creations[name] = (person, record)
            claimed += person is not None and not by_link and at not in self.of_district and self._elsewhere(at, person)
        many = len(creations) > FEW and len(creations) > CREATED * there
        self.held = Held(at, creations, claimed > CREATED * there)
        if not many and not self.held.claimed:
            self.approve()

    def doubts(self, link: Link, person: Known) -> bool:
        """Whether a brother's given name and number would contradict what the record, or the person, said before."""
        own = person.number == link[0] or person.said.get(link, False)
        return own and link not in person.confirmed

    def leave(self, person: Known) -> None:
        """The primary record gives way to one of another connection; what it said last is in the person's fields."""
        if person.primary is not None:
            person.said.setdefault(person.primary, person.number == person.primary[0])

    def approve(self) -> None:
        """Carry out the creations of the newest night."""
        assert self.held is not None
        held, self.held = self.held, None
        for name, (person, record) in held.records.items():
            self._write((held.at, name), person, record)

    def _write(self, link: Link, person: Known | None, record: Record) -> None:
        """Write link and membership, and the fields if this connection has the primary record."""
        at, name = link
        if person is None:
            person = Known(name, record.truth, link, "", None)
            self.people.append(person)
        person.links.add(link)
        since, _ = person.members.get(at, (self.nights, True))
        person.members[at] = (since, True)
        if self._first(person) == at:
            if person.primary is not None and person.primary[0] != at:
                self.leave(person)
            person.chosen = person.chosen and person.primary is not None and person.primary[0] == at
            person.primary, person.phone = link, record.phone
            person.number = at if record.number else None
        if link != person.primary or link in person.said:
            person.said[link] = person.said.get(link, False) or record.number

    def _elsewhere(self, at: str, person: Known) -> bool:
        """Whether another connection knows them, and this one does not."""
        here = any(link[0] == at for link in person.links)
        return not here and (bool(person.links) or bool(person.members.keys() - {at}))

    def _match(self, link: Link, record: Record) -> Known | None:
        """Match by a number that this connection gave, else by an e-mail that only one person has; never an unlinked
        person."""
        at, name = link
        bearing = [person for person in self.people if person.name == name]
        numbered = [one for one in bearing if record.number and one.number == at and link not in one.not_theirs]
        if numbered:
            assert len(numbered) == 1
            return numbered[0]
        return bearing[0] if len(bearing) == 1 and link not in bearing[0].not_theirs else None

    def _waits(self, at: str, person: Known, record: Record) -> bool:
        """Whether the match waits: a school's own connection finds people of another connection only by a number of the
        district."""
        if at in self.of_district or not self._elsewhere(at, person):
            return False
        return not (record.number and person.number in self.of_district)

    def _first(self, person: Known) -> str:
        """The connection of their primary record."""
        active = {at: since for at, (since, is_active) in person.members.items() if is_active}
        able = {link[0] for link in person.links} & active.keys()
        if person.chosen and person.primary is not None and person.primary[0] in able:
            return person.primary[0]

        def rank(at: str) -> tuple[int, bool, int]:
            place = self.ranking.index(at) if at in self.ranking else len(self.ranking)
            return place, at not in self.of_district, active[at]

        return min(able, key=rank)

    def link(self, link: Link, person: Known) -> None:
        """The manager says that a waiting record is the person."""
        person.links.add(link)
        person.confirmed.add(link)
        del self.waiting[link]

    def tell_apart(self, link: Link, person: Known) -> None:
        """The manager says that it is somebody else."""
        person.not_theirs.add(link)
        del self.waiting[link]

    def set_primary_record(self, person: Known, link: Link) -> None:
        """The manager chooses the primary record; the fields follow from its next night on."""
        if person.primary is not None and person.primary[0] != link[0]:
            self.leave(person)
        person.primary, person.chosen = link, True
