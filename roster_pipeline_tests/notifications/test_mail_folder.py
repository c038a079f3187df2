"""Mails as files: readable names, whole files, each mail once."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from roster_pipeline.notifications.mail import (
    Delivery,
    FolderMailer,
    PermanentDeliveryError,
    TemporaryDeliveryError,
    message_id,
)
from roster_pipeline.notifications.mail_page import render
from roster_pipeline_tests.notifications.examples import FAILED, GOOD, NIGHT

SENDER = "Roster <roster@localhost>"
TO = ["owner@school.example.org"]
IDENTITY = message_id("sync", 1841, sender=SENDER)


@pytest.fixture
def mailer(tmp_path: Path) -> FolderMailer:
    return FolderMailer(tmp_path / "outbox", SENDER)


def test_a_file_tells_time_school_and_outcome_and_parses_back(mailer: FolderMailer) -> None:
    mail = render(GOOD)
    assert mailer.send(IDENTITY, TO, mail, at=NIGHT) == Delivery(tuple(TO))
    [file] = mailer.folder.iterdir()
    start = "2026-11-04_020412_lincoln-high_4-created-11-updated-1-restored-1-archived_"
    assert file.name.startswith(start)
    assert file.suffix == ".eml"
    message = message_from_bytes(file.read_bytes(), policy=default)
    assert message["Message-ID"] == IDENTITY
    assert message["Subject"] == mail.subject
    bodies = [part.get_content().replace("\r\n", "\n") for part in message.iter_parts()]
    assert bodies == [mail.text, mail.html]


def test_a_mail_sent_again_is_still_one_file(mailer: FolderMailer) -> None:
    for minutes in range(3):
        mailer.send(IDENTITY, TO, render(GOOD), at=NIGHT + timedelta(minutes=minutes))
    assert len(list(mailer.folder.iterdir())) == 1


def test_two_mails_of_one_second_are_two_files(mailer: FolderMailer) -> None:
    for number in (1, 2):
        mailer.send(message_id("alert", number, sender=SENDER), TO, render(FAILED), at=NIGHT)
    assert len(list(mailer.folder.iterdir())) == 2


def test_a_school_in_other_letters_or_with_slashes_stays_in_the_folder(mailer: FolderMailer) -> None:
    mail = render(GOOD)
    odd = type(mail)("../../Schule: ../x\r\nBcc: a@b.example", mail.text, mail.html, "../..")
    mailer.send(IDENTITY, TO, odd, at=NIGHT)
    [file] = mailer.folder.iterdir()
    assert file.name.startswith("2026-11-04_020412_x-bcc-a-b-example_")
    assert message_from_bytes(file.read_bytes(), policy=default)["Bcc"] is None


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mailer = FolderMailer(tmp_path / "file" / "outbox", SENDER)
    with pytest.raises(TemporaryDeliveryError, match="could not be written"):
        mailer.send(IDENTITY, TO, render(GOOD))
    with pytest.raises(TemporaryDeliveryError, match="cannot be written"):
        mailer.check()


def test_recipients_are_asked_for(mailer: FolderMailer) -> None:
    mailer.check()
    for to in ([], ["no address"]):
        with pytest.raises(PermanentDeliveryError, match="recipient"):
            mailer.send(IDENTITY, to, render(GOOD))
    assert mailer.send(IDENTITY, [*TO, "no address"], render(GOOD)) == Delivery(tuple(TO), never=("no address",))


def test_a_message_id_is_fixed_by_its_parts_and_of_the_senders_domain() -> None:
    assert message_id("sync", 1841, sender=SENDER) == IDENTITY
    assert message_id("sync", 1842, sender=SENDER) != IDENTITY
    assert message_id("sync", 1841, sender="no address").endswith("@roster.invalid>")
    assert message_id("x", "1\r\n<>", sender="a@b.example").endswith("@b.example>")


def test_a_malformed_message_id_is_a_mistake_of_the_caller(mailer: FolderMailer) -> None:
    with pytest.raises(ValueError, match="Message-ID"):
        mailer.send("1841", TO, render(GOOD))


@pytest.mark.parametrize("written", ["a@b.example, c@d.example", "A, B <a@b.example>", "a\u202e@b.example"])
def test_an_entry_that_is_not_one_plain_address_is_refused_instead_of_cut(mailer: FolderMailer, written: str) -> None:
    with pytest.raises(PermanentDeliveryError):
        mailer.send(IDENTITY, [written], render(GOOD), at=NIGHT)


def test_an_address_in_other_letters_is_shown_unchanged(mailer: FolderMailer) -> None:
    mailer.send(IDENTITY, ["jürgen@school.example.org"], render(GOOD), at=NIGHT)
    [file] = mailer.folder.iterdir()
    assert "To: jürgen@school.example.org\r\n".encode() in file.read_bytes()
