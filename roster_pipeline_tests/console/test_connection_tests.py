"""Test Your Information from the page: item by item, with the values of the form, and without secrets."""

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import Response
from sqlalchemy import text

from roster_pipeline.directory import connection_tests, tenant_changes, tenants
from roster_pipeline.directory.database import Database, RowRefused
from roster_pipeline.directory.secrets import seal, unseal
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.connection_test import begin_together, carry_out, carry_out_together
from roster_pipeline.services.settings_changes import LastTest, last_test
from roster_pipeline.settings.installation import Retention
from roster_pipeline.settings.school import RoleSettings, SchoolSettings
from roster_pipeline.sync.health_checks import prune
from roster_pipeline_tests.console.conftest import OWNER, Browser, SignedIn
from roster_pipeline_tests.console.filling import changed, errors_in, fields_of
from roster_pipeline_tests.console.held_plans import words_of
from roster_pipeline_tests.console.served_sis import SECRET, Served, followed, school_in
from roster_pipeline_tests.directory.builders import every, one

PAGE, TEST = "/schools/lincoln/settings/connection", "/schools/lincoln/test"
SCHEDULE = "/schools/lincoln/settings/schedule"
HTMX = {"hx-request": "true"}


@pytest.fixture
def lincoln(database: Database, environment: object, sis: Served) -> SchoolRow:
    return school_in(database, sis)


def opened(browser: Browser) -> dict[str, str]:
    return fields_of(browser.get(PAGE).text)


def switched_on(browser: Browser) -> Response:
    """The answer to switching automatic rostering on."""
    fields = fields_of(browser.get(SCHEDULE).text, SCHEDULE)
    return browser.send_form(SCHEDULE, changed(fields, school__automatic=True))


def tried(browser: Browser, fields: dict[str, str]) -> list[str]:
    """Start a test as a script does, and follow it to its end. Returns the first piece of the page, and all news."""
    answer = browser.send_form(TEST, fields, headers=HTMX)
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return followed(browser, answer.text)


def words(news: list[str]) -> str:
    return "\n".join(news)


def state(database: Database) -> LastTest:
    return last_test(database.call(tenants.get_school, "lincoln"))


def test_what_is_stored_is_tested_item_by_item_and_kept(owner: Browser, database: Database, sis: Served) -> None:
    news = tried(owner, opened(owner))
    for name in ("Address", "Sign-in", "School", "Students", "Completeness"):
        assert words(news).count(f"<strong>{name}</strong>") == 1
    assert f"{len(sis.people.people_of('sch-1', 'student'))} in this school" in words(news)
    assert ["Everything works." in piece for piece in news] == [False] * (len(news) - 1) + [True]
    assert state(database) is LastTest.GREEN
    assert "Everything works" in owner.get(PAGE).text
    assert switched_on(owner).is_redirect


TOGETHER = "/connections/sis/test"


def reads(sis: Served) -> int:
    """How many pages of users the SIS has been asked for."""
    return sis.sis.log.by_resource["/users"]


def test_several_schools_are_tested_with_one_look_at_their_sis(
    owner: Browser, manager: Browser, database: Database, sis: Served
) -> None:
    with database.begin() as conn:
        roles = {"students": RoleSettings(rostered=True), "teachers": RoleSettings(rostered=True)}
        tenant_changes.add_school(conn, "sis", "oak", "Oak", SchoolSettings(school_id="sch-2", **roles))
        tenant_changes.add_school(conn, "sis", "elm", "Elm", SchoolSettings(school_id="nowhere", **roles))
    assert owner.get(TOGETHER).status_code == 404
    assert owner.send_form(TOGETHER).status_code == 404
    assert "Test these 3 schools" in manager.get(TOGETHER).text
    sis.sis.log.clear()
    alone = tried(owner, opened(owner))
    once = reads(sis)
    assert "Test these 2 schools" in manager.get(TOGETHER).text
    sis.sis.log.clear()
    assert manager.send_form(TOGETHER).status_code == 303
    assert "a test of some of these schools is going on" in manager.send_form(TOGETHER).text.lower()
    followed(manager, manager.get(TOGETHER).text)
    assert manager.get(f"{TOGETHER}/progress").headers["hx-refresh"] == "true"
    assert 0 < reads(sis) <= once, "as often as for one school alone"
    shown = words_of(manager.get(TOGETHER).text)
    with database.begin() as conn:
        oak, elm = (tenants.get_school(conn, key) for key in ("oak", "elm"))
    assert (last_test(oak), last_test(elm)) == (LastTest.GREEN, LastTest.RED)
    name = next(org.name for org in sis.people.orgs if org.sourced_id == "sch-2")
    assert f"{name}: {len(sis.people.people_of('sch-2', 'student'))} students" in shown
    assert "no org of the SIS has this School ID" in shown
    assert one(database, "select count(*) from audit where what = 'connection tested'") == 2
    items = {item["name"] for item in (oak.test or {})["items"]}
    assert {"Address", "Sign-in", "School", "Students", "Guardians", "Completeness", "Page size", "Clock"} <= items
    assert all(f"<strong>{name}</strong>" in words(alone) for name in ("Address", "Students", "Clock"))
    assert "Test this school" in manager.get(TOGETHER).text


def test_a_test_of_several_schools_that_cannot_be_made_says_why_for_each(manager: Browser, database: Database) -> None:
    with database.begin() as conn:
        tenant_changes.set_connection(conn, "sis", secret_sealed=seal("wr0ng"))
        number = begin_together(conn, [tenants.get_school(conn, "lincoln")], who="test")
        assert connection_tests.going(conn) == 1
    carry_out_together(database, number)
    shown = manager.get(TOGETHER).text
    assert "Check Client ID and Client Secret" in shown
    assert "wr0ng" not in shown
    assert state(database) is LastTest.RED
    with database.begin() as conn:
        number = begin_together(conn, [tenants.get_school(conn, "lincoln")], who="test")
        tenant_changes.set_connection(conn, "sis", secret_sealed=seal(SECRET))
    carry_out_together(database, number)
    assert "The connection was changed while this test began." in manager.get(TOGETHER).text
    assert state(database) is LastTest.STALE, "what was tried is not connected any more"


def test_only_items_that_the_page_has_not_seen_are_sent(owner: Browser, database: Database) -> None:
    tried(owner, opened(owner))
    path = f"{TEST}/{one(database, 'select id from connection_test')}/progress"
    whole, rest = owner.get(path).text, owner.get(f"{path}?seen=3").text
    names = re.findall("<li.*?<strong>(.*?)</strong>", whole)
    assert len(names) > 5
    assert re.findall("<li.*?<strong>(.*?)</strong>", rest) == names[3:]
    for piece in (whole, rest):
        assert "Everything works." in piece
        assert "every 1s" not in piece, "nothing more comes"


def test_a_wrong_secret_is_red_with_its_remedy_and_the_right_one_is_saved_with_its_test(
    owner: Browser, database: Database
) -> None:
    red = words(tried(owner, opened(owner) | {"secret": "wr0ng"}))
    assert "Sign-in" in red
    assert "Client ID and Client Secret" in red
    assert "Not everything works yet." in red
    assert "wr0ng" not in red
    assert state(database) is LastTest.NEVER, "what is not saved is no test of what is stored"
    assert owner.send_form(PAGE, opened(owner) | {"secret": "wr0ng"}).is_redirect
    assert "does not work" in errors_in(switched_on(owner).text)["school-automatic"]
    assert "Everything works." in words(tried(owner, opened(owner) | {"secret": SECRET}))
    assert owner.send_form(PAGE, opened(owner) | {"secret": SECRET}).is_redirect
    assert state(database) is LastTest.GREEN, "the test of what was typed counts"
    assert switched_on(owner).is_redirect
    assert "changed since" in errors_in(owner.send_form(PAGE, opened(owner) | {"secret": "other"}).text)["test"]


def test_facts_from_a_test_are_kept_for_the_next_one_and_for_the_sync(
    owner: Browser, database: Database, sis: Served
) -> None:

    def looks() -> int:
        return sum(1 for entry in sis.sis.log.entries if entry.status == 401)

    def known() -> dict[str, object]:
        return database.call(tenants.get_connection, "sis").learned

    tried(owner, opened(owner))
    assert known()["version"] == "1.2", "of what is stored"
    sis.sis.log.clear()
    tried(owner, opened(owner))
    assert looks() == 0, "nothing is found out twice"
    typed = changed(opened(owner), connection__page_size="77", secret=SECRET)
    tried(owner, typed)
    sis.sis.log.clear()
    tried(owner, typed)
    assert looks() == 0, "of what was typed as well"
    assert owner.send_form(PAGE, typed).is_redirect
    assert known()["version"] == "1.2"
    assert SECRET not in str(known())


def test_a_test_of_other_values_does_not_count(owner: Browser, database: Database) -> None:
    fields = opened(owner)
    tried(owner, fields | {"secret": SECRET})
    wrong = owner.send_form(PAGE, changed(fields, connection__secret_expires="x", secret=SECRET))
    assert "Everything works." in wrong.text, "a test is not lost by a mistake elsewhere"
    for change in (
        {"secret": "other"},
        {"secret": SECRET, "connection-page_size": "77"},
        {"school-school_id": "sch-2"},
    ):
        assert owner.send_form(PAGE, changed(opened(owner)) | change).is_redirect
        assert state(database) is LastTest.NEVER
        assert "school-automatic" in errors_in(switched_on(owner).text)
        with database.begin() as conn:
            conn.execute(text("update connection_test set started_at = started_at"))


def test_without_scripts_the_form_comes_back_filled_and_the_tested_secret_is_saved(
    owner: Browser, manager: Browser, database: Database
) -> None:
    database.call(tenant_changes.set_connection, "sis", secret_sealed="env:NOT_SET_HERE")
    answer = owner.send_form(TEST, changed(opened(owner), connection__page_size="77", secret=SECRET))
    assert answer.status_code == 303
    place = answer.headers["location"].removesuffix("#test")
    assert re.fullmatch(r"/schools/lincoln/settings/connection\?test=[0-9a-f-]{36}", place)
    assert 'http-equiv="refresh"' in owner.get(place).text or "Everything works." in owner.get(place).text
    test = place.partition("=")[2]
    followed(owner, owner.get(place).text)
    shown = owner.get(place).text
    assert "Everything works." in shown
    assert SECRET not in shown
    back = fields_of(shown)
    assert (back["connection-page_size"], back["secret"], back["test"]) == ("77", "", test)
    assert test not in manager.get(place).text, "another's form is not shown"
    stolen = changed(opened(manager), connection__page_size="78", test=test)
    assert manager.send_form(PAGE, stolen).is_redirect
    assert database.call(tenants.get_connection, "sis").secret == "env:NOT_SET_HERE", "a tested secret is its typist's"
    moved = owner.send_form(PAGE, back | {"connection-url": "https://elsewhere.example/ims"})
    assert moved.status_code == 400
    assert "typed for the test is no longer kept" in moved.text
    again = changed(opened(owner), secret=SECRET)
    test = owner.send_form(TEST, again).headers["location"].partition("=")[2].removesuffix("#test")
    followed(owner, owner.get(f"{PAGE}?test={test}").text)
    back = fields_of(owner.get(f"{PAGE}?test={test}").text)
    assert owner.send_form(PAGE, back).is_redirect
    assert switched_on(owner).is_redirect
    assert unseal(database.call(tenants.get_connection, "sis").secret or "") == SECRET


def test_errors_of_the_form_are_shown_before_the_test_starts(owner: Browser, database: Database) -> None:
    piece = owner.send_form(TEST, opened(owner) | {"connection-page_size": "x"}, headers=HTMX)
    assert piece.status_code == 200, "a piece for a script"
    assert "The test was not started." in piece.text
    assert '<a href="#connection-page_size">Page size: Write a whole number.</a>' in piece.text
    whole = owner.send_form(TEST, opened(owner) | {"connection-page_size": "x"})
    assert (whole.status_code, list(errors_in(whole.text))) == (400, ["connection-page_size"])
    assert one(database, "select count(*) from connection_test") == 0


def test_this_machine_and_the_inner_network_are_refused_unless_an_operator_allowed_them(
    owner: Browser, operator: Browser, database: Database, sis: Served
) -> None:
    closed = changed(opened(operator), connection__allow_private_addresses=False)
    assert operator.send_form(PAGE, closed).is_redirect
    before = sis.sis.log.total
    here = (sis.url, sis.url.replace("127.0.0.1", "localhost"), "https://10.0.0.1/ims", "https://[::1]/ims")
    for url in ("http://10.0.0.1/ims", *here):
        sent = changed(opened(owner), connection__url=url, secret="x", connection__allow_private_addresses=True)
        red = words(tried(owner, sent))
        assert ("private network or on this machine" if url in here else "is not encrypted") in red, url
    assert sis.sis.log.total == before, "nothing was sent there"
    with database.begin() as conn:
        asked = conn.execute(
            text("select details -> 'servers' from audit where what = 'connection tested' order by id")
        )
        assert [row[0] for row in asked][-2:] == [["10.0.0.1:443"], ["[::1]:443"]], "who asks for what is in the audit"
    assert "servers 10.0.0.1:443" in owner.get("/schools/lincoln/audit").text
    assert "private network" not in words(
        tried(operator, opened(operator) | {"connection-allow_private_addresses": "on"})
    )


def test_only_so_many_tests_and_one_of_a_school_at_a_time(
    owner: Browser, database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = opened(owner)
    going = database.call(
        connection_tests.start,
        lincoln,
        who="another",
        form={},
        settings=lincoln.connection.settings,
        school_settings=lincoln.settings,
    )
    assert "A test of this school is going on" in owner.send_form(TEST, fields, headers=HTMX).text
    assert owner.send_form(TEST, fields).status_code == 409
    assert f"test/{going}/progress" not in owner.send_form(TEST, fields, headers=HTMX).text, "it is somebody else's"
    with database.begin() as conn:
        conn.execute(text("update connection_test set who = :who"), {"who": OWNER})
    again = owner.send_form(TEST, fields, headers=HTMX).text
    assert "A test of this school is going on" in again
    assert f'hx-get="/schools/lincoln/test/{going}/progress?seen=0"' in again, (
        "a second click does not lose the first one"
    )
    with database.begin() as conn:
        conn.execute(
            text("update connection_test set started_at = :old where id = :id"),
            {"old": datetime.now(UTC) - timedelta(minutes=connection_tests.LOST_MINUTES + 1), "id": going},
        )
    tried(owner, fields)
    lost = database.call(connection_tests.get, lincoln.id, going)
    assert lost is not None
    assert lost.problem is not None
    monkeypatch.setattr("roster_pipeline.console.pages.connection_tests.BY_ONE_PERSON", 3)
    limited = owner.send_form(TEST, fields)
    assert limited.status_code == 429
    assert "tried too often" in limited.text
    assert "tried too often" in owner.send_form(TEST, fields, headers=HTMX).text


def test_a_test_that_cannot_be_carried_out_says_why(owner: Browser, database: Database) -> None:
    database.call(tenant_changes.set_connection, "sis", secret_sealed="env:NOT_SET_HERE")
    told = words(tried(owner, opened(owner)))
    assert "The test could not be finished." in told
    assert "environment variable" in told
    assert state(database) is LastTest.NEVER


def test_no_secret_stands_in_any_answer_log_stream_or_plain_column(
    owner: Browser, database: Database, caplog: pytest.LogCaptureFixture, sis: Served
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    owner.event_hooks["response"] = [lambda answer: said.append(str(answer.url) + str(answer.headers))]
    for secret in (SECRET, "p0ison-wrong"):
        for fault in ("", "html_with_200", "truncated_json"):
            sis.sis.faults.clear()
            if fault:
                sis.sis.faults.set(fault)
            said += [words(tried(owner, opened(owner) | {"secret": secret}))]
            said += [owner.get(PAGE).text]
    sis.sis.faults.clear()
    said += [owner.send_form(PAGE, opened(owner) | {"secret": "p0ison-kept", "connection-page_size": "x"}).text]
    said += [owner.send_form(PAGE, opened(owner) | {"secret": "p0ison-kept"}).text]
    said += [owner.get(PAGE).text]
    said += [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    with database.begin() as conn:
        for table in ("connection_test", "audit", "connection", "school", "failure"):
            said += [json.dumps(row, default=str) for row in conn.scalars(text(f"select to_jsonb(t) from {table} t"))]
    assert "p0ison" not in "\n".join(said)


def test_a_test_keeps_a_secret_only_if_it_was_typed_for_the_test(owner: Browser, database: Database) -> None:
    tried(owner, opened(owner))
    tried(owner, opened(owner) | {"secret": "wr0ng"})
    kept = every(database, "select typed, secret from connection_test order by started_at")
    assert [(typed, secret is None) for typed, secret in kept] == [(False, True), (True, False)]
    assert unseal(str(kept[1][1])) == "wr0ng"
    with pytest.raises(RowRefused), database.begin() as conn:
        conn.execute(text("update connection_test set secret = 'a copy' where not typed"))


def test_old_tests_are_deleted_every_night_and_a_form_that_needs_one_says_so(
    owner: Browser, database: Database
) -> None:
    sent = owner.send_form(TEST, opened(owner) | {"secret": "p0ison-typed"})
    assert sent.status_code == 303
    form = fields_of(owner.get(sent.headers["location"]).text)
    assert form["test"]
    prune(database, Retention())
    assert one(database, "select count(*) from connection_test") == 1, "within the hour the form may still be saved"
    with database.begin() as conn:
        conn.execute(text("update connection_test set started_at = now() - interval '61 minutes'"))
    assert prune(database, Retention())["tests of forms"] == 1
    before = one(database, "select secret from connection where key = 'sis'")
    saved = owner.send_form(PAGE, form)
    assert saved.status_code == 400
    assert "typed for the test is no longer kept" in saved.text
    assert one(database, "select secret from connection where key = 'sis'") == before


def test_a_stored_secret_is_not_tried_with_settings_that_it_was_not_stored_with(
    signed_in: SignedIn, database: Database, lincoln: SchoolRow
) -> None:
    with database.begin() as conn:
        own: dict[str, Any] = {"settings": lincoln.connection.settings, "school_settings": lincoln.settings, "form": {}}
        test_id = connection_tests.start(conn, lincoln, who=OWNER, **own)
        tenant_changes.set_connection(
            conn, "sis", settings=lincoln.connection.settings.model_copy(update={"page_size": 7})
        )
    carry_out(database, "lincoln", test_id)
    test = database.call(connection_tests.get, lincoln.id, test_id)
    assert test is not None
    assert test.problem == "The connection was changed while this test began.\nTest again."
    assert test.items == []
