"""Servers whose users name no school: their enrollments are used, or they are not downloaded."""

from __future__ import annotations

from typing import Any

import pytest

from roster_pipeline.directory.database import Database
from roster_pipeline_tests.sources.conftest import School, Source, pupil, teacher

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
    school = School(database, rest)
    school.night()
    assert len(school.active) == 104
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
    school = School(database, rest)
    school.night()
    assert rest.asked.count("/enrollments") == 1
    assert "enrollments-not-usable" in school.proof["notes"]


def enrolled(*pupils: int, **members: str) -> list[dict[str, Any]]:
    """One enrollment in the school for each of these pupils."""
    told = {"role": "student", "school": "s1"} | members
    return [{"sourcedId": f"e{one}", "user": f"st{one}", **told} for one in pupils]


LEAVING: list[list[dict[str, Any]]] = [
    [],
    enrolled(0, status="tobedeleted"),
    enrolled(0, endDate="2024-06-30"),
    enrolled(0, school="s2"),
]


@pytest.mark.parametrize("left", LEAVING)
def test_no_enrollment_left_archives_only_where_the_connection_says_so(
    database: Database, rest: Source, left: list[dict[str, Any]]
) -> None:
    rest.users = [*map(pupil, range(30)), *map(teacher, range(2))]
    rest.enrollments = enrolled(*range(30))
    school = School(database, rest)
    school.night()
    rest.enrollments = [*left, *enrolled(*range(1, 30))]
    school.night()
    assert len(school.active) == 32
    assert "/enrollments" not in rest.asked
    school.connect(no_enrollment_means_gone=True)
    assert school.night()["st0"] == "not_enrolled"
    assert len(school.active) == 31
    rest.enrollments = enrolled(*range(30))
    assert school.night()["st0"] == "returned"


def test_a_night_without_enrollments_archives_nobody(database: Database, rest: Source) -> None:
    rest.users, rest.enrollments = list(map(pupil, range(30))), enrolled(*range(30))
    school = School(database, rest)
    school.connect(no_enrollment_means_gone=True)
    school.night()
    rest.enrollments = None
    school.night()
    assert school.proof["problems"] == ["enrollments-unread"]
    rest.enrollments = enrolled(*range(20))
    school.night()
    assert len(school.active) == 30
    assert "archivals" in school.guards
