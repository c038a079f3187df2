"""A pull that gives people values of each other: each school sees a few, and only all schools together show it."""

from collections.abc import Callable
from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.sources.conftest import Record, School, Source, person, pupil
from roster_pipeline_tests.sources.test_shared_pulls import ORGS, Schools

HELD = "key_updates"
PEOPLE = """
select l.sourced_id, p.given_name, p.family_name, p.email, p.username, p.number, p.phone from person p
join link l on l.person_id = p.id order by 1
"""
CONTACTS = "select person_id, sourced_id, given_name, email, phone from contact order by 1, 2"
MOVED = "select (proof ->> 'moved')::int from pull order by id desc limit 1"
MOST = 5


class Families(Schools):
    """Schools of 100 pupils, each with a contact."""

    def __init__(self, database: Database, source: Source) -> None:
        source.orgs = ORGS[:4]
        School.__init__(self, database, source)
        self.keys = [self.school, *(self.add_school(f"birch{n}", f"s{n}", primary_contacts=True) for n in (2, 3))]
        pupils = [
            pupil(place, f"s{place % 3 + 1}", phone=f"+1 202 555 {1000 + place}", agentSourcedIds=[f"pa{place}"])
            for place in range(300)
        ]
        parents = [
            person(f"pa{place}", one["orgSourcedIds"], place, role="guardian", identifier="",
                   givenName=f"Pat{one['givenName']}", familyName=one["familyName"], phone=f"+1 303 555 {2000 + place}")
            for place, one in enumerate(pupils)
        ]  # fmt: skip
        self.nights = 0
        self.tonight([*pupils, *parents])

    def tonight(self, users: list[Record], *, backwards: bool = False) -> list[set[str]]:
        """One night with these people. Returns the guards of each school."""
        self.everybody = users
        return self.night([], backwards=backwards)

    @property
    def values(self) -> list[Any]:
        return [self.rows(PEOPLE), self.rows(CONTACTS)]

    @property
    def moved(self) -> int:
        """How many people would get values of others, by the newest pull."""
        return int(self.value(MOVED))


def changed(users: list[Record], name: str, values: dict[int, Any]) -> list[Record]:
    """The same people, some of them with another value. values: by place."""
    return [one | {name: values[place]} if place in values else one for place, one in enumerate(users)]


def slipped(users: list[Record], name: str, first: int = 0, people: int = 6) -> list[Record]:
    """So many rows, two of each three in one school, have the value of the row before."""
    values = [one[name] for one in users[first : first + people]]
    return changed(users, name, {first + place: values[place - 1] for place in range(people)})


def one_name(users: list[Record]) -> list[Record]:
    return changed(users, "givenName", dict.fromkeys(range(7), users[0]["givenName"]))


@pytest.mark.parametrize(
    "mistake",
    [
        *(pytest.param(lambda users, name=name: slipped(users, name), id=name)
          for name in ("username", "identifier", "email", "phone", "familyName")),
        pytest.param(one_name, id="one given name"),
        pytest.param(lambda users: slipped(users, "email", 300), id="e-mails of contacts"),
        pytest.param(lambda users: slipped(users, "sourcedId", 300), id="ids of contacts"),
        pytest.param(lambda users: slipped(users, "agentSourcedIds"), id="contacts"),
    ],
)  # fmt: skip
def test_a_few_values_of_others_in_each_school_wait(
    database: Database, bundle: Source, mistake: Callable[[list[Record]], list[Record]]
) -> None:
    schools = Families(database, bundle)
    right, before = schools.everybody, schools.values
    for backwards in (False, True):
        assert all(HELD in guards for guards in schools.tonight(mistake(right), backwards=backwards))
        assert schools.moved > MOST
        assert schools.values == before
    assert schools.tonight(right) == [set()] * 3
    assert schools.moved == 0


def test_it_is_over_once_the_schools_have_decided(database: Database, rest: Source) -> None:
    schools = Families(database, rest)
    wrong = slipped(schools.everybody, "username")
    assert schools.tonight(wrong) == [{HELD}] * 3
    schools.approves(1)
    assert schools.tonight(wrong) == [set()] * 3
    assert schools.moved <= MOST


def test_everyday_nights_hold_no_values(database: Database, bundle: Source) -> None:
    schools = Families(database, bundle)
    users = schools.everybody
    nothing: list[set[str]] = [set()] * 3

    def night(now: list[Record]) -> list[set[str]]:
        nonlocal users
        users = now
        held = [guards & {HELD} for guards in schools.tonight(now)]
        assert schools.moved <= MOST
        return held

    married = changed(users, "familyName", {place: f"Newname{place}" for place in range(9)})
    assert night(married) == nothing, "marriages"
    assert night(changed(users, "username", {place: f"other{place}" for place in range(12)})) == nothing, "user names"
    assert night(changed(users, "phone", {place: f"+1 404 555 {3000 + place}" for place in range(200)})) == nothing
    family = {place: users[place - 300]["email"] for place in range(300, 309)}
    assert night(changed(users, "email", family)) == nothing, "contacts get the e-mail of their student"
    assert night(changed(users, "email", dict.fromkeys(range(9), "none at home"))) == nothing, "nobody's value"
    assert night(changed(users, "phone", dict.fromkeys(range(9), "000"))) == nothing
    assert night(slipped(users, "email", 30, people=3)) == nothing, "three are mixed up"
    domain = {place: f"{one['username']}@new.example" for place, one in enumerate(users)}
    assert night(changed(users, "email", domain)) == [{HELD}] * 3, "a new domain waits in each school, as in one"


def test_numbers_from_another_place_are_not_compared(database: Database, bundle: Source) -> None:
    """Here everybody's identifier is the sourcedId of another pupil."""
    schools = Families(database, bundle)
    schools.set_connection(student_number_from="sourcedId")
    ids = {place: f"st{(place + 1) % 300}" for place in range(300)}
    schools.tonight(changed(schools.everybody, "identifier", ids))
    for place in range(3):
        schools.approves(place + 1)
    phones = {place: f"+1 404 555 {3000 + place}" for place in range(21)}
    assert schools.tonight(changed(schools.everybody, "phone", phones)) == [set()] * 3
    assert schools.moved == 0
