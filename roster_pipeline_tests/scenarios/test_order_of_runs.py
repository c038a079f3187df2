"""Runs of one school that overtake each other: data that were fetched earlier never replace newer data."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import false, text

from roster_pipeline import sync
from roster_pipeline.directory import plans
from roster_pipeline.planning import guards
from roster_pipeline.services import decisions
from roster_pipeline.sync import SyncError
from roster_pipeline_tests.district import STEPS, District

SYNCS = "select count(*) from sync"
WAITING = """
select p.run_id, sum(v.rows) as rows from plan p join verdict v on v.plan_id = p.id and v.verdict = 'hold'
where p.state = 'planned' group by p.id
"""
HELD = """
select p.id, sum(v.rows) as rows from plan p join verdict v on v.plan_id = p.id and v.verdict = 'hold'
where p.state = 'planned' and v.action = 'archive' group by p.id
"""
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


@pytest.mark.parametrize("dropped", [[], ["id = 2"], ["true"]], ids=["", "its pull is dropped", "all pulls are"])
@pytest.mark.parametrize("done", range(1, len(STEPS)), ids=["fetched", "cleaned", "planned"])
def test_a_run_that_goes_on_after_a_newer_one_changes_nothing_and_sends_nothing(
    district: District, done: int, dropped: list[str]
) -> None:
    """Two newer pulls drop its pull, perhaps those of other schools."""
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
    for which in dropped:
        district.execute(f"delete from pull where {which}")
    numbers = district.value(SYNCS), district.value(MAILS)
    run(district, "slow", *STEPS[done:])
    assert people(district) == before
    assert (district.value(SYNCS), district.value(MAILS)) == numbers


def test_a_run_that_was_overtaken_goes_on_although_a_third_one_has_just_fetched(district: District) -> None:
    district.add_school()
    run(district, "slow", *STEPS[:2])
    run(district, "fast", *STEPS)
    student = district.people.people_of("sch-1", "student")[0].sourced_id
    district.people.rename(student, given_name="Newest")
    run(district, "newest", "fetch")
    run(district, "slow", *STEPS[2:])
    assert {"Newest"} == {row["given_name"] for row in people(district) if row["sourced_id"] == student}
    run(district, "newest", *STEPS[1:])
    assert district.value(SYNCS) == 2


@pytest.mark.parametrize("moment", ["planning", "planning again"])
def test_newer_data_that_are_applied_while_older_ones_are_planned_keep_their_rows_that_wait(
    district: District, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    district.add_school()
    run(district, "first", *STEPS)
    students = [one.sourced_id for one in district.people.people_of("sch-1", "student")]
    district.people.rename(students[0], given_name="Earlier")
    run(district, "slow", *STEPS[: 2 if moment == "planning" else 3])
    fast = iter(["fast"])

    def judge(*given: Any) -> guards.Verdict:
        for run_id in fast:
            for student in students[1:10]:
                district.people.remove(student, how="vanish")
            run(district, run_id, *STEPS)
        return guards.judge(*given)

    monkeypatch.setattr("roster_pipeline.sync.plan_and_apply.judge", judge)
    if moment == "planning again":
        edited = (
            "update person set revision = revision + 1 where id = (select person_id from link where sourced_id = :id)"
        )
        with district.database.begin() as conn:
            conn.execute(text(edited), {"id": students[0]})
    run(district, "slow", *STEPS[2 if moment == "planning" else 3 :])
    assert next(fast, None) is None
    (waiting,) = district.rows(WAITING)
    assert (waiting["run_id"] == "fast", waiting["rows"]) == (moment == "planning again", 10)
    assert district.value(SYNCS) == 2


def test_a_plan_of_older_data_that_is_written_last_is_not_approved(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer data are applied while the plan of the older ones is written, so neither sees the other."""
    district.add_school()
    run(district, "first", *STEPS)
    away = [one.sourced_id for one in district.people.people_of("sch-1", "student")][:9]
    for student in away:
        district.people.remove(student, how="vanish")
    run(district, "slow", *STEPS[:2])
    sees, fast = plans.of_data_after, iter(["fast"])

    def judge(*given: Any) -> guards.Verdict:
        for run_id in fast:
            for student in away:
                district.people.restore(student)
            run(district, run_id, *STEPS)
            monkeypatch.setattr(plans, "of_data_after", lambda taken: sees(taken).where(false()))
        return guards.judge(*given)

    monkeypatch.setattr("roster_pipeline.sync.plan_and_apply.judge", judge)
    run(district, "slow", STEPS[2])
    monkeypatch.setattr(plans, "of_data_after", sees)
    ((held, rows),) = [(row["id"], row["rows"]) for row in district.rows(HELD)]
    assert rows == 9
    with pytest.raises(SyncError, match="changed since"):
        decisions.approve(district.database, "lincoln", held, who="owner", reason="they left")
    assert district.count("membership", "status = 'archived'") == 0


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


@pytest.mark.parametrize("again", [("apply",), ("plan", "apply")], ids=["apply", "plan and apply"])
def test_a_snapshot_of_last_week_is_not_applied(district: District, again: tuple[str, ...]) -> None:
    """As by a run that was canceled before its last step, and is re-executed from there after the holidays. The SIS
    was asked about everybody who is gone, but that was then."""
    district.add_school()
    district.run_sync()
    (student, *_) = district.people.people_of("sch-1", "student")
    district.people.remove(student.sourced_id)
    district.run_sync(steps=("fetch", "clean", "plan"))
    district.people.restore(student.sourced_id)
    district.execute("update snapshot set taken_at = taken_at - interval '73 hours'")
    before = district.active()
    district.run_sync(steps=again)
    (problem,) = district.problems
    assert "older than 72 hours" in problem
    assert "Run the whole sync" in problem
    district.run_sync()
    assert (district.active(), district.count("membership", "status = 'archived'")) == (before, 0)


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
