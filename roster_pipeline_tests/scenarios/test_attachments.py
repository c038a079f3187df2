"""Row details by mail: only if the school wants them, with ids or initials, deleted from the outbox after sending."""

import csv
import io
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import text

from roster_pipeline.defs.resources import InstallationResource
from roster_pipeline.directory.operations import drop_old, exposition
from roster_pipeline.settings.installation import Retention
from roster_pipeline.sync import outbox_sender
from roster_pipeline.sync.health_checks import prune
from roster_pipeline.sync.outbox_sender import send_due
from roster_pipeline_tests.district import District
from roster_pipeline_tests.scenarios.mailbox import Mailbox, body_of

OWNER = ["it@example.org"]


def rows_of(message: EmailMessage) -> list[dict[str, str]]:
    """The lines of the only attachment, read as a spreadsheet reads them."""
    (file,) = message.iter_attachments()
    assert (file.get_content_type(), file.get_content_disposition()) == ("text/csv", "attachment")
    content = file.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_nobody_gets_row_details_who_did_not_ask(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=OWNER)
    district.run_sync()
    send_due(district.database, InstallationResource().mailer())
    ((message, _),) = mailbox.messages
    assert list(message.iter_attachments()) == []
    assert "attached" not in body_of(message)


@pytest.mark.parametrize("names", ["ids", "masked"])
def test_row_details_name_nobody_and_do_not_stay_in_the_outbox(
    district: District, mailbox: Mailbox, names: str
) -> None:
    district.add_school(report_to=OWNER, report_attachment=names, primary_contacts=True)
    for place, person in enumerate(district.people.people_of("sch-1")):
        district.people.edit(
            person.sourced_id,
            given_name=f"Zyxpoison{place}",
            family_name=f"Zyxpoison-{place}",
            email=f"qqleak{place}@zyxpoison.example",
            identifier=f"99887766{place}",
            username=f"qqleak{place}",
        )
    district.run_sync()
    assert district.count("outbox", "attachment is not null") == 1
    leaver, joined = district.people.people_of("sch-1", "student")[0], district.people.people_of("sch-1", "student")[1]
    district.people.remove(leaver.sourced_id)
    district.people.edit(joined.sourced_id, given_name="Zyxpoison-other", email="qqleak-other@zyxpoison.example")
    district.run_sync()
    assert send_due(district.database, InstallationResource().mailer()).sent == 2
    assert district.count("outbox", "attachment is not null") == 0
    first, second = (rows_of(message) for message, _ in mailbox.messages)
    assert {line["result"] for line in first} == {"done"}
    assert len(first) == district.count("person")
    assert {(line["action"], line["fields"]) for line in second} >= {("update", "email given_name")}
    assert leaver.sourced_id in {line["sourcedIds"] for line in second if line["action"] == "archive"}
    assert ("name" in second[0]) == (names == "masked")
    if names == "masked":
        assert {line["name"] for line in second} == {"Z. Z."}
    said = "".join(message.as_string() + str(rows_of(message)) for message, _ in mailbox.messages).lower()
    assert [word for word in ("zyxpoison", "qqleak", "99887766") if word in said] == []


def test_rows_that_wait_are_marked_as_held(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=OWNER, report_attachment="ids", first_sync="approve")
    district.run_sync()
    send_due(district.database, InstallationResource().mailer())
    ((message, _),) = mailbox.messages
    assert {line["result"] for line in rows_of(message)} == {"held"}


def test_too_many_rows_for_a_mail_are_left_out_and_the_mail_links_to_them(
    district: District, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_sender, "MOST_ROWS", 5)
    monkeypatch.setenv("ROSTER_CONSOLE_URL", "https://roster.example.org/")
    district.add_school(report_to=OWNER, report_attachment="ids")
    district.run_sync()
    send_due(district.database, InstallationResource().mailer())
    ((message, _),) = mailbox.messages
    assert list(message.iter_attachments()) == []
    assert "too many for a mail" in body_of(message)
    assert "roster plan" not in body_of(message)
    assert "https://roster.example.org/schools/lincoln/plans/" in body_of(message)


def test_row_details_of_a_mail_that_was_given_up_go_after_a_week(district: District, mailbox: Mailbox) -> None:
    district.add_school(report_to=["nobody@example.org"], report_attachment="ids")
    district.run_sync()
    assert send_due(district.database, InstallationResource().mailer()).dead == 1
    prune(district.database, Retention())
    assert district.count("outbox", "attachment is not null") == 1
    with district.database.begin() as conn:
        conn.execute(text("update outbox set dead_at = dead_at - interval '8 days'"))
        assert drop_old(conn, timedelta(days=90))["row details"] == 1
    assert district.count("outbox", "attachment is not null") == 0


def test_a_mail_that_was_given_up_is_counted_for_a_week_and_deleted_with_the_sent_ones(
    district: District, mailbox: Mailbox
) -> None:
    district.add_school(report_to=["it@example.org", "nobody@example.org"])
    district.run_sync()
    assert send_due(district.database, InstallationResource().mailer()).dead == 1
    assert "roster_outbox_dead 1\n" in exposition(district.database)
    district.execute("update outbox set dead_at = dead_at - interval '8 days'")
    assert "roster_outbox_dead 0\n" in exposition(district.database), "so that a rule on it ends its alarm"
    assert district.database.call(drop_old, timedelta(days=90))["mails"] == 0
    district.execute("update outbox set dead_at = dead_at - interval '83 days'")
    assert district.database.call(drop_old, timedelta(days=90))["mails"] == 1
    assert district.count("outbox", "sent_at is not null") == 1
