"""Parent contacts over the nights: they follow their student, and are removed when the school no longer wants them."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from roster_pipeline.directory import manual_edits
from roster_pipeline.services.decisions import roll_back
from roster_pipeline.settings.school import Guards, Window
from roster_pipeline_tests.district import District

EVERYBODY = Guards(update_share=1).model_dump(mode="json")
"""Guards of a school that lets a sync change everybody."""
OF_SOMEBODY_EXCLUDED = "person_id in (select id from person where excluded)"


def test_contacts_stay_with_archived_students_until_they_are_switched_off_and_come_back_by_a_rollback(
    district: District,
) -> None:
    district.add_school(primary_contacts=True, guards=EVERYBODY)
    district.run_sync()
    students = [person.sourced_id for person in district.people.people_of("sch-1", "student")]
    district.people.remove(students[0])
    district.people.remove(students[1])
    assert district.run_sync()["archived"] == 2
    district.set_school("lincoln", students={"rostered": True, "auto_update": True, "archive": False})
    district.people.remove(students[2])
    district.run_sync()
    stored = district.count("contact")
    assert stored > district.count("contact c join membership m using (school_id, person_id)", "m.status = 'active'")
    with district.database.begin() as conn:
        spared = conn.scalar(text("select person_id from link where sourced_id = :id"), {"id": students[3]})
        manual_edits.set_excluded(conn, 1, int(spared or 0), True, who="owner", reason="a case of its own")
    today = datetime.now(UTC).date()
    window = Window(first=today - timedelta(days=1), last=today + timedelta(days=1), kind="blackout")
    district.set_school("lincoln", primary_contacts=False, guards=Guards(windows=[window]).model_dump(mode="json"))
    district.run_sync()
    assert district.count("contact") == stored, "nothing may be changed"
    district.set_school("lincoln", guards=EVERYBODY)
    district.run_sync()
    assert district.count("contact") == district.count("contact", OF_SOMEBODY_EXCLUDED) == 1
    newest = district.value("select max(id) from sync")
    roll_back(district.database, newest, who="owner", reason="switched off by mistake")
    assert district.count("contact") == stored
