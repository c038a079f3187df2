"""Random nights of a district with several connections, against the model of trust: links, and matches that wait.

Schools deliver each other's people, honestly or not, in any order; connections change hands; the manager ranks
connections, chooses primary records, and decides about waiting records.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roster_pipeline.directory import approvals, manual_edits, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.operations import erase
from roster_pipeline.services import decisions
from roster_pipeline.settings.school import Guards
from roster_pipeline_tests.directory.builders import Decision
from roster_pipeline_tests.invariants.histories import assert_happened, histories, run_histories
from roster_pipeline_tests.invariants.several_connections import KEYS, SeveralConnections, several_connections
from roster_pipeline_tests.invariants.trust_model import CREATED, Known, Link, Record, TrustModel

EXAMPLES = histories(3, 60)
STEPS = 24
NAMES = ("Aa", "Bb", "Cc")
OWN = 12
"""Further people of each school, so that three people are a small share."""
CALM = Guards(
    archive_share=1,
    slow_loss_share=1,
    create_share=CREATED,
    restore_share=1,
    update_share=1,
    update_key_share=1,
    shrink_share=1,
    rekeyed_share=1,
)
BY = Decision(who="manager", reason="looked at it")
KNOWN = """
select p.id, p.phone, p.number, c.key as given_by,
       (select array_agg(k.key || ' ' || l.sourced_id order by k.key, l.sourced_id) from link l
        join connection k on k.id = l.connection_id where l.person_id = p.id) as links,
       (select array_agg(k.key || ' ' || l.sourced_id || ' ' || l.primary_by_hand) from link l
        join connection k on k.id = l.connection_id where l.person_id = p.id and l.is_primary) as records,
       (select jsonb_object_agg(s.key, m.status) from membership m join school s on s.id = m.school_id
        where m.person_id = p.id) as members
from person p left join connection c on c.id = p.number_connection_id
where p.email like 'name%' order by p.id
"""
WAITING = """
select s.key || ' ' || r.sourced_ids[1] as link, r.person_id from plan_row r join plan p on p.id = r.plan_id
join school s on s.id = p.school_id where r.reason = 'other_connection' and p.state = 'planned' order by 1
"""
DOUBTED = """
select s.key || ' ' || r.sourced_ids[1] as link from plan_row r join plan p on p.id = r.plan_id
join school s on s.id = p.school_id
where r.reason = 'id_reassigned' and p.state = 'planned' and s.key = :key order by 1
"""
GUARDS = """
select f ->> 'guard' as guard from verdict v, jsonb_array_elements(v.findings) f where v.rows > 0 and v.plan_id = (
    select max(p.id) from plan p join school s on s.id = p.school_id where s.key = :key)
"""
PLACE = st.integers(0, 10**4)
KINDS = (
    "deliver honestly",
    "deliver honestly",
    "deliver falsely",
    "phone",
    "number",
    "lend",
    "lend",
    "leave",
    "leave",
    "return",
    "return",
)
CHANGES = st.lists(st.tuples(st.sampled_from(KINDS), PLACE, PLACE), min_size=1, max_size=4)
seen = Counter[str]()


def called(link: Link) -> str:
    """A record as the database names it."""
    return f"{link[0]} {link[0]}-{NAMES[link[1]]}{Connections.histories}"


class Connections(RuleBasedStateMachine):
    """Nights of one district. The test sets `district`, and removes its people before each history."""

    district: SeveralConnections
    histories = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).histories += 1
        self.model = TrustModel({"main"}, OWN - 1)
        self.records: dict[str, dict[int, Record]] = {key: {} for key in KEYS}
        self.phones = 0
        self._rank([])
        for key in KEYS:
            self.district.control(key, "district" if key == "main" else "school")

    @initialize(numbers=st.lists(st.booleans(), min_size=6, max_size=6), order=st.permutations(KEYS))
    def begin(self, numbers: list[bool], order: list[str]) -> None:
        """Two schools deliver everybody, one of them some of them falsely, and every school has a night."""
        for place, number in enumerate(numbers):
            self.deliver(place % 2, place // 2, number, honest=place % 2 == 0 or number)
        self.nights(order, 3, approve=True)

    @rule(
        changes=CHANGES, order=st.permutations(KEYS), most=st.sampled_from((1, 1, 2)), settle=st.booleans(), place=PLACE
    )
    def day(self, changes: list[tuple[str, int, int]], order: list[str], most: int, settle: bool, place: int) -> None:
        """Changes in the SISes, then the nights of some schools, in any order; the manager may decide."""
        for kind, pick, other in changes:
            if kind.startswith("deliver"):
                self.deliver(pick, other, bool(other % 2), honest=kind == "deliver honestly")
            elif any(self.records.values()):
                self.change(pick, kind)
        self.nights(order, most, approve=settle)
        if settle and self.model.waiting:
            self.settle(place)

    @rule(changes=CHANGES, order=st.permutations(KEYS), place=PLACE)
    def another_day(self, changes: list[tuple[str, int, int]], order: list[str], place: int) -> None:
        """As `day`, so that most steps are days."""
        self.day(changes, order, 1, True, place)

    def deliver(self, place: int, name: int, number: bool, honest: bool) -> None:
        """A SIS delivers a record with a name: of the person with this name, or of one who only claims it."""
        key, name = KEYS[place % len(KEYS)], name % len(NAMES)
        if name in self.records[key]:
            return
        person = NAMES[name] if honest else f"{key} as {NAMES[name]}"
        self.records[key][name] = Record(person, number, self._phone())
        self.district.deliver(key, self._id(key, name), **self._fields(key, name))

    def change(self, place: int, what: str) -> None:
        """Something in a record changes, or it is marked as deleted, or comes back."""
        able = [
            (key, name)
            for key in KEYS
            for name, record in self.records[key].items()
            if record.gone == (what == "return")
            and (what not in ("number", "lend") or self._may_change(what, (key, name), record))
        ]
        if not able:
            return
        key, name = able[place % len(able)]
        record, sis = self.records[key][name], self.district.sises[key].district
        if what == "leave":
            record.gone = True
            sis.remove(self._id(key, name), how="mark")
        elif what == "return":
            record.gone = False
            sis.restore(self._id(key, name))
        else:
            record.phone = self._phone()
            record.number ^= what == "number"
            record.lent ^= what == "lend"
            sis.edit(self._id(key, name), **self._fields(key, name))

    def _may_change(self, what: str, link: Link, record: Record) -> bool:
        """Only an id that would be doubted is lent to a brother, who has no other number meanwhile."""
        person = self.model.linked(link)
        doubted = person is not None and self.model.doubts(link, person)
        return not record.lent if what == "number" else record.lent or doubted

    def nights(self, order: list[str], most: int, approve: bool) -> None:
        """Nights of some schools; the manager may approve what is held."""
        for key in order[:most]:
            self._night(key)
            if approve and self.model.held:
                self._approve(key)

    def _approve(self, key: str) -> None:
        """An owner of the school approves, which leaves the people of other connections waiting; then the manager."""
        held = self.model.held
        assert held is not None
        with self.district.database.begin() as conn:
            plan_id = approvals.held(conn, school_id=tenants.get_school(conn, key).id)[0].plan_id
        if held.claimed:
            with self.district.database.begin() as conn, pytest.raises(approvals.ManagerDecides):
                approvals.approve(conn, plan_id, "owner", "ours", datetime.now(UTC))
            seen["claimed approved"] += 1
        given = Decision(who="decides", reason="looked at it")
        decisions.approve(self.district.database, key, plan_id, manager=held.claimed, **given)
        self.model.approve()
        self.they_agree()

    def settle(self, place: int) -> None:
        """The manager decides about a waiting record, by the truth."""
        link, person = sorted(self.model.waiting.items(), key=lambda pair: pair[0])[place % len(self.model.waiting)]
        same = self.records[link[0]][link[1]].truth == person.truth
        self._by_hand(manual_edits.link if same else manual_edits.unlink, link, person)
        (self.model.link if same else self.model.tell_apart)(link, person)
        seen["linked" if same else "told apart"] += 1

    @rule(place=PLACE, of_district=st.booleans())
    def changes_hands(self, place: int, of_district: bool) -> None:
        """A connection goes to the district, or to its school."""
        key = KEYS[place % len(KEYS)]
        self.district.control(key, "district" if of_district else "school")
        (self.model.of_district.add if of_district else self.model.of_district.discard)(key)

    @rule(order=st.permutations(KEYS), most=st.integers(0, 2))
    def rank(self, order: list[str], most: int) -> None:
        """The manager ranks some connections."""
        self._rank(order[:most])

    @precondition(lambda self: any(len(person.links) > 1 for person in self.model.people))
    @rule(place=PLACE, which=PLACE)
    def choose(self, place: int, which: int) -> None:
        """The manager chooses a primary record."""
        several = [person for person in self.model.people if len(person.links) > 1]
        person = several[place % len(several)]
        link = sorted(person.links)[which % len(person.links)]
        self._by_hand(manual_edits.set_primary_record, link, person)
        self.model.set_primary_record(person, link)
        seen["chosen"] += 1

    @invariant()
    def they_agree(self) -> None:
        """Assert that people, links and memberships are those of the model."""
        shown = {tuple(row["links"]): self._shown(row) for row in self.district.rows(KNOWN)}
        assert shown == {tuple(sorted(map(called, one.links))): self._expected(one) for one in self.model.people}

    def teardown(self) -> None:
        """Remove everybody."""
        for key in KEYS:
            for name in self.records[key]:
                self.district.sises[key].district.vanish(
                    self.district.sises[key].district.row_of(self._id(key, name)) or 0
                )
        with self.district.database.begin() as conn:
            for row in conn.exec_driver_sql("select id, district_id from person where email like 'name%%'").all():
                erase(conn, row.district_id, row.id, **BY)

    def _night(self, key: str) -> None:
        self.model.night(key, self.records[key])
        before = {person["id"]: person["records"] for person in self.district.rows(KNOWN)}
        applied = self.district.night(key)
        held = self.model.held
        assert applied.by_action.get("held", 0) == (len(held.records) if held else 0)
        guards = {row["guard"] for row in self.district.rows(GUARDS, key=key)}
        assert ("claimed_people" in guards) == bool(held and held.claimed), guards
        seen["held"] += held is not None
        seen["claimed"] += "claimed_people" in guards
        again = self.district.rows(KNOWN)
        seen["nights"] += 1
        seen.update({action: rows for action, rows in applied.by_action.items() if rows})
        seen["moved"] += sum(row["id"] in before and before[row["id"]] != row["records"] for row in again)
        numbers = {row["id"]: tuple(row["links"]) for row in again}
        waits = {row["link"]: numbers[row["person_id"]] for row in self.district.rows(WAITING)}
        waits = {link: links for link, links in waits.items() if link.startswith(f"{key} ")}
        wanted = {link: one for link, one in self.model.waiting.items() if link[0] == key}
        assert waits == {called(link): tuple(sorted(map(called, one.links))) for link, one in wanted.items()}
        seen["waits"] += len(waits)
        doubted = {link for link in self.model.doubted if link[0] == key}
        assert {row["link"] for row in self.district.rows(DOUBTED, key=key)} == set(map(called, doubted))
        seen["doubted"] += len(doubted)
        seen["second doubted"] += sum(one.primary not in doubted for one in map(self.model.linked, doubted) if one)
        self.they_agree()

    def _shown(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return row["phone"], row["number"] and row["given_by"], row["records"], row["members"]

    def _expected(self, person: Known) -> tuple[Any, ...]:
        primary = [f"{called(person.primary)} {str(person.chosen).lower()}"] if person.primary else None
        members = {key: "active" if active else "archived" for key, (_, active) in person.members.items()}
        return person.phone, person.number, primary, members

    def _by_hand(self, change: Any, link: Link, person: Known) -> None:
        name = tuple(sorted(map(called, person.links)))
        (number,) = [row["id"] for row in self.district.rows(KNOWN) if tuple(row["links"]) == name]
        with self.district.database.begin() as conn:
            change(conn, tenants.get_connection(conn, link[0]), number, self._id(*link), **BY)

    def _rank(self, order: list[str]) -> None:
        self.model.ranking = list(order)
        self.district.rank(*order)

    def _phone(self) -> str:
        self.phones += 1
        return f"+1312555{self.phones % 10**4:04d}"

    def _id(self, key: str, name: int) -> str:
        return f"{key}-{NAMES[name]}{self.histories}"

    def _fields(self, key: str, name: int) -> dict[str, str]:
        record = self.records[key][name]
        return {
            "given_name": "Brother" if record.lent else NAMES[name],
            "family_name": f"{NAMES[name]}son",
            "email": f"name{name}@valley.example",
            "phone": record.phone,
            "identifier": f"8{name}" if record.lent else f"7{name}" if record.number else "",
        }


@pytest.mark.timeout(0)
def test_random_nights_of_several_connections_end_as_trust_says(database: Database, home: Path) -> None:
    with several_connections(database, home, guards=CALM, own=OWN) as district:
        Connections.district = district
        seen.clear()
        run_histories(Connections, EXAMPLES, STEPS)
    usual = {"create", "update", "archive", "waits"}
    seldom = {
        "doubted",
        "second doubted",
        "restore",
        "linked",
        "told apart",
        "chosen",
        "moved",
        "held",
        "claimed",
        "claimed approved",
    }
    assert_happened(seen, usual, seldom)


def test_somebody_who_comes_back_follows_their_oldest_membership_at_once(database: Database, home: Path) -> None:
    with several_connections(database, home, guards=CALM, own=OWN) as district:
        Connections.district = district
        state = Connections()
        for place in (0, 1):
            state.deliver(place, 0, number=True, honest=True)
            state.nights([KEYS[place]], 1, approve=True)
        state.change(0, "leave")
        state.nights([*KEYS[:2]], 2, approve=True)
        state.changes_hands(place=0, of_district=False)
        state.change(0, "return")
        state.nights([KEYS[0]], 1, approve=True)
        assert [person.primary for person in state.model.people if person.name == 0] == [(KEYS[0], 0)]
