"""Changing settings: the audit, messages about somebody else's change, and when a test is needed."""

from dataclasses import replace
from datetime import time
from typing import Any

import pytest

from roster_pipeline.directory import audit, secrets, tenant_changes, tenants
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.services.save_settings import Wanted, save_settings
from roster_pipeline.services.school_changes import add_school, change_school
from roster_pipeline.services.settings_changes import (
    ChangedMeanwhile,
    LastTest,
    add_connection,
    change_connection,
    last_test,
    same_place,
    secret_must_be_typed,
)
from roster_pipeline.settings.school import ConnectionSettings, SchoolSettings

GREEN = [{"name": "Sign-in", "ok": True, "detail": "", "remedy": ""}]
RED = [{"name": "Sign-in", "ok": False, "detail": "", "remedy": ""}]
HERE = ConnectionSettings(url="https://sis.example.org/ims", client_id="a", token_url="https://login.example.org/t")


@pytest.fixture
def oak(database: Database, monkeypatch: pytest.MonkeyPatch) -> SchoolRow:
    """A school without a test."""
    monkeypatch.setenv(secrets.SECRET_KEY, secrets.new_key())
    with database.begin() as conn:
        tenant_changes.add_district(conn, "spring", "Spring")
        add_connection(conn, "spring", "sis", HERE, "s3cret", who="ada")
        return add_school(conn, "sis", "oak", "Oak", SchoolSettings(school_id="1"), who="ada")


def test_a_change_names_what_differs_and_who_did_it_and_no_value(database: Database, oak: SchoolRow) -> None:
    with database.begin() as conn:
        wanted = HERE.model_copy(update={"page_size": 50})
        assert change_connection(conn, "sis", who="bo", settings=wanted, secret="n3w").names == [
            "page_size",
            "client_secret",
        ]
        assert change_school(conn, "oak", who="bo", name="Oak High").names == ["name"]
        first, second = audit.search(conn, limit=2)
    assert (first.who, first.what, first.details["changed"]) == ("bo", "school changed", ["name"])
    assert second.details == {"connection": "sis", "changed": ["page_size", "client_secret"], "revision": 2}


def test_saving_over_somebody_elses_change_is_refused_with_who_and_what(database: Database, oak: SchoolRow) -> None:
    database.call(change_school, "oak", who="bo", settings=oak.settings.model_copy(update={"sync_time": time(18, 0)}))
    database.call(change_connection, "sis", who="cy", secret="n3w")
    with database.begin() as conn, pytest.raises(ChangedMeanwhile, match="bo changed Oak meanwhile: Sync time"):
        change_school(conn, "oak", who="ada", name="Mine", seen=oak.revision)
    with database.begin() as conn, pytest.raises(ChangedMeanwhile, match=r"cy changed .* Client Secret"):
        change_connection(conn, "sis", who="ada", settings=HERE, seen=oak.connection.revision)
    assert database.call(tenants.get_school, "oak").name == "Oak"
    assert database.call(change_school, "oak", who="ada", name="Mine", seen=oak.revision + 1).names == ["name"]


def test_a_change_of_the_connection_or_the_school_id_makes_a_test_stale(database: Database, oak: SchoolRow) -> None:
    def state() -> LastTest:
        return last_test(tenants.get_school(conn, "oak"))

    with database.begin() as conn:
        assert state() is LastTest.NEVER
        tenant_changes.save_test(conn, oak, GREEN)
        assert state() is LastTest.GREEN
        change_school(conn, "oak", who="a", settings=oak.settings.model_copy(update={"time_zone": "Europe/Berlin"}))
        change_connection(conn, "sis", who="a", settings=HERE.model_copy(update={"sis": "powerschool"}))
        assert state() is LastTest.GREEN, "nothing that is tested changed"
        change_school(conn, "oak", who="a", settings=oak.settings.model_copy(update={"school_id": "2"}))
        assert state() is LastTest.STALE
        tenant_changes.save_test(conn, tenants.get_school(conn, "oak"), RED)
        assert state() is LastTest.RED
        change_connection(conn, "sis", who="a", secret="n3w")
        assert state() is LastTest.STALE


ON = {"automatic": True}


@pytest.mark.parametrize(
    ("items", "was_on", "change", "refused"),
    [
        (None, False, ON, LastTest.NEVER),
        (RED, False, ON, LastTest.RED),
        (GREEN, False, ON, None),
        (GREEN, True, {"school_id": "2"}, LastTest.STALE),
        (RED, True, {"time_zone": "Europe/Berlin"}, None),
        (None, True, {"time_zone": "Europe/Berlin"}, None),
        (None, True, {"automatic": False}, None),
        (None, False, {"time_zone": "Europe/Berlin"}, None),
    ],
)
def test_a_page_lets_a_school_run_by_itself_only_after_a_test(
    database: Database,
    oak: SchoolRow,
    items: list[dict[str, Any]] | None,
    was_on: bool,
    change: dict[str, Any],
    refused: LastTest | None,
) -> None:
    with database.begin() as conn:
        settings = oak.settings.model_copy(update={"automatic": was_on})
        change_school(conn, "oak", who="script", settings=settings)
        if items is not None:
            tenant_changes.save_test(conn, oak, items)
        row = tenants.get_school(conn, "oak")
    wanted = Wanted(row.name, settings.model_copy(update=change), row.connection.settings)
    seen = (row.revision, row.connection.revision)
    result = save_settings(database, "oak", wanted, who="ada", operator=True, manager=True, seen=seen)
    assert (result.needs_test.state if result.needs_test else None) is refused
    assert result.saved is (refused is None)
    assert database.call(tenants.get_school, "oak").settings == (wanted.settings if result.saved else settings)


def test_a_school_is_read_once_for_a_save(database: Database, oak: SchoolRow, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    real = tenants.get_school

    def counted(conn: Any, key: str) -> SchoolRow:
        reads.append(key)
        return real(conn, key)

    monkeypatch.setattr(tenants, "get_school", counted)
    rights: dict[str, Any] = {"who": "ada", "operator": True, "manager": True}
    wanted = Wanted("Oak High", oak.settings.model_copy(update={"contacts_most": 2}), oak.connection.settings)
    seen = (oak.revision, oak.connection.revision)
    result = save_settings(database, "oak", wanted, **rights, seen=seen)
    assert (result.changed, reads) == (["contacts_most", "name"], ["oak"])
    changed = oak.connection.settings.model_copy(update={"page_size": 7})
    again = replace(wanted, connection=changed)
    assert save_settings(database, "oak", again, **rights, seen=(seen[0] + 1, seen[1])).changed == ["page_size"]
    assert reads == ["oak"] * 3, "a change of the connection may make a test stale, so the school is read again"


def test_a_refused_save_says_why_and_writes_nothing(database: Database, oak: SchoolRow) -> None:
    rights: dict[str, Any] = {"who": "ada", "operator": False, "manager": False}
    seen = (oak.revision, oak.connection.revision)
    taken = Wanted("Other", oak.settings.model_copy(update={"school_id": "999"}))
    result = save_settings(database, "oak", taken, **rights, seen=seen)
    assert (result.saved, list(result.errors)) == (False, ["school_id"])
    late = save_settings(database, "oak", Wanted("Other", oak.settings), **rights, seen=(seen[0] - 1, seen[1]))
    assert late.conflict is not None
    assert database.call(tenants.get_school, "oak").name == "Oak"


def test_a_script_may_and_learns_which_schools_run_untested(database: Database, oak: SchoolRow) -> None:
    with database.begin() as conn:
        on = oak.settings.model_copy(update=ON)
        assert change_school(conn, "oak", who="script", settings=on).untested == ["oak"]
        tenant_changes.save_test(conn, tenants.get_school(conn, "oak"), GREEN)
        assert change_school(conn, "oak", who="script", settings=on).untested == []
        assert change_connection(conn, "sis", who="script", secret="n3w").untested == ["oak"]


@pytest.mark.parametrize(
    ("change", "typed", "same"),
    [
        ({"client_id": "b", "page_size": 5}, False, True),
        ({"url": "https://SIS.example.org:443/other"}, False, True),
        ({"token_url": None}, False, True),
        ({"token_url": "https://sis.example.org/token"}, False, True),
        ({"url": "https://sis.example.org.evil.example/ims"}, True, False),
        ({"url": "https://sis.example.org@evil.example/ims"}, True, False),
        ({"url": "https://sis.example.org:8443/ims"}, True, False),
        ({"url": "http://sis.example.org/ims"}, True, False),
        ({"url": "https://sis.example.org:port/ims"}, True, False),
        ({"token_url": "https://evil.example/t"}, True, False),
        ({"ca_bundle": "-----BEGIN CERTIFICATE-----"}, True, True),
        ({"host_key": "ssh-ed25519 AAAA"}, True, True),
        ({"url": "file:///etc"}, True, False),
    ],
)
def test_a_stored_secret_goes_to_no_other_server(change: dict[str, Any], typed: bool, same: bool) -> None:
    wanted = ConnectionSettings.model_validate(HERE.model_dump() | change)
    assert secret_must_be_typed(HERE, wanted) is typed
    assert same_place(HERE, wanted) is same
