"""Districts, connections, schools and their secrets."""

import pytest

from roster_pipeline.directory import ledger, secrets, tenant_changes, tenants
from roster_pipeline.directory.database import Database, DirectoryError
from roster_pipeline.directory.tenants import SchoolRow
from roster_pipeline.settings.school import ConnectionSettings, RoleSettings, SchoolSettings
from roster_pipeline_tests.directory.builders import add_school, newcomer, one, sync_rows


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secrets.SECRET_KEY, secrets.new_key())


def test_settings_come_back_as_they_were_set(database: Database, lincoln: SchoolRow) -> None:
    chosen = SchoolSettings(school_id="x", students=RoleSettings(rostered=True), time_zone="Europe/Berlin")
    database.call(tenant_changes.set_school, "lincoln", settings=chosen, name="Lincoln High")
    found = database.call(tenants.get_school, "lincoln")
    assert database.call(tenants.list_schools, "springfield") == [found]
    assert (found.settings, found.name, found.connection.key) == (chosen, "Lincoln High", "sis")


def test_new_connection_settings_forget_what_was_learned(database: Database, lincoln: SchoolRow) -> None:
    with database.begin() as conn:
        tenants.remember(conn, lincoln.connection.id, {"version": "1.2"})
        tenants.remember(conn, lincoln.connection.id, {"strategy": "whole"})
        assert tenants.get_connection(conn, "sis").learned == {"version": "1.2", "strategy": "whole"}
        tenant_changes.set_connection(conn, "sis", settings=ConnectionSettings(url="https://new.example.org"))
        found = tenants.get_connection(conn, "sis")
        assert (found.learned, found.settings.url, found.secret) == ({}, "https://new.example.org", "env:NOWHERE")


def test_a_test_is_kept_with_its_time(database: Database, lincoln: SchoolRow) -> None:
    database.call(tenant_changes.save_test, lincoln, [{"name": "sign-in", "ok": True}])
    kept = database.call(tenants.get_school, "lincoln").test
    assert kept is not None
    assert kept["items"] == [{"name": "sign-in", "ok": True}]
    assert "T" in kept["at"]
    assert kept["of"] == {"revision": lincoln.connection.revision, "school_id": lincoln.settings.school_id}


def test_a_revision_grows_with_a_change_and_only_with_one(database: Database, lincoln: SchoolRow) -> None:
    def revisions() -> tuple[int, int]:
        found = tenants.get_school(conn, "lincoln")
        return found.revision, found.connection.revision

    with database.begin() as conn:
        first = revisions()
        tenant_changes.set_school(conn, "lincoln", settings=lincoln.settings, name=lincoln.name)
        tenant_changes.set_connection(conn, "sis", settings=lincoln.connection.settings)
        assert revisions() == first
        tenant_changes.set_school(conn, "lincoln", name="New")
        tenant_changes.set_connection(conn, "sis", secret_sealed="env:OTHER")
        assert revisions() == (first[0] + 1, first[1] + 1)


def test_unknown_and_taken_keys_are_named_with_the_remedy(database: Database, lincoln: SchoolRow) -> None:
    for kind in ("district", "connection", "school"):
        with (
            database.begin() as conn,
            pytest.raises(tenants.UnknownKey, match=f"no {kind} nowhere.*\n.*roster {kind} list"),
        ):
            getattr(tenants, f"get_{kind}")(conn, "nowhere")
    with database.begin() as conn, pytest.raises(tenants.UnknownKey):
        tenant_changes.set_school(conn, "nowhere", name="x")
    with database.begin() as conn, pytest.raises(tenant_changes.KeyTaken):
        add_school(conn, "lincoln")
    with database.begin() as conn, pytest.raises(tenant_changes.KeyTaken):
        tenant_changes.add_district(conn, "springfield", "x")


def test_a_secret_is_never_stored_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = secrets.seal("s3cret")
    assert "s3cret" not in sealed
    assert secrets.unseal(sealed) == "s3cret"
    monkeypatch.setenv(secrets.SECRET_KEY, secrets.new_key())
    with pytest.raises(secrets.WrongKey):
        secrets.unseal(sealed)


def test_a_reference_is_opened_where_the_variable_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert secrets.seal("env:SIS_SECRET") == "env:SIS_SECRET"
    with pytest.raises(DirectoryError, match="SIS_SECRET"):
        secrets.unseal("env:SIS_SECRET")
    monkeypatch.setenv("SIS_SECRET", "s3cret")
    assert secrets.unseal("env:SIS_SECRET") == "s3cret"


def test_without_a_key_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(secrets.SECRET_KEY)
    with pytest.raises(secrets.MissingKey, match="ROSTER_SECRET_KEY"):
        secrets.seal("s3cret")
    monkeypatch.setenv(secrets.SECRET_KEY, "no key")
    with pytest.raises(secrets.MissingKey):
        secrets.seal("s3cret")


def test_keys_are_rotated_in_one_go(database: Database, lincoln: SchoolRow, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = secrets.new_key(), secrets.new_key()
    monkeypatch.setenv(secrets.SECRET_KEY, old)
    settings = ConnectionSettings(url="https://sis.example.org")
    with database.begin() as conn:
        tenant_changes.add_connection(conn, "springfield", "second", settings, secrets.seal("s3cret"))
        with pytest.raises(secrets.WrongKey):
            secrets.rotate(conn, new, old, who="Ada")
        assert secrets.rotate(conn, old, new, who="Ada") == 1
        sealed = tenants.get_connection(conn, "second").secret
    monkeypatch.setenv(secrets.SECRET_KEY, f"{new},{old}")
    assert sealed is not None
    assert secrets.unseal(sealed) == "s3cret"


def test_the_ledger_says_when_and_whether_a_school_was_synced(database: Database, lincoln: SchoolRow) -> None:
    assert not database.call(ledger.has_synced, lincoln.id)
    result = sync_rows(database, lincoln, newcomer("u1"))
    with database.begin() as conn:
        assert ledger.has_synced(conn, lincoln.id)
        (line,) = ledger.history(conn, school_id=lincoln.id)
        assert (line.id, line.school, line.counts) == (result.sync_id, "lincoln", {"student": {"create": 1}})
    assert one(database, "select count(distinct xid) from change_log") == 1


def test_a_name_that_could_mislead_a_reader_is_refused(database: Database, lincoln: SchoolRow) -> None:
    for name in ("", " ", "x" * 201, "Oak\nBcc: all@example.org", "Oak\u202eloohcS", "Oak\u200b", "a\u2028b"):
        with database.begin() as conn:
            with pytest.raises(tenant_changes.RefusedSetting):
                tenant_changes.add_district(conn, "other", name)
            with pytest.raises(tenant_changes.RefusedSetting):
                tenant_changes.add_school(conn, "sis", "other", name, SchoolSettings(school_id="2"))
            with pytest.raises(tenant_changes.RefusedSetting):
                tenant_changes.set_school(conn, "lincoln", name=name)
            assert tenants.get_school(conn, "lincoln").name == lincoln.name, repr(name)


def test_a_report_has_at_most_twenty_recipients(database: Database, lincoln: SchoolRow) -> None:
    many = [f"office{place}@example.org" for place in range(21)]
    with database.begin() as conn:
        tenant_changes.set_school(conn, "lincoln", SchoolSettings(school_id="1", report_to=many[:20]))
        with pytest.raises(tenant_changes.RefusedSetting, match="at most 20"):
            tenant_changes.set_school(conn, "lincoln", SchoolSettings(school_id="1", report_to=many))
        assert len(tenants.get_school(conn, "lincoln").settings.report_to) == 20
