"""A file that lacks its end, a page or a class looks complete. The people of that part stay, until they come again or
somebody decides."""

import random
from datetime import datetime
from typing import Any

import pytest

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.lasting_decisions import announce_leavers
from roster_pipeline_tests.sources.conftest import BIRCH, ORGS, USERS, Record, School, Source, pupil, table, teacher
from roster_pipeline_tests.sources.test_files_together import in_two_files
from roster_pipeline_tests.sources.test_guards import approve, contacts, parent

PUPILS, TEACHERS = list(map(pupil, range(92))), list(map(teacher, range(8)))


def test_people_at_a_missing_end_of_the_file_stay_until_somebody_approves(database: Database, bundle: Source) -> None:
    everybody = [*TEACHERS, *PUPILS]
    school = School.begun(database, bundle, everybody)
    bundle.users = everybody[1:-6]
    for _ in range(3):
        school.sync()
        assert {one["sourcedId"] for one in everybody} - school.present == {"te0"}, "a teacher left"
        assert school.guards == {"part_missing"}
    bundle.users = [*everybody[1:-6], everybody[-1]]
    assert (school.sync()["st86"], school.guards) == ("left", set()), "the last row came again, and these five left"
    bundle.users = bundle.users[:-6]
    school.sync()
    assert {"st85", "st91"} <= school.present
    approve(school)
    assert not {"st81", "st85", "st91"} & school.present
    assert school.sync().keys().isdisjoint({"st81", "st85", "st91"})
    assert school.guards == set()


@pytest.mark.parametrize("more", [[], [pupil(200), pupil(201)]])
def test_a_few_who_were_the_last_of_the_file_leave(database: Database, bundle: Source, more: list[Record]) -> None:
    school = School.begun(database, bundle, [*TEACHERS, *PUPILS])
    bundle.users = [*TEACHERS, *PUPILS[:-3], *more]
    assert school.sync()["st91"] == "left"
    assert (school.guards, len(school.present)) == (set(), 97 + len(more))


@pytest.mark.parametrize("first", [0, 30])
def test_people_of_a_page_that_the_file_lacks_stay_until_somebody_approves(
    database: Database, bundle: Source, first: int
) -> None:
    everybody = [*map(pupil, range(100)), *TEACHERS]
    school = School.begun(database, bundle, everybody)
    bundle.users = everybody[:first] + everybody[first + 8 :]
    for _ in range(2):
        school.sync()
        assert (len(school.present), school.guards) == (108, {"part_missing"})
    bundle.users = everybody[: first + 2] + everybody[first + 8 :]
    school.sync()
    assert (len(school.present), school.guards) == (108, {"part_missing"}), "six of the page are still missing"
    bundle.users = everybody[: first + 2] + everybody[first + 3 :]
    assert (school.sync()[f"st{first + 2}"], school.guards) == ("left", set()), "the rest of the page came again"
    bundle.users = [*everybody[:first], *everybody[first + 8 : -1], teacher(7, middleName="Q")]
    school.sync()
    approve(school)
    assert len(school.present) == 100
    school.sync()
    assert school.guards == set()


def test_a_family_and_people_of_every_part_of_the_file_leave(database: Database, bundle: Source) -> None:
    everybody = [*map(pupil, range(150)), *TEACHERS]
    school = School.begun(database, bundle, everybody)
    bundle.users = [one for place, one in enumerate(everybody) if place not in range(40, 45) and place % 20]
    school.sync()
    assert (school.guards, len(school.present)) == (set(), 158 - 5 - 8 + 1)


def test_a_class_that_came_with_another_school_leaves(database: Database, bundle: Source) -> None:
    everybody = [*map(pupil, range(100)), *TEACHERS]
    school = School.begun(database, bundle, everybody)
    bundle.users = [*(one | {"orgSourcedIds": "s2"} for one in everybody[:9]), *everybody[9:]]
    assert school.sync()["st0"] == "moved_school"
    assert (school.guards, len(school.present)) == (set(), 99)


def test_a_teacher_with_many_rows_leaves(database: Database, bundle: Source) -> None:
    bundle.orgs = [*ORGS, *(BIRCH | {"sourcedId": f"b{place}", "identifier": f"20{place}"} for place in range(8))]
    rows = [teacher(0), *(teacher(1, f"b{place}") for place in range(8)), teacher(1), *PUPILS]
    school = School.begun(database, bundle, rows)
    bundle.users = [rows[0], *PUPILS]
    assert school.sync()["te1"] == "left"
    assert (school.guards, "te1" in school.present) == (set(), False)


def test_announced_leavers_who_stood_together_leave(database: Database, bundle: Source) -> None:
    school = School.begun(database, bundle, [*TEACHERS, *PUPILS])
    leavers = [one["sourcedId"] for one in PUPILS[-6:]]
    with database.begin() as conn:
        row = tenants.get_school(conn, school.school)
        known = school.rows("select person_id as id, sourced_id from link")
        people = [one["id"] for one in known if one["sourced_id"] in leavers]
        announce_leavers(conn, row, people, datetime.now(row.settings.zone).date(), "Kim", "Moved away.")
    bundle.users = bundle.users[:-6]
    school.sync()
    assert (school.guards, school.present.intersection(leavers)) == (set(), set())


@pytest.mark.parametrize("rows", [60, 1000])
def test_a_last_cell_that_may_be_cut_changes_nobody(database: Database, bundle: Source, rows: int) -> None:
    """Grades are the last cell, and the file always ended with a line break."""
    columns = [name for name in USERS if name not in ("grades", "password", "primaryOrgSourcedId")] + ["grades"]
    everybody = [pupil(place, grades="11") for place in range(rows)]
    bundle.files = {"users.csv": table(columns, everybody)}
    school = School.begun(database, bundle)
    cut = table(columns, everybody).removesuffix("1\r\n")
    bundle.files = {"users.csv": cut}
    assert school.sync()[f"st{rows - 1}"] == "rejected_record"
    assert school.proof["problems"] == ["ends-inside-a-row:users"]
    assert {row["grade"] for row in school.rows("select grade from membership")} == {"11"}
    bundle.files = {"users.csv": table(columns, everybody).removesuffix("\r\n")}
    for _ in range(2):
        school.sync()
    assert school.proof["complete"], "the export ends its file in a new way"


def test_a_file_in_a_new_order_every_night_is_not_cut(database: Database, bundle: Source) -> None:
    order = random.Random(7)
    everybody: list[dict[str, Any]] = [*PUPILS, *TEACHERS]
    school = School.begun(database, bundle, everybody)
    for left in range(1, 5):
        bundle.users = order.sample(everybody[left:], len(everybody) - left)
        school.sync()
        assert len(school.present) == len(everybody) - left


def test_people_whose_roles_were_at_a_missing_end_of_roles_stay(database: Database, bundle: Source) -> None:
    everybody = [*TEACHERS, *map(pupil, range(150))]
    bundle.files = in_two_files(everybody, everybody)
    school = School.begun(database, bundle)
    bundle.files = in_two_files(everybody, everybody[:-6])
    for _ in range(2):
        assert school.sync()["st149"] == "no_org"
        assert (len(school.present), school.guards) == (158, {"part_missing"})
    bundle.files = in_two_files(everybody, everybody)
    assert set(school.sync().values()) == {"equal"}


def test_contacts_whose_roles_were_cut_off_stay(database: Database, bundle: Source) -> None:
    families = [one | {"agentSourcedIds": [f"pa{place}"]} for place, one in enumerate(PUPILS)]
    everybody = [*families, *TEACHERS, *map(parent, range(len(PUPILS)))]
    bundle.files = in_two_files(everybody, everybody)
    school = School.begun(database, bundle)
    before = contacts(school)
    assert len(before) == len(PUPILS)
    bundle.files = in_two_files(everybody, everybody[:-2])
    school.sync()
    assert contacts(school) == before
    bundle.files = in_two_files([*families[:-1], PUPILS[-1], *everybody[len(PUPILS) :]], everybody[:-1])
    school.sync()
    assert before.keys() - contacts(school).keys() == {"st91"}, "the SIS names this contact no longer"


def test_the_rows_of_a_second_school_at_a_missing_end_keep_the_school(database: Database, bundle: Source) -> None:
    both = range(92, 98)
    rows = [*PUPILS, *(pupil(place, "s2") for place in both), *map(pupil, both)]
    school = School.begun(database, bundle, rows)
    bundle.users = rows[:-6]
    for _ in range(2):
        assert school.sync()["st97"] == "moved_school"
        assert (school.guards, "st97" in school.present) == ({"part_missing"}, True)


def test_students_whose_enrollments_were_at_a_missing_end_stay(database: Database, bundle: Source) -> None:
    enrolled = [{"user": one["sourcedId"], "school": "s1", "role": "student"} for one in (*TEACHERS, *PUPILS)]
    bundle.enrollments = enrolled
    school = School.begun(database, bundle, [*PUPILS, *TEACHERS])
    school.set_connection(no_enrollment_means_gone=True)
    school.sync()
    bundle.enrollments = enrolled[:-6]
    for _ in range(2):
        assert school.sync()["st91"] == "not_enrolled"
        assert (len(school.present), school.guards) == (100, {"part_missing"})
    bundle.enrollments = [*enrolled[:20], *enrolled[21:]]
    assert school.sync()["st12"] == "not_enrolled"
    assert (len(school.present), school.guards) == (99, set())
    school.set_connection(no_enrollment_means_gone=False)
    bundle.users = bundle.users[:20] + bundle.users[21:]
    assert school.sync()["st20"] == "left"
    assert school.guards == set(), "nobody reads the enrollments any more"
    assert [one["kept"] for one in school.rows("select proof -> 'age' ? 'order' as kept from pull order by id")] == [
        False,
        True,
    ]


@pytest.mark.parametrize("cut", ["one.zip", "two.zip"])
def test_each_of_several_bundles_has_an_end(database: Database, bundle: Source, cut: str) -> None:
    exports = {"one.zip": [*TEACHERS, *PUPILS], "two.zip": [pupil(place, "s2") for place in range(100, 110)]}
    bundle.zips = {name: (users, None) for name, users in exports.items()}
    school = School.begun(database, bundle)
    bundle.zips[cut] = (exports[cut][:-6], None)
    rows = school.sync()
    assert len(school.present) == 100
    assert (rows.get("st91"), school.guards) == (("left", {"part_missing"}) if cut == "one.zip" else ("equal", set()))


def test_after_a_new_spelling_of_all_orgs_one_who_left_has_left(database: Database, bundle: Source) -> None:
    everybody = [pupil(place, "s1,s2") for place in range(150)]
    school = School.begun(database, bundle, everybody)
    bundle.users = [one | {"orgSourcedIds": "s1"} for one in everybody]
    school.sync()
    bundle.users = bundle.users[:70] + bundle.users[71:]
    assert school.sync()["st70"] == "left"
    assert "st70" not in school.present
