"""Mails on their way: through a real SMTP server, with refused recipients and daily digests."""

import os
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import dagster as dg
import pytest

from roster_pipeline.defs.resources import RESOURCES, DirectoryResource, InstallationResource, close_databases
from roster_pipeline.defs.sensors import PREVIEW, SENSORS, send_mail, watch_runs
from roster_pipeline.directory import outbox
from roster_pipeline.directory.database import Database, SharedSessions
from roster_pipeline.directory.locks import alone
from roster_pipeline.sync.health_checks import mails_given_up, mails_waiting
from roster_pipeline.sync.outbox_sender import due_at, put_digests, put_reports, send_due
from roster_pipeline_tests.directory import builders
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.conftest import DagsterDistrict
from roster_pipeline_tests.scenarios.mailbox import Mailbox, body_of


def test_a_report_says_its_school_and_a_refused_recipient_is_given_up(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=["it@example.org", "nobody@example.org"])
    district.run_sync()
    assert send_due(district.database, InstallationResource().mailer()).sent == 1
    ((message, recipients),) = mailbox.messages
    assert message["X-Roster-School"] == "lincoln"
    assert recipients == ["it@example.org"]
    given_up = "dead_at is not null and sent_at is null and kind = 'report'"
    assert district.rows(f"select recipients from outbox where {given_up}") == [{"recipients": ["nobody@example.org"]}]
    assert not mails_given_up(district.database).ok, "the operators learn it"
    assert district.database.call(outbox.retry, district.value(f"select id from outbox where {given_up}"))
    district.execute("update outbox set recipients = '{late@example.org}' where sent_at is null")
    assert send_due(district.database, InstallationResource().mailer()).sent == 1
    (first, _), (again, late) = mailbox.messages
    assert (again["Subject"], late) == (first["Subject"], ["late@example.org"])


def test_a_mail_that_cannot_be_made_does_not_keep_the_others_back(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=["it@example.org"])
    for _ in range(2):
        district.run_sync()
    district.execute("update outbox set message_id = 'none' where id = (select min(id) from outbox)")
    sent = send_due(district.database, InstallationResource().mailer())
    assert (sent.sent, sent.failed) == (1, 1)
    assert district.value("select error from outbox where sent_at is null") == "It broke off: ValueError."


@pytest.mark.parametrize("when", ["every", "daily"])
def test_a_night_that_is_run_again_makes_a_second_mail_only_for_what_is_new(district: District, when: str) -> None:
    district.add_school(report_to=["it@example.org"], report_when=when, first_sync="approve")
    mails = "select (select count(*) from outbox where kind = 'report') + (select count(*) from digest)"

    def after(night: str) -> tuple[int, int]:
        district.run_sync(night=night)
        return district.value(mails), district.count("sync")

    assert [after("one"), after("one")] == [(1, 1), (1, 2)], "both wait for approval"
    district.set_school(first_sync="apply")
    assert [after("one"), after("one"), after("two")] == [(2, 3), (2, 4), (3, 5)]


def test_one_digest_a_day_tells_a_recipient_of_all_schools(district: District, mailbox: Mailbox) -> None:
    district.add_school("lincoln", report_to=["it@example.org", "head@example.org"], report_when="daily")
    district.add_school("roosevelt", "sch-2", report_to=["it@example.org"], report_when="daily", first_sync="approve")
    district.run_sync("lincoln")
    district.run_sync("roosevelt")
    now = datetime.now(UTC)
    assert put_digests(district.database, now - timedelta(minutes=1)) == 0
    morning = due_at(now, "UTC")
    assert put_digests(district.database, morning) == 2
    assert put_digests(district.database, morning) == 0
    send_due(district.database, InstallationResource().mailer())
    mails = {tuple(recipients): message for message, recipients in mailbox.messages}
    both, one = mails[("it@example.org",)], mails[("head@example.org",)]
    assert both["Subject"] == "Roster digest: 2 schools, 2 to look at", "a first night tells the records it joined"
    assert one["Subject"] == "Roster digest: 1 school, 1 to look at"
    body = both.get_body(("plain",))
    assert body is not None
    assert "Roosevelt" in body.get_content()
    assert "roster hold list" in body.get_content()


def test_a_digest_waits_for_the_next_morning_of_the_school() -> None:
    night = datetime(2026, 11, 4, 2, 5, tzinfo=UTC)  # 20:05 the day before in Chicago
    assert due_at(night, "America/Chicago") == datetime(2026, 11, 4, 13, 0, tzinfo=UTC)
    assert due_at(datetime(2026, 11, 4, 13, 0, tzinfo=UTC), "America/Chicago").day == 5


def test_a_rollback_says_what_it_took_back(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=["it@example.org"])
    district.run_sync()
    district.people.remove(district.people.people_of("sch-1", "student")[0].sourced_id)
    district.people.add("student", "sch-1")
    district.run_sync()
    newest = district.value("select max(id) from sync")
    builders.roll_back(district.database, newest, who="it", reason="wrong term")
    assert put_reports(district.database) == 1
    send_due(district.database, InstallationResource().mailer())
    message, _ = mailbox.messages[-1]
    assert message["Subject"] == "Lincoln: sync undone: 1 archival, 1 creation"
    said = body_of(message)
    assert "Sync undone: 1 archival and 1 creation were taken back." in " ".join(said.split())
    assert "TAKEN BACK" in said
    assert "COMPARED" not in said


def test_a_mail_links_to_the_run_and_to_the_page_where_it_is_decided(
    dagster_district: DagsterDistrict, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_UI_URL", "https://dagster.example.org/")
    monkeypatch.setenv("ROSTER_CONSOLE_URL", "https://roster.example.org")
    dagster_district.add_school(report_to=["it@example.org"], first_sync="approve")
    dagster_district.run_sync()
    send_due(dagster_district.database, InstallationResource().mailer())
    said = body_of(mailbox.messages[0][0])
    assert f"Dagster run: https://dagster.example.org/runs/{dagster_district.instance.get_runs()[0].run_id}" in said
    assert "Look and decide: https://roster.example.org/schools/lincoln/holds" in said
    assert "roster hold" not in said


def test_switches_that_are_off_are_reported_with_their_effect(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=["it@example.org"], students={"rostered": True})
    district.run_sync()
    gone, changed = district.people.people_of("sch-1", "student")[:2]
    district.people.remove(gone.sourced_id)
    district.people.rename(changed.sourced_id)
    district.run_sync()
    send_due(district.database, InstallationResource().mailer())
    said = " ".join(body_of(mailbox.messages[-1][0]).split())
    assert "1 student would be archived: Archive is off." in said
    assert "1 student would be updated: Auto update is off." in said
    assert "COMPARED WITH THE SYNC BEFORE" in said


def test_a_mail_server_that_is_away_or_slow_costs_one_try_of_one_mail_a_look(
    district: District, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 3):
        district.add_school(f"school-{number}", f"sch-{number}", report_to=["it@example.org"])
        district.run_sync(f"school-{number}")
    with monkeypatch.context() as slow:  # a look ends before Dagster gives it up
        slow.setattr("roster_pipeline.sync.outbox_sender.MOST_SECONDS", -1)
        assert send_due(district.database, InstallationResource().mailer()).sent == 0
    assert district.count("outbox", "attempts = 0 and sent_at is null") == 2
    here = os.environ["ROSTER_SMTP_URL"]
    monkeypatch.setenv("ROSTER_SMTP_URL", "smtp://127.0.0.1:9")
    looked = send_due(district.database, InstallationResource().mailer())
    assert (looked.sent, looked.failed, looked.dead) == (0, 1, 0)
    assert district.count("outbox", "attempts = 0") == 2, "it is not the fault of the mail"
    monkeypatch.setenv("ROSTER_SMTP_URL", here)
    assert send_due(district.database, InstallationResource().mailer()).sent == 1, "the other waits a minute"


def test_the_operators_learn_that_mails_were_given_up(
    dagster_district: DagsterDistrict, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSTER_ALERTS_TO", "operators@example.org")
    district = dagster_district
    district.add_school(report_to=["it@example.org"])
    district.run_sync()
    district.execute("update outbox set dead_at = now()")
    directory = DirectoryResource(url=district.url)
    monkeypatch.setattr(Database, "require_own_sessions", Mock(side_effect=SharedSessions))
    for cursor in (None, '{"red": ["given-up mails", "database sessions"]}'):
        watch_runs(
            dg.build_sensor_context(
                district.instance, cursor, resources={"directory": directory}, last_sensor_start_time=0.0
            )
        )
        for cause in ("given-up mails", "database sessions"):
            assert district.count("alert", f"cause = '{cause}'") == (cursor is not None)
    send_due(district.database, InstallationResource().mailer())
    said = "".join(body_of(message) for message, *_ in mailbox.messages)
    assert "Set pool_mode = session" in said
    assert "Given-up mails: 1 in the last seven days" in said
    assert "roster outbox list --dead" in said


def test_a_mail_server_that_is_away_for_an_hour_is_a_problem_until_the_mails_have_left(
    district: District, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    district.add_school(report_to=["it@example.org"])
    district.run_sync()
    here = os.environ["ROSTER_SMTP_URL"]
    monkeypatch.setenv("ROSTER_SMTP_URL", "smtp://127.0.0.1:9")
    send_due(district.database, InstallationResource().mailer())
    assert mails_waiting(district.database).ok, "it may be a restart"
    district.execute("update outbox set created_at = now() - interval '61 minutes', due_at = now()")
    item = mails_waiting(district.database)
    assert not item.ok
    assert item.detail == (
        "1 mail has waited for more than an hour: the mail server 127.0.0.1:9 cannot be reached "
        "(ConnectionRefusedError)"
    )
    monkeypatch.setenv("ROSTER_SMTP_URL", here)
    send_due(district.database, InstallationResource().mailer())
    assert mails_waiting(district.database).ok
    assert len(mailbox.messages) == 1


def test_a_preview_in_the_ui_sends_no_mail_and_two_ticks_at_once_do_not_overlap(
    district: District, mailbox: Mailbox
) -> None:
    district.add_school(report_to=["it@example.org"])
    district.run_sync()
    directory = DirectoryResource(url=district.database.engine.url.render_as_string(hide_password=False))
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {**RESOURCES, "directory": directory}
        for sensor in SENSORS:  # as the UI evaluates them
            preview = dg.build_sensor_context(instance, cursor="[1]", resources=resources)
            assert sensor.evaluate_tick(preview).skip_message == PREVIEW
        context = dg.build_sensor_context(instance, resources=resources, last_sensor_start_time=0.0)
        with alone(district.database, "mail") as mine:
            assert mine
            assert str(send_mail(context)) == str(dg.SkipReason("the tick before is still sending"))
            assert mailbox.messages == []
        send_mail(context)
    close_databases()
    assert len(mailbox.messages) == 1
