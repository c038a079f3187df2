"""New districts, connections and schools from pages: rights, reading the SIS, results and refusals."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from roster_pipeline.console.pages.sis_school_pages import LABELS
from roster_pipeline.defs.resources import InstallationResource
from roster_pipeline.directory import accounts, audit, connection_tests, outbox, secrets, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.oneroster.collections.wanted import Batch
from roster_pipeline.oneroster.people_counts import SchoolList
from roster_pipeline.services.connection_test import carry_out_list
from roster_pipeline.services.school_changes import key_of, new_key
from roster_pipeline.services.settings_changes import LastTest, last_test
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings
from roster_pipeline.simulator import generate_district
from roster_pipeline.sync.outbox_sender import send_due
from roster_pipeline_tests.console.conftest import MANAGER, OWNER, Browser, Console, SignedIn
from roster_pipeline_tests.console.filling import errors_in, fields_of
from roster_pipeline_tests.console.served_sis import SECRET, Served, followed, school_in, served_sis
from roster_pipeline_tests.csv_bundle import write_csv_bundle
from roster_pipeline_tests.directory.builders import every, one
from roster_pipeline_tests.district import change_school
from roster_pipeline_tests.hostile_strings import hostile_strings, leaked
from roster_pipeline_tests.waiting import until

PAGE, LIST, PICK = "/schools/new", "/connections/sis/list", "/connections/sis/schools"
NEW: dict[str, Any] = {
    "district": "springfield",
    "connection-sis": "powerschool",
    "connection-url": "https://sis.example.org/ims",
    "connection-client_id": "abc",
    "secret": "p0ison",
}


@pytest.fixture
def lincoln(database: Database, environment: object, sis: Served) -> SchoolRow:
    return school_in(database, sis)


def students_of(sis: Served) -> str:
    return f"{len(sis.people.people_of('sch-2', 'student'))} students"


def listed(browser: Browser, path: str = PICK) -> str:
    """The page with the schools, once their people are counted."""
    until(lambda: "http-equiv" not in browser.get(path).text, told=lambda: "the list did not end")
    return browser.get(path).text


def test_the_schools_of_the_sis_are_listed_with_their_people_and_several_are_added_like_another(
    manager: Browser, database: Database, sis: Served
) -> None:
    shown = manager.get(PAGE).text
    assert 'action="/connections/sis/list"' in shown
    assert "foreign-sis" not in shown
    assert manager.send_form(LIST).headers["location"] == PICK
    shown = listed(manager)
    names = [org.name for org in sis.people.orgs if org.type == "school"]
    assert len(names) == 2
    for name in names:
        assert name in shown
    assert students_of(sis) in shown
    assert 'href="/schools/lincoln"' in shown, "what is there already cannot be added again"
    assert shown.count('name="school"') == 1
    roles = RoleSettings(rostered=True, archive=True)
    like = {"students": roles, "automatic": True, "report_to": ["head@lincoln.example"], "phone_region": "DE"}
    change_school(database, "lincoln", **like)
    sent = fields_of(shown, PICK) | {"school": "sch-2", "owner-sch-2": "Oak@Example.org", "pattern": "lincoln"}
    answer = manager.send_form(PICK, sent | {"owners": "it@example.org"})
    name = next(org.name for org in sis.people.orgs if org.sourced_id == "sch-2")
    assert answer.headers["location"] == f"/schools/{key_of(name)}"
    with database.begin() as conn:
        made = tenants.get_school(conn, key_of(name))
        owners = {grant.email for grant in accounts.grants(conn) if grant.school_id == made.id}
        mails = outbox.messages(conn)
        what = {entry.what for entry in audit.search(conn, school_id=made.id)}
    assert (made.name, made.settings.school_id, made.connection.key) == (name, "sch-2", "sis")
    assert (made.settings.students, made.settings.phone_region) == (roles, "DE")
    assert not made.settings.automatic, "only after a test of its own"
    assert last_test(made) is LastTest.NEVER
    assert made.settings.report_to == ["oak@example.org", "it@example.org"], "not those of the other school"
    assert owners == {"oak@example.org", "it@example.org"}
    assert {"school added", "access granted"} <= what
    assert sorted(mail.recipients[0] for mail in mails) == ["it@example.org", "oak@example.org"]
    for mail in mails:
        assert name in mail.text
        assert f"/schools/{made.key}" in mail.text
        assert mail.kind == "invitation"
    assert "token" not in mails[0].text, "others may read the outbox"


def test_a_list_is_followed_until_its_people_are_counted(manager: Browser, sis: Served) -> None:
    manager.send_form(LIST)
    followed(manager, manager.get(PICK).text)
    assert manager.get(f"{PICK}/progress").headers["hx-refresh"] == "true"
    assert students_of(sis) in followed(manager, manager.get(PICK).text)[-1]
    counted = manager.get(f"{PICK}/progress?shown=yes")
    assert counted.status_code == 286, "htmx asks no more"
    assert f'<span id="people-sch-1" hx-swap-oob="true">{students_of(sis)}' in counted.text


def test_a_school_that_is_not_in_the_list_is_typed(manager: Browser, database: Database) -> None:
    change_school(database, "lincoln", time_zone="America/Chicago")
    typed = {"name": "St. Mary's Oak", "school_id": "4711"}
    for change, field in (({"name": ""}, "name"), ({"school_id": ""}, "school_id")):
        refused = manager.send_form(PICK, typed | change)
        assert (refused.status_code, set(errors_in(refused.text))) == (400, {field})
    assert "the School ID of Lincoln" in manager.send_form(PICK, typed | {"school_id": "sch-1"}).text
    assert "Tick at least one school." in manager.send_form(PICK, {}).text
    assert manager.send_form(PICK, typed).headers["location"] == "/schools/st-marys-oak"
    assert manager.send_form(PICK, typed | {"school_id": "4712"}).headers["location"] == "/schools/st-marys-oak-2"
    assert database.call(tenants.get_school, "st-marys-oak").settings.time_zone == "America/Chicago"


def test_all_schools_that_the_search_leaves_are_added_at_once(
    manager: Browser, database: Database, tmp_path: Path
) -> None:
    people = generate_district(3, schools=6, students_per_school=5)
    (tmp_path / "export").mkdir()
    write_csv_bundle(people, tmp_path / "export" / "roster.zip")
    settings = ConnectionSettings(url=f"file://{tmp_path}/export", allow_private_addresses=True)
    connection = database.call(tenant_changes.add_connection, "springfield", "csv", settings, None)
    list_id = database.call(connection_tests.start_list, connection, who="test")
    carry_out_list(database, "csv", list_id)
    page = "/connections/csv/schools"
    shown = manager.get(page).text
    names = [org.name for org in people.orgs if org.type == "school"]
    assert f"{len(people.people_of('sch-1', 'student'))} students" in shown, "of CSV files too"
    assert "All 6 of them" in shown
    word = names[0].split()[-2]
    fitting = [name for name in names if word in name]
    assert manager.send_form(f"{page}?q={word}", {"all": "on"}).is_redirect
    assert sorted([row.name for row in database.call(tenants.schools_of, connection.id)]) == sorted(fitting)
    assert manager.send_form(page, {"all": "on"}).headers["location"] == "/connections/csv/test"
    assert len(database.call(tenants.schools_of, connection.id)) == len(names)


def test_nothing_is_made_if_one_address_is_wrong(manager: Browser, database: Database) -> None:
    manager.send_form(LIST)
    sent = fields_of(listed(manager), PICK) | {"school": "sch-2", "owners": "nobody"}
    answer = manager.send_form(PICK, sent)
    assert (answer.status_code, set(errors_in(answer.text))) == (400, {"owners"})
    assert 'value="sch-2" checked' in answer.text, "what was ticked stays"
    wrong = manager.send_form(PICK, sent | {"owners": "", "pattern": "foreign"})
    assert set(errors_in(wrong.text)) == {"pattern"}, "the settings of another district"
    assert {row.key for row in database.call(tenants.list_schools)} == {"foreign", "lincoln"}
    assert database.call(outbox.messages) == []


def test_a_new_connection_starts_from_what_is_known_of_its_sis(
    manager: Browser, operator: Browser, database: Database
) -> None:
    answer = manager.send_form(PAGE, NEW | {"connection-allow_private_addresses": "on"})
    assert answer.headers["location"] == "/connections/springfield-powerschool/schools"
    made = database.call(tenants.get_connection, "springfield-powerschool")
    assert (made.settings.sis, made.settings.sign_in) == ("powerschool", "oauth2")
    assert not made.settings.allow_private_addresses
    assert secrets.unseal(made.secret or "") == "p0ison"
    of_sis = "/connections/springfield-powerschool"
    for tick, on in (({"connection-allow_private_addresses": "on"}, True), ({}, False)):
        operator.send_form(f"{of_sis}/list", NEW | tick)
        saved = database.call(tenants.get_connection, "springfield-powerschool").settings
        assert saved.allow_private_addresses is on, "an operator decides about it before there is a school"
        listed(operator, f"{of_sis}/schools")
        refused = operator.send_form(f"{of_sis}/list", NEW | tick | {"connection-url": "sis"}).text
        assert (fields_of(refused, f"{of_sis}/list").get("connection-allow_private_addresses") == "on") is on
    assert "allow_private_addresses" not in manager.get(PAGE).text


WRONG = [
    ({"connection_key": "sis"}, "connection_key"),
    ({"connection_key": "A B"}, "connection_key"),
    ({"connection-url": ""}, "connection-url"),
    ({"connection-url": "sis"}, "connection-url"),
    ({"connection-url": "file:///etc"}, "connection-url"),
    ({"secret": "env:PATH"}, "secret"),
]


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(manager: Browser, database: Database) -> None:
    for change, field in WRONG:
        answer = manager.send_form(PAGE, NEW | change)
        assert answer.status_code == 400, change
        assert set(errors_in(answer.text)) == {field, "secret"}, "the typed secret is gone, and the page says so"
        assert "p0ison" not in answer.text
        assert f'<li><a href="#{field}">{LABELS[field]}: ' in answer.text, "the list above the form names the field"
        assert fields_of(answer.text, "/new")["connection-client_id"] == "abc", "what was entered is kept"
    assert {row.key for row in database.call(tenants.list_connections)} == {"foreign-sis", "sis"}


def test_a_wrong_secret_is_named_and_corrected_in_place(manager: Browser, database: Database, sis: Served) -> None:
    database.call(tenant_changes.set_connection, "sis", secret_sealed=secrets.seal("wr0ng"))
    manager.send_form(LIST)
    shown = listed(manager)
    assert "The schools could not be read." in shown
    assert "Check Client ID and Client Secret" in shown
    assert "wr0ng" not in shown
    assert "Read the list again" not in shown, "that button would drop what is typed into the form"
    assert manager.send_form(LIST, fields_of(shown, LIST) | {"secret": SECRET}).headers["location"] == PICK
    assert students_of(sis) in listed(manager)
    assert database.call(tenants.get_connection, "sis").settings.allow_private_addresses, "the rest stays"
    moved = manager.send_form(LIST, fields_of(shown, LIST) | {"connection-url": "https://elsewhere.example/ims"})
    assert "type the Client Secret again" in errors_in(moved.text)["secret"]


def test_a_problem_with_the_token_url_unfolds_that_field_and_links_to_it(
    manager: Browser, database: Database, lincoln: SchoolRow
) -> None:
    for problem, unfolded in (("Enter the token URL that the SIS shows.", True), ("Check the Client ID.", False)):
        found = database.call(connection_tests.start_list, lincoln.connection, who="test")
        database.call(connection_tests.end_list, found, f"It did not work.\n{problem}")
        shown = manager.get(PICK).text
        assert bool(re.search(r"<details open>\s*<summary>Token URL", shown)) == unfolded
        assert ('<a href="#connection-token_url">Token URL</a>' in shown) == unfolded


@pytest.mark.parametrize(
    "corrected", [{}, {"connection-url": "https://sis.example.org/v2"}, {"connection-client_id": "b"}]
)
def test_a_second_attempt_corrects_the_connection_of_the_first(
    manager: Browser, database: Database, corrected: dict[str, str]
) -> None:
    before = int(one(database, "select count(*) from connection"))
    there = "/connections/springfield-powerschool/schools"
    assert manager.send_form(PAGE, NEW).headers["location"] == there
    assert manager.send_form(PAGE, NEW | corrected | {"secret": "second"}).headers["location"] == there
    made = database.call(tenants.get_connection, "springfield-powerschool")
    assert int(one(database, "select count(*) from connection")) == before + 1
    assert made.settings.url == (NEW | corrected)["connection-url"]
    assert made.settings.client_id == (NEW | corrected)["connection-client_id"]
    assert secrets.unseal(made.secret or "") == "second"
    both = {"connection-url": "https://other.example.org", "connection-client_id": "c"}
    assert "powerschool-2" in manager.send_form(PAGE, NEW | both).headers["location"], "somebody else's SIS"
    manager.send_form(there, {"name": "Oak", "school_id": "4711"})
    used = NEW | {"connection-url": made.settings.url, "connection-client_id": made.settings.client_id}
    assert "powerschool-3" in manager.send_form(PAGE, used).headers["location"], "one with a school is not changed here"


def test_the_end_of_a_list_is_not_the_end_of_the_next_one(database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as conn:
        first = connection_tests.start_list(conn, lincoln.connection, who="test")
        connection_tests.end_list(conn, first, "wrong")
        second = connection_tests.start_list(conn, lincoln.connection, who="test")
        connection_tests.note_schools(conn, first, [{"id": "1"}])
        connection_tests.end_list(conn, first, "its process ended")
        found = connection_tests.get_list(conn, lincoln.connection)
    assert found is not None
    assert (found.id, found.problem, found.ended_at, found.schools) == (second, None, None, [])


def test_owners_and_managers_of_other_districts_see_and_add_nothing(
    owner: Browser, manager: Browser, database: Database
) -> None:
    for path in (PAGE, PICK, f"{PICK}/progress"):
        assert owner.get(path).status_code == 404, path
    for path in (PAGE, PICK, LIST):
        assert owner.send_form(path, NEW).status_code == 404, path
    for path in ("/connections/foreign-sis/schools", "/connections/nowhere/schools"):
        assert manager.get(path).status_code == 404
        assert manager.send_form(path, {"name": "Oak", "school_id": "1"}).status_code == 404
    for path in ("/connections/foreign-sis/list", "/connections/foreign-sis/schools/progress"):
        assert manager.send_form(path).status_code in (404, 405)
    for district in ("shelbyville", "nowhere"):
        assert manager.send_form(PAGE, NEW | {"district": district}).status_code == 404
    assert one(database, "select count(*) from sis_school_list") == 0


def test_operators_make_districts_and_their_managers_are_invited(
    signed_in: SignedIn, operator: Browser, database: Database, console: Console
) -> None:
    for who in (OWNER, MANAGER):
        assert signed_in(who).get("/districts/new").status_code == 404
        assert signed_in(who).send_form("/districts/new", {"name": "Oak Park"}).status_code == 404
    for change, field in (
        ({"name": ""}, "name"),
        ({"key": "springfield"}, "key"),
        ({"key": "A"}, "key"),
        ({"key": "new"}, "key"),
        ({"managers": "nobody"}, "managers"),
    ):
        refused = operator.send_form("/districts/new", {"name": "Oak Park"} | change)
        assert (refused.status_code, set(errors_in(refused.text))) == (400, {field})
    sent = {"name": "Oak Park", "managers": "ann@oak.example, bob@oak.example"}
    then = operator.send_form("/districts/new", sent).headers["location"]
    assert re.search(r'<option value="oak-park" selected>', operator.get(then).text), "not the first district"
    with database.begin() as conn:
        made = tenants.get_district(conn, "oak-park")
        assert accounts.managers_of(conn, made.id) == ["ann@oak.example", "bob@oak.example"]
        mail = outbox.messages(conn)[0]
        added = audit.search(conn, districts=[made.id])[-1]
        assert (added.what, added.district) == ("district added", "oak-park")
    assert f"{console.url}/schools/new" in mail.text
    assert "You can now look after Oak Park in Roster." in mail.text
    assert send_due(database, InstallationResource().mailer()).sent == 2


def test_keys_are_made_of_names() -> None:
    assert key_of("St. Mary's, Lincoln (Übung)") == "st-marys-lincoln-ubung"
    assert len(key_of("x" * 100)) == 60
    assert new_key("Oak", {"oak", "oak-2"}) == "oak-3"
    assert new_key("New", ()) == "school-new"
    assert new_key("学校", ()) == "school"


def test_counting_keeps_counts_alone_and_says_nothing_of_people(
    database: Database, lincoln: SchoolRow, environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with served_sis() as poisoned:
        hostile_strings(poisoned.people)
        settings = ConnectionSettings(url=poisoned.url, client_id="client", allow_private_addresses=True)
        for fault in ("", "truncated_json"):
            database.call(tenant_changes.set_connection, "sis", settings, secrets.seal(SECRET))
            connection = database.call(tenants.get_connection, "sis")
            list_id = database.call(connection_tests.start_list, connection, who="test")
            if fault:
                poisoned.sis.faults.set(fault)
            carry_out_list(database, "sis", list_id)
            said = str(every(database, "select * from sis_school_list")) + caplog.text
            assert leaked(said) == []
            found = database.call(connection_tests.get_list, connection)
            assert found is not None
            assert (found.problem is None) == (not fault)


def test_people_are_counted_once_for_each_school_and_role() -> None:
    def org(name: str, kind: str = "school", status: str = "active") -> dict[str, Any]:
        return {"sourcedId": name, "name": name, "identifier": None, "type": kind, "status": status, "parent": None}

    def user(*roles: tuple[str, str], status: str = "active", end: str | None = None) -> dict[str, Any]:
        entries = [{"org": org, "role": role, "beginDate": None, "endDate": end} for org, role in roles]
        return {"sourcedId": "u", "status": status, "roles": entries}

    found = SchoolList(date(2027, 1, 15))
    found.take(Batch("org", [org("b"), org("a"), org("d", "district"), org("gone", status="tobedeleted")], []))
    assert [(one["id"], one["people"]) for one in found.schools()] == [("a", None), ("b", None)]
    users = [
        user(("a", "student"), ("b", "student")),
        user(("a", "aide"), ("a", "proctor")),
        user(("a", "guardian")),
        user(("a", "student"), end="2026-12-31"),
        user(("a", "student"), status="tobedeleted"),
    ]
    found.take(Batch("user", users, []))
    a, b = (one["people"] for one in found.schools())
    assert a == {"student": 1, "teacher": 0, "staff": 1, "admin": 0}
    assert b == {"student": 1, "teacher": 0, "staff": 0, "admin": 0}
    alone = SchoolList(date(2027, 1, 15))
    alone.take(Batch("org", [org("d", "district")], []))
    assert [one["id"] for one in alone.schools()] == ["d"], "a SIS that calls none of its orgs a school"
