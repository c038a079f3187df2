"""For operators: pruning drops only old data, metrics name nobody, and health checks see problems."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from roster_pipeline.defs.jobs import prune_runs
from roster_pipeline.directory import secrets
from roster_pipeline.directory.database import Database
from roster_pipeline.directory.operations import exposition
from roster_pipeline.settings.installation import InstallationError, Retention
from roster_pipeline.sync.health_checks import health_checks
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict


def test_the_pruning_job_drops_raw_records_and_old_mails_but_nobody(
    dagster_district: DagsterDistrict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_KEEP_SYNCS", "7")
    dagster_district.add_school(report_to=["it@example.org"])
    for _ in range(9):
        dagster_district.sync_school()
    people, changes = dagster_district.count("person"), dagster_district.count("change_log")
    dagster_district.execute("update outbox set sent_at = now() - interval '100 days' where id <= 3")
    assert dagster_district.run_job("prune").success
    assert dagster_district.count("snapshot", "pruned_at is not null") == 2
    assert (
        dagster_district.count("raw_user", "snapshot_id in (select id from snapshot where pruned_at is not null)") == 0
    )
    assert dagster_district.count("raw_user") > 0
    assert dagster_district.count("outbox") == 6
    assert (dagster_district.count("person"), dagster_district.count("change_log")) == (people, changes)
    assert dagster_district.run_sync()["unchanged"] > 0


def test_old_runs_of_dagster_go_and_young_ones_stay(dagster_district: DagsterDistrict) -> None:
    dagster_district.add_school()
    dagster_district.run_sync()
    assert prune_runs(dagster_district.instance, 7) == 0
    assert prune_runs(dagster_district.instance, -1) == 1
    assert dagster_district.instance.get_runs() == []
    assert dagster_district.run_sync()["unchanged"] > 0


def test_a_retention_too_short_for_the_guards_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSTER_KEEP_SYNCS", "3")
    with pytest.raises(InstallationError, match="from 7 to"):
        Retention.read()


def test_metrics_count_by_school_key_and_name_nobody(district: District) -> None:
    district.add_school()
    district.add_school("roosevelt", "sch-2", first_sync="approve")
    district.run_sync("lincoln")
    district.run_sync("roosevelt")
    shown = exposition(district.database)
    values = dict(line.rsplit(" ", 1) for line in shown.splitlines() if not line.startswith("#"))
    assert float(values['roster_people{school="lincoln",role="student"}']) == district.active()
    assert float(values['roster_held_rows{school="lincoln"}']) == 0
    assert float(values['roster_held_rows{school="roosevelt"}']) > 0
    age = datetime.now(UTC).timestamp() - float(values['roster_last_sync_timestamp_seconds{school="lincoln"}'])
    assert 0 <= age < timedelta(minutes=5).total_seconds()
    assert values["roster_outbox_dead"] == "0"
    assert float(values['roster_automatic{school="lincoln"}']) == 0
    district.set_school("lincoln", automatic=True)
    assert 'roster_automatic{school="lincoln"} 1.000' in exposition(district.database)
    with district.database.begin() as conn:
        names = set(conn.scalars(text("select family_name from person union select email from person")))
    assert not [name for name in names if name and name in shown]


def test_the_check_up_is_green_and_sees_a_wrong_secret_and_a_mail_server_that_is_away(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {item.name: item.ok for item in health_checks(district.database, sis=True)}
    notes = {name for name, ok in found.items() if ok is None}
    assert notes == {"mail", "alerts", "heartbeat"}, "nothing of it is set"
    assert set(found.values()) == {True, None}
    assert {
        "database",
        "database sessions",
        "schema",
        "key",
        "given-up mails",
        "waiting mails",
        "disk",
        "settings",
        "retention",
        "quality suite",
        "server log",
        "SIS sis",
    } == set(found) - notes
    district.set_connection(secret="wrong")
    monkeypatch.setenv("ROSTER_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("ROSTER_MAIL_FROM", "roster@example.org")
    found = {item.name: item.ok for item in health_checks(district.database, sis=True)}
    assert (found["mail"], found["SIS sis"], found["database"]) == (False, False, True)
    monkeypatch.setenv("ROSTER_SECRET_KEY", "A" * 43 + "=")
    assert {item.name: item.ok for item in health_checks(district.database, sis=False)}["key"] is False
    with district.database.session() as lent:
        monkeypatch.setattr(Database, "session", lambda _: nullcontext(lent))
        pooled = {item.name: item for item in health_checks(district.database, sis=False)}["database sessions"]
    assert pooled.ok is False, "two clients have one session of the server"
    assert "pool_mode = session" in pooled.remedy


def test_a_database_that_takes_no_changes_is_red(district: District) -> None:
    url = district.database.engine.url.update_query_dict({"options": "-c default_transaction_read_only=on"})
    standby = Database(url)
    found = {item.name: (item.ok, item.detail) for item in health_checks(standby, sis=False)}
    standby.close()
    assert found["database"] == (False, "The database takes no changes: it is read-only")


def test_code_of_another_version_changes_nothing_and_says_what_to_do(dagster_district: DagsterDistrict) -> None:
    """As by a worker that was forgotten at an upgrade, or after a step back to an older version."""
    dagster_district.add_school()
    for revision, remedy in (("9999", "restart what still runs this one"), ("0046", "roster init")):
        dagster_district.execute("update alembic_version set version_num = :revision", revision=revision)
        dagster_district.run_sync()
        (problem,) = dagster_district.problems
        assert revision in problem
        assert remedy in problem
        assert (dagster_district.count("snapshot"), dagster_district.count("person")) == (0, 0)
        assert dagster_district.count("alert", "cause = 'fetch'") == 1
        (checked,) = health_checks(dagster_district.database, sis=True)
        assert (checked.name, checked.ok) == ("schema", False)
        assert remedy in checked.remedy


UNUSABLE = [
    ("key", "ROSTER_SECRET_KEY", "abc", "is not a key"),
    ("alerts", "ROSTER_ALERTS_TO", "ops@example.org; the office", "not all can be sent"),
    ("heartbeat", "ROSTER_HEARTBEAT_URL", "monitor.example.org/beat", "not a web address"),
    ("settings", "ROSTER_KEEP_DAYS", "ninety", "ROSTER_KEEP_DAYS"),
    ("settings", "ROSTER_FIRST_PULL_MINUTES", "0", "from 1 to 360"),
    ("settings", "ROSTER_CONSOLE_MAIL_LINKS", "maybe", "neither on nor off"),
    ("settings", "ROSTER_UI_URL", "dagster.example.org", "not a web address"),
    ("settings", "ROSTER_CONSOLE_URL", "ftp://console.example.org", "not a web address"),
    ("mail", "ROSTER_MAIL_FROM", "the office", "no"),
    ("quality suite", "ROSTER_QUALITY_SUITE", "/nowhere/suite.json", "No such file"),
]


def test_the_health_check_is_red_if_a_setting_cannot_be_used(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROSTER_HOME", str(tmp_path))
    monkeypatch.setenv("ROSTER_SECRET_KEY", secrets.new_key())
    for name, variable, given, said in UNUSABLE:
        with monkeypatch.context() as one:
            one.setenv(variable, given)
            (red,) = [item for item in health_checks(database, sis=False) if item.ok is False]
        assert red.name == name
        assert said in red.detail
        assert variable in f"{red.detail} {red.remedy}"


def test_the_check_up_says_which_secrets_a_key_does_not_open(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_SECRET_KEY", secrets.new_key())
    key = {item.name: item for item in health_checks(district.database, sis=False)}["key"]
    assert (key.ok, key.detail) == (
        False,
        "does not open sis: The stored Client Secret was encrypted with another key.",
    )
    district.set_connection(secret="env:SECRET_OF_SIS")
    key = {item.name: item for item in health_checks(district.database, sis=False)}["key"]
    assert (key.ok, "SECRET_OF_SIS" in key.remedy) == (False, True)
