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
