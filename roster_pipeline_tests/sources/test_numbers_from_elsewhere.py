"""A connection that takes the numbers from another place of the records: the stored numbers are of another sort."""

from __future__ import annotations

import pytest

from roster_pipeline.directory import approvals
from roster_pipeline.directory.database import Database
from roster_pipeline.services import decisions
from roster_pipeline_tests.sources.conftest import School, Source, pupil, teacher

PUPILS = [*map(pupil, range(30)), *map(teacher, range(2, 6))]
OTHER_NUMBERS = {"student_number_from": "userIds:card", "staff_number_from": "userIds:card"}
WITH_CARDS = [one | {"userIds": f"{{card:{int(one['identifier']) + 10}}}"} for one in PUPILS]
"""Their second number is one that somebody else has as the first."""


@pytest.mark.parametrize("auto_update", [True, False])
def test_numbers_from_another_place_are_no_evidence(database: Database, bundle: Source, auto_update: bool) -> None:
    school = School.begun(database, bundle, WITH_CARDS)
    school.choose(students={"rostered": True, "archive": True, "auto_update": auto_update})
    school.set_connection(**OTHER_NUMBERS)
    married = {"familyName": "Married", "email": "married@wexbury.example", "username": "married"}
    stranger = pupil(
        40, sourcedId="new", givenName=PUPILS[5]["givenName"], userIds=f"{{card:{PUPILS[5]['identifier']}}}"
    )
    bundle.users = [WITH_CARDS[0] | married, *WITH_CARDS[1:], stranger]
    said = school.sync()
    assert (said["st0"], said["new"]) == ("changed" if auto_update else "auto_update_off", "joined")
    assert school.present == {"new", *(one["sourcedId"] for one in PUPILS)}


def test_a_plan_with_numbers_from_the_old_place_is_not_approved(database: Database, bundle: Source) -> None:
    school = School.begun(database, bundle, PUPILS)
    bundle.users = [one | {"identifier": f"1{one['identifier']}"} for one in WITH_CARDS]
    school.sync()
    assert "key_updates" in school.guards
    held = school.value("select max(id) from plan")
    school.set_connection(**OTHER_NUMBERS)
    with pytest.raises(approvals.PlanChanged):
        decisions.approve(database, school.school, held, who="owner", reason="looked at it")
    school.sync()
    held = school.value("select max(id) from plan")
    decisions.approve(database, school.school, held, who="owner", reason="looked at it")
    assert school.count("person", "number::int < 10000 and number_connection_id is not null") == len(PUPILS)
    school.set_connection(student_number_from="identifier", staff_number_from="identifier")
    assert school.count("person", "number_connection_id is not null") == 0
