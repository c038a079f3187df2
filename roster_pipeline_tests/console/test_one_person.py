"""One person synced at once: a simulated SIS is asked for one id, and the rules are the same as in every sync."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from roster_pipeline.directory import manual_edits, snapshots, tenant_changes
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings
from roster_pipeline.sync import SyncError, one_person
from roster_pipeline_tests.console.conftest import OWNER, STRANGER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import audited, words_of
from roster_pipeline_tests.console.served_sis import Served, school_in
from roster_pipeline_tests.directory.builders import every, one
from roster_pipeline_tests.district import EVERYTHING, change_school, run_sync
from roster_pipeline_tests.hostile_strings import leaked

SECONDS = 3.0
WHY = {"reason": "the mother called"}


@pytest.fixture
def lincoln(database: Database, environment: Path, sis: Served) -> SchoolRow:
    """A school whose first sync is done."""
    school = school_in(database, sis, students=EVERYTHING, teachers=EVERYTHING, first_sync="apply")
    run_sync(database, "lincoln")
    return school


def a_pupil(database: Database) -> tuple[int, str]:
    """Person and record of a pupil of the school."""
    (found,) = every(
        database,
        "select l.person_id, l.sourced_id from link l join membership m using (person_id) "
        "where m.role = 'student' order by 1 limit 1",
    )
    return int(found[0]), str(found[1])


def asked(browser: Browser, person: int) -> str:
    """The page after the SIS was asked."""
    answer = browser.send_form(f"/people/{person}/ask", {"school": "lincoln"})
    assert answer.status_code == 303, words_of(answer.text)
    return answer.headers["location"].partition("#")[0]


def number_of(page: str) -> str:
    return page.rpartition("asked=")[2]


def test_what_the_sis_says_of_one_person_is_shown_and_then_applied_to_them_alone(
    owner: Browser, database: Database, sis: Served
) -> None:
    person, record = a_pupil(database)
    other = str(
        one(database, "select sourced_id from link where person_id <> :id order by person_id limit 1", id=person)
    )
    sis.people.edit(record, email="new@example.org")
    sis.people.edit(other, email="other@example.org")
    began = time.monotonic()
    page = asked(owner, person)
    shown = words_of(owner.get(page).text)
    assert "The SIS has other values." in shown
    assert "new@example.org" in shown
    assert "other@example.org" not in shown
    assert one(database, "select email from person where id = :id", id=person) != "new@example.org"
    answer = owner.send_form(f"/people/{person}/sync", WHY | {"plan": number_of(page)})
    assert answer.status_code == 303, words_of(answer.text)
    assert time.monotonic() - began < 2 * SECONDS
    assert one(database, "select email from person where id = :id", id=person) == "new@example.org"
    assert not one(database, "select count(*) from person where email = 'other@example.org'")
    assert audited(database)[-1] == (OWNER, "person synced", WHY["reason"])
    sync, kind, outcome = every(database, "select id, kind, outcome from sync order by id desc limit 1")[0]
    assert (kind, outcome) == ("person", "applied")
    assert f"Sync {sync} (one person) of Lincoln, by {OWNER}" in words_of(owner.get(f"/people/{person}").text)
    assert owner.get(f"/schools/lincoln/syncs/{sync}").status_code == 200
    assert owner.get(f"/schools/lincoln/syncs/{sync}/rollback").status_code == 200
    assert "One person was synced at once." in words_of(owner.get("/schools/lincoln").text)


OF_THE_SCHOOL = (
    "select id, state from plan where person_id is null",
    "select id from outbox",
    "select id from alert",
)


def test_it_changes_nothing_of_the_schools_own_plans_holds_reports_and_next_sync(
    owner: Browser, database: Database, sis: Served
) -> None:
    person, record = a_pupil(database)
    before = [every(database, query) for query in OF_THE_SCHOOL]
    sis.people.edit(record, email="new@example.org")
    owner.send_form(f"/people/{person}/sync", WHY | {"plan": number_of(asked(owner, person))})
    assert [every(database, query) for query in OF_THE_SCHOOL] == before
    assert not every(database, "select 1 from plan where person_id is not null and not dry_run and state = 'planned'")
    run_sync(database, "lincoln")
    last = every(database, "select kind, outcome from sync order by id desc limit 1")
    assert last == [("sync", "unchanged")]


def test_the_rules_of_every_sync_decide(owner: Browser, database: Database, lincoln: SchoolRow, sis: Served) -> None:
    person, record = a_pupil(database)
    sis.people.edit(record, email="new@example.org")
    database.call(manual_edits.set_excluded, lincoln.district_id, person, True, who="test", reason="test")
    page = asked(owner, person)
    assert "Excluded from the sync." in words_of(owner.get(page).text)
    assert "Sync this person now" not in owner.get(page).text
    database.call(manual_edits.set_excluded, lincoln.district_id, person, False, who="test", reason="test")
    page = asked(owner, person)
    with database.begin() as conn:
        manual_edits.edit(conn, lincoln.district_id, person, {"email": "kept@example.org"}, who="test", reason="test")
    answer = owner.send_form(f"/people/{person}/sync", WHY | {"plan": number_of(page)})
    assert answer.status_code == 409, "what was shown is no longer what would happen"
    assert one(database, "select email from person where id = :id", id=person) == "kept@example.org"


def test_a_person_who_left_the_sis_is_archived_after_the_second_witness(
    owner: Browser, database: Database, sis: Served
) -> None:
    person, record = a_pupil(database)
    sis.people.remove(record)
    page = asked(owner, person)
    assert "archive" in words_of(owner.get(page).text)
    owner.send_form(f"/people/{person}/sync", WHY | {"plan": number_of(page)})
    assert one(database, "select status from membership where person_id = :id", id=person) == "archived"
    assert one(database, "select count(*) from membership where status = 'archived'") == 1


@pytest.mark.parametrize("before", ["load", "derive"])
def test_a_pull_that_is_dropped_while_the_sis_is_asked_does_no_harm(
    database: Database, lincoln: SchoolRow, sis: Served, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """A newer pull drops those before."""
    usual = getattr(snapshots, before)

    def dropped_then(*given: Any, **named: Any) -> Any:
        with database.begin() as conn:
            conn.execute(text("delete from pull"))
        return usual(*given, **named)

    monkeypatch.setattr(snapshots, before, dropped_then)
    with database.begin() as conn:
        rules = {"contact_rules": ["metadata:restrained!=true"]}
        settings = ConnectionSettings.model_validate(lincoln.connection.settings.model_dump() | rules)
        tenant_changes.set_connection(conn, lincoln.connection.key, settings)
    change_school(database, "lincoln", primary_contacts=True)
    person, record = a_pupil(database)
    sis.people.edit(record, email="new@example.org")
    plan = one_person.make_plan(database, "lincoln", person)
    one_person.apply_plan(database, "lincoln", plan.plan_id, who="ann", reason="asked")
    assert one(database, "select email from person where id = :id", id=person) == "new@example.org"


def test_a_sis_that_gives_no_answer_changes_nothing(owner: Browser, database: Database, sis: Served) -> None:
    person, _ = a_pupil(database)
    sis.sis.faults.set("single_users=off")
    page = owner.get(asked(owner, person)).text
    assert "Sync this person now" not in page, "a server that answers for nobody proves nothing"
    before = every(database, "select id from snapshot") + every(database, "select id from plan")
    sis.sis.faults.clear()
    sis.sis.faults.set("truncated_json")
    answer = owner.send_form(f"/people/{person}/ask", {"school": "lincoln"})
    assert answer.status_code == 400
    assert "Nothing was changed." in answer.text
    assert "roster test-connection" not in answer.text, "no command on a page"
    sis.sis.faults.clear()
    with database.begin() as conn:
        conn.execute(text("delete from link where person_id = :id"), {"id": person})
    with pytest.raises(SyncError, match="no record of its SIS"):
        one_person.make_plan(database, "lincoln", person)
    assert every(database, "select id from snapshot") + every(database, "select id from plan") == before
    assert one(database, "select status from membership where person_id = :id", id=person) == "active"


def test_nobody_applies_a_plan_of_somebody_else_or_of_the_school(
    signed_in: SignedIn, owner: Browser, database: Database, sis: Served
) -> None:
    person, record = a_pupil(database)
    sis.people.edit(record, email="new@example.org")
    plan = number_of(asked(owner, person))
    someone = int(one(database, "select max(person_id) from membership"))
    whole = str(one(database, "select min(id) from plan"))
    for who, where, number in (
        (OWNER, someone, plan),
        (OWNER, person, whole),
        (OWNER, person, "x"),
        (STRANGER, person, plan),
    ):
        assert signed_in(who).send_form(f"/people/{where}/sync", WHY | {"plan": number}).status_code == 404
    assert owner.send_form(f"/people/{person}/sync", {"plan": plan}).status_code == 400, "without a reason"


def test_nothing_of_the_person_is_logged(
    owner: Browser, database: Database, sis: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    person, record = a_pupil(database)
    sis.people.edit(record, given_name="Zyxpoison", email="qqleak@zyxpoison.example", identifier="99887766")
    page = asked(owner, person)
    answer = owner.send_form(f"/people/{person}/sync", WHY | {"plan": number_of(page)})
    said = [str(answer.headers), page, *(record.getMessage() + str(record.exc_text or "") for record in caplog.records)]
    said += [str(row) for row in every(database, "select * from audit")]
    assert leaked("\n".join(said)) == []
