"""A connection that is pointed at another system, or a school at another org: people whom only the earlier one had stay
until somebody approves, because a test system or an old copy looks like the SIS without its newcomers."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.lasting_decisions import announce_leavers
from roster_pipeline.services import decisions
from roster_pipeline_tests.district import Begun
from roster_pipeline_tests.sources.conftest import BIRCH, ROOT, School, Source, begun_once, pupil, served
from roster_pipeline_tests.sources.test_guards import approve

PUPILS = [pupil(place) for place in range(40)]
NEWCOMERS = {"st38", "st39"}
PASS_TIME = "update snapshot set taken_at = taken_at - interval '2 days'"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Source]:
    """Another SIS with an API."""
    yield from served(Source("rest", tmp_path / "other"))


def newcomers_came(database: Database, source: Source) -> School:
    """A school whose two newcomers came two days ago."""
    school = School.begun(database, source, PUPILS[:-2])
    source.users = PUPILS
    school.execute(PASS_TIME)
    school.sync()
    school.execute(PASS_TIME)
    return school


@pytest.fixture(scope="module")
def begun(
    request: pytest.FixtureRequest, postgres_template: URL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Begun[School]]:
    source = Source(getattr(request, "param", "rest"), tmp_path_factory.mktemp("sis") / "exports")
    with begun_once(postgres_template, source, newcomers_came) as made:
        yield made


@pytest.fixture
def school(begun: Begun[School]) -> Iterator[School]:
    with begun.copied() as made:
        yield made


BOTH = pytest.mark.parametrize("begun", ["csv", "rest"], indirect=True)
FILES = pytest.mark.parametrize("begun", ["csv"], indirect=True)
"""The other tests begin with an API."""


def point(school: School, source: Source) -> None:
    """Let the connection read another SIS, as somebody who saves its settings."""
    school.set_connection(url=source.url)
    school.source = source


@BOTH
def test_a_copy_of_last_week_archives_nobody_who_came_since_until_somebody_approves(
    school: School, other: Source
) -> None:
    other.users = PUPILS[:-2]
    point(school, other)
    for _ in range(2):
        assert {school.sync()[who] for who in NEWCOMERS} == {"left"}
        assert (school.guards, len(school.present)) == ({"never_listed"}, 40)
        school.execute(PASS_TIME)
    approve(school)
    assert set(school.present) == {one["sourcedId"] for one in other.users}
    school.sync()
    assert school.guards == set()


def test_back_at_the_sis_of_before_nobody_waits(school: School, other: Source) -> None:
    before, other.users = school.source, PUPILS[:-2]
    point(school, other)
    school.sync()
    point(school, before)
    before.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, school.present) == (set(), {one["sourcedId"] for one in before.users})


def test_people_of_another_sis_with_other_ids_and_numbers_stay_who_they_are(school: School, other: Source) -> None:
    before = {row["person_id"] for row in school.rows("select person_id from membership")}
    other.users = [
        one | {"sourcedId": f"new-{one['sourcedId']}", "identifier": f"X{one['identifier']}"} for one in PUPILS
    ]
    point(school, other)
    assert set(school.sync().values()) == {"match_contradicted"}
    assert "rekeyed" in school.guards, "its advice says what follows here"
    found = school.rows("select findings from verdict where plan_id = (select max(id) from plan)")
    assert "All of them are conflicts" in str(found)
    school.set_connection(student_number_from="metadata:none")
    school.sync()
    newest = school.value("select max(id) from plan")
    decisions.relink(school.database, school.school, newest, who="owner", reason="a new SIS")
    school.set_connection(student_number_from="identifier")
    school.sync()
    approve(school)
    school.sync()
    assert school.guards == set()
    people = school.rows("select p.id, p.number, m.status from person p join membership m on m.person_id = p.id")
    assert {(row["number"][0], row["status"]) for row in people} == {("X", "active")}
    assert {row["id"] for row in people} == before


def test_one_of_two_schools_of_a_connection_moves_to_another_sis(school: School, other: Source) -> None:
    other.users = [one | {"sourcedId": f"new-{one['sourcedId']}", "orgSourcedIds": "s2"} for one in PUPILS]
    settings = school.database.call(tenants.get_connection, school.connection).settings
    school.add_connection("new", settings.model_copy(update={"url": other.url, "controlled_by": "district"}), "")
    school.add_school("moved", "s2", connection="new")
    school.sync_school("moved")
    school.source.users = [pupil(place, "s2") for place in range(50, 60)]
    school.sync()
    assert "empty_role" in school.guards
    approve(school)
    school.sync_school("moved")
    newest = school.value("select max(id) from plan")
    decisions.approve(school.database, "moved", newest, who="manager", reason="the school moved")
    places = school.rows("select s.key, m.status from membership m join school s on s.id = m.school_id")
    assert Counter((row["key"], row["status"]) for row in places) == {
        ("alder", "archived"): 40,
        ("moved", "active"): 40,
    }
    assert school.count("person") == 40
    assert school.count("link", "is_primary and sourced_id like 'new-%'") == 40


@FILES
def test_whoever_came_from_the_new_address_leaves_as_usual(school: School, other: Source) -> None:
    other.users = PUPILS
    point(school, other)
    school.sync()
    assert school.guards == set()
    school.execute(PASS_TIME)
    other.users = PUPILS[2:]
    school.sync()
    assert (school.guards, school.present) == (set(), {one["sourcedId"] for one in other.users})


@BOTH
def test_who_was_missing_before_the_change_waits_too(school: School, other: Source) -> None:
    school.choose(guards={"grace_syncs": 1})
    school.source.users = other.users = PUPILS[1:]
    assert school.sync()["st0"] == "grace"
    point(school, other)
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == ({"never_listed"}, True)
    approve(school)
    assert "st0" not in school.present


def test_an_announced_leaver_alone_does_not_wait(school: School, other: Source) -> None:
    other.users = PUPILS[:-1]
    leavers = [row["person_id"] for row in school.rows("select person_id from link where sourced_id = 'st39'")]
    row = school.database.call(tenants.get_school, school.school)
    school.database.call(announce_leavers, row, leavers, day=datetime.now(UTC).date(), who="office", reason="moves")
    point(school, other)
    school.sync()
    assert (school.guards, "st39" in school.present) == (set(), False)


def test_people_of_an_earlier_org_of_the_school_wait(school: School) -> None:
    school.source.users = [one | {"orgSourcedIds": "s2"} for one in PUPILS[:-2]] + PUPILS[-2:]
    school.choose(school_id=BIRCH["sourcedId"])
    assert {school.sync()[who] for who in NEWCOMERS} == {"moved_school"}
    assert (school.guards, len(school.present)) == ({"never_listed"}, 40)


@BOTH
def test_another_spelling_of_the_address_holds_nobody(school: School) -> None:
    school.set_connection(url=school.source.url.removesuffix(ROOT).replace("http:", "HTTP:") + "//")
    school.source.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == (set(), False)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("proof = proof - 'system'", id="only the place"),
        pytest.param("proof = proof - 'system' - 'place'", id="no place"),
        pytest.param("roster_id = null, roster_version = null", id="pruned"),
    ],
)
def test_snapshots_of_an_earlier_version_and_pruned_ones_hold_nobody(school: School, change: str) -> None:
    school.execute(f"update snapshot set {change}")
    school.source.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == (set(), False)


def test_a_copy_is_noticed_in_the_first_night_of_a_new_version(school: School, other: Source) -> None:
    school.execute("update snapshot set proof = proof - 'system'")
    other.users = PUPILS[:-2]
    point(school, other)
    school.sync()
    assert school.guards == {"never_listed"}


def test_another_name_of_the_same_org_holds_nobody(school: School) -> None:
    school.choose(school_id="101")
    school.source.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == (set(), False)
