"""Alerts: one per school and cause, one for a connection that is down, and an all-clear when it is over."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import text

from roster_pipeline.definitions import build_defs
from roster_pipeline.defs.resources import RESOURCES, DirectoryResource, InstallationResource
from roster_pipeline.defs.sensors import failed_runs, watch_schools
from roster_pipeline.directory import alerts, approvals, secrets, tenants
from roster_pipeline.services import decisions
from roster_pipeline.sync import SyncError
from roster_pipeline.sync.alerts import record_crashes, record_failure
from roster_pipeline.sync.health_checks import beat
from roster_pipeline.sync.monitoring import Watched, watch
from roster_pipeline.sync.schedule_due import due_schools
from roster_pipeline_tests.district import SECRET, District
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict, alert_mails, two_schools
from roster_pipeline_tests.scenarios.watcher import SECRET_PATH, watcher

NOW = datetime.now(UTC)


def fail_nights(district: District, key: str, nights: int) -> None:
    with district.database.begin() as conn:
        for night in range(nights):
            alerts.record(conn, key, "plan", "broken", f"run-{night}", night=f"2026-11-{night + 1:02}")


def test_refused_credentials_of_a_connection_are_one_mail_to_all_its_schools_and_one_all_clear(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_ALERTS_TO", "ops@example.org")
    two_schools(district)
    district.set_connection(secret="wrong")
    for _ in range(2):
        district.run_sync("lincoln")
        district.run_sync("roosevelt")
    watch(district.database, NOW)
    ((subject, recipients),) = alert_mails(district)
    assert "failed" in subject
    assert recipients == ["lincoln@example.org", "roosevelt@example.org", "ops@example.org"]
    with district.database.begin() as conn:
        assert [(one.subject, one.cause) for one in alerts.open_alerts(conn)] == [("connection sis", "credentials")]
    district.set_connection(secret=SECRET)
    district.run_sync("lincoln")
    assert watch(district.database, NOW).cleared == 0, "the sync itself has cleared it"
    assert [subject for subject, _ in alert_mails(district) if "again" in subject] == [
        "Connection sis: the SIS can be read again"
    ]


def test_a_client_secret_that_cannot_be_read_is_one_mail_to_all_schools_of_the_connection(
    district: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart with a wrong key, each school of the installation would get one, on which no owner can act."""
    two_schools(district)
    for variable, value, said in [
        ("ROSTER_SECRET_KEY", secrets.new_key(), "was encrypted with another key"),
        ("ROSTER_SECRET_KEY", "nonsense", "ROSTER_SECRET_KEY is not a key"),
        ("SIS_SECRET", "", "which is not set"),
    ]:
        if variable == "SIS_SECRET":
            monkeypatch.setenv(variable, SECRET)
            district.set_connection(secret=f"env:{variable}")
        before = len(alert_mails(district))
        with monkeypatch.context() as wrong:
            wrong.setenv(variable, value)
            district.run_sync("lincoln")
            district.run_sync("roosevelt")
        ((subject, recipients),) = alert_mails(district)[before:]
        assert said in subject
        assert recipients == ["lincoln@example.org", "roosevelt@example.org"], said
        district.run_sync("lincoln")
        assert alert_mails(district)[-1][0] == "Connection sis: the SIS can be read again"


def test_a_sis_that_shows_no_school_at_all_is_one_mail_and_no_all_clear_until_it_shows_some(district: District) -> None:
    two_schools(district)
    district.run_sync("lincoln")
    district.sis.faults.set("no_share")
    for night in ("2026-11-03", "2026-11-04"):
        district.run_sync("lincoln", night)
        district.run_sync("roosevelt", night)
        assert watch(district.database, NOW).cleared == 0
    ((subject, recipients),) = alert_mails(district)
    assert subject == "Connection sis: roster sync failed: the SIS answered, but showed no school at all"
    assert recipients == ["lincoln@example.org", "roosevelt@example.org"]
    assert district.count("membership", "status = 'archived'") == 0
    district.sis.faults.clear()
    district.run_sync("lincoln", "2026-11-05")
    assert alert_mails(district)[-1][0] == "Connection sis: the SIS can be read again"


def test_a_fault_of_one_school_is_its_own_and_clears_with_its_next_sync(district: District) -> None:
    two_schools(district)
    district.set_school("lincoln", school_id="nowhere")
    district.run_sync("lincoln")
    district.run_sync("lincoln")
    district.run_sync("roosevelt")
    assert [recipients for _, recipients in alert_mails(district)] == [["lincoln@example.org"]]
    district.set_school("lincoln", school_id="sch-1")
    district.run_sync("lincoln")
    assert alert_mails(district)[-1] == ("Lincoln: the roster sync works again", ["lincoln@example.org"])


def test_a_school_that_fails_for_a_week_is_paused_reminded_of_and_resumed(district: District) -> None:
    district.add_school(automatic=True, report_to=["it@example.org"])
    fail_nights(district, "lincoln", 6)
    assert watch(district.database, NOW).opened == 0
    fail_nights(district, "lincoln", 7)
    assert watch(district.database, NOW).opened == 1
    assert watch(district.database, NOW).opened == 0
    tick = datetime.combine(NOW.date(), datetime.min.time(), UTC) + timedelta(hours=20)
    assert due_schools(district.database, tick)[0] == []
    assert watch(district.database, NOW + timedelta(days=8)).reminded == 1
    assert len(alert_mails(district)) == 2
    with district.database.begin() as conn:
        assert alerts.resume(conn, tenants.get_school(conn, "lincoln").id)
    assert watch(district.database, NOW).opened == 0, "the nights before it was resumed no longer count"
    assert [one.key for one in due_schools(district.database, tick)[0]] == ["lincoln"]


def test_the_seventh_failed_night_pauses_the_school_at_once(district: District) -> None:
    district.add_school(automatic=True, report_to=["it@example.org"])
    fail_nights(district, "lincoln", 6)
    broke = SyncError("lincoln", "broke", "Look.")
    record_failure(district.database, "lincoln", "plan", broke, "run-b", "2026-11-06")
    assert {one.cause for one in district.database.call(alerts.open_alerts)} == {"plan"}
    record_failure(district.database, "lincoln", "plan", broke, "run-c", "2026-11-07")
    assert {one.cause for one in district.database.call(alerts.open_alerts)} == {"plan", "paused"}
    assert "failed in 7 nights in a row" in alert_mails(district)[-1][0]
    assert watch(district.database, NOW) == Watched()


def test_a_sync_by_hand_ends_the_pause(district: District) -> None:
    district.add_school(automatic=True, report_to=["it@example.org"])
    fail_nights(district, "lincoln", 7)
    watch(district.database, NOW)
    district.run_sync()
    assert district.database.call(alerts.open_alerts) == []
    assert watch(district.database, NOW) == Watched()


def test_a_silent_school_gets_one_alert_unless_another_alert_says_why(district: District) -> None:
    two_schools(district)
    district.add_school("by-hand", "sch-2")
    district.set_school("roosevelt", school_id="nowhere")
    district.run_sync("roosevelt")
    later = NOW + timedelta(hours=37)
    assert watch(district.database, NOW + timedelta(hours=35)).opened == 0
    assert watch(district.database, later).opened == 1
    assert watch(district.database, later).opened == 0
    assert alert_mails(district)[-1][1] == ["lincoln@example.org"]
    assert "No roster sync was finished since".lower() in alert_mails(district)[-1][0].lower()


def test_a_run_that_was_killed_is_noticed_once(dagster_district: DagsterDistrict) -> None:
    dagster_district.add_school(automatic=True, report_to=["it@example.org"])
    job = build_defs().resolve_job_def("rostering")
    tags = {"dagster/partition": "lincoln", "roster/night": "2026-11-03"}
    run = dagster_district.instance.create_run_for_job(job, tags=tags)
    dagster_district.instance.report_run_failed(run, "the process was killed")
    failed = failed_runs(dagster_district.instance, None)
    assert (failed.of_schools, failed.pruning) == ({run.run_id: ("lincoln", "2026-11-03")}, [])
    assert failed.until is not None
    assert record_crashes(dagster_district.database, failed.of_schools) == 1
    assert record_crashes(dagster_district.database, failed.of_schools) == 0
    assert dagster_district.count("failure", "step = 'run' and night = '2026-11-03' and retryable") == 1
    assert len(alert_mails(dagster_district)) == 1
    assert failed_runs(dagster_district.instance, failed.until + timedelta(seconds=1)).of_schools == {}


def test_operators_hear_once_of_a_pruning_that_fails_and_once_when_it_works_again(
    dagster_district: DagsterDistrict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_ALERTS_TO", "ops@example.org")
    dagster_district.add_school(automatic=True, report_to=["it@example.org"])
    resources = {**RESOURCES, "directory": DirectoryResource(url=dagster_district.url)}
    monkeypatch.setenv("ROSTER_KEEP_DAYS", "forever")
    for opened in (1, 0):
        assert not dagster_district.run_job("prune").success
        with dg.build_sensor_context(
            dagster_district.instance, resources=resources, last_sensor_start_time=0.0
        ) as context:
            told = watch_schools.evaluate_tick(context)
        assert told.skip_message is not None
        assert f" {opened} opened" in told.skip_message
    monkeypatch.delenv("ROSTER_KEEP_DAYS")
    for _ in range(2):
        assert dagster_district.run_job("prune").success
    assert alert_mails(dagster_district) == [
        ("Installation: the nightly pruning failed", ["ops@example.org"]),
        ("Installation: pruning works again", ["ops@example.org"]),
    ]


def test_the_sensor_sends_the_heartbeat_and_keeps_its_address_secret(dagster_district: DagsterDistrict) -> None:
    with watcher() as (address, called):
        resources = {
            **RESOURCES,
            "directory": DirectoryResource(url=dagster_district.url),
            "installation": InstallationResource(variables={"ROSTER_HEARTBEAT_URL": address}),
        }
        with dg.build_sensor_context(
            dagster_district.instance, resources=resources, last_sensor_start_time=0.0
        ) as context:
            told = watch_schools.evaluate_tick(context)
        assert called == [SECRET_PATH]
        assert told.skip_message is not None
        assert told.skip_message.endswith("heartbeat sent")
        assert "secret-id" not in told.skip_message
        assert beat(address.removesuffix(SECRET_PATH) + "/unknown") == "heartbeat refused (404)"
    assert beat("http://127.0.0.1:9").startswith("heartbeat failed")


def decide(district: District, *, approved: bool) -> None:
    """Approve and apply what the school holds, or discard it."""
    (plan_id,) = {hold.plan_id for hold in district.database.call(approvals.held)}
    decision = decisions.approve if approved else decisions.discard
    decision(district.database, "lincoln", plan_id, who="it", reason="looked at")


@pytest.mark.parametrize("approved", [True, False])
def test_what_is_held_is_told_once_until_somebody_decided(
    district: District, monkeypatch: pytest.MonkeyPatch, approved: bool
) -> None:
    monkeypatch.setenv("ROSTER_ALERTS_TO", "ops@example.org")
    monkeypatch.setenv("ROSTER_CONSOLE_URL", "https://roster.example.org")
    district.add_school(report_to=["it@example.org"], first_sync="approve", automatic=True)
    for _ in range(2):
        district.run_sync()
        watch(district.database, NOW)
    ((subject, recipients),) = alert_mails(district)
    assert subject.startswith("Lincoln: ")
    each = "41 creations of students, 3 creations of teachers, 3 creations of staff and 3 creations of admins"
    assert f"{each} are held until someone decides" in subject
    assert recipients == ["ops@example.org"], "the owner has read it in the report"
    assert district.count("outbox", "kind = 'alert' and html like '%/schools/lincoln/holds%'") == 1
    assert district.count("person") == 0
    decide(district, approved=approved)
    assert watch(district.database, NOW) == Watched()
    assert alert_mails(district)[1:] == [("Lincoln: nothing is held any more", ["ops@example.org"])]


def test_an_owner_with_a_daily_digest_hears_about_holds_at_once(district: District) -> None:
    district.add_school(report_to=["it@example.org"], report_when="daily", first_sync="approve")
    district.run_sync()
    watch(district.database, NOW)
    assert [recipients for _, recipients in alert_mails(district)] == [["it@example.org"]]


def test_a_school_with_a_hold_gets_an_alert_when_it_is_silent(district: District) -> None:
    district.add_school(report_to=["it@example.org"], first_sync="approve", automatic=True)
    district.run_sync()
    assert watch(district.database, NOW).opened == 0, "the sync itself has opened it"
    assert watch(district.database, NOW + timedelta(hours=37)).opened == 1
    assert {one.cause for one in district.database.call(alerts.open_alerts)} == {"held", "stale"}


def test_a_failure_says_that_nothing_was_changed_only_where_that_is_known(district: District) -> None:
    two_schools(district)
    district.set_school("lincoln", school_id="nowhere")
    district.run_sync("lincoln")
    district.run_sync("roosevelt")
    run = district.value("select run_id from sync")
    record_failure(district.database, "roosevelt", "applied_changes", SyncError("roosevelt", "broke", "Look."), run)
    with district.database.begin() as conn:
        before, after = conn.scalars(text("select text from outbox where kind = 'alert' order by id"))
    assert "Nothing in the directory was changed." in before
    assert "Nothing in the directory was changed." not in after
