"""A connection takes the numbers from another place of the records: stored numbers are no evidence."""

import pytest

from roster_pipeline import sync
from roster_pipeline.directory import approvals
from roster_pipeline.directory.database import Database
from roster_pipeline.services import decisions
from roster_pipeline_tests.sources.conftest import School, Source, pupil, teacher

PUPILS = [*map(pupil, range(30)), *map(teacher, range(2, 6))]
OTHER_NUMBERS = {"student_number_from": "userIds:card", "staff_number_from": "userIds:card"}
WITH_CARDS = [one | {"userIds": f"{{card:{int(one['identifier']) + 10}}}"} for one in PUPILS]
"""Their second number is somebody else's first number."""


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


@pytest.mark.parametrize("auto_update", [True, False])
def test_numbers_that_are_the_same_in_both_places_find_people_again(
    database: Database, bundle: Source, auto_update: bool
) -> None:
    same = [one | {"userIds": f"{{card:{one['identifier']}}}"} for one in PUPILS]
    school = School.begun(database, bundle, same)
    setting = {"rostered": True, "archive": True, "auto_update": auto_update}
    school.choose(students=setting, teachers=setting, guards={"update_share": 1})
    school.set_connection(**OTHER_NUMBERS)
    school.sync()
    assert "key_updates" not in school.guards
    bundle.users = [same[0] | {"sourcedId": "new", "email": ""}, *same[1:]]
    assert school.sync() == {"new": "changed" if auto_update else "relinked"} | {
        one["sourcedId"]: "equal" for one in same[1:]
    }


def test_records_that_were_cleaned_before_the_change_are_cleaned_again(database: Database, bundle: Source) -> None:
    school = School.begun(database, bundle, WITH_CARDS)
    bundle.write()
    sync.fetch(database, school.school, batch="again", run_id=None)
    sync.clean_latest(database, school.school, run_id=None)
    school.set_connection(**OTHER_NUMBERS)
    sync.plan_latest(database, school.school, run_id=None)
    sync.apply_latest(database, school.school, run_id=None, who="test")
    assert "key_updates" in school.guards
    assert school.count("person", "number_connection_id is not null") == 0


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
