"""Sends mails: with the SMTP server of `ROSTER_SMTP_URL`.

Without it, it writes them as .eml files into a folder, for a first look.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from roster_pipeline.notifications.mail import (
    FOLDER_SENDER,
    MAIL_FROM,
    SMTP_URL,
    Delivery,
    Mail,
    Mailer,
    MailSettingsError,
    PermanentDeliveryError,
    TemporaryDeliveryError,
    address_of,
    compose,
)
from roster_pipeline.notifications.smtp import SmtpMailer
from roster_pipeline.settings.installation import MailServer

SLUG_LENGTH = 60
"""How many characters of the subject a file name has: enough to recognise it, and short enough for every file
system."""


class FolderMailer:
    """Writes `2026-11-03_200412_lincoln-high_4-created-1-archived_1f0c9a7e.eml`; the last part comes from the
    Message-ID.

    A mail that is sent again replaces its own file, so the folder holds each mail once.
    """

    def __init__(self, folder: Path, sender: str) -> None:
        self.folder = folder
        self.sender = sender
        try:
            self._from = address_of(sender)
        except ValueError:
            raise MailSettingsError("The sender is not an e-mail address.", "Correct ROSTER_MAIL_FROM.") from None

    def send(self, message_id: str, recipients: Sequence[str], mail: Mail, *, at: datetime | None = None) -> Delivery:
        """Write one file, completely or not at all."""
        if not recipients:
            raise PermanentDeliveryError("This mail has no recipients.", "Set the school's Roster Email.")
        try:
            to = [address_of(recipient) for recipient in recipients]
        except ValueError:
            raise PermanentDeliveryError(
                "A recipient is not an e-mail address.", "Correct the school's Roster Email."
            ) from None
        when = (at or datetime.now(UTC)).astimezone(UTC)
        message = compose(mail, self._from, to, message_id, when)
        mark = hashlib.sha256(message_id.encode()).hexdigest()[:8]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            earlier = next(self.folder.glob(f"*_{mark}.eml"), None)
            self._write(earlier or self.folder / self._name(mail, when, mark), message.as_bytes())
        except OSError as problem:
            raise TemporaryDeliveryError(
                f"The mail could not be written: {problem.strerror}.", f"Check the folder {self.folder}."
            ) from None
        return Delivery(tuple(recipients))

    def check(self) -> None:
        """Whether the folder can be written to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as problem:
            raise TemporaryDeliveryError(
                f"Mails cannot be written: {problem.strerror}.", f"Check the folder {self.folder}."
            ) from None

    @staticmethod
    def _name(mail: Mail, when: datetime, mark: str) -> str:
        outcome = mail.subject.partition(": ")[2] or mail.subject
        parts = [f"{when:%Y-%m-%d_%H%M%S}", slug(mail.school), slug(outcome), mark]
        return "_".join(part for part in parts if part) + ".eml"

    def _write(self, path: Path, content: bytes) -> None:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self.folder)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def slug(text: str) -> str:
    """Lower-case letters, digits and dashes: safe in a file name everywhere."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:SLUG_LENGTH].strip("-")


def mailer_from(server: MailServer, folder: Path) -> Mailer:
    """The mailer of an installation. folder: where mails are written when there is no `ROSTER_SMTP_URL`.

    Raises MailSettingsError.
    """
    url, sender = server.smtp_url, server.mail_from
    if not url:
        return FolderMailer(folder, sender or FOLDER_SENDER)
    if not sender:
        raise MailSettingsError(f"{SMTP_URL} is set, but {MAIL_FROM} is not.", f"Set {MAIL_FROM} to the sender.")
    return SmtpMailer(url, sender)
