"""Whole nights of one school: changes in the SIS arrive in the directory, and nothing else changes."""

from sqlalchemy import text

from roster_pipeline.simulator.person import Role
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict


def test_the_first_night_brings_everyone_the_second_changes_nothing_and_each_change_becomes_its_action(
    dagster_district: DagsterDistrict,
) -> None:
    dagster_district.add_school()
    first = dagster_district.run_sync()
    assert not dagster_district.problems
    assert first["created"] == dagster_district.count("membership", "status = 'active'")
    assert dagster_district.active("student") == len(dagster_district.people.people_of("sch-1", "student"))
    second = dagster_district.run_sync()
    assert {second[name] for name in ("created", "updated", "restored", "archived", "held")} == {0}
    assert second["unchanged"] == first["created"]
    students = [person.sourced_id for person in dagster_district.people.people_of("sch-1", "student")]
    dagster_district.people.remove(students[0], how="vanish")
    dagster_district.people.remove(students[1], how="mark")
    dagster_district.people.remove(students[2], how="lose_org")
    dagster_district.people.rename(students[3], family_name="Okonkwo-Byrne")
    dagster_district.people.add("student", "sch-1", agents=())
    night = dagster_district.run_sync()
    assert (night["archived"], night["updated"], night["created"]) == (3, 1, 1)
    dagster_district.people.restore(students[0])
    again = dagster_district.run_sync()
    assert (again["restored"], again["archived"], again["created"]) == (1, 0, 0)
    assert dagster_district.count("person") == dagster_district.count("(select distinct person_id from membership) m")


def test_a_dry_run_of_the_whole_job_applies_nothing_not_even_a_plan_that_waits(
    dagster_district: DagsterDistrict,
) -> None:
    dagster_district.add_school()
    dagster_district.run_sync(steps=("fetch", "clean", "plan"))
    dagster_district.run_sync(dry_run=True)
    assert dagster_district.problems == ["lincoln: a dry run applies nothing\nRun it without the tag roster/dry_run."]
    assert (dagster_district.count("person"), dagster_district.count("sync"), dagster_district.count("failure")) == (
        0,
        0,
        0,
    )


def test_what_is_switched_off_is_not_done_and_the_report_counts_it(district: District) -> None:
    district.add_school(students={"rostered": True}, report_to=["it@school.example"])
    district.run_sync()
    district.run_sync(steps=("apply",))
    assert (district.count("outbox"), district.count("sync")) == (1, 1), "one mail for each sync"
    teachers = district.active("teacher")
    district.set_school("lincoln", teachers={"rostered": False, "auto_update": False, "archive": True})
    for person in district.people.people_of("sch-1", "teacher"):
        if len(person.roles) == 1:
            district.people.remove(person.sourced_id)
    students = [person.sourced_id for person in district.people.people_of("sch-1", "student")]
    district.people.rename(students[0], family_name="Changed")
    district.people.remove(students[1])
    night = district.run_sync()
    assert (night["updated"], night["archived"], night["skipped"]) == (0, 0, 2)
    assert district.active("teacher") == teachers


def test_a_page_that_leaves_people_out_or_a_role_that_comes_back_empty_archives_nobody(district: District) -> None:
    district.add_school()
    district.run_sync()
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    district.sis.faults.set("record_missing")
    night = district.run_sync()
    assert night["archived"] == 0
    assert night["held"] >= 1
    district.sis.faults.clear()
    assert district.run_sync()["archived"] == 1
    people = district.count("membership", "status = 'active'")
    for person in district.people.people_of("sch-1", "student"):
        district.people.remove(person.sourced_id)
    district.people.add("teacher", "sch-1")
    night = district.run_sync()
    assert (night["archived"], night["created"]) == (0, 0)
    assert night["held"] >= 39
    assert district.count("membership", "status = 'active'") == people


def test_not_found_confirms_only_for_a_role_of_which_the_sis_finds_somebody(district: District) -> None:
    """This SIS answers for students, and gives 404 for every single teacher."""
    district.add_school()
    district.run_sync()
    for role in ("student", "teacher"):
        district.people.remove(district.people.people_of("sch-1", role)[0].sourced_id)
    district.sis.faults.set("single_users=students")
    assert district.run_sync()["archived"] == 1
    assert district.count("plan_row", "reason = 'not_answered' and role = 'teacher'") == 1
    district.sis.faults.set("single_users=own_lists")
    assert district.run_sync()["archived"] == 1, "teachers are answered in the list of teachers"


def test_two_schools_of_one_night_share_one_pull(dagster_district: DagsterDistrict) -> None:
    dagster_district.add_school("lincoln", "sch-1")
    dagster_district.add_school("grant", "sch-2")
    dagster_district.run_sync("lincoln", night="monday")
    requests = len(dagster_district.sis.log.entries)
    dagster_district.run_sync("grant", night="monday")
    assert len(dagster_district.sis.log.entries) == requests
    assert dagster_district.count("pull") == 1
    with dagster_district.database.begin() as conn:
        twice = "select person_id from membership group by 1 having count(*) > 1"
        shared = conn.scalars(text(twice)).all()
    assert shared


def test_someone_who_moves_between_schools_stays_one_person_whichever_school_runs_first(district: District) -> None:
    for first, second in (("lincoln", "grant"), ("grant", "lincoln")):
        if first == "lincoln":
            district.add_school("lincoln", "sch-1")
            district.add_school("grant", "sch-2")
            district.run_sync("lincoln")
            district.run_sync("grant")
        people = district.count("person")
        district.people.move(district.people.people_of("sch-1", "student")[0].sourced_id, "sch-2")
        nights = [district.run_sync(key) for key in (first, second, first)]
        archived, created = [night["archived"] for night in nights], [night["created"] for night in nights]
        assert (archived, created) == (([0, 0, 1], [0, 1, 0]) if first == "lincoln" else ([0, 1, 0], [1, 0, 0]))
        assert district.count("person") == people


def test_two_schools_of_one_person_do_not_change_the_preferred_name_in_turns(district: District) -> None:
    district.add_school(preferred_names=True)
    district.add_school("grant", "sch-2")
    student = district.people.people_of("sch-1", "student")[0].sourced_id
    district.people.edit(
        student, preferred_first_name="Bobby", roles=(Role("student", "sch-1"), Role("student", "sch-2"))
    )
    known = (
        "select p.preferred_given_name from person p join link l on l.person_id = p.id where l.sourced_id = :student"
    )
    for _ in range(2):
        for key in ("lincoln", "grant"):
            district.sync_school(key)
            assert district.value(known, student=student) == "Bobby"
    district.set_school(preferred_names=False)
    for key in ("lincoln", "grant"):
        assert bool(district.sync_school(key).by_action["update"]) == (key == "lincoln")
    assert district.value(known, student=student) is None


def test_a_mover_stays_if_the_pull_of_the_night_is_gone(district: District) -> None:
    district.add_school("lincoln", "sch-1")
    district.add_school("grant", "sch-2")
    district.run_sync("lincoln")
    district.run_sync("grant")
    district.people.move(district.people.people_of("sch-1", "student")[0].sourced_id, "sch-2")
    district.run_sync("lincoln", steps=("fetch", "clean"))
    district.execute("delete from pull")
    assert district.run_sync("lincoln", steps=("plan", "apply"))["archived"] == 0
    assert district.problems == []
    assert district.count("plan_row", "reason = 'not_there_yet'") == 1
