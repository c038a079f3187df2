"""Parent contacts over the nights: they follow their student, and go when the school wants none any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from roster_pipeline.directory import manual_edits
from roster_pipeline.services.decisions import roll_back
from roster_pipeline.settings.school import Guards, Window
from roster_pipeline_tests.scenarios.conftest import Town

EVERYBODY = Guards(update_share=1).model_dump(mode="json")
"""Of a school that lets a sync change everybody."""
OF_SOMEBODY_EXCLUDED = "person_id in (select id from person where excluded)"


def _newest_sync(town: Town) -> int:
    with town.database.begin() as conn:
        return int(conn.scalar(text("select max(id) from sync")) or 0)


def test_contacts_stay_with_archived_students_until_they_are_switched_off_and_come_back_by_a_rollback(
    town: Town,
) -> None:
    town.add_school(primary_contacts=True, guards=EVERYBODY)
    town.run_sync()
    students = [person.sourced_id for person in town.people.people_of("sch-1", "student")]
    town.people.remove(students[0])
    town.people.remove(students[1])
    assert town.run_sync()["archived"] == 2
    town.set_school("lincoln", students={"rostered": True, "auto_update": True, "archive": False})
    town.people.remove(students[2])
    town.run_sync()
    stored = town.count("contact")
    assert stored > town.count("contact c join membership m using (school_id, person_id)", "m.status = 'active'")
    with town.database.begin() as conn:
        spared = conn.scalar(text("select person_id from link where sourced_id = :id"), {"id": students[3]})
        manual_edits.exclude(conn, 1, int(spared or 0), who="owner", reason="a case of its own")
    town.set_school("lincoln", primary_contacts=False)
    town.run_sync()
    assert town.count("contact") == town.count("contact", OF_SOMEBODY_EXCLUDED) == 1
    roll_back(town.database, _newest_sync(town), who="owner", reason="switched off by mistake")
    assert town.count("contact") == stored


def test_contacts_that_were_switched_off_stay_while_nothing_may_be_changed(town: Town) -> None:
    town.add_school(primary_contacts=True)
    town.run_sync()
    town.people.remove(town.people.people_of("sch-1", "student")[0].sourced_id)
    town.run_sync()
    stored = town.count("contact")
    today = datetime.now(UTC).date()
    window = Window(first=today - timedelta(days=1), last=today + timedelta(days=1), kind="blackout")
    town.set_school("lincoln", primary_contacts=False, guards=Guards(windows=[window]).model_dump(mode="json"))
    town.run_sync()
    assert town.count("contact") == stored
    town.set_school("lincoln", guards=EVERYBODY)
    town.run_sync()
    assert town.count("contact") == 0
