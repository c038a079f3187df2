"""The page of a district: one row for each connection, actions for all of its schools, and the last year."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from roster_pipeline.console import launchers
from roster_pipeline.console.pages.districts import MOST_SYNCS
from roster_pipeline.directory import alerts, manual_runs, school_history, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import RoleSettings
from roster_pipeline.vocabulary import day
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, STRANGER, Browser, SignedIn
from roster_pipeline_tests.console.held_plans import audited, held_creates, words_of
from roster_pipeline_tests.directory.builders import add_school, every, newcomer, one, sync_rows
from roster_pipeline_tests.district import change_school
from roster_pipeline_tests.waiting import until

HOME = "/districts/springfield"
SOON = datetime.now(UTC).date() + timedelta(days=20)
MANY = """
insert into school (district_id, connection_id, key, name, settings)
select :district, :connection, 'many-' || n, 'Many ' || n, '{"school_id": "x", "automatic": true}'
from generate_series(1, 3000) n;
"""
YEARS = """
insert into school_week (school_id, week, people, created, records, rejected)
select s.id, date_trunc('week', now())::date - 7 * n, 300 + n, 3, 310, 4
from school s cross join generate_series(0, 51) n
"""
FAILING = """
insert into failure (school_id, step, message, cause)
select id, 'raw', 'the SIS did not answer', 'away' from school where key like 'many-%' limit 300
"""


def test_a_connection_is_removed_only_while_no_school_uses_it(
    manager: Browser, stranger: Browser, owner: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as conn:
        settings = lincoln.connection.settings
        tenant_changes.add_connection(conn, lincoln.connection.district_key, "typo", settings, None)
    page, given = "/districts/springfield", {"connection": "typo"}
    address = f"{page}/connections/remove"
    assert manager.get(page).text.count(f'action="{address}"') == 1
    assert [other.send_form(address, given).status_code for other in (stranger, owner)] == [404, 404]
    manager.send_form(address, {"connection": lincoln.connection.key})
    assert f"{lincoln.connection.key} was used by a school, so it stays." in words_of(manager.get(page).text)
    manager.send_form(address, given)
    assert "The connection typo was removed." in words_of(manager.get(page).text)
    assert [row.key for row in database.call(tenants.list_connections, "springfield")] == [lincoln.connection.key]
    assert audited(database)[-1][:2] == (MANAGER, "connection removed")


def test_a_dead_sis_is_one_row_with_its_schools_below(
    signed_in: SignedIn, manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as opened:
        east = add_school(opened, "east", connection="other-sis")
        west = add_school(opened, "west", connection="other-sis")
        for school in (east, west):
            alerts.record(
                opened, school.key, "raw_users", "the SIS did not answer", run_id=None, retryable=True, cause="away"
            )
    held_creates(database, lincoln)
    text_ = words_of(manager.get(HOME).text)
    assert text_.index("2 of 2 failing") < text_.index("1 held")
    assert "The SIS did not answer" in text_
    assert "2 schools need attention" in text_
    assert "Sync 2 again" in text_
    assert all(name in text_ for name in ("East", "West", "Lincoln"))
    assert "Foreign" not in text_
    assert HOME in manager.get("/").text
    for email in (OWNER, STRANGER):
        assert signed_in(email).get(HOME).status_code == 404
        assert signed_in(email).send_form(f"{HOME}/pause", {"until": SOON.isoformat()}).status_code == 404
    assert manager.send_form(f"{HOME}/sync", {"connection": "foreign-sis"}).status_code == 404


def test_a_whole_district_is_paused_and_runs_again(owner: Browser, manager: Browser, database: Database) -> None:
    manager.send_form(f"{HOME}/pause", {"until": SOON.isoformat(), "reason": "summer"})
    assert f"The whole district is paused until {day(SOON)}" in words_of(manager.get(HOME).text)
    assert f"Paused until {day(SOON)}" in words_of(owner.get("/schools/lincoln").text)
    place = owner.send_form("/schools/lincoln/resume").headers["location"]
    assert "The whole district is paused" in words_of(owner.get(place).text), "an owner cannot end that"
    manager.send_form(f"{HOME}/pause/end")
    assert one(database, "select paused_until from district where key = 'springfield'") is None
    assert [what for _, what, _ in audited(database)] == ["district paused", "district resumed"]


def test_paused_schools_of_a_connection_are_resumed_together(
    manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    database.call(alerts.open_alert, "school lincoln", alerts.PAUSED, "failed for a week", school=lincoln.id)
    assert "Resume 1" in words_of(manager.get(HOME).text)
    manager.send_form(f"{HOME}/resume", {"connection": "sis"})
    assert "1 school runs by itself again." in words_of(manager.get(HOME).text)
    assert one(database, "select count(*) from alert where cleared_at is null") == 0


def test_the_schools_of_a_connection_that_fail_are_synced_together(
    manager: Browser, database: Database, lincoln: SchoolRow, foreign: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[str] = []
    monkeypatch.setattr(launchers, "_carry_out", lambda _, run_id, *__: carried.append(run_id))
    with database.begin() as opened:
        east, well = add_school(opened, "east"), add_school(opened, "well")
        other = add_school(opened, "other", connection="other-sis")
        for school in (lincoln, east, other, foreign):
            alerts.record(opened, school.key, "raw_users", "the SIS did not answer", run_id=None)
        manual_runs.ask(opened, "going", east.id, "east", kind="sync", who=OWNER, host="here")
    assert manager.send_form(f"{HOME}/sync", {"connection": "sis"}).headers["location"] == HOME
    told = words_of(manager.get(HOME).text)
    assert "1 sync is asked for. They run one after another. 1 school is being synced already." in told
    runs = every(database, "select id, school_id, kind, who from manual_run where id <> 'going'")
    assert [row[1:] for row in runs] == [(lincoln.id, "sync", MANAGER)], f"not {well.key}, and not of another SIS"
    until(lambda: carried == [runs[0][0]])
    assert (MANAGER, "run requested", None) in audited(database)

    with database.begin() as opened:
        opened.execute(text(MANY), {"district": lincoln.district_id, "connection": lincoln.connection.id})
        opened.execute(text(FAILING))
    manager.send_form(f"{HOME}/sync", {"connection": "sis"})
    assert one(database, "select count(*) from manual_run") == MOST_SYNCS, "with the two that are going"
    told = words_of(manager.get(HOME).text)
    assert f"{MOST_SYNCS - 2} syncs are asked for" in told
    assert "102 schools were left out, because one click starts 200 syncs." in told, "300 new ones, lincoln and east"
    until(lambda: len(carried) == MOST_SYNCS - 1)


def test_each_sync_counts_in_its_week(database: Database, lincoln: SchoolRow) -> None:
    first = sync_rows(database, lincoln, newcomer("u1"), newcomer("u2"))
    second = sync_rows(database, lincoln, newcomer("u3"))
    with database.begin() as opened:
        for sync in (first, second):
            school_history.note(opened, sync.sync_id)
        (week,) = school_history.year(opened, school_id=lincoln.id)
        assert (week.created, week.changes, week.usable) == (3, 3, None)
        assert school_history.year(opened, district_id=lincoln.district_id) == [week]


def test_three_thousand_schools_are_shown_within_a_second(
    manager: Browser, operator: Browser, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as opened:
        opened.execute(text(MANY), {"district": lincoln.district_id, "connection": lincoln.connection.id})
        opened.execute(text(YEARS))
        opened.execute(text(FAILING))
        opened.execute(text("analyze"))
    manager.get(HOME)
    took = {}
    for path in (HOME, "/", "/holds", "/schools/many-7"):
        began = time.perf_counter()
        answer = manager.get(path)
        took[path] = time.perf_counter() - began
        assert answer.status_code == 200
    page = words_of(manager.get(HOME).text)
    assert "300 of 3001 failing" in page
    assert "The last year" in page
    assert "Numbers by week" in page
    assert max(took.values()) < 3, took  # a second on an idle machine; tests share theirs
    assert len(every(database, "select 1 from school")) == 3002
    assert operator.get(HOME).status_code == 200


def test_new_schools_begin_with_the_settings_that_a_manager_chose(
    owner: Browser, manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    picked = "/connections/sis/schools"
    assert "New schools begin with the standard settings" in words_of(manager.get(HOME).text)
    roles = RoleSettings(rostered=True, archive=True)
    own = {"automatic": True, "report_to": ["head@lincoln.example"], "report_when": "problems"}
    change_school(database, "lincoln", students=roles, **own)
    assert owner.send_form(f"{HOME}/defaults", {"pattern": "lincoln"}).status_code == 404
    for other in ("foreign", "nowhere"):
        assert manager.send_form(f"{HOME}/defaults", {"pattern": other}).status_code == 404
    assert manager.send_form(f"{HOME}/defaults", {"pattern": "lincoln"}).status_code == 303
    page = words_of(manager.get(HOME).text)
    assert "Students: Archive yes" in page
    assert "When Only on changes and problems" in page
    assert "head@lincoln.example" not in page
    assert audited(database)[-1][:2] == (MANAGER, "district changed")
    assert manager.send_form(picked, {"name": "Oak", "school_id": "o-1"}).status_code == 303
    assert manager.send_form(f"{HOME}/defaults").status_code == 303
    assert manager.send_form(picked, {"name": "Elm", "school_id": "e-1"}).status_code == 303
    with database.begin() as opened:
        oak, elm = (tenants.get_school(opened, key).settings for key in ("oak", "elm"))
    assert (oak.students, oak.report_when, oak.automatic, oak.report_to) == (roles, "problems", False, [])
    assert (elm.students.rostered, elm.report_when) == (False, "every")
