"""A pull that gives people wrong schools: each school sees a few newcomers, and only all schools together show it. On
everyday nights, people move too."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from sqlalchemy.engine import URL

from roster_pipeline.directory import manual_edits, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.district import Begun
from roster_pipeline_tests.sources.conftest import Record, School, Source, begun_once, manifest, pupil
from roster_pipeline_tests.sources.test_shared_pulls import ACTIVE, ORGS, Schools

WRONG = "wrong_schools"
MEMBERS = """
select l.sourced_id || ' ' || s.key as one from link l join membership m using (person_id)
join school s on s.id = m.school_id where m.status = 'active'
"""


class Blocks(Schools):
    """Schools whose pupils stand in the file in blocks of 20, one school after the other, in grades 9 to 12."""

    def __init__(self, database: Database, source: Source, sizes: Sequence[int]) -> None:
        source.orgs = ORGS[: len(sizes) + 1]
        School.__init__(self, database, source)
        self.keys = [self.school, *(self.add_school(f"birch{n}", f"s{n}") for n in range(2, len(sizes) + 1))]
        orgs = [(place // 20, f"s{n}") for n, size in enumerate(sizes, 1) for place in range(size)]
        self.everybody = [
            pupil(place, org, grades=_grade(place)) for place, (_, org) in enumerate(sorted(orgs, key=lambda one: one))
        ]
        self.nights = 0
        self.tonight(self.everybody)

    def tonight(self, users: list[Record], *, backwards: bool = False) -> list[set[str]]:
        """One night with these people. Returns the guards of each school."""
        self.everybody = users
        return self.night([], backwards=backwards)

    @property
    def members(self) -> set[str]:
        return {str(row["one"]) for row in self.rows(MEMBERS)}

    def of_school(self, school: int) -> set[str]:
        """The sourcedIds of the members of a school."""
        return {str(row["sourced_id"]) for row in self.rows(ACTIVE, key=self.keys[school - 1])}


def _grade(place: int) -> str:
    return f"{9 + place % 4:02d}"


def with_orgs(users: list[Record], orgs: Callable[[int, str], Any]) -> list[Record]:
    """The same people with other orgs. orgs: place and present org to the new ones."""
    return [one | {"orgSourcedIds": orgs(place, one["orgSourcedIds"])} for place, one in enumerate(users)]


def slipped(users: list[Record]) -> list[Record]:
    """Each row has the org of the row before."""
    return with_orgs(users, lambda place, _: users[place - 1]["orgSourcedIds"])


def joined(users: list[Record]) -> list[Record]:
    """Some people of the first school are in every school."""
    return with_orgs(users, lambda place, org: ["s1", "s2", "s3"] if org == "s1" and place % 5 == 0 else org)


def strangers(users: list[Record]) -> list[Record]:
    """A part of another district is added, with pupils of all grades."""
    return [*users, *(pupil(900 + place, f"s{1 + place % 3}", grades=_grade(place // 3)) for place in range(45))]


@pytest.fixture(scope="module")
def begun(
    request: pytest.FixtureRequest, postgres_template: URL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Begun[Blocks]]:
    source = Source(getattr(request, "param", "csv"), tmp_path_factory.mktemp("sis") / "exports")
    with begun_once(postgres_template, source, partial(Blocks, sizes=(100, 100, 100))) as made:
        yield made


@pytest.fixture
def schools(begun: Begun[Blocks]) -> Iterator[Blocks]:
    """Three schools of 100 pupils after a good night."""
    with begun.copied() as made:
        yield made


@pytest.mark.parametrize("begun", ["csv", "rest"], indirect=True)
@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
def test_a_column_that_slipped_by_a_row_changes_no_memberships(schools: Blocks, *, backwards: bool) -> None:
    right, before = schools.everybody, schools.members
    for _ in range(2):
        assert schools.tonight(slipped(right), backwards=backwards) == [{WRONG}] * 3
        assert schools.members == before
    assert schools.tonight(right) == [set()] * 3


@pytest.mark.parametrize("missing", ["identifier", "email"])
def test_people_under_new_ids_are_known_by_their_number_or_their_email(schools: Blocks, missing: str) -> None:
    right, before = [one | {missing: ""} for one in schools.everybody], schools.members
    some = [one | {"sourcedId": f"new-{one['sourcedId']}"} for one in right[::10]]
    rest = [one for place, one in enumerate(right) if place % 10]
    assert all(WRONG in guards for guards in schools.tonight([*rest, *slipped(some)]))
    assert schools.members == before
    assert not any(WRONG in guards for guards in schools.tonight([*rest, *some]))
    assert schools.count("person") == schools.count("membership", "status = 'active'") == 300


@pytest.mark.parametrize(
    ("mistake", "guards"),
    [
        pytest.param(joined, [set(), {WRONG}, {WRONG}], id="a join that went wrong"),
        pytest.param(strangers, [{WRONG}] * 3, id="half a file of another district"),
    ],
)
def test_other_mistakes_change_no_memberships(
    schools: Blocks, mistake: Callable[[list[Record]], list[Record]], guards: list[set[str]]
) -> None:
    before = schools.members
    assert schools.tonight(mistake(schools.everybody)) == guards
    assert schools.members == before


def test_one_school_for_all_changes_no_memberships(database: Database, bundle: Source) -> None:
    schools = Blocks(database, bundle, (500, 40, 40))
    before = schools.members
    assert schools.tonight(with_orgs(schools.everybody, lambda *_: "s1"))[0] == {WRONG}
    assert schools.members == before


def test_a_list_of_changes_that_slipped_changes_no_memberships(schools: Blocks) -> None:
    right, before = schools.everybody, schools.members
    schools.source.files = {"manifest.csv": manifest(users="delta")}
    changes = [new for new, old in zip(slipped(right), right, strict=True) if new != old]
    for some in (changes, changes[:1]):
        assert schools.tonight(some) == [{WRONG}] * 3
        assert schools.members == before


def test_one_approval_moves_the_people_of_one_school(schools: Blocks) -> None:
    wrong, before = slipped(schools.everybody), schools.of_school(1)
    schools.tonight(wrong)
    schools.approves(1)
    came = {one["sourcedId"] for one in wrong if one["orgSourcedIds"] == "s1"}
    assert schools.of_school(1) == came | before, "the other schools do not have them yet"
    schools.approves(2)
    schools.approves(3)
    schools.tonight(wrong)
    assert schools.of_school(1) == came


def test_who_leaves_a_school_under_a_new_id_waits_if_others_change_places(database: Database, bundle: Source) -> None:
    schools = Blocks(database, bundle, (100, 100, 100, 100))
    right, before = schools.everybody, schools.members
    leaves = next(one for one in right if one["orgSourcedIds"] == "s4")
    some = [one for one in right if one["orgSourcedIds"] != "s4"][::20]
    new = [one | {"sourcedId": f"new-{one['sourcedId']}"} for one in [*slipped(some), leaves | {"orgSourcedIds": "s1"}]]
    gone = {one["sourcedId"].removeprefix("new-") for one in new}
    assert schools.tonight([*(one for one in right if one["sourcedId"] not in gone), *new])[3] == {WRONG}
    assert schools.members == before


@pytest.mark.parametrize("backwards", [False, True], ids=["old-school-first", "new-school-first"])
def test_nobody_leaves_a_school_before_the_new_one_has_them(
    database: Database, source: Source, *, backwards: bool
) -> None:
    schools = Blocks(database, source, (400, 40, 40))
    few = with_orgs(schools.everybody, lambda place, org: "s2" if place in (0, 1) else org)
    assert schools.tonight(few, backwards=backwards) == [set()] * 3
    assert ("st0" in schools.of_school(1)) is not backwards
    schools.tonight(few, backwards=backwards)
    assert not {"st0", "st1"} & schools.of_school(1)
    many = with_orgs(few, lambda place, org: "s3" if org == "s1" and place % 20 == 2 else org)
    movers = {one["sourcedId"] for one in many if one["orgSourcedIds"] == "s3"} - schools.of_school(3)
    for _ in range(2):
        assert schools.tonight(many, backwards=backwards) == [set(), set(), {"creations"}]
        assert movers <= schools.of_school(1)
    schools.approves(3)
    schools.tonight(many, backwards=backwards)
    assert not movers & schools.of_school(1)
    assert movers <= schools.of_school(3)


def test_people_leave_at_once_for_a_school_that_will_not_take_them(database: Database, bundle: Source) -> None:
    """One that is not synced any more, one that does not roster students, and one that archived them by hand."""
    schools = Blocks(database, bundle, (90, 40, 40, 40))
    off = {"rostered": False, "auto_update": False, "archive": False}
    schools.set_school(schools.keys[1], students=off, teachers={**off, "rostered": True})
    schools.tonight(with_orgs(schools.everybody, lambda place, org: ["s1", "s3"] if place == 2 else org))
    with database.begin() as conn:
        person = int(schools.value("select person_id from link where sourced_id = 'st2'"))
        school = tenants.get_school(conn, schools.keys[2])
        manual_edits.set_archived(conn, school, person, True, who="Kim", reason="a case of its own")
    schools.execute(
        "update snapshot set taken_at = taken_at - interval '8 days' "
        "where school_id = (select id from school where key = :key)",
        key=schools.keys.pop(3),
    )
    into = {0: "s4", 1: "s2", 2: "s3", 3: "s3"}
    schools.tonight(with_orgs(schools.everybody, lambda place, org: into.get(place, org)))
    assert {"st0", "st1", "st2", "st3"} & schools.of_school(1) == {"st3"}


def test_everyday_nights_hold_no_memberships(database: Database, bundle: Source) -> None:
    schools = Blocks(database, bundle, (120, 120, 120))
    users = schools.everybody

    def night(now: list[Record]) -> list[set[str]]:
        nonlocal users
        users = now
        return [guards & {WRONG} for guards in schools.tonight(now)]

    def move(into: dict[str, str], every: int, **members: Any) -> list[Record]:
        """Every n-th pupil of a school moves into another one, and gets a new grade if there is one."""
        return [
            one | members | {"orgSourcedIds": into[one["orgSourcedIds"]]}
            if place % every == 0 and one["orgSourcedIds"] in into
            else one
            for place, one in enumerate(users)
        ]

    nothing: list[set[str]] = [set()] * 3
    assert night(move({"s1": "s2", "s2": "s1"}, 80)) == nothing, "a few change places"
    assert night(move({"s1": "s2", "s2": "s3"}, 4)) == nothing, "two classes go on to the next school"
    assert night(move({"s1": "s2", "s2": "s3", "s3": "s1"}, 9, grades="08")) == nothing, "many move with a new grade"
    intake = [pupil(700 + place, f"s{1 + place % 3}", grades="06") for place in range(60)]
    late = [pupil(800 + place, f"s{1 + place % 3}", grades=_grade(place // 3)) for place in range(15)]
    assert night([*users, *intake, *late]) == nothing, "a class comes to each school, and some others"
    assert (
        night(with_orgs(users, lambda place, org: ["s1", "s2"] if org == "s1" and place % 5 == 0 else org)) == nothing
    )
    assert night(with_orgs(users, lambda _, org: "s2" if org in ("s1", ["s1", "s2"]) else org)) == nothing, "a merger"


def test_people_who_were_never_members_are_not_counted_every_night(database: Database, rest: Source) -> None:
    """A role that has ended, one that begins later and an org without a role are no arrivals."""
    schools = Blocks(database, rest, (40, 40))
    ended = {"endDate": "2020-01-01"}
    for place, one in enumerate(schools.everybody):
        here = one["orgSourcedIds"]
        other, later = {"s1": "s2", "s2": "s1"}[here], {"beginDate": "2090-01-01"}
        more = [{"role": "student", "org": other} | (ended if place % 2 else later)]
        one |= {"roles": [{"role": "student", "org": here}, *(more if place % 3 else [])], "primaryOrg": other}
    rest.names.pop("orgSourcedIds")
    assert schools.tonight(schools.everybody) == [set(), set()]
    assert schools.value("select proof -> 'arrivals' ->> 'mixed_up' from pull order by id desc limit 1") == "0"
