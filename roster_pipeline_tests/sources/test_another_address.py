"""A connection that is pointed at another system, or a school at another org: people whom only the earlier one had stay
until somebody approves, because a test system or an old copy looks like the SIS without its newcomers."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.lasting_decisions import announce_leavers
from roster_pipeline.services import decisions
from roster_pipeline_tests.sources.conftest import BIRCH, ROOT, School, Source, pupil, served
from roster_pipeline_tests.sources.test_guards import approve

PUPILS = [pupil(place) for place in range(40)]
NEWCOMERS = {"st38", "st39"}
PASS_TIME = "update snapshot set taken_at = taken_at - interval '2 days'"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Source]:
    """Another SIS with an API."""
    yield from served(Source("rest", tmp_path / "other"))


def begun(database: Database, source: Source) -> School:
    """A school whose two newcomers came two days ago."""
    school = School.begun(database, source, PUPILS[:-2])
    source.users = PUPILS
    school.execute(PASS_TIME)
    school.sync()
    school.execute(PASS_TIME)
    return school


def point(school: School, source: Source) -> None:
    """Let the connection read another SIS, as somebody who saves its settings."""
    school.set_connection(url=source.url)
    school.source = source


def test_a_copy_of_last_week_archives_nobody_who_came_since_until_somebody_approves(
    database: Database, source: Source, other: Source
) -> None:
    school = begun(database, source)
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


def test_back_at_the_sis_of_before_nobody_waits(database: Database, rest: Source, other: Source) -> None:
    school = begun(database, rest)
    other.users = PUPILS[:-2]
    point(school, other)
    school.sync()
    point(school, rest)
    rest.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, school.present) == (set(), {one["sourcedId"] for one in rest.users})


def test_people_of_another_sis_with_other_ids_and_numbers_stay_who_they_are(
    database: Database, rest: Source, other: Source
) -> None:
    school = begun(database, rest)
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
    decisions.relink(database, school.school, newest, who="owner", reason="a new SIS")
    school.set_connection(student_number_from="identifier")
    school.sync()
    approve(school)
    school.sync()
    assert school.guards == set()
    people = school.rows("select p.id, p.number, m.status from person p join membership m on m.person_id = p.id")
    assert {(row["number"][0], row["status"]) for row in people} == {("X", "active")}
    assert {row["id"] for row in people} == before


def test_one_of_two_schools_of_a_connection_moves_to_another_sis(
    database: Database, rest: Source, other: Source
) -> None:
    school = begun(database, rest)
    other.users = [one | {"sourcedId": f"new-{one['sourcedId']}", "orgSourcedIds": "s2"} for one in PUPILS]
    settings = database.call(tenants.get_connection, school.connection).settings
    school.add_connection("new", settings.model_copy(update={"url": other.url, "controlled_by": "district"}), "")
    school.add_school("moved", "s2", connection="new")
    school.sync_school("moved")
    rest.users = [pupil(place, "s2") for place in range(50, 60)]
    school.sync()
    assert "empty_role" in school.guards
    approve(school)
    school.sync_school("moved")
    newest = school.value("select max(id) from plan")
    decisions.approve(database, "moved", newest, who="manager", reason="the school moved")
    places = school.rows("select s.key, m.status from membership m join school s on s.id = m.school_id")
    assert Counter((row["key"], row["status"]) for row in places) == {
        ("alder", "archived"): 40,
        ("moved", "active"): 40,
    }
    assert school.count("person") == 40
    assert school.count("link", "is_primary and sourced_id like 'new-%'") == 40


def test_whoever_came_from_the_new_address_leaves_as_usual(database: Database, bundle: Source, rest: Source) -> None:
    school = begun(database, bundle)
    rest.users = PUPILS
    point(school, rest)
    school.sync()
    assert school.guards == set()
    school.execute(PASS_TIME)
    rest.users = PUPILS[2:]
    school.sync()
    assert (school.guards, school.present) == (set(), {one["sourcedId"] for one in rest.users})


def test_who_was_missing_before_the_change_waits_too(database: Database, source: Source, other: Source) -> None:
    school = begun(database, source)
    school.choose(guards={"grace_syncs": 1})
    source.users = other.users = PUPILS[1:]
    assert school.sync()["st0"] == "grace"
    point(school, other)
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == ({"never_listed"}, True)
    approve(school)
    assert "st0" not in school.present


def test_an_announced_leaver_alone_does_not_wait(database: Database, rest: Source, other: Source) -> None:
    school = begun(database, rest)
    other.users = PUPILS[:-1]
    leavers = [row["person_id"] for row in school.rows("select person_id from link where sourced_id = 'st39'")]
    row = database.call(tenants.get_school, school.school)
    database.call(announce_leavers, row, leavers, day=datetime.now(UTC).date(), who="office", reason="moves")
    point(school, other)
    school.sync()
    assert (school.guards, "st39" in school.present) == (set(), False)


def test_people_of_an_earlier_org_of_the_school_wait(database: Database, rest: Source) -> None:
    school = begun(database, rest)
    rest.users = [one | {"orgSourcedIds": "s2"} for one in PUPILS[:-2]] + PUPILS[-2:]
    school.choose(school_id=BIRCH["sourcedId"])
    assert {school.sync()[who] for who in NEWCOMERS} == {"moved_school"}
    assert (school.guards, len(school.present)) == ({"never_listed"}, 40)


def test_another_spelling_of_the_address_holds_nobody(database: Database, source: Source) -> None:
    school = begun(database, source)
    school.set_connection(url=source.url.removesuffix(ROOT).replace("http:", "HTTP:") + "//")
    source.users = PUPILS[1:]
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
def test_snapshots_of_an_earlier_version_and_pruned_ones_hold_nobody(
    database: Database, rest: Source, change: str
) -> None:
    school = begun(database, rest)
    school.execute(f"update snapshot set {change}")
    rest.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == (set(), False)


def test_a_copy_is_noticed_in_the_first_night_of_a_new_version(database: Database, rest: Source, other: Source) -> None:
    school = begun(database, rest)
    school.execute("update snapshot set proof = proof - 'system'")
    other.users = PUPILS[:-2]
    point(school, other)
    school.sync()
    assert school.guards == {"never_listed"}


def test_another_name_of_the_same_org_holds_nobody(database: Database, rest: Source) -> None:
    school = begun(database, rest)
    school.choose(school_id="101")
    rest.users = PUPILS[1:]
    assert school.sync()["st0"] == "left"
    assert (school.guards, "st0" in school.present) == (set(), False)
