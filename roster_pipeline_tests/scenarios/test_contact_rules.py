"""Contacts that nobody may call, and several contacts, in whole syncs: REST 1.1, REST 1.2 and CSV."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.directory import manual_edits, operations
from roster_pipeline.directory.apply import SyncResult
from roster_pipeline.directory.database import Database
from roster_pipeline.services.decisions import roll_back
from roster_pipeline.settings.school import Guards, Window
from roster_pipeline.simulator.person import CONTACT_ROLES, Person
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.directory.builders import every
from roster_pipeline_tests.district import District, simulated_district

RULES = [
    "metadata:custody=joint,sole", "metadata:custody!=none", "metadata:restrained!=true", "metadata:receivesMail=true",
]  # fmt: skip
GOOD: dict[str, Any] = {"custody": "joint", "restrained": False, "receivesMail": True}
BAD: dict[str, dict[str, Any]] = {
    "custody none": {"custody": "none"},
    "custody None": {"custody": "None"},
    "custody unknown": {"custody": "shared by agreement"},
    "restrained": {"restrained": True},
    "restrained, as text": {"restrained": "Y"},
    "restrained by order": {"restrained": "court order 17"},
    "no mail": {"receivesMail": False},
    "no mail, as text": {"receivesMail": "no"},
    "mail not told": {"receivesMail": None},
}
EVERYBODY = Guards(update_share=1, update_key_share=1).model_dump(mode="json")
QUIET = {"rostered": True, "auto_update": False, "archive": True}


class Nights:
    """One school over nights, by REST or by a folder of bundles; the parents of the simulated district are GOOD."""

    def __init__(self, district: District, folder: Path | None) -> None:
        self.district, self.folder = district, folder
        self._written = datetime.now(UTC) - timedelta(days=2)
        district.set_connection(contact_rules=RULES, contact_flags=["metadata:custody"])
        if folder is not None:
            folder.mkdir()
            district.set_connection(url=f"file://{folder}", token_url=None)
        self.students = [district.people.add("student", "sch-1") for _ in range(12)]
        self.tell_of_everybody(GOOD)

    def tell_of_everybody(self, metadata: dict[str, Any]) -> None:
        for each in [each for each in self.district.people.people() if any(map(each.has_role, CONTACT_ROLES))]:
            self.district.people.edit(each.sourced_id, metadata=metadata)

    def contacts_of(self, student: Person) -> list[str]:
        return [self.district.people.at(row).sourced_id for row in student.agents]

    def set_contact(self, student: Person, **metadata: Any) -> str:
        (contact,) = self.contacts_of(student)
        self.district.people.edit(contact, metadata=GOOD | metadata)
        return contact

    def night(self, key: str = "lincoln", *, since: datetime | None = None) -> SyncResult:
        if self.folder is not None:
            self._read_then()
            self._written += timedelta(hours=5)
            mode = "delta" if since else "bulk"
            path = self.folder / f"{len(list(self.folder.iterdir())) + 1}.zip"
            write_csv_bundle(self.district.people, path, version="1.1", mode=mode, since=since)
            os.utime(path, (self._written.timestamp(),) * 2)
        return self.district.sync_school(key)

    def _read_then(self) -> None:
        """Set the last reading to the time of its bundle, so that the next bundle is newer."""
        self.district.execute("update pull set finished_at = :at", at=self._written + timedelta(minutes=1))

    def rows(self, query: str, **given: Any) -> list[Any]:
        return every(self.district.database, query, **given)

    def stored(self, school: str = "lincoln") -> dict[str, list[str]]:
        """Student to the ids of their contacts, in order."""
        found = self.rows(
            "select l.sourced_id, array_agg(c.sourced_id order by c.place) from contact c join school s "
            "on s.id = c.school_id join link l on l.person_id = c.person_id where s.key = :school group by 1",
            school=school,
        )
        return {student: list(contacts) for student, contacts in found}

    def reasons(self) -> list[tuple[str, str]]:
        """Student and reason of the newest plan's rows about contacts."""
        return self.rows(
            "select l.sourced_id, r.reason from plan_row r join link l on l.person_id = r.person_id "
            "where r.role = 'contact' and r.plan_id = (select max(id) from plan) order by 1"
        )

    def report(self) -> dict[str, Any]:
        ((found,),) = self.rows("select report -> 'contacts' from sync order by id desc limit 1")
        return dict(found)


BOTH = pytest.mark.parametrize("nights", ["REST 1.2", "CSV"], indirect=True)
"""REST and CSV records have one shape before contacts are chosen, so some tests use REST alone."""


@pytest.fixture
def nights(
    request: pytest.FixtureRequest, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Nights]:
    source = getattr(request, "param", "REST 1.2")
    version = "1.1" if source == "REST 1.1" else "1.2"
    with simulated_district(District, database, monkeypatch, tmp_path, version) as district:
        yield Nights(district, tmp_path / "exports" if source == "CSV" else None)


@pytest.mark.parametrize("nights", ["REST 1.1", "REST 1.2", "CSV"], indirect=True)
def test_contacts_that_the_sis_excludes_or_has_unknown_values_for_are_not_called(nights: Nights) -> None:
    some = dict(zip(BAD, nights.students, strict=False))
    for name, student in some.items():
        nights.set_contact(student, **BAD[name])
    nights.district.add_school(primary_contacts=True)
    nights.night()
    stored = nights.stored()
    assert {student.sourced_id for student in some.values()}.isdisjoint(stored)
    good = nights.students[len(BAD)]
    assert stored[good.sourced_id] == nights.contacts_of(good)
    assert nights.report() == {"excluded": len(BAD), "unknown": 2, "removed": 0, "withheld": 0}
    assert nights.rows("select distinct flags::text from roster_public.directory_contact") == [
        ('{"custody": "joint"}',)
    ]


@BOTH
def test_a_right_that_is_withdrawn_removes_the_contact_the_same_night_with_auto_update_off(nights: Nights) -> None:
    nights.district.add_school(primary_contacts=True, students=QUIET)
    nights.night()
    some = dict(zip(BAD, nights.students, strict=False))
    before = nights.stored()
    for name, student in some.items():
        nights.set_contact(student, **BAD[name])
        nights.district.people.rename(student.sourced_id, family_name="Elsewise")
    nights.night()
    gone = {student.sourced_id for student in some.values()}
    assert nights.stored() == {student: kept for student, kept in before.items() if student not in gone}
    assert nights.reasons() == sorted((student, "contact_excluded") for student in gone)
    assert nights.district.count("person", "family_name = 'Elsewise'") == 0, "auto update is off"
    assert nights.report() == {"excluded": len(BAD), "unknown": 2, "removed": len(BAD), "withheld": 0}
    mails = " ".join(mail for (mail,) in nights.rows("select subject || text || html from outbox"))
    assert not mails or "court order" not in mails
    nights.night()
    assert nights.reasons() == []


def test_a_contact_goes_though_the_student_is_excluded_or_left_the_role_is_off_or_everything_waits(
    nights: Nights,
) -> None:
    nights.district.add_school(primary_contacts=True, guards=EVERYBODY)
    nights.night()
    excluded, left, off, held, incomplete = nights.students[:5]
    ((person,),) = nights.rows("select person_id from link where sourced_id = :id", id=excluded.sourced_id)
    nights.district.database.call(manual_edits.set_excluded, 1, person, True, who="owner", reason="a case of its own")
    nights.district.people.remove(left.sourced_id)
    assert nights.night().by_action["archive"] == 1
    for student in (excluded, left):
        nights.set_contact(student, restrained=True)
    nights.night()
    assert {excluded.sourced_id, left.sourced_id}.isdisjoint(nights.stored())
    nights.district.set_school("lincoln", students={"rostered": False})
    nights.set_contact(off, receivesMail="no")
    nights.night()
    assert off.sourced_id not in nights.stored()
    today = datetime.now(UTC).date()
    window = Window(first=today - timedelta(days=1), last=today + timedelta(days=1), kind="blackout")
    nights.district.set_school("lincoln", students=QUIET, guards=Guards(windows=[window]).model_dump(mode="json"))
    nights.set_contact(held, custody="?")
    nights.night()
    assert held.sourced_id not in nights.stored()
    assert nights.report()["removed"] == 1
    nights.set_contact(incomplete, custody="none")
    nights.district.sis.faults.set("total_header=high")
    nights.night()
    assert nights.rows("select complete from snapshot order by id desc limit 1") == [(False,)]
    assert incomplete.sourced_id not in nights.stored()


def test_a_contact_goes_in_the_night_in_which_somebody_leaves_a_sis_without_single_users(nights: Nights) -> None:
    nights.district.sis.faults.set("single_users=off")
    nights.district.add_school(primary_contacts=True, guards=EVERYBODY)
    nights.night()
    left, excluded = nights.students[:2]
    nights.district.people.remove(left.sourced_id, how="vanish")
    nights.set_contact(excluded, restrained=True)
    nights.night()
    assert nights.reasons() == [(excluded.sourced_id, "contact_excluded")]
    assert excluded.sourced_id not in nights.stored()


@BOTH
def test_a_delta_that_names_the_contact_alone_removes_them(nights: Nights) -> None:
    nights.district.set_connection(delta=nights.folder is None)
    nights.district.add_school(primary_contacts=True, students=QUIET)
    nights.night()
    nights.night()
    some = nights.students[:3]
    since = datetime.fromisoformat(nights.district.people.stamp().replace("Z", "+00:00"))
    for student, name in zip(some, ("restrained", "no mail", "custody unknown"), strict=True):
        nights.set_contact(student, **BAD[name])
    nights.night(since=since)
    if nights.folder is not None:
        assert nights.rows("select mode from snapshot order by id desc limit 1") == [("delta",)]
    assert {student.sourced_id for student in some}.isdisjoint(nights.stored())
    assert nights.stored()[nights.students[3].sourced_id] == nights.contacts_of(nights.students[3])


@BOTH
def test_while_the_field_is_nowhere_stored_contacts_stay_and_nobody_new_is_chosen(nights: Nights) -> None:
    nights.district.add_school(primary_contacts=True)
    nights.night()
    before = nights.stored()
    nights.tell_of_everybody({})
    newcomer = nights.district.people.add("student", "sch-1")
    nights.night()
    assert nights.stored() == before
    assert nights.report() == {"excluded": 0, "unknown": 0, "removed": 0, "withheld": 3}
    nights.tell_of_everybody(GOOD)
    nights.night()
    assert nights.stored().keys() == before.keys() | {newcomer.sourced_id}


@BOTH
@pytest.mark.parametrize("barred", [3, 2])
def test_a_field_that_is_suddenly_empty_for_everybody_frees_nobody(nights: Nights, barred: int) -> None:
    """For two, the orders may really have ended."""
    nights.district.set_connection(contact_rules=["metadata:order!=true"])
    nights.district.add_school(primary_contacts=True, guards=EVERYBODY)
    some = nights.students[:barred]
    for student in some:
        nights.set_contact(student, order=True)
    nights.night()
    before = nights.stored()
    assert not before.keys() & {student.sourced_id for student in some}
    for student in some:
        nights.set_contact(student, order=None)
    nights.night()
    freed = {student.sourced_id for student in some} if barred == 2 else set()
    assert nights.stored().keys() - before.keys() == freed
    assert nights.report()["withheld"] == (0 if freed else 1)


@BOTH
def test_several_contacts_in_order_shared_by_brothers_and_sisters_of_two_schools(nights: Nights) -> None:
    district = nights.district
    one = district.people.add("parent", "sch-1", metadata=GOOD, email="one@example.org")
    two = district.people.add("guardian", "sch-1", metadata=GOOD, family_name='Quo"te\\ Ö', phone="+13125550142")
    three = district.people.add("relative", "sch-2", metadata=GOOD)
    agents = (three.sourced_id, two.sourced_id, one.sourced_id)
    here = district.people.add("student", "sch-1", agent_ids=agents)
    there = district.people.add("student", "sch-2", agent_ids=agents)
    for key, school_id in (("lincoln", "sch-1"), ("roosevelt", "sch-2")):
        district.add_school(key, school_id, primary_contacts=True, contacts_most=3, guards=EVERYBODY)
        nights.night(key)
    order = [one.sourced_id, two.sourced_id, three.sourced_id]
    assert nights.stored("lincoln")[here.sourced_id] == nights.stored("roosevelt")[there.sourced_id] == order
    assert [applied.changed for applied in (nights.night("lincoln"), nights.night("roosevelt"))] == [0, 0]

    district.people.edit(two.sourced_id, phone="+13125550199")
    for key in ("lincoln", "roosevelt"):
        nights.night(key)
    shared = "select distinct family_name, phone from roster_public.directory_student_contact where contact_id = :id"
    assert nights.rows(shared, id=two.sourced_id) == [('Quo"te\\ Ö', "+13125550199")]

    district.people.edit(one.sourced_id, metadata=GOOD | {"restrained": True})
    for key, student in (("lincoln", here), ("roosevelt", there)):
        nights.night(key)
        assert nights.stored(key)[student.sourced_id] == order[1:], "the next one has moved up"
    sync_id = nights.rows("select max(y.id) from sync y join school s on s.id = y.school_id where s.key = 'lincoln'")[
        0
    ][0]
    roll_back(district.database, sync_id, who="owner", reason="a mistake")
    assert one.sourced_id not in nights.stored()[here.sourced_id], "nobody may call that contact"
    nights.night()
    assert nights.stored()[here.sourced_id] == order[1:]

    district.set_school("lincoln", contacts_most=1)
    nights.night()
    assert district.count("contact c join school s on s.id = c.school_id", "s.key = 'lincoln' and c.place > 1") == 0
    ((person,),) = nights.rows("select person_id from link where sourced_id = :id", id=there.sourced_id)
    district.database.call(operations.erase, 1, person, who="owner", reason="asked for it")
    assert there.sourced_id not in nights.stored("roosevelt")


def test_a_rollback_brings_several_contacts_back_as_they_were(nights: Nights) -> None:
    district = nights.district
    both = [district.people.add("parent", "sch-1", metadata=GOOD).sourced_id for _ in range(3)]
    student = district.people.add("student", "sch-1", agent_ids=tuple(both))
    district.add_school(primary_contacts=True, contacts_most=5, guards=EVERYBODY)
    nights.night()
    everything = nights.rows("select person_id, place, sourced_id, family_name, flags from contact order by 1, 2")
    district.people.edit(student.sourced_id, agent_ids=(both[2], both[1]))
    nights.night()
    assert nights.stored()[student.sourced_id] == [both[1], both[2]]
    ((sync_id,),) = nights.rows("select max(id) from sync")
    roll_back(district.database, sync_id, who="owner", reason="a mistake")
    assert (
        nights.rows("select person_id, place, sourced_id, family_name, flags from contact order by 1, 2") == everything
    )


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_an_entry_of_agents_bars_a_contact_from_one_student_alone(
    version: str, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with simulated_district(District, database, monkeypatch, tmp_path, version) as district:
        nights = Nights(district, None)
        district.set_connection(
            contact_rules=["agents:mayContact!=false", "relationship!=stepfather"],
            contact_relationship_from="agents:relationship",
        )
        shared = district.people.add("guardian", "sch-1").sourced_id
        others = [district.people.add("guardian", "sch-1").sourced_id for _ in range(2)]
        said: list[dict[str, object]] = [
            {"relationship": "Father"},
            {"mayContact": "no"},
            {"relationship": "Stepfather"},
        ]
        some = [
            district.people.add("student", "sch-1", agent_ids=(shared, *others), agent_members={shared: each})
            for each in said
        ]
        district.add_school(primary_contacts=True, students=QUIET)
        nights.night()
        first = {student.sourced_id: nights.stored()[student.sourced_id] for student in some}
        assert list(first.values()) == [[shared], [others[0]], [others[0]]]
        assert nights.rows("select relationship from contact where sourced_id = :id", id=shared) == [("Father",)]
        district.people.edit(
            some[0].sourced_id, agent_members={shared: {"mayContact": False, "relationship": "Father"}}
        )
        nights.night()
        assert some[0].sourced_id not in nights.stored()
        assert nights.report()["removed"] == 1
