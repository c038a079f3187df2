"""Whole nights of one school: what changes in the SIS arrives in the directory, and nothing else does."""

from __future__ import annotations

from sqlalchemy import text

from roster_pipeline_tests.scenarios.conftest import Town


def test_the_first_night_brings_everyone_of_the_school_and_the_second_changes_nothing(town: Town) -> None:
    town.add_school()
    first = town.run_sync()
    assert not town.problems
    assert first["created"] == town.count("membership", "status = 'active'")
    assert town.active("student") == len(town.people.people_of("sch-1", "student"))
    second = town.run_sync()
    assert {name: second[name] for name in ("created", "updated", "restored", "archived", "held")} == {
        "created": 0,
        "updated": 0,
        "restored": 0,
        "archived": 0,
        "held": 0,
    }
    assert second["unchanged"] == first["created"]


def test_joiners_leavers_renames_and_returners_each_become_their_action(town: Town) -> None:
    town.add_school()
    town.run_sync()
    students = [person.sourced_id for person in town.people.people_of("sch-1", "student")]
    town.people.remove(students[0], how="vanish")
    town.people.remove(students[1], how="mark")
    town.people.remove(students[2], how="lose_org")
    town.people.rename(students[3], family_name="Okonkwo-Byrne")
    town.people.add("student", "sch-1", agents=())
    night = town.run_sync()
    assert (night["archived"], night["updated"], night["created"]) == (3, 1, 1)
    town.people.restore(students[0])
    again = town.run_sync()
    assert (again["restored"], again["archived"], again["created"]) == (1, 0, 0)
    assert town.count("person") == town.count("(select distinct person_id from membership) m")


def test_a_dry_run_of_the_whole_job_applies_nothing_not_even_a_plan_that_waits(town: Town) -> None:
    town.add_school()
    town.run_sync(only=["raw_orgs", "raw_users", "raw_contacts", "cleaned_roster", "roster_diff"])
    town.run_sync(dry_run=True)
    assert town.problems == ["lincoln: a dry run applies nothing\nRun it without the tag roster/dry_run."]
    assert (town.count("person"), town.count("sync"), town.count("failure")) == (0, 0, 0)


def test_a_role_that_is_switched_off_is_not_touched(town: Town) -> None:
    town.add_school()
    town.run_sync()
    before = town.active("student")
    town.set_school("lincoln", students={"rostered": False, "auto_update": False, "archive": True})
    for person in town.people.people_of("sch-1", "student")[:10]:
        town.people.remove(person.sourced_id)
    night = town.run_sync()
    assert night["archived"] == 0
    assert town.active("student") == before


def test_auto_update_and_archive_off_leave_people_as_they_are_and_the_report_counts_them(town: Town) -> None:
    town.add_school(students={"rostered": True})
    town.run_sync()
    students = [person.sourced_id for person in town.people.people_of("sch-1", "student")]
    town.people.rename(students[0], family_name="Changed")
    town.people.remove(students[1])
    night = town.run_sync()
    assert (night["updated"], night["archived"], night["skipped"]) == (0, 0, 2)


def test_a_first_sync_waits_for_approval_unless_told_not_to(town: Town) -> None:
    town.add_school(first_sync="approve")
    night = town.run_sync()
    assert night["created"] == 0
    assert night["held"] > 40
    assert town.count("person") == 0


def test_a_page_that_leaves_people_out_archives_nobody(town: Town) -> None:
    town.add_school()
    town.run_sync()
    students = town.people.people_of("sch-1", "student")
    town.people.remove(students[0].sourced_id)
    town.sis.faults.set("record_missing")
    night = town.run_sync()
    assert night["archived"] == 0
    assert night["held"] >= 1
    town.sis.faults.clear()
    assert town.run_sync()["archived"] == 1


def test_a_role_that_comes_back_empty_holds_every_change_of_the_school(town: Town) -> None:
    town.add_school()
    town.run_sync()
    people = town.count("membership", "status = 'active'")
    for person in town.people.people_of("sch-1", "student"):
        town.people.remove(person.sourced_id)
    town.people.add("teacher", "sch-1")
    night = town.run_sync()
    assert (night["archived"], night["created"]) == (0, 0)
    assert night["held"] >= 40
    assert town.count("membership", "status = 'active'") == people


def test_two_schools_of_one_night_share_one_pull(town: Town) -> None:
    town.add_school("lincoln", "sch-1")
    town.add_school("grant", "sch-2")
    town.run_sync("lincoln", night="monday")
    requests = len(town.sis.log.entries)
    town.run_sync("grant", night="monday")
    assert len(town.sis.log.entries) == requests
    assert town.count("pull") == 1
    with town.database.begin() as conn:
        twice = "select person_id from membership group by 1 having count(*) > 1"
        shared = conn.scalars(text(twice)).all()
    assert shared


def test_someone_who_moves_between_schools_stays_one_person_whichever_school_runs_first(town: Town) -> None:
    for first, second in (("lincoln", "grant"), ("grant", "lincoln")):
        if first == "lincoln":
            town.add_school("lincoln", "sch-1")
            town.add_school("grant", "sch-2")
            town.run_sync("lincoln")
            town.run_sync("grant")
        people = town.count("person")
        mover = town.people.people_of("sch-1", "student")[0].sourced_id
        town.people.move(mover, "sch-2")
        nights = {key: town.run_sync(key) for key in (first, second)}
        assert nights["lincoln"]["archived"] == 1
        assert nights["grant"]["created"] == 1
        assert town.count("person") == people


def test_one_mail_per_sync_lies_in_the_outbox(town: Town) -> None:
    town.add_school(report_to=["it@school.example"])
    town.run_sync()
    town.run_sync(only=["applied_changes"])
    assert town.count("outbox") == 1
    assert town.count("sync") == 1
