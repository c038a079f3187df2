"""Runs of one school that overtake each other: data that were fetched earlier never replace newer data."""

from __future__ import annotations

from uuid import uuid4

import pytest

from roster_pipeline import sync
from roster_pipeline.sync import SyncError
from roster_pipeline_tests.district import STEPS, District

SYNCS = "select count(*) from sync"
MAILS = "select count(*) from outbox"


def run(district: District, run_id: str, *steps: str, batch: str = "") -> None:
    """Some steps of a run of the school."""
    database = district.database
    for step in steps:
        if step == "fetch":
            sync.fetch(database, "lincoln", batch=batch or run_id, run_id=run_id)
        elif step == "clean":
            sync.clean_latest(database, "lincoln", run_id=run_id)
        elif step == "plan":
            sync.plan_latest(database, "lincoln", run_id=run_id)
        else:
            sync.apply_latest(database, "lincoln", run_id=run_id, who="test")


def people(district: District) -> list[dict[str, object]]:
    return district.rows(
        "select l.sourced_id, p.given_name, p.email, m.status from link l join person p on p.id = l.person_id "
        "join membership m on m.person_id = p.id order by 1"
    )


@pytest.mark.parametrize("done", range(1, len(STEPS)), ids=["fetched", "cleaned", "planned"])
def test_a_run_that_goes_on_after_a_newer_one_changes_nothing_and_sends_nothing(district: District, done: int) -> None:
    district.add_school()
    run(district, "first", *STEPS)
    students = [one.sourced_id for one in district.people.people_of("sch-1", "student")]
    district.people.rename(students[0], given_name="Earlier")
    district.people.remove(students[1], how="vanish")
    run(district, "slow", *STEPS[:done])
    district.people.rename(students[0], given_name="Later")
    district.people.restore(students[1])
    joined = district.people.add("student", "sch-1", agents=())
    run(district, "fast", *STEPS)
    before = people(district)
    assert {"Later"} == {row["given_name"] for row in before if row["sourced_id"] == students[0]}
    assert joined.sourced_id in {row["sourced_id"] for row in before}
    numbers = district.value(SYNCS), district.value(MAILS)
    run(district, "slow", *STEPS[done:])
    assert people(district) == before
    assert (district.value(SYNCS), district.value(MAILS)) == numbers


def test_a_pull_that_other_schools_share_does_not_replace_a_newer_one(district: District) -> None:
    district.add_school()
    district.add_school("grant", "sch-2")
    run(district, "first", *STEPS)
    student = district.people.people_of("sch-1", "student")[0].sourced_id
    district.people.rename(student, given_name="Earlier")
    district.run_sync("grant", night="monday")
    district.people.rename(student, given_name="Later")
    run(district, "by hand", *STEPS)
    before = people(district)
    run(district, str(uuid4()), *STEPS, batch="monday")
    assert people(district) == before
    district.people.rename(student, given_name="Latest")
    run(district, "next", *STEPS)
    assert "Latest" in {row["given_name"] for row in people(district)}


def test_what_was_fetched_and_not_cleaned_is_not_planned(district: District) -> None:
    district.add_school()
    run(district, "first", *STEPS)
    before = people(district)
    run(district, "second", "fetch")
    with pytest.raises(SyncError, match="were not cleaned yet") as refused:
        sync.plan_latest(district.database, "lincoln", run_id="third")
    assert refused.value.remedy == "Run: roster sync lincoln"
    run(district, "second", "clean", "plan", "apply")
    assert people(district) == before
    assert district.value("select outcome from sync order by id desc limit 1") == "unchanged"
