"""Adding a school from a page: who may, what is made, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from roster_pipeline.console.pages.new_school import key_of
from roster_pipeline.directory import audit, secrets, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline_tests.console.conftest import MANAGER, OPERATOR, OWNER, Browser
from roster_pipeline_tests.console.filling import errors_in, fields_of

SignedIn = Callable[[str], Browser]
PAGE = "/schools/new"
OAK = {"name": "St. Mary's Oak", "school_id": "4711"}
NEW: dict[str, Any] = OAK | {
    "place": "new in springfield",
    "connection-sis": "powerschool",
    "connection-url": "https://sis.example.org/ims",
    "connection-client_id": "abc",
    "secret": "p0ison",
}


def test_a_manager_adds_a_school_to_a_connection_of_their_district(signed_in: SignedIn, database: Database) -> None:
    with database.begin() as conn:
        there = tenants.get_school(conn, "lincoln").settings
        tenants.set_school(conn, "lincoln", settings=there.model_copy(update={"time_zone": "America/Chicago"}))
    browser = signed_in(MANAGER)
    shown = browser.get(PAGE).text
    assert 'value="sis"' in shown
    assert "foreign-sis" not in shown
    assert "shelbyville" not in shown.lower()
    answer = browser.send_form(PAGE, fields_of(shown, "/new") | OAK | {"place": "sis"})
    assert answer.headers["location"] == "/schools/st-marys-oak/settings"
    assert "The school was added." in browser.get("/schools/st-marys-oak/settings/connection").text
    with database.begin() as conn:
        made = tenants.get_school(conn, "st-marys-oak")
        assert audit.entries(conn, school_id=made.id)[0].who == MANAGER
    assert (made.name, made.settings.school_id, made.connection.key) == ("St. Mary's Oak", "4711", "sis")
    assert not made.settings.automatic
    assert made.settings.time_zone == "America/Chicago", "as most schools of the district"


def test_a_new_connection_is_made_with_it_and_starts_from_what_is_known(
    signed_in: SignedIn, database: Database
) -> None:
    browser = signed_in(MANAGER)
    assert browser.send_form(PAGE, NEW | {"connection-allow_private_addresses": "on"}).is_redirect
    with database.begin() as conn:
        made = tenants.get_school(conn, "st-marys-oak").connection
    assert (made.key, made.settings.sis, made.settings.sign_in) == ("st-marys-oak-sis", "powerschool", "oauth2")
    assert not made.settings.allow_private_addresses
    assert secrets.unseal(made.secret or "") == "p0ison"


WRONG = [
    ({"name": ""}, "name"),
    ({"school_id": ""}, "school_id"),
    ({"place": "sis", "school_id": "org-lincoln"}, "school_id"),
    ({"place": ""}, "place"),
    ({"key": "Oak!"}, "key"),
    ({"key": "new"}, "key"),
    ({"key": "lincoln"}, "key"),
    ({"connection_key": "sis"}, "connection_key"),
    ({"connection_key": "A B"}, "connection_key"),
    ({"connection-url": ""}, "connection-url"),
    ({"connection-url": "sis"}, "connection-url"),
    ({"connection-url": "file:///etc"}, "connection-url"),
    ({"secret": "env:PATH"}, "secret"),
]


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(signed_in: SignedIn, database: Database) -> None:
    browser = signed_in(MANAGER)
    for change, field in WRONG:
        answer = browser.send_form(PAGE, NEW | change)
        assert answer.status_code == 400, change
        typed = {"secret"} if "place" not in change else set()
        assert set(errors_in(answer.text)) == {field} | typed, "the secret that was typed is gone, and the page says so"
        assert "p0ison" not in answer.text
        assert fields_of(answer.text, "/new")["connection-client_id"] == "abc", "what was entered is kept"
    with database.begin() as conn:
        assert {one.key for one in tenants.list_schools(conn)} == {"foreign", "lincoln"}
        assert {one.key for one in tenants.list_connections(conn)} == {"foreign-sis", "sis"}


def test_owners_and_managers_of_other_districts_add_nothing(signed_in: SignedIn, database: Database) -> None:
    owner, manager = signed_in(OWNER), signed_in(MANAGER)
    assert owner.get(PAGE).status_code == 404
    assert owner.send_form(PAGE, OAK | {"place": "sis"}).status_code == 404
    for place in ("foreign-sis", "new in shelbyville", "new in nowhere", "nowhere"):
        answer = manager.send_form(PAGE, NEW | {"place": place})
        assert answer.status_code == 404, place
    assert signed_in(OPERATOR).send_form(PAGE, OAK | {"place": "foreign-sis"}).is_redirect


def test_a_key_is_proposed_from_the_name(signed_in: SignedIn) -> None:
    assert key_of("St. Mary's, Lincoln (Übung)") == "st-marys-lincoln-ubung"
    assert len(key_of("x" * 100)) == 64
    browser = signed_in(MANAGER)
    assert 'value="oak-high"' in browser.get("/school-key?name=Oak+High&key=").text
    assert 'value="mine"' in browser.get("/school-key?name=Oak+High&key=mine").text
