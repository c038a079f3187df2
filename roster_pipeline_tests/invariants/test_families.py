"""Random nights of contacts: contacts whom nobody may call are never stored, and all others are stored as in the model.

The SIS says that contacts may be called, may not be called, or something unknown; contacts change, are shared by
brothers and sisters, and change places; students come and go; the owner changes every switch.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from roster_pipeline.directory import tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.services import decisions
from roster_pipeline.settings.school import Guards, RoleSettings, Window
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.invariants.families import Kept, Parent, Pupil, Says, School
from roster_pipeline_tests.invariants.histories import assert_happened, histories, run_histories
from roster_pipeline_tests.invariants.rules import SchoolRules
from roster_pipeline_tests.invariants.sync_district import Place, Site

EXAMPLES = histories(2, 60)
DAYS = 12
PUPILS, PARENTS = 7, 6
NAMES = "abcdefg"
ENOUGH = 4
"""This many students always stay, so that the guard on restorations does not hold the others."""
OPEN: dict[str, Any] = {
    **dict.fromkeys(("missing_share", "strangers_share", "shrink_share", "archive_share", "slow_loss_share"), 1.0),
    **dict.fromkeys(("rekeyed_share", "create_share", "restore_share", "update_share"), 1.0),
    "moved_keys": 1000,
}
"""No guards but the window of dates and the share of changed contacts: the other proof tests the rest."""
STORED = """
select l.sourced_id as who, m.status, c.place, c.sourced_id, c.phone
from membership m join link l on l.person_id = m.person_id
left join contact c on c.person_id = m.person_id and c.school_id = m.school_id
where m.district_id = :district
"""
HELD = """
select p.id from plan p join verdict v on v.plan_id = p.id cross join lateral jsonb_array_elements(v.findings) f
where p.id = (select max(p.id) from plan p join school s on s.id = p.school_id where s.key = :school)
  and v.role = 'student' and v.action = 'update' and f ->> 'guard' = 'key_updates' limit 1
"""
PICK = st.integers(0, 10**4)
SAYS: tuple[Says, ...] = (True, True, True, False, "ask first", None)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("says", "says", "phone", "spoil", "spoil", "order", "leave", "leave", "come", "lose")),
        PICK,
        PICK,
    ),
    max_size=4,
)
nights = Counter[str]()


class Families(RuleBasedStateMachine):
    """Nights of one school. `database` and `site` are set by the test."""

    database: Database
    site: Site

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(self.database, self.site, 0)
        self.sis = self.place.sis.district
        self.key = self.place.add(SchoolRules("sch-1"))
        self.place.set_connection(contact_rules=["metadata:mayCall=true"])
        self.school = School()
        self.phones = 0
        self.parents: dict[str, Parent] = {}
        self.pupils: list[Pupil] = []

    @initialize()
    def everybody_enrols(self) -> None:
        self.place.sis.reset()
        for row in range(len(self.sis)):
            self.sis.vanish(row)
        for number in range(PARENTS):
            self.parents[f"g{number}"] = Parent(f"g{number}", self._phone())
            self.sis.add("guardian", "sch-1", sourced_id=f"g{number}", agents=(), family_name="Oduya")
            self._tell(self.parents[f"g{number}"])
        for number in range(PUPILS):
            agents = [f"g{(number + step) % PARENTS}" for step in range(number % 5)]
            self.pupils.append(Pupil(f"s{number}", agents))
            names = {"given_name": f"Given{NAMES[number]}", "family_name": "Oduya", "username": ""}
            keys = {"email": f"s{number}@people.example", "identifier": str(1000 + number)}
            self.sis.add("student", "sch-1", sourced_id=f"s{number}", agent_ids=tuple(agents), **names, **keys)
        self._settle()
        self._night()
        self.unreadable(2, [])
        for approve in (False, True):
            self.join_slips(approve)
        self.hired(0, "teacher")

    @rule(changes=CHANGES)
    def day(self, changes: list[tuple[str, int, int]]) -> None:
        """Things happen in the SIS, then the night."""
        self._deliver()
        for what, pick, other in changes:
            self._happen(what, pick, other)
        self._night()

    @rule(changes=CHANGES)
    def another_day(self, changes: list[tuple[str, int, int]]) -> None:
        """As `day`, so that most steps are nights."""
        self.day(changes)

    @rule(approve=st.booleans())
    def join_slips(self, approve: bool) -> None:
        """A wrong join for a night: every student gets the contacts of the next one."""
        lists = [pupil.agents for pupil in self.pupils]
        for pupil, agents in zip(self.pupils, lists[1:] + lists[:1], strict=True):
            self._give(pupil, agents)
        self._night()
        if approve and self.school.waiting:
            self.approve()

    @rule(pick=PICK, says=st.sampled_from((False, "ask first", None)))
    def excluded(self, pick: int, says: Says) -> None:
        """A contact may not be called from now on."""
        self._deliver()
        parent = self.parents[f"g{pick % PARENTS}"]
        parent.says = says
        self._tell(parent)
        self._night()

    @rule(pick=PICK, role=st.sampled_from(("student", "teacher")))
    def hired(self, pick: int, role: str) -> None:
        """For a night, the record of a stored contact has the role of a member."""
        self._deliver()
        stored = {
            one
            for who, (status, _) in self._stored().items()
            if status == "active"
            for one in self.school.contacts(who)
        }
        for sourced_id in sorted(stored)[pick % PARENTS :][:1]:
            parent = self.parents[sourced_id]
            for parent.role in (role, "guardian"):
                self.sis.set_role(sourced_id, parent.role)
                self._night()
            nights["hired"] += 1

    @rule(every=st.integers(1, 3), changes=CHANGES)
    def unreadable(self, every: int, changes: list[tuple[str, int, int]]) -> None:
        """Some phones are unreadable for two nights, whatever happens meanwhile."""
        some = list(self.parents.values())[::every]
        for spoiled in (True, False):
            self._deliver()
            for parent in some:
                parent.phone, parent.spoiled = self._phone(), spoiled
                self._tell(parent)
            nights["spoiled"] += spoiled
            self.day(changes if spoiled else [])

    @rule(what=st.sampled_from(("rostered", "auto_update", "archive", "contacts", "most", "blackout")), pick=PICK)
    def switch(self, what: str, pick: int) -> None:
        """The owner changes a switch."""
        value = 1 + pick % 5 if what == "most" else not getattr(self.school.wishes, what)
        setattr(self.school.wishes, what, value)
        self._settle()
        self.school.waiting = {}

    def approve(self) -> None:
        """The owner looks at the updates that wait, and approves them."""
        ((plan_id,),) = [row.values() for row in self.place.rows(HELD, school=self.key)]
        decisions.approve(self.database, self.key, plan_id, who="owner", reason="looked at it")
        self.school.approve()
        self._agree()
        nights["approved"] += 1

    @precondition(lambda self: all(one.says is True for one in self.parents.values()))
    @rule(changes=CHANGES)
    def undone_night(self, changes: list[tuple[str, int, int]]) -> None:
        """A night and its rollback: every contact is as it was."""
        for what, pick, other in changes:
            if what != "says":
                self._happen(what, pick, other)
        before, status = self._stored(), dict(self.school.status)
        stored = {who: dict(places) for who, places in self.school.stored.items()}
        prints = self.place.fingerprint()
        sync_id = self._night()
        if self.place.fingerprint() == prints:
            return
        builders.roll_back(self.database, sync_id, who="owner", reason="not what we wanted")
        self.school.status, self.school.stored, self.school.waiting = status, stored, {}
        assert self._stored() == before
        nights["undone"] += 1

    def _deliver(self) -> None:
        """The record of a contact that was missing is there again."""
        for parent in self.parents.values():
            if not parent.delivered:
                parent.delivered = True
                self.sis.restore(parent.sourced_id)
                self._tell(parent)

    def _happen(self, what: str, pick: int, other: int) -> None:
        parent, pupil = self.parents[f"g{pick % PARENTS}"], self.pupils[pick % PUPILS]
        if what == "lose":
            self._deliver()
            parent.delivered = False
            self.sis.remove(parent.sourced_id, how="vanish")
            nights["lost"] += 1
        elif what in ("says", "phone", "spoil") and not parent.delivered:
            return
        elif what == "says":
            parent.says = SAYS[other % len(SAYS)]
            self._tell(parent)
        elif what == "phone":
            parent.phone, parent.spoiled = self._phone(), False
            self._tell(parent)
        elif what == "spoil":
            parent.spoiled = not parent.spoiled
            self._tell(parent)
        elif what == "order":
            self._give(pupil, [f"g{(other + step) % PARENTS}" for step in range(other % 6)])
        elif what == "leave" and pupil.there and sum(one.there for one in self.pupils) > ENOUGH:
            self.sis.remove(pupil.sourced_id)
            pupil.there = False
        elif what == "come":
            for one in self.pupils:
                if not one.there:
                    self.sis.restore(one.sourced_id)
                    self.sis.edit(one.sourced_id, agent_ids=tuple(one.agents))
                    one.there = True

    def _give(self, pupil: Pupil, agents: list[str]) -> None:
        """The SIS names these contacts of a student from now on."""
        pupil.agents = agents
        if pupil.there:
            self.sis.edit(pupil.sourced_id, agent_ids=tuple(agents))

    def _tell(self, parent: Parent) -> None:
        phone = "call the office" if parent.spoiled else parent.phone
        self.sis.edit(parent.sourced_id, phone=phone, sms="", metadata={"mayCall": parent.says})

    def _phone(self) -> str:
        self.phones += 1
        return f"+1312555{1000 + self.phones}"

    def _settle(self) -> None:
        wishes, today = self.school.wishes, datetime.now(UTC).date()
        window = Window(first=today - timedelta(days=1), last=today + timedelta(days=1), kind="blackout")
        role = RoleSettings(rostered=wishes.rostered, auto_update=wishes.auto_update, archive=wishes.archive)
        with self.database.begin() as conn:
            now = tenants.get_school(conn, self.key).settings
            changed = now.model_copy(
                update={
                    "students": role,
                    "primary_contacts": wishes.contacts,
                    "contacts_most": wishes.most,
                    "guards": Guards(**OPEN, windows=[window] if wishes.blackout else []),
                    "quality": {},
                }
            )
            tenant_changes.set_school(conn, self.key, type(now).model_validate(changed.model_dump()))

    def _stored(self) -> dict[str, tuple[str, dict[int, Kept]]]:
        found: dict[str, tuple[str, dict[int, Kept]]] = {}
        for row in self.place.rows(STORED):
            who, status, place, contact, phone = row.values()
            places = found.setdefault(who, (status, {}))[1]
            if place is not None:
                places[place] = (contact, phone)
        return found

    def _agree(self) -> dict[str, tuple[str, dict[int, Kept]]]:
        """Return the stored contacts, after comparing them with the model."""
        expected = {who: (status, self.school.stored.get(who, {})) for who, status in self.school.status.items()}
        shown = self._stored()
        assert shown == expected
        return shown

    def _night(self) -> int:
        removed = self.school.night(self.pupils, self.parents)
        applied = self.place.sync_school(self.key)
        shown = self._agree()
        if self.school.wishes.contacts:
            told = {kept[0] for _, places in shown.values() for kept in places.values()}
            assert all(self.parents[one].says is True for one in told), "somebody is stored whom nobody may call"
        held = self.place.rows(HELD, school=self.key)
        assert bool(held) == self.school.held, held
        nights["held: key_updates"] += self.school.held
        nights["nights"] += 1
        nights["removed"] += removed
        nights["removed while all is held"] += removed if self.school.wishes.blackout else 0
        nights["several"] += any(len(places) > 1 for _, places in shown.values())
        return applied.sync_id


@pytest.mark.timeout(0)
def test_random_nights_of_contacts_end_as_the_rules_say(database: Database, site: Site) -> None:
    class Here(Families):
        pass

    Here.database, Here.site = database, site
    nights.clear()
    run_histories(Here, EXAMPLES, DAYS)
    assert_happened(
        nights, {"nights", "several", "spoiled", "hired"}, {"removed", "held: key_updates", "approved", "lost"}
    )
