"""Servers whose users name no school: their enrollments are used, or they are not downloaded."""

from datetime import datetime
from typing import Any

import pytest

from roster_pipeline.directory import tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.lasting_decisions import announce_leavers
from roster_pipeline_tests.sources.conftest import ENROLLMENTS, ORGS, School, Source, manifest, pupil, teacher

PEOPLE = [*(pupil(n, None) for n in range(120)), *(teacher(n, None) for n in range(4))]


def enrollments(**more: Any) -> list[dict[str, Any]]:
    """One enrollment for everybody, the first hundred pupils and all teachers in the school."""
    found = []
    for place, one in enumerate(PEOPLE):
        school = "s2" if 100 <= place < 120 else "s1"
        members = {name: value.format(user=one["sourcedId"], school=school) for name, value in more.items()}
        found.append({"sourcedId": f"e{place}", "role": one["role"]} | members)
    return found


@pytest.mark.parametrize(
    "members",
    [
        {"userSourcedId": "{user}", "schoolSourcedId": "{school}"},
        {"user": "{user}", "school": "{school}"},
        {"UserSourcedID": "{user}", "classSourcedId": "c-{school}", "org_sourced_id": "{school}"},
        {"userSourcedId": "{user}", "classSourcedId": "c-{school}"},
    ],
)
def test_enrollments_say_who_belongs_to_a_school(database: Database, rest: Source, members: dict[str, str]) -> None:
    rest.users, rest.enrollments = PEOPLE, enrollments(**members)
    rest.classes = [{"sourcedId": f"c-{one}", "title": "x", "schoolSourcedId": one} for one in ("s1", "s2")]
    school = School.begun(database, rest)
    assert len(school.present) == 104
    assert school.proof["strategy"].endswith("+enrollments")


@pytest.mark.parametrize(
    "members",
    [
        {"classSourcedId": "c-{school}"},
        {"student": "{user}", "schoolSourcedId": "{school}"},
        {"userSourcedId": "{user}", "classSourcedId": "c-{school}"},
    ],
)
def test_enrollments_that_say_nothing_are_not_downloaded(
    database: Database, rest: Source, members: dict[str, str]
) -> None:
    rest.users, rest.enrollments = PEOPLE, enrollments(**members)
    school = School.begun(database, rest)
    assert rest.asked.count("/enrollments") == 1
    assert "enrollments-not-usable" in school.proof["notes"]


def enrolled(*pupils: int, **members: str) -> list[dict[str, Any]]:
    """One enrollment in the school for each of these pupils."""
    told = {"role": "student", "school": "s1"} | members
    return [{"sourcedId": f"e{one}", "user": f"st{one}", **told} for one in pupils]


LEFT = [*enrolled(1, status="tobedeleted"), *enrolled(2, endDate="2024-06-30"), *enrolled(3, school="s2")]
"""The enrollments of pupils who left; st0 has none at all."""


def test_no_enrollment_archives_only_if_the_connection_says_so(database: Database, source: Source) -> None:
    source.users = [*map(pupil, range(45)), *map(teacher, range(2))]
    source.enrollments = enrolled(*range(45))
    school = School.begun(database, source)
    source.enrollments = [*LEFT, *enrolled(*range(4, 45))]
    school.sync()
    assert len(school.present) == 47
    assert "/enrollments" not in source.asked
    school.set_connection(no_enrollment_means_gone=True)
    reasons = school.sync()
    assert [reasons[f"st{place}"] for place in range(4)] == ["not_enrolled"] * 4
    assert len(school.present) == 43
    source.enrollments = enrolled(*range(45))
    reasons = school.sync()
    assert [reasons[f"st{place}"] for place in range(4)] == ["returned"] * 4


KEEPING: list[dict[str, str]] = [
    {"school": "S1"},
    {"school": "101"},
    {"school": "c1"},
    {"school": "d1"},
    {"school": "s9"},
    {"endDate": "2199-06-30"},
]


def test_an_enrollment_that_may_be_in_the_school_keeps_its_student(database: Database, source: Source) -> None:
    campus = {"sourcedId": "c1", "name": "Upper Campus", "type": "school", "identifier": "C", "parentSourcedId": "s1"}
    source.orgs = (*ORGS, campus)
    source.users, source.enrollments = list(map(pupil, range(30))), enrolled(*range(30))
    school = School(database, source)
    school.set_connection(no_enrollment_means_gone=True)
    school.sync()
    doubtful = [one for place, members in enumerate(KEEPING) for one in enrolled(place, **members)]
    source.enrollments = [*doubtful, *enrolled(*range(len(KEEPING), 30))]
    reasons = school.sync()
    assert len(school.present) == 30
    assert "not_enrolled" not in reasons.values(), "they are not held: nobody takes them for gone"


def test_a_sync_without_enrollments_archives_nobody(database: Database, source: Source) -> None:
    source.users, source.enrollments = list(map(pupil, range(30))), enrolled(*range(30))
    school = School(database, source)
    school.set_connection(no_enrollment_means_gone=True)
    school.sync()
    source.enrollments = None
    school.sync()
    assert school.proof["problems"] == ["enrollments-unread"]
    source.enrollments = enrolled(*range(20))
    school.sync()
    assert len(school.present) == 30
    assert "archivals" in school.guards


@pytest.mark.parametrize(("source", "users"), [("rest", ""), ("csv", "bulk"), ("csv", "delta")], indirect=["source"])
def test_a_student_who_left_stays_archived_while_enrollments_cannot_be_read(
    database: Database, source: Source, users: str
) -> None:
    """The record comes again, complete or in a delta, without enrollments."""
    source.users, source.enrollments = list(map(pupil, range(30))), enrolled(*range(30))
    school = School(database, source)
    school.set_connection(no_enrollment_means_gone=True)
    school.sync()
    source.enrollments = enrolled(*range(1, 30))
    assert school.sync()["st0"] == "not_enrolled"
    everybody = {f"st{n}" for n in range(30)}
    for number in range(2):
        source.enrollments = None
        source.users = [pupil(0, grades=f"1{number}"), *map(pupil, range(1, 30))]
        if source.kind == "csv":
            source.files = {"manifest.csv": manifest(users=users)}
            source.users = source.users[: 2 if users == "delta" else 30]
        school.sync()
        assert not school.proof["complete"]
        assert school.present == everybody - {"st0"}
    source.users = [pupil(0, grades="12"), *map(pupil, range(1, 30))]
    source.files, source.enrollments = {}, enrolled(*range(30))
    assert school.sync()["st0"] == "returned"
    assert school.present == everybody


HEADER = ",".join(ENROLLMENTS)
BROKEN: list[tuple[dict[str, str], str]] = [
    ({"enrollments.csv": f"{HEADER}\n"}, "enrollments-unread"),
    ({"enrollments.csv": "sourcedId,classSourcedId\ne1,c1\n"}, "enrollments-unread"),
    ({"enrollments.csv": f'{HEADER}\ne1,,c1,s1,st1,student,"\n'}, "unreadable-rows:enrollments"),
    ({"enrollments.csv": f"{HEADER}\ne1,active,c1,s1,st1"}, "unreadable-rows:enrollments"),
    ({"manifest.csv": manifest(enrollments="delta")}, "enrollments-in-part"),
    ({"manifest.csv": manifest()}, "enrollments-in-part"),
]


def test_enrollments_that_are_not_the_whole_truth_archive_nobody(database: Database, bundle: Source) -> None:
    bundle.users, bundle.enrollments = list(map(pupil, range(30))), enrolled(*range(30))
    school = School.begun(database, bundle)
    bundle.enrollments = enrolled(*range(1, 30))
    for files, problem in BROKEN:
        bundle.files = {**files}
        school.sync()
        assert school.proof["problems"] == [], files
        school.set_connection(no_enrollment_means_gone=True)
        school.sync()
        assert school.proof["problems"] == [problem], files
        assert len(school.present) == 30, files
        found = school.tested()
        assert (found["Enrollments"][0], found["Completeness"][0]) == (False, False), files
        school.set_connection(no_enrollment_means_gone=False)
        found = school.tested()
        assert (found["Enrollments"][0], found["Completeness"][0]) == (None, True), files


def test_the_test_counts_the_students_without_an_enrollment(database: Database, source: Source) -> None:
    source.users = [*map(pupil, range(30)), *map(teacher, range(2))]
    source.enrollments = enrolled(*range(1, 28))
    school = School(database, source)
    if source.kind == "csv":
        said = "3 of 30 students have no running enrollment in this school; it decides nothing here"
    else:
        said = "not read: a person without enrollments has not left"
    assert school.tested()["Enrollments"] == (None, said)
    assert "/enrollments" not in source.asked
    school.set_connection(no_enrollment_means_gone=True)
    said = "3 of 30 students have no running enrollment in this school; they count as gone"
    assert school.tested()["Enrollments"] == (True, said)
    source.enrollments = enrolled(*range(20))
    assert school.tested()["Enrollments"][0] is None
    source.enrollments = None
    assert school.tested()["Enrollments"][0] is False


def test_several_bundles_of_one_sync_say_together_who_is_enrolled(database: Database, bundle: Source) -> None:
    """One zip for each school, each with its own enrollments; pupils 10 to 29 go to both."""
    here, there = [pupil(n, "s1") for n in range(30)], [pupil(n, "s2") for n in range(10, 40)]
    bundle.zips = {
        "alder.zip": (here, enrolled(*range(30))),
        "birch.zip": (there, enrolled(*range(10, 40), school="s2")),
    }
    school = School(database, bundle)
    school.set_connection(no_enrollment_means_gone=True)
    school.sync()
    assert len(school.present) == 30
    bundle.zips["alder.zip"] = (here, enrolled(*range(1, 20), *range(21, 30)))
    school.sync()
    assert {f"st{n}" for n in range(30)} - school.present == {"st0", "st20"}


def test_many_people_who_are_enrolled_without_a_row_are_a_cut_file_until_somebody_announces_them(
    database: Database, bundle: Source
) -> None:
    everybody = list(map(pupil, range(200)))
    bundle.enrollments = enrolled(*range(200))
    school = School.begun(database, bundle, everybody)
    bundle.users = everybody[:194]
    assert "st199" in school.sync()
    assert (school.proof["problems"], school.guards) == (["enrollments-name-absent-users"], {"incomplete_snapshot"})
    assert len(school.present) == 200
    with database.begin() as conn:
        row = tenants.get_school(conn, school.school)
        query = "select person_id from link where sourced_id >= 'st194' and sourced_id like 'st19%'"
        gone = [int(one["person_id"]) for one in school.rows(query)]
        announce_leavers(conn, row, gone, datetime.now(row.settings.zone).date(), "Kim", "They moved away.")
    school.sync()
    assert (school.proof["complete"], len(school.present)) == (True, 194)


def test_enrollments_of_people_who_left_before_or_whom_no_sync_archives_show_no_cut_file(
    database: Database, bundle: Source
) -> None:
    everybody = list(map(pupil, range(200)))
    bundle.enrollments = enrolled(*range(200), *range(1000, 1100))
    school = School.begun(database, bundle, everybody)
    for night in range(1, 4):
        bundle.users = everybody[5 * night :]
        school.sync()
        assert (school.proof["complete"], len(school.present)) == (True, 200 - 5 * night)
    school.choose(students={"rostered": True, "auto_update": True, "archive": False})
    bundle.users = everybody[:150]
    school.sync()
    assert (school.proof["complete"], len(school.present)) == (True, 185)


def test_people_whose_record_came_under_another_id_are_not_lost(database: Database, bundle: Source) -> None:
    """The SIS joins two records of one person, and the enrollments of the other one still run."""
    both = [pupil(n) | {"sourcedId": f"{kind}{n}"} for n in range(10) for kind in ("st", "old")]
    bundle.enrollments = [one | {"user": one["user"].replace("st", "old")} for one in enrolled(*range(10))]
    school = School.begun(database, bundle, both)
    bundle.users = both[::2]
    school.sync()
    assert (school.proof["complete"], school.count("membership", "status = 'active'")) == (True, 10)
